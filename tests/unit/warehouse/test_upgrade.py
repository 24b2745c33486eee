"""An older warehouse becomes one of today, rows included, or stays as it is."""

import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from pipelines.contracts.compiler import column_comment
from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.migrations import load_migrations
from pipelines.warehouse.unit_key import unit_key
from pipelines.warehouse.upgrade import migrate
from tests.unit.warehouse.conftest import ROOT, another

LAYOUT_2 = (ROOT / "tests" / "fixtures" / "warehouse" / "layout_2.sql").read_text(encoding="utf-8")
NEWEST = load_migrations(ROOT / "sql")[-1].number
FILLERS = {"VARCHAR": "x", "INTEGER": 1, "BIGINT": 1, "DOUBLE": 0.5, "BOOLEAN": True, "BLOB": b"x"}
UNIT = {"survey": "industry", "wave": 2022, "unit_id": "a"}


def insert(connection: duckdb.DuckDBPyConnection, table: str, **values: object) -> None:
    """One row; what is not given is NULL, or a filler where that may not be."""
    columns = connection.execute(
        "select column_name, data_type, is_nullable from duckdb_columns() where schema_name || '.' || table_name = $t",
        {"t": table},
    ).fetchall()
    row = {name: values.get(name, None if nullable else FILLERS.get(kind)) for name, kind, nullable in columns}
    marks = ", ".join(f"${name}" for name in row)
    connection.execute(f"insert into {table} ({', '.join(row)}) values ({marks})", row)


@pytest.fixture
def older(tmp_path: Path, catalogue: SqlCatalogue, library: ContractLibrary) -> Warehouse:
    """A warehouse of layout 2 as its program made it, with two units of one permanent random number."""
    made = Warehouse(tmp_path / "warehouse" / "axstat.duckdb", catalogue, library, lock_timeout=0.2)
    made.path.parent.mkdir()
    key = unit_key(made.key_file, make=True)
    with duckdb.connect(str(made.path)) as connection:
        connection.execute(LAYOUT_2)
        connection.execute(
            "create table meta.schema_version "
            "(version integer not null, layout_sha256 varchar not null, unit_key varchar not null)"
        )
        connection.execute(
            "insert into meta.schema_version values (2, $layout, $key)",
            {"layout": load_migrations(ROOT / "sql")[0].before, "key": key.fingerprint},
        )
        for unit, row in (("b", 1), ("a", 2)):
            of_unit = {**UNIT, "unit_id": unit}
            number = {"permanent_random_number": 0.25}
            insert(connection, "staging.industry_sample", **of_unit, **number, row_number=row)
            insert(connection, "core.sample", **of_unit, **number)
            insert(connection, "core.replicate_unit", **of_unit)
        for step in ("core", "weights", "replicates", "marts"):
            insert(connection, "meta.step", survey="industry", wave=2022, step=step, fingerprint="f")
    return made


def test_it_is_refused_until_it_is_migrated_and_never_read(older: Warehouse) -> None:
    with pytest.raises(AxstatError, match="older layout 2") as raised, older.session():
        pass
    assert raised.value.code == "warehouse_version"
    assert "axstat migrate" in raised.value.hint


def test_rows_are_kept_and_what_is_new_is_made_from_them(older: Warehouse, library: ContractLibrary) -> None:
    done = migrate(older)
    assert (done.before.version, done.after.version) == (2, NEWEST)
    assert "3: units are drawn by their place in the sample file" in str(done)
    with older.session() as session:
        for table in ("core.sample", "core.replicate_unit"):
            drawn = session.table(table, columns=("unit_id", "draw_id")).sort("draw_id").rows()
            assert drawn == [("b", "0.25000000000000000/1"), ("a", "0.25000000000000000/2")]
        # What rested on the old order is to be run again
        assert session.table("meta.step")["step"].sort().to_list() == ["core", "weights"]
    with duckdb.connect(str(older.path), read_only=True) as connection:
        comments = dict(
            connection.execute(
                "select column_name, comment from duckdb_columns() where table_name = 'sample' and schema_name = 'core'"
            ).fetchall()
        )
    assert comments == {column.name: column_comment(column) for column in library.tables["core.sample"].columns}


