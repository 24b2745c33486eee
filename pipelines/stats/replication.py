"""Replicate weights: variances from estimates that are made again with each of R sets of weights.

Belongs here: replicate weights as columns or as factors of the primary units, estimates and variances from them,
their degrees of freedom, the jackknife and balanced factors of a design. Does not belong here: linearised
variances (variance), the drawing of bootstrap replicates for our surveys.

Method (R's ``svrepdesign``): V = scale sum_r rscales_r (theta_r - centre)^2, centre the mean of theta_r over the
replicates with rscales above 0, or the full-sample estimate with ``mse``. Replicates without an estimate are left
out, and counted. Degrees of freedom are the rank of the analysis weights minus 1 (R: QR at tolerance 1e-5), of the
rows in the domain for a domain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import cast

import numpy as np
import polars as pl
from scipy.linalg import hadamard

from pipelines.errors import AxstatError
from pipelines.stats.arrays import (
    THREADS,
    BoolArray,
    FloatArray,
    IntArray,
    distinct_codes,
    in_threads,
    safe_divide,
    summing,
)
from pipelines.stats.design import SurveyDesign
from pipelines.stats.linearization import design_effects
from pipelines.stats.row_sums import RowsByUnit

RANK_TOLERANCE = 1e-5
# What is left of a column that need not be looked at with care: rounding is far below it
SURELY_NEW = 1e-3
UNIT_BLOCK = 512


@dataclass(frozen=True, eq=False)
class ReplicateWeights:
    """R sets of weights over n rows; made by :meth:`from_columns` or :meth:`from_factors`.

    The weight of row i in replicate r is ``base[i] * factor[unit[i], r]``, in the full sample ``base[i] *
    whole[unit[i]]``. With factors per primary unit ``base`` is the full-sample weight and ``whole`` 1; weights given as
    columns are their own factors, each row a unit and base 1.
    """

    base: FloatArray  # (n,)
    unit: IntArray  # (n,) row of ``factor``
    whole: FloatArray  # (U,)
    factor: FloatArray  # (U, R)
    scale: float
    rscales: FloatArray  # (R,)
    mse: bool
    degf: int | None  # as the producer states it, which no domain has more of; None: the rank

    @classmethod
    def from_columns(
        cls,
        weight: FloatArray,
        replicates: FloatArray,
        *,
        scale: float,
        rscales: float | FloatArray = 1.0,
        mse: bool = False,
        degf: int | None = None,
    ) -> "ReplicateWeights":
        """Analysis weights ``(n, R)``: each column is a full set of weights (R: ``combined.weights=TRUE``)."""
        n = len(weight)
        return cls._made(
            np.ones(n), np.arange(n, dtype=np.int64), weight, replicates, scale, rscales, mse=mse, degf=degf
        )

    @classmethod
    def from_factors(
        cls,
        weight: FloatArray,
        unit: IntArray,
        factor: FloatArray,
        *,
        scale: float,
        rscales: float | FloatArray = 1.0,
        mse: bool = False,
        degf: int | None = None,
    ) -> "ReplicateWeights":
        """Factors ``(U, R)`` of the units that the rows ``(n,)`` are in: the weight is multiplied by them."""
        return cls._made(weight, unit, np.ones(len(factor)), factor, scale, rscales, mse=mse, degf=degf)

    @classmethod
    def _made(
        cls,
        base: FloatArray,
        unit: IntArray,
        whole: FloatArray,
        factor: FloatArray,
        scale: float,
        rscales: float | FloatArray,
        *,
        mse: bool,
        degf: int | None,
    ) -> "ReplicateWeights":
        factor = np.ascontiguousarray(factor, dtype=np.float64)
        by_replicate = np.broadcast_to(np.asarray(rscales, dtype=np.float64), (factor.shape[1],))
        named = (("weight", base), ("weight", whole), ("replicates", factor), ("rscales", by_replicate))
        for name, values in named:
            # The sum of finite numbers mostly is finite, and then none of them need be looked at.
            sums = in_threads(_sum, np.array_split(values, THREADS))
            if not (np.isfinite(sums).all() or np.isfinite(values).all()):
                at = np.argwhere(~np.isfinite(values))[0]
                raise AxstatError(
                    "replicates_not_finite",
                    where=f"replicate weights, {name}, row {int(at[0]) + 1}",
                    expected="finite numbers",
                    got="missing, NaN or inf",
                    hint="mend the replicate file",
                )
        if (
            len(unit) != len(base)
            or len(whole) != len(factor)
            or (len(unit) and not 0 <= unit.min() <= unit.max() < len(factor))
        ):
            raise AxstatError(
                "replicates_do_not_fit",
                where="replicate weights",
                expected=f"factors for every unit of the {len(base)} rows",
                got=f"{len(factor)} row(s) of factors, {len(unit)} unit code(s)",
                hint="check the key by which the replicate file is joined",
            )
        return cls(
            base=base, unit=unit, whole=whole, factor=factor, scale=scale, rscales=by_replicate, mse=mse, degf=degf
        )

    @cached_property
    def weight(self) -> FloatArray:
        """Full-sample weights ``(n,)``."""
        return self.base * self.whole[self.unit]

    @property
    def n_replicates(self) -> int:
        """R."""
        return int(self.factor.shape[1])

    def analysis_weights(self) -> FloatArray:
        """The weights ``(n, R)`` written out; large for factors of a large file."""
        return self.base[:, None] * self.factor[self.unit]

    def totals(self, values: FloatArray) -> FloatArray:
        """Weighted sums ``(R, K)`` of the columns ``(n, K)``, 0 outside a domain."""
        return self.factor.T @ self._by_unit(values)

    def domain_totals(
        self, columns: Sequence[pl.Series | FloatArray], domain: IntArray, n_domains: int
    ) -> tuple[FloatArray, FloatArray]:
        """Weighted sums of K columns ``(n,)`` by domain: of the full sample ``(D, K)``, of replicates ``(R, D, K)``.

        Rows are added up to pairs of unit and domain first; the work for the replicates grows with the pairs there.

        Args:
            columns: numbers, none missing: not finite, they spoil the sums of their domain.
            domain: code 0..D-1 of each row, -1 for none.
        """
        named = {str(k): column for k, column in enumerate(columns)}
        rows = RowsByUnit.build(named, self.base, run_unit=self.unit, domain=domain, n_domains=n_domains)
        totals = rows.replicate_sums(self.whole, self.factor)
        return totals[-1], totals[:-1]

    def covariance(self, replicates: FloatArray, estimate: FloatArray) -> FloatArray:
        """Covariance ``(K, K)`` from the estimates of each replicate ``(R, K)`` and the full sample's ``(K,)``.

        A replicate without an estimate (NaN) is left out for that column; a column without any is NaN. A design without
        replicates, all of its strata taken whole, has variance 0.
        """
        deviation = self._deviations(replicates, estimate)
        together: FloatArray = deviation.T @ deviation
        missing = self._without_estimate(replicates, estimate)
        together[missing, :] = together[:, missing] = np.nan
        return together

    def variance(self, replicates: FloatArray, estimate: FloatArray) -> FloatArray:
        """The diagonal of :meth:`covariance`, for estimates ``(R, ...)`` and ``(...)`` of any shape."""
        flat = replicates.reshape(self.n_replicates, estimate.size)
        spread = np.square(self._deviations(flat, estimate.ravel())).sum(axis=0).reshape(estimate.shape)
        return cast(FloatArray, np.where(self._without_estimate(replicates, estimate), np.nan, spread))

    def degrees_of_freedom(self, used: BoolArray | None = None) -> int:
        """R's degf: the rank of the analysis weights of the rows used ``(n,)`` (None: all) minus 1.

        At most what their producer states, where that is known.
        """
        domain = np.zeros(len(self.base), dtype=np.int64) if used is None else np.where(used, 0, -1)
        return int(self.domain_degrees_of_freedom(domain, 1)[0])

    def domain_degrees_of_freedom(self, domain: IntArray, n_domains: int) -> FloatArray:
        """As :meth:`degrees_of_freedom`, of the rows of each domain ``(D,)``.

        Args:
            domain: code 0..D-1 of each row, -1 for none.
        """
        kept = np.flatnonzero((domain >= 0) & (self.base != 0))
        pairs, of_row = distinct_codes(domain[kept] * len(self.factor) + self.unit[kept])
        squares = np.bincount(of_row, weights=np.square(self.base[kept]), minlength=len(pairs)).astype(np.float64)
        code, unit = np.divmod(pairs, len(self.factor))
        bounds = np.searchsorted(code, np.arange(n_domains + 1)).tolist()
        ranks = [self._rank(unit[first:last], squares[first:last]) for first, last in pairwise(bounds)]
        found = np.array(ranks, dtype=np.float64) - 1.0
        return found if self.degf is None else np.minimum(found, self.degf)

    def _by_unit(self, values: FloatArray) -> FloatArray:
        weighted = self.base[:, None] * values
        if len(self.unit) == len(self.factor) and np.array_equal(self.unit, np.arange(len(self.unit))):
            return weighted
        return cast(FloatArray, summing(self.unit, len(self.factor)) @ weighted)

    def _without_estimate(self, replicates: FloatArray, estimate: FloatArray) -> BoolArray:
        none = np.isnan(replicates).all(axis=0) if self.n_replicates else np.zeros(estimate.shape, dtype=np.bool_)
        return np.isnan(estimate) | none

    def _deviations(self, replicates: FloatArray, estimate: FloatArray) -> FloatArray:
        known = ~np.isnan(replicates)
        if self.mse:
            centre = estimate
        else:
            counted = known & (self.rscales > 0)[:, None]
            centre = safe_divide(np.where(counted, replicates, 0.0).sum(axis=0), counted.sum(axis=0).astype(np.float64))
        root = np.sqrt(self.scale * self.rscales)[:, None]
        return cast(FloatArray, np.where(known, replicates - centre, 0.0) * root)

    def _rank(self, units: IntArray, squares: FloatArray) -> int:
        """Rank of diag(sqrt(squares)) factor[units] by the rule of R's qr(); arrays ``(u,)``.

        A column is new if, the new columns before it projected out, RANK_TOLERANCE of its length is left.
        """
        n_blocks = -(-len(units) // (UNIT_BLOCK + self.n_replicates)) or 1
        blocks = list(zip(np.array_split(units, n_blocks), np.array_split(squares, n_blocks), strict=True))
        length = np.sqrt(np.sum([np.square(self._weighted(*block)).sum(axis=0) for block in blocks], axis=0))
        # What is new among some of the units is new among all: the rest can only lengthen what is left of a column.
        step = max(2 * len(units) // (3 * max(self.n_replicates, 1)), 1)
        if step > 1 and _all_new(self._weighted(units[::step], squares[::step]), length):
            return self.n_replicates
        # Columns of the triangle have the lengths and angles of those of all units.
        triangle = np.zeros((0, self.n_replicates))
        for block in blocks:
            stacked = np.vstack([triangle, self._weighted(*block)])
            triangle = cast(FloatArray, np.linalg.qr(stacked, mode="r"))
        return _rank_of(triangle, length)

    def _weighted(self, units: IntArray, squares: FloatArray) -> FloatArray:
        return self.factor[units] * np.sqrt(squares)[:, None]


def _sum(values: FloatArray) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return float(values.sum())


def _all_new(columns: FloatArray, length: FloatArray) -> bool:
    """Whether all columns ``(u, R)`` surely are new, with their lengths ``(R,)`` among all units.

    Their products lose what is below 1e-8 of a column, so no column may come near to that.
    """
    products = columns.T @ columns
    try:
        left = np.diagonal(np.linalg.cholesky(products))
    except np.linalg.LinAlgError:
        return False
    return bool((left >= np.maximum(RANK_TOLERANCE * length, SURELY_NEW * np.sqrt(np.diagonal(products)))).all())


def _rank_of(columns: FloatArray, length: FloatArray) -> int:
    """Number of columns ``(u, R)`` that are new, with their lengths ``(R,)``; in their order, as R takes them."""
    basis = np.zeros((len(columns), min(columns.shape)))
    rank = 0
    for column in range(columns.shape[1]):
        left = columns[:, column]
        for _ in range(2):  # the second time takes off what rounding left of the first
            left = left - basis[:, :rank] @ (basis[:, :rank].T @ left)
        size = np.linalg.norm(left)
        if rank < basis.shape[1] and size > 0 and size >= RANK_TOLERANCE * length[column]:
            basis[:, rank] = left / size
            rank += 1
    return rank


@dataclass(frozen=True, eq=False)
class ReplicateEstimates:
    """Statistics of D domains and K measures with replicate variances; arrays ``(D, K)``, NaN where none.

    ``replicates`` ``(R, D, K)`` gives the covariance of any of them (:meth:`ReplicateWeights.covariance`). ``n`` counts
    the rows with the measure present, those of weight 0 too, as R does for replicates.
    """

    estimate: FloatArray
    replicates: FloatArray
    variance: FloatArray
    n: FloatArray
    df: FloatArray
    sum_weights: FloatArray
    deff: FloatArray
    deff_replace: FloatArray

    @property
    def se(self) -> FloatArray:
        """Standard error."""
        return cast(FloatArray, np.sqrt(self.variance))


def replicate_ratios(
    weights: ReplicateWeights, numerator: FloatArray, denominator: FloatArray, *, domain: IntArray, n_domains: int
) -> ReplicateEstimates:
    """Ratios of totals by domain; ``(n, K)`` each, NaN missing; a row is used where both are present."""
    used = np.isfinite(numerator) & np.isfinite(denominator)
    top, bottom = np.where(used, numerator, 0.0), np.where(used, denominator, 0.0)
    measures = top.shape[1]
    # Denominators that are the same, as without missing values, are added up once.
    new = [k for k in range(measures) if k == 0 or not np.array_equal(bottom[:, k], bottom[:, k - 1])]
    of_measure = measures + np.searchsorted(new, np.arange(measures), side="right") - 1
    sums, made = weights.domain_totals([*top.T, *bottom[:, new].T], domain, n_domains)
    base = sums[:, of_measure]
    ratio = safe_divide(sums[:, :measures], base)
    residual = np.where(used, top - _spread(ratio, domain) * bottom, 0.0)
    residual = safe_divide(residual, _spread(base, domain))
    made = safe_divide(made[:, :, :measures], made[:, :, of_measure])
    return _finish(weights, ratio, made, np.nan_to_num(residual), used, domain)


def replicate_means(
    weights: ReplicateWeights, y: FloatArray, *, domain: IntArray, n_domains: int
) -> ReplicateEstimates:
    """Means by domain of ``y`` ``(n, K)``: the ratio to 1."""
    return replicate_ratios(weights, y, np.ones_like(y), domain=domain, n_domains=n_domains)


def replicate_totals(
    weights: ReplicateWeights, y: FloatArray, *, domain: IntArray, n_domains: int
) -> ReplicateEstimates:
    """Totals by domain of ``y`` ``(n, K)``, NaN missing."""
    used = np.isfinite(y)
    value = np.where(used, y, 0.0)
    total, made = weights.domain_totals([*value.T], domain, n_domains)
    mean = safe_divide(total, _full_totals(weights, used.astype(np.float64), domain, n_domains))
    counted = _counts(used, domain, n_domains)
    return _finish(
        weights,
        np.where(counted > 0, total, np.nan),
        made,
        np.where(used, value - _spread(np.nan_to_num(mean), domain), 0.0),
        used,
        domain,
    )


def _finish(
    weights: ReplicateWeights,
    estimate: FloatArray,
    replicates: FloatArray,
    residual: FloatArray,
    used: BoolArray,
    domain: IntArray,
) -> ReplicateEstimates:
    n_domains = len(estimate)
    n = _counts(used, domain, n_domains)
    sum_weights = _full_totals(weights, used.astype(np.float64), domain, n_domains)
    variance = weights.variance(replicates, estimate)
    deff, deff_replace = design_effects(
        variance,
        squares=_full_totals(weights, np.square(residual), domain, n_domains),
        n=n,
        sum_weights=sum_weights,
    )
    df = np.zeros(n.shape)
    for column in range(used.shape[1]):
        if column and np.array_equal(used[:, column], used[:, column - 1]):
            df[:, column] = df[:, column - 1]
        else:
            df[:, column] = weights.domain_degrees_of_freedom(np.where(used[:, column], domain, -1), n_domains)
    return ReplicateEstimates(
        estimate=estimate,
        replicates=replicates,
        variance=variance,
        n=n,
        df=df,
        sum_weights=sum_weights,
        deff=deff,
        deff_replace=deff_replace,
    )


def _full_totals(weights: ReplicateWeights, values: FloatArray, domain: IntArray, n_domains: int) -> FloatArray:
    kept = np.flatnonzero(domain >= 0)
    return cast(FloatArray, summing(domain[kept], n_domains) @ (weights.weight[kept, None] * values[kept]))


def _counts(used: BoolArray, domain: IntArray, n_domains: int) -> FloatArray:
    kept = np.flatnonzero(domain >= 0)
    return cast(FloatArray, summing(domain[kept], n_domains) @ used[kept].astype(np.float64))


def _spread(by_domain: FloatArray, domain: IntArray) -> FloatArray:
    kept = domain >= 0
    spread = np.zeros((len(domain), by_domain.shape[1]))
    spread[kept] = by_domain[domain[kept]]
    return spread


def jackknife(design: SurveyDesign) -> ReplicateWeights:
    """The delete-one-PSU jackknife of a design, a replicate a PSU (R: JKn; with one stratum JK1).

    In the replicate of PSU j of stratum h the PSU has factor 0, the others of the stratum n_h/(n_h - 1), all others 1;
    rscales (1 - n_h/N_h)(n_h - 1)/n_h. Strata of one PSU or taken whole have no replicate; the lonely-PSU rules
    other than 'certainty' and 'remove' are refused.

    Raises:
        AxstatError: lonely_psu 'adjust' or 'average' and a stratum with one PSU.
    """
    stage = design.stages[0]
    if stage.lonely.any() and design.lonely_psu in ("adjust", "average"):
        raise AxstatError(
            "no_jackknife",
            where="jackknife",
            expected="two PSUs or more in every stratum, or lonely_psu 'certainty' or 'remove'",
            got=f"lonely_psu '{design.lonely_psu}' and strata of one PSU",
            hint="collapse the strata",
        )
    left_out = np.flatnonzero(((stage.sampled > 1) & (stage.unsampled_share > 0))[stage.stratum])
    factor = np.ones((stage.n_units, len(left_out)))
    same = stage.stratum[:, None] == stage.stratum[left_out][None, :]
    factor = np.where(same, stage.several[stage.stratum][:, None], factor)
    factor[left_out, np.arange(len(left_out))] = 0.0
    stratum = stage.stratum[left_out]
    return ReplicateWeights.from_factors(
        design.weight,
        stage.unit,
        factor,
        scale=1.0,
        rscales=(stage.unsampled_share / stage.several)[stratum],
    )


def balanced(design: SurveyDesign, *, fay: float = 0.0) -> ReplicateWeights:
    """Balanced repeated replication of a design with two PSUs in every stratum (R: BRR, with fay > 0 Fay).

    One PSU of each stratum has factor 2 - fay, the other fay, by the signs of a Hadamard matrix whose order is the
    first power of 2 above the number of strata; scale 1/(R (1 - fay)^2). Populations play no part, as in R.

    Raises:
        AxstatError: naming the strata that have other than two PSUs; fay outside [0, 1).
    """
    stage = design.stages[0]
    odd = np.flatnonzero(stage.sampled != 2)
    if len(odd):
        raise AxstatError(
            "not_balanced",
            where=f"strata {', '.join(design.stratum_labels[code] for code in odd[:20])}",
            expected="two PSUs in every stratum",
            got=f"{len(odd)} stratum/strata with another number",
            hint="pair or collapse them, or use a jackknife",
        )
    if not 0 <= fay < 1:
        raise AxstatError("fay_not_valid", where="fay", expected="0 to below 1", got=str(fay), hint="use 0.3 or 0.5")
    order = 1 << stage.n_strata.bit_length()
    sign = hadamard(order)[1 : stage.n_strata + 1].astype(np.float64)
    first = np.zeros(stage.n_units, dtype=np.bool_)
    first[np.unique(stage.stratum, return_index=True)[1]] = True
    factor = 1.0 + np.where(first[:, None], 1.0, -1.0) * (1.0 - fay) * sign[stage.stratum]
    return ReplicateWeights.from_factors(design.weight, stage.unit, factor, scale=1.0 / (order * (1.0 - fay) ** 2))
