"""Sessions: all or nothing, one at a time, tables as the contracts have them."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import duckdb
import polars as pl
import pytest

from pipelines.contracts.compiler import column_comment
from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse
from tests.unit.warehouse.conftest import diagnostics

HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another process has the file open."""
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        yield
        other.communicate("")


def test_the_first_session_makes_every_table_with_its_comments(warehouse: Warehouse, library: ContractLibrary) -> None:
    with warehouse.session():
        pass
    with duckdb.connect(str(warehouse.path), read_only=True) as connection:
        columns = connection.execute(
            "select schema_name || '.' || table_name, column_name, data_type, not is_nullable, comment"
            " from duckdb_columns() where not internal order by table_oid, column_index"
        ).fetchall()
    found: dict[str, list[tuple[object, ...]]] = {}
    for table, *column in columns:
        found.setdefault(table, []).append(tuple(column))
    assert set(found) == {*library.tables, "meta.schema_version"}
    for name, contract in library.tables.items():
        assert found[name] == [
            (column.name, column.type, column.required, column_comment(column)) for column in contract.columns
        ]


def test_a_session_is_kept_whole_or_not_at_all(warehouse: Warehouse) -> None:
    with warehouse.session() as session:
        session.append("mart.weight_diagnostic", diagnostics((2024, 1.0)))

    def stopped_half_way() -> None:
        with warehouse.session() as session:
            session.append("mart.weight_diagnostic", diagnostics((2025, 2.0)))
            session.delete("mart.weight_diagnostic", where={"wave": 2024})
            assert session.table("mart.weight_diagnostic")["wave"].to_list() == [2025]
            raise InterruptedError

    with pytest.raises(InterruptedError):
        stopped_half_way()
    with warehouse.session() as session:
        assert session.table("mart.weight_diagnostic")["wave"].to_list() == [2024]


def test_an_interrupted_first_session_leaves_no_half_made_file(warehouse: Warehouse) -> None:
    with pytest.raises(KeyboardInterrupt), warehouse.session():
        raise KeyboardInterrupt
    with warehouse.session() as session:
        assert session.table("core.units").is_empty()


def test_a_failed_statement_ends_the_session_even_if_its_error_is_caught(warehouse: Warehouse) -> None:
    incomplete = diagnostics((2025, 2.0)).with_columns(step=pl.lit(None, dtype=pl.String))

    def carried_on() -> None:
        with warehouse.session() as session:
            session.append("mart.weight_diagnostic", diagnostics((2025, 2.0)))
            with pytest.raises(AxstatError, match=r"NOT NULL.*weight_diagnostic"):
                session.append("mart.weight_diagnostic", incomplete)

    with pytest.raises(AxstatError, match="nothing of the batch was kept"):
        carried_on()
    with warehouse.session() as session:
        assert session.table("mart.weight_diagnostic").is_empty()


def test_a_second_process_is_told_who_holds_the_file(warehouse: Warehouse) -> None:
    with warehouse.session():
        pass
    with held(warehouse.path), pytest.raises(AxstatError) as raised, warehouse.session():
        pass
    assert raised.value.code == "warehouse_locked"
    assert "PID" in raised.value.got
    assert "published file" in raised.value.hint


def test_a_session_waits_for_another_process_to_end(
    tmp_path: Path, catalogue: SqlCatalogue, library: ContractLibrary
) -> None:
    patient = Warehouse(tmp_path / "axstat.duckdb", catalogue, library, lock_timeout=20.0)
    with patient.session():
        pass
    done = threading.Event()

    def wait() -> None:
        with patient.session() as session:
            session.append("mart.weight_diagnostic", diagnostics((2025, 1.0)))
        done.set()

    waiting = threading.Thread(target=wait)
    with held(patient.path):
        waiting.start()
        assert not done.wait(0.3)
    waiting.join(20.0)
    assert done.is_set()


