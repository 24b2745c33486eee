"""Replicate weights: what is made, what is refused, ranks, replicates without an estimate."""

import numpy as np
import polars as pl
import pytest

from pipelines.errors import AxstatError
from pipelines.stats.cells import reduce_to_cells
from pipelines.stats.design import SurveyDesign
from pipelines.stats.kernels import BLOCK, LANES
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
    for gap in (np.nan, np.inf):
        with pytest.raises(AxstatError, match="row 2"):
            ReplicateWeights.from_columns(np.ones(3), np.array([[1.0], [gap], [-np.inf]]), scale=1.0)
    huge = np.array([[1.5e308], [1.5e308]])
    assert ReplicateWeights.from_columns(np.ones(2), huge, scale=1.0).n_replicates == 1
    with pytest.raises(AxstatError, match="replicates_do_not_fit"):
        ReplicateWeights.from_factors(np.ones(3), np.array([0, 1, 2]), np.ones((2, 4)), scale=1.0)


def test_units_without_factors_are_refused() -> None:
    for unit in ([0, 2], [0, -1]):
        with pytest.raises(AxstatError, match="replicates_do_not_fit"):
            ReplicateWeights.from_factors(np.ones(2), np.array(unit), np.ones((2, 3)), scale=1.0)


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
    for degf, df in ((2, 2), (7, 3)):
        assert ReplicateWeights.from_columns(np.ones(40), mixed, scale=1.0, degf=degf).degrees_of_freedom() == df
    # Below R's tolerance of 1e-5 of its length what is left of a column is nothing.
    for left, rank in ((1e-4, 2), (1e-6, 1)):
        two = np.column_stack([np.ones(40), np.ones(40) + left * np.sign(basis[:, 0] - np.median(basis[:, 0]))])
        assert ReplicateWeights.from_columns(np.ones(40), two, scale=1.0).degrees_of_freedom() == rank - 1
    # Of a column next to another little is left, of what lies in the plane of both nothing: rank 3 for R's qr() too.
    near = np.column_stack([basis[:, 0], basis[:, 1], basis[:, 0] + 5e-5 * basis[:, 2]])
    near = np.hstack([near, basis[:, :3] @ rng.normal(size=(3, 20))])
    for times in (1, 100):
        stacked = ReplicateWeights.from_columns(np.ones(40 * times), np.tile(near, (times, 1)), scale=1.0)
        assert stacked.degrees_of_freedom() == 2
    few = np.zeros(40, dtype=np.bool_)
    few[:3] = True
    weights = ReplicateWeights.from_columns(np.ones(40), rng.normal(size=(40, 9)), scale=1.0)
    assert weights.degrees_of_freedom(few) == 2
    assert weights.degrees_of_freedom() == np.linalg.matrix_rank(weights.factor) - 1


def test_degrees_of_freedom_by_domain_are_those_of_its_rows() -> None:
    """Rank of the weights written out: of domains that share units, of one of five units, of one without rows."""
    rng = np.random.default_rng(3)
    unit = rng.integers(0, 30, 400)
    weights = ReplicateWeights.from_factors(
        np.where(np.arange(400) % 7 == 0, 0.0, rng.uniform(1, 5, 400)), unit, rng.uniform(0.5, 2, (30, 12)), scale=1.0
    )
    domain = np.where(unit < 5, 3, rng.integers(-1, 3, 400))
    found = weights.domain_degrees_of_freedom(domain, 5)
    written = weights.analysis_weights()
    assert found.tolist() == [np.linalg.matrix_rank(written[domain == code]) - 1 for code in range(5)]
    assert found.tolist() == [weights.degrees_of_freedom(domain == code) for code in range(5)]
    assert found.tolist() == [11, 11, 11, 4, -1]


