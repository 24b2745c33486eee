"""Text as sent into typed values: every form a contract can declare, and what is none of it."""

import math
from datetime import date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.contracts.cell_form import CellForm, Unpivot
from pipelines.contracts.models import Column
from pipelines.errors import AxstatError
from pipelines.intake.typed import TypedColumn, typed_column


def typed(cells: list[str | None], type_: str, unit: str | None = None, **form: object) -> TypedColumn:
    column = Column(name="x", label_ko="x", label_en="x", description="x", type=type_, unit=unit)
    return typed_column(pl.Series("x", cells, dtype=pl.String), column, CellForm.model_validate(form))


def values(cells: list[str | None], type_: str, unit: str | None = None, **form: object) -> list[object]:
    return typed(cells, type_, unit, **form).values.to_list()


def test_whole_numbers_stay_exact() -> None:
    cells = ["9007199254740993", "-1", "+7", "3.0", "3.5", "1e3", "1,000", "99999999999999999999", " 12 ", "007", None]
    assert values(cells, "BIGINT") == [9007199254740993, -1, 7, 3, None, None, None, None, 12, 7, None]
    assert values(["2147483648", "2147483647"], "INTEGER") == [None, 2147483647]


def test_only_what_is_a_number_throughout_is_one() -> None:
    cells = ["0.50", ".5", "5.", "1e-3", "nan", "inf", "1e999", "12abc", "1.2.3", "\u221212", "0x1F", "1_000"]
    assert values(cells, "DOUBLE") == [0.5, 0.5, 5.0, 0.001, None, None, None, None, None, -12.0, None, None]


@pytest.mark.parametrize(
    ("form", "cells", "expected"),
    [
        ({"decimal": ","}, ["10,32", "13", "1.5"], [10.32, 13.0, None]),
        ({"thousands": ","}, ["1,395", "12,34", "1,234,567.5", "1395"], [1395.0, None, 1234567.5, 1395.0]),
        ({"decimal": ",", "thousands": "."}, ["1.234,5", "1.23", "1234,5"], [1234.5, None, 1234.5]),
        ({"thousands": " "}, ["1 234", "1\u00a0234", "1\u202f234.5", "12 34"], [1234.0, 1234.0, 1234.5, None]),
        ({"thousands": "'"}, ["1'234", "1’234"], [1234.0, None]),
    ],
)
def test_marks_in_numbers(form: dict[str, object], cells: list[str], expected: list[float | None]) -> None:
    assert values(cells, "DOUBLE", **form) == expected


def test_the_unit_says_what_becomes_of_per_cent() -> None:
    assert values(["9.4%", "9.4", "100 %", "%"], "DOUBLE", "share", percent="sign") == [0.094, None, 1.0, None]
    assert values(["9.4%", "9.4"], "DOUBLE", "percent", percent="sign") == [9.4, None]
    assert values(["9,4", "9,4%"], "DOUBLE", "share", percent="implied", decimal=",") == [0.094, None]
    assert values(["1.5e1"], "DOUBLE", "share", percent="implied") == [0.15]


@given(st.integers(0, 100_000))
def test_a_share_is_the_double_nearest_to_what_was_written(thousandths: int) -> None:
    """Divided by 100 instead, one in ten would be the neighbour of the right one."""
    text = f"{thousandths // 1000}.{thousandths % 1000:03d}"
    assert values([f"{text}%"], "DOUBLE", "share", percent="sign") == [float(f"{text}e-2")]


def test_missing_marks_keep_their_reason() -> None:
    made = typed(["S", ":", "9.4", None, "-", "NA"], "DOUBLE", missing={"S": "suppressed", ":": "not available"})
    assert made.values.to_list() == [None, None, 9.4, None, None, None]
    assert made.flags is not None
    assert made.flags.name == "x_flag"
    assert made.flags.to_list() == ["suppressed", "not available", None, None, None, None]
    # What could not be read is a value that was sent; a mark is not
    assert made.sent.to_list() == [None, None, "9.4", None, "-", "NA"]
    assert made.blank.to_list() == [False, False, False, True, False, False]
    assert typed(["…", "-9"], "INTEGER", missing=["…", -9]).flags.to_list() == ["…", "-9"]  # type: ignore[union-attr]


def test_a_flag_behind_the_value() -> None:
    made = typed(
        ["12.3 b", "12.3bu", "12.3", ":", ": c", "12.3 x", "b", "7 u "],
        "DOUBLE",
        flagged="suffix",
        flags={"b": "break", "u": "unreliable", "c": "confidential"},
        missing={":": "not available"},
    )
    assert made.values.to_list() == [12.3, 12.3, 12.3, None, None, None, None, 7.0]
    assert made.flags is not None
    said = [
        "break",
        "break;unreliable",
        None,
        "not available",
        "not available;confidential",
        None,
        "break",
        "unreliable",
    ]
    assert made.flags.to_list() == said
    assert made.sent.to_list()[5] == "12.3 x"


def test_a_pair_of_value_and_flag() -> None:
    made = typed(
        ["['4,874', '&nbsp;']", "['0.5', 'r']", "['&nbsp;', '&nbsp;']", '["1", "q"]', "0.5", "['D', None]", "['1']"],
        "DOUBLE",
        flagged="pair",
        flags=["r"],
        missing={"D": "withheld"},
        html=True,
        thousands=",",
    )
    assert made.values.to_list() == [4874.0, 0.5, None, None, None, None, None]
    assert made.flags is not None
    assert made.flags.to_list() == [None, "r", None, None, None, "withheld", None]
    assert made.blank.to_list() == [False, False, True, False, False, False, False]
    # An unknown flag, no pair at all, one text only: sent, and not readable
    assert made.sent.to_list()[3:5] == ['["1", "q"]', "0.5"]
    quoted = typed([r"['it\'s', 'r']", '["it\'s", "r"]'], "VARCHAR", flagged="pair", flags=["r"])
    assert quoted.values.to_list() == ["it's", "it's"]


