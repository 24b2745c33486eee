"""Tests of hypotheses: closed forms, properties, tails of sums of chi-squares, errors.

Agreement with R is in test_golden_models and test_reference_tests.
"""

from typing import Any, get_args

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from pipelines.errors import AxstatError, ViolationsError
from pipelines.stats.design import SurveyDesign
from pipelines.stats.hypothesis_tests import (
    AssociationStatistic,
    association_test,
    difference_test,
    mean_test,
    term_test,
)
from pipelines.stats.mixture_tails import mixture_tail, saddlepoint_tail
from pipelines.stats.models import fit_model
from pipelines.stats.replication import jackknife

METHODS = get_args(AssociationStatistic)


def sample(seed: int, n: int = 150) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    group = rng.choice(["a", "b", "c"], n)
    return pl.DataFrame(
        {
            "h": rng.choice(["h1", "h2"], n),
            "psu": np.arange(n) // 3,
            "w": rng.uniform(0.5, 4.0, n),
            "group": group,
            "yes": rng.random(n) < np.where(group == "b", 0.6, 0.4),
            "score": rng.normal(size=n) + (group == "a"),
            "before": rng.normal(size=n),
        }
    )


def design_of(data: pl.DataFrame, **columns: Any) -> SurveyDesign:
    return SurveyDesign.from_frame(data, **({"weight": "w", "strata": "h"} | columns))


# Tables


@pytest.mark.parametrize("method", ["F", "Chisq", "lincom"])
def test_equal_weights_with_replacement_give_pearsons_test(method: AssociationStatistic) -> None:
    """Then V = n/(n-1) V_srs, so every design effect is n/(n-1) and X^2 (n-1)/n is Pearson's; q = 2 for 2 x 3.

    F: X^2 (n-1)/(n q) on q and q (n-1) df. First order: chi-square on q df. lincom: the same F, as all weights are one.
    """
    data = sample(1).with_columns(pl.lit(7.0).alias("w"))
    n, q = data.height, 2
    counts = data.group_by("yes", "group").len().pivot("group", index="yes", values="len").drop("yes").to_numpy()
    pearson = float(stats.chi2_contingency(counts, correction=False).statistic)
    found = association_test(data, design_of(data, strata=None), row="yes", column="group", method=method)
    assert found.pearson == pytest.approx(pearson, rel=1e-10)
    assert found.design_effects == pytest.approx([n / (n - 1)] * q, rel=1e-9)
    shrunk = pearson * (n - 1) / n
    expected = {
        "F": (shrunk / q, stats.f.sf(shrunk / q, q, q * (n - 1))),
        "Chisq": (pearson, stats.chi2.sf(shrunk, q)),
        "lincom": (pearson, stats.f.sf(shrunk / q, q, q * (n - 1))),
    }[method]
    assert found.statistic == pytest.approx(expected[0], rel=1e-9)
    assert found.p_value == pytest.approx(expected[1], rel=1e-9)


@given(seed=st.integers(0, 10_000), method=st.sampled_from(METHODS), scale=st.floats(1e-3, 1e3))
@settings(max_examples=15, deadline=None)
def test_order_of_rows_scale_of_weights_and_turning_the_table_change_nothing(
    seed: int, method: AssociationStatistic, scale: float
) -> None:
    data = sample(seed)
    first = association_test(data, design_of(data, stages=["psu"], nest=True), row="yes", column="group", method=method)
    other = data.sample(fraction=1.0, shuffle=True, seed=seed).with_columns(pl.col("w") * scale)
    design = design_of(other, stages=["psu"], nest=True)
    second = association_test(other, design, row="group", column="yes", method=method)
    assert second.statistic == pytest.approx(first.statistic, rel=1e-7)
    assert second.p_value == pytest.approx(first.p_value, rel=1e-7)
    assert second.design_effects == pytest.approx(first.design_effects, rel=1e-7)
    assert second.proportions == pytest.approx(first.proportions.T, rel=1e-9)


def test_one_degree_of_freedom_has_one_answer_in_every_form() -> None:
    """2 x 2: one design effect, so F, saddlepoint's target and lincom are one F(1, nu)."""
    data = sample(2).filter(pl.col("group") != "c")
    design = design_of(data)
    tests = {m: association_test(data, design, row="yes", column="group", method=m) for m in METHODS}
    assert tests["lincom"].p_value == pytest.approx(tests["F"].p_value, rel=1e-9)
    assert tests["F"].df1 == pytest.approx(1.0, rel=1e-12)
    assert tests["adjWald"].statistic == pytest.approx(tests["Wald"].statistic, rel=1e-12)
    assert tests["Chisq"].p_value == pytest.approx(stats.chi2.sf(tests["F"].statistic, 1), rel=1e-9)


