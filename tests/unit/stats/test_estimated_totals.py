"""The variance that estimated totals add: B is the derivative by the totals; a simulation of both sources."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import ViolationsError
from pipelines.stats.arrays import FloatArray
from pipelines.stats.calibration import Calibration, calibrate, post_stratify
from pipelines.stats.design import SurveyDesign
from pipelines.stats.estimated_totals import total_coefficients, with_estimated_totals
from pipelines.stats.linearization import Estimates, Linearized, evaluate, linearized_mean, linearized_total
from pipelines.stats.terms import TermsMatrix, terms_matrix

TERMS = ["1", "sex=B", "emp"]


def sample(seed: int, n: int = 60) -> tuple[pl.DataFrame, FloatArray]:
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {"h": np.arange(n) % 3, "sex": rng.permutation([*"AB"] * (n // 2)), "emp": rng.lognormal(2, 0.5, n)}
    )
    y = 2 + (frame["sex"] == "B").cast(pl.Float64).to_numpy() + 0.3 * frame["emp"].to_numpy() + rng.normal(size=n)
    return frame.with_columns(y=y), rng.uniform(5, 15, n)


def totals_near(matrix: TermsMatrix, weight: FloatArray, seed: int) -> dict[str, float]:
    X = matrix.spread(matrix.patterns)
    moved = X.T @ weight * np.random.default_rng(seed + 1).uniform(0.95, 1.1, X.shape[1])
    return dict(zip(matrix.terms, moved.tolist(), strict=True))


def designed(frame: pl.DataFrame, made: Calibration) -> SurveyDesign:
    return SurveyDesign.from_frame(
        frame.with_columns(w=made.weight), weight="w", strata="h", calibration=made.residualizer
    )


def statistics(frame: pl.DataFrame, design: SurveyDesign) -> tuple[Linearized, Linearized]:
    y = frame["y"].to_numpy()[:, None]
    return linearized_total(design, y), linearized_mean(design, y)


@given(seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_coefficients_are_the_derivative_of_the_estimate(seed: int) -> None:
    """Of a linear calibration exactly, for a total: sum(w y) is linear in the totals."""
    frame, weight = sample(seed)
    matrix = terms_matrix(frame, TERMS)
    totals = totals_near(matrix, weight, seed)
    made = calibrate(weight, matrix, totals)
    B = total_coefficients(
        made.weight[:, None] * frame["y"].to_numpy()[:, None], before=weight, after=made.weight, matrix=matrix
    )
    y = frame["y"].to_numpy()
    for j, term in enumerate(TERMS):
        moved = calibrate(weight, matrix, {**totals, term: totals[term] * 1.01})
        slope = (moved.weight - made.weight) @ y / (0.01 * totals[term])
        assert B[j, 0] == pytest.approx(slope, rel=1e-6)


@given(seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_coefficients_of_a_mean(seed: int) -> None:
    """The mean too moves by B: d mean / dT = (B_y - mean B_1) / N, here by small differences."""
    frame, weight = sample(seed)
    matrix = terms_matrix(frame, TERMS)
    totals = totals_near(matrix, weight, seed)
    made = calibrate(weight, matrix, totals)
    _, mean = statistics(frame, designed(frame, made))
    B = total_coefficients(mean.influence, before=weight, after=made.weight, matrix=matrix)
    y = frame["y"].to_numpy()
    for j, term in enumerate(TERMS):
        step = 1e-4 * totals[term]
        up = calibrate(weight, matrix, {**totals, term: totals[term] + step}).weight
        down = calibrate(weight, matrix, {**totals, term: totals[term] - step}).weight
        slope = (up @ y / up.sum() - down @ y / down.sum()) / (2 * step)
        assert B[j, 0] == pytest.approx(slope, rel=1e-4, abs=1e-9)


def test_post_strata_with_estimated_counts() -> None:
    """Dever & Valliant (2010): the part added to a total is sum over g, h of ybar_g ybar_h cov(N_g, N_h)."""
    frame, weight = sample(3)
    made = post_stratify(weight, frame["sex"], {"A": 320.0, "B": 290.0})
    matrix = terms_matrix(frame, ["sex=A", "sex=B"])
    design = designed(frame, made)
    total, mean = statistics(frame, design)
    V = np.array([[100.0, 30.0], [30.0, 64.0]])
    means = np.array(
        [np.average(frame["y"].to_numpy(), weights=made.weight * (frame["sex"] == g).to_numpy()) for g in "AB"]
    )
    for linearized, slopes in ((total, means), (mean, (means - made.weight @ frame["y"].to_numpy() / 610) / 610)):
        plain = evaluate(design, linearized)
        found = with_estimated_totals(plain, linearized, V, before=weight, after=made.weight, matrix=matrix)
        assert found.covariance[0, 0] - plain.covariance[0, 0] == pytest.approx(slopes @ V @ slopes, rel=1e-9)
        assert found.deff[0] / plain.deff[0] == pytest.approx(found.variance[0] / plain.variance[0], rel=1e-12)
        assert found.estimate == plain.estimate


def test_known_totals_add_nothing_and_redundant_terms_do_not_matter() -> None:
    frame, weight = sample(5)
    matrix = terms_matrix(frame, ["1", "sex=A"])
    totals = totals_near(matrix, weight, 5)
    made = calibrate(weight, matrix, totals)
    design = designed(frame, made)
    total, _ = statistics(frame, design)
    plain = evaluate(design, total)

    def added(terms: TermsMatrix, V: FloatArray) -> Estimates:
        return with_estimated_totals(plain, total, V, before=weight, after=made.weight, matrix=terms)

    np.testing.assert_array_equal(added(matrix, np.zeros((2, 2))).covariance, plain.covariance)
    V = np.array([[90.0, 20.0], [20.0, 50.0]])
    # sex=B = 1 - sex=A: its covariances follow.
    whole = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]])
    redundant = terms_matrix(frame, ["1", "sex=A", "sex=B"])
    assert added(redundant, whole @ V @ whole.T).variance == pytest.approx(added(matrix, V).variance, rel=1e-9)


@pytest.mark.parametrize(
    ("V", "got"),
    [
        (np.zeros((2, 2)), "(2, 2)"),
        (np.full((3, 3), np.nan), "others"),
        (np.array([[1.0, 0.5, 0], [0.4, 1, 0], [0, 0, 1]]), "another"),
        (np.diag([1.0, -1.0, 1.0]), "negative for sex=B"),
        (np.array([[1.0, 2, 0], [2, 1, 0], [0, 0, 1e9]]), "a combination of totals with a negative variance"),
        (np.array([[0.0, 2, 0], [2, 1, 0], [0, 0, 1]]), "a combination of totals with a negative variance"),
    ],
)
def test_a_covariance_that_is_none_is_refused(V: FloatArray, got: str) -> None:
    frame, weight = sample(1)
    matrix = terms_matrix(frame, TERMS)
    made = calibrate(weight, matrix, totals_near(matrix, weight, 1))
    design = designed(frame, made)
    total, _ = statistics(frame, design)
    with pytest.raises(ViolationsError) as error:
        with_estimated_totals(evaluate(design, total), total, V, before=weight, after=made.weight, matrix=matrix)
    (violation,) = error.value.violations
    assert (violation.code, violation.got) == ("covariance_not_valid", got)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [20261124, 20261125, 20261126])
def test_variance_over_samples_and_totals(seed: int) -> None:
    """4,000 samples of 300, each calibrated to counts from another sample of 400 of the same population.

    The mean estimated variance is that of the estimates within 3.5 Monte Carlo standard errors plus 3 % (the variance
    of a variance over R draws is about 2 V^2/R: 3.5 x sqrt(2/4000) = 7.8 %); without the part of the totals it is not.
    """
    rng = np.random.default_rng(seed)
    N, n, m, draws = 20_000, 300, 400, 4000
    x = rng.lognormal(1, 0.5, N)
    group = rng.random(N) < 0.4
    y = 3 * group + x + rng.normal(size=N)
    estimates, plain, whole = np.empty(draws), np.empty(draws), np.empty(draws)
    for r in range(draws):
        other = rng.choice(N, m, replace=False)
        X2 = np.column_stack([np.ones(m), group[other], x[other]]) * N / m
        V = np.cov(X2.T) * m * (1 - m / N)
        here = rng.choice(N, n, replace=False)
        matrix = TermsMatrix(("1", "g", "x"), np.column_stack([np.ones(n), group[here], x[here]]), None)
        before = np.full(n, N / n)
        totals = dict(zip(matrix.terms, X2.sum(axis=0).tolist(), strict=True))
        made = calibrate(before, matrix, totals)
        frame = pl.DataFrame({"w": made.weight, "h": "all", "N": N})
        design = SurveyDesign.from_frame(
            frame,
            weight="w",
            strata="h",
            population=["N"],
            calibration=made.residualizer,
            allow_negative_weights=True,
        )
        total = linearized_total(design, y[here][:, None])
        first = evaluate(design, total)
        second = with_estimated_totals(first, total, V, before=before, after=made.weight, matrix=matrix)
        estimates[r], plain[r], whole[r] = first.estimate[0], first.variance[0], second.variance[0]
    true = estimates.var(ddof=1)
    allowed = 3.5 * np.sqrt(2 / draws) + 0.03
    assert whole.mean() / true == pytest.approx(1, abs=allowed)
    assert plain.mean() / true < 0.6
    assert abs(estimates.mean() - y.sum()) < 3.5 * np.sqrt(true / draws)
