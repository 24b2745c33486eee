"""Weights made to agree with known totals of the frame.

Belongs here: post-stratification, and the further calibration methods as they come. Does not belong here:
which variables to calibrate on (weighting's plan), the variance after calibration (linearization).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import polars as pl

from pipelines.errors import Violation, ViolationsError
from pipelines.stats.arrays import FloatArray, dense_codes


@dataclass(frozen=True, eq=False)
class PostStratification:
    """The factor of each row ``(n,)``, and ``cells``: cell, n, sum_before, total, factor."""

    factor: FloatArray
    cells: pl.DataFrame


def post_stratify(weight: FloatArray, cell: pl.Series, totals: Mapping[str, float]) -> PostStratification:
    """Scale weights so that they add up to the total of each cell (R's ``postStratify``).

    Args:
        weight: ``(n,)`` weights before; ``cell``: label of each row; ``totals``: population total of each
        cell.

    Raises:
        ViolationsError: naming every cell at fault: a total above 0 without rows or weight in it, rows
            without a total, a negative or non-finite total, a total of 0 with weight in the cell.
    """
    codes, labels = dense_codes(cell)
    before = np.bincount(codes, weights=weight, minlength=len(labels))
    count = np.bincount(codes, minlength=len(labels))
    violations: list[Violation] = []

    def fault(code: str, label: str, expected: str, got: str, hint: str) -> None:
        violations.append(Violation(code, where=f"post-stratum {label}", expected=expected, got=got, hint=hint))

    known = set(labels)
    for label in sorted(totals):
        total = totals[label]
        if not np.isfinite(total) or total < 0:
            fault("total_not_valid", label, "a total of 0 or more", str(total), "mend the frame totals")
        elif total > 0 and label not in known:
            fault(
                "empty_post_stratum",
                label,
                "units in every post-stratum of the frame",
                f"none for a total of {total:g}",
                "collapse it with another post-stratum",
            )
    for index, label in enumerate(labels):
        if label not in totals:
            fault(
                "post_stratum_without_total",
                label,
                "a population total for every post-stratum of the sample",
                f"{count[index]} unit(s) and no total",
                "add the total or move the units",
            )
        elif totals[label] > 0 and not before[index] > 0:
            fault(
                "post_stratum_without_weight",
                label,
                "weights that add up to more than 0",
                f"{before[index]:g} for a total of {totals[label]:g}",
                "collapse it with another post-stratum",
            )
        elif totals[label] == 0 and before[index] > 0:
            fault(
                "empty_total",
                label,
                "a total above 0 where units have weight",
                f"total 0, weights {before[index]:g}",
                "check the classification of these units on the frame",
            )
    if violations:
        raise ViolationsError("post-stratification", violations)
    wanted = np.array([totals[label] for label in labels], dtype=np.float64)
    factor = np.where(before > 0, wanted / np.where(before > 0, before, 1.0), 1.0)
    return PostStratification(
        factor=cast(FloatArray, factor[codes]),
        cells=pl.DataFrame(
            {"cell": labels, "n": count, "sum_before": before, "total": wanted, "factor": factor},
            schema_overrides={"cell": pl.String},
        ),
    )
