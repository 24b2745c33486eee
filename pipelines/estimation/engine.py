"""The two ways to a standard error behind one face: linearisation of a design, and replicate weights.

Belongs here: which function of `stats` makes which statistic, so that the rest need not know the design. Does not
belong here: formulas (stats), the specification and its words (run), intervals (run).
"""

from collections.abc import Sequence
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
    DomainLinearized,
    contrast_by_domain,
    domain_estimates,
    domain_means,
    domain_ratios,
    domain_totals,
    ratios_by_domain,
    totals_by_domain,
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
from pipelines.stats.variance import DomainLayout

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
        self,
        variables: Sequence[Variable],
        inside: Sequence[BoolArray],
        coefficients: Sequence[float],
        domains: Partition,
    ) -> Figures:
        """In each domain the sum of coefficient x variable, of those rows that are ``inside`` ``(n,)``."""
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
            layout = DomainLayout.build(self.design, code, size)
            for index, variable in enumerate(variables):
                shared = self._shared(layout, _linearized(layout, variable), domains)
                found[index] = self._with_shared(found[index], *shared)
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
        return domains.within(self.design.weight != 0).rows()

    def _design_rows(self, variable: Variable, domains: Partition) -> FloatArray:
        """R's nrow(design) ``(D,)``: rows used, those of weight 0 too; the whole file where weights are calibrated."""
        if self.design.calibrated:
            return np.full(len(domains.names), float(self.design.n_rows))
        return domains.within(variable.present).rows()

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

    def _with_shared(self, figures: Figures, added: FloatArray, df: FloatArray) -> Figures:
        """Figures with what :meth:`_shared` gives."""
        variance = figures.variance + added
        scale = np.where(figures.variance > 0, variance / np.where(figures.variance > 0, figures.variance, 1.0), 1.0)
        return replace(
            figures,
            variance=variance,
            df=np.where(np.isnan(df), figures.df, df),
            deff=figures.deff * scale,
            deff_replace=figures.deff_replace * scale,
        )

    def _shared(
        self, layout: DomainLayout, statistic: DomainLinearized, domains: Partition
    ) -> tuple[FloatArray, FloatArray]:
        """What shared units add to the variances ``(D,)``, and their degrees of freedom, NaN of one wave alone."""
        assert self.waves is not None
        influence = np.zeros((self.design.n_rows, 1))
        influence[layout.kept] = statistic.influence
        used = np.zeros(self.design.n_rows, dtype=np.bool_)
        used[layout.kept] = statistic.used[:, 0]
        used &= self.design.weight != 0
        added, df = np.zeros(layout.n_domains), np.full(layout.n_domains, np.nan)
        for position in np.flatnonzero(self.waves.spanning(domains.code, layout.n_domains)):
            inside = domains.member(int(position))
            added[position] = self.waves.covariance(np.where(inside[:, None], influence, 0.0))[0]
            df[position] = self.waves.degrees_of_freedom(inside & used)
        return added, df

    def contrast(
        self,
        variables: Sequence[Variable],
        inside: Sequence[BoolArray],
        coefficients: Sequence[float],
        domains: Partition,
    ) -> Figures:
        """From the influences of the statistics, added up by row."""
        layout = DomainLayout.build(self.design, domains.code, len(domains.names))
        parts = [_linearized(layout, variable, rows) for variable, rows in zip(variables, inside, strict=True)]
        together = contrast_by_domain(parts, coefficients)
        made = domain_estimates(layout, together)
        variance, df = made.variance[:, 0], made.df[:, 0]
        if self.waves is not None:
            added, of_waves = self._shared(layout, together, domains)
            variance, df = variance + added, np.where(np.isnan(of_waves), df, of_waves)
        asked = self._rows(domains.within(np.any(inside, axis=0)))
        return _contrast_figures(made.estimate[:, 0], variance, made.n[:, 0], df, made.sum_weights[:, 0], asked)

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
        return self._rows(domains.within(np.isnan(y)))


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
        used = domains.within(variable.present)
        squares, sums = used.rows(np.square(self.weights.weight)), used.rows(self.weights.weight)
        return Figures(
            estimate=estimate,
            variance=made.variance[:, column],
            n=n,
            n_missing=domains.rows() - n,
            df=made.df[:, column],
            sum_weights=made.sum_weights[:, column],
            deff=made.deff[:, column],
            deff_replace=made.deff_replace[:, column],
            kish_deff=safe_divide(n * squares, np.square(sums)),
            logit_variance=logit_variance,
        )

    def contrast(
        self,
        variables: Sequence[Variable],
        inside: Sequence[BoolArray],
        coefficients: Sequence[float],
        domains: Partition,
    ) -> Figures:
        """From the replicates of the statistics."""
        size = len(domains.names)
        estimate, replicates = np.zeros(size), np.zeros((self.weights.n_replicates, size))
        used = np.zeros(len(domains.code), dtype=np.bool_)
        for variable, rows, coefficient in zip(variables, inside, coefficients, strict=True):
            if coefficient == 0:
                continue
            made = self._estimates(variable.kind, [variable], domains.within(rows))
            estimate += coefficient * made.estimate[:, 0]
            replicates += coefficient * made.replicates[:, :, 0]
            used |= rows & variable.present
        taken = domains.within(used)
        return _contrast_figures(
            estimate,
            self.weights.variance(replicates, estimate),
            taken.rows(),
            self.weights.domain_degrees_of_freedom(taken.code, size),
            taken.rows(self.weights.weight),
            domains.within(np.any(inside, axis=0)).rows(),
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
        return domains.within(np.isnan(y)).rows()


def _contrast_figures(
    estimate: FloatArray,
    variance: FloatArray,
    n: FloatArray,
    df: FloatArray,
    sum_weights: FloatArray,
    asked: FloatArray,
) -> Figures:
    none = np.full(len(estimate), np.nan)
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


def _linearized(layout: DomainLayout, variable: Variable, inside: BoolArray | None = None) -> DomainLinearized:
    """The statistic ``(D, 1)`` of the layout's domains, of those rows that are ``inside`` ``(n,)``; None: all."""
    y = variable.y[layout.kept, None]
    if inside is not None:
        y = np.where(inside[layout.kept, None], y, np.nan)
    if variable.kind == "total":
        return totals_by_domain(layout, y)
    bottom = np.ones_like(y) if variable.kind == "mean" else _denominator(variable)[layout.kept, None]
    return ratios_by_domain(layout, y, bottom)
