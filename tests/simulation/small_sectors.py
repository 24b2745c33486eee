"""Eighteen small public sectors with a known truth, sampled again and again: model-based rates against direct ones.

Belongs here: the population, the samples, the errors of both estimates. Does not belong here: what is held
(test_small_area), files of figures (tests/bench/small_area.py).

A sector's level on the logit scale is a mean, an effect of two frame covariates, and an effect of its own, made
orthogonal to the covariates and so large that they explain R² = 0.3 of the levels; of the realised rates by
chance more or less. Both waves are drawn by permanent random number with 70 % overlap, as in the other simulations.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.orchestration.plans import weighting_plan
from pipelines.stats.small_area import AreaCovariate, small_areas
from pipelines.stats.survey_wave import Domain, Wave
from pipelines.stats.weighting import weight_sample
from tests.simulation.conftest import Population, WaveData

# Units of the sectors; a quarter of each stratum is drawn
SIZES = (32, 36, 40, 44, 48, 52, 56, 60, 64, 68, 72, 80, 88, 96, 120, 160, 240, 320)
SHARE = 0.25
SMALL = 20.0  # sectors with fewer respondents to expect are small
LEVEL_SD, R_SQUARED = 0.55, 0.3
SECTOR = Domain("public_sector", columns=("main_sector",))
OF_THE_FRAME = (
    AreaCovariate("mean_log_employment"),
    AreaCovariate("share", column="institution_type", codes=("local_government",)),
)
COVARIATES: Mapping[str, tuple[AreaCovariate, ...]] = {
    "of_the_frame": OF_THE_FRAME,
    "with_last_wave": (*OF_THE_FRAME, AreaCovariate("last_wave")),
}
MEASURE = "ai_adoption"
BATCH = 50


@dataclass(frozen=True, eq=False)
class Country:
    """A population of small sectors; ``truth``: main_sector, rate (second wave), respondents to expect, R² of both."""

    population: Population
    truth: pl.DataFrame
    r_squared: float


def country(library: ContractLibrary, seed: int) -> Country:
    """The population of a seed."""
    rng = np.random.default_rng([seed, 1])
    sector = np.repeat(np.arange(len(SIZES)), SIZES)
    n = len(sector)
    mix, size = rng.uniform(0.1, 0.9, len(SIZES)), rng.normal(5.0, 0.6, len(SIZES))
    local = rng.random(n) < mix[sector]
    employment = np.exp(size[sector] + rng.normal(0.0, 0.8, n)).round() + 1
    x = np.column_stack([np.ones(len(SIZES)), mix, size])
    own, signal = rng.normal(size=len(SIZES)), 1.5 * (mix - mix.mean()) + 0.7 * (size - size.mean())
    own = own - x @ np.linalg.lstsq(x, own, rcond=None)[0]
    level = LEVEL_SD * (np.sqrt(R_SQUARED) * signal / signal.std() + np.sqrt(1 - R_SQUARED) * own / own.std())
    chance = 1 / (1 + np.exp(-(level[sector] - 0.2)))
    first = rng.random(n) < chance
    later = np.where(first, rng.random(n) < 0.9, rng.random(n) < 0.2)
    kind = np.where(local, "local_government", "public_institution")
    codes = np.array([f"P{number + 1:02d}" for number in range(len(SIZES))])[sector]
    stratum = pl.Series(["/".join(parts) for parts in zip(codes, kind, strict=True)])
    drawn = pl.DataFrame({"stratum": stratum}).select(
        pl.max_horizontal(
            (SHARE * pl.len().over("stratum")).ceil(), pl.min_horizontal(pl.lit(4), pl.len().over("stratum"))
        )
    )
    units = pl.DataFrame(
        {
            "unit_id": [f"{number:06d}" for number in range(n)],
            "main_sector": codes,
            "institution_type": kind,
            "region": np.repeat("11", n),
            "employment": employment.astype(np.int64),
            "selection_stratum": stratum,
            "take_all": np.zeros(n, dtype=np.bool_),
            "born": np.zeros(n, dtype=np.bool_),
            "in_scope": np.ones(n, dtype=np.bool_),
            "reach": np.full(n, 0.95),
            "response": np.where(local, 0.9, 0.8),
        }
    )
    population = Population(
        survey="public",
        units=units,
        fields=pl.DataFrame(schema={"unit_id": pl.String, "field": pl.String, "y1": pl.Float64, "y2": pl.Float64}),
        truth={MEASURE: (first.astype(np.float64), later.astype(np.float64))},
        taken=drawn.to_series().cast(pl.Float64).to_numpy(),
        stratum=stratum.rank("dense").to_numpy().astype(np.int64) - 1,
        plan=weighting_plan(library.surveys["public"], library),
        domains=(Domain("total"), SECTOR),
    )
    expected = population.taken / population.inclusion(np.ones(n, dtype=np.bool_))[1]
    truth = (
        units.with_columns(
            pl.Series("y", later.astype(np.float64)),
            (pl.Series(expected) * 0.9 * pl.col("reach") * pl.col("response")).alias("n"),
        )
        .group_by("main_sector")
        .agg(pl.col("y").mean().alias("rate"), pl.col("n").sum(), pl.col("employment").log().mean())
        .sort("main_sector")
    )
    angle = np.arcsin(np.sqrt(truth["rate"].to_numpy()))
    realised = np.column_stack([np.ones(len(SIZES)), np.bincount(sector, local) / SIZES, truth["employment"]])
    residual = angle - realised @ np.linalg.lstsq(realised, angle, rcond=None)[0]
    return Country(population, truth.drop("employment"), float(1 - residual.var() / angle.var()))


def simulate(made: Country, *, seed: int, samples: int, replicates: int) -> pl.DataFrame:
    """Rows of small_areas, one a sample, choice of covariates (column ``choice``) and sector, with the truth.

    ``total`` is the direct rate of the whole in the sample.
    """
    rng, stack = np.random.default_rng([seed, 2]), made.population.stacked(BATCH)
    tables = []
    for _ in range(samples // BATCH):
        surveyed = stack.survey(rng)
        weights = [weight_sample(data.sample, data.frame, plan=stack.plan).weights for data in surveyed]
        for number in range(BATCH):
            waves = [_alone(data, weight, f"{number:04d}") for data, weight in zip(surveyed, weights, strict=True)]
            for choice, covariates in COVARIATES.items():
                found = small_areas(
                    waves[1],
                    before=waves[0],
                    domain=SECTOR,
                    measures=[MEASURE],
                    covariates=covariates,
                    # Draws of their own in each sample
                    key=("simulated", str(seed), str(len(tables))),
                    unit_weightings=["unit"],
                    replicates=replicates,
                )
                tables.append(found.with_columns(pl.lit(choice).alias("choice"), pl.lit(len(tables)).alias("sample")))
    return pl.concat(tables).join(
        made.truth.rename({"main_sector": "domain_code", "n": "expected_n"}), on="domain_code"
    )


def _alone(data: WaveData, weights: pl.DataFrame, label: str) -> Wave:
    own = pl.col("unit_id").str.starts_with(f"{label}:")
    frame = data.frame.filter(own)
    units = weights.filter(own)
    listed = frame.drop([name for name in frame.columns if name in units.columns and name != "unit_id"])
    return Wave.build(units.join(listed, on="unit_id"), data.answers.filter(own), frame=frame)


def by_sector(draws: pl.DataFrame) -> pl.DataFrame:
    """Squared errors of both estimates, what was claimed, and coverage, one row a choice and sector."""
    error, truth = pl.col("estimate") - pl.col("rate"), pl.col("rate")
    return (
        draws.group_by("choice", "domain_code")
        .agg(
            pl.col("expected_n", "rate").first(),
            pl.len().alias("samples"),
            (pl.col("direct") - truth).pow(2).mean().alias("direct_mse"),
            error.pow(2).mean().alias("model_mse"),
            error.mean().alias("model_bias"),
            pl.col("rmse").pow(2).mean().alias("claimed_mse"),
            truth.is_between("ci_low", "ci_high").mean().alias("coverage"),
            (pl.col("ci_high") - pl.col("ci_low")).mean().alias("interval_length"),
            pl.col("gamma").mean(),
        )
        .with_columns((pl.col("model_mse") / pl.col("direct_mse")).alias("ratio"))
        .sort("choice", "domain_code")
    )


def summary(sectors: pl.DataFrame) -> pl.DataFrame:
    """One row a choice, over the small sectors; the worst sector is that with the largest ratio."""
    return (
        sectors.filter(pl.col("expected_n") < SMALL)
        .group_by("choice")
        .agg(
            pl.len().alias("small_sectors"),
            pl.col("expected_n").mean(),
            (pl.col("model_mse").mean() / pl.col("direct_mse").mean()).alias("ratio"),
            pl.col("ratio").max().alias("worst_ratio"),
            pl.col("domain_code").sort_by("ratio").last().alias("worst_sector"),
            (pl.col("claimed_mse").mean() / pl.col("model_mse").mean()).alias("claimed_over_true_mse"),
            pl.col("coverage").mean(),
            pl.col("coverage").min().alias("lowest_coverage"),
            pl.col("interval_length").mean(),
            pl.col("gamma").mean(),
        )
        .sort("choice")
    )
