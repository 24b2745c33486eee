"""Quantiles: intervals by hand, what holds for any file."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipelines.errors import AxstatError
from pipelines.stats.design import SurveyDesign
from pipelines.stats.interval_formulas import logit_interval
from pipelines.stats.quantile_rules import RULES, QuantileRule, quantile_rule
from pipelines.stats.quantiles import (
    WOODRUFF,
    QuantileEstimates,
    QuantileInterval,
    domain_quantiles,
    quantile_interval,
    replicate_quantiles,
)
from pipelines.stats.replication import ReplicateWeights, jackknife


def whole(n: int) -> np.ndarray:
    return np.zeros(n, dtype=np.int64)


def clustered(n: int, seed: int) -> tuple[SurveyDesign, np.ndarray, np.ndarray]:
    """Rows in PSUs of 4 in 3 strata with unequal weights; a measure without ties; two domains."""
    rng = np.random.default_rng(seed)
    psu = np.arange(n) // 4
    frame = pl.DataFrame({"h": psu % 3, "psu": psu, "w": rng.integers(8, 40, n) / 8})
    design = SurveyDesign.from_frame(frame, weight="w", strata="h", stages=["psu"])
    return design, rng.normal(50, 20, n), rng.integers(0, 2, n)


def test_woodruff_by_hand() -> None:
    """Simple random sample: V(F) = F(1-F)/(n-1); the limits are quantiles at those of F, SE their distance over 2 t."""
    n = 100
    y = np.random.default_rng(8).permutation(np.arange(1.0, n + 1))
    design = SurveyDesign.from_frame(pl.DataFrame({"w": np.full(n, 2.0)}), weight="w")
    found = domain_quantiles(design, y, [0.3], domain=whole(n), n_domains=1, level=0.9)
    t = stats.t.ppf(0.95, n - 1)
    half = t * np.sqrt(0.3 * 0.7 / (n - 1))
    low, high = np.ceil(n * (0.3 - half)), np.ceil(n * (0.3 + half))
    assert found.estimate[0, 0] == 30
    assert (found.low[0, 0], found.high[0, 0]) == (low, high)
    assert found.se[0, 0] == pytest.approx((high - low) / (2 * t))
    assert (found.n[0], found.df[0], found.sum_weights[0]) == (n, n - 1, 2 * n)
    xlogit = domain_quantiles(design, y, [0.3], domain=whole(n), n_domains=1, interval="xlogit")
    limits = logit_interval(np.array([0.3]), np.array([0.21 / (n - 1)]), np.array([n - 1.0]))
    assert (xlogit.low[0, 0], xlogit.high[0, 0]) == tuple(np.ceil(n * side[0]) for side in limits)


def test_score_limits_are_where_the_test_turns() -> None:
    """Equal weights, no ties: F goes by steps of 1/n and the statistic is (p - F)/sqrt(F(1-F)/(n-1))."""
    n, p = 80, 0.4
    y = np.random.default_rng(9).permutation(np.arange(1.0, n + 1)) * 10
    design = SurveyDesign.from_frame(pl.DataFrame({"w": np.ones(n)}), weight="w")
    found = domain_quantiles(design, y, [p], domain=whole(n), n_domains=1, interval="score")
    share = np.arange(1, n) / n
    t = stats.t.ppf(0.975, n - 1)
    statistic = (p - share) / np.sqrt(share * (1 - share) / (n - 1))
    first, last = np.argmax(statistic <= t), np.argmax(statistic <= -t)
    # The root is the step itself, sought to 1/(100 sqrt(n)): it falls to one side or the other of it.
    assert found.low[0, 0] / 10 - 1 in (first - 1, first, first + 1)
    assert found.high[0, 0] / 10 - 1 in (last - 1, last, last + 1)


def test_over_replicates_by_hand() -> None:
    """Delete-one jackknife of five rows: the median of each four, by the school's rule."""
    y = np.array([3.0, 1.0, 4.0, 10.0, 5.0])
    weights = jackknife(SurveyDesign.from_frame(pl.DataFrame({"w": np.ones(5)}), weight="w"))
    found = replicate_quantiles(weights, y, [0.5], domain=whole(5), n_domains=1, rule="school", interval="quantile")
    medians = np.array([np.median(np.delete(y, at)) for at in range(5)])
    variance = 4 / 5 * np.sum(np.square(medians - medians.mean()))
    assert found.estimate[0, 0] == 4.0
    assert found.se[0, 0] == pytest.approx(np.sqrt(variance))
    assert found.high[0, 0] == pytest.approx(4 + stats.t.ppf(0.975, 4) * np.sqrt(variance))


