"""Categorical margins and continuous totals, made into the terms of one calibration.

Belongs here: the levels of margins as terms, what is wrong with them. Does not belong here: the calibration
(calibration), raking on margins alone (calibration), reading a term (terms).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.errors import Violation
from pipelines.stats.arrays import FloatArray, dense_codes
from pipelines.stats.calibration_faults import level_faults, sum_faults, weight_faults
from pipelines.stats.terms import (
    TermsMatrix,
    code_sums,
    missing_faults,
    raise_faults,
    terms_matrix,
    unknown_name,
    whole_numbers,
)


@dataclass(frozen=True, eq=False)
class MarginTerms:
    """The matrix and the totals of `calibrate`; its terms are redundant where margins overlap."""

    matrix: TermsMatrix
    totals: Mapping[str, float]


def margin_terms(
    weight: FloatArray,
    frame: pl.DataFrame,
    margins: Mapping[str, Mapping[str, float]],
    totals: Mapping[str, float] | None = None,
    *,
    tolerance: float = 1e-9,
) -> MarginTerms:
    """Terms for every level of every margin and for every continuous total.

    The levels of a margin add up to the population, so the levels of several margins are combinations of each other:
    calibrate with ``drop_redundant``, and every one of them is met.

    Args:
        weight: ``(n,)`` weights before, 0 or more.
        frame: n rows with the columns named.
        margins: for each column of labels the population total of each level.
        totals: totals of other terms, such as ``{"emp": 86000}`` or ``{"sex=B:emp": 42000}``.
        tolerance: by how much of it the sum of a margin's totals may differ from that of the first.

    Raises:
        ViolationsError: an unknown margin; a level with a total but without units or weight, with units but without a
            total; margins with different sums; rows without a label or a weight; faults of the other terms.
    """
    others = {} if totals is None else totals
    faults = weight_faults(weight, frame.height, negative=False)
    for name in margins:
        if name in frame.columns:
            faults += missing_faults(frame[name])
        else:
            faults.append(unknown_name("unknown_margin", f"margin {name}", "a column", name, frame.columns))
    if not margins and not others:
        faults.append(Violation("no_margin", "totals", "a margin or a total", "none", "name what to calibrate on"))
    raise_faults("calibration to margins", faults)
    wanted: dict[str, float] = {}
    for name, levels in margins.items():
        codes, labels = dense_codes(whole_numbers(frame[name]))
        before = code_sums(codes, weight, len(labels))
        count = np.bincount(codes, minlength=len(labels))
        faults += level_faults(f"margin {name}, level", labels, count, before, levels)
        wanted |= {f"{name}={label}": levels[label] for label in labels if label in levels}
    raise_faults("calibration to margins", faults or (sum_faults(margins, tolerance) if margins else []))
    raise_faults(
        "calibration to margins",
        [
            Violation("total_not_valid", f"term {term}", "a finite total", str(total), "mend the frame totals")
            for term, total in others.items()
            if not math.isfinite(total)
        ],
    )
    wanted |= others
    return MarginTerms(terms_matrix(frame, list(wanted)), wanted)