@pytest.mark.slow
def test_rejection_rate_of_the_second_order_test_under_clustering() -> None:
    """Whole clusters share their answers: Pearson's test rejects far too often, the Rao-Scott F near its 5 %.

    400 draws of 60 clusters of 5; 5 % +- 3.5 Monte Carlo standard errors (0.0109) is 1.2 to 8.8 %.
    """
    rng = np.random.default_rng(40417)
    rejected = naive = 0
    for _ in range(400):
        answer = np.repeat(rng.random(60) < 0.5, 5) ^ (rng.random(300) < 0.1)
        group = np.repeat(rng.random(60) < 0.4, 5)
        data = pl.DataFrame({"psu": np.repeat(np.arange(60), 5), "w": np.ones(300), "a": answer, "g": group})
        test = association_test(data, design_of(data, strata=None, stages=["psu"]), row="a", column="g")
        rejected += test.p_value < 0.05
        naive += stats.chi2.sf(test.pearson, 1) < 0.05
    assert 0.012 < rejected / 400 < 0.088
    assert naive / 400 > 0.25


def test_levels_outside_a_calibrated_domain_are_left_out() -> None:
    """R keeps them with weight 0 and gives NaN; the domain's own table has a test."""
    data = sample(3)
    design = design_of(data, calibration_group="h")
    inside = (data["group"] != "b").to_numpy()
    found = association_test(data, design, row="yes", column="group", domain=inside)
    assert found.columns == ("a", "c")
    assert 0 < found.p_value < 1


def test_missing_values_are_counted() -> None:
    data = sample(4).with_row_index("row")
    gaps = data.with_columns(pl.when(pl.col("row") < 7).then(None).otherwise(pl.col("group")).alias("group"))
    found = association_test(gaps, design_of(gaps), row="yes", column="group")
    assert (found.n, found.n_missing) == (143, 7)
    coded = gaps.with_columns(pl.col("group").replace_strict({"a": 1.0, "b": 2.0, "c": 3.0}).fill_null(float("nan")))
    again = association_test(coded, design_of(coded), row="yes", column="group")
    assert (again.columns, again.n_missing) == (("1", "2", "3"), 7)
    assert again.p_value == found.p_value


def test_census_and_single_psu_say_why_there_is_no_test() -> None:
    data = sample(5).with_columns(pl.lit("h").alias("h"))
    whole = data.with_columns(pl.lit(float(data.height)).alias("N"))
    census = association_test(whole, design_of(whole, population=["N"]), row="yes", column="group")
    assert census.status == "no_variance"
    assert np.isnan(census.p_value)
    two = data.with_columns((pl.int_range(pl.len()) // 75).cast(pl.String).alias("psu"))
    short = association_test(two, design_of(two, stages=["psu"]), row="yes", column="group", method="adjWald")
    assert short.status == "no_degrees_of_freedom"
    assert np.isnan(short.p_value)


@pytest.mark.parametrize("method", get_args(AssociationStatistic))
def test_without_a_variance_there_is_a_status(method: AssociationStatistic) -> None:
    frame = pl.DataFrame({"h": list("abcd"), "w": [1.0, 2.0, 3.0, 4.0], "r": [0, 1, 0, 1], "c": [0, 0, 1, 1]})
    design = SurveyDesign.from_frame(frame, weight="w", strata="h", lonely_psu="average")
    made = association_test(frame, design, row="r", column="c", method=method)
    assert made.status == "no_variance"
    assert np.isnan([made.statistic, made.p_value]).all()


def test_sparse_table_is_refused() -> None:
    """Three filled cells cannot hold four interactions."""
    data = sample(6).with_columns(pl.col("group").alias("same"))
    with pytest.raises(AxstatError) as raised:
        association_test(data, design_of(data), row="group", column="same")
    assert raised.value.code == "sparse_table"
    assert "6 empty cells of 9" in str(raised.value)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"column": "gruop"}, "missing_column", "group"),
        ({"column": "h"}, "single_level", "only"),
        ({"method": "adjwald"}, "unknown_test", "adjWald"),
    ],
)
def test_errors_of_tables_name_what_is_wrong(change: dict[str, Any], code: str, words: str) -> None:
    data = sample(7).with_columns(pl.lit("only").alias("h"))
    call: dict[str, Any] = {"row": "yes", "column": "group"} | change
    with pytest.raises(ViolationsError) as raised:
        association_test(data, design_of(data), **call)
    assert raised.value.code == code
    assert words in str(raised.value)


