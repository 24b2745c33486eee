"""The chain in every replicate: against the steps themselves, stored and back, what stays true in each."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from pipelines.errors import AxstatError
from pipelines.stats.calibration import post_stratify
from pipelines.stats.design import SingletonStratumError, SurveyDesign
from pipelines.stats.linearization import linearized_total
from pipelines.stats.nonresponse import CollapseRule, ResponseModel
from pipelines.stats.replicate_draws import TAU
from pipelines.stats.replicate_weighting import (
    BLOCK,
    ReplicateWeighting,
    draw_replicates,
    replicate_units,
    rerun_weights,
)
from pipelines.stats.variance import variance
from pipelines.stats.weighting import WeightingPlan, WeightingResult, weight_sample

REPLICATES = BLOCK + 6  # a whole block and a part of one


@pytest.fixture(scope="module")
def result(country, plan) -> WeightingResult:
    return weight_sample(country.sample(), country.frame, plan=plan)


@pytest.fixture(scope="module")
def drawn(result) -> ReplicateWeighting:
    return draw_replicates(result, survey="industry", wave=2025, replicates=REPLICATES)


def directly(units: pl.DataFrame, level: dict[str, np.ndarray]) -> np.ndarray:
    """One replicate by the words of method.md 2, class by class, then `post_stratify` to the full-sample totals."""
    base, status = units["base_weight"].to_numpy(), units["status"].to_numpy()
    label = units["nonresponse_class"].to_numpy()
    weight = np.zeros(units.height)
    for name in np.unique(label):
        here = label == name
        kind = {s: here & (status == s) for s in np.unique(status)}
        none = np.zeros(units.height, dtype=bool)
        asked = kind.get("respondent", none) | kind.get("eligible_nonrespondent", none)
        out = kind.get("out_of_scope", none)
        unknown = (base * level["all"])[here].sum() - (base * level["known"])[asked | out].sum()
        known = (base * level["known"])[asked | out].sum()
        eligibility = 1.0 + unknown / known
        responding = kind.get("respondent", none)
        if responding.any():
            response = (base * level["known"])[asked].sum() / (base * level["respondent"])[responding].sum()
            weight[responding] = (base * level["respondent"])[responding] * eligibility * response
        weight[out] = (base * level["known"])[out] * eligibility
    kept = units.with_columns(pl.Series("made", weight)).filter(pl.col("weight").is_not_null())
    totals = dict(kept.group_by("post_stratum").agg(pl.col("weight").sum()).iter_rows())
    return post_stratify(kept["made"].to_numpy(), kept["post_stratum"], totals).weight


def levels_of(drawn: ReplicateWeighting, replicate: int) -> dict[str, np.ndarray]:
    """Factors after each phase, from the signs and the formulas of the module's docstring."""
    units = drawn.units.with_columns(
        pl.Series("sign", np.where(drawn.signs[0][:, replicate], 1.0, -1.0)),
        pl.len().over("variance_stratum").alias("n"),
    )
    status, base = pl.col("status"), pl.col("base_weight")
    known = status != "unknown_eligibility"
    eligible = known & (status != "out_of_scope")
    responding = status == "respondent"
    fraction = pl.col("n") / pl.col("stratum_population")
    frame = units.select(
        status,
        pl.when(pl.col("n") > 1)
        .then(
            ((1 - fraction) * pl.col("n") / (pl.col("n") - 1)).sqrt()
            * (pl.col("sign") - pl.col("sign").mean().over("variance_stratum"))
        )
        .otherwise(0.0)
        .alias("sampling"),
        fraction.alias("f"),
        (base.filter(known).sum() / base.sum()).over("nonresponse_class").alias("q"),
        (base.filter(responding).sum() / base.filter(eligible).sum())
        .over("nonresponse_class")
        .fill_nan(1.0)
        .alias("p"),
        known.sum().over("nonresponse_class").alias("k"),
        responding.sum().over("nonresponse_class").alias("r"),
    )
    f, q, p, k, r = (frame[name].cast(pl.Float64).to_numpy() for name in ("f", "q", "p", "k", "r"))
    second, third = (np.where(sign[:, replicate], 1.0, -1.0) for sign in drawn.signs[1:])
    several = [np.where(count > 1, count / np.maximum(count - 1, 1), 1.0) for count in (k, r)]
    everyone = 1.0 + frame["sampling"].to_numpy() / TAU
    after_known = everyone + second * np.sqrt(np.maximum(f * (1 - q), 0) * several[0]) / TAU
    after_response = after_known + third * np.sqrt(np.maximum(f * q * (1 - p), 0) * several[1]) / TAU
    return {"all": everyone, "known": after_known, "respondent": after_response}


