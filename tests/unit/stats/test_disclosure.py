"""Cells at risk, by the limits of each rule."""

import polars as pl
import pytest

from pipelines.stats.disclosure import DisclosureRules, primary_cells

RULES = DisclosureRules(min_contributors=3, p_percent=10.0, two_largest_percent=85.0, protection_percent=10.0)


def _cell(**changed: object) -> pl.DataFrame:
    plain = {
        "domain_type": "a", "domain_code": "A1", "measure": "y", "unit_weighting": "employment", "units": 50, "n": 50,
        "numerator": 400.0, "denominator": 1000.0, "whole": 1000.0, "take_all": False,
        "sum_having": 400.0, "largest_having": 20.0, "two_largest_having": 40.0,
        "sum_lacking": 600.0, "largest_lacking": 20.0, "two_largest_lacking": 40.0,
        "sum_all": 1000.0, "largest_all": 20.0, "two_largest_all": 40.0,
    }  # fmt: skip
    return pl.DataFrame([plain | changed])


def _risk(**changed: object) -> tuple[object, ...]:
    return primary_cells(_cell(**changed), RULES).select("risk", "need_down", "need_up").row(0)


def test_a_large_cell_is_at_no_risk() -> None:
    assert _risk()[0] is None


@pytest.mark.parametrize(("n", "risk"), [(0, None), (1, "few_contributors"), (2, "few_contributors"), (3, None)])
def test_fewer_than_three_contributors(n: int, risk: str | None) -> None:
    assert _risk(n=n)[0] == risk


def test_protection_is_ten_per_cent_of_the_cell_and_never_beyond_its_bounds() -> None:
    assert _risk(n=2) == ("few_contributors", 40.0, 40.0)
    # Of a cell of 0 the other side is the secret; of a full one nothing is above
    assert _risk(n=2, numerator=0.0) == ("few_contributors", 0.0, 100.0)
    assert _risk(n=2, numerator=1000.0) == ("few_contributors", 100.0, 0.0)
    assert _risk(n=2, numerator=950.0) == ("few_contributors", 95.0, 50.0)


def test_the_p_per_cent_rule() -> None:
    # Without its two largest 300 and 20 a total of 350 leaves 30, just 10 % of the largest; 349 leaves less
    assert _risk(sum_having=350.0, largest_having=300.0, two_largest_having=320.0)[0] == "dominance"  # 320 > 85 %
    alone = DisclosureRules(min_contributors=3, p_percent=10.0, two_largest_percent=99.0, protection_percent=10.0)
    for total, risk in ((350.0, None), (349.0, "dominance")):
        cell = _cell(sum_having=total, largest_having=300.0, two_largest_having=320.0)
        assert primary_cells(cell, alone)["risk"][0] == risk


def test_the_two_largest_make_up_more_than_85_per_cent() -> None:
    assert _risk(sum_having=400.0, largest_having=170.0, two_largest_having=340.0)[0] is None
    assert _risk(sum_having=400.0, largest_having=170.5, two_largest_having=341.0)[0] == "dominance"


def test_dominance_of_those_that_lack_the_measure_asks_for_room_of_theirs() -> None:
    found = _risk(sum_lacking=600.0, largest_lacking=590.0, two_largest_lacking=595.0)
    assert found == ("dominance", pytest.approx(60.0), pytest.approx(60.0))


def test_dominance_is_of_magnitudes_only() -> None:
    dominated = {"sum_having": 400.0, "largest_having": 390.0, "two_largest_having": 395.0}
    assert _risk(unit_weighting="unit", **dominated)[0] is None


@pytest.mark.parametrize(("numerator", "take_all", "risk"), [
    (0.0, True, "zero_or_one"), (1000.0, True, "zero_or_one"), (400.0, True, None), (0.0, False, None),
])  # fmt: skip
def test_zero_or_one_is_a_risk_in_take_all_domains(numerator: float, take_all: bool, risk: str | None) -> None:
    assert _risk(numerator=numerator, take_all=take_all)[0] == risk


@pytest.mark.parametrize(("before", "take_all", "risk"), [
    (50, True, None), (51, True, "difference"), (48, True, "difference"), (47, True, None), (49, False, None),
])  # fmt: skip
def test_a_difference_of_one_or_two_contributors_between_vintages(
    before: int, take_all: bool, risk: str | None
) -> None:
    printed = pl.DataFrame(
        [{"domain_type": "a", "domain_code": "A1", "measure": "y", "unit_weighting": "employment", "n": before}]
    )
    assert primary_cells(_cell(take_all=take_all), RULES, before=printed)["risk"][0] == risk
