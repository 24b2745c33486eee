"""Replicate weights: what is made, what is refused, ranks, replicates without an estimate."""

import numpy as np
import polars as pl
import pytest

from pipelines.errors import AxstatError
from pipelines.stats.cells import reduce_to_cells
from pipelines.stats.design import SurveyDesign
from pipelines.stats.replication import (
    UNIT_BLOCK,
    ReplicateWeights,
    balanced,
    jackknife,
    replicate_means,
    replicate_totals,
)


def design_of(counts: dict[str, tuple[int, float]], **options: object) -> SurveyDesign:
    """Strata of (PSUs, population), one row of weight 1 a PSU."""
    rows = [(h, f"{h}{j}", population, 1.0) for h, (n, population) in counts.items() for j in range(n)]
    frame = pl.DataFrame(rows, schema=["h", "psu", "N", "w"], orient="row")
    return SurveyDesign.from_frame(frame, weight="w", strata="h", stages=["psu"], population=["N"], **options)


def test_jackknife_factors_and_scales_by_hand() -> None:
    """Stratum a: 3 of 12 PSUs, rscales (1 - 3/12) 2/3 = 1/2; b is taken whole: no replicates."""
    weights = jackknife(design_of({"a": (3, 12), "b": (2, 2)}))
    assert weights.factor.tolist() == [[0, 1.5, 1.5], [1.5, 0, 1.5], [1.5, 1.5, 0], [1, 1, 1], [1, 1, 1]]
    assert weights.rscales == pytest.approx([0.5] * 3)
    assert weights.scale == 1.0


def test_a_census_has_no_replicates_and_no_variance() -> None:
    design = design_of({"a": (3, 3), "b": (2, 2)})
    result = replicate_totals(jackknife(design), np.arange(5.0)[:, None], domain=np.zeros(5, dtype=int), n_domains=1)
    assert result.replicates.shape == (0, 1, 1)
    assert (result.estimate[0, 0], result.variance[0, 0]) == (10.0, 0.0)
    assert jackknife(design).covariance(np.zeros((0, 1)), np.array([10.0])).tolist() == [[0.0]]


def test_jackknife_with_a_lonely_psu_needs_a_rule_that_drops_it() -> None:
    lonely = {"a": (1, 5), "b": (2, 9)}
    assert jackknife(design_of(lonely, lonely_psu="certainty")).n_replicates == 2
    with pytest.raises(AxstatError, match="no_jackknife"):
        jackknife(design_of(lonely, lonely_psu="adjust"))


def test_balanced_replicates_balance() -> None:
    """Each PSU is in half of the replicates, and the strata are orthogonal."""
    weights = balanced(design_of(dict.fromkeys("abcde", (2, 9))), fay=0.3)
    signs = (weights.factor[::2] - 1.0) / 0.7
    assert signs @ signs.T == pytest.approx(8 * np.eye(5))
    assert signs.sum(axis=1) == pytest.approx(np.zeros(5))
    assert weights.factor[::2] + weights.factor[1::2] == pytest.approx(np.full((5, 8), 2.0))
    assert weights.scale == pytest.approx(1 / (8 * 0.49))


def test_balanced_replicates_need_pairs_and_a_share() -> None:
    with pytest.raises(AxstatError, match="strata a"):
        balanced(design_of({"a": (3, 9), "b": (2, 9)}))
    with pytest.raises(AxstatError, match="fay_not_valid"):
        balanced(design_of({"a": (2, 9)}), fay=1.0)


def test_replicate_files_that_do_not_fit() -> None:
    with pytest.raises(AxstatError, match="row 2"):
        ReplicateWeights.from_columns(np.ones(2), np.array([[1.0], [np.nan]]), scale=1.0)
    with pytest.raises(AxstatError, match="replicates_do_not_fit"):
        ReplicateWeights.from_factors(np.ones(3), np.array([0, 1, 2]), np.ones((2, 4)), scale=1.0)


def test_variance_by_hand_around_the_mean_and_around_the_estimate() -> None:
    """Totals 6, 10, 12 of an estimate 9: deviations from the mean 28/3, or from 9; rscales 0 leaves a replicate out."""
    made = np.array([[6.0], [10.0], [12.0]])
    options = {"scale": 0.5, "rscales": np.array([1.0, 2.0, 0.0])}
    weights = ReplicateWeights.from_columns(np.ones(1), np.ones((1, 3)), **options)
    # The centre is the mean over rscales above 0: 8.
    assert weights.variance(made, np.array([9.0]))[0] == pytest.approx(0.5 * (4 + 2 * 4))
    around = ReplicateWeights.from_columns(np.ones(1), np.ones((1, 3)), mse=True, **options)
    assert around.variance(made, np.array([9.0]))[0] == pytest.approx(0.5 * (9 + 2 * 1))
    assert around.covariance(np.hstack([made, -made]), np.array([9.0, -9.0])) == pytest.approx(
        np.array([[5.5, -5.5], [-5.5, 5.5]])
    )


