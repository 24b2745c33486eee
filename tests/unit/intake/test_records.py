"""Columns of a file as records of a contract."""

import polars as pl
import pytest

from pipelines.contracts.cell_form import CellForm, Unpivot
from pipelines.contracts.models import Column, TableContract
from pipelines.errors import ViolationsError
from pipelines.intake.records import RECORD, ROW, typed_records
from pipelines.intake.table import Provenance, TextTable


def contract(*columns: tuple[str, str]) -> TableContract:
    return TableContract(
        name="t",
        version="1",
        title_ko="t",
        title_en="t",
        description="t",
        grain="t",
        columns=tuple(
            Column(name=name, label_ko=name, label_en=name, description=name, type=type_) for name, type_ in columns
        ),
        key=(),
        owner="t",
        source="t",
        licence="t",
    )


def table(headers: list[str], *rows: list[str | None]) -> TextTable:
    frame = pl.DataFrame(rows, schema={f"c{at}": pl.String for at in range(len(headers))}, orient="row")
    return TextTable(
        frame=frame, headers=tuple(headers), provenance=Provenance("f.csv", "csv"), labels=(None,) * len(headers)
    )


WIDE = table(["note", "2024", "area", "2023"], ["n", "2", "A", "1"], [None, None, "B", "S"])
LONG = contract(("area", "VARCHAR"), ("year", "INTEGER"), ("n", "BIGINT"))


def test_columns_in_the_order_of_the_contract_whatever_the_files() -> None:
    made = typed_records(table(["b", "A"], ["1", "x"]), contract(("a", "VARCHAR"), ("b", "INTEGER")), {})
    assert made.typed.to_dicts() == [{RECORD: 1, ROW: 1, "a": "x", "b": 1}]
    assert made.sent.to_dicts() == [{RECORD: 1, ROW: 1, "a": "x", "b": "1"}]
    assert made.warnings == ()


def test_a_column_a_period_becomes_a_record_each() -> None:
    unpivot = Unpivot(pattern="^[0-9]{4}$", name="year", value="n")
    made = typed_records(WIDE, LONG, {"n": CellForm(missing={"S": "suppressed"})}, unpivot=unpivot)
    assert made.rows == 2
    assert made.typed.drop(RECORD).rows() == [
        (1, "A", 2024, 2, None),
        (1, "A", 2023, 1, None),
        (2, "B", 2024, None, None),
        (2, "B", 2023, None, "suppressed"),
    ]
    assert made.typed.columns == [RECORD, ROW, "area", "year", "n", "n_flag"]
    assert made.typed[RECORD].to_list() == [1, 2, 3, 4]
    assert [(warning.code, warning.got) for warning in made.warnings] == [("extra_columns", "1 more: 'note'")]


def test_headers_of_two_kinds() -> None:
    unpivot = Unpivot(pattern="^(?P<crime>.+) (?P<event>found|solved)$", value="n")
    made = typed_records(
        table(["theft found", "theft solved"], ["3", "1"]),
        contract(("crime", "VARCHAR"), ("event", "VARCHAR"), ("n", "BIGINT")),
        {},
        unpivot=unpivot,
    )
    assert made.typed.drop(RECORD, ROW).rows() == [("theft", "found", 3), ("theft", "solved", 1)]


def test_blank_records_are_left_out_only_when_asked_and_counted() -> None:
    unpivot = Unpivot(pattern="^[0-9]{4}$", name="year", value="n")
    cells = {"n": CellForm(missing=["S"])}
    made = typed_records(WIDE, LONG, cells, unpivot=unpivot, drop_blank_in=("n",))
    assert (made.dropped, made.dropped_rows) == (1, (2,))
    # A mark says something: it is no blank
    assert made.typed["n_flag"].to_list() == [None, None, "S"]
    assert made.sent.height == made.typed.height == 3


def test_nothing_to_unpivot() -> None:
    with pytest.raises(ViolationsError) as caught:
        typed_records(WIDE, LONG, {}, unpivot=Unpivot(pattern="^Q", name="year", value="n"))
    (violation,) = caught.value.violations
    assert violation.code == "no_column_to_unpivot"
    assert "'2024'" in violation.got


def test_a_missing_column_has_its_nearest() -> None:
    with pytest.raises(ViolationsError, match="the nearest is 'aera'"):
        typed_records(table(["aera", "other"], ["1", "2"]), contract(("area", "VARCHAR"), ("other", "VARCHAR")), {})
