"""Totals out of reach: what is named is what contradicts; narrowest bounds by hand."""

import math

import numpy as np
import polars as pl
import pytest

from pipelines.errors import AxstatError, ViolationsError
from pipelines.stats.calibration import calibrate, rake
from pipelines.stats.mixed_margins import margin_terms
from pipelines.stats.reach import NarrowestBounds, narrowest_bounds
from pipelines.stats.terms import terms_matrix


def test_narrowest_bounds_of_post_strata_are_their_factors() -> None:
    """One g-weight in each cell meets the totals, 12/10 and 4/5: any other weights of the cell have these as mean."""
    frame = pl.DataFrame({"cell": [*"aab"]})
    totals = {"cell=a": 12.0, "cell=b": 4.0}
    found = narrowest_bounds(np.array([4.0, 6.0, 5.0]), terms_matrix(frame, list(totals)), totals)
    assert (found.low, found.high) == pytest.approx((0.8, 1.2), rel=1e-9)
    # 0.4 wide; a tenth more, half of it on each side.
    assert found.widened(0.1) == pytest.approx((0.78, 1.22), rel=1e-9)


def test_narrowest_bounds_hold_one_even_if_all_weights_must_grow() -> None:
    frame = pl.DataFrame({"x": [1.0, 1.0]})
    found = narrowest_bounds(np.ones(2), terms_matrix(frame, ["x"]), {"x": 3.0})
    assert (found.low, found.high) == pytest.approx((1.0, 1.5), rel=1e-9)


def test_of_intervals_of_one_width_the_lower_is_taken() -> None:
    """Rows x = -1 and 1, total of x 0.2: g2 - g1 = 0.2, which [0.8, 1], [0.9, 1.1] and [1, 1.2] all allow."""
    frame = pl.DataFrame({"x": [-1.0, 1.0]})
    found = narrowest_bounds(np.ones(2), terms_matrix(frame, ["x"]), {"x": 0.2})
    assert (found.low, found.high) == pytest.approx((0.8, 1.0), abs=1e-7)


def test_the_floor_of_the_bounds() -> None:
    """x is -1 and 1 and its total 3: within 0 and up only g1 = 0, g2 = 3; below 0 also g1 = -1, g2 = 2."""
    frame = pl.DataFrame({"x": [-1.0, 1.0]})
    matrix, totals = terms_matrix(frame, ["x"]), {"x": 3.0}
    found = narrowest_bounds(np.ones(2), matrix, totals)
    assert (found.low, found.high) == pytest.approx((0.0, 3.0), abs=1e-7)
    assert found.widened()[0] == 0.0
    free = narrowest_bounds(np.ones(2), matrix, totals, floor=-math.inf)
    assert free.high - free.low == pytest.approx(3.0, abs=1e-7)
    # Of those 3 wide the one with the smallest high that still holds 1.
    assert (free.low, free.high) == pytest.approx((-2.0, 1.0), abs=1e-7)


def test_narrowest_bounds_are_those_after_rescaling() -> None:
    """Weights of 1 for 40 and 60: R scales by 50 first, then the factors are 0.8 and 1.2."""
    frame = pl.DataFrame({"cell": [*"ab"]})
    totals = {"cell=a": 40.0, "cell=b": 60.0}
    found = narrowest_bounds(np.ones(2), terms_matrix(frame, list(totals)), totals)
    assert (found.low, found.high, found.rescaled) == pytest.approx((0.8, 1.2, 50.0), rel=1e-9)
    made = calibrate(np.ones(2), terms_matrix(frame, list(totals)), totals, distance="logit", bounds=found.widened())
    assert made.weight == pytest.approx([40.0, 60.0], rel=1e-9)


def test_bounds_that_are_met_already_can_be_widened() -> None:
    low, high = NarrowestBounds(1.0, 1.0).widened()
    assert low < 1 < high


def test_too_many_patterns_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.stats.reach.PROGRAMME_PATTERNS", 1)
    frame = pl.DataFrame({"x": [-1.0, 1.0]})
    with pytest.raises(AxstatError) as error:
        narrowest_bounds(np.ones(2), terms_matrix(frame, ["x"]), {"x": 0.2})
    assert error.value.code == "too_many_patterns"


