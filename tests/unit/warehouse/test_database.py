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
from pipelines.warehouse.reference import load_reference

HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"


def diagnostics(*values: tuple[int, float | None], survey: str = "industry") -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"survey": survey, "wave": wave, "diagnostic": f"d{place}", "step": "final", "value": value}
            for place, (wave, value) in enumerate(values)
        ],
        schema_overrides={"value": pl.Float64},
    )


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


@pytest.mark.parametrize(("version", "age"), [(1, "older"), (3, "newer")])
def test_a_file_of_another_version_is_refused_with_its_age(warehouse: Warehouse, version: int, age: str) -> None:
    with warehouse.session():
        pass
    with duckdb.connect(str(warehouse.path)) as connection:
        connection.execute("update meta.schema_version set version = $version", {"version": version})
    with pytest.raises(AxstatError, match=f"{age} layout {version}"), warehouse.session():
        pass


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


def test_replace_is_idempotent_and_keeps_other_waves(warehouse: Warehouse) -> None:
    for _ in range(2):
        with warehouse.session() as session:
            for wave in (2024, 2025):
                rows = diagnostics((wave, 1.0), (wave, None))
                assert session.replace("mart.weight_diagnostic", rows, where={"wave": wave}) == 2
    with warehouse.session() as session:
        found = session.table("mart.weight_diagnostic")
        assert found.select("wave", "diagnostic", "value").rows() == [
            (2024, "d0", 1.0),
            (2024, "d1", None),
            (2025, "d0", 1.0),
            (2025, "d1", None),
        ]
        assert session.replace("mart.weight_diagnostic", found.head(0), where={"wave": 2024}) == 0
        assert session.table("mart.weight_diagnostic")["wave"].to_list() == [2025, 2025]


def test_replace_refuses_rows_that_a_second_run_would_not_delete(warehouse: Warehouse) -> None:
    rows = diagnostics((2024, 1.0), (2025, 2.0))
    with pytest.raises(AxstatError) as raised, warehouse.session() as session:
        session.replace("mart.weight_diagnostic", rows, where={"wave": 2024})
    assert raised.value.code == "rows_outside"
    assert "1 other row(s) of 2" in raised.value.got


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.drop("value"),
        lambda frame: frame.with_columns(more=pl.lit(1)),
        lambda frame: frame.rename({"value": "values"}),
    ],
)
def test_frames_must_have_the_columns_of_the_contract(warehouse: Warehouse, change) -> None:
    with pytest.raises(AxstatError) as raised, warehouse.session() as session:
        session.append("mart.weight_diagnostic", change(diagnostics((2025, 1.0))))
    assert raised.value.code == "columns_differ"


def test_columns_go_by_name_not_by_place(warehouse: Warehouse) -> None:
    rows = diagnostics((2025, 1.0))
    with warehouse.session() as session:
        session.append("mart.weight_diagnostic", rows.select(reversed(rows.columns)))
        assert session.table("mart.weight_diagnostic").rows() == [("industry", 2025, "d0", "final", 1.0)]


def test_values_that_are_no_sql_stay_values(warehouse: Warehouse) -> None:
    odd = "x' or 1=1; drop table core.units; --"
    with warehouse.session() as session:
        session.append("mart.weight_diagnostic", diagnostics((2025, 1.0), survey=odd))
        assert session.table("mart.weight_diagnostic", where={"survey": odd}).height == 1
        assert session.table("mart.weight_diagnostic", where={"survey": "x"}).is_empty()
        session.delete("mart.weight_diagnostic", where={"survey": odd})
        assert session.table("mart.weight_diagnostic").is_empty()


def test_table_reads_in_key_order_by_value_and_null(warehouse: Warehouse) -> None:
    with warehouse.session() as session:
        session.append("mart.weight_diagnostic", diagnostics((2025, 1.0), (2024, None), (2023, 2.0)))
        assert session.table("mart.weight_diagnostic")["wave"].to_list() == [2023, 2024, 2025]
        missing = session.table("mart.weight_diagnostic", where={"value": None}, columns=("diagnostic", "wave"))
        assert missing.rows() == [("d1", 2024)]
        assert missing.columns == ["diagnostic", "wave"]


def test_unknown_names_are_refused(warehouse: Warehouse) -> None:
    for call in (
        lambda session: session.table("core.nothing"),
        lambda session: session.table("core.units", where={"nothing": 1}),
        lambda session: session.table("core.units", columns=("nothing",)),
        lambda session: session.build("core.nothing", survey="industry", wave=2025),
        lambda session: session.check("nothing"),
        lambda session: session.delete("core.units", where={"nothing": 1}),
    ):
        with pytest.raises(AxstatError, match="nothing"), warehouse.session() as session:
            call(session)


def frame_row(unit_id: str, employees: int, *, wave: int) -> dict[str, object]:
    return {
        "survey": "industry",
        "wave": wave,
        "file_sha256": "aa",
        "row_number": 1,
        "unit_id": unit_id,
        "ksic_division": "26",
        "region": "11",
        "employees": employees,
        "selection_ksic_group": "CC",
        "selection_size_class": "10-49",
        "selection_region": "11",
        "take_all": False,
    }


def test_build_makes_one_survey_and_wave_anew(warehouse: Warehouse, library: ContractLibrary) -> None:
    staged = pl.DataFrame([frame_row("a", 20, wave=2024), frame_row("a", 70, wave=2025)])
    with warehouse.session() as session:
        load_reference(session, library, last_wave=2025)
        session.append("staging.business_frame", staged)
        for _ in range(2):
            assert session.build("core.frame", survey="industry", wave=2024) == 1
            assert session.build("core.frame", survey="industry", wave=2025) == 1
            assert session.build("core.frame", survey="public", wave=2025) == 0
        assert session.table("core.frame").select("wave", "size_class").rows() == [
            (2024, "10-49"),
            (2025, "50-249"),
        ]


def test_build_asks_for_the_parameters_of_the_statement(warehouse: Warehouse) -> None:
    with pytest.raises(AxstatError) as raised, warehouse.session() as session:
        session.build("core.frame", survey="industry")
    assert raised.value.code == "missing_parameter"
    assert "wave" in raised.value.got


def test_a_statement_without_parameters_makes_the_whole_table(warehouse: Warehouse, library: ContractLibrary) -> None:
    with warehouse.session() as session:
        load_reference(session, library, last_wave=2025)
        first = session.build("mart.domain")
        assert session.build("mart.domain", survey="industry", wave=2025) == first > 200
        assert session.table("mart.domain").height == first


def test_checks_and_cells_are_asked_by_name(warehouse: Warehouse, library: ContractLibrary) -> None:
    with warehouse.session() as session:
        load_reference(session, library, last_wave=2025)
        session.append("staging.business_frame", pl.DataFrame([frame_row("a", 20, wave=2025)]))
        session.build("core.frame", survey="industry", wave=2025)
        assert session.query("cells.stratum_counts", survey="industry", wave=2025).rows() == [
            ("CC/10-49/11", False, 1, 0, 0, 0, 0, 0)
        ]
        found = session.check("duplicate_units", survey="industry", wave=2025)
        assert found.is_empty()
        assert found.equals(session.check("checks.duplicate_units", survey="industry", wave=2025))
