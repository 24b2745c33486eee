"""Models: against statsmodels, closed forms, properties, separation, errors.

Agreement with R is in test_golden_models and test_reference_tests.
"""

from typing import Any

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import ViolationsError
from pipelines.stats.design import SurveyDesign
from pipelines.stats.models import fit_model
from pipelines.stats.replication import jackknife


def sample(seed: int, n: int = 120) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    group = rng.choice(["a", "b", "c"], n)
    eta = -0.4 + 0.7 * x + 0.5 * (group == "b")
    return pl.DataFrame(
        {
            "h": rng.choice(["h1", "h2"], n),
            "w": rng.uniform(0.5, 4.0, n),
            "x": x,
            "group": group,
            "yes": (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(np.int64),
            "count": rng.poisson(np.exp(0.3 + 0.4 * x)),
            "score": eta + rng.normal(size=n),
        }
    )


def design_of(data: pl.DataFrame, **columns: Any) -> SurveyDesign:
    return SurveyDesign.from_frame(data, **({"weight": "w", "strata": "h"} | columns))


@pytest.mark.parametrize(
    ("family", "outcome", "theirs"),
    [
        ("gaussian", "score", sm.families.Gaussian()),
        ("binomial", "yes", sm.families.Binomial()),
        ("poisson", "count", sm.families.Poisson()),
    ],
)
def test_coefficients_are_those_of_statsmodels(family: Any, outcome: str, theirs: Any) -> None:
    """Its rounds stop by the same kind of rule, here at 1e-14."""
    data = sample(1)
    ours = fit_model(data, design_of(data), outcome=outcome, terms=["x", "group"], family=family)
    x = np.column_stack([np.ones(data.height), data["x"], data["group"] == "b", data["group"] == "c"])
    weight = data["w"].to_numpy() / data["w"].mean()
    second = sm.GLM(data[outcome].to_numpy(), x, family=theirs, freq_weights=weight).fit(tol=1e-14, maxiter=100)
    assert ours.estimate == pytest.approx(second.params, rel=1e-9)
    assert ours.deviance == pytest.approx(second.deviance, rel=1e-9)


@pytest.mark.parametrize(("family", "outcome"), [("gaussian", "score"), ("binomial", "yes")])
def test_equal_weights_with_replacement_give_the_robust_covariance(family: Any, outcome: str) -> None:
    """V = n/(n-1) sum z z' with z centred at 0: n/(n-1) times White's (HC0) covariance."""
    data = sample(2).with_columns(pl.lit(1.0).alias("w"))
    ours = fit_model(data, design_of(data, strata=None), outcome=outcome, terms=["x"], family=family)
    model = sm.GLM(
        data[outcome].to_numpy(),
        sm.add_constant(data["x"].to_numpy()),
        family=sm.families.Gaussian() if family == "gaussian" else sm.families.Binomial(),
    )
    white = np.asarray(model.fit(tol=1e-14, maxiter=100, cov_type="HC0").cov_params())
    assert ours.covariance == pytest.approx(white * data.height / (data.height - 1), rel=1e-9)
    assert ours.df == data.height - 1 + 1 - 2


@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3))
@settings(max_examples=25, deadline=None)
def test_row_order_and_weight_scale_change_nothing(seed: int, scale: float) -> None:
    data = sample(seed)
    first = fit_model(data, design_of(data), outcome="yes", terms=["x", "group"], family="binomial")
    other = data.sample(fraction=1.0, shuffle=True, seed=seed).with_columns(pl.col("w") * scale)
    second = fit_model(other, design_of(other), outcome="yes", terms=["x", "group"], family="binomial")
    assert second.estimate == pytest.approx(first.estimate, rel=1e-8, abs=1e-10)
    assert second.se == pytest.approx(first.se, rel=1e-8)
    assert (second.df, second.n, second.names, second.status) == (first.df, first.n, first.names, first.status)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_reference_level_only_moves_the_coefficients(seed: int) -> None:
    """With reference b the coefficient of a is minus that of b before, with the same standard error."""
    data = sample(seed)
    first = fit_model(data, design_of(data), outcome="score", terms=["group", "x"])
    second = fit_model(data, design_of(data), outcome="score", terms=["group", "x"], reference={"group": "b"})
    assert second.levels["group"] == ("b", "a", "c")
    at, now = first.names.index("groupb"), second.names.index("groupa")
    assert second.estimate[now] == pytest.approx(-first.estimate[at], rel=1e-9)
    assert second.se[now] == pytest.approx(first.se[at], rel=1e-9)
    assert second.estimate[-1] == pytest.approx(first.estimate[-1], rel=1e-9)