def test_bounds_above_a_floor_that_no_weights_keep() -> None:
    """Both rows have x = 1: a negative total needs negative weights."""
    frame = pl.DataFrame({"x": [1.0, 1.0]})
    with pytest.raises(ViolationsError) as error:
        narrowest_bounds(np.ones(2), terms_matrix(frame, ["x"]), {"x": -1.0})
    assert [v.code for v in error.value.violations] == ["bounds_infeasible", "totals_in_conflict"]
    assert error.value.violations[1].where == "terms x"


def test_margins_in_conflict_are_named_without_those_that_are_not() -> None:
    """Firms of sector B are all in the north: its 30 exceed the north's 20. Size has nothing to do with it."""
    frame = pl.DataFrame({"sector": [*"AAABBA"], "region": [*"NSSNNS"], "size": ["l", "m", "l", "m", "l", "m"]})
    margins = {
        "sector": {"A": 20.0, "B": 30.0},
        "region": {"N": 20.0, "S": 30.0},
        "size": {"l": 25.0, "m": 25.0},
    }
    with pytest.raises(ViolationsError) as raked:
        rake(np.ones(6), frame, margins)
    terms = margin_terms(np.ones(6), frame, margins)
    with pytest.raises(ViolationsError) as calibrated:
        calibrate(np.ones(6), terms.matrix, terms.totals, distance="raking", drop_redundant=True)
    for error in (raked, calibrated):
        proof = error.value.violations[-1]
        assert proof.code == "totals_in_conflict"
        assert "size" not in proof.where
        # B - N <= 0 in every row, 30 - 20 in the totals; S - A is the same, for their sums are.
        assert proof.got == "10"
        assert "of at most 0" in proof.expected


def test_units_without_any_weight_are_named() -> None:
    """N holds A and B, S only A. All of A's 30 are asked for in S: A in N must come to 0."""
    frame = pl.DataFrame({"sector": [*"ABA"], "region": [*"NNS"]})
    margins = {"sector": {"A": 30.0, "B": 20.0}, "region": {"N": 20.0, "S": 30.0}}
    with pytest.raises(ViolationsError) as error:
        rake(np.ones(3), frame, margins, max_sweeps=200)
    assert [v.where for v in error.value.violations if v.code == "weight_forced_to_zero"] == [
        "units with sector=A, region=N"
    ]
    # Truncated linear reaches 0.
    terms = margin_terms(np.ones(3), frame, margins)
    made = calibrate(np.ones(3), terms.matrix, terms.totals, bounds=(0.0, 100.0), drop_redundant=True)
    assert made.weight == pytest.approx([0.0, 20.0, 30.0], abs=1e-8)


def test_a_redundant_term_whose_total_disagrees_is_in_conflict() -> None:
    frame = pl.DataFrame({"sex": [*"AAB"]})
    totals = {"1": 10.0, "sex=A": 6.0, "sex=B": 5.0}
    with pytest.raises(ViolationsError) as error:
        calibrate(np.ones(3), terms_matrix(frame, list(totals)), totals, drop_redundant=True)
    (violation,) = error.value.violations
    assert (violation.code, violation.where, violation.got) == ("totals_in_conflict", "term sex=B", "5")
    assert violation.expected == "4: in the sample it equals +1 x (1) -1 x (sex=A)"


def test_a_redundant_term_whose_total_follows_is_met() -> None:
    frame = pl.DataFrame({"sex": [*"AAB"]})
    totals = {"1": 10.0, "sex=A": 6.0, "sex=B": 4.0}
    made = calibrate(np.ones(3), terms_matrix(frame, list(totals)), totals, drop_redundant=True)
    assert made.weight == pytest.approx([3.0, 3.0, 4.0], rel=1e-12)
    assert made.margins["after"].to_list() == pytest.approx([10.0, 6.0, 4.0], rel=1e-12)
    # u = W in all rows is a combination of the terms: its residual is 0, the dropped term or not.
    assert made.residualizer.residuals(made.weight[:, None]) == pytest.approx(np.zeros((3, 1)), abs=1e-12)
