"""Confidence intervals by their names, and what is done where the variance says nothing.

Belongs here: the one table of names, and the rules for p = 0 or 1, no degrees of freedom, take-all domains and
published shares. Does not belong here: formulas (interval_formulas), the variance (variance, replication), intervals
of quantiles (quantiles), whether an estimate may be printed (reliability).

The names for proportions are those of R's ``svyciprop`` (survey 4.1), with ``wilson`` added; ``t`` and
``z`` are R's ``confint`` of a mean, total or ratio.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from pipelines.errors import AxstatError
from pipelines.stats.arrays import BoolArray, FloatArray
from pipelines.stats.interval_formulas import (
    NOISE,
    Limits,
    angle_folds,
    angles,
    asin_interval,
    effective_n,
    korn_graubard_interval,
    likelihood_interval,
    logit_interval,
    t_interval,
    wilson_interval,
)
from pipelines.stats.terms import known_name

IntervalMethod = Literal["logit", "xlogit", "beta", "wilson", "asin", "mean", "likelihood", "t", "z"]
# What was done for an estimate: see confidence_intervals().
IntervalRule = Literal[
    "as_asked",
    "angle_folded",
    "angle_clipped",
    "zero_or_one",
    "no_variance",
    "no_df",
    "n_effective_capped",
    "take_all_bounds",
    "census",
    "no_estimate",
]
WithoutVariance = Literal["no_width", "stand_in"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What an interval is made from; arrays of one shape.

    ``variance`` is that of the estimate, ``df`` the design's degrees of freedom, ``n`` the rows used and
    ``kish_deff`` the design effect of their weights: of use where the variance says nothing. ``t`` and ``z``
    read neither.

    ``design_rows`` is R's ``nrow(design)``, by which ``beta`` is df-adjusted: the rows used, except on a
    calibrated design, which keeps all rows of the file in a domain. None: ``n``.
    ``logit_variance`` is the variance of log(p/(1-p)) over replicates (:func:`replicate_logits`), read by
    ``logit`` and ``likelihood``. None: variance / (p(1-p))^2, which is what linearisation gives.
    """

    estimate: FloatArray
    variance: FloatArray
    df: FloatArray
    n: FloatArray
    kish_deff: FloatArray
    design_rows: FloatArray | None = None
    logit_variance: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Intervals:
    """Lower and upper limits and the rule that made them (:data:`IntervalRule`); arrays of one shape."""

    low: FloatArray
    high: FloatArray
    rule: npt.NDArray[np.str_]


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


def _logit(seen: Evidence, level: float) -> Limits:
    if seen.logit_variance is None:
        return _xlogit(seen, level)
    slope = seen.estimate * (1.0 - seen.estimate)
    return logit_interval(seen.estimate, seen.logit_variance * np.square(slope), seen.df, level=level)


def _xlogit(seen: Evidence, level: float) -> Limits:
    return logit_interval(seen.estimate, seen.variance, seen.df, level=level)


def _beta(seen: Evidence, level: float) -> Limits:
    return korn_graubard_interval(
        seen.estimate,
        seen.variance,
        df=seen.df,
        n=seen.n,
        kish_deff=seen.kish_deff,
        design_rows=seen.design_rows,
        level=level,
    )


def _wilson(seen: Evidence, level: float) -> Limits:
    n_star = effective_n(seen.estimate, seen.variance, seen.n, seen.kish_deff)
    return wilson_interval(seen.estimate, n_star, seen.df, level=level)


def _asin(seen: Evidence, level: float) -> Limits:
    return asin_interval(seen.estimate, seen.variance, seen.df, level=level)


def _likelihood(seen: Evidence, level: float) -> Limits:
    variance = seen.variance
    if seen.logit_variance is not None:
        variance = seen.logit_variance * np.square(seen.estimate * (1.0 - seen.estimate))
    return likelihood_interval(seen.estimate, variance, seen.df, n=seen.n, level=level)