# Means


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_difference_is_that_of_the_regression_and_of_the_means(seed: int) -> None:
    data = sample(seed)
    design = design_of(data)
    test = difference_test(data, design, outcome="score", group="yes")
    fit = fit_model(data, design, outcome="score", terms=["yes"])
    assert test.groups == ("FALSE", "TRUE")
    assert (test.estimate, test.se, test.df) == (fit.estimate[1], fit.se[1], fit.df)
    assert test.p_value == pytest.approx(float(fit.p_value[1]), rel=1e-12)
    assert test.p_value == pytest.approx(term_test(fit, ["yes"]).p_value, rel=1e-7)
    halves = [data.filter(pl.col("yes") == side) for side in (False, True)]
    means = [float((half["score"] * half["w"]).sum() / half["w"].sum()) for half in halves]
    assert test.estimate == pytest.approx(means[1] - means[0], rel=1e-9, abs=1e-12)


def test_equal_weights_give_the_plain_t_statistic() -> None:
    """One-sample: mean / (s/sqrt(n)), as n/(n-1) sum (w e/W)^2 = s^2/n. R takes one df more away than n - 1."""
    data = sample(8).with_columns(pl.lit(3.0).alias("w"))
    n = data.height
    design = design_of(data, strata=None)
    plain = stats.ttest_1samp(data["score"].to_numpy(), 0.25)
    found = mean_test(data, design, outcome="score", null=0.25)
    assert found.statistic == pytest.approx(float(plain.statistic), rel=1e-9)
    assert found.df == n - 2
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(float(plain.statistic)), n - 2), rel=1e-9)
    paired = stats.ttest_rel(data["score"].to_numpy(), data["before"].to_numpy())
    pair = mean_test(data, design, outcome="score", minus="before")
    assert pair.statistic == pytest.approx(float(paired.statistic), rel=1e-9)
    difference = data.with_columns(pl.col("score") - pl.col("before"))
    assert pair == mean_test(difference, design, outcome="score")


def test_null_lies_on_the_interval_where_the_p_value_is_one_minus_the_level() -> None:
    data = sample(9)
    design = design_of(data)
    wide = mean_test(data, design, outcome="score", level=0.9)
    for limit in (wide.low, wide.high):
        assert mean_test(data, design, outcome="score", null=limit).p_value == pytest.approx(0.1, rel=1e-9)
    apart = difference_test(data, design, outcome="score", group="yes", level=0.9)
    edge = difference_test(data, design, outcome="score", group="yes", null=apart.low)
    assert edge.p_value == pytest.approx(0.1, rel=1e-9)


def test_replicates_of_a_mean_come_near_the_linearised_test() -> None:
    """Jackknife and Taylor differ by terms of order 1/n: 2 % for 150 units."""
    data = sample(10)
    design = design_of(data)
    taylor = mean_test(data, design, outcome="score")
    replicated = mean_test(data, design, outcome="score", replicates=jackknife(design))
    assert replicated.estimate == taylor.estimate
    assert replicated.se == pytest.approx(taylor.se, rel=0.02)
    assert replicated.se != taylor.se


