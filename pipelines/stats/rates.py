"""Adoption rates: every domain, measure, base and weighting of one survey wave.

Belongs here: how units and answers become numerators and denominators, the columns of an estimate. Does not
belong here: the units and answers themselves (survey_wave), the variance (variance), intervals, the presentation rules,
change between waves.

Bases. 'answered': the respondents with a value. 'incl_dont_know': those and the don't-knows, who count as not
adopting. Weightings. 'unit': share of units. 'employment': share of the employment that is in adopting units.

Known domains (decision 0008). Where all strata of a domain are take-all and every eligible unit of it answered,
its value is not estimated but known: units count once, not by the weight that they carry for the silent units
of other domains, and the standard error is 0.

Imputed values. They count as observed in the estimate and in the spread of the linearised variance, which therefore
misses what imputation adds (``variance_method`` says so; the bootstrap that draws them anew has it). They do not count
as observed in the finite population correction, nor in a known domain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import polars as pl

from pipelines.stats.arrays import BoolArray, FloatArray, codes_in, safe_divide
from pipelines.stats.design import LonelyPsu
from pipelines.stats.interval_formulas import effective_n
from pipelines.stats.intervals import IntervalMethod, TakeAll, proportion_intervals
from pipelines.stats.linearization import design_effects, kish_deff
from pipelines.stats.reliability import coefficient_of_variation, presentation_status
from pipelines.stats.survey_wave import Base, Domain, DomainRows, UnitWeighting, Wave
from pipelines.stats.variance import DomainLayout

RATE_SCHEMA = {
    "domain_type": pl.String,
    "domain_code": pl.String,
    "measure": pl.String,
    "base": pl.String,
    "unit_weighting": pl.String,
    "n": pl.Int64,
    "n_missing": pl.Int64,
    "n_dont_know": pl.Int64,
    "population": pl.Float64,
    "adopters": pl.Float64,
    "adopters_se": pl.Float64,
    "estimate": pl.Float64,
    "se": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "ci_level": pl.Float64,
    "df": pl.Int64,
    "deff": pl.Float64,
    "n_effective": pl.Float64,
    "cv": pl.Float64,
    "reliability": pl.String,
    "reliability_reason": pl.String,
    "variance_method": pl.String,
    "census": pl.Boolean,
}


@dataclass(frozen=True, eq=False)
class RateScores:
    """Estimates of one base and weighting, with what their variances are made of.

    Shapes: D domains, M measures, m rows.
    """

    top: FloatArray  # (m, M) numerator of each row without the weight, 0 outside the base
    bottom: FloatArray  # (m, M) denominator
    used: BoolArray  # (m, M) in the base
    observed: BoolArray  # (m, M) and not imputed
    size: FloatArray  # (m, 1) what a unit counts: 1 or its employment
    weight: FloatArray  # (m, 1) that of the unit, 1 in known domains
    known: BoolArray  # (D, 1) every unit of a take-all domain responded
    complete: BoolArray  # (D, M) and is observed in the base
    acting: FloatArray  # (m, M) weight x denominator
    residual: FloatArray  # (m, M) linearised variable without the weight
    scores: Sequence[FloatArray]  # those of the layout, of weight x residual
    estimate: FloatArray  # (D, M) NaN where the denominator is 0
    variance: FloatArray  # (D, M)
    item_variance: FloatArray  # (D, M) what item non-response adds, part of the variance
    n: FloatArray  # (D, M)
    df: FloatArray  # (D, M)

    @classmethod
    def build(
        cls,
        layout: DomainLayout,
        rows: DomainRows,
        *,
        eligible: FloatArray,
        base: Base,
        unit_weighting: UnitWeighting,
    ) -> "RateScores":
        """Share of units, or of employment, that adopts: a ratio of two weighted sums by domain.

        Args:
            eligible: ``(D,)`` eligible frame units of the domains whose strata are all take-all, NaN elsewhere.
        """
        used, size, top, bottom = fractions(rows, base=base, unit_weighting=unit_weighting)
        observed = used & ~rows.imputed
        n = layout.sums(used.astype(np.float64))
        known = layout.sums(np.ones_like(size)) >= eligible[:, None]
        weight = np.where(known[layout.row_domain], 1.0, layout.weight)
        acting = weight * bottom
        total = layout.sums(acting)
        estimate = safe_divide(layout.sums(weight * top), total)
        residual = safe_divide(top - layout.spread(np.nan_to_num(estimate)) * bottom, layout.spread(total))
        complete = layout.sums(observed.astype(np.float64)) >= eligible[:, None]
        residual = np.where(used & ~complete[layout.row_domain], np.nan_to_num(residual), 0.0)
        psus, strata = layout.present(used)
        p = np.nan_to_num(estimate)
        scores = layout.scores_by_level(weight * residual)
        sampling, item = layout.variance_parts(scores, used=observed)
        variance = without_noise(sampling + item, np.maximum(p, 1.0 - p))
        return cls(
            top=top,
            bottom=bottom,
            used=used,
            observed=observed,
            size=size,
            weight=weight,
            known=known,
            complete=complete,
            acting=acting,
            residual=residual,
            scores=scores,
            estimate=estimate,
            variance=np.where(np.isfinite(estimate), variance, np.nan),
            item_variance=item,
            n=n,
            df=psus - strata,
        )


def fractions(
    rows: DomainRows, *, base: Base, unit_weighting: UnitWeighting
) -> tuple[BoolArray, FloatArray, FloatArray, FloatArray]:
    """Which rows are in the base ``(m, M)``, what a unit counts ``(m, 1)``, numerator and denominator ``(m, M)``."""
    used = np.isfinite(rows.value)
    value = np.where(used, rows.value, 0.0)
    if base == "incl_dont_know":
        used = used | rows.dont_know
    size = np.ones((len(rows.employment), 1)) if unit_weighting == "unit" else rows.employment[:, None]
    return used, size, value * size, used * size


def adoption_rates(
    units: pl.DataFrame,
    answers: pl.DataFrame,
    *,
    frame: pl.DataFrame,
    domains: Sequence[Domain],
    measures: Sequence[str],
    field_measures: Sequence[str] = (),
    frame_fields: pl.DataFrame | None = None,
    bases: Sequence[Base] = ("answered", "incl_dont_know"),
    unit_weightings: Sequence[UnitWeighting] = ("unit", "employment"),
    ci_level: float = 0.95,
    ci_method: IntervalMethod = "logit",
    lonely_psu: LonelyPsu = "fail",
) -> pl.DataFrame:
    """Adoption rates with their uncertainty, one row a domain, measure, base and weighting.

    Args:
        units, answers, frame, frame_fields: see :meth:`Wave.build`.
        domains: the domain types, in the order of the output.
        measures: measures without a field; field_measures: those of types by field.

    Returns:
        RATE_SCHEMA. ``n``: rows in the base; ``n_dont_know``: don't-knows (in ``n`` for base
        'incl_dont_know'); ``n_missing``: responding rows without an answer that are not don't-knows.
        ``population``: sum of weights (times employment) over all responding rows, in a known domain their
        number (employment); ``adopters`` = estimate x population, its SE by linearisation of the product.
        ``n_effective`` = p(1-p)/V, or n / Kish deff where p is 0 or 1 or V is 0. ``census``: all frame units
        of the domain are in take-all strata. A domain without respondents has n = 0, NULL estimates and
        reliability 'suppress'.
    """
    wave = Wave.build(units, answers, frame=frame, frame_fields=frame_fields, lonely_psu=lonely_psu)
    tables = []
    for domain in domains:
        chosen = tuple(field_measures if domain.by_field else measures)
        if not chosen:
            continue
        rows, listed = wave.rows(domain, chosen), wave.frame_domains(domain)
        codes = pl.concat([listed["domain_code"], rows.code]).unique().sort()
        layout = DomainLayout.build(wave.design, codes_in(rows.code, codes), len(codes), rows=rows.design_row)
        listed = listed_as(codes, listed)
        for base in bases:
            for weighting in unit_weightings:
                tables.append(
                    _rate_table(
                        layout,
                        rows,
                        listed,
                        domain=domain,
                        base=base,
                        unit_weighting=weighting,
                        ci_level=ci_level,
                        ci_method=ci_method,
                    )
                )
    if not tables:
        return pl.DataFrame(schema=RATE_SCHEMA)
    return pl.concat(tables).sort(
        rank("domain_type", [domain.type for domain in domains]),
        "domain_code",
        rank("measure", [*measures, *field_measures]),
        rank("base", bases),
        rank("unit_weighting", unit_weightings),
    )


def rank(column: str, values: Sequence[str]) -> pl.Expr:
    """Position of the column's value in the order the caller gave."""
    distinct = list(dict.fromkeys(values))
    return pl.col(column).replace_strict(distinct, list(range(len(distinct))), return_dtype=pl.Int64)