def _t(seen: Evidence, level: float) -> Limits:
    return t_interval(seen.estimate, seen.variance, seen.df, level=level)


def _z(seen: Evidence, level: float) -> Limits:
    return t_interval(seen.estimate, seen.variance, np.full_like(seen.estimate, np.inf), level=level)


# The one place where a method's name meets its formula.
METHODS: Mapping[IntervalMethod, Callable[[Evidence, float], Limits]] = MappingProxyType(
    {
        "logit": _logit,
        "xlogit": _xlogit,
        "beta": _beta,
        "wilson": _wilson,
        "asin": _asin,
        "mean": _t,
        "likelihood": _likelihood,
        "t": _t,
        "z": _z,
    }
)
ANY_STATISTIC: tuple[IntervalMethod, ...] = ("t", "z")


def confidence_intervals(
    seen: Evidence,
    *,
    method: IntervalMethod,
    level: float = 0.95,
    without_variance: WithoutVariance = "no_width",
) -> Intervals:
    """Limits by the method asked for, and where it has none, what is sensible, with the rule that acted.

    ``as_asked``: the method's own formula. ``angle_folded``: likewise, but a limit of ``asin`` went through
    0 or 1 and came back, as R lets it; use another method there.
    For a proportion (all methods but ``t`` and ``z``) the interval of :func:`korn_graubard_interval` stands
    in at ``zero_or_one`` (p = 0 or 1) and ``no_df`` (df not above 0), where R gives NaN or no width.
    ``no_variance``: 0 < p < 1 and the variance is 0 (SE at most 1e-12 p: rounding) or cannot be had. That is
    right of a share that a census or the calibration fixes, and then the limits are the estimate, as in R:
    ``without_variance="no_width"``. With ``"stand_in"`` it is taken for an accident of few units and the
    Korn-Graubard interval stands in; so it does wherever the variance is not finite.
    ``t`` and ``z`` know no stand-in: under ``no_df`` the limits of ``t`` are NaN; without variance both keep
    R's limits, the estimate itself.
    ``no_estimate``: the estimate is NaN, and so are the limits.

    Raises:
        AxstatError: an unknown method, with the nearest; ``level_out_of_range`` unless 0 < level < 1.
    """
    known_name(method, get_args(IntervalMethod), "interval method")
    if not 0.0 < level < 1.0:
        raise AxstatError(
            "level_out_of_range",
            where="confidence level",
            expected="a share between 0 and 1, such as 0.95",
            got=str(level),
            hint="give the level as a share, not in percent",
        )
    p = seen.estimate
    low, high = METHODS[method](seen, level)
    spread = seen.variance
    if method in ("logit", "likelihood") and seen.logit_variance is not None:
        spread = seen.logit_variance * np.square(p * (1.0 - p))
    with np.errstate(invalid="ignore"):
        unknown = ~np.isfinite(spread)
        none = unknown | (np.sqrt(spread) <= NOISE * np.abs(p))
        rules: dict[IntervalRule, BoolArray] = {"no_estimate": np.isnan(p)}
        if method not in ANY_STATISTIC:
            rules["zero_or_one"] = (p <= 0) | (p >= 1)
        if method != "z":
            rules["no_df"] = ~(seen.df > 0)
        rules["no_variance"] = none
        if method == "asin":
            rules["angle_folded"] = angle_folds(p, spread, seen.df, level=level)
    rule = np.select(list(rules.values()), list(rules), "as_asked").astype(np.str_)
    if method in ANY_STATISTIC:
        return Intervals(low=low, high=high, rule=rule)
    width_less = (rule == "no_variance") & ~unknown & (without_variance == "no_width")
    stand_in = np.isin(rule, ("zero_or_one", "no_variance", "no_df")) & ~width_less
    if stand_in.any():
        quiet = np.where(none, 0.0, spread)
        by_weights = Evidence(
            estimate=p,
            variance=quiet,
            df=seen.df,
            n=seen.n,
            kish_deff=seen.kish_deff,
            design_rows=seen.design_rows,
        )
        beta_low, beta_high = _beta(by_weights, level)
        low, high = np.where(stand_in, beta_low, low), np.where(stand_in, beta_high, high)
    low, high = np.where(width_less, p, low), np.where(width_less, p, high)
    # The limits hold the estimate (beta quantiles of vanishing parameters come out up to 1e-11 wrong), but folded ones
    folded = rule == "angle_folded"
    low, high = np.where(folded, low, np.minimum(low, p)), np.where(folded, high, np.maximum(high, p))
    return Intervals(low=low, high=high, rule=rule)


