"""The variance of sums of weighted influences under a design, for many domains in one pass.

Belongs here: totals over sampling units, their deviations within strata, rules for strata of one unit, degrees of
freedom. Does not belong here: the influence of a statistic (linearization), replicate variances (replication), sums
of large files (moments, cells).

Method (method.md 3, the conventions of R's survey package): with u the weighted influence of a row and
t_j its total over sampling unit j of a stage,
V = sum over stages and strata h of that stage: share (1 - n_h/N_h) n_h/(n_h - 1) sum_j (t_j - tbar_h)^2,
n_h the units of the FULL design stratum, units without a row in the domain entering as 0. At the first stage
share is 1; at a later one, which counts only where populations are given, the strata are the units of the stage
before and share is n/N multiplied over the stages above.

Calibrated weights: u is replaced by its residual. For post-stratified weights, with the short form of the
design, t_j becomes t_j - sum_g w_jg (sum_g u)/(sum_g w) over the post-strata g of the unit. That is R's
calibrate() formula (residual of the regression of u/w on the post-stratum indicators with the design weights) and
R's postStratify() formula at once: the two are equal where the calibration factor is one number in each
post-stratum, which post-stratification makes so.

Strata of one unit: see SurveyDesign. Under 'average' R multiplies the sum over the strata that have a variance by
(strata)/(strata that have one). At a later stage R does so inside each parent unit, which is not a number where
the parent has one unit of several; here all strata of the stage are averaged over, as R's documentation words
the rule.

Nothing is expanded into differences of large sums: a stratum adds sum over the units with a score of
(t - tbar)^2 plus (n_h - their number) tbar^2, so that every term is at least 0 and a constant measure gives
0.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import cast

import numpy as np
from scipy import sparse

from pipelines.stats.arrays import BoolArray, FloatArray, IntArray, distinct_codes, safe_divide, summing
from pipelines.stats.design import LonelyPsu, SurveyDesign
from pipelines.stats.stages import Stage


@dataclass(frozen=True, eq=False)
class Level:
    """The units of one stage that have a score in a domain of a partition.

    A *pair* is a unit and a domain in which it has a score; a *cell* is a stratum and a domain with a pair. Both
    are sorted by domain, then unit or stratum. Shapes: m kept rows, Q pairs, C cells, D domains, K columns.
    """

    stage: Stage
    to_pairs: sparse.csr_array | None  # (Q, m); None where each row is a pair, in their order
    unit: IntArray  # (Q,)
    domain: IntArray  # (Q,)
    cells: sparse.csr_array  # (C, Q)
    pair_cell: IntArray  # (Q,)
    cell_stratum: IntArray  # (C,)
    cell_pairs: FloatArray  # (C, 1) pairs in the cell
    cell_sum: sparse.csr_array  # (D, C)
    pair_group: sparse.csr_array | None  # (Q, G): weight of the unit in the post-stratum, where post-stratified

    @classmethod
    def build(
        cls,
        stage: Stage,
        row_key: IntArray,
        pair_key: IntArray,
        n_domains: int,
        *,
        pair_group: sparse.csr_array | None = None,
    ) -> "Level":
        """Lay out the pairs; keys are domain x U + unit, those of the pairs ``(Q,)`` sorted, of the rows ``(m,)``."""
        domain, unit = np.divmod(pair_key, stage.n_units)
        known, pair_cell = distinct_codes(domain * stage.n_strata + stage.stratum[unit])
        return cls(
            stage=stage,
            to_pairs=None if row_key is pair_key else summing(np.searchsorted(pair_key, row_key), len(pair_key)),
            unit=unit,
            domain=domain,
            cells=summing(pair_cell, len(known)),
            pair_cell=pair_cell,
            cell_stratum=known % stage.n_strata,
            cell_pairs=np.bincount(pair_cell, minlength=len(known)).astype(np.float64)[:, None],
            cell_sum=summing(known // stage.n_strata, n_domains),
            pair_group=pair_group,
        )

    @property
    def several(self) -> BoolArray:
        """Cells ``(C, 1)`` in a stratum of more than one unit."""
        return self.stage.sampled[self.cell_stratum][:, None] > 1

    def totals(self, values: FloatArray) -> FloatArray:
        """Sum of the rows' values ``(m, K)`` in each pair ``(Q, K)``."""
        return values if self.to_pairs is None else cast(FloatArray, self.to_pairs @ values)

    def has_rows(self, used: BoolArray) -> BoolArray:
        """Pairs ``(Q, K)`` with a row in ``used`` ``(m, K)``."""
        return used if self.to_pairs is None else cast(BoolArray, (self.to_pairs @ used.astype(np.float64)) > 0)

    def deviations(self, score: FloatArray, *, uncentred: BoolArray | None = None) -> tuple[FloatArray, FloatArray]:
        """Deviations of the scores ``(Q, K)`` from the mean of the stratum, and those of its other units ``(C, K)``.

        The others have score 0 and deviate by the mean: theirs is times the root of their number, so that squares add
        up.

        Args:
            uncentred: cells ``(C, 1)`` or ``(C, K)`` whose deviation is taken from 0, not from the mean.
        """
        n = self.stage.sampled[self.cell_stratum].astype(np.float64)[:, None]
        mean = (self.cells @ score) / n
        if uncentred is not None:
            mean = np.where(uncentred, 0.0, mean)
        deviation = mean[self.pair_cell]
        np.subtract(score, deviation, out=deviation)
        return deviation, mean * np.sqrt(n - self.cell_pairs)

    def sum_of_squares(self, pairs: FloatArray, others: FloatArray, factor: FloatArray) -> FloatArray:
        """Deviations squared, times the factor of the cell ``(C, 1)`` or ``(C, K)``, added up by domain ``(D, K)``."""
        return cast(FloatArray, self.cell_sum @ (factor * (self.cells @ np.square(pairs) + np.square(others))))

    def sum_of_products(self, pairs: FloatArray, others: FloatArray, factor: FloatArray) -> FloatArray:
        """As :meth:`sum_of_squares`, but each column with each other, over all domains ``(K, K)``."""
        root = np.sqrt(factor)
        pairs, others = pairs * root[self.pair_cell], others * root
        return pairs.T @ pairs + others.T @ others


