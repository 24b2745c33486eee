"""May an estimated share be printed? The presentation rules of method.md 4.

Belongs here: the rules and their reason codes. Does not belong here: confidentiality (disclosure), how a mark
looks on the page (reporting).

Source: J. D. Parker and others, National Center for Health Statistics Data Presentation Standards for
Proportions, Vital and Health Statistics 2(175), 2017, with the rules for take-all domains of method.md 4.

Reason codes, joined by ';' in this order:
``no_respondents``, ``no_estimate`` (nothing to weight by), ``n_effective_below_30``,
``take_all_response_below_70``, ``width_030_or_more``, ``relative_width_above_130`` -> suppress;
``df_below_8``, ``zero_or_one``, ``complement_relative_width_above_130`` -> caution;
``census_full_response`` and '' -> publish.
"""

from typing import cast

import numpy as np
import numpy.typing as npt

from pipelines.stats.arrays import BoolArray, FloatArray
from pipelines.stats.interval_formulas import beta_interval, df_adjustment, effective_n
from pipelines.stats.intervals import TakeAll

MINIMUM_N = 30.0
NARROW_WIDTH = 0.05
WIDE_WIDTH = 0.30
RELATIVE_WIDTH = 1.30
MINIMUM_DF = 8.0
TAKE_ALL_RESPONSE = 0.70
# The standard's intervals are 95 % intervals, whatever level is published.
STANDARD_LEVEL = 0.95


def presentation_status(
    p: FloatArray,
    variance: FloatArray,
    *,
    n: FloatArray,
    df: FloatArray,
    kish_deff: FloatArray,
    take_all: TakeAll | None = None,
) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.str_]]:
    """Status ('publish' | 'caution' | 'suppress') and reason codes, arrays of the shape of ``p``.

    The effective sample size n* = p(1-p)/V (n / Kish deff at p = 0 or 1 or V = 0), df-adjusted, is capped at
    n; the width is that of the Korn-Graubard interval with it. In take-all domains with non-response n*
    is not capped, the interval is clipped to what is possible, and the rule on n is replaced by a response
    of 70 %; with full response the estimate is published as it is.
    """
    shape = p.shape
    if take_all is None:
        none = np.zeros(shape, dtype=np.bool_)
        nan = np.full(shape, np.nan)
        take_all = TakeAll(take_all=none, complete=none, floor=nan, ceiling=nan, response_rate=nan)
    known = np.isfinite(p)
    value = np.where(known, p, 0.5)
    n_star = effective_n(value, variance, n, kish_deff)
    with np.errstate(divide="ignore", invalid="ignore"):
        n_star = np.where(df > 0, n_star, np.fmin(n_star, n / kish_deff))
        n_star = n_star * df_adjustment(n, df, level=STANDARD_LEVEL)
        n_used = np.where(take_all.take_all, n_star, np.fmin(n, n_star))
        low, high = beta_interval(value, n_used, level=STANDARD_LEVEL)
        low = np.where(take_all.take_all, np.fmin(np.fmax(low, take_all.floor), value), low)
        high = np.where(take_all.take_all, np.fmax(np.fmin(high, take_all.ceiling), value), high)
        width = high - low
        census = take_all.take_all & take_all.complete
        empty = n == 0
        judged = known & ~census & ~empty
        not_narrow = judged & ~(width <= NARROW_WIDTH)
        marks: list[tuple[str, str, BoolArray]] = [
            ("suppress", "no_respondents", empty),
            ("suppress", "no_estimate", ~known & ~empty),
            ("suppress", "n_effective_below_30", judged & ~take_all.take_all & ~(n_used >= MINIMUM_N)),
            (
                "suppress",
                "take_all_response_below_70",
                judged & take_all.take_all & ~(take_all.response_rate >= TAKE_ALL_RESPONSE),
            ),
            ("suppress", "width_030_or_more", judged & (width >= WIDE_WIDTH)),
            (
                "suppress",
                "relative_width_above_130",
                not_narrow & (value > 0) & (width > RELATIVE_WIDTH * value),
            ),
            ("caution", "df_below_8", judged & ~(df >= MINIMUM_DF)),
            ("caution", "zero_or_one", judged & ((value == 0) | (value == 1))),
            (
                "caution",
                "complement_relative_width_above_130",
                not_narrow & (value < 1) & (width > RELATIVE_WIDTH * (1.0 - value)),
            ),
            ("publish", "census_full_response", census & known & ~empty),
        ]
    status = np.full(shape, "publish", dtype="<U8")
    for level in ("caution", "suppress"):
        for mark_level, _, rows in marks:
            if mark_level == level:
                status = np.where(rows, level, status)
    reason = np.full(shape, "", dtype="<U200")
    for _, code, rows in marks:
        joined = np.where(reason == "", code, np.char.add(np.char.add(reason, ";"), code))
        reason = np.where(rows, joined, reason)
    return cast(npt.NDArray[np.str_], status), cast(npt.NDArray[np.str_], reason)


def coefficient_of_variation(p: FloatArray, variance: FloatArray) -> FloatArray:
    """SE / estimate; NaN at 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return cast(FloatArray, np.where(p > 0, np.sqrt(variance) / np.where(p > 0, p, 1.0), np.nan))


def statcan_letter(se: FloatArray) -> npt.NDArray[np.str_]:
    """StatCan's quality letter of a percentage, from its SE as a share: A < 2.5 pp, B < 7.5, E < 15, else F.

    '' where the SE is missing.
    """
    points = 100.0 * se
    with np.errstate(invalid="ignore"):
        letter = np.select([points < 2.5, points < 7.5, points < 15.0, points >= 15.0], ["A", "B", "E", "F"], "")
    return cast(npt.NDArray[np.str_], letter)
