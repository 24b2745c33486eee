"""Intervals for proportions: formulas, and what they do at the edges."""

from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipelines.errors import AxstatError
from pipelines.stats.interval_formulas import (
    asin_interval,
    beta_interval,
    df_adjustment,
    effective_n,
    korn_graubard_interval,
    likelihood_interval,
    logit_interval,
    replicate_logits,
    t_interval,
    t_quantile,
    wilson_interval,
)
from pipelines.stats.intervals import (
    METHODS,
    Evidence,
    IntervalMethod,
    TakeAll,
    confidence_intervals,
    proportion_intervals,
)

FOR_PROPORTIONS = tuple(method for method in METHODS if method not in ("t", "z"))


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def test_t_quantile() -> None:
    assert t_quantile(0.95, array(10, np.inf)) == pytest.approx([stats.t.ppf(0.975, 10), stats.norm.ppf(0.975)])
    assert np.isnan(t_quantile(0.95, array(0.0, -1.0))).all()


def test_logit_by_hand() -> None:
    low, high = logit_interval(array(0.3), array(0.0025), array(20.0))
    half = stats.t.ppf(0.975, 20) * 0.05 / (0.3 * 0.7)
    centre = np.log(0.3 / 0.7)
    assert low[0] == pytest.approx(1 / (1 + np.exp(-(centre - half))))
    assert high[0] == pytest.approx(1 / (1 + np.exp(-(centre + half))))
    assert np.isnan(logit_interval(array(0.0, 1.0, 0.5), array(0.0, 0.0, 0.1), array(5.0, 5.0, 0.0))[0]).all()


def test_beta_is_clopper_pearson_for_whole_numbers() -> None:
    """scipy's exact binomial interval is the same construction."""
    for k, n in ((3, 20), (0, 20), (20, 20), (1, 1)):
        exact = stats.binomtest(k, n).proportion_ci(0.95, method="exact")
        low, high = beta_interval(array(k / n), array(float(n)))
        assert (low[0], high[0]) == pytest.approx((exact.low, exact.high), rel=1e-12)


def test_rule_of_three_at_zero() -> None:
    """Upper limit at p = 0 solves (1 - u)^n = 0.025."""
    _, high = korn_graubard_interval(array(0.0), array(0.0), df=array(99.0), n=array(100.0), kish_deff=array(1.0))
    assert high[0] == pytest.approx(1 - 0.025 ** (1 / 100))


def test_effective_n_and_adjustment() -> None:
    p, v, n, kish = (
        array(0.5, 0.0, 1.0, 0.4),
        array(0.01, 0.0, 0.0, 0.0),
        array(80, 80, 80, 80),
        array(1.6, 1.6, 2.0, 1.0),
    )
    assert effective_n(p, v, n.astype(float), kish) == pytest.approx([25.0, 50.0, 40.0, 80.0])
    expected = (stats.t.ppf(0.975, 79) / stats.t.ppf(0.975, 10)) ** 2
    assert df_adjustment(array(80.0, 1.0, 80.0), array(10.0, 10.0, 0.0)) == pytest.approx([expected, 1.0, 1.0])


def test_no_zero_width_at_zero_one_no_variance_or_no_df() -> None:
    found = proportion_intervals(
        array(0.0, 1.0, 0.4, 0.4),
        array(0.0, 0.0, 0.0, 0.01),
        df=array(20.0, 20.0, 20.0, 0.0),
        n=array(25.0, 25.0, 25.0, 3.0),
        kish_deff=array(1.2, 1.2, 1.2, 1.5),
    )
    low, high = found.low, found.high
    assert low[0] == 0.0
    assert high[1] == 1.0
    assert (high - low > 0.05).all()
    assert found.rule.tolist() == ["zero_or_one", "zero_or_one", "no_variance", "no_df"]
    # Without degrees of freedom: the smaller of p(1-p)/V = 24 and n / Kish deff = 2, not adjusted.
    assert (low[3], high[3]) == pytest.approx(tuple(side[0] for side in beta_interval(array(0.4), array(2.0))))