@dataclass(frozen=True, eq=False)
class DomainLayout:
    """Where the rows of a partition into domains stand in a design; made by :meth:`build`.

    Everything that does not depend on the measure is here, so that many measures share it.
    Shapes: m kept rows, D domains, K columns of scores; Q pairs and C cells of the first stage (see Level).
    """

    design: SurveyDesign
    n_domains: int
    kept: IntArray  # (m,) positions of the kept rows among the caller's rows
    design_row: IntArray  # (m,) row of the design
    weight: FloatArray  # (m, 1)
    by_domain: sparse.csr_array  # (D, m)
    row_domain: IntArray  # (m,)
    levels: tuple[Level, ...]  # one a stage
    group_mean: sparse.csr_array | None  # (G, m): sum of scores by post-stratum and domain, over sum of weights

    @classmethod
    def whole(cls, design: SurveyDesign) -> "DomainLayout":
        """All rows of the design as one domain."""
        return cls.build(design, np.zeros(design.n_rows, dtype=np.int64), 1)

    @classmethod
    def build(
        cls, design: SurveyDesign, domain: IntArray, n_domains: int, *, rows: IntArray | None = None
    ) -> "DomainLayout":
        """Lay out a partition: each row is in one domain at most.

        Args:
            domain: domain code 0..n_domains-1 of each analysis row, -1 for none.
            rows: the design row of each analysis row; None: the analysis rows are the design's rows.
                An analysis row takes weight, units and post-stratum from there, so several analysis rows
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
        levels: list[Level] = []
        group_mean = None
        if design.calibration_group is None:
            for stage in design.stages:
                row_key = row_domain * stage.n_units + stage.unit[at]
                if (row_key[1:] > row_key[:-1]).all():
                    pair_key = row_key
                else:
                    pair_key, _ = distinct_codes(row_key)
                levels.append(Level.build(stage, row_key, pair_key, n_domains))
        else:
            groups = _PostStrata.build(design, design.calibration_group, at, row_domain, n_domains)
            group_mean = groups.mean
            for stage in design.stages:
                row_key = row_domain * stage.n_units + stage.unit[at]
                pair_key, pair_group = groups.pairs(stage)
                levels.append(Level.build(stage, row_key, pair_key, n_domains, pair_group=pair_group))
        return cls(
            design=design,
            n_domains=n_domains,
            kept=kept,
            design_row=at,
            weight=design.weight[at][:, None],
            by_domain=summing(row_domain, n_domains),
            row_domain=row_domain,
            levels=tuple(levels),
            group_mean=group_mean,
        )

    @property
    def pair_psu(self) -> IntArray:
        """PSU of each pair ``(Q,)``."""
        return self.levels[0].unit

    @property
    def pair_domain(self) -> IntArray:
        """Domain of each pair ``(Q,)``."""
        return self.levels[0].domain

    def sums(self, values: FloatArray) -> FloatArray:
        """Sum of the columns ``(m, K)`` in each domain ``(D, K)``, in the order of the rows."""
        return cast(FloatArray, self.by_domain @ values)

    def count(self, used: BoolArray) -> FloatArray:
        """Rows ``(D, K)`` used ``(m, K)`` of a weight other than 0."""
        return self.sums((used & (self.weight != 0)).astype(np.float64))

    def spread(self, by_domain: FloatArray) -> FloatArray:
        """The domain's value ``(D, K)`` on each of its rows ``(m, K)``."""
        return by_domain[self.row_domain]

    def scores(self, influence: FloatArray) -> FloatArray:
        """Total per pair ``(Q, K)`` of the weighted influences ``(m, K)``; residuals where post-stratified.

        Raises:
            ValueError: another calibration: units without a row in the domain have residuals too, see :meth:`variance`.
        """
        return self.scores_by_level(influence)[0]

    def scores_by_level(self, influence: FloatArray) -> list[FloatArray]:
        """As :meth:`scores`, of the pairs of each stage."""
        if self.design.calibration is not None:
            raise ValueError("every unit has a residual under this calibration: ask for the variance or covariance")
        totals = [level.totals(influence) for level in self.levels]
        if self.group_mean is not None:
            means = self.group_mean @ influence
            totals = [total - level.pair_group @ means for total, level in zip(totals, self.levels, strict=True)]
        return totals

    def _residuals(self, influence: FloatArray) -> Iterator[FloatArray]:
        """Residuals ``(n, K)`` of every row of the design in each domain.

        All domains at once would be as many numbers as domains x rows.
        """
        design = self.design
        assert design.calibration is not None
        order = np.argsort(self.row_domain, kind="stable")
        bounds = np.searchsorted(self.row_domain[order], np.arange(self.n_domains + 1)).tolist()
        for first, last in pairwise(bounds):
            rows = order[first:last]
            whole = np.zeros((design.n_rows, influence.shape[1]))
            np.add.at(whole, self.design_row[rows], influence[rows])
            yield design.calibration.residuals(whole)

    @cached_property
    def _of_residuals(self) -> "DomainLayout":
        """What residuals are a sum over: all rows of the design, as if not calibrated."""
        return DomainLayout.whole(replace(self.design, calibration=None))

    def present(self, used: BoolArray) -> tuple[FloatArray, FloatArray]:
        """PSUs and strata ``(D, K)`` with a used row of a weight other than 0; ``used`` is ``(m, K)``."""
        level = self.levels[0]
        in_cell = level.cells @ level.has_rows(used & (self.weight != 0)).astype(np.float64)
        pair_count = level.cell_sum @ in_cell
        return cast(FloatArray, pair_count), cast(FloatArray, level.cell_sum @ (in_cell > 0).astype(np.float64))

    def asked_pairs(self) -> FloatArray:
        """1 for pairs ``(Q, 1)`` that have rows in the domain, 0 for those that have a residual only."""
        return self.levels[0].has_rows(np.ones((len(self.kept), 1), dtype=np.bool_)).astype(np.float64)

    def answering_pairs(self, used: BoolArray) -> FloatArray:
        """1 for pairs ``(Q, K)`` with a ``used`` row ``(m, K)``, else 0."""
        return self.levels[0].has_rows(used).astype(np.float64)

    def answering_share(self, used: BoolArray) -> FloatArray:
        """PSUs with a ``used`` row ``(m, K)`` among those with a row in the domain, by cell ``(C, K)``; 1 if none."""
        cells = self.levels[0].cells
        asked, answering = cells @ self.asked_pairs(), cells @ self.answering_pairs(used)
        return cast(FloatArray, np.where(asked > 0, answering / np.maximum(asked, 1.0), 1.0))

    def variance(self, influence: FloatArray, *, used: BoolArray | None = None) -> FloatArray:
        """Variance ``(D, K)`` of the sum of the weighted influences ``(m, K)`` of each domain, as R gives it.

        Args:
            used: rows ``(m, K)`` with the measure; matters on an uncalibrated design for lonely_psu 'average' and for
                lonely_psu_in_domain, where R counts what keeps a row.
        """
        if self.design.calibration is not None:
            variance = np.zeros((self.n_domains, influence.shape[1]))
            for domain, residual in enumerate(self._residuals(influence)):
                variance[domain] = self._of_residuals.variance(residual)[0]
            return variance
        return self._variance(self.scores_by_level(influence), used)

    def variance_parts(self, scores: Sequence[FloatArray], *, used: BoolArray) -> tuple[FloatArray, FloatArray]:
        """:meth:`variance` from :meth:`scores_by_level`, and what item non-response adds to it, both ``(D, K)``.

        The sum of the two is the variance with 1 - r f in place of 1 - f (decision 0005), f = n_h/N_h and r the share
        of the domain's PSUs in the stratum that have a ``used`` row: those without are asked, but not observed.
        """
        level = self.levels[0]
        drawn = (level.stage.several * (1.0 - level.stage.unsampled_share))[level.cell_stratum][:, None]
        unanswered = np.where(level.several, drawn * (1.0 - self.answering_share(used)), 0.0)
        return self._variance(scores, used), level.sum_of_squares(*level.deviations(scores[0]), unanswered)

    def _variance(self, scores: Sequence[FloatArray], used: BoolArray | None) -> FloatArray:
        variance = np.zeros((self.n_domains, scores[0].shape[1]))
        for level, deviations in zip(self.levels, self._deviations(scores, used), strict=True):
            variance += level.sum_of_squares(*deviations)
        return variance

    def covariance(self, influence: FloatArray, *, used: BoolArray | None = None) -> FloatArray:
        """Covariance ``(K, K)`` of the sums of the columns over all domains of the layout; see :meth:`variance`.

        Meant for one domain that holds the whole file, where each column has its own rows other than 0.
        """
        covariance = np.zeros((influence.shape[1],) * 2)
        if self.design.calibration is not None:
            for residual in self._residuals(influence):
                covariance += self._of_residuals.covariance(residual)
            return covariance
        for level, deviations in zip(self.levels, self._deviations(self.scores_by_level(influence), used), strict=True):
            covariance += level.sum_of_products(*deviations)
        return covariance

    def _deviations(
        self, scores: Sequence[FloatArray], used: BoolArray | None
    ) -> Iterator[tuple[FloatArray, FloatArray, FloatArray]]:
        """What :meth:`Level.sum_of_squares` takes, of each level: the one place where the rules of V stand."""
        counted = used if self.design.lonely_psu in ("adjust", "average") else None
        for level, score in zip(self.levels, scores, strict=True):
            units = level.cell_pairs if counted is None else level.cells @ level.has_rows(counted).astype(np.float64)
            factor, uncentred = stratum_rules(
                level.stage,
                stratum=level.cell_stratum,
                cell_sum=level.cell_sum,
                units=units,
                lonely_psu=self.design.lonely_psu,
                lonely_psu_in_domain=self.design.lonely_psu_in_domain,
                calibrated=self.design.calibrated,
            )
            yield *level.deviations(score, uncentred=uncentred), factor


