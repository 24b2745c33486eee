"""The two ways to a standard error behind one face: linearisation of a design, and replicate weights.

Belongs here: which function of `stats` makes which statistic, so that the rest need not know the design. Does not
belong here: formulas (stats), the specification and its words (run), intervals (run).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import polars as pl
from scipy import special

from pipelines.estimation.domains import Partition
from pipelines.estimation.waves import Waves
from pipelines.stats.arrays import BoolArray, FloatArray, safe_divide
from pipelines.stats.design import SurveyDesign
from pipelines.stats.interval_formulas import replicate_logits
from pipelines.stats.linearization import (
    DomainEstimates,
    Estimates,
    Linearized,
    domain_means,
    domain_ratios,
    domain_totals,
    evaluate,
    linearized_mean,
    linearized_ratio,
    linearized_total,
)
from pipelines.stats.moments import summarise
from pipelines.stats.quantile_rules import QuantileRule
from pipelines.stats.quantiles import QuantileEstimates, QuantileInterval, domain_quantiles, replicate_quantiles
from pipelines.stats.replication import (
    ReplicateEstimates,
    ReplicateWeights,
    replicate_means,
    replicate_ratios,
    replicate_totals,
)

Kind = Literal["mean", "total", "ratio"]


@dataclass(frozen=True, eq=False)
class Variable:
    """A statistic of columns ``(n,)``, NaN where missing: a mean or total of y, or the ratio of y to x."""

    kind: Kind
    y: FloatArray
    x: FloatArray | None = None

    @property
    def present(self) -> BoolArray:
        """Rows ``(n,)`` that the statistic can use."""
        return np.isfinite(self.y) if self.x is None else np.isfinite(self.y) & np.isfinite(self.x)


@dataclass(frozen=True, eq=False)
class Figures:
    """One statistic in D domains, arrays ``(D,)``, NaN where there is none; see DomainEstimates.

    ``design_rows`` and ``logit_variance`` are what intervals.Evidence asks for.
    """

    estimate: FloatArray
    variance: FloatArray
    n: FloatArray
    n_missing: FloatArray
    df: FloatArray
    sum_weights: FloatArray
    deff: FloatArray
    deff_replace: FloatArray
    kish_deff: FloatArray
    design_rows: FloatArray | None = None
    logit_variance: FloatArray | None = None


class Engine(Protocol):
    """What run asks for; rows are those of the data file, in its order."""

    def by_domain(self, variables: Sequence[Variable], domains: Partition) -> list[Figures]:
        """Each variable in each domain, all in one pass."""
        ...

    def contrast(
        self, variables: Sequence[Variable], inside: Sequence[BoolArray], coefficients: Sequence[float]
    ) -> Figures:
        """The sum of coefficient x variable in its domain, as figures ``(1,)``."""
        ...

    def quantiles(
        self,
        y: FloatArray,
        probabilities: Sequence[float],
        domains: Partition,
        *,
        rule: QuantileRule,
        interval: QuantileInterval,
        level: float,
    ) -> QuantileEstimates:
        """Quantiles of y in each domain."""
        ...

    def missing(self, y: FloatArray, domains: Partition) -> FloatArray:
        """Rows ``(D,)`` of each domain that miss y."""
        ...


@dataclass(frozen=True, eq=False)
class Taylor:
    """Linearised variances of a design. ``waves``: where their shared units count by overlap."""

    design: SurveyDesign
    waves: Waves | None = None

    def by_domain(self, variables: Sequence[Variable], domains: Partition) -> list[Figures]:
        """Means and totals of an uncalibrated design from sums by stratum or unit; else row by row."""
        code, size = domains.code, len(domains.names)
        found: dict[int, Figures] = {}
        rows = self._rows(domains)
        for kind in ("mean", "total", "ratio"):
            chosen = [index for index, variable in enumerate(variables) if variable.kind == kind]
            if not chosen:
                continue
            made = self._estimates(kind, [variables[index] for index in chosen], domains)
            for column, index in enumerate(chosen):
                found[index] = self._figures(made, column, rows, self._design_rows(variables[index], domains))
        if self.waves is not None:
            for index, variable in enumerate(variables):
                found[index] = self._with_shared(found[index], variable, domains)
        assert len(code) == self.design.n_rows
        assert all(len(figures.estimate) == size for figures in found.values())
        return [found[index] for index in range(len(variables))]

    def _estimates(self, kind: Kind, variables: Sequence[Variable], domains: Partition) -> DomainEstimates:
        code, size = domains.code, len(domains.names)
        if kind == "ratio":
            top = np.column_stack([variable.y for variable in variables])
            bottom = np.column_stack([_denominator(variable) for variable in variables])
            return domain_ratios(self.design, top, bottom, domain=code, n_domains=size)
        if self.design.calibrated or not (code >= 0).any():
            estimator = domain_means if kind == "mean" else domain_totals
            columns = np.column_stack([variable.y for variable in variables])
            return estimator(self.design, columns, domain=code, n_domains=size)
        frame = pl.DataFrame({str(index): variable.y for index, variable in enumerate(variables)})
        summary = summarise(
            frame,
            self.design,
            measures=frame.columns,
            domain=code,
            n_domains=size,
            totals=kind == "total",
            with_design_effects=True,
        )
        return summary.estimates() if kind == "mean" else summary.totals()

    def _rows(self, domains: Partition) -> FloatArray:
        """Rows ``(D,)`` of each domain of a weight other than 0."""
        counted = domains.code[(domains.code >= 0) & (self.design.weight != 0)]
        return np.bincount(counted, minlength=len(domains.names)).astype(np.float64)

    def _design_rows(self, variable: Variable, domains: Partition) -> FloatArray:
        """R's nrow(design) ``(D,)``: rows used, those of weight 0 too; the whole file where weights are calibrated."""
        if self.design.calibrated:
            return np.full(len(domains.names), float(self.design.n_rows))
        code = domains.code[(domains.code >= 0) & variable.present]
        return np.bincount(code, minlength=len(domains.names)).astype(np.float64)

    def _figures(self, made: DomainEstimates, column: int, rows: FloatArray, design_rows: FloatArray) -> Figures:
        n = made.n[:, column]
        return Figures(
            estimate=made.estimate[:, column],
            variance=made.variance[:, column],
            n=n,
            n_missing=rows - n,
            df=made.df[:, column],
            sum_weights=made.sum_weights[:, column],
            deff=made.deff[:, column],
            deff_replace=made.deff_replace[:, column],
            kish_deff=made.kish_deff[:, column],
            design_rows=design_rows,
        )

    def _with_shared(self, figures: Figures, variable: Variable, domains: Partition) -> Figures:
        """What shared units add in domains that hold rows of several waves."""
        assert self.waves is not None
        variance, df = figures.variance.copy(), figures.df.copy()
        acting = variable.present & (self.design.weight != 0)
        for position in np.flatnonzero(self.waves.spanning(domains.code, len(domains.names))):
            inside = domains.member(int(position))
            variance[position] += self.waves.covariance(_linearized(self.design, variable, inside).influence)[0]
            df[position] = self.waves.degrees_of_freedom(inside & acting)
        scale = np.where(figures.variance > 0, variance / np.where(figures.variance > 0, figures.variance, 1.0), 1.0)
        return replace(
            figures, variance=variance, df=df, deff=figures.deff * scale, deff_replace=figures.deff_replace * scale
        )

    def contrast(
        self, variables: Sequence[Variable], inside: Sequence[BoolArray], coefficients: Sequence[float]
    ) -> Figures:
        """From the influences of the statistics, over the rows of all their domains."""
        parts = [_linearized(self.design, variable, rows) for variable, rows in zip(variables, inside, strict=True)]
        together = Linearized(
            estimate=np.concatenate([part.estimate for part in parts]),
            influence=np.hstack([part.influence for part in parts]),
            used=np.hstack([part.used for part in parts]),
            residual=None,
        ).contrast(np.asarray(coefficients, dtype=np.float64)[None, :])
        made: Estimates = evaluate(self.design, together)
        variance, df = made.variance, made.df
        if self.waves is not None:
            variance = variance + self.waves.covariance(together.influence)
            df = np.array([float(self.waves.degrees_of_freedom(together.used[:, 0] & (self.design.weight != 0)))])
        asked = np.any(inside, axis=0) & (self.design.weight != 0)
        return _contrast_figures(made.estimate, variance, made.n, df, made.sum_weights, float(asked.sum()))

    def quantiles(
        self,
        y: FloatArray,
        probabilities: Sequence[float],
        domains: Partition,
        *,
        rule: QuantileRule,
        interval: QuantileInterval,
        level: float,
    ) -> QuantileEstimates:
        """See domain_quantiles."""
        return domain_quantiles(
            self.design,
            y,
            probabilities,
            domain=domains.code,
            n_domains=len(domains.names),
            rule=rule,
            interval=interval,
            level=level,
        )

    def missing(self, y: FloatArray, domains: Partition) -> FloatArray:
        """Rows of a weight other than 0."""
        code = np.where(np.isnan(y), domains.code, -1)
        return self._rows(Partition(code, domains.names))


