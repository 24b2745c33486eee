"""Calibration: totals met, residuals of calibration variables 0, methods that must coincide do; or a named fault."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from pipelines.errors import AxstatError, ViolationsError
from pipelines.stats.arrays import FloatArray
from pipelines.stats.calibration import Calibration, calibrate, post_stratify, rake
from pipelines.stats.distances import DISTANCES, Bounds
from pipelines.stats.residuals import ResidualSequence
from pipelines.stats.terms import terms_matrix

REFERENCE = Path(__file__).resolve().parents[4] / "shared" / "reference"
WIDE = (-math.inf, math.inf)
METHODS = [
    ("linear", WIDE),
    ("linear", (0.2, 4.0)),
    ("raking", WIDE),
    ("raking", (0.2, 4.0)),
    ("entropy", WIDE),
    ("entropy", (0.2, 4.0)),
    ("logit", (0.2, 4.0)),
]


def faults(error: pytest.ExceptionInfo[ViolationsError]) -> dict[str, str]:
    return {violation.code: violation.where for violation in error.value.violations}


def sample(seed: int, n: int = 80) -> tuple[pl.DataFrame, FloatArray, FloatArray]:
    """Columns sex (2 levels), reg (3), emp; weights; other weights of the same rows, whose sums can serve as totals."""
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "sex": [*"AB", *rng.choice(["A", "B"], n - 2)],
            "reg": [*"NSW", *rng.choice(["N", "S", "W"], n - 3)],
            "emp": rng.lognormal(2, 0.5, n),
        }
    )
    weight = rng.uniform(1, 20, n)
    return frame, weight, weight * rng.uniform(0.7, 1.5, n)


def totals_of(frame: pl.DataFrame, column: str, weight: FloatArray) -> dict[str, float]:
    sums = frame.select(pl.col(column).alias("level"), pl.Series("w", weight)).group_by("level").agg(pl.col("w").sum())
    return {str(level): float(total) for level, total in sums.iter_rows()}


def term_totals(frame: pl.DataFrame, terms: list[str], weight: FloatArray) -> dict[str, float]:
    matrix = terms_matrix(frame, terms)
    return dict(zip(terms, (matrix.spread(matrix.patterns).T @ weight).tolist(), strict=True))


TERMS = ["1", "sex=B", "reg=N", "reg=S", "emp"]


# Post-stratification


def test_factors_by_hand() -> None:
    result = post_stratify(np.array([2.0, 3.0, 5.0]), pl.Series(["x", "x", "y"]), {"x": 10.0, "y": 4.0})
    assert result.factor.tolist() == [2.0, 2.0, 0.8]
    assert result.margins.select("level", "n", "before", "total", "after").rows() == [
        ("x", 2, 5.0, 10.0, 10.0),
        ("y", 1, 5.0, 4.0, 4.0),
    ]
    # |5 - 10|/10 and |5 - 4|/4.
    assert result.margins["distance_before"].to_list() == [0.5, 0.25]
    assert (result.factor_min, result.factor_max) == (0.8, 2.0)
    # Factors 2, 2, 0.8: mean 1.6, variance (0.16 + 0.16 + 0.64)/3 = 0.32.
    assert result.factor_cv == pytest.approx(math.sqrt(0.32) / 1.6, rel=1e-12)


@given(
    weights=st.lists(st.floats(0.01, 1e4), min_size=1, max_size=60),
    seed=st.integers(0, 1000),
    scale=st.floats(1e-3, 1e6),
)
@settings(max_examples=200, deadline=None)
def test_totals_are_met(weights: list[float], seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    cell = pl.Series(rng.choice(["a", "b", "c"], len(weights)))
    totals = {label: float(scale * rng.uniform(0.5, 2)) for label in cell.unique().to_list()}
    w = np.array(weights)
    final = w * post_stratify(w, cell, totals).factor
    for label, total in totals.items():
        assert final[(cell == label).to_numpy()].sum() == pytest.approx(total, rel=1e-9)


def test_every_fault_is_named() -> None:
    with pytest.raises(ViolationsError) as error:
        post_stratify(
            np.array([1.0, 0.0, 2.0, 1.0]),
            pl.Series(["known", "weightless", "unlisted", "zero"]),
            {"known": -1.0, "weightless": 5.0, "zero": 0.0, "empty": 3.0, "nothing": 0.0},
        )
    assert faults(error) == {
        "total_not_valid": "post-stratum known",
        "empty_post_stratum": "post-stratum empty",
        "post_stratum_without_weight": "post-stratum weightless",
        "post_stratum_without_total": "post-stratum unlisted",
        "empty_total": "post-stratum zero",
    }


def test_a_misspelt_level_is_recognised() -> None:
    with pytest.raises(ViolationsError) as error:
        post_stratify(np.ones(2), pl.Series("region", ["north", "south"]), {"norht": 5.0, "south": 4.0})
    assert error.value.violations[0].hint == "did you mean north?"


def test_rows_without_label_or_weight_are_named() -> None:
    with pytest.raises(ViolationsError) as error:
        post_stratify(np.array([1.0, np.nan, 2.0]), pl.Series("region", ["n", "s", None]), {"n": 5.0, "s": 4.0})
    assert [(v.code, v.rows) for v in error.value.violations] == [
        ("weight_not_finite", (2,)),
        ("calibration_variable_missing", (3,)),
    ]


def test_whole_numbers_are_labels_without_decimals() -> None:
    made = post_stratify(np.ones(3), pl.Series("code", [1.0, 2.0, 2.0]), {"1": 5.0, "2": 8.0})
    assert made.weight.tolist() == [5.0, 4.0, 4.0]


# Properties of all methods


@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e5))
@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize(("distance", "bounds"), METHODS)
def test_calibrate_meets_totals_within_bounds(
    distance: str, bounds: tuple[float, float], seed: int, scale: float
) -> None:
    frame, weight, target = sample(seed)
    totals = term_totals(frame, TERMS, target * scale)
    made = calibrate(weight * scale, terms_matrix(frame, TERMS), totals, distance=distance, bounds=bounds)
    for term, total in term_totals(frame, TERMS, made.weight).items():
        assert total == pytest.approx(totals[term], rel=1e-9)
    assert made.largest_distance_after <= 1e-9
    assert made.factor_min >= bounds[0]
    assert made.factor_max <= bounds[1]
    # The unit in which weights are counted does not matter.
    same = calibrate(
        weight, terms_matrix(frame, TERMS), term_totals(frame, TERMS, target), distance=distance, bounds=bounds
    )
    np.testing.assert_allclose(made.factor, same.factor, rtol=1e-8)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize(("distance", "bounds"), METHODS)
def test_residuals_of_the_terms_are_zero(distance: str, bounds: tuple[float, float], seed: int) -> None:
    frame, weight, target = sample(seed)
    matrix = terms_matrix(frame, TERMS)
    made = calibrate(weight, matrix, term_totals(frame, TERMS, target), distance=distance, bounds=bounds)
    influence = made.weight[:, None] * matrix.spread(matrix.patterns)
    left = made.residualizer.residuals(influence)
    assert np.abs(left).max() <= 1e-11 * np.abs(influence).max()


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_linear_residuals_are_those_of_weighted_least_squares(seed: int) -> None:
    """R's convention 5, with the regression by numpy's least squares on the whole matrix."""
    frame, weight, target = sample(seed)
    terms = TERMS[: 4 if seed % 2 else 5]
    matrix = terms_matrix(frame, terms)
    made = calibrate(weight, matrix, term_totals(frame, terms, target))
    X, root = matrix.spread(matrix.patterns), np.sqrt(weight)[:, None]
    u = np.random.default_rng(seed).normal(size=(len(weight), 3))
    z = u / made.weight[:, None]
    b = np.linalg.lstsq(X * root, z * root, rcond=None)[0]
    np.testing.assert_allclose(made.residualizer.residuals(u), made.weight[:, None] * (z - X @ b), rtol=1e-9, atol=1e-9)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_linear_calibration_is_the_regression_estimator(seed: int) -> None:
    """Särndal, Swensson & Wretman (1992), 6.4.1: Y_greg = Y_ht + (T - X_ht)' B."""
    frame, weight, target = sample(seed)
    matrix = terms_matrix(frame, TERMS)
    totals = term_totals(frame, TERMS, target)
    made = calibrate(weight, matrix, totals)
    X = matrix.spread(matrix.patterns)
    y = np.random.default_rng(seed).normal(5, 2, len(weight))
    B = np.linalg.solve(X.T @ (weight[:, None] * X), X.T @ (weight * y))
    greg = weight @ y + (np.array(list(totals.values())) - X.T @ weight) @ B
    assert made.weight @ y == pytest.approx(greg, rel=1e-10)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize(("distance", "bounds"), METHODS)
