"""Taylor-linearised variances of means, totals and ratios for many domains in one pass.

Belongs here: domain sums, linearised scores, their variance under a design, design effects, degrees of
freedom. Does not belong here: intervals (intervals), replicate variances, what a measure means (rates).

Method (method.md 3, the conventions of R's survey package): with u the weighted influence of a row and
t_j its total over primary sampling unit (PSU) j,
V = sum_h (1 - n_h/N_h) n_h/(n_h - 1) sum_j (t_j - tbar_h)^2, n_h the PSUs of the FULL design stratum, PSUs
without a row in the domain entering as 0. Under post-stratified weights t_j is replaced by the residual
t_j - sum_g w_jg (sum_g u)/(sum_g w) over the post-strata g of the PSU. That is R's calibrate() formula
(residual of the regression of u/w on the post-stratum indicators with the design weights) and R's
postStratify() formula at once: the two are equal where the calibration factor is one number in each
post-stratum, which post-stratification makes so.

Nothing is expanded into differences of large sums: a stratum adds sum over the PSUs with a score of
(t - tbar)^2 plus (n_h - their number) tbar^2, so that every term is at least 0 and a constant measure gives
0.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy import sparse

from pipelines.stats.arrays import BoolArray, FloatArray, IntArray
from pipelines.stats.design import SurveyDesign


@dataclass(frozen=True, eq=False)
class DomainLayout:
    """Where the rows of a partition into domains stand in a design; made by :meth:`build`.

    Everything that does not depend on the measure is here, so that many measures share it. A *pair* is
    a PSU and a domain in which the PSU has a score; a *cell* is a stratum and a domain with a pair.
    Shapes: m kept rows, Q pairs, C cells, D domains, K columns of scores.
    """

    design: SurveyDesign
    n_domains: int
    kept: IntArray  # (m,) positions of the kept rows among the caller's rows
    weight: FloatArray  # (m, 1)
    by_domain: sparse.csr_array  # (D, m)
    row_domain: IntArray  # (m,)
    to_pairs: sparse.csr_array  # (Q, m)
    pair_psu: IntArray  # (Q,)
    pair_domain: IntArray  # (Q,)
    cells: sparse.csr_array  # (C, Q)
    pair_cell: IntArray  # (Q,)
    cell_stratum: IntArray  # (C,)
    cell_pairs: FloatArray  # (C, 1) pairs in the cell
    cell_sum: sparse.csr_array  # (D, C)
    group_mean: sparse.csr_array | None  # (G, m): sum of scores by post-stratum and domain, over sum of weights
    pair_group: sparse.csr_array | None  # (Q, G): weight of the PSU in the post-stratum

    @classmethod
    def build(
        cls, design: SurveyDesign, domain: IntArray, n_domains: int, *, rows: IntArray | None = None
    ) -> "DomainLayout":
        """Lay out a partition: each row is in one domain at most.

        Args:
            domain: domain code 0..n_domains-1 of each analysis row, -1 for none.
            rows: the design row of each analysis row; None: the analysis rows are the design's rows.
                An analysis row takes weight, PSU and post-stratum from there, so several analysis rows
                of one PSU (institution x field) share them.
        """
        if rows is None:
            rows = np.arange(design.n_rows, dtype=np.int64)
        if len(domain) != len(rows):
            raise ValueError(f"{len(domain)} domain codes for {len(rows)} rows")
        kept = np.flatnonzero(domain >= 0).astype(np.int64)
        row_domain = domain[kept]
        if len(kept) and int(row_domain.max()) >= n_domains:
            raise ValueError(f"domain code {int(row_domain.max())} but {n_domains} domains")
        at = rows[kept]
        psu, n_psus, m = design.psu[at], design.n_psus, len(kept)
        row_key = row_domain * n_psus + psu
        ones = np.ones(m)

        group_mean = pair_group = None
        if design.calibration_group is None:
            pair_key = np.unique(row_key)
        else:
            n_groups = int(design.calibration_group.max()) + 1
            # Weight of each PSU in each post-stratum, over the whole design.
            cell_key, cell_of_row = np.unique(design.psu * n_groups + design.calibration_group, return_inverse=True)
            cell_weight = np.bincount(cell_of_row, weights=design.weight)
            cell_psu, cell_group = cell_key // n_groups, cell_key % n_groups
            group_weight = np.bincount(cell_group, weights=cell_weight, minlength=n_groups)
            # The (post-stratum, domain) combinations with a score.
            touched, touched_of_row = np.unique(
                design.calibration_group[at] * n_domains + row_domain, return_inverse=True
            )
            touched_group, touched_domain = touched // n_domains, touched % n_domains
            scale = group_weight[touched_group][touched_of_row]
            group_mean = sparse.csr_array(
                (1.0 / np.where(scale > 0, scale, np.inf), (touched_of_row, np.arange(m))),
                shape=(len(touched), m),
            )
            # A PSU has a residual in every domain that touches one of its post-strata.
            by_group = np.argsort(cell_group, kind="stable")
            start = np.searchsorted(cell_group[by_group], np.arange(n_groups + 1))
            length = (start[1:] - start[:-1])[touched_group]
            touched_index = np.repeat(np.arange(len(touched)), length)
            offset = np.arange(int(length.sum())) - np.repeat(np.cumsum(length) - length, length)
            member = by_group[np.repeat(start[touched_group], length) + offset]
            member_key = touched_domain[touched_index] * n_psus + cell_psu[member]
            pair_key, member_pair = np.unique(member_key, return_inverse=True)
            pair_group = sparse.csr_array(
                (cell_weight[member], (member_pair, touched_index)),
                shape=(len(pair_key), len(touched)),
            )
        pair_domain, pair_psu = pair_key // n_psus, pair_key % n_psus
        n_pairs = len(pair_key)
        to_pairs = sparse.csr_array((ones, (np.searchsorted(pair_key, row_key), np.arange(m))), shape=(n_pairs, m))
        cell_key, pair_cell = np.unique(
            pair_domain * design.n_strata + design.psu_stratum[pair_psu], return_inverse=True
        )
        n_cells = len(cell_key)
        return cls(
            design=design,
            n_domains=n_domains,
            kept=kept,
            weight=design.weight[at][:, None],
            by_domain=sparse.csr_array((ones, (row_domain, np.arange(m))), shape=(n_domains, m)),
            row_domain=row_domain,
            to_pairs=to_pairs,
            pair_psu=pair_psu,
            pair_domain=pair_domain,
            cells=sparse.csr_array((np.ones(n_pairs), (pair_cell, np.arange(n_pairs))), shape=(n_cells, n_pairs)),
            pair_cell=pair_cell,
            cell_stratum=cell_key % design.n_strata,
            cell_pairs=np.bincount(pair_cell, minlength=n_cells).astype(np.float64)[:, None],
            cell_sum=sparse.csr_array(
                (np.ones(n_cells), (cell_key // design.n_strata, np.arange(n_cells))),
                shape=(n_domains, n_cells),
            ),
            group_mean=group_mean,
            pair_group=pair_group,
        )

    def sums(self, values: FloatArray) -> FloatArray:
        """Sum of the columns ``(m, K)`` in each domain ``(D, K)``, in the order of the rows."""
        return cast(FloatArray, self.by_domain @ values)

    def spread(self, by_domain: FloatArray) -> FloatArray:
        """The domain's value ``(D, K)`` on each of its rows ``(m, K)``."""
        return by_domain[self.row_domain]

    def scores(self, influence: FloatArray) -> FloatArray:
        """Total per pair ``(Q, K)`` of the weighted influences ``(m, K)``; residuals under calibration."""
        total = self.to_pairs @ influence
        if self.group_mean is not None:
            total = total - self.pair_group @ (self.group_mean @ influence)
        return cast(FloatArray, total)

    def present(self, used: BoolArray) -> tuple[FloatArray, FloatArray]:
        """PSUs and strata ``(D, K)`` with a used row of weight above 0; ``used`` is ``(m, K)``."""
        counted = (used & (self.weight > 0)).astype(np.float64)
        in_pair = ((self.to_pairs @ counted) > 0).astype(np.float64)
        in_cell = self.cells @ in_pair
        pair_count = self.cell_sum @ in_cell
        return cast(FloatArray, pair_count), cast(FloatArray, self.cell_sum @ (in_cell > 0).astype(np.float64))

    def asked_pairs(self) -> FloatArray:
        """1 for pairs ``(Q, 1)`` that have rows in the domain, 0 for those that have a residual only."""
        return cast(FloatArray, (np.diff(self.to_pairs.indptr)[:, None] > 0).astype(np.float64))

    def answering_pairs(self, used: BoolArray) -> FloatArray:
        """1 for pairs ``(Q, K)`` with a ``used`` row ``(m, K)``, else 0."""
        return cast(FloatArray, ((self.to_pairs @ used.astype(np.float64)) > 0).astype(np.float64))

    def answering_share(self, used: BoolArray) -> FloatArray:
        """PSUs with a ``used`` row ``(m, K)`` among those with a row in the domain, by cell ``(C, K)``; 1 if none."""
        asked, answering = self.cells @ self.asked_pairs(), self.cells @ self.answering_pairs(used)
        return cast(FloatArray, np.where(asked > 0, answering / np.maximum(asked, 1.0), 1.0))

    def variance(self, influence: FloatArray, *, used: BoolArray | None = None) -> FloatArray:
        """Variance ``(D, K)`` of the sum of the weighted influences ``(m, K)`` of each domain, as R gives it.

        Args:
            used: rows ``(m, K)`` with the measure; matters for lonely_psu 'average' on an
                uncalibrated design only, where R counts the strata that keep a row.
        """
        return self._variance(self._spread_within(influence), used)

    def variance_parts(self, influence: FloatArray, *, used: BoolArray) -> tuple[FloatArray, FloatArray]:
        """:meth:`variance`, and what item non-response adds to it (decision 0005), both ``(D, K)``.

        The sum of the two is the variance with 1 - r f in place of 1 - f, f = n_h/N_h and r the share of the domain's
        PSUs in the stratum that have a ``used`` row: those without are asked, but not observed.
        """
        within = self._spread_within(influence)
        n = self.design.stratum_psus[self.cell_stratum].astype(np.float64)[:, None]
        drawn = (1.0 - self.design.unsampled_share)[self.cell_stratum][:, None]
        unanswered = drawn * (1.0 - self.answering_share(used))
        item = self.cell_sum @ (np.where(n > 1, unanswered * n / np.maximum(n - 1.0, 1.0), 0.0) * within)
        return self._variance(within, used), cast(FloatArray, item)

    def _spread_within(self, influence: FloatArray) -> FloatArray:
        """Sum of squared deviations of the scores from their stratum's mean, by cell ``(C, K)``."""
        design = self.design
        score = self.scores(influence)
        n = design.stratum_psus[self.cell_stratum].astype(np.float64)[:, None]
        mean = (self.cells @ score) / n
        if design.lonely_psu == "adjust":
            mean[n[:, 0] == 1] = 0.0
        deviation = score - mean[self.pair_cell]
        np.square(deviation, out=deviation)
        return cast(FloatArray, self.cells @ deviation + (n - self.cell_pairs) * np.square(mean))

    def _variance(self, within: FloatArray, used: BoolArray | None) -> FloatArray:
        design = self.design
        variance = self.cell_sum @ (design.variance_factor[self.cell_stratum][:, None] * within)
        if design.lonely_psu == "average" and design.lonely.any():
            variance = variance * self._average_scale(within.shape[1], used)
        return cast(FloatArray, variance)

    def _average_scale(self, columns: int, used: BoolArray | None) -> FloatArray:
        """Strata over strata with a variance: what R's 'average' multiplies the rest by."""
        design = self.design
        if design.calibration_group is not None:
            strata = np.full((self.n_domains, columns), float(design.n_strata))
            lonely = np.full((self.n_domains, columns), float(design.lonely.sum()))
        else:
            if used is None:
                used = np.ones((len(self.kept), columns), dtype=np.bool_)
            in_cell = ((self.cells @ (self.to_pairs @ used.astype(np.float64))) > 0).astype(np.float64)
            strata = self.cell_sum @ in_cell
            lonely = self.cell_sum @ (in_cell * design.lonely[self.cell_stratum][:, None])
        return safe_divide(strata, strata - lonely)