def test_sessions_of_one_process_take_turns(warehouse: Warehouse) -> None:
    again = Warehouse(warehouse.path, warehouse.catalogue, warehouse.library, lock_timeout=0.1)
    with warehouse.session(), pytest.raises(AxstatError) as raised, again.session():
        pass
    assert raised.value.code == "warehouse_locked"
    assert "this process" in raised.value.got


def test_a_file_kept_open_is_closed_to_other_processes_until_the_end(warehouse: Warehouse) -> None:
    asked = "import duckdb, sys; duckdb.connect(sys.argv[1], read_only=True).execute('select 1').fetchall()"

    def refused() -> bool:
        other = subprocess.run(
            [sys.executable, "-c", asked, str(warehouse.path)], check=False, capture_output=True, text=True
        )
        return "lock" in other.stderr

    with warehouse.kept_open():
        with warehouse.session() as session:
            session.append("mart.weight_diagnostic", diagnostics((2024, 1.0)))
        assert refused()
        with warehouse.session() as session:
            assert session.table("mart.weight_diagnostic")["wave"].to_list() == [2024]
    assert not refused()


def test_a_failed_session_leaves_the_others_of_a_file_kept_open(warehouse: Warehouse) -> None:
    def failing() -> None:
        with warehouse.session() as session:
            session.append("mart.weight_diagnostic", diagnostics((2025, 1.0)))
            raise RuntimeError

    with warehouse.kept_open():
        with warehouse.session() as session:
            session.append("mart.weight_diagnostic", diagnostics((2024, 1.0)))
        with pytest.raises(RuntimeError):
            failing()
        with warehouse.session() as session:
            session.append("mart.weight_diagnostic", diagnostics((2023, 1.0)))
    with warehouse.session() as session:
        assert session.table("mart.weight_diagnostic")["wave"].to_list() == [2023, 2024]


def test_a_file_of_another_layout_is_refused(warehouse: Warehouse, library: ContractLibrary) -> None:
    with warehouse.session():
        pass
    table = library.tables["core.frame"]
    wider = replace(table, columns=(*table.columns, replace(table.columns[-1], name="new_column")))
    changed = replace(library, tables=MappingProxyType({**library.tables, "core.frame": wider}))
    other = Warehouse(warehouse.path, warehouse.catalogue, changed)
    with pytest.raises(AxstatError, match="different layout") as raised, other.session():
        pass
    assert raised.value.code == "warehouse_version"


@pytest.mark.parametrize(("version", "age"), [(1, "older"), (99, "newer")])
def test_a_file_of_another_version_is_refused_with_its_age(warehouse: Warehouse, version: int, age: str) -> None:
    with warehouse.session():
        pass
    with duckdb.connect(str(warehouse.path)) as connection:
        connection.execute("update meta.schema_version set version = $version", {"version": version})
    with pytest.raises(AxstatError, match=f"{age} layout {version}"), warehouse.session():
        pass


def test_tables_that_were_changed_behind_its_back_are_named(warehouse: Warehouse) -> None:
    with warehouse.session():
        pass
    with duckdb.connect(str(warehouse.path)) as connection:
        connection.execute("alter table core.frame drop column region")
        connection.execute("alter table core.units alter column wave type bigint")
        connection.execute("create table core.mine (a integer)")
        connection.execute("drop table mart.flow")
    with pytest.raises(AxstatError) as raised, warehouse.session():
        pass
    assert raised.value.code == "warehouse_columns"
    assert raised.value.got == "core.frame: region; core.mine unknown; core.units: wave; mart.flow missing"


def test_what_is_not_a_warehouse_is_left_alone(
    tmp_path: Path, catalogue: SqlCatalogue, library: ContractLibrary
) -> None:
    text = tmp_path / "text.duckdb"
    text.write_text("not a database" * 1000, encoding="utf-8")
    foreign = tmp_path / "foreign.duckdb"
    with duckdb.connect(str(foreign)) as connection:
        connection.execute("create table mine (a integer)")
    for path in (text, foreign):
        before = path.read_bytes()
        with pytest.raises(AxstatError) as raised, Warehouse(path, catalogue, library).session():
            pass
        assert raised.value.code == "not_a_warehouse"
        assert path.read_bytes() == before