def stratum_rules(
    stage: Stage,
    *,
    stratum: IntArray,
    cell_sum: sparse.csr_array,
    units: FloatArray,
    lonely_psu: LonelyPsu,
    lonely_psu_in_domain: bool,
    calibrated: bool = False,
) -> tuple[FloatArray, BoolArray | None]:
    """What each cell's sum of squares is multiplied by, and the cells that deviate from 0 instead of their mean.

    Args:
        stratum: of each cell of a stratum and a domain ``(C,)``.
        cell_sum: adds the cells up by domain ``(D, C)``.
        units: those with a row used in the cell, ``(C, 1)`` or ``(C, K)``; R counts them.

    Returns:
        factors, and marks or None for no cell; ``(C, 1)`` or ``(C, K)``.
    """
    factor = stage.variance_factor[stratum][:, None]
    if lonely_psu not in ("adjust", "average"):
        return factor, None
    alone = stage.lonely[stratum][:, None]
    if lonely_psu_in_domain and not calibrated:
        alone = alone | ((units == 1) & (stage.unsampled_share[stratum][:, None] > 0))
    if lonely_psu == "adjust":
        return factor, alone
    if not alone.any():
        return factor, None
    if calibrated:
        strata = np.array(float(stage.n_strata))
        scale = np.broadcast_to(safe_divide(strata, strata - stage.lonely.sum()), (len(stratum), 1))
    else:
        there = units > 0
        counted = cell_sum @ there.astype(np.float64)
        without = cell_sum @ (there & alone).astype(np.float64)
        scale = np.repeat(safe_divide(counted, counted - without), np.diff(cell_sum.indptr), axis=0)
    return np.where(alone, 0.0, factor) * scale, None


