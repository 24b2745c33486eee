"""From sample and frame to weights, on the made-up country of conftest."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from pipelines.errors import AxstatError, ViolationsError
from pipelines.stats.collapse import Coarsening
from pipelines.stats.nonresponse import CollapseRule, ResponseModel
from pipelines.stats.weighting import WEIGHT_COLUMNS, WeightingPlan, weight_sample

FACTORS = ("base_weight", "eligibility_factor", "nonresponse_factor", "calibration_factor")


def test_columns_rows_and_product(country, plan) -> None:
    sample = country.sample()
    weights = weight_sample(sample, country.frame, plan=plan).weights
    assert tuple(weights.columns) == WEIGHT_COLUMNS
    kept = sample.filter(pl.col("status").is_in(["respondent", "out_of_scope"]))
    assert weights["unit_id"].to_list() == sorted(kept["unit_id"].to_list())
    product = np.prod([weights[name].to_numpy() for name in FACTORS], axis=0)
    assert weights["weight"].to_numpy() == pytest.approx(product, rel=1e-12)
    assert weights.null_count().sum_horizontal()[0] == 0


def test_frame_counts_are_met_in_every_post_stratum(country, plan) -> None:
    weights = weight_sample(country.sample(), country.frame, plan=plan).weights
    reached = weights.group_by("post_stratum").agg(pl.col("weight").sum())
    frame = country.frame.with_columns(pl.concat_str(["group", "size_class"], separator="/").alias("cell"))
    counts = dict(frame.group_by("cell").len().iter_rows())
    log = weight_sample(country.sample(), country.frame, plan=plan).collapse_log
    for cell, into in log.filter(pl.col("purpose") == "post_stratum").select("cell", "merged_into").iter_rows():
        counts[into] += counts.pop(cell)
    assert reached.height == len(counts)
    for cell, total in reached.iter_rows():
        assert total == pytest.approx(counts[cell], rel=1e-9), cell


def test_a_response_model_changes_the_factors_and_keeps_the_totals(country, plan) -> None:
    sample = country.sample()
    by_class = weight_sample(sample, country.frame, plan=plan).weights
    model = ResponseModel(terms=("group", "size_class"), use="inverse")
    modelled = weight_sample(sample, country.frame, plan=replace(plan, response_model=model)).weights
    assert modelled["unit_id"].to_list() == by_class["unit_id"].to_list()
    assert modelled["weight"].sum() == pytest.approx(by_class["weight"].sum(), rel=1e-9)
    quantiles = replace(
        plan,
        classes=CollapseRule(
            parts=("propensity_class",),
            order=(Coarsening("propensity_class", "without propensity_class"),),
            min_respondents=5,
        ),
        response_model=ResponseModel(terms=("group", "size_class"), use="classes", classes=4),
    )
    classed = weight_sample(sample, country.frame, plan=quantiles).weights
    assert {label.partition("#")[0] for label in classed["nonresponse_class"].unique()} <= {"1", "2", "3", "4"}
    assert classed["weight"].sum() == pytest.approx(by_class["weight"].sum(), rel=1e-9)


def test_variance_strata_count_observed_units_and_frame(country, plan) -> None:
    result = weight_sample(country.sample(share=0.02, response=0.5), country.frame, plan=plan)
    weights = result.weights
    merges = result.collapse_log.filter(pl.col("purpose") == "variance_stratum")
    assert merges.height > 0
    counted = weights.group_by("variance_stratum").agg(
        pl.len().alias("rows"),
        pl.col("stratum_n", "stratum_population").first(),
        (pl.col("status") == "respondent").sum().alias("respondents"),
        pl.col("take_all").n_unique().alias("kinds"),
    )
    assert (counted["rows"] == counted["stratum_n"]).all()
    assert counted["stratum_population"].sum() == country.frame.height
    assert (counted["kinds"] == 1).all()
    sparse = counted.filter((pl.col("respondents") < 2) & (pl.col("rows") < pl.col("stratum_population")))
    assert sparse.height == 0


def test_take_all_strata_are_as_wide_as_the_weighting_classes(country, plan) -> None:
    """Classes are group x size: the take-all strata of a group are one for the variance, but for complete ones."""
    weights = weight_sample(country.sample(), country.frame, plan=plan).weights.filter("take_all")
    counts = (
        country.frame.filter("take_all")
        .group_by("selection_stratum")
        .agg(pl.len().alias("population"))
        .join(weights.group_by("selection_stratum").agg(pl.len().alias("n")), on="selection_stratum", how="left")
        .with_columns(pl.col("n").fill_null(0), pl.col("selection_stratum").str.split("/").list.first().alias("group"))
    )
    is_open = pl.col("n") < pl.col("population")
    expected = counts.filter(is_open).group_by("group").agg(pl.len().alias("strata"), pl.col("n", "population").sum())
    assert expected["strata"].min() > 1
    assert counts.filter(~is_open).height > 0
    joined = weights.join(counts, on="selection_stratum").join(expected, on="group", suffix="_of_group")
    wide, alone = joined.filter(is_open), joined.filter(~is_open)
    assert (wide["stratum_n"] == wide["n_of_group"]).all()
    assert (wide["stratum_population"] == wide["population_of_group"]).all()
    assert (alone["variance_stratum"] == alone["selection_stratum"]).all()
    assert (alone["stratum_n"] == alone["stratum_population"]).all()


def test_order_of_rows_does_not_matter(country, plan) -> None:
    sample = country.sample()
    first = weight_sample(sample, country.frame, plan=plan)
    second = weight_sample(
        sample.sample(fraction=1.0, shuffle=True, seed=3),
        country.frame.sample(fraction=1.0, shuffle=True, seed=4),
        plan=plan,
    )
    assert first.weights.equals(second.weights)
    assert first.collapse_log.equals(second.collapse_log)
    assert first.diagnostics.equals(second.diagnostics)


def test_a_full_census_has_weight_one(country, plan) -> None:
    everyone = country.frame.select(
        "unit_id",
        "selection_stratum",
        pl.lit(1.0).alias("inclusion_probability"),
        pl.lit("respondent").alias("status"),
    )
    frame = country.frame.with_columns(pl.lit(True).alias("take_all"))
    weights = weight_sample(everyone, frame, plan=plan).weights
    assert (weights["weight"] == 1.0).all()
    assert (weights["stratum_n"] == weights["stratum_population"]).all()


def test_units_off_the_frame_are_left_out_and_counted(country, plan) -> None:
    sample = country.sample()
    gone = sample.head(3).with_columns(("x" + pl.col("unit_id")).alias("unit_id"))
    with_gone = weight_sample(pl.concat([sample, gone]), country.frame, plan=plan)
    assert with_gone.weights.equals(weight_sample(sample, country.frame, plan=plan).weights)
    value = with_gone.diagnostics.filter(pl.col("diagnostic") == "not_on_frame")["value"].to_list()
    assert value == [3.0]


def test_diagnostics(country, plan) -> None:
    result = weight_sample(country.sample(), country.frame, plan=plan)
    table = {(d, s): v for d, s, v in result.diagnostics.iter_rows()}
    weight = result.weights["weight"].to_numpy()
    assert table["sum", "calibration"] == pytest.approx(country.frame.height, rel=1e-12)
    assert table["cv", "calibration"] == pytest.approx(weight.std() / weight.mean())
    assert table["kish_deff", "calibration"] == pytest.approx(1 + table["cv", "calibration"] ** 2)
    assert table["margin_distance_max", "calibration"] < 1e-12
    assert table["margin_distance_max", "nonresponse"] > 1e-3
    assert table["n", "base"] == country.sample().height


def test_take_all_units_in_a_sampled_stratum_are_a_stratum_of_their_own(country, plan) -> None:
    sample = country.sample()
    certain = sample.filter(pl.col("status") == "respondent").sort("unit_id").head(40)["unit_id"]
    frame = country.frame.with_columns(
        (pl.col("take_all") | pl.col("unit_id").is_in(certain.to_list())).alias("take_all")
    )
    chosen = sample.with_columns(
        pl.when(pl.col("unit_id").is_in(certain.to_list()))
        .then(1.0)
        .otherwise(pl.col("inclusion_probability"))
        .alias("inclusion_probability")
    )
    weights = weight_sample(chosen, frame, plan=plan).weights
    mixed = weights.filter(pl.col("unit_id").is_in(certain.to_list()))
    assert mixed.filter(pl.col("variance_stratum").str.ends_with("#take_all")).height > 0
    assert weights.group_by("variance_stratum").agg(pl.col("take_all").n_unique())["take_all"].max() == 1


def test_faults_are_named_together(country, plan) -> None:
    sample = country.sample()
    take_all = sample.filter(pl.col("take_all"))["unit_id"][0]
    others = sample.filter(~pl.col("take_all"))["unit_id"].head(4).to_list()
    unit, probability = pl.col("unit_id"), pl.col("inclusion_probability")
    broken = sample.with_columns(
        pl.when(unit == others[0])
        .then(None)
        .when(unit == take_all)
        .then(0.5)
        .otherwise(probability)
        .alias("inclusion_probability"),
        pl.when(unit == others[1]).then(pl.lit("asleep")).otherwise(pl.col("status")).alias("status"),
        pl.when(unit == others[2])
        .then(pl.lit("g9/a/r1"))
        .otherwise(pl.col("selection_stratum"))
        .alias("selection_stratum"),
    )
    broken = pl.concat([broken, broken.filter(unit == others[3])])
    with pytest.raises(ViolationsError) as error:
        weight_sample(broken, country.frame, plan=plan)
    found = {violation.code: violation.where for violation in error.value.violations}
    assert found == {
        "unit_repeated": f"units {others[3]}",
        "inclusion_probability_invalid": f"units {others[0]}",
        "take_all_not_certain": f"units {take_all}",
        "status_unknown": f"units {others[1]}",
        "selection_stratum_differs": f"units {others[2]}",
    }


def test_sample_and_frame_of_different_surveys(country, plan) -> None:
    sample = country.sample().with_columns(("p" + pl.col("unit_id")).alias("unit_id"))
    with pytest.raises(ViolationsError, match="empty_sample"):
        weight_sample(sample, country.frame, plan=plan)


def test_malformed_stratum_and_missing_classification(country, plan) -> None:
    sample = country.sample()
    cut = pl.col("selection_stratum").str.replace("/r", "r")
    with pytest.raises(AxstatError, match="selection_stratum_malformed"):
        weight_sample(sample.with_columns(cut), country.frame.with_columns(cut), plan=plan)
    drawn = sample["unit_id"].to_list()
    undrawn = country.frame.filter(~pl.col("unit_id").is_in(drawn))["unit_id"][0]
    hole = country.frame.with_columns(pl.when(pl.col("unit_id") != undrawn).then(pl.col("group")).alias("group"))
    with pytest.raises(AxstatError, match="post_stratum_part_missing") as error:
        weight_sample(sample, hole, plan=plan)
    assert undrawn in error.value.where


def test_calibration_factor_limit_collapses_post_strata(country, plan) -> None:
    narrow = WeightingPlan(
        strata=plan.strata,
        classes=plan.classes,
        post_strata=CollapseRule(
            parts=plan.post_strata.parts,
            order=(Coarsening("size_class", "without size_class"), Coarsening("group", "without group")),
            min_respondents=1,
            max_factor=1.02,
        ),
    )
    log = weight_sample(country.sample(), country.frame, plan=narrow).collapse_log
    reasons = log.filter(pl.col("purpose") == "post_stratum")["reason"].to_list()
    assert any("calibration factor" in reason for reason in reasons)
