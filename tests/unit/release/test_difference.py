"""Two made-up releases in which everything that differs is known."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError
from pipelines.release.difference import Difference, TableDifference, compare_releases

MANIFEST: dict[str, Any] = {
    "made_with": {"axstat": "1", "git_revision": "aaa", "lock_sha256": "l", "contracts": {"targets.yaml": "1.0.0"}},
    "deliveries": [
        {"survey": "public", "wave": 2025, "contract": "public_response", "status": "current", "delivery": "p-1",
         "file_sha256": "1"},
    ],
    "edit_files": [],
    "files": {"csv/change.csv": "same", "parquet/change.parquet": "one", "old.txt": "gone"},
}  # fmt: skip
KEY = {
    "survey": "industry", "wave": 2025, "wave_before": 2024, "domain_type": "region", "measure": "ai_adoption",
    "unit_weighting": "unit",
}  # fmt: skip


def change(code: str, points: float | None, *, reliability: str = "publish") -> dict[str, object]:
    return {**KEY, "domain_code": code, "change_pp": points, "se_pp": 2.0, "reliability": reliability}


def released(published: Path, name: str, rows: list[dict[str, object]], manifest: dict[str, Any]) -> None:
    folder = published / name / "parquet"
    folder.mkdir(parents=True)
    pl.DataFrame(rows).write_parquet(folder / "change.parquet")
    (published / name / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


@pytest.fixture
def published(tmp_path: Path) -> Path:
    released(tmp_path, "2025.1", [change("11", 3.0), change("21", 1.0), change("22", 5.0)], MANIFEST)
    sent = {**MANIFEST["deliveries"][0], "delivery": "p-2", "file_sha256": "2"}
    later = {
        **MANIFEST,
        "deliveries": [{**MANIFEST["deliveries"][0], "status": "superseded"}, sent],
        "made_with": {**MANIFEST["made_with"], "git_revision": "bbb"},
        "files": {"csv/change.csv": "same", "parquet/change.parquet": "two", "new.txt": "came"},
    }
    rows = [change("11", 2.0), change("21", 6.0, reliability="caution"), change("23", 0.0)]
    released(tmp_path, "2025.2", rows, later)
    return tmp_path


@pytest.fixture
def found(published: Path, library: ContractLibrary) -> Difference:
    return compare_releases(published, "2025.1", "2025.2", library)


def test_rows_are_counted_by_what_became_of_them(found: Difference) -> None:
    assert found.tables == (TableDifference("mart.change", rows=3, added=1, removed=1, changed=2),)


def test_cells_come_with_their_difference_in_standard_errors_the_largest_first(found: Difference) -> None:
    changed = found.cells.filter(pl.col("what") == "changed")
    assert changed.select("column", "before", "after", "difference", "in_standard_errors").rows() == [
        ("change_pp", "1.0", "6.0", 5.0, 2.5),
        ("change_pp", "3.0", "2.0", -1.0, -0.5),
        ("reliability", "publish", "caution", None, None),
    ]
    assert "domain_code=21" in changed["key"][0]
    lone = found.cells.filter(pl.col("what") != "changed").select("what", "key", "column").rows()
    assert [(what, key.split("domain_code=")[1][:2], column) for what, key, column in lone] == [
        ("added", "23", None), ("removed", "22", None),
    ]  # fmt: skip


def test_causes_and_files_are_told(found: Difference) -> None:
    assert [(cause.cause, cause.before, cause.after) for cause in found.causes] == [("delivery", "p-1", "p-2")]
    assert found.files == ("new.txt (added)", "old.txt (removed)", "parquet/change.parquet")
    text = found.told(top=1)
    assert "delivery of public 2025: public_response of p-2, in place of p-1" in text
    assert "mart.change: 1 added, 1 removed, 2 changed of 3" in text
    assert "change_pp: 1.0 -> 6.0 (+5, +2.50 SE)" in text
    assert "3.0 -> 2.0" not in text
    assert "revision bbb, before aaa" in text


def test_a_release_and_itself_do_not_differ(published: Path, library: ContractLibrary) -> None:
    same = compare_releases(published, "2025.1", "2025.1", library)
    assert (same.tables, same.files, same.causes, same.cells.height) == ((), (), (), 0)
    assert "rows: all the same" in same.told()


def test_a_column_and_a_table_that_came_are_told(published: Path, library: ContractLibrary) -> None:
    rows = [{**change("11", 2.0), "n_common": 5}]
    released(published, "2025.3", rows, MANIFEST)
    pl.DataFrame([{"measure": "ai_adoption"}]).write_parquet(published / "2025.3" / "parquet" / "measure.parquet")
    of_change, of_measure = compare_releases(published, "2025.2", "2025.3", library).tables
    assert of_change.columns == ("n_common",)
    assert (of_change.removed, of_change.changed) == (2, 0)
    assert (of_measure.table, of_measure.added) == ("mart.measure", 1)


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (("2025.1", "2025.9"), "no_vintage"),
        (("2025.1", "../2025.2"), "not_a_vintage"),
        (("latest", "2025.1"), "not_a_vintage"),
    ],
)
def test_what_is_no_release_is_an_error(
    published: Path, library: ContractLibrary, names: tuple[str, str], code: str
) -> None:
    with pytest.raises(AxstatError) as caught:
        compare_releases(published, *names, library)
    assert caught.value.code == code


def test_a_table_without_contract_is_an_error(published: Path, library: ContractLibrary) -> None:
    pl.DataFrame([{"a": 1}]).write_parquet(published / "2025.2" / "parquet" / "unheard_of.parquet")
    with pytest.raises(AxstatError, match=r"unknown_table.*mart\.unheard_of"):
        compare_releases(published, "2025.1", "2025.2", library)