@dataclass(frozen=True, eq=False)
class _PostStrata:
    """Post-strata crossed with the domains that touch them."""

    mean: sparse.csr_array  # (G, m)
    design: SurveyDesign
    group: IntArray  # (n,) post-stratum of each row of the design
    n_groups: int
    n_domains: int
    touched_group: IntArray  # (G,)
    touched_domain: IntArray  # (G,)

    @classmethod
    def build(
        cls, design: SurveyDesign, group: IntArray, at: IntArray, row_domain: IntArray, n_domains: int
    ) -> "_PostStrata":
        n_groups, m = int(group.max()) + 1, len(at)
        group_weight = np.bincount(group, weights=design.weight, minlength=n_groups)
        touched, touched_of_row = np.unique(group[at] * n_domains + row_domain, return_inverse=True)
        scale = group_weight[touched // n_domains][touched_of_row]
        return cls(
            mean=sparse.csr_array(
                (1.0 / np.where(scale > 0, scale, np.inf), (touched_of_row, np.arange(m))), shape=(len(touched), m)
            ),
            design=design,
            group=group,
            n_groups=n_groups,
            n_domains=n_domains,
            touched_group=touched // n_domains,
            touched_domain=touched % n_domains,
        )

    def pairs(self, stage: Stage) -> tuple[IntArray, sparse.csr_array]:
        """Keys of the pairs ``(Q,)``: a unit has a residual in every domain that touches one of its post-strata.

        With them the weight ``(Q, G)`` of each unit in each post-stratum, over the whole design.
        """
        cell_key, cell_of_row = np.unique(stage.unit * self.n_groups + self.group, return_inverse=True)
        cell_weight = np.bincount(cell_of_row, weights=self.design.weight)
        cell_unit, cell_group = np.divmod(cell_key, self.n_groups)
        by_group = np.argsort(cell_group, kind="stable")
        start = np.searchsorted(cell_group[by_group], np.arange(self.n_groups + 1))
        length = (start[1:] - start[:-1])[self.touched_group]
        touched = np.repeat(np.arange(len(length)), length)
        offset = np.arange(int(length.sum())) - np.repeat(np.cumsum(length) - length, length)
        member = by_group[np.repeat(start[self.touched_group], length) + offset]
        member_key = self.touched_domain[touched] * stage.n_units + cell_unit[member]
        pair_key = np.unique(member_key)
        pair_group = sparse.csr_array(
            (cell_weight[member], (np.searchsorted(pair_key, member_key), touched)),
            shape=(len(pair_key), len(length)),
        )
        return pair_key, pair_group


def covariance(design: SurveyDesign, influence: FloatArray, *, used: BoolArray | None = None) -> FloatArray:
    """Covariance ``(K, K)`` of the sums of weighted influences ``(n, K)`` over the rows of the design.

    Each column is one statistic with a domain of its own: its influence is 0 on the rows outside.

    Args:
        used: ``(n,)`` or ``(n, K)``: rows in the domain with the measure present; None: all. On an uncalibrated
            design only these rows stay, as R's subset() does it, which matters for the lonely-PSU rules. Of
            columns with different lonely strata the covariance is that of the deviations each one has.
    """
    return DomainLayout.whole(design).covariance(influence, used=_by_column(used, influence))


def variance(design: SurveyDesign, influence: FloatArray, *, used: BoolArray | None = None) -> FloatArray:
    """The diagonal ``(K,)`` of :func:`covariance`."""
    return cast(FloatArray, DomainLayout.whole(design).variance(influence, used=_by_column(used, influence))[0])


def degrees_of_freedom(design: SurveyDesign, used: BoolArray | None = None) -> int:
    """PSUs minus strata among the rows used ``(n,)`` (None: all) of a weight other than 0: R's degf of the subset."""
    if used is None:
        used = np.ones(design.n_rows, dtype=np.bool_)
    psus, strata = DomainLayout.whole(design).present(used[:, None])
    return int((psus - strata)[0, 0])


def _by_column(used: BoolArray | None, influence: FloatArray) -> BoolArray | None:
    if used is None or used.ndim == 2:
        return used
    return np.broadcast_to(used[:, None], influence.shape)