def test_one_margin_by_any_method_is_post_stratification(distance: str, bounds: tuple[float, float], seed: int) -> None:
    frame, weight, target = sample(seed)
    totals = totals_of(frame, "reg", target)
    post = post_stratify(weight, frame["reg"], totals)
    raked = rake(weight, frame, {"reg": totals})
    dummies = {f"reg={level}": total for level, total in totals.items()}
    term = calibrate(weight, terms_matrix(frame, list(dummies)), dummies, distance=distance, bounds=bounds)
    np.testing.assert_allclose(raked.weight, post.weight, rtol=1e-12)
    np.testing.assert_allclose(term.weight, post.weight, rtol=1e-11)
    # calibrate() and postStratify() take the same mean out; rake() takes the unweighted one (R's convention 5).
    u = np.random.default_rng(seed).normal(size=(len(weight), 2))
    np.testing.assert_allclose(term.residualizer.residuals(u), post.residualizer.residuals(u), rtol=1e-8, atol=1e-10)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_rake_and_raking_calibration_coincide(seed: int) -> None:
    """Deville, Särndal & Sautory (1993): iterative proportional fitting solves the raking-distance problem."""
    frame, weight, target = sample(seed)
    raked = rake(weight, frame, {"sex": totals_of(frame, "sex", target), "reg": totals_of(frame, "reg", target)})
    terms = ["1", "sex=B", "reg=N", "reg=S"]
    by_terms = calibrate(weight, terms_matrix(frame, terms), term_totals(frame, terms, target), distance="raking")
    np.testing.assert_allclose(raked.weight, by_terms.weight, rtol=1e-8)
    assert raked.largest_distance_after <= 1e-9


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_raking_residuals_are_ten_unweighted_sweeps(seed: int) -> None:
    """R's convention 5 row by row: once converged, the weights after any margin of the last sweep are final."""
    frame, weight, target = sample(seed)
    raked = rake(weight, frame, {"sex": totals_of(frame, "sex", target), "reg": totals_of(frame, "reg", target)})
    u = np.random.default_rng(seed).normal(size=len(weight))
    left = u / raked.weight
    for _ in range(10):
        for column in ("sex", "reg"):
            z = frame.select(column, pl.Series("z", left)).select(pl.col("z").mean().over(column))
            left = left - z["z"].to_numpy()
    np.testing.assert_allclose(
        raked.residualizer.residuals(u[:, None])[:, 0], raked.weight * left, rtol=1e-7, atol=1e-7
    )


