"""Trimming: limits kept, sums kept, and with calibration the totals too."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import AxstatError, ViolationsError
from pipelines.stats.arrays import FloatArray
from pipelines.stats.calibration import calibrate
from pipelines.stats.calibration_diagnostics import kish_deff
from pipelines.stats.mixed_margins import MarginTerms, margin_terms
from pipelines.stats.trimming import Share, WeightLimits, iqr_limits, trim, trim_and_calibrate

SHARES: list[Share] = ["proportional", "equal"]


def sample(seed: int, n: int = 300) -> tuple[FloatArray, pl.DataFrame, MarginTerms]:
    """Skewed weights, two margins and a continuous total, all of other weights of the same rows."""
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "sex": rng.choice(["A", "B"], n),
            "reg": rng.choice(["N", "S", "W"], n),
            "emp": rng.lognormal(2, 0.5, n),
        }
    )
    weight = rng.lognormal(2, 0.8, n)
    target = weight * rng.uniform(0.8, 1.25, n)
    margins = {
        column: dict(frame.select(column, pl.Series("t", target)).group_by(column).agg(pl.col("t").sum()).iter_rows())
        for column in ("sex", "reg")
    }
    return weight, frame, margin_terms(weight, frame, margins, {"emp": float(frame["emp"].to_numpy() @ target)})


def test_trimming_by_hand() -> None:
    """10 is cut by 4; in proportion 2 and 4 of 6 get 4/3 and 8/3, and 6.67 is cut again: 0.67 goes to the first."""
    weight = np.array([2.0, 4.0, 10.0])
    np.testing.assert_allclose(trim(weight, WeightLimits(high=6)), [4.0, 6.0, 6.0])
    np.testing.assert_allclose(trim(weight, WeightLimits(high=7)), [3.0, 6.0, 7.0])
    # 3 to share: 1.5 each.
    np.testing.assert_allclose(trim(weight, WeightLimits(high=7), share="equal"), [3.5, 5.5, 7.0])
    # 3 is lifted to 4 and 1 is taken from the others: 1/14 of each.
    np.testing.assert_allclose(trim(np.array([3.0, 5.6, 8.4]), WeightLimits(low=4)), [4.0, 5.2, 7.8])


@given(
    weights=st.lists(st.floats(0.01, 1e3), min_size=2, max_size=60),
    low=st.floats(0, 1),
    high=st.floats(0.0001, 1),
    share=st.sampled_from(SHARES),
)
@settings(max_examples=300, deadline=None)
def test_trimmed_weights_keep_limits_and_sum(weights: list[float], low: float, high: float, share: Share) -> None:
    """Any limits around the mean can be kept; the order of the weights stays."""
    weight = np.array(weights)
    mean = weight.mean()
    limits = WeightLimits(low * mean * 0.999, mean * 1.001 + high * (weight.max() - mean))
    made = trim(weight, limits, share=share)
    assert made.sum() == pytest.approx(weight.sum(), rel=1e-10)
    assert made.min() >= limits.low
    assert made.max() <= limits.high
    order = np.argsort(weight)
    assert np.all(np.diff(made[order]) >= -1e-9 * mean)
    np.testing.assert_array_equal(trim(made, limits, share=share), made)


def test_weights_of_zero_stay_and_take_nothing() -> None:
    np.testing.assert_allclose(trim(np.array([0.0, 2.0, 10.0]), WeightLimits(1, 8)), [0.0, 4.0, 8.0])
    np.testing.assert_array_equal(trim(np.zeros(2), WeightLimits(1, 8)), [0.0, 0.0])


def test_limits_that_the_sum_cannot_keep() -> None:
    with pytest.raises(ViolationsError) as error:
        trim(np.array([2.0, 4.0, 10.0]), WeightLimits(high=5))
    (violation,) = error.value.violations
    assert (violation.code, violation.got) == ("limits_infeasible", "16")
    assert violation.expected.startswith("0 to 15,")


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (3.0, 2.0), (math.nan, 2.0)])
def test_limits_must_be_in_order(low: float, high: float) -> None:
    with pytest.raises(AxstatError) as error:
        WeightLimits(low, high)
    assert error.value.code == "limits_not_valid"


def test_limits_by_interquartile_range() -> None:
    """Of 1 to 5 the quartiles are 2, 3, 4: 3 + 1.5 x 2. A weight of 0 does not count."""
    weight = np.array([5.0, 1.0, 0.0, 2.0, 4.0, 3.0])
    assert iqr_limits(weight, 1.5) == WeightLimits(0.0, 6.0)


@given(seed=st.integers(0, 10_000), share=st.sampled_from(SHARES))
@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("distance", ["raking", "linear", "entropy", "logit"])
def test_limits_and_totals_hold_together(distance: str, seed: int, share: Share) -> None:
    weight, _, terms = sample(seed)
    bounds = (0.3, 3.0) if distance in ("logit", "linear") else (-math.inf, math.inf)
    made = trim_and_calibrate(
        weight,
        terms.matrix,
        terms.totals,
        lambda calibrated: iqr_limits(calibrated, 2.5),
        distance=distance,
        bounds=bounds,
        share=share,
        drop_redundant=True,
    )
    assert made.weight.max() <= made.limits.high
    assert made.recalibration.largest_distance_after <= 1e-9
    # A redundant margin's totals too, counted from the weights.
    X = terms.matrix.spread(terms.matrix.patterns)
    np.testing.assert_allclose(X.T @ made.weight, list(terms.totals.values()), rtol=1e-9)
    before = made.calibration.weight
    np.testing.assert_allclose(made.factor * before, made.weight)
    beyond = np.maximum(before - made.limits.high, 0)
    assert made.cut == tuple((np.flatnonzero(beyond > 0) + 1).tolist())
    assert made.trimmed_share == pytest.approx(beyond.sum() / before.sum())
    if made.cut:
        assert made.at_high
        assert made.moved_share > 0
        assert kish_deff(made.weight) < kish_deff(before)


def test_what_needs_no_trimming_is_left_as_it_is() -> None:
    weight, _, terms = sample(1)
    plain = calibrate(weight, terms.matrix, terms.totals, distance="raking", drop_redundant=True)
    made = trim_and_calibrate(weight, terms.matrix, terms.totals, WeightLimits(high=1e6), drop_redundant=True)
    np.testing.assert_allclose(made.weight, plain.weight, rtol=1e-9)
    assert (made.cut, made.trimmed_share, made.at_high) == ((), 0.0, ())
    u = np.random.default_rng(1).normal(size=(len(weight), 2))
    # The regression of its residuals is by the weights before the last calibration, here those after the first.
    X, root = terms.matrix.spread(terms.matrix.patterns), np.sqrt(plain.weight)[:, None]
    b = np.linalg.lstsq(X * root, u / plain.weight[:, None] * root, rcond=None)[0]
    np.testing.assert_allclose(
        made.recalibration.residualizer.residuals(u), u - plain.weight[:, None] * (X @ b), atol=1e-8
    )


def test_alternating_trimming_and_calibration_ends_within_the_same_constraints() -> None:
    """The loop that the one problem replaces: it comes to weights that keep both, and no nearer to the trimmed ones.

    Of all weights that keep limits and totals, those made are the nearest to the trimmed ones by the raking distance.
    """
    weight, _, terms = sample(7)
    limits = iqr_limits(weight, 2.0)
    made = trim_and_calibrate(weight, terms.matrix, terms.totals, limits, drop_redundant=True)
    assert made.cut
    looped = made.calibration.weight
    for _ in range(400):
        looped = trim(looped, limits)
        looped = calibrate(looped, terms.matrix, terms.totals, distance="raking", drop_redundant=True).weight
    X = terms.matrix.spread(terms.matrix.patterns)
    np.testing.assert_allclose(X.T @ looped, list(terms.totals.values()), rtol=1e-9)
    assert looped.max() <= limits.high * (1 + 1e-6)

    def distance(w: FloatArray) -> float:
        g = w / made.trimmed
        return float(made.trimmed @ (g * np.log(g) - g + 1))

    assert distance(made.weight) <= distance(looped) * (1 + 1e-9)


def test_totals_that_the_limits_exclude_are_named() -> None:
    """Two rows of N can carry 2 x 6; 13 is asked."""
    frame = pl.DataFrame({"reg": [*"NNSSSS"]})
    terms = margin_terms(np.full(6, 5.0), frame, {"reg": {"N": 13.0, "S": 17.0}})
    with pytest.raises(ViolationsError) as error:
        trim_and_calibrate(np.full(6, 5.0), terms.matrix, terms.totals, WeightLimits(high=6))
    (violation,) = error.value.violations
    assert (violation.code, violation.where) == ("bounds_infeasible", "term reg=N")
    assert violation.got.startswith("at the nearest 12,")


def test_negative_calibrated_weights_are_named() -> None:
    frame = pl.DataFrame({"x": [1.0, 2.0, 30.0]})
    terms = margin_terms(np.ones(3), frame, {}, {"1": 3.0, "x": 3.0})
    with pytest.raises(ViolationsError) as error:
        trim_and_calibrate(np.ones(3), terms.matrix, terms.totals, WeightLimits(high=6), distance="linear")
    (violation,) = error.value.violations
    assert (violation.code, violation.rows) == ("weight_negative", (3,))
