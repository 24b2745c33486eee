from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.errors import ViolationsError
from pipelines.intake.formats.dispatch import read_table
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