@dataclass(frozen=True, eq=False)
class Replicated:
    """Variances from replicate weights."""

    weights: ReplicateWeights

    def by_domain(self, variables: Sequence[Variable], domains: Partition) -> list[Figures]:
        """Each kind of statistic in one pass."""
        found: dict[int, Figures] = {}
        for kind in ("mean", "total", "ratio"):
            chosen = [index for index, variable in enumerate(variables) if variable.kind == kind]
            if chosen:
                several = [variables[index] for index in chosen]
                made = self._estimates(kind, several, domains)
                for column, index in enumerate(chosen):
                    found[index] = self._figures(made, column, variables[index], domains)
        return [found[index] for index in range(len(variables))]

    def _estimates(self, kind: Kind, variables: Sequence[Variable], domains: Partition) -> ReplicateEstimates:
        code, size = domains.code, len(domains.names)
        top = np.column_stack([variable.y for variable in variables])
        if kind == "ratio":
            bottom = np.column_stack([_denominator(variable) for variable in variables])
            return replicate_ratios(self.weights, top, bottom, domain=code, n_domains=size)
        estimator = replicate_means if kind == "mean" else replicate_totals
        return estimator(self.weights, top, domain=code, n_domains=size)

    def _figures(self, made: ReplicateEstimates, column: int, variable: Variable, domains: Partition) -> Figures:
        estimate, n = made.estimate[:, column], made.n[:, column]
        rows = np.bincount(domains.code[domains.code >= 0], minlength=len(domains.names)).astype(np.float64)
        logit_variance = None
        if variable.kind == "mean":
            shares = made.replicates[:, :, column]
            with np.errstate(divide="ignore", invalid="ignore"):
                inside = (
                    (estimate > 0) & (estimate < 1) & ((shares >= 0) & (shares <= 1) | np.isnan(shares)).all(axis=0)
                )
            if inside.any():
                logit_variance = np.full(len(estimate), np.nan)
                logits = replicate_logits(shares[:, inside], estimate[inside])
                logit_variance[inside] = self.weights.variance(logits, special.logit(estimate[inside]))
        used = np.where(variable.present, domains.code, -1)
        weight = self.weights.weight[used >= 0]
        code = used[used >= 0]
        squares = np.bincount(code, weights=np.square(weight), minlength=len(n))
        sums = np.bincount(code, weights=weight, minlength=len(n))
        return Figures(
            estimate=estimate,
            variance=made.variance[:, column],
            n=n,
            n_missing=rows - n,
            df=made.df[:, column],
            sum_weights=made.sum_weights[:, column],
            deff=made.deff[:, column],
            deff_replace=made.deff_replace[:, column],
            kish_deff=safe_divide(n * squares, np.square(sums)),
            logit_variance=logit_variance,
        )

    def contrast(
        self, variables: Sequence[Variable], inside: Sequence[BoolArray], coefficients: Sequence[float]
    ) -> Figures:
        """From the replicates of the statistics."""
        estimate, replicates = 0.0, np.zeros(self.weights.n_replicates)
        used = np.zeros(len(self.weights.weight), dtype=np.bool_)
        for variable, rows, coefficient in zip(variables, inside, coefficients, strict=True):
            if coefficient == 0:
                continue
            made = self._estimates(variable.kind, [variable], Partition(np.where(rows, 0, -1), ("",)))
            estimate += coefficient * float(made.estimate[0, 0])
            replicates += coefficient * made.replicates[:, 0, 0]
            used |= rows & variable.present
        whole = np.array([estimate])
        return _contrast_figures(
            whole,
            self.weights.variance(replicates[:, None], whole),
            np.array([float(used.sum())]),
            np.array([float(self.weights.degrees_of_freedom(used))]),
            np.array([float(self.weights.weight[used].sum())]),
            float(np.any(inside, axis=0).sum()),
        )

    def quantiles(
        self,
        y: FloatArray,
        probabilities: Sequence[float],
        domains: Partition,
        *,
        rule: QuantileRule,
        interval: QuantileInterval,
        level: float,
    ) -> QuantileEstimates:
        """See replicate_quantiles."""
        return replicate_quantiles(
            self.weights,
            y,
            probabilities,
            domain=domains.code,
            n_domains=len(domains.names),
            rule=rule,
            interval=interval,
            level=level,
        )

    def missing(self, y: FloatArray, domains: Partition) -> FloatArray:
        """Rows, those of weight 0 too, as R counts them for replicates."""
        code = domains.code[(domains.code >= 0) & np.isnan(y)]
        return np.bincount(code, minlength=len(domains.names)).astype(np.float64)


def _contrast_figures(
    estimate: FloatArray,
    variance: FloatArray,
    n: FloatArray,
    df: FloatArray,
    sum_weights: FloatArray,
    asked: float,
) -> Figures:
    none = np.full(1, np.nan)
    return Figures(
        estimate=estimate,
        variance=variance,
        n=n,
        n_missing=asked - n,
        df=df,
        sum_weights=sum_weights,
        deff=none,
        deff_replace=none,
        kish_deff=none,
    )


def _denominator(variable: Variable) -> FloatArray:
    assert variable.x is not None
    return variable.x


def _linearized(design: SurveyDesign, variable: Variable, inside: BoolArray) -> Linearized:
    y = variable.y[:, None]
    if variable.kind == "ratio":
        return linearized_ratio(design, y, _denominator(variable)[:, None], inside=inside)
    estimator: Callable[..., Linearized] = linearized_mean if variable.kind == "mean" else linearized_total
    return estimator(design, y, inside=inside)