def test_replicates_without_an_estimate_are_left_out() -> None:
    weights = ReplicateWeights.from_columns(np.ones(1), np.ones((1, 3)), scale=1.0)
    made = np.array([[1.0, np.nan], [np.nan, np.nan], [3.0, np.nan]])
    assert weights.variance(made, np.array([2.0, 2.0])).tolist() == pytest.approx([2.0, np.nan], nan_ok=True)
    # R drops the same ones: a mean of a domain that has no weight in a replicate.
    sample = ReplicateWeights.from_columns(np.ones(2), np.array([[0.0, 2.0], [2.0, 0.0]]), scale=1.0)
    result = replicate_means(sample, np.array([[5.0], [7.0]]), domain=np.array([0, 1]), n_domains=2)
    assert result.estimate[:, 0].tolist() == [5.0, 7.0]
    assert np.isnan(result.replicates).sum() == 2
    assert result.variance[:, 0].tolist() == [0.0, 0.0]


def test_degrees_of_freedom_are_the_rank_less_one() -> None:
    rng = np.random.default_rng(2)
    basis = rng.normal(size=(40, 4))
    mixed = basis @ rng.normal(size=(4, 9))  # nine columns of rank four
    assert ReplicateWeights.from_columns(np.ones(40), mixed, scale=1.0).degrees_of_freedom() == 3
    assert ReplicateWeights.from_columns(np.ones(40), mixed, scale=1.0, degf=7).degrees_of_freedom() == 7
    # Below R's tolerance of 1e-5 of its length what is left of a column is nothing.
    for left, rank in ((1e-4, 2), (1e-6, 1)):
        two = np.column_stack([np.ones(40), np.ones(40) + left * np.sign(basis[:, 0] - np.median(basis[:, 0]))])
        assert ReplicateWeights.from_columns(np.ones(40), two, scale=1.0).degrees_of_freedom() == rank - 1
    few = np.zeros(40, dtype=np.bool_)
    few[:3] = True
    weights = ReplicateWeights.from_columns(np.ones(40), rng.normal(size=(40, 9)), scale=1.0)
    assert weights.degrees_of_freedom(few) == 2
    assert weights.degrees_of_freedom() == np.linalg.matrix_rank(weights.factor) - 1


def test_many_units_are_summed_in_blocks_as_at_once() -> None:
    rng = np.random.default_rng(3)
    n, units = 9000, UNIT_BLOCK + 700
    unit, domain = rng.integers(0, units, n), rng.integers(-1, 3, n)
    weight, factor = rng.uniform(1, 3, n), rng.poisson(1.0, (units, 5)).astype(float)
    y = rng.normal(size=(n, 2))
    weights = ReplicateWeights.from_factors(weight, unit, factor, scale=1.0)
    made = weights.domain_totals(y, domain, 3)
    plain = weights.analysis_weights()
    for d in range(3):
        inside = domain == d
        assert made[:, d] == pytest.approx(plain[inside].T @ y[inside], rel=1e-10)
    assert weights.degrees_of_freedom() == np.linalg.matrix_rank(plain) - 1


def test_replicates_from_cells() -> None:
    """Cells of a design and factors of its PSUs: the same totals as from the rows."""
    rng = np.random.default_rng(5)
    frame = pl.DataFrame(
        {"h": np.repeat(["a", "b"], 30), "psu": np.repeat(np.arange(12), 5), "w": rng.uniform(1, 4, 60)}
    )
    frame = frame.with_columns(pl.Series("y", rng.normal(size=60)))
    domain = rng.integers(0, 2, 60)
    design = SurveyDesign.from_frame(frame, weight="w", strata="h", stages=["psu"])
    cells = reduce_to_cells(frame, design, measures=["y"], domain=domain, n_domains=2)
    weights = jackknife(design)
    made = weights.cell_totals(cells.design.psu, cells.domain, cells.top, 2)
    rows = replicate_totals(weights, frame["y"].to_numpy()[:, None], domain=domain, n_domains=2)
    assert made == pytest.approx(rows.replicates, rel=1e-10)