def test_domain_is_not_a_filter() -> None:
    """PSUs without a row of the domain count as zeros: the standard error is not that of the filtered file."""
    data = sample(3).with_columns((pl.int_range(pl.len()) // 4).cast(pl.String).alias("psu"), pl.lit("h").alias("h"))
    inside = (data["group"] == "a").to_numpy()
    columns = {"strata": None, "stages": ["psu"]}
    whole = fit_model(data, design_of(data, **columns), outcome="score", terms=["x"], domain=inside)
    part = data.filter(pl.Series(inside))
    filtered = fit_model(part, design_of(part, **columns), outcome="score", terms=["x"])
    assert whole.estimate == pytest.approx(filtered.estimate, rel=1e-12)
    # One stratum: sums of squares are equal, as the influences add up to 0, and n_h/(n_h - 1) differs.
    all_psus, psus = data["psu"].n_unique(), part["psu"].n_unique()
    factor = (all_psus / (all_psus - 1)) / (psus / (psus - 1))
    assert factor < 1
    assert whole.covariance == pytest.approx(filtered.covariance * factor, rel=1e-9)


def test_missing_values_are_left_out_and_counted() -> None:
    data = sample(4).with_row_index("row")
    gaps = data.with_columns(
        pl.when(pl.col("row") < 5).then(None).otherwise(pl.col("group")).alias("group"),
        pl.when(pl.col("row").is_between(4, 9)).then(float("nan")).otherwise(pl.col("x")).alias("x"),
        pl.when(pl.col("row") == 20).then(None).otherwise(pl.col("yes")).alias("yes"),
        pl.when(pl.col("row") == 30).then(0.0).otherwise(pl.col("w")).alias("w"),
    )
    fit = fit_model(gaps, design_of(gaps), outcome="yes", terms=["x", "group"], family="binomial")
    assert fit.n_missing == 11
    assert fit.n == data.height - 12
    kept = gaps.filter((pl.col("row") > 9) & (pl.col("row") != 20) & (pl.col("row") != 30))
    assert fit.sum_weights == pytest.approx(kept["w"].sum(), rel=1e-12)
    again = fit_model(kept, design_of(kept), outcome="yes", terms=["x", "group"], family="binomial")
    assert fit.estimate == pytest.approx(again.estimate, rel=1e-9)


def test_jackknife_of_a_linear_model_of_cells_equals_the_means() -> None:
    """The coefficients of a model of cells are weighted means, in each replicate too."""
    data = sample(5)
    design = design_of(data)
    replicates = jackknife(design)
    fit = fit_model(data, design, outcome="score", terms=["group"], intercept=False, replicates=replicates)
    weights = replicates.analysis_weights()
    for index, level in enumerate(("a", "b", "c")):
        cell = (data["group"] == level).to_numpy()
        means = weights[cell].T @ data["score"].to_numpy()[cell] / weights[cell].sum(axis=0)
        variance = replicates.variance(means[:, None], fit.estimate[index : index + 1])
        assert fit.se[index] == pytest.approx(float(np.sqrt(variance[0])), rel=1e-9)


def test_offset_shifts_the_intercept() -> None:
    """exp(b0 + log 2) = exp(b0') : a constant offset of log 2 lowers the intercept by it."""
    data = sample(6).with_columns(pl.lit(float(np.log(2.0))).alias("exposure"))
    plain = fit_model(data, design_of(data), outcome="count", terms=["x"], family="poisson")
    shifted = fit_model(data, design_of(data), outcome="count", terms=["x"], family="poisson", offset="exposure")
    assert shifted.estimate[0] == pytest.approx(plain.estimate[0] - np.log(2.0), rel=1e-9)
    assert shifted.estimate[1] == pytest.approx(plain.estimate[1], rel=1e-9)
    assert shifted.se == pytest.approx(plain.se, rel=1e-9)


def test_odds_ratio_of_a_two_by_two_table() -> None:
    data = sample(7)
    fit = fit_model(data.with_columns(pl.col("x") > 0), design_of(data), outcome="yes", terms=["x"], family="binomial")
    sums = {
        (up, yes): data.filter(((pl.col("x") > 0) == up) & (pl.col("yes") == yes))["w"].sum()
        for up in (True, False)
        for yes in (0, 1)
    }
    ratio = sums[True, 1] * sums[False, 0] / (sums[True, 0] * sums[False, 1])
    row = fit.table(exponentiate=True).row(1, named=True)
    assert row["name"] == "xTRUE"
    assert row["estimate"] == pytest.approx(ratio, rel=1e-9)
    assert row["low"] == pytest.approx(float(np.exp(fit.interval[0][1])), rel=1e-12)
    assert row["se"] == fit.se[1]


def test_text_outcome_counts_its_second_level() -> None:
    data = sample(8).with_columns(pl.col("yes").replace_strict({0: "No", 1: "Yes"}).alias("answer"))
    fits = [
        fit_model(data, design_of(data), outcome=name, terms=["x"], family="binomial") for name in ("yes", "answer")
    ]
    assert fits[0].estimate == pytest.approx(fits[1].estimate, rel=1e-12)


def test_without_degrees_of_freedom_there_is_no_test_and_no_interval() -> None:
    data = sample(9, 40).with_columns((pl.int_range(pl.len()) // 20).cast(pl.String).alias("psu"))
    fit = fit_model(data, design_of(data, strata=None, stages=["psu"]), outcome="score", terms=["x", "group"])
    assert fit.df == 1 + 1 - 4
    assert fit.status == "no_degrees_of_freedom"
    assert np.isnan(fit.p_value).all()
    assert np.isnan(np.concatenate(fit.interval)).all()
    assert (fit.se > 0).all()


def test_perfect_fit_has_no_test() -> None:
    data = sample(18).with_columns((3e9 + 2e8 * pl.col("x")).alias("line"))
    fit = fit_model(data, design_of(data), outcome="line", terms=["x"])
    assert fit.estimate == pytest.approx([3e9, 2e8], rel=1e-12)
    assert (fit.status, fit.se.tolist()) == ("perfect_fit", [0.0, 0.0])
    assert np.isnan(fit.p_value).all()
    assert np.isnan(np.concatenate(fit.interval)).all()


def test_runaway_fit_is_reported_and_has_no_standard_errors() -> None:
    """Offsets of some hundred in both directions throw the first step out of every bound."""
    data = sample(19).with_columns((pl.int_range(pl.len()) % 2 * 1200.0 - 600.0).alias("far"))
    fit = fit_model(data, design_of(data), outcome="count", terms=["x"], family="poisson", offset="far")
    assert fit.status == "not_converged"
    assert "no standard errors" in fit.notes[0]
    assert np.isnan(fit.se).all()
    assert np.isnan(fit.p_value).all()


# Separation


def test_log_linear_cell_of_zeros_is_infinite() -> None:
    data = sample(12).with_columns(pl.when(pl.col("group") == "b").then(0).otherwise(pl.col("count")).alias("count"))
    fit = fit_model(data, design_of(data), outcome="count", terms=["group", "x"], family="poisson")
    assert fit.status == "separated"
    assert fit.infinite == ("groupb",)
    assert fit.table().filter(pl.col("infinite"))["name"].to_list() == ["groupb"]


def test_separated_numbers_do_not_depend_on_the_order_of_the_rows() -> None:
    data = sample(13).with_columns(pl.when(pl.col("group") == "c").then(1).otherwise(pl.col("yes")).alias("yes"))
    other = data.sample(fraction=1.0, shuffle=True, seed=1)
    fits = [fit_model(d, design_of(d), outcome="yes", terms=["group"], family="binomial") for d in (data, other)]
    assert fits[0].status == "separated"
    # exp(-eta/2) of the rows' working weight is left of a unit's precision: 1e-16 / 1e-4.
    assert fits[1].estimate == pytest.approx(fits[0].estimate, rel=1e-8)


def test_separated_replicates_are_called_out() -> None:
    """Two units of group c have a no, in one PSU: without it c is separated."""
    data = sample(14).with_row_index("row")
    two = data.filter(pl.col("group") == "c")["row"].to_list()[:2]
    data = data.with_columns(
        pl.when(pl.col("group") == "c").then(~pl.col("row").is_in(two)).otherwise(pl.col("yes") == 1).alias("yes"),
        pl.when(pl.col("row").is_in(two)).then(pl.lit("both")).otherwise(pl.col("row").cast(pl.String)).alias("psu"),
        pl.lit("h").alias("h"),
    )
    design = design_of(data, strata=None, stages=["psu"])
    fit = fit_model(data, design, outcome="yes", terms=["group"], family="binomial", replicates=jackknife(design))
    assert fit.infinite == ()
    assert fit.status == "separated"
    assert fit.notes[0].startswith("1 replicates")
    assert fit_model(data, design, outcome="yes", terms=["group"], family="binomial").status == "ok"


# Errors


def test_levels_outside_the_domain_are_no_columns() -> None:
    data = sample(15)
    fit = fit_model(data, design_of(data), outcome="score", terms=["group"], domain=(data["group"] != "b").to_numpy())
    assert fit.names == ("(Intercept)", "groupc")


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"terms": ["x", "gruop"]}, "missing_column", "group"),
        ({"outcome": "socre"}, "missing_column", "score"),
        ({"family": "binomal"}, "unknown_family", "binomial"),
        ({"terms": ["group"], "reference": {"group": "B"}}, "unknown_level", "b"),
        ({"terms": ["x"], "reference": {"x": "1"}}, "reference_of_no_category", "categorical"),
        ({"terms": ["x:group", "x"]}, "interaction_without_main_terms", "x:group"),
        ({"terms": ["x", "x"]}, "term_repeated", "x"),
        ({"outcome": "group"}, "not_numeric", "group"),
        ({"outcome": "group", "family": "binomial"}, "outcome_not_binary", "a, b, c"),
        ({"outcome": "score", "family": "poisson"}, "outcome_out_of_range", "0 to inf"),
        ({"outcome": "count", "family": "binomial"}, "outcome_out_of_range", "0 to 1"),
        ({"terms": ["h"]}, "single_level", "h1"),
        ({"offset": "group"}, "not_numeric", "group"),
    ],
)
def test_errors_name_what_is_wrong(change: dict[str, Any], code: str, words: str) -> None:
    data = sample(16).with_columns(pl.lit("h1").alias("h"))
    call = {"outcome": "score", "terms": ["x"]} | change
    with pytest.raises(ViolationsError) as raised:
        fit_model(data, design_of(data), **call)
    assert raised.value.code == code
    assert words in str(raised.value)


def test_infinite_values_and_negative_weights_name_their_rows() -> None:
    data = sample(17).with_row_index("row")
    bad = data.with_columns(pl.when(pl.col("row") == 6).then(float("inf")).otherwise(pl.col("x")).alias("x"))
    with pytest.raises(ViolationsError) as raised:
        fit_model(bad, design_of(bad), outcome="score", terms=["x"])
    assert (raised.value.code, raised.value.violations[0].rows) == ("not_finite", (7,))
    negative = data.with_columns(pl.when(pl.col("row") == 2).then(-1.0).otherwise(pl.col("w")).alias("w"))
    with pytest.raises(ViolationsError) as raised:
        fit_model(negative, design_of(negative, allow_negative_weights=True), outcome="score", terms=["x"])
    assert (raised.value.code, raised.value.violations[0].rows) == ("negative_weight", (3,))
