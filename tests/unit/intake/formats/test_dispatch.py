from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.errors import ViolationsError
from pipelines.intake.formats.dispatch import read_table
from pipelines.intake.limits import Limits
from pipelines.intake.manifest import ManifestFile

Entry = Callable[..., ManifestFile]


def test_the_ending_chooses_the_reader(tmp_path: Path, entry: Entry) -> None:
    path = tmp_path / "F.CSV"
    path.write_bytes(b"a\n1\n")
    assert read_table(path, entry(), file="F.CSV").provenance.format == "delimited text"


@pytest.mark.parametrize("name", ["f.doc", "f"])
def test_an_ending_nobody_reads(tmp_path: Path, entry: Entry, name: str) -> None:
    with pytest.raises(ViolationsError, match=r"(?s)unknown_format.*\.xlsx"):
        read_table(tmp_path / name, entry(), file=name)


def test_limits_hold_for_every_reader(tmp_path: Path, entry: Entry) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(b'{"a": "1"}\n{"a": "' + b"x" * 200 + b'"}\n')
    with pytest.raises(ViolationsError, match=r"(?s)f.jsonl, column a.*200 characters in row 2"):
        read_table(path, entry(), file="f.jsonl", limits=Limits(cell_characters=100))
    with pytest.raises(ViolationsError, match=r"(?s)too_large.*at most 10 bytes"):
        read_table(path, entry(), file="f.jsonl", limits=Limits(file_bytes=10))
