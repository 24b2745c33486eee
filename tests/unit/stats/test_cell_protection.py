"""The two weightings of a wave together: who is withheld with whom, and the audit of what is visible."""

from typing import Any

import polars as pl
import pytest

from pipelines.stats.cell_protection import PROTECTION_SCHEMA, CellTies, exposures, protected_cells
from pipelines.stats.cell_system import POPULATION
from pipelines.stats.disclosure import DisclosureRules

RULES = DisclosureRules(min_contributors=3, p_percent=10.0, two_largest_percent=85.0, protection_percent=10.0)
TIES = CellTies(columns={"total": (), "a": ("a",), "b": ("b",), "a*b": ("a", "b")}, sums=(), within={})
CELL = ["domain_type", "domain_code", "measure", "unit_weighting"]


def _contributions(**special: dict[str, Any]) -> pl.DataFrame:
    """A table of 3 x 3 cells with margins in both weightings; ``special`` by code, with _ for *."""
    rows = []
    for weighting, scale in (("unit", 1.0), ("employment", 100.0)):
        inner = {(f"A{i}", f"B{j}"): 10.0 + 3 * i + j for i in range(3) for j in range(3)}
        cells = {("a*b", f"{a}*{b}"): [value] for (a, b), value in inner.items()}
        cells |= {("a", f"A{i}"): [v for (a, _), v in inner.items() if a == f"A{i}"] for i in range(3)}
        cells |= {("b", f"B{j}"): [v for (_, b), v in inner.items() if b == f"B{j}"] for j in range(3)}
        cells |= {("total", "total"): list(inner.values())}
        for (kind, code), values in cells.items():
            top, whole = scale * sum(values), scale * 40.0 * len(values)
            row = {
                "domain_type": kind, "domain_code": code, "measure": "y", "unit_weighting": weighting,
                "units": 40 * len(values), "n": 40 * len(values), "numerator": top, "denominator": whole,
                "whole": whole, "take_all": False,
            }  # fmt: skip
            for part, total in (("having", top), ("lacking", whole - top), ("all", whole)):
                row |= {f"sum_{part}": total, f"largest_{part}": scale, f"two_largest_{part}": 2 * scale}
            rows.append(row | special.get(code.replace("*", "_"), {}))
            if weighting == "unit":
                rows[-1] |= {name: row[name] for name in row if name.startswith(("sum_", "largest_", "two_largest_"))}
    return pl.DataFrame(rows)


def _rates(contributions: pl.DataFrame) -> pl.DataFrame:
    return contributions.select(*CELL, pl.lit("publish").alias("reliability"))


def _protected(contributions: pl.DataFrame, **options: Any) -> pl.DataFrame:
    return protected_cells(contributions, _rates(contributions), **({"rules": RULES, "ties": TIES} | options))


def _withheld(cells: pl.DataFrame, weighting: str) -> dict[tuple[str, str], str]:
    chosen = cells.filter(pl.col("conf_status") != "F", unit_weighting=weighting)
    return {(code, measure): status for code, measure, status in chosen.select(*CELL[1:3], "conf_status").iter_rows()}


def test_a_waived_survey_is_free() -> None:
    cells = _protected(_contributions(A0_B0={"n": 1}), rules=None)
    assert set(cells["conf_status"]) == {"F"}
    assert cells.schema == PROTECTION_SCHEMA


def test_what_is_withheld_by_unit_is_withheld_by_employment() -> None:
    cells = _protected(_contributions(A0_B0={"n": 2}))
    by_unit, by_employment = _withheld(cells, "unit"), _withheld(cells, "employment")
    assert by_unit["A0*B0", "y"] == by_employment["A0*B0", "y"] == "A"
    assert sorted(by_unit.values()) == ["A", "D", "D", "D"]
    assert set(by_unit) <= set(by_employment)
    assert exposures(cells, cells.filter(conf_status="F").select(CELL), ties=TIES).height == 0


def test_a_dominated_population_takes_all_of_its_domain_along() -> None:
    cells = _protected(_contributions(A0_B0={"largest_all": 3900.0, "two_largest_all": 3950.0}))
    by_unit, by_employment = _withheld(cells, "unit"), _withheld(cells, "employment")
    assert by_unit == {}
    assert by_employment["A0*B0", "y"] == by_employment["A0*B0", POPULATION] == "G"
    closed = {code for code, measure in by_employment if measure == POPULATION}
    assert len(closed) >= 4
    assert all((code, "y") in by_employment for code in closed)


def test_unreliable_cells_protect_for_nothing() -> None:
    contributions = _contributions(A0_B0={"n": 2})
    rates = _rates(contributions).with_columns(
        pl.when(pl.col("domain_type") == "a*b").then(pl.lit("suppress")).otherwise("reliability").alias("reliability")
    )
    cells = protected_cells(contributions, rates, rules=RULES, ties=TIES)
    assert _withheld(cells, "unit") == {("A0*B0", "y"): "A"}


def test_a_cell_printed_before_is_not_withheld_for_others() -> None:
    contributions = _contributions(A0_B0={"n": 2})
    first = _withheld(_protected(contributions), "unit")
    secondary = sorted(code for (code, _), status in first.items() if status == "D")
    before = contributions.filter(pl.col("domain_code") == secondary[0]).select(*CELL, "n", pl.lit(True).alias("same"))
    again = _withheld(_protected(contributions, before=before), "unit")
    assert (secondary[0], "y") not in again
    assert again["A0*B0", "y"] == "A"
    # Printed with another value it tells nothing of today's
    other = before.with_columns(same=pl.lit(False))
    assert _withheld(_protected(contributions, before=other), "unit") == first


@pytest.mark.parametrize("told", ["A0*B0", "A0*B1"])
def test_the_audit_finds_what_should_not_be_visible(told: str) -> None:
    cells = _protected(_contributions(A0_B0={"n": 2}))
    withheld = {code for code, _ in _withheld(cells, "unit")}
    assert "A0*B0" in withheld
    planted = told if told in withheld else sorted(withheld - {"A0*B0"})[0]
    visible = cells.filter((pl.col("conf_status") == "F") | (pl.col("domain_code") == planted)).select(CELL)
    found = exposures(cells, visible, ties=TIES)
    assert "A0*B0" in set(found["domain_code"])
    row = found.filter(domain_code="A0*B0", unit_weighting="unit").row(0, named=True)
    assert row["high"] - row["low"] < row["need_down"] + row["need_up"]