def test_no_interval_is_narrower_than_that_of_a_simple_random_sample() -> None:
    """n = 50 of N = 100, p = 0.1, n* = 900: capped at 50/(1 - 1/2) = 100; the q with |p - q| = t sqrt(q(1 - q)/100).

    n* = 90 of the second is below that, so logit stays; the third is take-all, its missing units leave [0.05, 0.12];
    the fourth is of no end of units.
    """
    variance = array(0.09 / 900, 0.09 / 90, 0.09 / 900, 0.09 / 900)
    seen = {"df": array(*[49.0] * 4), "n": array(*[50.0] * 4), "kish_deff": array(*[1.0] * 4)}
    known = TakeAll(
        take_all=np.array([False, False, True, False]),
        complete=np.zeros(4, dtype=np.bool_),
        floor=np.full(4, 0.05),
        ceiling=np.full(4, 0.12),
        response_rate=np.full(4, 0.5),
    )
    p, population = np.full(4, 0.1), array(100.0, 100.0, 100.0, np.inf)
    found = proportion_intervals(p, variance, **seen, population=population, take_all=known)
    assert found.rule.tolist() == ["n_effective_capped", "as_asked", "take_all_bounds", "n_effective_capped"]
    t = stats.t(49).ppf(0.975)
    for limit, n in ((found.low[0], 100), (found.high[0], 100), (found.low[3], 50), (found.high[3], 50)):
        assert abs(0.1 - limit) == pytest.approx(t * np.sqrt(limit * (1 - limit) / n))
    assert (found.low[2], found.high[2]) == (pytest.approx(found.low[0]), 0.12)
    asked = proportion_intervals(p, variance, **seen)
    assert (found.low[1], found.high[1]) == (asked.low[1], asked.high[1])


def test_a_published_asin_limit_is_clipped_where_r_folds_it() -> None:
    """p = 1/2, V = 1/2, df = 1: asin(sqrt(p)) = pi/4, R's limits pi/4 -+ 6.35 fold to one point and its mirror."""
    found = proportion_intervals(
        array(0.5), array(0.5), df=array(1.0), n=array(2.0), kish_deff=array(1.0), method="asin"
    )
    assert (found.low[0], found.high[0], found.rule[0]) == (0.0, 1.0, "angle_clipped")


def test_method_beta_is_used_when_asked() -> None:
    arguments = {"df": array(30.0), "n": array(60.0), "kish_deff": array(1.1)}
    asked = proportion_intervals(array(0.3), array(0.004), method="beta", **arguments)
    direct = korn_graubard_interval(array(0.3), array(0.004), **arguments)
    assert (asked.low[0], asked.high[0]) == (direct[0][0], direct[1][0])


def test_take_all_domains() -> None:
    """12 of 15 answered, 6 adopt: the share lies in [6/15, 9/15]; full response: no width."""
    known = TakeAll(
        take_all=np.array([True, True, False]),
        complete=np.array([False, True, True]),
        floor=array(6 / 15, 0.5, 0.9),
        ceiling=array(9 / 15, 0.5, 0.95),
        response_rate=array(0.8, 1.0, 1.0),
    )
    found = proportion_intervals(
        array(0.5, 0.5, 0.5),
        array(0.004, 0.0, 0.004),
        df=array(10.0, 11.0, 10.0),
        n=array(12.0, 12.0, 12.0),
        kish_deff=array(1.0, 1.0, 1.0),
        take_all=known,
    )
    low, high = found.low, found.high
    assert (low[0], high[0]) == (6 / 15, 9 / 15)
    assert (low[1], high[1]) == (0.5, 0.5)
    assert found.rule.tolist() == ["take_all_bounds", "census", "as_asked"]
    assert low[2] < 0.45
    assert high[2] > 0.55


@given(
    # A share is a ratio of sums of weights; one of 1e-300 is none.
    p=st.one_of(st.sampled_from([0.0, 1.0]), st.floats(1e-15, 1 - 1e-15)),
    deff=st.floats(0.2, 5),
    n=st.integers(1, 5000),
    df=st.integers(-1, 4999),
    method=st.sampled_from(FOR_PROPORTIONS),
)
@settings(max_examples=400, deadline=None)
def test_the_interval_holds_the_estimate_and_has_a_width(
    p: float, deff: float, n: int, df: int, method: IntervalMethod
) -> None:
    found = proportion_intervals(
        array(p),
        array(deff * p * (1 - p) / n),
        df=array(float(min(df, n - 1))),
        n=array(float(n)),
        kish_deff=array(max(deff, 1.0)),
        method=method,
    )
    assert found.low[0] <= p <= found.high[0]
    assert found.high[0] > found.low[0]
    if method != "mean":
        assert found.low[0] >= 0.0
        assert found.high[0] <= 1.0


