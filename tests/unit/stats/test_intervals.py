"""Intervals for proportions: formulas, and what they do at the edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipelines.stats.intervals import (
    TakeAll,
    beta_interval,
    df_adjustment,
    effective_n,
    korn_graubard_interval,
    logit_interval,
    proportion_intervals,
    t_quantile,
)


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
    low, high = proportion_intervals(
        array(0.0, 1.0, 0.4, 0.4),
        array(0.0, 0.0, 0.0, 0.01),
        df=array(20.0, 20.0, 20.0, 0.0),
        n=array(25.0, 25.0, 25.0, 3.0),
        kish_deff=array(1.2, 1.2, 1.2, 1.5),
    )
    assert low[0] == 0.0
    assert high[1] == 1.0
    assert (high - low > 0.05).all()
    # Without degrees of freedom: the smaller of p(1-p)/V = 24 and n / Kish deff = 2, not adjusted.
    assert (low[3], high[3]) == pytest.approx(tuple(side[0] for side in beta_interval(array(0.4), array(2.0))))


def test_method_korn_graubard_is_used_when_asked() -> None:
    arguments = {"df": array(30.0), "n": array(60.0), "kish_deff": array(1.1)}
    asked = proportion_intervals(array(0.3), array(0.004), method="korn_graubard", **arguments)
    direct = korn_graubard_interval(array(0.3), array(0.004), **arguments)
    assert (asked[0][0], asked[1][0]) == (direct[0][0], direct[1][0])


def test_take_all_domains() -> None:
    """12 of 15 answered, 6 adopt: the share lies in [6/15, 9/15]; full response: no width."""
    known = TakeAll(
        take_all=np.array([True, True, False]),
        complete=np.array([False, True, True]),
        floor=array(6 / 15, 0.5, 0.9),
        ceiling=array(9 / 15, 0.5, 0.95),
        response_rate=array(0.8, 1.0, 1.0),
    )
    low, high = proportion_intervals(
        array(0.5, 0.5, 0.5),
        array(0.004, 0.0, 0.004),
        df=array(10.0, 11.0, 10.0),
        n=array(12.0, 12.0, 12.0),
        kish_deff=array(1.0, 1.0, 1.0),
        take_all=known,
    )
    assert (low[0], high[0]) == (6 / 15, 9 / 15)
    assert (low[1], high[1]) == (0.5, 0.5)
    assert low[2] < 0.45
    assert high[2] > 0.55


@given(
    p=st.floats(0, 1),
    deff=st.floats(0.2, 5),
    n=st.integers(1, 5000),
    df=st.integers(-1, 4999),
)
@settings(max_examples=300, deadline=None)
def test_the_interval_holds_the_estimate_and_stays_inside(p: float, deff: float, n: int, df: int) -> None:
    variance = array(deff * p * (1 - p) / n)
    for method in ("logit", "korn_graubard"):
        low, high = proportion_intervals(
            array(p),
            variance,
            df=array(float(min(df, n - 1))),
            n=array(float(n)),
            kish_deff=array(max(deff, 1.0)),
            method=method,
        )
        assert 0.0 <= low[0] <= p + 1e-12
        assert p - 1e-12 <= high[0] <= 1.0
        assert high[0] > low[0]


def test_missing_estimates_have_no_interval() -> None:
    low, high = proportion_intervals(array(np.nan), array(np.nan), df=array(0.0), n=array(0.0), kish_deff=array(np.nan))
    assert np.isnan(low[0])
    assert np.isnan(high[0])