def test_the_rerun_chain_is_that_of_the_steps(drawn) -> None:
    made = drawn.weights("rerun")
    assert made.shape == (drawn.unit_id.len(), REPLICATES)
    for replicate in (0, 1, BLOCK, REPLICATES - 1):
        assert made[:, replicate] == pytest.approx(directly(drawn.units, levels_of(drawn, replicate)), rel=1e-10)


def test_the_held_chain_is_the_bootstrap_of_the_observed_units(drawn, result) -> None:
    weights = result.weights
    design = SurveyDesign.from_frame(
        weights, weight="weight", strata="variance_stratum", stages=["unit_id"], population=["stratum_population"]
    )
    stage = design.stages[0]
    spread = np.where(stage.sampled > 1, stage.unsampled_share * stage.several, 0.0)
    kept = drawn.units["weight"].is_not_null().to_numpy()
    totals = dict(weights.group_by("post_stratum").agg(pl.col("weight").sum()).iter_rows())
    before = np.prod(
        [weights[f"{name}"].to_numpy() for name in ("base_weight", "eligibility_factor", "nonresponse_factor")], axis=0
    )
    made = drawn.weights("held")
    for replicate in (0, BLOCK, REPLICATES - 1):
        sign = np.where(drawn.signs[0][kept, replicate], 1.0, -1.0)
        mean = np.bincount(design.stratum, weights=sign) / stage.sampled
        factor = 1.0 + np.sqrt(spread)[design.stratum] * (sign - mean[design.stratum]) / TAU
        wanted = post_stratify(before * factor, weights["post_stratum"], totals).weight
        assert made[:, replicate] == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize("chain", ["held", "rerun"])
def test_every_replicate_is_positive_and_meets_the_frame_counts(drawn, result, chain) -> None:
    made = drawn.weights(chain)
    assert made.min() > 0
    post = result.weights["post_stratum"]
    for label in post.unique().sort():
        rows = (post == label).to_numpy()
        total = result.weights["weight"].to_numpy()[rows].sum()
        assert np.abs(made[rows].sum(axis=0) / total - 1.0).max() < 1e-9, label


def test_without_draws_the_chain_is_the_weight_itself(result) -> None:
    """Factors of 1: the eligibility, non-response and calibration factors of `weight_sample`."""
    units = replicate_units(result)
    made = rerun_weights(units, np.ones((units.height, 2)))
    assert made[:, 1] == pytest.approx(result.weights["weight"].to_numpy(), rel=1e-12)


