from datetime import date, datetime, time

import polars as pl
import pytest

from pipelines.errors import ViolationsError
from pipelines.intake.table import Provenance, join_headers, text_table, typed_to_text

SOURCE = Provenance(file="d1/f", format="test")


def text(values: list[object], dtype: pl.DataType | type[pl.DataType]) -> list[str | None]:
    frame = pl.DataFrame({"a": pl.Series(values, dtype=dtype, strict=False)})
    return typed_to_text(frame, SOURCE)["a"].to_list()


def test_whole_numbers_lose_their_point() -> None:
    assert text([1208147521.0, -3.0, 0.0, None], pl.Float64) == ["1208147521", "-3", "0", None]


@pytest.mark.parametrize("value", [0.1, 1 / 3, 0.1 + 0.2, 1e-7, 12345.678, 2.0**60, 1e300])
def test_numbers_come_back_exactly(value: float) -> None:
    [rendered] = text([value], pl.Float64)
    assert rendered is not None
    assert float(rendered) == value


def test_single_precision_keeps_its_own_digits() -> None:
    assert text([0.1, 2.0], pl.Float32) == ["0.1", "2"]


def test_not_a_number_is_blank() -> None:
    assert text([float("nan"), 1.0], pl.Float64) == [None, "1"]


def test_other_types() -> None:
    assert text([True, False, None], pl.Boolean) == ["true", "false", None]
    assert text([2**62, -1], pl.Int64) == [str(2**62), "-1"]
    assert text([date(2025, 3, 1)], pl.Date) == ["2025-03-01"]
    assert text([datetime(2025, 3, 1, 4, 5, 6)], pl.Datetime("us")) == ["2025-03-01T04:05:06.000000"]
    assert text([time(4, 5, 6)], pl.Time) == ["04:05:06"]
    assert text(["C26", "10"], pl.Categorical()) == ["C26", "10"]


def test_columns_without_plain_text_are_refused_together() -> None:
    frame = pl.DataFrame({"a": [[1]], "b": ["x"], "c": [b"x"]})
    with pytest.raises(ViolationsError) as caught:
        typed_to_text(frame, SOURCE)
    [violation] = caught.value.violations
    assert violation.code == "column_type"
    assert violation.got == "a: List(Int64), c: Binary"


def test_blanks_of_any_kind_are_null_and_text_stays_as_sent() -> None:
    frame = pl.DataFrame({"x": ["", " ", "\u00a0", "\u3000", " 1,395 ", "a b"]})
    assert text_table(frame, ["x"], SOURCE).frame["c0"].to_list() == [None] * 4 + [" 1,395 ", "a b"]


def test_blank_rows_count_inside_and_not_at_the_end() -> None:
    frame = pl.DataFrame({"x": ["1", "", "3", "", " "], "y": ["1", "", "", "", ""]})
    assert text_table(frame, ["x", "y"], SOURCE).frame.rows() == [("1", "1"), (None, None), ("3", None)]


def test_an_empty_edge_is_dropped_and_an_empty_column_with_header_is_not() -> None:
    frame = pl.DataFrame({"a": ["1"], "b": [""], "c": [""], "d": ["4"]})
    table = text_table(frame, ["a", "", "empty", ""], SOURCE, labels=["A", None, "C", None])
    assert table.headers == ("a", "empty", "")
    assert table.labels == ("A", "C", None)
    assert table.frame.rows() == [("1", None, "4")]
    assert table.frame.columns == ["c0", "c1", "c2"]


@pytest.mark.parametrize(
    "frame",
    [pl.DataFrame(), pl.DataFrame({"x": [""]}), pl.DataFrame({"x": []}, schema={"x": pl.String})],
)
def test_no_rows_is_a_violation(frame: pl.DataFrame) -> None:
    with pytest.raises(ViolationsError, match="empty_file"):
        text_table(frame, ["x"] * frame.width, SOURCE)


def test_headers_of_merged_cells() -> None:
    upper = ["사업자 등록번호", "AI 기술", None, "비고", None]
    lower = [None, "기계\n학습", "텍스트", None, None]
    assert join_headers([upper, lower]) == [
        "사업자 등록번호",
        "AI 기술 / 기계 학습",
        "AI 기술 / 텍스트",
        "비고",
        "",
    ]


def test_a_cell_merged_downwards_is_not_carried_to_the_right() -> None:
    assert join_headers([["id", None], [None, "region"]]) == ["id", "region"]


def test_three_header_rows() -> None:
    rows = [["A", None, None], ["B", None, "C"], ["x", "y", "z"]]
    assert join_headers(rows) == ["A / B / x", "A / B / y", "A / C / z"]


def test_three_header_rows_with_blocks_of_merged_cells() -> None:
    rows = [
        ["번호", "AI 기술", None, None, None, "비고"],
        [None, "기계학습", None, None, None, None],
        [None, "활용", "계획", "분야", "시기", None],
    ]
    assert join_headers(rows) == [
        "번호",
        "AI 기술 / 기계학습 / 활용",
        "AI 기술 / 기계학습 / 계획",
        "AI 기술 / 기계학습 / 분야",
        "AI 기술 / 기계학습 / 시기",
        "비고",
    ]
    # A cell of two rows and two columns
    assert join_headers([["AI", None], [None, None], ["x", "y"]]) == ["AI / x", "AI / y"]