@pytest.mark.parametrize("order", ["units together", "units apart", "units apart, in the order of their codes"])
@pytest.mark.parametrize(("replicates", "columns"), [(0, 1), (5, 2), (LANES - 1, 3), (LANES, 2), (2 * LANES + 7, 1)])
def test_domain_totals_are_those_of_the_weights_written_out(order: str, replicates: int, columns: int) -> None:
    """Against each replicate's weights by numpy: more units than a block, one without rows, a domain without any."""
    rng = np.random.default_rng(3)
    n, units = 3000, 2 * BLOCK + 9
    unit, domain = rng.integers(0, units - 1, n), rng.integers(-1, 3, n)
    if order == "units together":
        place = rng.permutation(units)  # the order of the factors is another than that of the file
        unit = place[np.sort(unit)]
    elif order == "units apart, in the order of their codes":
        unit = np.concatenate([np.sort(unit[:1500]), np.sort(unit[1500:])])
    weight, factor = rng.uniform(1, 3, n), rng.poisson(1.0, (units, replicates)).astype(float)
    y = rng.normal(size=(n, columns))
    weights = ReplicateWeights.from_factors(weight, unit, factor, scale=1.0)
    chunks = [pl.concat([pl.Series(column[:700]), pl.Series(column[700:])], rechunk=False) for column in y.T]
    for given in ([*y.T], chunks):
        whole, made = weights.domain_totals(given, domain, 4)
        assert (whole.shape, made.shape) == ((4, columns), (replicates, 4, columns))
        for d in range(4):
            inside = domain == d
            assert whole[d] == pytest.approx(weight[inside] @ y[inside], rel=1e-12, abs=1e-11)
            assert made[:, d] == pytest.approx(weights.analysis_weights()[inside].T @ y[inside], rel=1e-12, abs=1e-11)


def test_full_sample_weights_beside_columns_of_replicate_weights() -> None:
    rng = np.random.default_rng(4)
    weight, sets, y = rng.uniform(1, 3, 500), rng.uniform(0, 3, (500, 7)), rng.normal(size=500)
    weights = ReplicateWeights.from_columns(weight, np.asfortranarray(sets), scale=1.0)
    whole, made = weights.domain_totals([y], np.zeros(500, dtype=np.int64), 1)
    assert whole[0, 0] == pytest.approx(weight @ y, rel=1e-12)
    assert made[:, 0, 0] == pytest.approx(sets.T @ y, rel=1e-12)
    assert np.array_equal(weights.weight, weight)


def test_a_value_that_is_not_finite_spoils_its_domain_and_column_only() -> None:
    unit, domain = np.repeat(np.arange(6), 2), np.tile([0, 1], 6)
    columns = [np.where(np.arange(12) == 4, np.nan, 1.0), np.ones(12)]
    weights = ReplicateWeights.from_factors(np.ones(12), unit, np.ones((6, 3)), scale=1.0)
    whole, made = weights.domain_totals(columns, domain, 2)
    assert np.isnan(whole).tolist() == [[True, False], [False, False]]
    assert np.isnan(made).tolist() == [[[True, False], [False, False]]] * 3


def test_measures_with_gaps_of_their_own() -> None:
    """A row counts for a measure where that is present: denominators of their own, and shared ones, as one by one."""
    rng = np.random.default_rng(6)
    y = rng.normal(size=(90, 4))
    y[rng.random(90) < 0.2, :2] = np.nan
    y[rng.random(90) < 0.2, 2] = np.nan
    weights = ReplicateWeights.from_columns(rng.uniform(1, 3, 90), rng.uniform(0, 3, (90, 12)), scale=0.1)
    domain = rng.integers(-1, 2, 90)
    together = replicate_means(weights, y, domain=domain, n_domains=2)
    for k in range(4):
        alone = replicate_means(weights, y[:, [k]], domain=domain, n_domains=2)
        inside = [(domain == d) & np.isfinite(y[:, k]) for d in range(2)]
        means = [np.average(y[rows, k], weights=weights.weight[rows]) for rows in inside]
        assert alone.estimate[:, 0] == pytest.approx(means, rel=1e-12)
        for one, other in ((together.estimate, alone.estimate), (together.variance, alone.variance)):
            assert one[:, k] == pytest.approx(other[:, 0], rel=1e-12)
        assert together.replicates[:, :, k] == pytest.approx(alone.replicates[:, :, 0], rel=1e-12)


def test_the_rank_of_many_units() -> None:
    rng = np.random.default_rng(3)
    n, units = 9000, UNIT_BLOCK + 700
    unit, factor = rng.integers(0, units, n), rng.poisson(1.0, (units, 5)).astype(float)
    weights = ReplicateWeights.from_factors(rng.uniform(1, 3, n), unit, factor, scale=1.0)
    assert weights.degrees_of_freedom() == np.linalg.matrix_rank(weights.analysis_weights()) - 1


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
    rows = jackknife(design)
    of_cells = ReplicateWeights.from_factors(np.ones(len(cells.domain)), cells.design.psu, rows.factor, scale=1.0)
    for one, other in zip(
        of_cells.domain_totals([*cells.top.T], cells.domain, 2),
        rows.domain_totals([frame["y"]], domain, 2),
        strict=True,
    ):
        assert one == pytest.approx(other, rel=1e-12, abs=1e-12)