def test_replicates_come_back_from_the_tables(drawn) -> None:
    frames = drawn.to_frames()
    assert frames["units"]["sampling_draw"].bin.size().unique().to_list() == [-(-REPLICATES // 8)]
    assert frames["class_factors"].height == len(drawn.classes) * REPLICATES
    assert frames["calibration_factors"].height == 2 * len(drawn.post_strata) * REPLICATES
    back = ReplicateWeighting.from_frames(
        {name: table.sample(fraction=1.0, shuffle=True, seed=4) for name, table in frames.items()}
    )
    for chain in ("held", "rerun"):
        assert np.array_equal(back.weights(chain), drawn.weights(chain))
        some = slice(BLOCK - 2, BLOCK + 3)
        assert np.array_equal(back.weights(chain, some), drawn.weights(chain)[:, some])
        assert np.array_equal(np.hstack(list(back.blocks(chain))), drawn.weights(chain))
    with pytest.raises(AxstatError, match="replicate_factors_incomplete"):
        ReplicateWeighting.from_frames(frames | {"class_factors": frames["class_factors"].slice(1)})


def test_stored_class_factors_are_those_of_the_weights(drawn) -> None:
    """Respondent and out-of-scope unit of one class: weight over base and draw is the product of the stored factors."""
    replicate = 3
    stored = drawn.to_frames()["class_factors"].filter(pl.col("replicate") == replicate + 1)
    factors = {row[0]: row[2:] for row in stored.iter_rows()}
    post = drawn.to_frames()["calibration_factors"].filter(
        (pl.col("replicate") == replicate + 1) & (pl.col("chain") == "rerun")
    )
    calibration = dict(post.select("post_stratum", "calibration_factor").iter_rows())
    level = levels_of(drawn, replicate)
    made = dict(zip(drawn.unit_id.to_list(), drawn.weights("rerun")[:, replicate], strict=True))
    for index, unit in enumerate(drawn.units.iter_rows(named=True)):
        if unit["weight"] is None:
            continue
        eligibility, response = factors[unit["nonresponse_class"]]
        wanted = unit["base_weight"] * calibration[unit["post_stratum"]] * eligibility
        respondent = unit["status"] == "respondent"
        wanted *= response * level["respondent"][index] if respondent else level["known"][index]
        assert made[unit["unit_id"]] == pytest.approx(wanted, rel=1e-10)


def test_order_of_rows_and_other_units_do_not_matter(country, plan, result, drawn) -> None:
    again = weight_sample(
        country.sample().sample(fraction=1.0, shuffle=True, seed=3),
        country.frame.sample(fraction=1.0, shuffle=True, seed=4),
        plan=plan,
    )
    other = draw_replicates(again, survey="industry", wave=2025, replicates=REPLICATES)
    for chain in ("held", "rerun"):
        assert np.array_equal(other.weights(chain), drawn.weights(chain))
    # A permanent sign: in a sample with other units it is the same.
    few = weight_sample(country.sample(share=0.2), country.frame, plan=plan)
    larger = draw_replicates(few, survey="industry", wave=2025, replicates=REPLICATES)
    shared = drawn.units["unit_id"].is_in(larger.units["unit_id"].to_list()).to_numpy()
    assert shared.sum() > 300
    at = larger.units["unit_id"].search_sorted(drawn.units["unit_id"].filter(pl.Series(shared))).to_numpy()
    assert np.array_equal(larger.signs[0][at], drawn.signs[0][shared])


def test_a_full_census_has_no_variance(country, plan) -> None:
    everyone = country.frame.select(
        "unit_id",
        "selection_stratum",
        pl.lit(1.0).alias("inclusion_probability"),
        pl.lit("respondent").alias("status"),
    )
    census = weight_sample(everyone, country.frame.with_columns(pl.lit(True).alias("take_all")), plan=plan)
    drawn = draw_replicates(census, survey="s", wave=1, replicates=10)
    for chain in ("held", "rerun"):
        assert (drawn.weights(chain) == 1.0).all()


def test_held_variance_of_a_total_is_taylors(result) -> None:
    """4,000 replicates, recalibrated: V of a total is within 4.5 Monte Carlo errors + 1 % of the residual variance."""
    drawn = draw_replicates(result, survey="s", wave=1, replicates=4000)
    weights = result.weights
    y = np.random.default_rng(8).lognormal(0.0, 0.5, weights.height)[:, None]
    design = SurveyDesign.from_frame(
        weights,
        weight="weight",
        strata="variance_stratum",
        stages=["unit_id"],
        population=["stratum_population"],
        calibration_group="post_stratum",
    )
    linear = variance(design, linearized_total(design, y).influence)[0]
    replicates = np.concatenate([y[:, 0] @ block for block in drawn.blocks("held")])
    squares = drawn.scale * 4000 * np.square(replicates - (weights["weight"].to_numpy() @ y)[0])
    assert abs(squares.mean() - linear) < 4.5 * squares.std() / np.sqrt(4000) + 0.01 * linear
    assert drawn.analysis("held").variance(replicates[:, None], weights["weight"].to_numpy() @ y)[0] == pytest.approx(
        squares.mean(), rel=1e-12
    )


def test_a_class_in_one_stratum_has_the_variance_of_its_respondents(plan) -> None:
    """One take-all stratum, 40 of 90 respond: Taylor's (1 - 40/90) 90^2 s^2/40, in both chains (4.5 errors + 1 %)."""
    rng = np.random.default_rng(4)
    frame = pl.DataFrame(
        {"unit_id": [f"{i:02d}" for i in range(90)], "group": "g1", "size_class": "c", "region": "r1"}
    ).with_columns(pl.lit("g1/c/r1").alias("selection_stratum"), pl.lit(True).alias("take_all"))
    status = ["respondent"] * 40 + ["eligible_nonrespondent"] * 35 + ["unknown_eligibility"] * 15
    sample = frame.select("unit_id", "selection_stratum", pl.lit(1.0).alias("inclusion_probability")).with_columns(
        pl.Series("status", rng.permutation(status))
    )
    loose = WeightingPlan(
        strata=plan.strata,
        classes=CollapseRule(plan.classes.parts, plan.classes.order, min_respondents=20, max_factor=4.0),
        post_strata=plan.post_strata,
    )
    result = weight_sample(sample, frame, plan=loose)
    y = rng.normal(5, 1, 40)
    wanted = (1 - 40 / 90) * 90**2 * y.var(ddof=1) / 40
    drawn = draw_replicates(result, survey="s", wave=1, replicates=4000)
    for chain in ("held", "rerun"):
        squares = drawn.scale * 4000 * np.square(y @ drawn.weights(chain) - 90 / 40 * y.sum())
        assert abs(squares.mean() - wanted) < 4.5 * squares.std() / np.sqrt(4000) + 0.01 * wanted, chain


def test_a_lonely_stratum_is_refused(result) -> None:
    lone = result.selected.filter(pl.col("status") == "respondent").head(1)["unit_id"][0]
    alone = pl.when(pl.col("unit_id") == lone).then(pl.lit("alone")).otherwise("variance_stratum")
    broken = replace(result, selected=result.selected.with_columns(alone.alias("variance_stratum")))
    with pytest.raises(SingletonStratumError, match="alone"):
        draw_replicates(broken, survey="s", wave=1, replicates=5)


def test_replicates_without_weight_in_a_class_are_named(result) -> None:
    units = replicate_units(result)
    factor = np.ones((units.height, 3))
    name = units["nonresponse_class"][0]
    factor[(units["nonresponse_class"] == name).to_numpy(), 1] = 0.0
    with pytest.raises(AxstatError, match="empty_in_replicate") as caught:
        rerun_weights(units, factor)
    assert name in caught.value.where


def test_inverse_propensities_are_carried_through_a_rerun(country, plan) -> None:
    """Factors of 1 in every replicate give the weights themselves; the propensities are those of the sample."""
    model = ResponseModel(terms=("group", "size_class"), use="inverse")
    result = weight_sample(country.sample(), country.frame, plan=replace(plan, response_model=model))
    units = replicate_units(result)
    made = rerun_weights(units, np.ones((units.height, 1)))
    assert made[:, 0] == pytest.approx(result.weights["weight"].to_numpy(), rel=1e-12)
    assert units["inverse_propensity"].n_unique() > 2
