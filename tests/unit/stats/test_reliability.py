"""The NCHS presentation standard case by case, with the interval from the standard's own formula (scipy's beta).

Source of the rules: Vital and Health Statistics 2(175), 2017; method.md 4.
"""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from pipelines.stats.intervals import TakeAll
from pipelines.stats.reliability import coefficient_of_variation, presentation_status, statcan_letter


def judge(
    p: float,
    n: int,
    *,
    deff: float = 1.0,
    df: int | None = None,
    kish: float | None = None,
    take_all: TakeAll | None = None,
) -> tuple[str, str]:
    variance = deff * p * (1 - p) / n if n else float("nan")
    status, reason = presentation_status(
        np.array([p]),
        np.array([variance]),
        n=np.array([float(n)]),
        df=np.array([float(n - 1 if df is None else df)]),
        kish_deff=np.array([deff if kish is None else kish]),
        take_all=take_all,
    )
    return str(status[0]), str(reason[0])


def width(p: float, n: float) -> float:
    """Korn-Graubard width of the standard for effective size n."""
    low = stats.beta.ppf(0.025, n * p, n * (1 - p) + 1) if p > 0 else 0.0
    high = stats.beta.ppf(0.975, n * p + 1, n * (1 - p)) if p < 1 else 1.0
    return float(high - low)


def test_a_good_estimate() -> None:
    assert width(0.3, 200) < 0.30
    assert width(0.3, 200) / 0.3 < 1.30
    assert judge(0.3, 200) == ("publish", "")


def test_small_samples() -> None:
    assert judge(0.5, 29)[0] == "suppress"
    assert "n_effective_below_30" in judge(0.5, 29)[1]
    # 100 respondents, design effect 4: 25 effective.
    assert "n_effective_below_30" in judge(0.5, 100, deff=4.0)[1]
    # An effective size above n is capped at n: the standard takes the smaller.
    assert "n_effective_below_30" in judge(0.1, 29, deff=0.1)[1]


def test_the_df_adjustment_acts_on_the_effective_size() -> None:
    # 40 effective x (t_79/t_9)^2 = 40 x (1.990/2.262)^2 = 31.0; with 8 df 29.8.
    assert 40 * (stats.t.ppf(0.975, 79) / stats.t.ppf(0.975, 9)) ** 2 > 30
    assert 40 * (stats.t.ppf(0.975, 79) / stats.t.ppf(0.975, 8)) ** 2 < 30
    assert "n_effective" not in judge(0.5, 80, deff=2.0, df=9)[1]
    assert "n_effective_below_30" in judge(0.5, 80, deff=2.0, df=8)[1]


def test_wide_intervals() -> None:
    """At p = 0.5 the width falls below 0.30 between n = 45 and 47 for an even number of events."""
    first_ok = next(n for n in range(30, 80) if width(0.5, n) < 0.30)
    assert judge(0.5, first_ok - 1) == ("suppress", "width_030_or_more")
    assert judge(0.5, first_ok) == ("publish", "")


def test_relative_width() -> None:
    n = 100
    assert 0.05 < width(0.05, n) < 0.30
    assert width(0.05, n) / 0.05 > 1.30
    assert judge(0.05, n) == ("suppress", "relative_width_above_130")


def test_narrow_intervals_are_published_whatever_their_relative_width() -> None:
    assert width(0.005, 1000) <= 0.05
    assert width(0.005, 1000) / 0.005 > 1.30
    assert judge(0.005, 1000) == ("publish", "")
    assert judge(0.995, 1000) == ("publish", "")


def test_flags() -> None:
    assert judge(0.3, 400, df=7) == ("caution", "df_below_8")
    assert width(0.95, 80) / 0.05 > 1.30
    assert width(0.95, 80) > 0.05
    assert judge(0.95, 80) == ("caution", "complement_relative_width_above_130")
    # p = 0: no relative width; the width 1 - 0.025^(1/40) = 0.088 is below 0.30.
    assert judge(0.0, 40) == ("caution", "zero_or_one")
    assert judge(1.0, 200) == ("caution", "zero_or_one")
    assert judge(0.0, 40, kish=1.5)[0] == "suppress"


def test_nothing_to_judge() -> None:
    assert judge(float("nan"), 0) == ("suppress", "no_respondents")
    assert judge(float("nan"), 5) == ("suppress", "no_estimate")


def known(*, complete: bool, response: float, floor: float = 0.0, ceiling: float = 1.0) -> TakeAll:
    return TakeAll(
        take_all=np.array([True]),
        complete=np.array([complete]),
        floor=np.array([floor]),
        ceiling=np.array([ceiling]),
        response_rate=np.array([response]),
    )


def test_census_with_full_response_is_published_however_small() -> None:
    assert judge(0.0, 5, take_all=known(complete=True, response=1.0)) == ("publish", "census_full_response")
    assert judge(0.4, 5, take_all=known(complete=True, response=1.0)) == ("publish", "census_full_response")


def test_take_all_with_non_response() -> None:
    """9 of 10 answered, 5 adopt: the share is in [0.5, 0.6], width at most 0.1: n = 9 is no obstacle, df is a flag."""
    clipped = known(complete=False, response=0.9, floor=0.5, ceiling=0.6)
    assert judge(5 / 9, 9, deff=0.1, take_all=clipped) == ("publish", "")
    assert judge(5 / 9, 9, deff=0.1, df=7, take_all=clipped) == ("caution", "df_below_8")
    # Below 70 % response: suppressed whatever N.
    poor = known(complete=False, response=0.69, floor=0.5, ceiling=0.6)
    assert judge(0.55, 690, deff=0.31, take_all=poor) == ("suppress", "take_all_response_below_70")
    # n* is not capped at n: the interval of 1,000 effective units from 60 is narrow.
    loose = known(complete=False, response=0.95)
    assert judge(0.5, 60, deff=0.06, take_all=loose) == ("publish", "")
    assert width(0.5, 60) < 0.30 < width(0.5, 40)


def test_the_status_is_monotone_in_the_sample_size() -> None:
    order = {"suppress": 0, "caution": 1, "publish": 2}
    for p in (0.1, 0.3, 0.5):
        ranks = [order[judge(p, n)[0]] for n in (20, 40, 100, 400, 2000)]
        assert all(left <= right for left, right in pairwise(ranks))


def test_cv_and_letter() -> None:
    assert coefficient_of_variation(np.array([0.5, 0.0]), np.array([0.0025, 0.0]))[0] == pytest.approx(0.1)
    assert np.isnan(coefficient_of_variation(np.array([0.0]), np.array([0.0]))[0])
    assert statcan_letter(np.array([0.0249, 0.025, 0.0749, 0.075, 0.1499, 0.15, np.nan])).tolist() == [
        "A",
        "B",
        "B",
        "E",
        "E",
        "F",
        "",
    ]
