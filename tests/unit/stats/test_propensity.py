"""Response propensities: the model, its classes, and the weights made of them."""

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm

from pipelines.errors import AxstatError, ViolationsError
from pipelines.stats.collapse import Coarsening
from pipelines.stats.nonresponse import CollapseRule, ResponseModel, adjust_nonresponse
from pipelines.stats.propensity import propensity_classes, response_propensities

ONE_CLASS = CollapseRule(parts=(), order=(), min_respondents=1)


def sample(seed: int = 5, n: int = 600) -> pl.DataFrame:
    """Response depends on size, and on employment in part; some are out of scope or unknown."""
    rng = np.random.default_rng(seed)
    size = rng.choice(["10-49", "50-249", "250+"], n)
    employment = rng.lognormal(3.0, 1.0, n)
    chance = 1.0 / (1.0 + np.exp(-(0.8 - 0.5 * (size == "250+") - 0.3 * (np.log(employment) - 3.0))))
    status = np.where(rng.random(n) < chance, "respondent", "eligible_nonrespondent")
    status = np.where(rng.random(n) < 0.1, rng.choice(["unknown_eligibility", "out_of_scope"], n), status)
    return pl.DataFrame(
        {
            "unit_id": [f"u{i:04d}" for i in range(n)],
            "status": status,
            "size": size,
            "log_employment": np.log(employment),
            "base_weight": rng.uniform(1.0, 30.0, n),
            "selection_stratum": "s",
            "take_all": False,
        }
    )


def test_the_model_is_the_weighted_logistic_one() -> None:
    """Against statsmodels' GLM with the same weights."""
    units = sample()
    fitted = response_propensities(units, ["size", "log_employment"])
    known = units["status"].is_in(["respondent", "eligible_nonrespondent"])
    x = units.select(
        pl.lit(1.0).alias("one"),
        (pl.col("size") == "250+").cast(pl.Float64).alias("large"),
        (pl.col("size") == "50-249").cast(pl.Float64).alias("middle"),
        "log_employment",
    ).to_numpy()
    inside = known.to_numpy()
    weight = units["base_weight"].to_numpy()[inside]
    y = (units["status"] == "respondent").to_numpy()[inside].astype(float)
    second = sm.GLM(y, x[inside], family=sm.families.Binomial(), var_weights=weight / weight.mean()).fit(tol=1e-13)
    assert fitted.value == pytest.approx(second.predict(x), rel=1e-8)
    assert fitted.coefficients["term"].to_list() == ["(Intercept)", "size250+", "size50-249", "log_employment"]


def test_a_saturated_model_gives_the_factors_of_the_weighting_classes() -> None:
    units = sample()
    by_class = adjust_nonresponse(
        units, rule=CollapseRule(parts=("size",), order=(Coarsening("size", "none"),), min_respondents=1)
    )
    model = ResponseModel(terms=("size",), use="inverse", max_factor=1e9)
    by_model = adjust_nonresponse(units, rule=ONE_CLASS, model=model)
    # Of the class factors only the levels differ: unknown eligibility is shared over one class, not three.
    ratio = (by_model.units["nonresponse_factor"] / by_class.units["nonresponse_factor"]).to_numpy()
    responded = (units["status"] == "respondent").to_numpy()
    assert ratio[responded] == pytest.approx(1.0, rel=1e-9)


def test_inverse_propensities_keep_the_sum_of_the_class_and_their_bound() -> None:
    units = sample()
    model = ResponseModel(terms=("size", "log_employment"), use="inverse", max_factor=1.6)
    done = adjust_nonresponse(units, rule=CollapseRule(parts=("size",), order=(), min_respondents=1), model=model).units
    weight = done["base_weight"] * done["eligibility_factor"] * done["nonresponse_factor"]
    kept = done.with_columns(weight.alias("weight")).filter(pl.col("status").is_in(["respondent", "out_of_scope"]))
    for (size,), group in kept.group_by("size"):
        assert group["weight"].sum() == pytest.approx(units.filter(pl.col("size") == size)["base_weight"].sum())
        factors = group.filter(pl.col("status") == "respondent")["nonresponse_factor"]
        # g lies between 1 and the bound, so that no two factors of a class are further apart.
        assert 1.0 < factors.max() / factors.min() <= 1.6 + 1e-12


def test_a_take_all_stratum_that_answered_in_full_stays_unweighted() -> None:
    units = sample().with_columns(
        take_all=pl.col("unit_id") < "u0010",
        selection_stratum=pl.when(pl.col("unit_id") < "u0010").then(pl.lit("t")).otherwise(pl.lit("s")),
    )
    units = units.with_columns(
        status=pl.when("take_all").then(pl.lit("respondent")).otherwise("status"),
        base_weight=pl.when("take_all").then(1.0).otherwise("base_weight"),
    )
    model = ResponseModel(terms=("log_employment",), use="inverse")
    done = adjust_nonresponse(units, rule=ONE_CLASS, model=model).units
    assert done.filter("take_all")["nonresponse_factor"].to_list() == [1.0] * 10


def test_classes_are_quantiles_by_weight_with_ties_together() -> None:
    """Weights 1, 1, 2, 4: the middles of the propensities stand at 1/16, 3/16, 6/16 and 12/16."""
    classes = propensity_classes(np.array([0.9, 0.1, 0.5, 0.2]), np.array([4.0, 1.0, 2.0, 1.0]), classes=4)
    assert classes.to_list() == ["4", "1", "2", "1"]
    tied = propensity_classes(np.array([0.3, 0.3, 0.6]), np.ones(3), classes=3)
    assert tied.to_list() == ["2", "2", "3"]


def test_propensity_classes_serve_as_weighting_classes() -> None:
    rule = CollapseRule(
        parts=("propensity_class",),
        order=(Coarsening("propensity_class", "without propensity_class"),),
        min_respondents=20,
    )
    model = ResponseModel(terms=("size", "log_employment"), use="classes", classes=5)
    done = adjust_nonresponse(sample(), rule=rule, model=model)
    assert done.units["nonresponse_class"].unique().sort().to_list() == ["1", "2", "3", "4", "5"]
    by_class = (
        done.units.filter(pl.col("status") == "respondent")
        .group_by("nonresponse_class")
        .agg(pl.col("nonresponse_factor").first())
        .sort("nonresponse_class")
    )
    factor = by_class["nonresponse_factor"]
    assert (factor.arg_max(), factor.arg_min()) == (0, 4)
    assert done.coefficients is not None


def test_refusals() -> None:
    units = sample()
    with pytest.raises(ViolationsError, match="sise"):
        response_propensities(units, ["sise"])
    with pytest.raises(AxstatError, match="response_does_not_vary"):
        response_propensities(units.filter(pl.col("status") != "eligible_nonrespondent"), ["size"])
    certain = units.with_columns(
        status=pl.when(pl.col("size") == "250+").then(pl.lit("respondent")).otherwise("status")
    )
    with pytest.raises(AxstatError, match=r"response_is_certain.*\n?.*size250\+"):
        response_propensities(certain, ["size"])
    alone = units.with_columns(size=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("new")).otherwise("size"))
    alone = alone.with_columns(
        status=pl.when(pl.col("size") == "new").then(pl.lit("unknown_eligibility")).otherwise("status")
    )
    with pytest.raises(AxstatError, match="u0000"):
        response_propensities(alone, ["size"])