@dataclass(frozen=True, eq=False)
class DomainEstimates:
    """One statistic for D domains and K measures; every array is ``(D, K)``, NaN where there is none.

    ``n`` counts the rows used (weight above 0, measure present), ``df`` is PSUs minus strata among them
    (R's degf of the subset). ``deff`` is against simple random sampling without replacement, as R's
    ``deff=TRUE``, ``deff_replace`` with replacement; ``kish_deff`` is n sum(w^2)/sum(w)^2 of the
    weights that act in the denominator (w, or w x for a ratio).
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
    return ratio_estimates(layout, y[layout.kept], np.ones_like(y[layout.kept]))


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
    return ratio_estimates(layout, numerator[layout.kept], denominator[layout.kept])


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
    value = y[layout.kept]
    used = np.isfinite(value) & (layout.weight > 0)
    filled = np.where(used, value, 0.0)
    n, sum_weights = layout.sums(used.astype(np.float64)), layout.sums(used * layout.weight)
    influence = layout.weight * filled
    total = layout.sums(influence)
    mean = safe_divide(total, sum_weights)
    centred = np.where(used, filled - layout.spread(np.nan_to_num(mean)), 0.0)
    return _finish(
        layout,
        estimate=np.where(n > 0, total, np.nan),
        influence=influence,
        residual=centred,
        acting=used * layout.weight,
        used=used,
        n=n,
        sum_weights=sum_weights,
    )


def ratio_estimates(layout: DomainLayout, numerator: FloatArray, denominator: FloatArray) -> DomainEstimates:
    """Ratios (means where the denominator is 1) on a layout; arrays ``(m, K)``, NaN = missing."""
    used = np.isfinite(numerator) & np.isfinite(denominator) & (layout.weight > 0)
    top, bottom = np.where(used, numerator, 0.0), np.where(used, denominator, 0.0)
    acting = layout.weight * bottom
    base = layout.sums(acting)
    ratio = safe_divide(layout.sums(layout.weight * top), base)
    residual = safe_divide(top - layout.spread(np.nan_to_num(ratio)) * bottom, layout.spread(base))
    residual = np.where(used, residual, 0.0)
    return _finish(
        layout,
        estimate=ratio,
        influence=np.nan_to_num(layout.weight * residual),
        residual=np.nan_to_num(residual),
        acting=acting,
        used=used,
        n=layout.sums(used.astype(np.float64)),
        sum_weights=layout.sums(used * layout.weight),
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


def _finish(
    layout: DomainLayout,
    *,
    estimate: FloatArray,
    influence: FloatArray,
    residual: FloatArray,
    acting: FloatArray,
    used: BoolArray,
    n: FloatArray,
    sum_weights: FloatArray,
) -> DomainEstimates:
    known = np.isfinite(estimate)
    variance = np.where(known, layout.variance(influence, used=used), np.nan)
    psus, strata = layout.present(used)
    deff, deff_replace = design_effects(
        variance, squares=layout.sums(layout.weight * np.square(residual)), n=n, sum_weights=sum_weights
    )
    return DomainEstimates(
        estimate=estimate,
        variance=variance,
        n=n,
        df=psus - strata,
        sum_weights=sum_weights,
        deff=deff,
        deff_replace=deff_replace,
        kish_deff=kish_deff(layout, acting, n),
    )


def safe_divide(top: FloatArray, bottom: FloatArray) -> FloatArray:
    """top/bottom, NaN where the bottom is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return cast(FloatArray, np.where(bottom == 0, np.nan, top / np.where(bottom == 0, 1.0, bottom)))
