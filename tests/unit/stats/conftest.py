"""A made-up survey for the statistics tests: a frame, stratified samples with panel overlap, answers.

The population is known, so truth can be computed from it. Nothing here imitates the project's surveys closely.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

from pipelines.stats.collapse import Coarsening
from pipelines.stats.nonresponse import CollapseRule
from pipelines.stats.weighting import WeightingPlan

REGION_GROUPS = {"r1": "north", "r2": "north", "r3": "south", "r4": "south"}
MEASURES = ("ai_adoption", "stage_pilot")


@dataclass(frozen=True)
class Country:
    """frame: unit_id, group, size_class, region, ax (null for group g4), employment, y1, y2 (0/1 truth per wave)."""

    frame: pl.DataFrame
    seed: int

    def sample(
        self,
        wave: int = 1,
        *,
        start: float = 0.0,
        share: float = 0.1,
        response: float = 0.75,
        seed: int | None = None,
    ) -> pl.DataFrame:
        """Units of each stratum by permanent random number from ``start`` on; size class 'c' is take-all."""
        rng = np.random.default_rng(self.seed * 100 + wave if seed is None else seed)
        frame = self.frame.with_columns(((pl.col("prn") - start) % 1.0).alias("turn"))
        size = pl.len().over("selection_stratum")
        wanted = (
            pl.when(pl.col("take_all"))
            .then(size)
            .otherwise(pl.max_horizontal((share * size).ceil(), pl.min_horizontal(pl.lit(4), size)))
        )
        drawn = frame.with_columns(
            pl.col("turn").rank("ordinal").over("selection_stratum").alias("rank"),
            wanted.alias("wanted"),
            (wanted / size).alias("inclusion_probability"),
        ).filter(pl.col("rank") <= pl.col("wanted"))
        n = drawn.height
        u = rng.random(n)
        answered = u < response
        status = np.where(
            answered,
            "respondent",
            np.where(u < response + 0.6 * (1 - response), "eligible_nonrespondent", "unknown_eligibility"),
        )
        status = np.where(rng.random(n) < 0.04, "out_of_scope", status)
        code = {
            "respondent": "1.1",
            "eligible_nonrespondent": "2.1",
            "unknown_eligibility": "3.1",
            "out_of_scope": "4.2",
        }
        return drawn.select(
            "unit_id",
            "selection_stratum",
            "take_all",
            "inclusion_probability",
            pl.Series("status", status),
            pl.Series("disposition", [code[value] for value in status]),
        ).sort("unit_id")

    def answers(self, sample: pl.DataFrame, wave: int = 1) -> pl.DataFrame:
        """unit_measure rows of the respondents: some don't know, refuse or were not asked."""
        rng = np.random.default_rng(self.seed * 1000 + wave)
        respondents = sample.filter(pl.col("status") == "respondent").join(self.frame, on="unit_id").sort("unit_id")
        tables = []
        for measure, y in zip(MEASURES, (f"y{wave}", "y2"), strict=True):
            u = rng.random(respondents.height)
            status = np.select([u < 0.05, u < 0.08, u < 0.1], ["dont_know", "refused", "not_asked"], "answered")
            value = np.where(status == "answered", respondents[y].cast(pl.Float64).to_numpy(), np.nan)
            tables.append(
                pl.DataFrame(
                    {
                        "unit_id": respondents["unit_id"],
                        "field": [""] * respondents.height,
                        "measure": [measure] * respondents.height,
                        "value": value,
                        "answer_status": status,
                    }
                ).with_columns(pl.col("value").fill_nan(None))
            )
        return pl.concat(tables)

    def classified(self, weights: pl.DataFrame) -> pl.DataFrame:
        """Weights joined with the classification columns and employment."""
        return weights.join(
            self.frame.select("unit_id", "group", "size_class", "region", "ax", "employment"),
            on="unit_id",
            how="left",
        )


def make_country(seed: int, n: int = 4000) -> Country:
    rng = np.random.default_rng(seed)
    group = rng.choice(["g1", "g2", "g3", "g4"], n, p=[0.4, 0.3, 0.2, 0.1])
    size = rng.choice(["a", "b", "c"], n, p=[0.8, 0.17, 0.03])
    region = rng.choice(["r1", "r2", "r3", "r4"], n)
    employment = np.round(np.select([size == "a", size == "b"], [10, 60], 300) * (1 + rng.exponential(0.5, n)))
    effect = rng.normal(0, 1, n)
    level = -1.2 + 0.5 * (group == "g1") + 0.6 * (size == "b") + 1.2 * (size == "c") + effect
    y1 = (level + rng.logistic(0, 0.3, n) > 0).astype(int)
    y2 = (level + 0.3 + rng.logistic(0, 0.3, n) > 0).astype(int)
    # Some units changed size class after they came on the frame.
    selection_size = np.where(rng.random(n) < 0.03, np.where(size == "a", "b", size), size)
    frame = pl.DataFrame(
        {
            "unit_id": [f"{i:06d}" for i in range(n)],
            "group": group,
            "size_class": size,
            "region": region,
            "ax": np.where(group == "g4", None, np.char.add("AX", np.char.lstrip(group, "g"))).tolist(),
            "employment": employment.astype(np.int64),
            "selection_stratum": np.char.add(
                np.char.add(np.char.add(np.char.add(group, "/"), selection_size), "/"), region
            ),
            "take_all": selection_size == "c",
            "prn": rng.random(n),
            "y1": y1,
            "y2": y2,
        }
    )
    return Country(frame=frame, seed=seed)


@pytest.fixture(scope="session")
def country() -> Country:
    return make_country(20261123)


@pytest.fixture(scope="session")
def build_country() -> Callable[..., Country]:
    return make_country


@pytest.fixture(scope="session")
def plan() -> WeightingPlan:
    return WeightingPlan(
        strata=CollapseRule(
            parts=("group", "size_class", "region"),
            order=(
                Coarsening("region", "region_group", REGION_GROUPS),
                Coarsening("region", "without region"),
                Coarsening("size_class", "without size_class"),
                Coarsening("group", "without group"),
            ),
            min_respondents=2,
        ),
        classes=CollapseRule(
            parts=("group", "size_class"),
            order=(Coarsening("size_class", "without size_class"), Coarsening("group", "without group")),
            min_respondents=20,
            max_factor=2.0,
        ),
        post_strata=CollapseRule(
            parts=("group", "size_class"),
            order=(Coarsening("size_class", "without size_class"), Coarsening("group", "without group")),
            min_respondents=10,
        ),
    )
