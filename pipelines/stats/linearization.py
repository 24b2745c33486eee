"""Means, totals and ratios with their linearised standard errors, and contrasts of them.

Belongs here: domain sums, the influence of a row on a statistic, design effects. Does not belong here: the variance of
a sum of influences (variance), intervals (intervals), replicate variances (replication), the reduction of large files
(moments, cells), what a measure means (rates).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from pipelines.stats.arrays import BoolArray, FloatArray, IntArray, safe_divide
from pipelines.stats.design import SurveyDesign
from pipelines.stats.variance import DomainLayout


@dataclass(frozen=True, eq=False)
class Linearized:
    """K statistics of a design, each with its own domain, as their influences: what any of them has in common.

    ``influence`` is the weighted linearised variable, 0 on the rows that are not ``used``; ``residual`` the same
    without the weight, for design effects (for a total centred at the mean; not there for a contrast).
    """

    estimate: FloatArray  # (K,) NaN where there is none
    influence: FloatArray  # (n, K)
    used: BoolArray  # (n, K) rows in the domain with the measure present
    residual: FloatArray | None  # (n, K)

    def contrast(self, coefficients: FloatArray) -> "Linearized":
        """Linear contrasts: ``coefficients`` is ``(L, K)``. A row is used where a statistic of the contrast uses it."""
        taking = (coefficients != 0).astype(np.float64)
        # Statistics that a contrast leaves out may be missing.
        part = np.where(taking > 0, coefficients * self.estimate, 0.0)
        influence = np.where(np.isnan(self.estimate), 0.0, self.influence)
        return Linearized(
            estimate=part.sum(axis=1),
            influence=influence @ coefficients.T,
            used=(self.used.astype(np.float64) @ taking.T) > 0,
            residual=None,
        )


@dataclass(frozen=True, eq=False)
class Estimates:
    """K statistics with their uncertainty; every array is ``(K,)``, ``covariance`` ``(K, K)``, NaN where none.

    ``n`` counts the rows used of a weight other than 0, ``df`` is PSUs minus strata among them (R's degf of the
    subset). ``deff`` is against simple random sampling without replacement, as R's ``deff=TRUE``, ``deff_replace``
    with replacement, ``n_effective`` is n over ``deff_replace``; they are NaN for contrasts.
    """

    estimate: FloatArray
    covariance: FloatArray
    n: FloatArray
    df: FloatArray
    sum_weights: FloatArray
    deff: FloatArray
    deff_replace: FloatArray

    @property
    def variance(self) -> FloatArray:
        """The diagonal of ``covariance``."""
        return np.diagonal(self.covariance).copy()

    @property
    def se(self) -> FloatArray:
        """Standard error."""
        return cast(FloatArray, np.sqrt(self.variance))

    @property
    def n_effective(self) -> FloatArray:
        """Rows of a simple random sample with replacement that would have this variance."""
        return safe_divide(self.n, self.deff_replace)


def linearized_ratio(
    design: SurveyDesign, numerator: FloatArray, denominator: FloatArray, *, inside: BoolArray | None = None
) -> Linearized:
    """Ratios of totals: numerator and denominator ``(n, K)``, used where both are present.

    Args:
        inside: rows of the domain, ``(n,)`` or ``(n, K)``; None: all.

    u = w d (y - R x)/X_d, X_d the weighted sum of x in the domain.
    """
    used = _inside(inside, numerator) & np.isfinite(numerator) & np.isfinite(denominator)
    weight = design.weight[:, None]
    top, bottom = np.where(used, numerator, 0.0), np.where(used, denominator, 0.0)
    base = (weight * bottom).sum(axis=0)
    ratio = safe_divide((weight * top).sum(axis=0), base)
    residual = np.nan_to_num(safe_divide(top - np.nan_to_num(ratio) * bottom, np.broadcast_to(base, top.shape)))
    return Linearized(estimate=ratio, influence=weight * residual, used=used, residual=residual)


def linearized_mean(design: SurveyDesign, y: FloatArray, *, inside: BoolArray | None = None) -> Linearized:
    """Means ``(n, K)``, NaN missing: the ratio to 1; a proportion is the mean of a 0/1 column."""
    return linearized_ratio(design, y, np.ones_like(y), inside=inside)


def linearized_total(design: SurveyDesign, y: FloatArray, *, inside: BoolArray | None = None) -> Linearized:
    """Totals ``(n, K)``, NaN missing: u = w d y, not centred."""
    used = _inside(inside, y) & np.isfinite(y)
    weight = design.weight[:, None]
    value = np.where(used, y, 0.0)
    influence = weight * value
    counted = (used & (weight != 0)).any(axis=0)
    total = influence.sum(axis=0)
    mean = np.nan_to_num(safe_divide(total, (weight * used).sum(axis=0)))
    return Linearized(
        estimate=np.where(counted, total, np.nan),
        influence=influence,
        used=used,
        residual=np.where(used, value - mean, 0.0),
    )


def evaluate(design: SurveyDesign, statistics: Linearized) -> Estimates:
    """Covariance, degrees of freedom and design effects of linearised statistics."""
    weight, used = design.weight[:, None], statistics.used
    layout = DomainLayout.whole(design)
    together = layout.covariance(statistics.influence, used=used)
    missing = np.isnan(statistics.estimate)
    together[missing, :] = together[:, missing] = np.nan
    n, sum_weights = (used & (weight != 0)).sum(axis=0).astype(np.float64), (weight * used).sum(axis=0)
    psus, strata = layout.present(used)
    if statistics.residual is None:
        deff = deff_replace = np.full(len(statistics.estimate), np.nan)
    else:
        squares = (weight * np.square(statistics.residual)).sum(axis=0)
        deff, deff_replace = design_effects(np.diagonal(together), squares=squares, n=n, sum_weights=sum_weights)
    return Estimates(
        estimate=statistics.estimate,
        covariance=together,
        n=n,
        df=(psus - strata)[0],
        sum_weights=sum_weights,
        deff=deff,
        deff_replace=deff_replace,
    )


def _inside(inside: BoolArray | None, values: FloatArray) -> BoolArray:
    if inside is None:
        return np.ones(values.shape, dtype=np.bool_)
    return np.broadcast_to(inside if inside.ndim == 2 else inside[:, None], values.shape)


@dataclass(frozen=True, eq=False)
class DomainEstimates:
    """One statistic for D domains and K measures; every array is ``(D, K)``, NaN where there is none.

    ``n`` counts the rows used (measure present, a weight other than 0), ``df`` is PSUs minus strata among them
    (R's degf of the subset). ``deff`` is against simple random sampling without replacement, as R's
    ``deff=TRUE``, ``deff_replace`` with replacement; ``kish_deff`` is n sum(w^2)/sum(w)^2 of the
    weights that act in the denominator (w, or w x for a ratio). All three are NaN for contrasts.
    """

    estimate: FloatArray
    variance: FloatArray
    n: FloatArray
    df: FloatArray
    sum_weights: FloatArray
    deff: FloatArray
    deff_replace: FloatArray
    kish_deff: FloatArray

    @property
    def se(self) -> FloatArray:
        """Standard error."""
        return cast(FloatArray, np.sqrt(self.variance))


def domain_means(
    design: SurveyDesign,
    y: FloatArray,
    *,
    domain: IntArray,
    n_domains: int,
    rows: IntArray | None = None,
) -> DomainEstimates:
    """Means by domain. ``y`` is ``(rows, K)``, NaN = missing and dropped for that measure; see build()."""
    layout = DomainLayout.build(design, domain, n_domains, rows=rows)
    value = y[layout.kept]
    return domain_estimates(layout, ratios_by_domain(layout, value, np.ones_like(value)))


def domain_ratios(
    design: SurveyDesign,
    numerator: FloatArray,
    denominator: FloatArray,
    *,
    domain: IntArray,
    n_domains: int,
    rows: IntArray | None = None,
) -> DomainEstimates:
    """Ratios of totals by domain; a row is used where both ``(rows, K)`` are present."""
    layout = DomainLayout.build(design, domain, n_domains, rows=rows)
    return domain_estimates(layout, ratios_by_domain(layout, numerator[layout.kept], denominator[layout.kept]))


def domain_totals(
    design: SurveyDesign,
    y: FloatArray,
    *,
    domain: IntArray,
    n_domains: int,
    rows: IntArray | None = None,
) -> DomainEstimates:
    """Totals by domain: influence w d y, not centred. Missing values count as outside the domain."""
    layout = DomainLayout.build(design, domain, n_domains, rows=rows)
    return domain_estimates(layout, totals_by_domain(layout, y[layout.kept]))


@dataclass(frozen=True, eq=False)
class DomainLinearized:
    """K statistics in each of the D domains of a layout as their influences: what :class:`Linearized` is of a file.

    ``acting`` are the weights that act in the denominator; they and ``residual`` are not there for a contrast.
    """

    estimate: FloatArray  # (D, K) NaN where there is none
    influence: FloatArray  # (m, K) of each row on the statistic of its domain
    used: BoolArray  # (m, K)
    residual: FloatArray | None  # (m, K)
    acting: FloatArray | None  # (m, K)


def ratios_by_domain(layout: DomainLayout, numerator: FloatArray, denominator: FloatArray) -> DomainLinearized:
    """Ratios on a layout as :func:`linearized_ratio` has them; arrays ``(m, K)``, NaN = missing."""
    used = np.isfinite(numerator) & np.isfinite(denominator)
    top, bottom = np.where(used, numerator, 0.0), np.where(used, denominator, 0.0)
    acting = layout.weight * bottom
    base = layout.sums(acting)
    ratio = safe_divide(layout.sums(layout.weight * top), base)
    residual = safe_divide(top - layout.spread(np.nan_to_num(ratio)) * bottom, layout.spread(base))
    residual = np.where(used, residual, 0.0)
    return DomainLinearized(
        estimate=ratio,
        influence=np.nan_to_num(layout.weight * residual),
        used=used,
        residual=np.nan_to_num(residual),
        acting=acting,
    )


def totals_by_domain(layout: DomainLayout, y: FloatArray) -> DomainLinearized:
    """Totals on a layout as :func:`linearized_total` has them; ``(m, K)``, NaN = missing."""
    used = np.isfinite(y)
    value = np.where(used, y, 0.0)
    influence, acting = layout.weight * value, layout.weight * used
    total = layout.sums(influence)
    mean = safe_divide(total, layout.sums(acting))
    return DomainLinearized(
        estimate=np.where(layout.count(used) > 0, total, np.nan),
        influence=influence,
        used=used,
        residual=np.where(used, value - layout.spread(np.nan_to_num(mean)), 0.0),
        acting=acting,
    )


def contrast_by_domain(parts: Sequence[DomainLinearized], coefficients: Sequence[float]) -> DomainLinearized:
    """The sum of coefficient x part in each domain; a row is used where a part of the contrast uses it."""
    estimate, influence = np.zeros_like(parts[0].estimate), np.zeros_like(parts[0].influence)
    used = np.zeros_like(parts[0].used)
    for part, coefficient in zip(parts, coefficients, strict=True):
        # Statistics that a contrast leaves out may be missing.
        if coefficient != 0:
            estimate += coefficient * part.estimate
            influence += coefficient * part.influence
            used |= part.used
    return DomainLinearized(estimate=estimate, influence=influence, used=used, residual=None, acting=None)


def domain_estimates(layout: DomainLayout, statistics: DomainLinearized) -> DomainEstimates:
    """Variances, degrees of freedom and design effects of statistics by domain; NaN for what a contrast has not."""
    used = statistics.used
    n, sum_weights = layout.count(used), layout.sums(used * layout.weight)
    variance = np.where(np.isfinite(statistics.estimate), layout.variance(statistics.influence, used=used), np.nan)
    psus, strata = layout.present(used)
    if statistics.residual is None or statistics.acting is None:
        deff = deff_replace = kish = np.full(variance.shape, np.nan)
    else:
        squares = layout.sums(layout.weight * np.square(statistics.residual))
        deff, deff_replace = design_effects(variance, squares=squares, n=n, sum_weights=sum_weights)
        kish = kish_deff(layout, statistics.acting, n)
    return DomainEstimates(
        estimate=statistics.estimate,
        variance=variance,
        n=n,
        df=psus - strata,
        sum_weights=sum_weights,
        deff=deff,
        deff_replace=deff_replace,
        kish_deff=kish,
    )


def design_effects(
    variance: FloatArray, *, squares: FloatArray, n: FloatArray, sum_weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Design effects without and with replacement, as R's svymean, svytotal and svyratio give them.

    Args:
        squares: sum of w r^2 over the used rows, r the linearised variable without its weight.

    The SRS variance of the total of r is ``squares (N - n)/(n - 1)`` without and ``squares N/(n - 1)`` with
    replacement, N the sum of weights. NaN where n < 2 or N < n; N = n to 1e-9 counts as a census (SRS
    variance 0).
    """
    unsampled = sum_weights - n
    unsampled = np.where(np.abs(unsampled) <= 1e-9 * sum_weights, 0.0, unsampled)
    unsampled = np.where(unsampled < 0, np.nan, unsampled)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.where(n > 1, squares / (n - 1.0), np.nan)
        return variance / (spread * unsampled), variance / (spread * sum_weights)


def kish_deff(layout: DomainLayout, acting: FloatArray, n: FloatArray) -> FloatArray:
    """Kish's design effect n sum(a^2)/sum(a)^2 of the acting weights ``(m, K)`` by domain ``(D, K)``."""
    return safe_divide(n * layout.sums(np.square(acting)), np.square(layout.sums(acting)))
