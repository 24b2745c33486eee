"""The weights of a wave of our own surveys, in the form that the weight report is made from.

Belongs here: what stats.weighting made, put as a specification's weights are. Does not belong here: any step of
weighting (stats.weighting), the page (report).
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from pipelines.stats.arrays import code_labels
from pipelines.stats.nonresponse import response_factors
from pipelines.stats.terms import code_sums
from pipelines.stats.weighting import WeightingResult
from pipelines.weighting.diagnostics import Measured, Steps, diagnostics_table
from pipelines.weighting.run import SurveyWeights

_CHANGES = {
    "stratum_jumper": "{} selected unit(s) are in another class today than that of their stratum, which they keep",
    "frame_new": "{} unit(s) are new on the frame since the last wave",
    "frame_gone": "{} unit(s) left the frame since the last wave",
    "frame_moved": "{} unit(s) of both frames changed their class",
}
SYNTHETIC_NOTE = "Synthetic data: these units and their weights are made up."


def wave_weights(
    result: WeightingResult, sample: pl.DataFrame, *, name: str, synthetic: bool, changes: Mapping[str, int]
) -> SurveyWeights:
    """The selected units of a wave that are on the frame, with every factor, and the diagnostics.

    Args:
        sample: all selected units: unit_id, disposition.
        name: what the report is headed by. synthetic: whether the units are made up, which is noted.
        changes: counts of :func:`pipelines.stats.frame_changes.frame_changes`, which are noted too.
    """
    units = result.response.units.select("unit_id", "base_weight").with_columns(response_factors(result.response.units))
    carried = result.weights.select("unit_id", "calibration_factor", "weight", "post_stratum")
    weights = (
        units.join(carried, on="unit_id", how="left")
        .join(sample.select("unit_id", "disposition"), on="unit_id", how="left")
        .sort("unit_id")
        .with_columns(
            pl.col("calibration_factor").fill_null(1.0),
            pl.col("weight").fill_null(0.0),
            pl.lit(1.0).alias("trimming_factor"),
        )
    )
    final = result.weights["weight"].to_numpy()
    before = final / result.weights["calibration_factor"].to_numpy()
    steps = Steps(
        weights=weights.drop("disposition"),
        disposition=weights["disposition"],
        classes=result.response.collapse,
        coefficients=result.response.coefficients,
        cells=result.post_strata,
        calibration=result.calibration,
        before=before,
        bounds=(-np.inf, np.inf),
        measured=_measured(result),
        untrimmed=final,
        final=final,
        limits=None,
    )
    off_frame = sample.height - weights.height
    notes = [SYNTHETIC_NOTE] if synthetic else []
    if off_frame:
        notes.append(f"{off_frame} selected unit(s) are no longer on the frame and carry no weight")
    notes += [text.format(f"{changes[code]:,}") for code, text in _CHANGES.items() if changes.get(code)]
    return SurveyWeights(name, "unit_id", weights, diagnostics_table(steps), tuple(notes))


def _measured(result: WeightingResult) -> tuple[Measured, ...]:
    """The frame count of each post-stratum, and what the weights add up to there."""
    code, labels = code_labels(result.weights["post_stratum"])
    totals = dict(
        result.post_strata.cells.group_by("merged_cell").agg(pl.col("population").sum()).iter_rows(),
    )
    final = result.weights["weight"].to_numpy()
    before = final / result.weights["calibration_factor"].to_numpy()
    count = np.bincount(code, minlength=len(labels))
    sums = [code_sums(code, values, len(labels)) for values in (before, final)]
    return tuple(
        Measured(str(label), int(n), float(totals[label]), float(was), float(now), scale=float(totals[label]))
        for label, n, was, now in zip(labels, count, *sums, strict=True)
    )