def _capped(asked: Intervals, seen: Evidence, level: float, population: FloatArray) -> Intervals:
    with np.errstate(divide="ignore", invalid="ignore"):
        cap = seen.n / (1.0 - np.fmin(seen.n / population, 1.0))
        n_star = effective_n(seen.estimate, seen.variance, seen.n, seen.kish_deff)
        over = n_star > cap
    over &= np.isin(asked.rule, ("as_asked", "angle_clipped"))
    low, high = wilson_interval(seen.estimate, np.where(over, cap, np.nan), seen.df, level=level)
    return Intervals(
        low=np.where(over, low, asked.low),
        high=np.where(over, high, asked.high),
        rule=np.where(over, "n_effective_capped", asked.rule),
    )


def _unfolded(asked: Intervals, p: FloatArray, variance: FloatArray, df: FloatArray, level: float) -> Intervals:
    folded = asked.rule == "angle_folded"
    centre, half = angles(p, variance, df, level)
    low = np.square(np.sin(np.maximum(centre - half, 0.0)))
    high = np.square(np.sin(np.minimum(centre + half, np.pi / 2.0)))
    return Intervals(
        low=np.where(folded, low, asked.low),
        high=np.where(folded, high, asked.high),
        rule=np.where(folded, "angle_clipped", asked.rule),
    )


def proportion_intervals(
    p: FloatArray,
    variance: FloatArray,
    *,
    df: FloatArray,
    n: FloatArray,
    kish_deff: FloatArray,
    method: IntervalMethod = "logit",
    level: float = 0.95,
    population: FloatArray | None = None,
    take_all: TakeAll | None = None,
) -> Intervals:
    """The interval that is published: arrays of the shape of ``p``.

    That of :func:`confidence_intervals`, with a stand-in where the variance is 0. Where a limit of ``asin`` would
    fold back it ends at 0 or 1 (``angle_clipped``): folded limits may even meet.

    With ``population``, the units of the domain N: where n* exceeds n / (1 - n/N), which is what a simple random
    sample of n units would have, the Wilson interval with that stands in (``n_effective_capped``, decision 0009).
    Take-all domains have no width where every eligible unit answered (rule ``census``) and are otherwise clipped to
    what the missing units leave possible (``take_all_bounds`` where that moved a limit).
    """
    seen = Evidence(estimate=p, variance=variance, df=df, n=n, kish_deff=kish_deff)
    asked = confidence_intervals(seen, method=method, level=level, without_variance="stand_in")
    if method == "asin":
        asked = _unfolded(asked, p, variance, df, level)
    if population is not None:
        asked = _capped(asked, seen, level, population)
    if take_all is None:
        return asked
    low = np.where(take_all.take_all, np.fmax(asked.low, take_all.floor), asked.low)
    high = np.where(take_all.take_all, np.fmin(asked.high, take_all.ceiling), asked.high)
    known = take_all.take_all & take_all.complete
    low, high = np.where(known, p, low), np.where(known, p, high)
    # A weighted share may leave the bounds of the counts of a take-all domain; the limits hold it all the same.
    low, high = np.minimum(low, p), np.maximum(high, p)
    clipped = (low != asked.low) | (high != asked.high)
    rule = np.select([np.isnan(p), known, clipped], ["no_estimate", "census", "take_all_bounds"], asked.rule)
    return Intervals(low=cast(FloatArray, low), high=cast(FloatArray, high), rule=rule.astype(np.str_))
