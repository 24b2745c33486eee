"""From the specification of a weighting to every unit's factors and final weight.

Belongs here: the order of the steps, the factors, the check that they make the weight and that the totals are met, what
a reader must know. Does not belong here: the steps themselves (stats), files (rows), tables about the weights
(diagnostics).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
import polars as pl

from pipelines.errors import AxstatError
from pipelines.stats.arrays import BoolArray, FloatArray, dense_codes, divide
from pipelines.stats.calibration import Calibration, calibrate, post_stratify, rake
from pipelines.stats.collapse import Collapse, merge_post_strata
from pipelines.stats.mixed_margins import margin_terms
from pipelines.stats.nonresponse import (
    CollapseRule,
    NonresponseAdjustment,
    ResponseModel,
    adjust_nonresponse,
    response_factors,
)
from pipelines.stats.reach import narrowest_bounds
from pipelines.stats.terms import code_sums, terms_matrix, unit_means
from pipelines.stats.trimming import WeightLimits, iqr_limits, trim, trim_and_calibrate
from pipelines.weighting.diagnostics import Measured, Steps, diagnostics_table
from pipelines.weighting.rows import Sample, Targets, calibration_table, in_file, read_sample, read_targets
from pipelines.weighting.spec import CalibrationPlan, TrimmingPlan, WeightingSpecification, parts_of

TOTALS_MET: Final = 1e-9
"""Largest distance of a weighted sum from its total, relative to it."""

FACTORS_MAKE_WEIGHT: Final = 1e-12
"""Largest distance of the product of the factors from the weight, relative to it."""

_DISTANCES = {"poststratify": "raking", "rake": "raking", "truncated": "linear"}


@dataclass(frozen=True, eq=False)
class SurveyWeights:
    """``weights``: a row a unit of the sample, in its order: the unit, WEIGHT_COLUMNS, and the columns to keep.

    ``diagnostics``: see :func:`pipelines.weighting.diagnostics.diagnostics_table`. ``notes``: what a reader must know.
    """

    sample: str
    unit: str
    weights: pl.DataFrame
    diagnostics: pl.DataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Calibrated:
    """The weights of the rows calibrated, ``(m,)``, before trimming and at the end."""

    before: FloatArray
    calibration: Calibration | None
    final: FloatArray
    bounds: tuple[float, float] = (-np.inf, np.inf)
    targets: Targets = field(default_factory=lambda: Targets({}, {}))
    table: pl.DataFrame = field(default_factory=pl.DataFrame)
    collapse: Collapse | None = None
    limits: WeightLimits | None = None

    @property
    def untrimmed(self) -> FloatArray:
        return self.before if self.calibration is None else self.calibration.weight


def run_weighting(specification: WeightingSpecification) -> SurveyWeights:
    """Weight a sample.

    Raises:
        AxstatError: the files cannot be read or do not hold what they are named for; a step that cannot be done, naming
            the rows, classes, levels and terms at fault.
    """
    sample = read_sample(specification)
    targets = None if specification.calibration is None else read_targets(specification)
    adjusted = _adjust(sample, specification)
    response = response_factors(_adjusted_units(sample.units, adjusted))
    base = sample.units["base_weight"].to_numpy()
    after_response = base * response["eligibility_factor"].to_numpy() * response["nonresponse_factor"].to_numpy()
    taken = _taken_rows(sample.units, specification)
    made = _calibrate(sample, specification, targets, after_response, taken)
    calibration_factor, trimming_factor = np.ones(len(base)), np.ones(len(base))
    calibration_factor[taken] = divide(made.untrimmed, made.before, otherwise=1.0)
    trimming_factor[taken] = divide(made.final, made.untrimmed, otherwise=1.0)
    weight = after_response.copy()
    weight[taken] = made.final
    post_stratum = pl.Series("post_stratum", [None] * len(base), dtype=pl.String)
    if specification.calibration is not None and specification.calibration.method == "poststratify":
        cell = made.table[next(iter(made.targets.margins))].cast(pl.String)
        post_stratum = post_stratum.scatter(np.flatnonzero(taken), cell)
    weights = pl.DataFrame(
        [
            sample.units["unit_id"].alias(specification.unit),
            sample.units["status"],
            sample.units["base_weight"],
            response["eligibility_factor"],
            response["nonresponse_factor"],
            pl.Series("calibration_factor", calibration_factor),
            pl.Series("trimming_factor", trimming_factor),
            pl.Series("weight", weight),
            response["nonresponse_class"],
            post_stratum,
            *(sample.table[name] for name in dict.fromkeys(specification.keep) if name != specification.unit),
        ]
    )
    measured = _measured(made)
    _check(weights, measured)
    steps = Steps(
        weights=weights,
        disposition=sample.units["disposition"] if specification.status is not None else None,
        classes=adjusted.collapse if adjusted is not None else None,
        coefficients=adjusted.coefficients if adjusted is not None else None,
        cells=made.collapse,
        calibration=made.calibration,
        before=made.before,
        bounds=made.bounds,
        measured=measured,
        untrimmed=made.untrimmed,
        final=made.final,
        limits=made.limits,
    )
    return SurveyWeights(
        sample=specification.sample,
        unit=specification.unit,
        weights=weights,
        diagnostics=diagnostics_table(steps),
        notes=tuple(_notes(specification, sample, adjusted, made)),
    )


def _adjust(sample: Sample, specification: WeightingSpecification) -> NonresponseAdjustment | None:
    plan, model = specification.response, specification.model
    if plan is None:
        return None
    return adjust_nonresponse(
        sample.units,
        rule=CollapseRule(
            parts=plan.classes,
            order=specification.class_order,
            min_respondents=plan.min_respondents,
            max_factor=plan.max_factor,
        ),
        model=None
        if model is None
        else ResponseModel(terms=model.terms, use=model.use, classes=model.classes, max_factor=model.max_factor),
    )


def _adjusted_units(units: pl.DataFrame, adjusted: NonresponseAdjustment | None) -> pl.DataFrame:
    """The units with their factors, 1 where no response was asked to be adjusted for."""
    if adjusted is not None:
        return adjusted.units
    return units.with_columns(
        pl.lit(1.0).alias("eligibility_factor"),
        pl.lit(1.0).alias("nonresponse_factor"),
        pl.lit(None, dtype=pl.String).alias("nonresponse_class"),
    )


def _taken_rows(units: pl.DataFrame, specification: WeightingSpecification) -> BoolArray:
    """The rows ``(n,)`` that are calibrated and trimmed."""
    whole = specification.calibration is None or specification.calibration.out_of_scope
    taken = units["status"].is_in(["respondent", "out_of_scope"] if whole else ["respondent"]).to_numpy()
    if not taken.any():
        raise AxstatError(
            "no_respondents",
            where=f"sample {specification.sample}",
            expected="units that responded",
            got="none",
            hint="check the codes of status.respondent",
        )
    return taken


def _calibrate(
    sample: Sample, specification: WeightingSpecification, targets: Targets | None, weight: FloatArray, taken: BoolArray
) -> _Calibrated:
    plan, before = specification.calibration, weight[taken]
    if plan is None or targets is None:
        if specification.trimming is None:
            return _Calibrated(before, None, before)
        limits = _limits(specification.trimming, before)
        final = in_file(taken, partial(trim, before, limits, share=specification.trimming.share))
        return _Calibrated(before, None, final, limits=limits)
    table = calibration_table(sample.table.filter(pl.Series(taken)), list(targets.margins), cluster=plan.cluster)
    collapse = None
    if specification.cell_order:
        status = sample.units["status"].filter(pl.Series(taken))
        table, targets, collapse = _merge_cells(specification, plan, table, targets, before, status)
    return in_file(taken, partial(_to_totals, plan, specification.trimming, before, table, targets, collapse))


def _limits(plan: TrimmingPlan, weight: FloatArray) -> WeightLimits:
    if plan.iqr is not None:
        return iqr_limits(weight, plan.iqr, low=plan.low)
    return WeightLimits(plan.low, np.inf if plan.high is None else plan.high)


def _to_totals(
    plan: CalibrationPlan,
    trimming: TrimmingPlan | None,
    before: FloatArray,
    table: pl.DataFrame,
    targets: Targets,
    collapse: Collapse | None,
) -> _Calibrated:
    made = partial(_Calibrated, before, targets=targets, table=table, collapse=collapse)
    if trimming is None and plan.method in ("poststratify", "rake"):
        if plan.method == "rake":
            calibration = rake(before, table, targets.margins)
        else:
            name, totals = next(iter(targets.margins.items()))
            calibration = post_stratify(before, table[name], totals)
        return made(calibration, calibration.weight)
    terms = margin_terms(before, table, targets.margins, targets.totals)
    matrix = terms.matrix
    if plan.cluster is not None:
        matrix = unit_means(matrix, table[plan.cluster], before)
    bounds = plan.bounds if isinstance(plan.bounds, tuple) else (-np.inf, np.inf)
    if plan.bounds == "narrowest":
        bounds = narrowest_bounds(before, matrix, terms.totals, drop_redundant=True).widened()
    distance = _DISTANCES.get(plan.method, plan.method)
    if trimming is None:
        calibration = calibrate(before, matrix, terms.totals, distance=distance, bounds=bounds, drop_redundant=True)
        return made(calibration, calibration.weight, bounds)
    trimmed = trim_and_calibrate(
        before,
        matrix,
        terms.totals,
        partial(_limits, trimming),
        distance=distance,
        bounds=bounds,
        share=trimming.share,
        drop_redundant=True,
    )
    return made(trimmed.calibration, trimmed.weight, bounds, limits=trimmed.limits)


def _merge_cells(
    specification: WeightingSpecification,
    plan: CalibrationPlan,
    table: pl.DataFrame,
    targets: Targets,
    before: FloatArray,
    status: pl.Series,
) -> tuple[pl.DataFrame, Targets, Collapse]:
    """The post-strata merged in the order given, with the sums of their totals."""
    name, totals = next(iter(targets.margins.items()))
    parts = parts_of(name)
    wrong = [label for label in totals if len(label.split(":")) != len(parts)]
    if wrong:
        raise AxstatError(
            "cell_without_parts",
            where=f"calibration.margins {name}, levels {', '.join(wrong[:10])}",
            expected=f"{len(parts)} label(s) joined by colons, none of which holds one: cells are collapsed by them",
            got=f"{len(wrong)} other",
            hint="write the label of each column, or leave collapse out",
        )
    observed = (
        table.select(
            pl.col(name).alias("cell"), pl.Series("before", before), (status == "respondent").alias("respondents")
        )
        .group_by("cell")
        .agg(pl.col("respondents", "before").sum())
    )
    cells = (
        pl.DataFrame(
            [(label, total, *label.split(":")) for label, total in totals.items()],
            schema=["cell", "population", *parts],
            schema_overrides={"population": pl.Float64},
            orient="row",
        )
        .join(observed, on="cell", how="left")
        .with_columns(pl.col("respondents").fill_null(0), pl.col("before").fill_null(0.0))
        .sort("cell")
    )
    merged = merge_post_strata(
        cells,
        parts=parts,
        order=specification.cell_order,
        min_respondents=plan.min_respondents,
        max_factor=plan.max_factor,
    )
    into = dict(merged.cells.select("cell", "merged_cell").iter_rows())
    sums: dict[str, float] = {}
    for label, total in totals.items():
        sums[into[label]] = sums.get(into[label], 0.0) + total
    return table.with_columns(pl.col(name).replace(into)), Targets({name: sums}, {}), merged


def _measured(made: _Calibrated) -> tuple[Measured, ...]:
    """Every total and what the weights make of it, added up from the rows."""
    found = []

    def add(cell: str, rows: int, total: float, sums: tuple[float, float], gross: float) -> None:
        found.append(Measured(cell, rows, total, *sums, scale=abs(total) or gross or 1.0))

    for name, levels in made.targets.margins.items():
        codes, labels = dense_codes(made.table[name])
        count = np.bincount(codes, minlength=len(labels))
        before, after = (code_sums(codes, each, len(labels)) for each in (made.before, made.final))
        for index, label in enumerate(labels):
            sums = (float(before[index]), float(after[index]))
            add(f"{name}={label}", int(count[index]), float(levels[label]), sums, sums[0])
    if made.targets.totals:
        matrix = terms_matrix(made.table, list(made.targets.totals))
        values = matrix.spread(matrix.patterns)
        before, after = values.T @ made.before, values.T @ made.final
        gross, count = np.abs(values).T @ made.before, (values != 0).sum(axis=0)
        for j, (term, total) in enumerate(made.targets.totals.items()):
            add(term, int(count[j]), float(total), (float(before[j]), float(after[j])), float(gross[j]))
    return tuple(found)


def _check(weights: pl.DataFrame, measured: tuple[Measured, ...]) -> None:
    """Hold the result to what is promised of it, whatever the steps reported of themselves."""
    factors = ("base_weight", "eligibility_factor", "nonresponse_factor", "calibration_factor", "trimming_factor")
    product = np.prod([weights[name].to_numpy() for name in factors], axis=0)
    weight = weights["weight"].to_numpy()
    apart = np.abs(product - weight) > FACTORS_MAKE_WEIGHT * np.abs(weight)
    missed = [each for each in measured if abs(each.after - each.total) > TOTALS_MET * each.scale]
    if apart.any() or missed:
        rows = np.flatnonzero(apart)[:10] + 1
        raise AxstatError(
            "weights_not_right",
            where=", ".join(each.cell for each in missed[:10]) or f"rows {', '.join(map(str, rows))}",
            expected="totals met to 1e-9, and factors that make the weight to 1e-12",
            got=", ".join(f"{each.after:.12g} for a total of {each.total:.12g}" for each in missed[:3])
            or f"{int(apart.sum())} row(s) whose factors do not",
            hint="report this: a step did not keep its promise",
        )


def _notes(
    specification: WeightingSpecification, sample: Sample, adjusted: NonresponseAdjustment | None, made: _Calibrated
) -> list[str]:
    notes = []
    for what, collapse in (
        ("weighting class", None if adjusted is None else adjusted.collapse),
        ("post-stratum", made.collapse),
    ):
        if collapse is None:
            continue
        merges = collapse.log.height - len(collapse.unresolved)
        plural = f"{what}es" if what.endswith("s") else what.replace("um", "a")
        if merges:
            notes.append(f"{merges} {what if merges == 1 else plural} collapsed; the diagnostics list them")
        if collapse.unresolved:
            notes.append(f"{plural} that do not keep to the rule after all levels: {_listed(collapse.unresolved)}")
    silent = sample.units.filter(pl.col("status").is_in(["eligible_nonrespondent", "unknown_eligibility"]))
    if adjusted is None and silent.height:
        share = silent["base_weight"].to_numpy().sum() / sample.units["base_weight"].to_numpy().sum()
        notes.append(
            f"{silent.height} units without an answer, {100 * share:.1f} % of the base weight, are not made up for: "
            "there is no section response"
        )
    if specification.calibration is not None and specification.calibration.bounds == "narrowest":
        notes.append(
            f"bounds of the factors: {made.bounds[0]:.6g} to {made.bounds[1]:.6g}, the narrowest widened by 10 %"
        )
    if made.calibration is not None and made.calibration.rescaled != 1:
        notes.append(f"weights were scaled by {made.calibration.rescaled:.6g} first; bounds hold after that")
    negative = np.flatnonzero(made.final < 0)
    if len(negative):
        place = np.flatnonzero(_taken_rows(sample.units, specification))[negative] + 1
        notes.append(f"calibration made the weight negative in rows {_listed(place.tolist())}; bounds would prevent it")
    if made.limits is not None:
        moved = np.abs(made.final - made.untrimmed).sum() / 2 / made.untrimmed.sum()
        notes.append(
            f"weights trimmed to {made.limits.low:.6g} to {made.limits.high:.6g}; "
            f"{100 * moved:.2f} % of the weight moved"
        )
    return notes


def _listed(names: Sequence[object]) -> str:
    shown = [str(name) for name in names]
    return ", ".join(shown[:10]) + (f" and {len(shown) - 10} more" if len(shown) > 10 else "")