def test_no_variance_and_no_rows() -> None:
    data = sample(11).with_columns(pl.lit(1.0).alias("constant"), pl.lit(None, dtype=pl.Float64).alias("empty"))
    flat = mean_test(data, design_of(data), outcome="constant")
    assert (flat.status, flat.se) == ("no_variance", 0.0)
    assert np.isnan([flat.p_value, flat.low, flat.high]).all()
    apart = difference_test(data, design_of(data), outcome="constant", group="yes")
    assert (apart.status, apart.se) == ("no_variance", 0.0)
    with pytest.raises(AxstatError, match="no_rows"):
        mean_test(data, design_of(data), outcome="empty")
    two = data.with_columns((pl.int_range(pl.len()) // 75).cast(pl.String).alias("psu"))
    short = mean_test(two, design_of(two, strata=None, stages=["psu"]), outcome="score")
    assert (short.status, short.df) == ("no_degrees_of_freedom", 0)
    assert np.isnan([short.p_value, short.low, short.high]).all()


def test_group_of_three_is_refused() -> None:
    data = sample(12)
    with pytest.raises(ViolationsError, match="group_not_binary"):
        difference_test(data, design_of(data), outcome="score", group="group")


# Terms of models


def test_terms_are_found_by_name_and_aliased_ones_left_out() -> None:
    data = sample(13).with_columns((2.0 * pl.col("before")).alias("twice"))
    design = design_of(data)
    fit = fit_model(data, design, outcome="score", terms=["before", "twice", "group"])
    assert term_test(fit, ["before", "twice"]).df1 == 1
    plain = fit_model(data, design, outcome="score", terms=["before", "group"])
    assert term_test(fit, ["group"]).p_value == pytest.approx(term_test(plain, ["group"]).p_value, rel=1e-9)
    assert term_test(fit, ["twice"]).status == "no_variance"
    with pytest.raises(ViolationsError) as raised:
        term_test(fit, ["befor"])
    assert "before" in str(raised.value)


# Tails


def imhof(x: float, weights: np.ndarray) -> float:
    """P(sum a_j C_j > x) by numerical inversion of the characteristic function (Imhof 1961)."""

    def integrand(u: float) -> float:
        angle = 0.5 * np.arctan(weights * u).sum() - 0.5 * x * u
        return float(np.sin(angle) / (u * np.prod((1.0 + np.square(weights * u)) ** 0.25)))

    # The integrand is below u^-(1 + q/2)/sqrt(prod a): with the weights below the rest adds less than 3e-10.
    whole, _ = integrate.quad(integrand, 0.0, 200.0, limit=2_000, epsabs=1e-11)
    return 0.5 + whole / np.pi


@pytest.mark.parametrize("x", [0.5, 3.0, 12.0])
def test_exact_tail_is_that_of_the_inverted_characteristic_function(x: float) -> None:
    weights = np.array([2.0, 1.1, 0.9, 0.7, 0.6, 0.5, 0.4, 0.3])
    assert mixture_tail(x, weights) == pytest.approx(imhof(x, weights), abs=1e-9)


@given(
    first=st.floats(0.2, 5.0),
    ratio=st.floats(1.05, 40.0),
    x=st.floats(0.01, 300.0),
    df=st.sampled_from([np.inf, 1.5, 11.0, 340.7]),
)
@settings(max_examples=100, deadline=None)
def test_exact_tail_of_two_pairs(first: float, ratio: float, x: float, df: float) -> None:
    """a C_2 is exponential: P = [a e(x/2a) - b e(x/2b)]/(a - b), e(s) = exp(-s), or (1 + 2 s/d)^(-d/2) over C_d/d."""
    a, b = first, first * ratio

    def survivor(s: float) -> float:
        return float(np.exp(-s)) if np.isinf(df) else (1.0 + 2.0 * s / df) ** (-df / 2.0)

    expected = (b * survivor(x / (2 * b)) - a * survivor(x / (2 * a))) / (b - a)
    weights = np.array([a, b, a, b])
    # Up to 1/(1 - 1/1.05) = 21 is lost in the difference.
    assert mixture_tail(x, weights, denominator_df=df) == pytest.approx(expected, rel=1e-10)


def test_exact_tail_of_equal_weights_is_a_chi_square_or_an_f() -> None:
    weights = np.full(3, 2.5)
    assert mixture_tail(30.0, weights) == pytest.approx(stats.chi2.sf(12.0, 3), rel=1e-12)
    assert mixture_tail(30.0, weights, denominator_df=9.3) == pytest.approx(stats.f.sf(4.0, 3, 9.3), rel=1e-12)
    assert mixture_tail(0.0, weights) == 1.0
    assert mixture_tail(1.0, np.zeros(2)) == 0.0


def test_rounding_noise_among_the_weights_does_no_harm() -> None:
    weights = np.array([2.0, 1.0, 1e-17])
    assert mixture_tail(9.0, weights) == mixture_tail(9.0, weights[:2])


def test_weights_too_far_apart_are_refused() -> None:
    with pytest.raises(AxstatError, match="design_effects_too_far_apart"):
        mixture_tail(9.0, np.array([1.0, 1e-8]))


@given(
    weights=st.lists(st.floats(0.3, 3.0), min_size=2, max_size=6),
    quantile=st.floats(0.5, 4.0),
    df=st.sampled_from([np.inf, 12.0, 150.0]),
)
@settings(max_examples=60, deadline=None)
def test_saddlepoint_is_near_the_exact_tail(weights: list[float], quantile: float, df: float) -> None:
    """Kuonen (1999) finds it within some per cent of the tail; at the mean R's two moments stand in."""
    a = np.array(weights)
    x = quantile * float(a.sum())
    assert saddlepoint_tail(x, a, denominator_df=df) == pytest.approx(mixture_tail(x, a, denominator_df=df), rel=0.1)


def test_at_the_mean_two_moments_stand_in() -> None:
    """Satterthwaite: scale sum a^2/sum a, df (sum a)^2/sum a^2."""
    a = np.array([3.0, 1.0])
    scale, df = 10.0 / 4.0, 16.0 / 10.0
    assert saddlepoint_tail(4.0, a) == pytest.approx(stats.chi2.sf(4.0 / scale, df), rel=1e-12)