def test_text_stays_as_it_is() -> None:
    cells = ["011", " two  spaces ", "line\r\nbreak", "1&#8211;4 &amp; more"]
    assert values(cells, "VARCHAR") == cells
    assert values(cells, "VARCHAR", html=True)[3] == "1–4 & more"
    assert values(cells, "VARCHAR", trim=True)[:2] == ["011", "two  spaces"]


def test_dates() -> None:
    assert values(["2025-12-31", "2025-12-31 00:00:00", "31.12.2025", "2025-02-30"], "DATE") == [
        date(2025, 12, 31),
        date(2025, 12, 31),
        None,
        None,
    ]
    assert values(["31.12.2025", "12/31/2025", "31.12.25", "2025-12-31"], "DATE", dates=["%d.%m.%Y", "%m/%d/%Y"]) == [
        date(2025, 12, 31),
        date(2025, 12, 31),
        None,
        None,
    ]
    assert values(["2025-12-31T07:08:09", "2025-12-31 07:08"], "TIMESTAMP", dates=["%Y-%m-%dT%H:%M:%S"]) == [
        datetime(2025, 12, 31, 7, 8, 9),
        None,
    ]


def test_truth_values() -> None:
    assert values(["Yes", "n", "TRUE", "0", "maybe"], "BOOLEAN") == [True, False, True, False, None]
    assert values(["예", "아니요", "Y"], "BOOLEAN", truth={"예": True, "아니요": False}) == [True, False, None]


def test_lists() -> None:
    python = ["[]", "['b) Sex', \"it's\"]", "['a\\nb']", "['a', ['b']]", "[", "text", "[None]", None]
    assert values(python, "VARCHAR[]", items="python") == [
        [],
        ["b) Sex", "it's"],
        ["a\nb"],
        None,
        None,
        None,
        None,
        None,
    ]
    assert values(['["a","b"]', "[1, 2.50]", "['a']", "[true]"], "VARCHAR[]", items="json") == [
        ["a", "b"],
        ["1", "2.50"],
        None,
        None,
    ]
    assert values(["a; b;", ";", "a"], "VARCHAR[]", items=";") == [["a", "b"], [], ["a"]]
    assert values(["1;2", "1;x", "1,000;2"], "INTEGER[]", items=";", thousands=",") == [[1, 2], None, [1000, 2]]


def test_a_deep_list_is_none() -> None:
    assert values(["[" * 100_000, "[" * 50_000 + "]" * 50_000], "VARCHAR[]", items="json") == [None, None]


@pytest.mark.parametrize(
    ("type_", "unit", "form"),
    [
        ("DOUBLE", None, {"percent": "sign"}),
        ("INTEGER", "share", {"percent": "implied"}),
        ("VARCHAR", None, {"truth": {"Y": True}}),
        ("VARCHAR", None, {"dates": ["%Y"]}),
        ("VARCHAR", None, {"items": ";"}),
        ("VARCHAR[]", None, {}),
        ("BLOB", None, {}),
    ],
)
def test_a_form_that_does_not_fit_the_type(type_: str, unit: str | None, form: dict[str, object]) -> None:
    with pytest.raises(AxstatError, match=r"reading_does_not_fit[\s\S]*column x, reading"):
        typed(["1"], type_, unit, **form)


@pytest.mark.parametrize("written", ["%Q", "%Y", "yyyy-MM-dd", "%Y-%m"])
def test_a_format_that_gives_no_date(written: str) -> None:
    with pytest.raises(AxstatError, match=rf"unknown_date_format[\s\S]*'{written}'"):
        typed(["2025"], "DATE", dates=[written])


@pytest.mark.parametrize(
    "form",
    [
        {"decimal": ",", "thousands": ","},
        {"flags": ["b"]},
        {"flagged": "pair"},
        {"items": "::"},
        {"missing": {"S": ""}},
        {"decimals": ","},
    ],
)
def test_forms_that_do_not_agree(form: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CellForm.model_validate(form)


@pytest.mark.parametrize("keys", [{"pattern": "("}, {"pattern": "a"}, {"pattern": "(?P<a>.)", "name": "b"}])
def test_an_unpivot_that_does_not_say_where_headers_go(keys: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Unpivot.model_validate({"value": "v", **keys})


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_a_number_written_out_is_read_back(numbers: list[float]) -> None:
    found = values([repr(number) for number in numbers], "DOUBLE")
    assert all(math.isclose(one, other, rel_tol=0, abs_tol=0) for one, other in zip(found, numbers, strict=True))


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_any_text_is_typed_or_left_as_sent(cells: list[str]) -> None:
    """No cell makes a reading fail, and each is blank, a mark, a value, or sent and not readable."""
    for type_, form in (
        ("DOUBLE", {"flagged": "suffix", "flags": ["b"], "missing": [":"], "thousands": ","}),
        ("DOUBLE", {"flagged": "pair", "flags": ["b"], "html": True}),
        ("VARCHAR[]", {"items": "python"}),
        ("VARCHAR[]", {"items": "json"}),
        ("DATE", {}),
    ):
        made = typed(cells, type_, **form)
        assert len(made.values) == len(made.sent) == len(cells)
        assert not (made.values.is_not_null() & made.sent.is_null()).any()
