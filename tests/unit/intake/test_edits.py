"""Edit files: what is read, what is applied, and what is refused in which words."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.errors import ViolationsError
from pipelines.intake.edits import EDIT_SCHEMA, Edited, apply_edits, read_edits

ROOT = Path(__file__).parents[3]
CONTRACT = "industry_response"
CURRENT, EARLIER, UNKNOWN = "a" * 64, "b" * 64, "c" * 64
HEADER = ("contract", "file_sha256", "row", "column", "old", "new", "who", "why", "when", "note")
LINE: Mapping[str, str] = {
    "contract": CONTRACT,
    "file_sha256": CURRENT,
    "row": "2",
    "column": "employees",
    "old": "9,999",
    "new": "99",
    "who": "Kim",
    "why": "callback",
    "when": "2026-03-31",
    "note": "",
}
Write = Callable[..., Path]


@pytest.fixture(scope="module")
def library() -> ContractLibrary:
    return load_library(ROOT / "data_contracts")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "edits" / "industry-2025"


@pytest.fixture
def write(folder: Path) -> Write:
    """An edit file: one line a change of the valid line."""

    def make(*changes: Mapping[str, str], name: str = "001.csv", header: Sequence[str] = HEADER) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        cells = [[(LINE | change).get(column, "x") for column in header] for change in changes]
        text = "\n".join(",".join(f'"{cell}"' for cell in line) for line in (header, *cells))
        (folder / name).write_text(text + "\n", encoding="utf-8-sig")
        return folder / name

    return make


def read(folder: Path, **known: str) -> pl.DataFrame:
    names = {name.replace("_csv", ".csv"): sha256 for name, sha256 in known.items()}
    return read_edits(folder, contracts=("business_frame", CONTRACT), reasons=("callback", "sender"), known=names)


def violations(folder: Path, **known: str) -> list[tuple[str, str]]:
    with pytest.raises(ViolationsError) as caught:
        read(folder, **known)
    return [(one.code, one.where) for one in caught.value.violations]


def rows() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "row_number": [1, 2, 3],
            "business_number": ["1208147521", "2208147520", "1018147520"],
            "employees": ["10", " 9,999", None],
            "region": ["11", "11", "99"],
        }
    )


def applied(folder: Path, library: ContractLibrary) -> Edited:
    return apply_edits(
        rows(), read(folder), library.deliveries[CONTRACT], current=CURRENT, delivered=[EARLIER, CURRENT]
    )


def outcome(folder: Path, library: ContractLibrary) -> list[tuple[str, str | None]]:
    return applied(folder, library).log.select("status", "reason").rows()


def test_no_folder_holds_no_edits(folder: Path) -> None:
    assert read(folder).is_empty()
    assert read(folder).schema == EDIT_SCHEMA


def test_an_edit_is_read_with_its_origin(folder: Path, write: Write) -> None:
    path = write({}, {"row": "3", "old": "", "when": "", "file_sha256": CURRENT.upper(), "note": "by phone"})
    first, second = read(folder).to_dicts()
    assert (first["edit_file"], first["line"]) == ("001.csv", 1)
    assert first["edit_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (first["old_value"], first["new_value"], first["who"], first["why"]) == ("9,999", "99", "Kim", "callback")
    assert str(first["edited_on"]) == "2026-03-31"
    assert (second["old_value"], second["edited_on"], second["note"]) == (None, None, "by phone")
    assert second["file_sha256"] == CURRENT


def test_columns_for_day_and_note_may_be_left_out(folder: Path, write: Write) -> None:
    write({}, header=HEADER[:8])
    [edit] = read(folder).to_dicts()
    assert (edit["edited_on"], edit["note"]) == (None, None)


def test_edits_are_for_their_owner_only(folder: Path, write: Write) -> None:
    path = write({})
    path.chmod(0o644)
    folder.chmod(0o755)
    read(folder)
    assert (path.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)


def test_edits_of_another_user_that_all_may_read_are_refused(
    folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write({}).chmod(0o644)
    folder.chmod(0o700)

    def refuse(_path: Path, _mode: int) -> None:
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    assert violations(folder) == [("edits_not_private", "industry-2025/001.csv")]


def test_a_file_that_was_read_is_never_changed_or_taken_away(folder: Path, write: Write) -> None:
    path = write({})
    known = hashlib.sha256(path.read_bytes()).hexdigest()
    assert read(folder, **{"001_csv": known}).height == 1
    write({"new": "98"})
    write({"row": "3"}, name="002.csv")
    assert violations(folder, **{"001_csv": known, "000_csv": known}) == [
        ("edit_file_missing", "industry-2025/000.csv"),
        ("edit_file_changed", "industry-2025/001.csv"),
    ]


def test_everything_wrong_with_the_files_is_said_at_once(folder: Path, write: Write) -> None:
    write({"row": "0"}, {"row": "x"}, {"who": " "}, {"why": "mood"}, {"contract": "public_sample"}, {"when": "spring"})
    write({}, name="002.csv", header=(*HEADER[:7], "reason"))
    (folder / "003.csv").write_bytes("contract,열".encode("cp949"))
    (folder / "004.csv").write_bytes(b"")
    assert violations(folder) == [
        ("edit_line_invalid", "industry-2025/001.csv, column who"),
        ("edit_line_invalid", "industry-2025/001.csv, column contract"),
        ("edit_line_invalid", "industry-2025/001.csv, column row"),
        ("edit_line_invalid", "industry-2025/001.csv, column why"),
        ("edit_line_invalid", "industry-2025/001.csv, column when"),
        ("edit_file_columns", "industry-2025/002.csv, header"),
        ("edit_file_unreadable", "industry-2025/003.csv"),
        ("edit_file_unreadable", "industry-2025/004.csv"),
    ]
    with pytest.raises(ViolationsError) as caught:
        read(folder)
    [of_rows] = [one for one in caught.value.violations if one.where.endswith("column row")]
    assert of_rows.rows == (1, 2)
    [header] = [one for one in caught.value.violations if one.code == "edit_file_columns"]
    assert header.got == "missing: why; unknown: 'reason'"


def test_an_edit_changes_its_cell_and_nothing_else(folder: Path, write: Write, library: ContractLibrary) -> None:
    write(
        {},
        {"row": "3", "old": "", "new": "12", "why": "sender"},
        {"row": "3", "column": "region", "old": "99", "new": ""},
    )
    edited = applied(folder, library)
    assert edited.rows.rows() == [
        (1, "1208147521", "10", "11"),
        (2, "2208147520", "99", "11"),
        (3, "1018147520", "12", None),
    ]
    assert edited.changed["row_number"].to_list() == [2, 3]
    assert edited.rows.columns == rows().columns
    assert edited.log["status"].to_list() == ["applied"] * 3


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"old": "9998"}, "rejected", "old is not what was sent"),
        ({"old": ""}, "rejected", "old is not what was sent"),
        ({"row": "3", "old": "0"}, "rejected", "old is not what was sent"),
        ({"new": "9,999"}, "rejected", "old and new are the same"),
        ({"row": "4"}, "rejected", "the file has no such row"),
        ({"row": "4", "old": ""}, "rejected", "the file has no such row"),
        ({"column": "staff"}, "rejected", "the contract has no such column"),
        ({"column": "row_number"}, "rejected", "the contract has no such column"),
        ({"file_sha256": UNKNOWN}, "rejected", "no file with this file_sha256 was delivered for the wave"),
        ({"file_sha256": EARLIER}, "stale", "made for a file that a later delivery has replaced"),
    ],
)
def test_an_edit_that_does_not_hold_is_refused(
    folder: Path, write: Write, library: ContractLibrary, change: dict[str, str], status: str, reason: str
) -> None:
    write(change)
    edited = applied(folder, library)
    assert edited.log.select("status", "reason").rows() == [(status, reason)]
    assert edited.rows.equals(rows())
    assert edited.changed.is_empty()


def test_two_edits_of_one_cell_are_both_refused(folder: Path, write: Write, library: ContractLibrary) -> None:
    write({})
    write({"new": "999"}, {"column": "region", "old": "11", "new": "26"}, name="002.csv")
    twice = ("rejected", "the cell is edited more than once: none of the edits is applied")
    assert outcome(folder, library) == [twice, twice, ("applied", None)]


def test_edits_of_another_contract_are_left_to_it(folder: Path, write: Write, library: ContractLibrary) -> None:
    write({"contract": "business_frame"})
    assert outcome(folder, library) == []
