"""What a session does to rows; files, locks and layouts are tested in test_database.py."""

import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.reference import load_reference
from tests.unit.warehouse.conftest import diagnostics


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
