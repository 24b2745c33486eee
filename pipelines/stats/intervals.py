"""Confidence intervals for proportions from complex samples, over whole arrays.

Belongs here: interval formulas and what they do where the variance says nothing (p = 0 or 1, no degrees of
freedom, take-all domains). Does not belong here: the variance (linearization), whether an estimate may be
printed (reliability).
"""

from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from scipy import special

from pipelines.stats.arrays import BoolArray, FloatArray

IntervalMethod = Literal["logit", "korn_graubard"]


@dataclass(frozen=True, eq=False)
class TakeAll:
    """What is known of domains whose strata are all take-all; arrays of one shape.

    ``take_all`` marks the domains the rest is about; elsewhere the values are not read. ``complete``: every
    eligible unit answered, so the estimate is the population's value. ``floor`` = k/N and ``ceiling`` =
    (N - n + k)/N, with k adopters among n respondents of N eligible units (employment in place of counts
    for employment-weighted shares): whatever the others would have said, the share lies between.
    """

    take_all: BoolArray
    complete: BoolArray
    floor: FloatArray
    ceiling: FloatArray
    response_rate: FloatArray


def t_quantile(level: float, df: FloatArray) -> FloatArray:
    """Two-sided t quantile, e.g. 1.96 for level 0.95 and df = inf; NaN where df is not above 0."""
    usable = df > 0
    quantile = special.stdtrit(np.where(usable, df, 1.0), 1.0 - (1.0 - level) / 2.0)
    return cast(FloatArray, np.where(usable, quantile, np.nan))


def logit_interval(
    p: FloatArray, variance: FloatArray, df: FloatArray, *, level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Wald interval on the logit scale, t with df: R's ``svyciprop(method="xlogit")``.

    NaN where p is 0 or 1 or df is not above 0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = np.log(p / (1.0 - p))
        half = t_quantile(level, df) * np.sqrt(variance) / (p * (1.0 - p))
        low, high = special.expit(centre - half), special.expit(centre + half)
    inside = (p > 0) & (p < 1)
    return cast(FloatArray, np.where(inside, low, np.nan)), cast(FloatArray, np.where(inside, high, np.nan))


def df_adjustment(n: FloatArray, df: FloatArray, *, level: float = 0.95) -> FloatArray:
    """(t_{n-1}/t_df)^2, by which Korn and Graubard shrink the effective sample size.

    1 where it cannot be had (n below 2 or df not above 0).
    """
    with np.errstate(invalid="ignore"):
        ratio = np.square(t_quantile(level, n - 1.0) / t_quantile(level, df))
    return cast(FloatArray, np.where(np.isfinite(ratio), ratio, 1.0))


def beta_interval(p: FloatArray, n_effective: FloatArray, *, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
    """Clopper-Pearson limits with an effective sample size; 0 at p = 0, 1 at p = 1.

    The formula of R's ``svyciprop(method="beta")``: beta quantiles with parameters (n p, n (1-p) + 1) and
    (n p + 1, n (1-p)).
    """
    tail = (1.0 - level) / 2.0
    yes, no = n_effective * p, n_effective * (1.0 - p)
    valid = np.isfinite(yes) & (n_effective > 0)
    safe_yes, safe_no = np.where(valid & (p > 0), yes, 1.0), np.where(valid & (p < 1), no, 1.0)
    low = special.betaincinv(safe_yes, np.where(valid, no, 1.0) + 1.0, tail)
    high = special.betaincinv(np.where(valid, yes, 1.0) + 1.0, safe_no, 1.0 - tail)
    low, high = np.where(p <= 0, 0.0, low), np.where(p >= 1, 1.0, high)
    return cast(FloatArray, np.where(valid, low, np.nan)), cast(FloatArray, np.where(valid, high, np.nan))


def effective_n(p: FloatArray, variance: FloatArray, n: FloatArray, kish_deff: FloatArray) -> FloatArray:
    """n* = p(1-p)/V; n / Kish deff where p is 0 or 1 or the variance is 0 (method.md 3)."""
    inside = (p > 0) & (p < 1) & (variance > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return cast(FloatArray, np.where(inside, p * (1.0 - p) / np.where(inside, variance, 1.0), n / kish_deff))


def korn_graubard_interval(
    p: FloatArray,
    variance: FloatArray,
    *,
    df: FloatArray,
    n: FloatArray,
    kish_deff: FloatArray,
    level: float = 0.95,
) -> tuple[FloatArray, FloatArray]:
    """Korn and Graubard (1998): beta limits with n*, df-adjusted.

    Where 0 < p < 1, V > 0 and df > 0 it is R's ``svyciprop(method="beta")``. At p = 0 or 1, or V = 0, n* is
    n / Kish deff; without degrees of freedom it is the smaller of the two and is not df-adjusted.
    """
    n_star = effective_n(p, variance, n, kish_deff)
    with np.errstate(divide="ignore", invalid="ignore"):
        n_star = np.where(df > 0, n_star, np.minimum(n_star, n / kish_deff))
    return beta_interval(p, n_star * df_adjustment(n, df, level=level), level=level)


def proportion_intervals(
    p: FloatArray,
    variance: FloatArray,
    *,
    df: FloatArray,
    n: FloatArray,
    kish_deff: FloatArray,
    method: IntervalMethod = "logit",
    level: float = 0.95,
    take_all: TakeAll | None = None,
) -> tuple[FloatArray, FloatArray]:
    """The interval that is published: lower and upper limits, arrays of the shape of ``p``.

    The chosen method where the variance carries information (0 < p < 1, V > 0, df > 0), else the beta
    interval of :func:`korn_graubard_interval`. Take-all domains: no width where every eligible unit answered
    (a census), otherwise clipped to what the missing units leave possible. NaN where p is NaN.
    """
    low, high = korn_graubard_interval(p, variance, df=df, n=n, kish_deff=kish_deff, level=level)
    if method == "logit":
        with np.errstate(invalid="ignore"):
            regular = (p > 0) & (p < 1) & (variance > 0) & (df > 0)
        logit_low, logit_high = logit_interval(p, variance, df, level=level)
        low, high = np.where(regular, logit_low, low), np.where(regular, logit_high, high)
    if take_all is not None:
        low = np.where(take_all.take_all, np.maximum(low, take_all.floor), low)
        high = np.where(take_all.take_all, np.minimum(high, take_all.ceiling), high)
        known = take_all.take_all & take_all.complete
        low, high = np.where(known, p, low), np.where(known, p, high)
    # The limits hold the estimate: a weighted share may leave the bounds of the counts of a take-all domain, and
    # beta quantiles of vanishing parameters come out up to 1e-11 wrong.
    low, high = np.fmin(low, p), np.fmax(high, p)
    missing = np.isnan(p)
    return cast(FloatArray, np.where(missing, np.nan, low)), cast(FloatArray, np.where(missing, np.nan, high))