@given(
    p=st.floats(0.001, 0.999),
    n_star=st.floats(2, 1e5),
    df=st.integers(1, 2000),
    levels=st.tuples(st.floats(0.5, 0.998), st.floats(0.5, 0.998)).map(sorted),
    # asin folds a limit back at 0 and 1, as R does, so it is not monotone there.
    method=st.sampled_from([method for method in METHODS if method != "asin"]),
)
@settings(max_examples=300, deadline=None)
def test_a_higher_level_never_gives_a_shorter_interval(
    p: float, n_star: float, df: int, levels: list[float], method: IntervalMethod
) -> None:
    seen = Evidence(
        estimate=array(p),
        variance=array(p * (1 - p) / n_star),
        df=array(float(df)),
        n=array(2 * n_star),
        kish_deff=array(1.5),
    )
    inner, outer = (confidence_intervals(seen, method=method, level=level) for level in levels)
    rounding = 1e-10
    if method == "beta":
        # The df-adjustment (t_{n-1}/t_df)^2 falls with the level for df below n - 1 and may rise above it.
        rounding = 1e-10 if df <= 2 * n_star - 1 else 1.0
    assert outer.low[0] <= inner.low[0] + rounding
    assert outer.high[0] >= inner.high[0] - rounding


def test_missing_estimates_have_no_interval() -> None:
    for method in METHODS:
        seen = Evidence(
            estimate=array(np.nan),
            variance=array(np.nan),
            df=array(0.0),
            n=array(0.0),
            kish_deff=array(np.nan),
        )
        found = confidence_intervals(seen, method=method)
        assert np.isnan(found.low[0])
        assert np.isnan(found.high[0])
        assert found.rule[0] == "no_estimate"


def test_wilson_published() -> None:
    """R. G. Newcombe (1998), Two-sided confidence intervals for the single proportion, Table I, method 3."""
    for r, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        found = wilson_interval(array(r / n), array(float(n)), array(np.inf))
        assert (found[0][0], found[1][0]) == pytest.approx((low, high), abs=5e-5)


@given(p=st.floats(0.01, 0.99), n=st.floats(5, 1e5), df=st.integers(1, 500), level=st.floats(0.5, 0.999))
@settings(max_examples=100, deadline=None)
def test_wilson_limits_solve_the_score_equation(p: float, n: float, df: int, level: float) -> None:
    for q in wilson_interval(array(p), array(n), array(float(df)), level=level):
        z = abs(p - q[0]) / np.sqrt(q[0] * (1 - q[0]) / n)
        assert z == pytest.approx(stats.t.ppf(0.5 + level / 2, df), rel=1e-6)


def test_t_and_z_by_hand() -> None:
    low, high = t_interval(array(10.0), array(4.0), array(7.0), level=0.9)
    assert (low[0], high[0]) == pytest.approx((10 - 2 * stats.t.ppf(0.95, 7), 10 + 2 * stats.t.ppf(0.95, 7)))
    seen = Evidence(
        estimate=array(10.0, 10.0, 10.0),
        variance=array(4.0, 0.0, 4.0),
        df=array(7.0, 7.0, 0.0),
        n=array(8.0, 8.0, 1.0),
        kish_deff=array(1.0, 1.0, 1.0),
    )
    z = confidence_intervals(seen, method="z")
    assert z.high[0] == pytest.approx(10 + 2 * stats.norm.ppf(0.975))
    assert z.rule.tolist() == ["as_asked", "no_variance", "as_asked"]
    t = confidence_intervals(seen, method="t")
    assert t.rule.tolist() == ["as_asked", "no_variance", "no_df"]
    assert (t.low[1], t.high[1]) == (10.0, 10.0)
    assert np.isnan(t.low[2])


def test_asin_by_hand_and_its_fold() -> None:
    angle, half = np.arcsin(np.sqrt(0.3)), stats.t.ppf(0.975, 20) * 0.05 / (2 * np.sqrt(0.21))
    low, high = asin_interval(array(0.3), array(0.0025), array(20.0))
    assert (low[0], high[0]) == pytest.approx((np.sin(angle - half) ** 2, np.sin(angle + half) ** 2))
    seen = Evidence(
        estimate=array(0.01, 0.99, 0.3),
        variance=array(0.01, 0.01, 0.0025),
        df=array(20.0, 20.0, 20.0),
        n=array(21.0, 21.0, 21.0),
        kish_deff=array(1.0, 1.0, 1.0),
    )
    assert confidence_intervals(seen, method="asin").rule.tolist() == ["angle_folded", "angle_folded", "as_asked"]


def test_a_folded_asin_limit_is_r_s_even_where_it_does_not_hold_the_estimate() -> None:
    p, variance, df = array(0.776), array(0.013), array(2.0)
    seen = Evidence(estimate=p, variance=variance, df=df, n=array(9.0), kish_deff=array(1.0))
    found = confidence_intervals(seen, method="asin", level=0.99)
    half = stats.t.ppf(0.995, 2) * np.sqrt(0.013 / (0.776 * 0.224)) / 2
    assert found.high[0] == pytest.approx(np.sin(np.arcsin(np.sqrt(0.776)) + half) ** 2, rel=1e-12)
    assert found.high[0] < 0.776
    assert found.rule[0] == "angle_folded"