def test_row_order_does_not_matter() -> None:
    frame, weight, target = sample(5)
    order = np.random.default_rng(5).permutation(len(weight))
    totals = {"sex": totals_of(frame, "sex", target), "reg": totals_of(frame, "reg", target)}
    straight, shuffled = rake(weight, frame, totals), rake(weight[order], frame[order], totals)
    np.testing.assert_allclose(shuffled.weight, straight.weight[order], rtol=1e-12)
    u = np.random.default_rng(6).normal(size=(len(weight), 2))
    np.testing.assert_allclose(
        shuffled.residualizer.residuals(u[order]), straight.residualizer.residuals(u)[order], rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize(
    ("distance", "penalty"),
    [
        ("linear", lambda g: (g - 1) ** 2 / 2),
        ("raking", lambda g: g * np.log(g) - g + 1),
        ("entropy", lambda g: g - 1 - np.log(g)),
    ],
)
def test_no_other_weights_within_the_bounds_are_nearer(
    distance: str, penalty: Callable[[FloatArray], FloatArray]
) -> None:
    """The primal problem of Deville & Särndal (1992), minimised by another method; both bounds hold some weights."""
    frame, weight, target = sample(11, n=40)
    terms, bounds = ["1", "sex=B", "emp"], (0.65, 1.4)
    matrix = terms_matrix(frame, terms)
    totals = term_totals(frame, terms, target)
    totals["emp"] *= 0.95
    made = calibrate(weight, matrix, totals, distance=distance, bounds=bounds)
    assert (made.factor_min, made.factor_max) == bounds
    X = matrix.spread(matrix.patterns) / np.array(list(totals.values()))
    other = minimize(
        lambda g: weight @ penalty(g),
        np.ones(len(weight)),
        bounds=[bounds] * len(weight),
        constraints={"type": "eq", "fun": lambda g: X.T @ (weight * g) - 1},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    assert other.success
    # SLSQP stops near the optimum: ours is not above it, and the weights are near.
    assert weight @ penalty(made.factor) <= other.fun * (1 + 1e-7)
    np.testing.assert_allclose(made.factor, other.x, atol=2e-3)


@given(u=st.floats(-6, 6), low=st.floats(0.05, 0.9), high=st.floats(1.1, 10))
@pytest.mark.parametrize("distance", DISTANCES)
def test_slopes_are_derivatives(distance: str, u: float, low: float, high: float) -> None:
    method, bounds, h = DISTANCES[distance], Bounds(low, high), 1e-6
    at = np.array([u - h, u, u + h])
    values = method.factor(at, bounds)
    assert method.factor(np.zeros(1), bounds)[0] == pytest.approx(1.0, abs=1e-12)
    grown = np.divide(1, 1 - at, out=np.full(3, math.inf), where=at < 1)
    edge = {"linear": 1 + at, "raking": np.exp(at), "entropy": grown, "logit": at}[distance]
    if distance == "logit" or not np.any((np.abs(edge - low) < 2e-2) | (np.abs(edge - high) < 2e-2)):
        numeric = (values[2] - values[0]) / (2 * h)
        assert method.slope(at[1:2], bounds)[0] == pytest.approx(numeric, rel=1e-5, abs=1e-5)


def test_calibrations_in_turn_take_their_residuals_in_turn() -> None:
    frame, weight, target = sample(7)
    first = post_stratify(weight, frame["sex"], totals_of(frame, "sex", target))
    second = post_stratify(first.weight, frame["reg"], totals_of(frame, "reg", target))
    u = np.random.default_rng(7).normal(size=(len(weight), 2))
    both = ResidualSequence((first.residualizer, second.residualizer)).residuals(u)
    np.testing.assert_array_equal(both, second.residualizer.residuals(first.residualizer.residuals(u)))


def test_zero_weights_stay_zero() -> None:
    frame, weight, target = sample(8)
    weight[::7] = 0
    target[::7] = 0
    kept = weight > 0
    totals = {"sex": totals_of(frame, "sex", target), "reg": totals_of(frame, "reg", target)}
    terms = term_totals(frame, TERMS, target)
    u = np.random.default_rng(8).normal(size=(len(weight), 2)) * kept[:, None]
    for whole, part in (
        (rake(weight, frame, totals), rake(weight[kept], frame.filter(kept), totals)),
        (
            calibrate(weight, terms_matrix(frame, TERMS), terms, distance="raking"),
            calibrate(weight[kept], terms_matrix(frame.filter(kept), TERMS), terms, distance="raking"),
        ),
    ):
        np.testing.assert_allclose(whole.weight[kept], part.weight, rtol=1e-12)
        assert not whole.weight[~kept].any()
        residuals = whole.residualizer.residuals(u)
        np.testing.assert_allclose(residuals[kept], part.residualizer.residuals(u[kept]), rtol=1e-9, atol=1e-12)
        assert not residuals[~kept].any()


def test_weights_cut_to_zero_leave_the_residuals_defined() -> None:
    frame, weight, _ = sample(9)
    terms = ["1", "emp"]
    totals = term_totals(frame, terms, weight)
    totals["emp"] *= 0.7
    matrix = terms_matrix(frame, terms)
    made = calibrate(weight, matrix, totals, bounds=(0.0, 3.0))
    cut = made.weight == 0
    assert cut.any()
    u = made.weight[:, None] * np.random.default_rng(9).normal(size=(len(weight), 2))
    residuals = made.residualizer.residuals(u)
    assert not residuals[cut].any()
    X, root = matrix.patterns[~cut], np.sqrt(weight[~cut])[:, None]
    z = u[~cut] / made.weight[~cut, None]
    b = np.linalg.lstsq(X * root, z * root, rcond=None)[0]
    np.testing.assert_allclose(residuals[~cut], made.weight[~cut, None] * (z - X @ b), rtol=1e-9, atol=1e-9)


# Faults of calibrate and rake


def test_totals_must_match_the_terms() -> None:
    frame, weight, _ = sample(1)
    with pytest.raises(ViolationsError) as error:
        calibrate(weight, terms_matrix(frame, ["1", "sex=B", "emp"]), {"1": 80.0, "sex=b": 3.0, "emp": math.nan})
    assert faults(error) == {
        "term_without_total": "term sex=B",
        "unknown_term": "total of sex=b",
        "total_not_valid": "term emp",
    }


def test_a_redundant_term_is_named_with_its_combination() -> None:
    frame, weight, target = sample(1)
    terms = ["1", "sex=A", "sex=B", "emp"]
    with pytest.raises(ViolationsError) as error:
        calibrate(weight, terms_matrix(frame, terms), term_totals(frame, terms, target), distance="raking")
    (violation,) = error.value.violations
    assert (violation.code, violation.where) == ("term_redundant", "term sex=B")
    assert violation.got == "in the sample it equals +1 x (1) -1 x (sex=A)"


def test_a_term_without_units_is_named() -> None:
    frame, weight, _ = sample(1)
    frame = frame.with_columns(pl.lit(0.0).alias("exports"))
    with pytest.raises(ViolationsError) as error:
        calibrate(weight, terms_matrix(frame, ["1", "exports"]), {"1": 800.0, "exports": 5.0})
    assert faults(error) == {"term_without_units": "term exports"}


def test_negative_weights_are_refused_and_named() -> None:
    frame, weight, target = sample(1)
    weight[[2, 4]] *= -1
    with pytest.raises(ViolationsError) as error:
        calibrate(weight, terms_matrix(frame, ["1"]), {"1": float(target.sum())})
    assert [(v.code, v.rows) for v in error.value.violations] == [("weight_negative", (3, 5))]


def test_weights_that_are_all_zero_are_refused() -> None:
    frame, weight, _ = sample(1)
    with pytest.raises(ViolationsError) as error:
        calibrate(0 * weight, terms_matrix(frame, ["1"]), {"1": 0.0})
    assert faults(error) == {"no_weight": "weights"}


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_total_out_of_reach_says_how_far(distance: str) -> None:
    frame, weight, _ = sample(1)
    totals = term_totals(frame, ["1", "sex=B"], weight)
    # All of B at the upper bound gives 1.2 of its sum; 1.5 is asked.
    totals["sex=B"] *= 1.5
    with pytest.raises(ViolationsError) as error:
        calibrate(weight, terms_matrix(frame, ["1", "sex=B"]), totals, distance=distance, bounds=(0.5, 1.2))
    (violation,) = error.value.violations
    assert (violation.code, violation.where) == ("bounds_infeasible", "term sex=B")
    nearest = totals["sex=B"] / 1.5 * 1.2
    assert violation.got == f"at the nearest {nearest:.10g}, off by 0.2 of it"


def test_totals_out_of_reach_together_are_found() -> None:
    """Each margin alone can be met, the two cannot."""
    frame = pl.DataFrame({"sex": [*"AABB"], "reg": [*"NSNS"]})
    totals = {"1": 4.0, "sex=A": 2.6, "reg=N": 2.6}
    # A and N count row 1 twice, row 4 not at all: 2.6 + 2.6 - 4 = g1 - g4 = 1.2; within 0.5 to 1.5 it is at most 1.
    with pytest.raises(ViolationsError) as error:
        calibrate(np.ones(4), terms_matrix(frame, list(totals)), totals, distance="logit", bounds=(0.5, 1.5))
    violation, proof = error.value.violations
    assert violation.code == "bounds_infeasible"
    # 5.2 - 4 must come down to 1: one of the three gives way by 0.2, cheapest on the largest total.
    assert violation.where == "term 1"
    assert violation.got == "at the nearest 4.2, off by 0.05 of it"
    assert (proof.code, proof.where, proof.got) == ("totals_in_conflict", "terms 1, sex=A, reg=N", "1.2")
    assert proof.expected.startswith("-1 x (1) +1 x (sex=A) +1 x (reg=N) of at most 1:")


def test_a_negative_total_is_out_of_reach_of_raking() -> None:
    frame, weight, _ = sample(1)
    with pytest.raises(ViolationsError) as error:
        calibrate(weight, terms_matrix(frame, ["emp"]), {"emp": -5.0}, distance="raking")
    assert faults(error) == {"bounds_infeasible": "term emp"}


def test_too_few_iterations_are_named() -> None:
    frame, weight, target = sample(1)
    totals = term_totals(frame, TERMS, target)
    with pytest.raises(ViolationsError) as error:
        calibrate(weight, terms_matrix(frame, TERMS), totals, distance="raking", max_iterations=1)
    assert {v.code for v in error.value.violations} == {"calibration_not_converged"}
    assert {v.where for v in error.value.violations} <= {f"margin {term}" for term in TERMS}


@pytest.mark.parametrize("bounds", [(1.1, 2.0), (0.2, 0.9), (2.0, 0.5)])
def test_bounds_must_hold_one(bounds: tuple[float, float]) -> None:
    frame, weight, _ = sample(1)
    with pytest.raises(AxstatError) as error:
        calibrate(weight, terms_matrix(frame, ["1"]), {"1": 80.0}, bounds=bounds)
    assert error.value.code == "bounds_not_valid"


def test_logit_needs_finite_bounds_and_names_are_checked() -> None:
    frame, weight, _ = sample(1)
    with pytest.raises(AxstatError) as error:
        calibrate(weight, terms_matrix(frame, ["1"]), {"1": 80.0}, distance="logit")
    assert error.value.code == "bounds_not_valid"
    with pytest.raises(ViolationsError) as unknown:
        calibrate(weight, terms_matrix(frame, ["1"]), {"1": 80.0}, distance="rakin")
    assert unknown.value.violations[0].hint == "did you mean raking?"


def test_rake_names_what_is_wrong_with_its_margins() -> None:
    frame, weight, target = sample(1)
    sex, reg = totals_of(frame, "sex", target), totals_of(frame, "reg", target)
    with pytest.raises(ViolationsError) as error:
        rake(weight, frame, {"sexx": sex})
    assert error.value.violations[0].hint == "did you mean sex?"
    with pytest.raises(ViolationsError) as error:
        rake(weight, frame, {"sex": {"A": sex["A"], "C": 4.0}, "reg": reg})
    assert faults(error) == {
        "empty_post_stratum": "margin sex, level C",
        "post_stratum_without_total": "margin sex, level B",
    }
    with pytest.raises(ViolationsError) as error:
        rake(weight, frame, {"sex": sex, "reg": {**reg, "N": reg["N"] + 1}})
    assert faults(error) == {"margins_disagree": "margin reg"}


def test_rake_that_cannot_converge_names_the_levels_and_the_distance() -> None:
    """A is only in N, B only in S: sex and reg are one margin, and their totals differ."""
    frame = pl.DataFrame({"sex": [*"AABB"], "reg": [*"NNSS"]})
    with pytest.raises(ViolationsError) as error:
        rake(np.ones(4), frame, {"sex": {"A": 60.0, "B": 40.0}, "reg": {"N": 50.0, "S": 50.0}}, max_sweeps=20)
    *levels, proof = error.value.violations
    found = {v.where: v.got for v in levels}
    # The last margin is met; sex A is left at 50 of 60 (0.167), B at 50 of 40 (0.25).
    assert set(found) == {"margin sex, level A", "margin sex, level B"}
    assert found["margin sex, level A"].startswith("50, off by 0.167 of it after 20 sweeps")
    assert found["margin sex, level B"].startswith("50, off by 0.25 of it after 20 sweeps")
    # A - N is 0 in every row and 60 - 50 in the totals; so is S - B.
    assert (proof.code, proof.got) == ("totals_in_conflict", "10")
    assert proof.where in ("terms sex=A, reg=N", "terms sex=B, reg=S")


# R's reference weights

SCHOOLS = {"1": 6194.0, "stype=H": 755.0, "stype=M": 1018.0, "api99": 3914069.0}
STYPE = {"E": 4421.0, "H": 755.0, "M": 1018.0}
WIDE_SCHOOL = {"No": 1072.0, "Yes": 5122.0}


def schools(name: str) -> tuple[pl.DataFrame, FloatArray]:
    frame = pl.read_csv(REFERENCE / f"{name}.csv", null_values="NA", infer_schema_length=None)
    if name == "apiclus2":
        # No weights in R's call: the product of N/n over the stages.
        weight = 757 / 40 * frame["fpc2"] / frame.select(pl.len().over("dnum")).to_series()
        return frame, weight.to_numpy()
    return frame, frame["pw"].to_numpy()


def reference_weights(case: str) -> Calibration:
    """The calls of designs.json."""
    frame, weight = schools({"strat": "apistrat", "clus1": "apiclus1", "clus2": "apiclus2"}[case.split("_")[0]])
    method = case.split("_", 1)[1]
    if method == "post":
        return post_stratify(weight, frame["stype"], STYPE)
    if method == "post_sw":
        return post_stratify(weight, frame["sch.wide"], WIDE_SCHOOL)
    if method == "rake":
        return rake(weight, frame, {"stype": STYPE, "sch.wide": WIDE_SCHOOL})
    totals, distance, bounds = {
        "cal_linear": (SCHOOLS, "linear", WIDE),
        "cal_linear_bnd": (SCHOOLS, "linear", (0.6, 1.6)),
        "cal_logit": (SCHOOLS, "logit", (0.4, 2.5)),
        "cal_raking": (SCHOOLS, "raking", WIDE),
        "cal_raking_marg": ({**dict(list(SCHOOLS.items())[:3]), "sch.wide=Yes": 5122.0}, "raking", WIDE),
    }[method]
    return calibrate(weight, terms_matrix(frame, list(totals)), totals, distance=distance, bounds=bounds)


@pytest.mark.skipif(not REFERENCE.exists(), reason="reference results are not beside this checkout")
@pytest.mark.parametrize(
    "case",
    [
        "clus1_post",
        "strat_post_sw",
        "clus1_rake",
        "clus1_cal_linear",
        "clus1_cal_linear_bnd",
        "clus1_cal_logit",
        "clus1_cal_raking",
        "strat_cal_linear",
        "strat_cal_raking_marg",
        "clus2_cal_linear",
    ],
)
def test_reference_weights(case: str) -> None:
    """R stops at 1e-12 (bounded linear 1e-10, logit and raking 1e-11) of the totals; Newton's last step goes beyond."""
    theirs = pl.read_csv(REFERENCE / f"weights_{case}.csv")["w"].to_numpy()
    np.testing.assert_allclose(reference_weights(case).weight, theirs, rtol=1e-10, atol=0)
