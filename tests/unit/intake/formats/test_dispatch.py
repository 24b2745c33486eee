from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.errors import ViolationsError
from pipelines.intake.form import FileForm
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


@pytest.mark.parametrize(
    ("name", "shape", "headers", "encoding"),
    [
        ("eu_ai_adoption_small/database_ia.csv", (27, 5), ("COUNTRY", "2021"), "utf-8-sig"),
        ("us_btos_state/State.csv", (4399, 58), ("State", "Question ID"), "utf-8"),
        ("us_fed_ai_inventory_2025/individually_reported_ai_use_cases.csv", (3611, 35), ("agency",), "utf-8-sig"),
        ("ksic_r/ksic_10_to_9.csv", (1377, 6), ("ksic10_cd",), "utf-8"),
    ],
)
def test_real_files_without_a_word_about_their_form(
    name: str, shape: tuple[int, int], headers: tuple[str, ...], encoding: str
) -> None:
    path = Path(__file__).resolve().parents[5] / "shared" / "samples" / name
    if not path.is_file():
        pytest.skip(f"the sample files are not beside this checkout ({path})")
    table = read_table(path, FileForm(), file=path.name)
    assert table.frame.shape == shape
    assert table.headers[: len(headers)] == headers
    assert table.provenance.encoding == encoding
    # State.csv ends with a source line of one cell; the others have nothing around their table.
    assert [note[:7] for note in table.provenance.notes] == (["Source:"] if "State" in name else [])