def _rate_table(
    layout: DomainLayout,
    rows: DomainRows,
    listed: pl.DataFrame,
    *,
    domain: Domain,
    base: Base,
    unit_weighting: UnitWeighting,
    ci_level: float,
    ci_method: IntervalMethod,
) -> pl.DataFrame:
    scores = RateScores.build(
        layout, rows, eligible=eligible_if_take_all(listed), base=base, unit_weighting=unit_weighting
    )
    estimate, variance, n, df = scores.estimate, scores.variance, scores.n, scores.df
    weight, used = scores.weight, scores.used
    p = np.nan_to_num(estimate)
    population = np.repeat(layout.sums(weight * scores.size), len(rows.measures), axis=1)
    # The product estimate x population: d(R P) = P dR + R dP. Item non-response moves R only; a known P is fixed.
    moving = np.where(scores.known[layout.row_domain], 0.0, scores.size)
    adopters_variance = without_noise(
        layout.variance(weight * (layout.spread(population) * scores.residual + layout.spread(p) * moving), used=used)
        + np.square(population) * scores.item_variance,
        population,
    )
    effect = kish_deff(layout, scores.acting, n)
    deff, _ = design_effects(
        variance,
        squares=layout.sums(weight * np.square(scores.residual)),
        n=n,
        sum_weights=layout.sums(weight * used),
    )
    n_dont_know = layout.sums(rows.dont_know.astype(np.float64))
    n_missing = layout.sums(np.ones_like(rows.value)) - n - (n_dont_know if base == "answered" else 0.0)
    take_all = _take_all(layout, listed, scores, unit_weighting)
    interval = proportion_intervals(
        estimate,
        variance,
        df=df,
        n=n,
        kish_deff=effect,
        method=ci_method,
        level=ci_level,
        population=layout.sums(weight * used),
        take_all=take_all,
    )
    status, reason = presentation_status(estimate, variance, n=n, df=df, kish_deff=effect, take_all=take_all)
    with_value = np.isfinite(estimate)
    method = "taylor" if layout.group_mean is None else "taylor_residual"
    shape = estimate.shape
    with_imputed = layout.sums((used & rows.imputed).astype(np.float64)) > 0
    columns = {
        "domain_type": np.full(shape, domain.type),
        "domain_code": np.repeat(listed["domain_code"].to_numpy()[:, None], shape[1], axis=1),
        "measure": np.repeat(np.array([rows.measures]), shape[0], axis=0),
        "base": np.full(shape, base),
        "unit_weighting": np.full(shape, unit_weighting),
        "n": n.astype(np.int64),
        "n_missing": n_missing.astype(np.int64),
        "n_dont_know": n_dont_know.astype(np.int64),
        "population": population,
        "adopters": estimate * population,
        "adopters_se": np.where(with_value, np.sqrt(adopters_variance), np.nan),
        "estimate": estimate,
        "se": np.sqrt(variance),
        "ci_low": interval.low,
        "ci_high": interval.high,
        "ci_level": np.full(shape, ci_level),
        "df": df.astype(np.int64),
        "deff": np.where(np.isfinite(deff), deff, np.nan),
        "n_effective": np.where(with_value, effective_n(p, variance, n, effect), np.nan),
        "cv": coefficient_of_variation(estimate, variance),
        "reliability": status,
        "reliability_reason": reason,
        "variance_method": np.where(with_imputed, f"{method}_as_observed", method),
        "census": np.repeat(take_all.take_all[:, :1], shape[1], axis=1),
    }
    table = pl.DataFrame({name: values.ravel().tolist() for name, values in columns.items()}, schema=RATE_SCHEMA)
    return table.with_columns(
        pl.col(pl.Float64).fill_nan(None),
        pl.when(pl.col("reliability_reason") != "").then(pl.col("reliability_reason")).alias("reliability_reason"),
    )


