"""Growth curves against R: metafor's rma.mv, matrices and optim, by tests/golden/growth.R (R 4.2.2, metafor 3.8-1).

Series of 3, 4, 6, 8 points and one of 8 with a wave that was not held; all are fitted at once, and so with gaps.
"""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.stats.growth import Points, Prediction, Scale, predict, predict_bass, process_deviation

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="module")
def points() -> Points:
    table = pl.read_csv(GOLDEN / "growth_series.csv")
    years = table["year"].unique().sort().to_list()
    number = table["series"].max()
    rate = np.full((number, len(years)), np.nan)
    covariance = np.full((number, len(years), len(years)), np.nan)
    for series, year, other, p, value in table.iter_rows():
        rate[series - 1, years.index(year)] = p
        covariance[series - 1, years.index(year), years.index(other)] = value
    return Points(np.array(years, dtype=float), rate, covariance)


@pytest.fixture(scope="module")
def results() -> pl.DataFrame:
    return pl.read_csv(GOLDEN / "growth_results.csv")


@pytest.mark.parametrize("process", ["independent", "random_walk"])
@pytest.mark.parametrize("scale", ["logit", "gompertz"])
@pytest.mark.parametrize("tau", [0.0, 0.05, 0.1, 0.2])
def test_straight_lines(points: Points, results: pl.DataFrame, process: str, scale: str, tau: float) -> None:
    wanted = results.filter(
        (pl.col("curve") == scale)
        & (pl.col("process") == process)
        & (pl.col("tau") == tau)
        & (pl.col("rule") == "given")
    )
    found = predict(points, np.array([2031.0]), scale=Scale(scale), tau=np.full(5, tau), process=process)
    same(found, wanted)


@pytest.mark.parametrize("process", ["independent", "random_walk"])
@pytest.mark.parametrize("scale", ["logit", "gompertz"])
def test_process_variance_by_restricted_likelihood(
    points: Points, results: pl.DataFrame, process: str, scale: str
) -> None:
    """R's optimisers stop at about eight digits, on a flat top."""
    wanted = results.filter(
        (pl.col("curve") == scale) & (pl.col("process") == process) & (pl.col("rule") == "reml")
    ).sort("series")
    assert wanted["series"].to_list() == [3, 4, 5]
    tau = process_deviation(points, scale=Scale(scale), process=process)[2:]
    np.testing.assert_allclose(tau, wanted["tau"].to_numpy(), rtol=2e-5, atol=2e-4)


def test_bass(points: Points, results: pl.DataFrame) -> None:
    """R finds the top by function values alone and its slopes by differences."""
    wanted = results.filter(pl.col("curve") == "bass")
    same(predict_bass(points, np.array([2031.0]), tau=np.full(5, 0.1)), wanted, rtol=2e-6)


def same(found: Prediction, wanted: pl.DataFrame, rtol: float = 1e-9) -> None:
    wanted = wanted.sort("series")
    assert wanted.height == 5
    np.testing.assert_allclose(found.centre[:, 0], wanted["centre"].to_numpy(), rtol=rtol)
    np.testing.assert_allclose(found.variance[:, 0], wanted["variance"].to_numpy(), rtol=rtol)
