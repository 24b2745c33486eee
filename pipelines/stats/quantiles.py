"""Quantiles by domain, with the intervals of R's ``svyquantile`` (survey 4.1).

Belongs here: intervals by inverting a proportion's interval (Woodruff), by the score test and over replicates. Does not
belong here: the rules of quantiles (quantile_rules), the intervals of proportions themselves (intervals), any variance
(variance, replication).

Method. F(q) is the weighted share of rows with y <= q. Woodruff (1952): at the estimate q make an interval of
F(q) and take the quantiles of its limits, by the same rule. Score (Francisco and Fuller 1991): the q at which
the test of F(q) = p is just rejected. SE: length of the interval over twice the t quantile.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
import numpy.typing as npt
from scipy import optimize

from pipelines.errors import AxstatError
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray
from pipelines.stats.design import SurveyDesign
from pipelines.stats.interval_formulas import (
    Limits,
    asin_interval,
    korn_graubard_interval,
    logit_interval,
    t_interval,
    t_quantile,
)
from pipelines.stats.quantile_rules import Distribution, QuantileRule, quantile_rule
from pipelines.stats.replication import ReplicateWeights
from pipelines.stats.terms import known_name
from pipelines.stats.variance import DomainLayout

QuantileInterval = Literal["mean", "beta", "xlogit", "asin", "score", "quantile"]
WOODRUFF: tuple[QuantileInterval, ...] = ("mean", "beta", "xlogit", "asin")
# What was done: see QuantileEstimates.
QuantileStatus = Literal["ok", "empty_domain", "no_df", "no_variance", "limit_outside", "no_root"]
Marks = dict[QuantileStatus, BoolArray]


@dataclass(frozen=True, eq=False)
class QuantileEstimates:
    """Quantiles of D domains at P probabilities; arrays ``(D, P)``, ``n``, ``df`` and ``sum_weights`` ``(D,)``.

    ``n`` counts the rows used of a weight other than 0; ``df`` is R's degf of the subset. ``status``:
    ``ok``; ``empty_domain``: no estimate; and, with an estimate but, as in R, a limit and the SE NaN:
    ``no_df``; ``no_variance``: the share F(q) is 0 or 1, or its variance is 0 or cannot be had (``mean`` and
    ``quantile`` then give R's limits, which leave no width: no statement about the quantile); ``limit_outside``: a
    limit of F(q) is below 0 or above 1 (``xlogit`` and ``beta`` keep inside); ``no_root``: the score test rejects
    nowhere, where R stops with an error.
    """

    probabilities: FloatArray  # (P,)
    estimate: FloatArray
    low: FloatArray
    high: FloatArray
    se: FloatArray
    n: FloatArray
    df: FloatArray
    sum_weights: FloatArray
    status: npt.NDArray[np.str_]


def quantile_interval(name: str, *, replicates: bool) -> QuantileInterval:
    """The interval of that name; ``score`` needs a linearised variance, ``quantile`` replicate weights.

    Raises:
        AxstatError: ``unknown_quantile_interval``, naming the valid ones and the nearest.
    """
    return cast(
        QuantileInterval,
        known_name(
            name,
            (*WOODRUFF, "quantile" if replicates else "score"),
            "quantile interval",
            elsewhere=get_args(QuantileInterval),
        ),
    )


def domain_quantiles(
    design: SurveyDesign,
    y: FloatArray,
    probabilities: Sequence[float],
    *,
    domain: IntArray,
    n_domains: int,
    rule: QuantileRule = "math",
    interval: QuantileInterval = "mean",
    level: float = 0.95,
) -> QuantileEstimates:
    """Quantiles by domain under a linearised variance: R's ``svyquantile`` of a subset.

    Args:
        y: the measure on the rows of the design ``(n,)``; NaN = missing, left out.
        probabilities: between 0 and 1, ``P`` of them.
        domain: domain code 0..n_domains-1 of each row ``(n,)``, -1 for none.
        rule: of :data:`RULES`. Below the first cumulated weight, ``math`` and its kin give the second value, as R
            does. hf5 to hf9 depend on the order of rows that are tied in y and differ in weight, as in R.
        interval: ``mean``, ``beta``, ``xlogit``, ``asin`` (Woodruff, by the ``svyciprop`` interval of F) or
            ``score``. Score limits are R's: the root is sought to 1/(100 sqrt(n)) of y only, and the quantile is
            taken at the unweighted share of rows below it.

    Raises:
        AxstatError: an unknown rule or interval, a probability or level outside 0 to 1.
    """
    quantile_rule(rule), quantile_interval(interval, replicates=False)
    p = _checked(probabilities, level)
    layout = DomainLayout.build(design, domain, n_domains)
    # R keeps inclusion probabilities: its weight is the inverse of an inverse, which decides ties with p.
    with np.errstate(divide="ignore"):
        value, weight = y[layout.kept], 1.0 / (1.0 / layout.weight[:, 0])
    used = np.isfinite(value)
    distributions = _by_domain(value, weight, np.where(used, layout.row_domain, -1), n_domains)
    estimate = _estimates(distributions, p, rule)
    psus, strata = layout.present(used[:, None])
    df = (psus - strata)[:, 0]
    if interval == "score":
        limits = _score_limits(design, y, distributions, p, domain=domain, df=df, rule=rule, level=level)
        marks: Marks = {"no_root": np.isnan(limits[0]) | np.isnan(limits[1])}
    else:
        share = _shares(distributions, estimate)
        residual = (value[:, None] <= layout.spread(estimate)) - layout.spread(np.nan_to_num(share))
        base = np.array([seen.total for seen in distributions])
        acting = np.where(used, weight, 0.0) / np.where(base != 0, base, 1.0)[layout.row_domain]
        variance = layout.variance(acting[:, None] * residual, used=used[:, None])
        rows = layout.sums(used[:, None].astype(np.float64))[:, 0]
        # R's nrow(design): a calibrated design keeps all rows of the file in a domain.
        rows = np.full(n_domains, float(design.n_rows)) if design.calibrated else rows
        limits, marks = _woodruff(
            distributions, share, variance, rule=rule, interval=interval, df=df, rows=rows, level=level
        )
    n = np.array([float(len(seen.value)) for seen in distributions])
    return _finish(p, distributions, estimate, limits, n=n, df=df, level=level, marks=marks)


def replicate_quantiles(
    weights: ReplicateWeights,
    y: FloatArray,
    probabilities: Sequence[float],
    *,
    domain: IntArray,
    n_domains: int,
    rule: QuantileRule = "math",
    interval: QuantileInterval = "mean",
    level: float = 0.95,
) -> QuantileEstimates:
    """Quantiles by domain over replicate weights: R's ``svyquantile`` of a replicate design.

    Arguments as for :func:`domain_quantiles`, but for ``interval``: the Woodruff ones, with the replicate
    variance of F, or ``quantile``: q ± t SE with the variance of the quantiles of the replicates, which does not
    hold for jackknife weights. Survey 4.1 makes the ``mean`` interval whichever Woodruff interval it is
    asked for; here each is what its name says.

    Raises:
        AxstatError: an unknown rule or interval, a probability or level outside 0 to 1.
    """
    quantile_rule(rule), quantile_interval(interval, replicates=True)
    p = _checked(probabilities, level)
    used = np.isfinite(y) & (domain >= 0)
    code = np.where(used, domain, -1)
    distributions = _by_domain(y, weights.weight, code, n_domains)
    estimate = _estimates(distributions, p, rule)
    df = weights.domain_degrees_of_freedom(code, n_domains)
    rows = np.bincount(code[used], minlength=n_domains).astype(np.float64)
    if interval == "quantile":
        made = _replicate_estimates(weights, y, code, p, n_domains, rule)
        variance = weights.variance(made, estimate)
        half = t_quantile(level, df)[:, None] * np.sqrt(variance)
        limits: Limits = (estimate - half, estimate + half)
        marks: Marks = {"no_variance": ~(variance > 0)}
    else:
        share = _shares(distributions, estimate)
        below = np.zeros((len(y), len(p)), dtype=np.bool_)
        below[used] = y[used, None] <= estimate[code[used]]
        made = weights.domain_totals([*below.T.astype(np.float64), used.astype(np.float64)], code, n_domains)[1]
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = weights.variance(made[:, :, :-1] / made[:, :, -1:], share)
        limits, marks = _woodruff(
            distributions, share, variance, rule=rule, interval=interval, df=df, rows=rows, level=level
        )
    return _finish(p, distributions, estimate, limits, n=rows, df=df, level=level, marks=marks)


def _checked(probabilities: Sequence[float], level: float) -> FloatArray:
    p = np.asarray(probabilities, dtype=np.float64)
    wrong = [str(value) for value in (*p[~((p >= 0) & (p <= 1))], *([] if 0 < level < 1 else [level]))]
    if wrong or p.ndim != 1:
        raise AxstatError(
            "probability_out_of_range",
            where="probabilities and level of a quantile",
            expected="a list of shares between 0 and 1, and a level between them",
            got=", ".join(wrong) if wrong else str(probabilities),
            hint="give shares, not percent: 0.5 is the median",
        )
    return p


def _by_domain(value: FloatArray, weight: FloatArray, domain: IntArray, n_domains: int) -> list[Distribution]:
    """The distribution of each domain, from rows ``(n,)`` with codes, -1 = none: sorted once."""
    return [Distribution.sorted_by(value[rows], weight[rows]) for rows in _rows_by_domain(value, domain, n_domains)]


def _rows_by_domain(value: FloatArray, domain: IntArray, n_domains: int) -> list[IntArray]:
    """Rows of each domain in the order of their values, ties in the order of the rows."""
    order = np.argsort(value, kind="stable")
    code = domain[order]
    if n_domains == 1:
        return [order[code == 0]]
    # numpy's stable sort of small integers is a radix sort.
    small = code.astype(np.int16) if n_domains < np.iinfo(np.int16).max else code
    order = order[np.argsort(small, kind="stable")]
    return np.split(order, np.searchsorted(domain[order], np.arange(n_domains + 1)))[1:-1]


def _estimates(distributions: list[Distribution], p: FloatArray, rule: QuantileRule) -> FloatArray:
    return np.array([seen.quantiles(p, rule) for seen in distributions]).reshape(len(distributions), len(p))


def _shares(distributions: list[Distribution], estimate: FloatArray) -> FloatArray:
    shares = [seen.share_to(at) for seen, at in zip(distributions, estimate, strict=True)]
    return np.array(shares).reshape(estimate.shape)


def _woodruff(
    distributions: list[Distribution],
    share: FloatArray,
    variance: FloatArray,
    *,
    rule: QuantileRule,
    interval: QuantileInterval,
    df: FloatArray,
    rows: FloatArray,
    level: float,
) -> tuple[Limits, Marks]:
    """Quantiles at the limits of the share ``(D, P)``; NaN where R has none."""
    by_domain = np.broadcast_to(df[:, None], share.shape)
    # All or none of the weight is up to q: rounding is all that replicates could differ by.
    variance = np.where((share <= 0) | (share >= 1), 0.0, variance)
    if interval == "mean":
        low, high = t_interval(share, variance, by_domain, level=level)
    elif interval == "xlogit":
        low, high = logit_interval(share, variance, by_domain, level=level)
    elif interval == "asin":
        low, high = asin_interval(share, variance, by_domain, level=level)
    else:
        n = np.broadcast_to(rows[:, None], share.shape)
        low, high = korn_graubard_interval(
            share, variance, df=by_domain, n=n, kish_deff=np.ones_like(share), level=level
        )
    # R has no beta interval without a variance or degrees of freedom; ours would stand in for it.
    known = (variance > 0) & (by_domain > 0) if interval == "beta" else (variance >= 0) & ~np.isnan(low)
    outside_low, outside_high = low < 0, high > 1
    low, high = np.where(known & ~outside_low, low, np.nan), np.where(known & ~outside_high, high, np.nan)
    limits = (_estimates_at(distributions, low, rule), _estimates_at(distributions, high, rule))
    return limits, {"no_variance": ~(variance > 0), "limit_outside": outside_low | outside_high}


def _estimates_at(distributions: list[Distribution], at: FloatArray, rule: QuantileRule) -> FloatArray:
    made = [seen.quantiles(p, rule) for seen, p in zip(distributions, at, strict=True)]
    return np.array(made).reshape(at.shape)


def _replicate_estimates(
    weights: ReplicateWeights, y: FloatArray, code: IntArray, p: FloatArray, n_domains: int, rule: QuantileRule
) -> FloatArray:
    """Quantiles ``(R, D, P)`` with the weights of each replicate; the rows are sorted once."""
    made = np.full((weights.n_replicates, n_domains, len(p)), np.nan)
    for at, rows in enumerate(_rows_by_domain(y, code, n_domains)):
        value, base, unit = y[rows], weights.base[rows], weights.unit[rows]
        for replicate in range(weights.n_replicates):
            seen = Distribution.sorted_by(value, base * weights.factor[unit, replicate])
            made[replicate, at] = seen.quantiles(p, rule)
    return made


def _score_limits(
    design: SurveyDesign,
    y: FloatArray,
    distributions: list[Distribution],
    p: FloatArray,
    *,
    domain: IntArray,
    df: FloatArray,
    rule: QuantileRule,
    level: float,
) -> Limits:
    limits = np.full((2, len(distributions), len(p)), np.nan)
    for code, seen in enumerate(distributions):
        if df[code] > 0:
            rows = _ScoreRows.build(design, y, domain == code)
            t = float(t_quantile(level, df[code : code + 1])[0])
            for column, probability in enumerate(p):
                for side, target in enumerate((t, -t)):
                    share = rows.share_at_root(float(probability), target)
                    limits[side, code, column] = seen.quantiles(np.array([share]), rule)[0]
    return limits[0], limits[1]


@dataclass(frozen=True, eq=False)
class _ScoreRows:
    """What the score test of one domain reads: the rows used, and the values of the rows R's design has."""

    layout: DomainLayout
    value: FloatArray  # (m,) of the rows used
    share: FloatArray  # (m,) their weight over the sum of weights
    present: FloatArray  # sorted values of the rows in R's design: of a calibrated one, all rows of the file

    @classmethod
    def build(cls, design: SurveyDesign, y: FloatArray, inside: BoolArray) -> "_ScoreRows":
        used = inside & np.isfinite(y)
        layout = DomainLayout.build(design, np.where(used, 0, -1), 1)
        weight = layout.weight[:, 0]
        # R sets missing values of a calibrated design to 0, with weight 0.
        present = np.where(np.isfinite(y), y, 0.0) if design.calibrated else y[used]
        return cls(layout=layout, value=y[used], share=weight / weight.sum(), present=np.sort(present))

    def share_at_root(self, p: float, target: float) -> float:
        """Unweighted share of values up to the theta where the statistic meets ``target``; NaN without a root.

        R's uniroot is Brent's method, as brentq is: with rtol at its least both take the same steps.
        """
        known: dict[int, float] = {}
        order = np.sort(self.value)

        def distance(theta: float) -> float:
            # The statistic is a step function: the same number of values up to theta, the same value.
            step = int(np.searchsorted(order, theta, side="right"))
            if step not in known:
                score = (self.value > theta) - (1.0 - p)
                mean = float((self.share * score).sum())
                variance = self.layout.variance((self.share * (score - mean))[:, None])[0, 0]
                with np.errstate(divide="ignore", invalid="ignore"):
                    known[step] = float(np.float64(mean) / np.sqrt(variance)) - target
            return known[step]

        quarter = np.quantile(self.present, [0.25, 0.75])
        margin = (quarter[1] - quarter[0]) / 100.0
        ends = float(self.present[0] + margin), float(self.present[-1] - margin)
        at_ends = distance(ends[0]), distance(ends[1])
        if not np.sign(at_ends[0]) * np.sign(at_ends[1]) <= 0:
            return float("nan")
        largest = float(np.finfo(np.float64).max)
        root = optimize.brentq(
            # R's uniroot takes the largest number for a statistic without a value.
            lambda theta: float(np.nan_to_num(distance(theta), nan=largest)),
            *ends,
            xtol=1.0 / (100.0 * np.sqrt(len(self.present))),
            rtol=4.0 * np.finfo(np.float64).eps,
            maxiter=1000,
        )
        return float(np.searchsorted(self.present, root, side="right") / len(self.present))


def _finish(
    p: FloatArray,
    distributions: list[Distribution],
    estimate: FloatArray,
    limits: Limits,
    *,
    n: FloatArray,
    df: FloatArray,
    level: float,
    marks: Marks,
) -> QuantileEstimates:
    empty = np.array([len(seen.value) == 0 for seen in distributions], dtype=np.bool_)
    conditions: Marks = {
        "empty_domain": np.broadcast_to(empty[:, None], estimate.shape),
        "no_df": np.broadcast_to(~(df > 0)[:, None], estimate.shape),
        **marks,
    }
    low, high = limits
    status = np.select(list(conditions.values()), list(conditions), "ok")
    return QuantileEstimates(
        probabilities=p,
        estimate=estimate,
        low=low,
        high=high,
        se=(high - low) / (2.0 * t_quantile(level, df)[:, None]),
        n=n,
        df=df,
        sum_weights=np.array([seen.total for seen in distributions]),
        status=status.astype(np.str_),
    )