@given(p=st.floats(1e-6, 1 - 1e-6), n=st.integers(2, 10**6), df=st.integers(1, 1000))
@settings(max_examples=200, deadline=None)
def test_likelihood_limits_solve_the_deviance_equation(p: float, n: int, df: int) -> None:
    variance = 1.7 * p * (1 - p) / n
    low, high = likelihood_interval(array(p), array(variance), array(float(df)), n=array(float(n)))
    wanted = stats.t.ppf(0.975, df) ** 2 * variance / (p * (1 - p)) * n / (n - 1)
    for q in (low[0], high[0]):
        if 1e-300 < q < 1 - 1e-9:
            kl = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
            # The divergence is a difference of terms of size |log p|: 1e-16 of them is left of it.
            assert 2 * kl == pytest.approx(wanted, rel=1e-6, abs=1e-13 * (1 - np.log(p * (1 - p))))
    assert low[0] <= p <= high[0]


def test_all_methods_agree_in_large_samples() -> None:
    """To first order every interval is p ± 1.96 SE; the second order is of size SE^2."""
    seen = Evidence(
        estimate=array(0.4),
        variance=array(0.24 / 1e6),
        df=array(np.inf),
        n=array(1e6),
        kish_deff=array(1.0),
    )
    half = stats.norm.ppf(0.975) * np.sqrt(0.24 / 1e6)
    for method in METHODS:
        found = confidence_intervals(seen, method=method)
        assert (found.low[0], found.high[0]) == pytest.approx((0.4 - half, 0.4 + half), abs=3e-6)


def test_share_fixed_by_a_census_or_the_calibration() -> None:
    """V = 0 with 0 < p < 1: no width as in R, or the weights' stand-in when asked for."""
    seen = Evidence(
        estimate=array(0.4, 0.4),
        variance=array(0.0, (1e-14) ** 2),
        df=array(9.0, 9.0),
        n=array(10.0, 10.0),
        kish_deff=array(1.0, 1.0),
    )
    for method in FOR_PROPORTIONS:
        found = confidence_intervals(seen, method=method)
        assert found.rule.tolist() == ["no_variance", "no_variance"]
        assert found.low.tolist() == found.high.tolist() == [0.4, 0.4]
        wide = confidence_intervals(seen, method=method, without_variance="stand_in")
        exact = stats.binomtest(4, 10).proportion_ci(0.95, method="exact")
        assert wide.low == pytest.approx(exact.low)
        assert wide.high == pytest.approx(exact.high)


def test_variance_that_cannot_be_had() -> None:
    seen = Evidence(estimate=array(0.4), variance=array(np.nan), df=array(9.0), n=array(10.0), kish_deff=array(1.25))
    found = confidence_intervals(seen, method="logit")
    low, high = beta_interval(array(0.4), array(8.0 * df_adjustment(array(10.0), array(9.0))[0]))
    assert found.rule[0] == "no_variance"
    assert (found.low[0], found.high[0]) == pytest.approx((low[0], high[0]))


def test_logit_over_replicates() -> None:
    """Inside (0, 1) the plain logit; a share of 0 or 1 stops where R's iteration does.

    R 4.2.2: ``coef(glm.fit(matrix(1, 2, 1), y, weights = c(1, 0), start = qlogis(0.3), family = quasibinomial()))``
    is -22.431752665285501 for y = c(0, 1), 22.613325446744316 for y = c(1, 0).
    """
    found = replicate_logits(array(0.25, 0.0, 1.0, np.nan)[:, None], array(0.3))[:, 0]
    assert found[0] == pytest.approx(np.log(1 / 3))
    assert found[1] == pytest.approx(-22.431752665285501, abs=1e-9)
    # R holds the share itself, which near 1 leaves 1e-16 of its distance to 1: 1e-16 * e^22 in the logit.
    assert found[2] == pytest.approx(22.613325446744316, abs=1e-16 * np.exp(22.7))
    assert np.isnan(found[3])
    assert np.isnan(replicate_logits(array(0.25)[:, None], array(1.0))).all()


def test_unknown_methods_are_refused_with_the_nearest() -> None:
    seen = Evidence(estimate=array(0.3), variance=array(0.1), df=array(1.0), n=array(2.0), kish_deff=array(1.0))
    with pytest.raises(AxstatError, match="did you mean 'wilson'"):
        confidence_intervals(seen, method=cast(IntervalMethod, "Willson"))
    with pytest.raises(AxstatError, match="level_out_of_range"):
        proportion_intervals(array(0.3), array(0.1), df=array(1.0), n=array(2.0), kish_deff=array(1.0), level=95)