def test_woodruff_over_the_jackknife_equals_linearisation() -> None:
    """The share's jackknife and Taylor variances are equal with equal weights: the mean of PSUs of one size."""
    n = 60
    frame = pl.DataFrame({"psu": np.arange(n) // 4, "w": np.full(n, 3.0)})
    design = SurveyDesign.from_frame(frame, weight="w", stages=["psu"])
    y = np.random.default_rng(3).normal(size=n)
    for interval in WOODRUFF:
        taylor = domain_quantiles(design, y, [0.3, 0.6], domain=whole(n), n_domains=1, interval=interval, rule="hf7")
        repeated = replicate_quantiles(
            jackknife(design), y, [0.3, 0.6], domain=whole(n), n_domains=1, interval=interval, rule="hf7"
        )
        assert repeated.low == pytest.approx(taylor.low, rel=1e-9)
        assert repeated.high == pytest.approx(taylor.high, rel=1e-9)


def test_domains_and_missing_values() -> None:
    """A partition in one pass gives what one domain at a time does; a missing value is outside."""
    design, y, domain = clustered(200, 1)
    y[::9] = np.nan
    y[domain == 1] = np.where(np.arange((domain == 1).sum()) % 4 == 0, np.nan, y[domain == 1])
    domain[:20] = -1
    for interval in (*WOODRUFF, "score"):
        found = domain_quantiles(design, y, [0.25, 0.5], domain=domain, n_domains=3, interval=interval)
        for code in (0, 1):
            alone = domain_quantiles(
                design,
                y,
                [0.25, 0.5],
                domain=np.where((domain == code) & np.isfinite(y), 0, -1),
                n_domains=1,
                interval=interval,
            )
            for name in ("estimate", "low", "high", "se", "n", "df", "sum_weights"):
                assert getattr(alone, name)[0] == pytest.approx(getattr(found, name)[code], rel=1e-12)
        assert found.status[2].tolist() == ["empty_domain", "empty_domain"]
        assert np.isnan(found.estimate[2]).all()
        assert found.n[2] == 0


def test_what_cannot_be_had_is_named() -> None:
    design = SurveyDesign.from_frame(
        pl.DataFrame({"w": np.ones(6), "psu": [1, 1, 2, 2, 3, 3]}), weight="w", stages=["psu"]
    )
    y = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    one_psu = domain_quantiles(design, y, [0.5], domain=np.array([0, 0, -1, -1, -1, -1]), n_domains=1)
    assert one_psu.status.tolist() == [["no_df"]]
    assert np.isnan(one_psu.se[0, 0])
    spread = domain_quantiles(design, y, [0.5], domain=whole(6), n_domains=1)
    assert spread.status.tolist() == [["limit_outside"]]
    assert np.isnan(spread.low[0, 0])
    inside = domain_quantiles(design, y, [0.5], domain=whole(6), n_domains=1, interval="xlogit")
    assert inside.status.tolist() == [["ok"]]
    top = domain_quantiles(design, y, [1.0], domain=whole(6), n_domains=1, interval="xlogit")
    assert top.status.tolist() == [["no_variance"]]
    assert top.estimate[0, 0] == 6.0
    nowhere = domain_quantiles(design, np.ones(6), [0.5], domain=whole(6), n_domains=1, interval="score")
    assert nowhere.status.tolist() == [["no_root"]]


def test_names_and_shares_are_checked() -> None:
    design, y, _ = clustered(40, 2)
    with pytest.raises(AxstatError, match="did you mean 'school'"):
        quantile_rule("schol")
    with pytest.raises(AxstatError, match="did you mean 'xlogit'"):
        quantile_interval("logit", replicates=False)
    with pytest.raises(AxstatError, match="none of them for this design"):
        quantile_interval("score", replicates=True)
    with pytest.raises(AxstatError, match=r"50\.0"):
        domain_quantiles(design, y, [0.5, 50.0], domain=whole(40), n_domains=1)
    with pytest.raises(AxstatError, match="95"):
        replicate_quantiles(jackknife(design), y, [0.5], domain=whole(40), n_domains=1, level=95)


def both_ways(design: SurveyDesign, y: np.ndarray, rule: QuantileRule) -> list[QuantileEstimates]:
    n = len(y)
    made = [
        domain_quantiles(design, y, [0.2, 0.5, 0.7], domain=whole(n), n_domains=1, rule=rule, interval=interval)
        for interval in WOODRUFF
    ]
    weights = jackknife(design)
    made.append(replicate_quantiles(weights, y, [0.2, 0.5, 0.7], domain=whole(n), n_domains=1, rule=rule))
    return made


@given(seed=st.integers(0, 10_000), rule=st.sampled_from(["math", "shahvaish"]))
@settings(max_examples=25, deadline=None)
def test_equivariance_under_increasing_transforms(seed: int, rule: QuantileRule) -> None:
    """A rule that returns a row's value commutes with any increasing function, its limits too."""
    design, y, _ = clustered(60, seed)
    for plain, curved in zip(both_ways(design, y, rule), both_ways(design, np.exp(y / 20), rule), strict=True):
        for name in ("estimate", "low", "high"):
            assert getattr(curved, name) == pytest.approx(np.exp(getattr(plain, name) / 20), rel=1e-12, nan_ok=True)


@given(seed=st.integers(0, 10_000), rule=st.sampled_from(sorted(RULES)))
@settings(max_examples=40, deadline=None)
def test_equivariance_under_shift_and_scale(seed: int, rule: QuantileRule) -> None:
    """Every rule commutes with y -> 3 y + 10."""
    design, y, _ = clustered(60, seed)
    for plain, moved in zip(both_ways(design, y, rule), both_ways(design, 3 * y + 10, rule), strict=True):
        for name in ("estimate", "low", "high"):
            assert getattr(moved, name) == pytest.approx(3 * getattr(plain, name) + 10, rel=1e-9, nan_ok=True)


@given(seed=st.integers(0, 10_000), rule=st.sampled_from(sorted(RULES)))
@settings(max_examples=30, deadline=None)
def test_order_of_rows_does_not_matter_without_ties(seed: int, rule: QuantileRule) -> None:
    """Weights are eighths, whose sums are exact in any order."""
    n = 60
    _, y, _ = clustered(n, seed)
    rng = np.random.default_rng(seed)
    psu = np.arange(n) // 4
    frame = pl.DataFrame({"h": psu % 3, "psu": psu, "w": rng.integers(8, 40, n) / 8, "y": y})
    mixed = frame.sample(fraction=1.0, shuffle=True, seed=seed)
    made = []
    for table in (frame, mixed):
        design = SurveyDesign.from_frame(table, weight="w", strata="h", stages=["psu"])
        made.append(
            domain_quantiles(
                design, table["y"].to_numpy(), [0.2, 0.5], domain=whole(n), n_domains=1, rule=rule, interval="xlogit"
            )
        )
    for name in ("estimate", "low", "high", "se"):
        assert getattr(made[1], name) == pytest.approx(getattr(made[0], name), rel=1e-9)


@given(
    seed=st.integers(0, 10_000),
    rule=st.sampled_from(["math", "hf7"]),
    interval=st.sampled_from(WOODRUFF),
    levels=st.tuples(st.floats(0.5, 0.99), st.floats(0.5, 0.99)).map(sorted),
)
@settings(max_examples=40, deadline=None)
def test_the_interval_holds_the_estimate_and_grows_with_the_level(
    seed: int, rule: QuantileRule, interval: QuantileInterval, levels: list[float]
) -> None:
    design, y, _ = clustered(120, seed)
    inner, outer = (
        domain_quantiles(
            design, y, [0.3, 0.5], domain=whole(120), n_domains=1, rule=rule, interval=interval, level=level
        )
        for level in levels
    )
    assert np.all(outer.low <= inner.low + 1e-9)
    assert np.all(outer.high >= inner.high - 1e-9)
    if rule == "math":
        assert np.all(inner.low <= inner.estimate)
        assert np.all(inner.high >= inner.estimate)


def test_replicates_without_rows_are_left_out() -> None:
    """The first replicate has no weight in the domain: R drops it from the variance."""
    y = np.array([1.0, 2.0, 3.0, 4.0])
    columns = np.array([[0.0, 2.0, 1.0], [0.0, 1.0, 2.0], [2.0, 1.0, 1.0], [2.0, 1.0, 1.0]])
    weights = ReplicateWeights.from_columns(np.ones(4), columns, scale=0.5)
    found = replicate_quantiles(
        weights, y, [0.5], domain=np.array([0, 0, -1, -1]), n_domains=1, rule="hf5", interval="quantile"
    )
    # Positions (S - w/2)/S of rows 1 and 2: weights (2, 1) 1/3 and 5/6, weights (1, 2) 1/6 and 2/3.
    second, third = 1 + (0.5 - 1 / 3) / 0.5, 1 + (0.5 - 1 / 6) / 0.5
    mean = (second + third) / 2
    assert found.se[0, 0] ** 2 == pytest.approx(0.5 * ((second - mean) ** 2 + (third - mean) ** 2))