def test_the_file_as_it_was_is_kept_beside_it_for_its_owner_alone(older: Warehouse) -> None:
    before = older.path.read_bytes()
    done = migrate(older)
    assert done.copy == older.path.with_name("axstat.layout-2.duckdb")
    assert done.copy.read_bytes() == before
    assert done.copy.stat().st_mode & 0o077 == 0
    # Once more, as after going back: no copy takes the place of another
    shutil.copyfile(done.copy, older.path)
    assert migrate(older).copy == older.path.with_name("axstat.layout-2-2.duckdb")
    assert done.copy.read_bytes() == before


def test_there_is_nothing_to_do_twice(older: Warehouse) -> None:
    migrate(older)
    again = migrate(older)
    assert (again.copy, again.done) == (None, ())
    assert "nothing to do" in str(again)
    assert len(list(older.path.parent.glob("*.duckdb"))) == 2


def test_a_migration_that_fails_leaves_the_file_as_it_was(older: Warehouse) -> None:
    """A unit that is in the sample and in no delivered file has no place in it."""
    with duckdb.connect(str(older.path)) as connection:
        insert(connection, "core.sample", survey="industry", wave=2022, unit_id="nowhere")
    rows = "select * from core.sample order by unit_id"
    with duckdb.connect(str(older.path)) as connection:
        before = connection.execute(rows).fetchall()
    with pytest.raises(AxstatError, match=r"NOT NULL.*draw_id"):
        migrate(older)
    with duckdb.connect(str(older.path)) as connection:
        assert connection.execute(rows).fetchall() == before
        assert connection.execute("select version from meta.schema_version").fetchall() == [(2,)]
    assert [path.name for path in older.path.parent.glob("*.duckdb")] == ["axstat.duckdb"]


def test_tables_that_end_otherwise_than_the_contracts_say_are_not_kept(older: Warehouse) -> None:
    with duckdb.connect(str(older.path)) as connection:
        connection.execute("create table core.mine (a integer)")
    with pytest.raises(AxstatError) as raised:
        migrate(older)
    assert raised.value.code == "warehouse_columns"
    assert raised.value.got == "core.mine unknown"


def changed_version(version: int, layout: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with duckdb.connect(str(path)) as connection:
            connection.execute(
                "update meta.schema_version set version = $version, layout_sha256 = $layout",
                {"version": version, "layout": layout},
            )

    return change


@pytest.mark.parametrize(
    ("version", "layout", "words", "to_do"),
    [
        (1, "f" * 64, "older than what can be migrated, layout 1", "the version of axstat that made the file"),
        (2, "f" * 64, "older than what can be migrated, layout 2", "run all waves again"),
        (NEWEST, "f" * 64, f"different layout {NEWEST}", "the contracts that the file was made with"),
        (NEWEST + 1, "f" * 64, f"newer layout {NEWEST + 1}", "or a newer one"),
    ],
)
def test_what_no_way_leads_from_is_refused_and_left_alone(
    older: Warehouse, version: int, layout: str, words: str, to_do: str
) -> None:
    changed_version(version, layout)(older.path)
    before = older.path.read_bytes()
    with pytest.raises(AxstatError, match=words) as raised:
        migrate(older)
    assert to_do in raised.value.hint
    assert older.path.read_bytes() == before


def test_todays_tables_under_an_older_number_only_get_the_number(warehouse: Warehouse) -> None:
    """While version 2 stood the tables changed: some files say 2 and have today's."""
    with warehouse.session():
        pass
    changed_version(2, load_migrations(ROOT / "sql")[-1].after)(warehouse.path)
    done = migrate(warehouse)
    assert (done.before.version, done.after.version, done.done) == (2, NEWEST, ())
    with warehouse.session():
        pass


def test_nothing_is_migrated_where_there_is_nothing(warehouse: Warehouse) -> None:
    with pytest.raises(AxstatError) as raised:
        migrate(warehouse)
    assert raised.value.code == "no_warehouse"
    assert not warehouse.path.exists()


def test_a_file_that_is_in_use_is_not_migrated(older: Warehouse) -> None:
    with another(older.path) as process, pytest.raises(AxstatError) as raised:
        migrate(older)
    assert raised.value.code == "warehouse_locked"
    assert f"process {process.pid} on" in raised.value.got
