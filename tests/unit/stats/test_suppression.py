"""Sums that tie cells together, secondary suppression and the attacker, on tables small enough to reason about.

Where a table is larger, the attacker is a second one: a linear programme over the values themselves, written here anew.
"""

from itertools import product

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from pipelines.errors import AxstatError
from pipelines.stats.cell_system import CellSystem, MeasureSum
from pipelines.stats.suppression import attack, exposed, withheld_with

COLUMNS = {"total": (), "a": ("a",), "b": ("b",), "a*b": ("a", "b")}


def _table(values: dict[str, list[list[float]]], n: dict[str, int] | None = None) -> pl.DataFrame:
    """Contributions of a two-way table with its margins, a measure each; every denominator is 100."""
    rows = []
    for measure, matrix in values.items():
        height, width = len(matrix), len(matrix[0])
        cells = {("a*b", f"A{i}*B{j}"): (matrix[i][j], 100.0) for i, j in product(range(height), range(width))}
        cells |= {("a", f"A{i}"): (sum(matrix[i]), 100.0 * width) for i in range(height)}
        cells |= {("b", f"B{j}"): (sum(row[j] for row in matrix), 100.0 * height) for j in range(width)}
        cells |= {("total", "total"): (sum(map(sum, matrix)), 100.0 * height * width)}
        rows += [
            {
                "domain_type": kind, "domain_code": code, "measure": measure, "n": (n or {}).get(code, 40),
                "units": round(whole), "numerator": float(value), "denominator": whole, "whole": whole,
            }
            for (kind, code), (value, whole) in cells.items()
        ]  # fmt: skip
    return pl.DataFrame(rows)


def _mask(system: CellSystem, *codes: str, measure: str = "y") -> np.ndarray:
    mark = np.zeros(len(system.value), dtype=np.bool_)
    found = system.cells.with_row_index("at").filter(pl.col("domain_code").is_in(codes), measure=measure)["at"]
    assert found.len() == len(codes)
    mark[found.to_numpy()] = True
    return mark


def _at(system: CellSystem, code: str, measure: str = "y") -> int:
    return int(np.flatnonzero(_mask(system, code, measure=measure))[0])


def test_a_total_gives_a_single_hidden_cell_away() -> None:
    system = CellSystem.build(_table({"y": [[10, 20], [30, 40]]}), COLUMNS)
    hidden = _mask(system, "A0*B0")
    assert attack(system, _at(system, "A0*B0"), hidden=hidden) == (10.0, 10.0)
    need = np.where(hidden, 1.0, 0.0)
    [found] = exposed(system, need_down=need, need_up=need, hidden=hidden)
    assert (found.cell, found.low, found.high) == (("a*b", "A0*B0", "y"), 10.0, 10.0)


def test_four_hidden_corners_leave_what_the_smallest_of_them_allows() -> None:
    # All corners move together: up by no more than the neighbours have, down by no more than the cell and its opposite
    system = CellSystem.build(_table({"y": [[10, 20], [30, 40]]}), COLUMNS)
    hidden = _mask(system, "A0*B0", "A0*B1", "A1*B0", "A1*B1")
    assert attack(system, _at(system, "A0*B0"), hidden=hidden) == pytest.approx((0.0, 30.0))
    assert attack(system, _at(system, "A1*B1"), hidden=hidden) == pytest.approx((30.0, 60.0))


def test_a_denominator_bounds_the_attackers_range() -> None:
    system = CellSystem.build(_table({"y": [[95, 20], [30, 40]]}), COLUMNS)
    hidden = _mask(system, "A0*B0", "A0*B1", "A1*B0", "A1*B1")
    assert attack(system, _at(system, "A0*B0"), hidden=hidden)[1] == pytest.approx(100.0)


def test_the_cheapest_cells_are_withheld() -> None:
    # Inner cells have the smallest denominators, so a rectangle of them is hidden and no margin
    system = CellSystem.build(_table({"y": [[10, 20, 30], [30, 40, 50], [20, 20, 20]]}), COLUMNS)
    hidden = _mask(system, "A0*B0")
    need = np.where(hidden, 1.0, 0.0)
    nothing = np.zeros(len(hidden), dtype=np.bool_)
    added = withheld_with(system, need_down=need, need_up=need, hidden=hidden, fixed=nothing)
    assert set(system.cells.filter(pl.Series(added))["domain_type"]) == {"a*b"}
    assert int(added.sum()) == 3
    assert exposed(system, need_down=need, need_up=need, hidden=hidden | added) == []
    assert exposed(system, need_down=need, need_up=need, hidden=hidden) != []


def test_what_was_published_cannot_be_withheld() -> None:
    system = CellSystem.build(_table({"y": [[10, 20], [30, 40]]}), COLUMNS)
    hidden = _mask(system, "A0*B0")
    need = np.where(hidden, 1.0, 0.0)
    population = (system.cells["measure"] == "population").to_numpy()
    row = _mask(system, "A0*B1", "A0")
    added = withheld_with(
        system, need_down=need, need_up=need, hidden=hidden, fixed=_mask(system, "A0*B1") | population
    )
    assert added[_at(system, "A0")]
    assert not added[_at(system, "A0*B1")]
    with pytest.raises(AxstatError, match=r"cell_not_protected.*\n.*|A0\*B0"):
        withheld_with(system, need_down=need, need_up=need, hidden=hidden, fixed=row | population)


