"""True rates that go their own ways to 2030, surveyed with error, and how the projections judge them.

Belongs here: the processes, their surveys, scores of P(target) on what then happened. Does not belong here: what is
held (test_projection).

A process gives N series of true rates from 2022 to 2030 at once. Surveys of 2022 to 2027 have sampling errors of an
effective size of 2,000, correlated 0.5^years between waves as a panel's are. Every origin is projected as the pipeline
does it. The outcome is whether the true rate of 2030 is at or above 70 %.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np
import polars as pl
from scipy import special

from pipelines.stats.arrays import FloatArray
from pipelines.stats.growth import Points, Scale
from pipelines.stats.projection import Aim, project
from pipelines.stats.rate_series import KEY, RateSeries

YEARS = np.arange(2022, 2031)
SURVEYED = 6
N_EFFECTIVE = 2000.0
AIM = Aim(value=0.70, year=2030, ceilings=(1.0, 0.9, 0.8))
# Edges of the bins of P(target) in the reliability diagram
EDGES = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0)
BINS = [f"{low:g} to {high:g}" for low, high in pairwise(EDGES)]


def _line(draw: np.random.Generator, number: int, scale: Scale, *, slopes: tuple[float, float]) -> FloatArray:
    start = scale.forward(draw.uniform(0.10, 0.60, number))
    return start[:, None] + draw.uniform(*slopes, number)[:, None] * (YEARS - YEARS[0])


def as_assumed(draw: np.random.Generator, number: int) -> FloatArray:
    """What the headline assumes: a line on the logit scale, scattered by 0.10."""
    return special.expit(_line(draw, number, Scale(), slopes=(-0.1, 0.5)) + draw.normal(0, 0.10, (number, len(YEARS))))


def random_walk(draw: np.random.Generator, number: int) -> FloatArray:
    """Steps on the logit scale, of a drift and a normal of 0.10."""
    steps = draw.normal(0, 0.10, (number, len(YEARS)))
    steps[:, 0] = 0.0
    return special.expit(_line(draw, number, Scale(), slopes=(-0.1, 0.5)) + steps.cumsum(axis=1))


def ceiling(draw: np.random.Generator, number: int) -> FloatArray:
    """Logistic growth that ends at 90 %, scattered by 0.05."""
    scale = Scale("logit", 0.9)
    return scale.inverse(_line(draw, number, scale, slopes=(-0.1, 0.6)) + draw.normal(0, 0.05, (number, len(YEARS))))


def gompertz(draw: np.random.Generator, number: int) -> FloatArray:
    """Gompertz growth, scattered by 0.03 on its scale."""
    scale = Scale("gompertz")
    return scale.inverse(_line(draw, number, scale, slopes=(-0.05, 0.3)) + draw.normal(0, 0.03, (number, len(YEARS))))


PROCESSES: Mapping[str, Callable[[np.random.Generator, int], FloatArray]] = {
    "as_assumed": as_assumed,
    "random_walk": random_walk,
    "ceiling": ceiling,
    "gompertz": gompertz,
}


def surveyed(draw: np.random.Generator, truth: FloatArray) -> RateSeries:
    """The surveys of the first six years as series."""
    rate = truth[:, :SURVEYED]
    sd = np.sqrt(rate * (1 - rate) / N_EFFECTIVE)
    correlation = 0.5 ** np.abs(np.subtract.outer(np.arange(SURVEYED), np.arange(SURVEYED)))
    errors = draw.normal(size=rate.shape) @ np.linalg.cholesky(correlation).T
    seen = np.clip(rate + sd * errors, 1e-3, 1 - 1e-3)
    # The survey knows its own variance by its estimate
    own = np.sqrt(seen * (1 - seen) / N_EFFECTIVE)
    keys = pl.DataFrame({"domain_code": [f"{one:05d}" for one in range(len(seen))]}).select(
        pl.lit("made_up").alias("domain_type"),
        "domain_code",
        pl.lit("ai_adoption").alias("measure"),
        pl.lit("unit").alias("unit_weighting"),
    )
    covariance = own[:, :, None] * correlation * own[:, None, :]
    points = Points(YEARS[:SURVEYED].astype(np.float64), seen, covariance)
    return RateSeries(keys, points, seen, seen - 1.96 * own, seen + 1.96 * own)


def judged(process: str, *, seed: int, number: int, waves: tuple[int, ...] = (3, 4, 6)) -> pl.DataFrame:
    """One row a series, number of waves known and curve: process, waves, model, variant, p_target, outcome, covered."""
    draw = np.random.default_rng(seed)
    truth = PROCESSES[process](draw, number)
    series = surveyed(draw, truth)
    tables = []
    for known in waves:
        part = RateSeries(
            series.keys,
            series.points.upto(int(YEARS[known - 1])),
            *(values[:, :known] for values in (series.observed, series.low, series.high)),
        )
        made, _ = project(part, aim=AIM)
        last = made.filter(pl.col("kind") == "projected", pl.col("year") == AIM.year)
        came = series.keys.with_columns(pl.Series("then", truth[:, -1]))
        tables.append(
            last.join(came, on=list(KEY)).select(
                pl.lit(process).alias("process"),
                pl.lit(seed).alias("seed"),
                pl.lit(known).alias("waves"),
                "model",
                "variant",
                "p_target",
                (pl.col("then") >= AIM.value).alias("outcome"),
                pl.col("then").is_between("low", "high").alias("covered"),
                (100 * (pl.col("then") - pl.col("estimate"))).alias("error_pp"),
            )
        )
    return pl.concat(tables)


def scores(table: pl.DataFrame) -> pl.DataFrame:
    """By process, waves known and curve: Brier score, that of always giving the share of outcomes, coverage, error."""
    hit = pl.col("outcome").cast(pl.Float64)
    return (
        table.group_by("process", "waves", "model", "variant")
        .agg(
            pl.len().alias("series"),
            hit.mean().alias("reached"),
            pl.col("p_target").mean().alias("mean_p"),
            (pl.col("p_target") - hit).pow(2).mean().alias("brier"),
            (hit.mean() * (1 - hit.mean())).alias("brier_of_share"),
            pl.col("covered").mean().alias("coverage"),
            pl.col("error_pp").mean().alias("mean_error_pp"),
        )
        .sort("process", "waves", "model", "variant")
    )


def reliability(table: pl.DataFrame) -> pl.DataFrame:
    """The reliability diagram: by process, waves, curve and bin of P(target) its mean, and the share reached."""
    hit = pl.col("outcome").cast(pl.Float64)
    bins = pl.Series("bin", np.array(BINS)[np.searchsorted(EDGES[1:-1], table["p_target"].to_numpy())])
    return (
        table.with_columns(bins)
        .group_by("process", "waves", "model", "variant", "bin")
        .agg(pl.len().alias("series"), pl.col("p_target").mean().alias("mean_p"), hit.mean().alias("reached"))
        .with_columns(
            (pl.col("reached") - pl.col("mean_p")).alias("deviation"),
            (pl.col("mean_p") * (1 - pl.col("mean_p")) / pl.col("series")).sqrt().alias("monte_carlo_se"),
        )
        .sort("process", "waves", "model", "variant", "mean_p")
    )