def without_noise(variance: FloatArray, scale: FloatArray) -> FloatArray:
    """0 for standard errors below 1e-12 of the estimate's scale: rounding of structural zeros."""
    return cast(FloatArray, np.where(variance <= np.square(1e-12 * scale), 0.0, variance))


def _take_all(layout: DomainLayout, listed: pl.DataFrame, scores: RateScores, unit_weighting: UnitWeighting) -> TakeAll:
    def column(name: str) -> FloatArray:
        return listed[name].cast(pl.Float64).fill_null(np.nan).to_numpy()[:, None]

    marked = listed["take_all"].fill_null(False).to_numpy()[:, None] & np.ones(scores.n.shape, dtype=np.bool_)
    # What is known of the domain is what was observed
    observed = scores.observed.astype(np.float64)
    n, adopting, answering = (layout.sums(observed * part) for part in (1.0, scores.top, scores.bottom))
    whole = np.fmax(column("units" if unit_weighting == "unit" else "employment"), answering)
    units = np.fmax(column("units"), n)
    with np.errstate(divide="ignore", invalid="ignore"):
        return TakeAll(
            take_all=marked,
            complete=marked & (n >= units),
            floor=np.where(whole > 0, adopting / whole, 0.0),
            ceiling=np.where(whole > 0, (whole - answering + adopting) / whole, 1.0),
            response_rate=np.where(units > 0, n / units, np.nan),
        )


def listed_as(codes: pl.Series, listed: pl.DataFrame) -> pl.DataFrame:
    """The domains of :meth:`Wave.frame_domains` in the order of the codes; null where the frame has none."""
    return pl.DataFrame({"domain_code": codes}).join(listed, on="domain_code", how="left", maintain_order="left")


def eligible_if_take_all(listed: pl.DataFrame) -> FloatArray:
    """Eligible units ``(D,)`` of the domains whose strata are all take-all, NaN elsewhere."""
    return listed.select(pl.when("take_all").then("units").fill_null(np.nan)).to_series().to_numpy()
