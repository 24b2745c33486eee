"""What was done to the weights, as one tidy table.

Belongs here: which figures are told of each step. Does not belong here: the steps (run), the page that shows them
(report).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.stats.arrays import FloatArray
from pipelines.stats.calibration import Calibration
from pipelines.stats.calibration_diagnostics import QUANTILES, diagnose, kish_deff
from pipelines.stats.collapse import UNRESOLVED, Collapse
from pipelines.stats.nonresponse import STATUSES, response_rates
from pipelines.stats.trimming import WeightLimits

DIAGNOSTIC_COLUMNS = ("diagnostic", "step", "cell", "value", "text")
STEPS = ("base", "eligibility", "nonresponse", "calibration", "trimming")
RATES = ("e", "rr1", "rr2", "rr3", "rr4", "rr5", "rr6")
DISTRIBUTION = ("n", "sum", "min", *(f"q{round(100 * q):02d}" for q in QUANTILES), "max", "cv", "kish_deff")
MARGIN = ("margin_n", "margin_total", "margin_before", "margin_after", "distance_before", "distance_after")
TRIMMING = ("limit_low", "limit_high", "trimmed_share", "moved_share", "n_cut", "n_at_low", "n_at_high")

Row = tuple[str, str, str | None, float | None, str | None]


@dataclass(frozen=True)
class Measured:
    """A total, the sums ``before`` calibration and ``after`` all steps; ``scale``: what distances are relative to."""

    cell: str
    n: int
    total: float
    before: float
    after: float
    scale: float


@dataclass(frozen=True, eq=False)
class Steps:
    """What the steps left behind; ``before``, ``untrimmed`` and ``final`` ``(m,)`` are of the rows calibrated."""

    weights: pl.DataFrame
    disposition: pl.Series | None
    classes: Collapse | None
    coefficients: pl.DataFrame | None
    cells: Collapse | None
    calibration: Calibration | None
    before: FloatArray
    bounds: tuple[float, float]
    measured: tuple[Measured, ...]
    untrimmed: FloatArray
    final: FloatArray
    limits: WeightLimits | None


def diagnostics_table(steps: Steps) -> pl.DataFrame:
    """DIAGNOSTIC_COLUMNS, a row a figure; ``text`` of a collapse: what the cell joined, and why.

    Distributions are of the units that carry weight after the step. See reports/methodology/weighting.md.
    """
    rows = [
        *_sample(steps),
        *_distributions(steps.weights),
        *_collapses(steps),
        *_calibration(steps),
        *_trimming(steps),
    ]
    schema = dict(zip(DIAGNOSTIC_COLUMNS, (pl.String, pl.String, pl.String, pl.Float64, pl.String), strict=True))
    return pl.DataFrame(rows, schema=schema, orient="row")


def step_weights(weights: pl.DataFrame) -> dict[str, FloatArray]:
    """The weights above or below 0 after each step."""
    product = np.ones(weights.height)
    found = {}
    for step in STEPS:
        product = product * weights["base_weight" if step == "base" else f"{step}_factor"].to_numpy()
        found[step] = product[product != 0]
    return found


def _sample(steps: Steps) -> Iterator[Row]:
    weights = steps.weights
    yield "selected", "sample", None, float(weights.height), None
    for status in STATUSES:
        yield status, "sample", None, float((weights["status"] == status).sum()), None
    if steps.disposition is None:
        return
    units = weights.with_columns(steps.disposition.alias("disposition"))
    by: list[tuple[str, str | None, str | None]] = [("", None, None), ("weighted_", "base_weight", None)]
    if steps.classes is not None:
        by.append(("", None, "nonresponse_class"))
    for prefix, weight, column in by:
        rates = response_rates(units, by=[column] if column else [], weight=weight)
        for row in rates.iter_rows(named=True):
            for rate in RATES:
                yield f"{prefix}{rate}", "response", row[column] if column else None, row[rate], None
    if steps.coefficients is not None:
        for term, value in steps.coefficients.iter_rows():
            yield "coefficient", "response", term, value, None


def _distributions(weights: pl.DataFrame) -> Iterator[Row]:
    for step, values in step_weights(weights).items():
        quantiles = (float(np.quantile(values, q)) for q in QUANTILES)
        mean = float(values.mean())
        figures = (
            len(values),
            values.sum(),
            values.min(),
            *quantiles,
            values.max(),
            values.std() / mean,
            kish_deff(values),
        )
        for name, value in zip(DISTRIBUTION, figures, strict=True):
            yield name, step, None, float(value), None


def _collapses(steps: Steps) -> Iterator[Row]:
    for step, collapse in (("nonresponse", steps.classes), ("calibration", steps.cells)):
        if collapse is None:
            continue
        for number, (cell, into, level, reason) in enumerate(collapse.log.iter_rows(), start=1):
            if level == UNRESOLVED:
                yield UNRESOLVED, step, cell, None, reason
            else:
                yield "collapse", step, cell, float(number), f"joins {into}, {level}: {reason}"


def _calibration(steps: Steps) -> Iterator[Row]:
    if steps.calibration is None:
        return
    told = diagnose(steps.calibration, steps.before, bounds=steps.bounds).factors
    for name, value in told.iter_rows():
        if name.startswith(("factor_", "share_")):
            yield name, "calibration", None, value, None
    yield "iterations", "calibration", None, float(steps.calibration.iterations), None
    for bound, value in zip(("bound_low", "bound_high"), steps.bounds, strict=True):
        if np.isfinite(value):
            yield bound, "calibration", None, float(value), None
    for each in steps.measured:
        distances = ((each.before - each.total) / each.scale, (each.after - each.total) / each.scale)
        figures = (float(each.n), each.total, each.before, each.after, *distances)
        for name, value in zip(MARGIN, figures, strict=True):
            yield name, "calibration", each.cell, value, None


def _trimming(steps: Steps) -> Iterator[Row]:
    if steps.limits is None:
        return
    limits, before, after = steps.limits, steps.untrimmed, steps.final
    cut = np.where(before > 0, np.clip(before, limits.low, limits.high), before)
    figures = (
        limits.low,
        limits.high if np.isfinite(limits.high) else None,
        np.abs(before - cut).sum() / before.sum(),
        np.abs(after - before).sum() / 2 / before.sum(),
        (cut != before).sum(),
        (after == limits.low).sum(),
        (after == limits.high).sum(),
    )
    for name, value in zip(TRIMMING, figures, strict=True):
        yield name, "trimming", None, None if value is None else float(value), None
