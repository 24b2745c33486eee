"""The numbered files follow on each other, and the last one leads to the tables of the contracts."""

import hashlib
from pathlib import Path

import duckdb
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError
from pipelines.warehouse.migrations import layout_sha256, load_migrations, path_from
from tests.unit.warehouse.conftest import ROOT

LAYOUTS = ROOT / "tests" / "fixtures" / "warehouse"
A, B, C = "a" * 64, "b" * 64, "c" * 64


def migrations_in(root: Path, **files: str) -> Path:
    (root / "migrations").mkdir()
    for name, text in files.items():
        (root / "migrations" / f"{name}.sql").write_text(text, encoding="utf-8")
    return root


def text(number: int, before: str, after: str) -> str:
    return f"-- migration {number}: something\n-- from: {before}\n-- to: {after}\nselect 1;\n"


def test_the_newest_layout_is_that_of_the_contracts(library: ContractLibrary) -> None:
    """Who changes a contract of a table writes the next file of sql/migrations, whose `to` is this hash."""
    newest = load_migrations(ROOT / "sql")[-1]
    assert layout_sha256(library) == newest.after, (
        f"the tables are not those of layout {newest.number}: add sql/migrations/{newest.number + 1:04}_….sql "
        f"with `-- from: {newest.after}` and `-- to: {layout_sha256(library)}`"
    )


def test_the_layout_kept_for_the_tests_is_the_one_that_was_left() -> None:
    oldest = load_migrations(ROOT / "sql")[0]
    with duckdb.connect() as connection:
        connection.execute((LAYOUTS / f"layout_{oldest.number - 1}.sql").read_text(encoding="utf-8"))
        rows = connection.execute(
            "select schema_name || '.' || table_name, column_name, data_type, not is_nullable from duckdb_columns() "
            "where not internal order by schema_name || '.' || table_name, column_index"
        ).fetchall()
    tables: dict[str, list[tuple[object, ...]]] = {}
    for name, *column in rows:
        tables.setdefault(name, []).append(tuple(column))
    digest = hashlib.sha256()
    for name in sorted(tables):
        digest.update(repr((name, tables[name])).encode())
    assert digest.hexdigest() == oldest.before


def test_files_are_read_in_order_and_lead_from_any_layout_to_the_newest(tmp_path: Path) -> None:
    root = migrations_in(tmp_path, **{"0003_x": text(3, A, B), "0004_y": text(4, B, C)})
    third, fourth = load_migrations(root)
    assert (third.number, third.what, third.before, third.after) == (3, "something", A, B)
    assert path_from(A, (third, fourth)) == (third, fourth)
    assert path_from(B, (third, fourth)) == (fourth,)
    assert path_from(C, (third, fourth)) == ()
    assert path_from("d" * 64, (third, fourth)) is None


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"third": text(3, A, B)},
        {"0004_x": text(3, A, B)},
        {"0003_x": "select 1;\n"},
        {"0003_x": text(3, A, B), "0005_y": text(5, B, C)},
        {"0003_x": text(3, A, B), "0004_y": text(4, A, C)},
    ],
)
def test_files_that_do_not_follow_on_each_other_are_refused(tmp_path: Path, files: dict[str, str]) -> None:
    with pytest.raises(AxstatError) as raised:
        load_migrations(migrations_in(tmp_path, **files))
    assert raised.value.code == "broken_migrations"