def test_a_cell_of_one_contributor_protects_no_other() -> None:
    # Two of the four corners are of one contributor each: each of the two knows the other's row
    table = _table({"y": [[10, 20, 5], [30, 40, 5]]}, n={"A0*B0": 1, "A0*B1": 1})
    system = CellSystem.build(table, COLUMNS)
    hidden = _mask(system, "A0*B0", "A0*B1", "A1*B0", "A1*B1")
    need = np.zeros(len(hidden))
    need[_at(system, "A0*B0")] = 1.0
    assert [found.cell[1] for found in exposed(system, need_down=need, need_up=need, hidden=hidden)] == ["A0*B0"]
    population = (system.cells["measure"] == "population").to_numpy()
    added = withheld_with(system, need_down=need, need_up=need, hidden=hidden, fixed=population)
    assert exposed(system, need_down=need, need_up=need, hidden=hidden | added) == []


def test_stages_that_add_up_give_each_other_away() -> None:
    stages = {"none": [[60, 50]], "some": [[30, 40]], "more": [[10, 10]], "y": [[40, 50]]}
    sums = (MeasureSum(("none", "some", "more")), MeasureSum(("some", "more"), "y"))
    columns = {"total": (), "b": ("b",), "a*b": ("a", "b")}
    table = _table(stages).filter(pl.col("domain_type") != "a")
    free, tied = (CellSystem.build(table, columns, sums=ties) for ties in ((), sums))
    corners = ("A0*B0", "A0*B1", "B0", "B1")
    for system, expected in ((free, (0.0, 90.0)), (tied, (40.0, 40.0))):
        hidden = _mask(system, *corners)
        assert attack(system, _at(system, "A0*B0"), hidden=hidden) == pytest.approx(expected)


def test_a_measure_bounds_the_one_it_is_within() -> None:
    table = _table({"y": [[10, 20], [30, 40]], "tech": [[8, 1], [25, 1]]})
    system = CellSystem.build(table, COLUMNS, within={"tech": "y"})
    hidden = _mask(system, "A0*B0", "A0*B1", "A1*B0", "A1*B1")
    # Down by 2, where the published technology stands; up by 5, what A1*B0 can give up until it meets its own
    assert attack(system, _at(system, "A0*B0"), hidden=hidden) == pytest.approx((8.0, 15.0))


def test_questions_with_other_answers_are_tied_as_far_as_these_go() -> None:
    # y is what some and more add up to, but 5 of 100 answered only one of the questions
    stages = {"none": [[60, 50]], "some": [[30, 40]], "more": [[10, 10]], "y": [[40, 50]]}
    silent = pl.when((pl.col("measure") == "y") & (pl.col("domain_type") == "a*b")).then(5.0).otherwise(0.0)
    table = _table(stages).filter(pl.col("domain_type") == "a*b").with_columns(pl.col("denominator") - silent)
    system = CellSystem.build(table, {"a*b": ("a", "b"), "b": ("b",)}, sums=(MeasureSum(("some", "more"), "y"),))
    assert attack(system, _at(system, "A0*B0"), hidden=_mask(system, "A0*B0")) == pytest.approx((35.0, 45.0))


def test_a_part_may_leave_a_rest() -> None:
    # Regions hold more units than their two industries: the sum is no more than the whole
    larger = pl.when(pl.col("domain_type") == "b").then(5).otherwise(0)
    table = _table({"y": [[10, 20], [30, 40]]}).with_columns(pl.col("units", "numerator") + larger)
    table = table.filter(pl.col("domain_type").is_in(["b", "a*b"]))
    system = CellSystem.build(table, {"b": ("b",), "a*b": ("a", "b")})
    hidden = _mask(system, "A0*B0")
    assert attack(system, _at(system, "A0*B0"), hidden=hidden) == pytest.approx((0.0, 15.0))


def _second_attacker(system: CellSystem, cell: int, hidden: np.ndarray) -> tuple[float, float]:
    """Over the values themselves, and by an interior-point method."""
    sums = system.sums.toarray()
    assert (system.down == 0).all()
    assert (system.up == 0).all()
    bounds = [
        (0.0, None if np.isinf(u) else u) if h else (v, v)
        for h, v, u in zip(hidden, system.value, system.upper, strict=True)
    ]
    ends = []
    for sign in (1.0, -1.0):
        cost = np.zeros(len(hidden))
        cost[cell] = sign
        known = {"A_eq": sums, "b_eq": sums @ system.value}
        found = linprog(cost, bounds=bounds, method="highs-ipm", **known)
        assert found.status == 0
        ends.append(sign * found.fun)
    return ends[0], ends[1]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 100), min_size=4, max_size=4), min_size=3, max_size=3),
    st.sets(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=4),
)
def test_whatever_is_withheld_protects_every_cell_at_risk(
    matrix: list[list[int]], chosen: set[tuple[int, int]]
) -> None:
    system = CellSystem.build(_table({"y": [[float(v) for v in row] for row in matrix]}), COLUMNS)
    hidden = _mask(system, *(f"A{i}*B{j}" for i, j in sorted(chosen)))
    need_up = np.where(
        hidden, np.fmin(0.1 * np.fmax(system.value, 1.0), np.fmax(system.upper - system.value, 0.0)), 0.0
    )
    need_down = np.where(hidden, np.fmin(0.1 * system.value, system.value), 0.0)
    population = (system.cells["measure"] == "population").to_numpy()
    added = withheld_with(system, need_down=need_down, need_up=need_up, hidden=hidden, fixed=population)
    everything = hidden | added
    assert exposed(system, need_down=need_down, need_up=need_up, hidden=everything) == []
    for cell in np.flatnonzero(hidden):
        low, high = _second_attacker(system, int(cell), everything)
        assert attack(system, int(cell), hidden=everything) == pytest.approx((low, high), abs=1e-6)
        value = system.value[cell]
        assert value - low >= need_down[cell] - 1e-6
        assert high - value >= need_up[cell] - 1e-6
