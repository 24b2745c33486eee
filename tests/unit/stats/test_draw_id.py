"""What a unit is called decides nothing: neither the order of sums nor any draw."""

import numpy as np
import polars as pl

from pipelines.stats.change import Segment, adoption_change
from pipelines.stats.donors import HotDeck
from pipelines.stats.draw_id import in_draw_order
from pipelines.stats.imputation import impute
from pipelines.stats.nonresponse import CollapseRule
from pipelines.stats.rates import adoption_rates
from pipelines.stats.replicate_draws import SignDraws
from pipelines.stats.replicate_rates import replicate_rates
from pipelines.stats.replicate_weighting import ReplicateWeighting, draw_replicates
from pipelines.stats.survey_wave import Domain, Wave
from pipelines.stats.weighting import WeightingPlan, weight_sample
from tests.unit.stats.conftest import Country

DOMAINS = (Domain("total"), Domain("ax_industry", ("ax",)))
MEASURES = ("ai_adoption", "stage_pilot")


def renamed(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Other names in another order for the same units; ``draw_id`` is what they were called."""
    names = frame["unit_id"].unique().sort()
    other = pl.DataFrame(
        {"unit_id": names, "new": [f"k{at:06d}" for at in np.random.default_rng(seed).permutation(len(names))]}
    )
    return frame.join(other, on="unit_id", maintain_order="left")


def run(
    country: Country, plan: WeightingPlan, seed: int | None
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, ReplicateWeighting]:
    """Rates, changes, standard errors of replicates and replicates of a second wave, under some names."""
    names = renamed(country.frame.select("unit_id"), seed or 0)
    names = names.select(
        "unit_id", pl.col("unit_id").alias("draw_id"), "new" if seed else pl.col("unit_id").alias("new")
    )

    def called(rows: pl.DataFrame) -> pl.DataFrame:
        found = rows.join(names, on="unit_id", maintain_order="left").drop("unit_id").rename({"new": "unit_id"})
        return found.sort("unit_id")

    frame = called(country.frame)
    waves, made = [], None
    for number, start in ((1, 0.0), (2, 0.05)):
        sample = country.sample(number, start=start, share=0.2)
        result = weight_sample(called(sample), frame, plan=plan)
        classified = ("unit_id", "draw_id", "group", "size_class", "region", "ax", "employment")
        units = result.weights.join(frame.select(classified), on="unit_id")
        waves.append(Wave.build(units, called(country.answers(sample, number)).drop("draw_id"), frame=frame))
        previous = None if made is None else SignDraws(made.units["unit_id"], made.signs[0])
        made = draw_replicates(result, survey="s", wave=number, replicates=40, previous=previous)
    assert made is not None
    rates = adoption_rates(waves[1].units, waves[1].answers, frame=frame, domains=DOMAINS, measures=MEASURES)
    segment = Segment("s", "1", "1")
    changes = adoption_change(*waves, before_segment=segment, after_segment=segment, domains=DOMAINS, measures=MEASURES)
    return rates, changes, replicate_rates(waves[1], made, domains=DOMAINS, measures=MEASURES), made


def test_other_names_give_the_same_bits(country: Country, plan: WeightingPlan) -> None:
    """Not nearly the same: what is published is compared by its hash."""
    *tables, one = run(country, plan, None)
    *others, two = run(country, plan, 7)
    assert one.units["unit_id"].to_list() != two.units["unit_id"].to_list()
    assert one.units["draw_id"].equals(two.units["draw_id"])
    for table, other in zip(tables, others, strict=True):
        assert table.height > 0
        assert table.equals(other)
    assert all(np.array_equal(a, b) for a, b in zip(one.signs, two.signs, strict=True))


def test_donors_do_not_follow_names() -> None:
    rng = np.random.default_rng(3)
    frame = pl.DataFrame(
        {"unit_id": [f"{at:03d}" for at in range(60)], "weight": rng.uniform(1, 3, 60), "y": rng.normal(size=60)}
    )
    missing = (rng.random(60) < 0.3)[:, None]
    frame = frame.with_columns(pl.when(~pl.Series(missing[:, 0])).then("y").alias("y"))
    step = HotDeck(CollapseRule(parts=(), order=(), min_respondents=1), key=("s", "1"))
    other = renamed(frame, 5).rename({"unit_id": "draw_id", "new": "unit_id"})
    values, again = (impute(one, variables=["y"], missing=missing, chain=[step]).values["y"] for one in (frame, other))
    assert missing.sum() > 10
    assert values.equals(again)


def test_order_is_that_of_the_draw_id_where_there_is_one() -> None:
    frame = pl.DataFrame({"unit_id": ["b", "a", "c"], "draw_id": ["0.2/1", "0.3/1", "0.1/1"]})
    assert in_draw_order(frame)["unit_id"].to_list() == ["c", "b", "a"]
    assert in_draw_order(frame.drop("draw_id"))["draw_id"].to_list() == ["a", "b", "c"]
