"""The chain of our own surveys, written as a specification: the same weights on the made-up country."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipelines.stats.collapse import Coarsening
from pipelines.stats.nonresponse import CollapseRule, ResponseModel
from pipelines.stats.weighting import WeightingPlan, weight_sample
from pipelines.weighting.diagnostics import DISTRIBUTION
from pipelines.weighting.waves import SYNTHETIC_NOTE, wave_weights
from tests.unit.stats.conftest import make_country
from tests.unit.weighting.conftest import Weigh

COUNTRY = make_country(20261124)
ORDER = (Coarsening("size_class", "without size_class"), Coarsening("group", "without group"))
PLAN = WeightingPlan(
    strata=CollapseRule(
        parts=("group", "size_class", "region"),
        order=(Coarsening("region", "without region"), *ORDER),
        min_respondents=2,
    ),
    classes=CollapseRule(parts=("group", "size_class"), order=ORDER, min_respondents=20, max_factor=2.0),
    post_strata=CollapseRule(parts=("group", "size_class"), order=ORDER, min_respondents=10),
)
KEYS: dict[str, Any] = {
    "unit": "unit_id",
    "base": {"probability": "inclusion_probability"},
    "status": {
        "column": "disposition",
        "respondent": ["1.1"],
        "eligible_nonrespondent": ["2.1"],
        "unknown_eligibility": ["3.1"],
        "out_of_scope": ["4.2"],
    },
    "response": {
        "classes": ["group", "size_class"],
        "collapse": ["size_class", "group"],
        "min_respondents": 20,
        "max_factor": 2,
        "stratum": "selection_stratum",
        "take_all": {"take_all": True},
    },
    "frame": {"file": "frame.csv"},
    "calibration": {
        "method": "poststratify",
        "margins": ["group:size_class"],
        "collapse": ["size_class", "group"],
        "min_respondents": 10,
    },
}
MODELS: dict[str, tuple[WeightingPlan, dict[str, Any]]] = {
    "classes": (PLAN, {}),
    "inverse": (
        replace(PLAN, response_model=ResponseModel(terms=("group", "size_class"), use="inverse", max_factor=3.0)),
        {"model": {"terms": ["group", "size_class"], "use": "inverse", "max_factor": 3}},
    ),
    "quantiles": (
        replace(
            PLAN,
            classes=CollapseRule(
                parts=("propensity_class",),
                order=(Coarsening("propensity_class", "without propensity_class"),),
                min_respondents=5,
            ),
            response_model=ResponseModel(terms=("group", "employment"), use="classes", classes=4),
        ),
        {
            "classes": ["propensity_class"],
            "collapse": ["propensity_class"],
            "min_respondents": 5,
            "max_factor": None,
            "model": {"terms": ["group", "employment"], "use": "classes", "classes": 4},
        },
    ),
}


@pytest.mark.parametrize(("share", "response"), [(0.1, 0.75), (0.03, 0.6)])
@pytest.mark.parametrize("model", MODELS)
def test_the_weights_are_the_same(weigh: Weigh, model: str, share: float, response: float) -> None:
    plan, changed = MODELS[model]
    sample = COUNTRY.sample(share=share, response=response)
    theirs = weight_sample(sample, COUNTRY.frame, plan=plan)
    classified = sample.join(
        COUNTRY.frame.select("unit_id", "group", "size_class", "employment"), on="unit_id", maintain_order="left"
    )
    keys = KEYS | {"response": KEYS["response"] | changed}
    ours = weigh({"sample.csv": classified, "frame.csv": COUNTRY.frame}, **keys)
    carried = ours.weights.filter(pl.col("weight") != 0)
    assert carried["unit_id"].to_list() == theirs.weights["unit_id"].to_list()
    for name in ("base_weight", "eligibility_factor", "nonresponse_factor", "calibration_factor", "weight"):
        np.testing.assert_allclose(carried[name].to_numpy(), theirs.weights[name].to_numpy(), rtol=1e-12, err_msg=name)
    assert carried["nonresponse_class"].to_list() == theirs.weights["nonresponse_class"].to_list()
    labels = carried["post_stratum"].str.replace(":", "/", literal=True)
    assert labels.to_list() == theirs.weights["post_stratum"].to_list()
    merges = theirs.collapse_log.filter(pl.col("purpose").is_in(["nonresponse_class", "post_stratum"]))
    told = ours.diagnostics.filter(pl.col("diagnostic").is_in(["collapse", "unresolved"]))
    assert told["cell"].str.replace(":", "/", literal=True).to_list() == merges["cell"].to_list()


@pytest.mark.parametrize("model", MODELS)
def test_a_wave_is_told_like_a_specification(weigh: Weigh, model: str) -> None:
    """The report of a wave of ours: every figure that the same sample gets through a specification."""
    plan, changed = MODELS[model]
    sample = COUNTRY.sample(share=0.1, response=0.75)
    classified = sample.join(
        COUNTRY.frame.select("unit_id", "group", "size_class", "employment"), on="unit_id", maintain_order="left"
    )
    keys = KEYS | {"response": KEYS["response"] | changed}
    asked = weigh({"sample.csv": classified, "frame.csv": COUNTRY.frame}, **keys)
    told = wave_weights(
        weight_sample(sample, COUNTRY.frame, plan=plan), sample, name="wave", synthetic=True, changes={}
    )
    assert told.notes == (SYNTHETIC_NOTE,)
    assert told.weights["unit_id"].to_list() == asked.weights["unit_id"].to_list()
    for name in ("eligibility_factor", "nonresponse_factor", "calibration_factor", "trimming_factor", "weight"):
        np.testing.assert_allclose(told.weights[name].to_numpy(), asked.weights[name].to_numpy(), rtol=1e-12)
    # A specification's cells are named by their margin
    cell = pl.col("cell").str.replace("^group:size_class=", "").str.replace_all(":", "/", literal=True)
    expected, found = (
        each.with_columns(cell, pl.col("text").str.replace_all(":", "/", literal=True))
        for each in (asked.diagnostics, told.diagnostics)
    )
    key = ["step", "diagnostic", "cell"]
    both = expected.join(found, on=key, how="full", nulls_equal=True, suffix="_told")
    assert expected.height > 100
    assert both.height == expected.height == found.height
    np.testing.assert_allclose(both["value_told"].to_numpy(), both["value"].to_numpy(), rtol=1e-9, atol=1e-12)
    assert both["text_told"].to_list() == both["text"].to_list()


def test_the_mart_and_the_report_tell_the_same_of_each_step() -> None:
    sample = COUNTRY.sample(share=0.1, response=0.75)
    result = weight_sample(sample, COUNTRY.frame, plan=PLAN)
    told = wave_weights(result, sample, name="wave", synthetic=False, changes={}).diagnostics.filter(
        pl.col("cell").is_null()
    )
    key = ["step", "diagnostic"]
    both = result.diagnostics.filter(pl.col("step") != "sample").join(told, on=key, suffix="_told")
    assert set(both["step"]) == {"base", "eligibility", "nonresponse", "calibration"}
    assert both.height == 4 * len(DISTRIBUTION)
    np.testing.assert_allclose(both["value"].to_numpy(), both["value_told"].to_numpy(), rtol=1e-12)
    sums = both.filter(pl.col("diagnostic") == "sum", pl.col("step") != "calibration")["value"]
    np.testing.assert_allclose(sums.to_numpy(), float((1 / sample["inclusion_probability"]).sum()), rtol=1e-12)


def test_units_off_the_frame_are_noted() -> None:
    sample = COUNTRY.sample(share=0.1, response=0.75)
    gone = COUNTRY.frame.filter(pl.col("unit_id") != sample["unit_id"][0])
    told = wave_weights(
        weight_sample(sample, gone, plan=PLAN), sample, name="wave", synthetic=False, changes={"frame_gone": 1}
    )
    off, gone_too = told.notes
    assert off.startswith("1 selected unit(s) are no longer on the frame")
    assert gone_too.startswith("1 unit(s) left the frame")
    assert sample["unit_id"][0] not in told.weights["unit_id"].to_list()


def test_the_sparse_sample_collapses() -> None:
    """Else the test above would not say anything about collapses."""
    log = weight_sample(COUNTRY.sample(share=0.03, response=0.6), COUNTRY.frame, plan=PLAN).collapse_log
    assert {"nonresponse_class", "post_stratum"} <= set(log["purpose"])
