"""What is wrong with weights, totals and margins of a calibration, named with the rows, levels and terms at fault.

Belongs here: checks of the inputs and the wording of their faults, the table of margins. Does not belong here: the
calibration itself (calibration), whether totals can be reached (reach).
"""

import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Final, NoReturn

import numpy as np
import polars as pl

from pipelines.errors import Violation, ViolationsError
from pipelines.stats.arrays import FloatArray, IntArray, divide
from pipelines.stats.terms import row_numbers, unknown_name

RANK_TOLERANCE: Final = 1e-7
"""A term is redundant when the terms before it leave less than this share of its norm (R's ``qr``)."""


def relative_distance(sums: FloatArray, totals: FloatArray, gross: FloatArray) -> FloatArray:
    """Relative distance of sums from their totals; relative to ``gross`` where the total is 0."""
    return divide(np.abs(sums - totals), np.where(totals != 0, np.abs(totals), gross))


def margin_frame(
    margin: list[str],
    level: list[str] | None,
    n: FloatArray | IntArray,
    before: FloatArray,
    total: FloatArray,
    after: FloatArray,
    *,
    gross: FloatArray | None = None,
) -> pl.DataFrame:
    """The table ``Calibration.margins`` of some levels or terms."""
    scale = before if gross is None else gross
    return pl.DataFrame(
        {
            "margin": margin,
            "level": [None] * len(margin) if level is None else level,
            "n": n.astype(np.int64),
            "before": before,
            "total": total,
            "after": after,
            "distance_before": relative_distance(before, total, scale),
            "distance_after": relative_distance(after, total, scale),
        },
        schema_overrides={"margin": pl.String, "level": pl.String},
    )


def weight_faults(weight: FloatArray, n: int, *, negative: bool = True) -> list[Violation]:
    """Rows whose weight cannot be used; ``negative``: weights below 0 are let through."""
    if len(weight) != n or n == 0:
        return [
            Violation(
                "rows_differ" if n else "no_rows",
                where="weights",
                expected=f"one weight for each of {n} rows" if n else "at least one row",
                got=f"{len(weight)} weights",
                hint="give weights and calibration variables of the same file",
            )
        ]
    faults: list[Violation] = []
    if np.isfinite(weight).all() and (negative or weight.min() >= 0):
        return faults
    for code, rows, expected in (
        ("weight_not_finite", ~np.isfinite(weight), "a number"),
        ("weight_negative", np.zeros(n, dtype=np.bool_) if negative else weight < 0, "0 or more"),
    ):
        if np.any(rows):
            faults.append(
                Violation(
                    code,
                    where="weights",
                    expected=expected,
                    got=f"{int(rows.sum())} other",
                    hint="mend the weights, or calibrate from the ones before",
                    rows=row_numbers(rows),
                )
            )
    return faults


def level_faults(
    what: str,
    labels: Sequence[str],
    count: IntArray,
    before: FloatArray,
    totals: Mapping[str, float],
    *,
    partial: bool = False,
) -> list[Violation]:
    """What keeps the levels of one margin from their totals."""
    faults: list[Violation] = []

    def fault(code: str, label: str, expected: str, got: str, hint: str) -> None:
        faults.append(Violation(code, where=f"{what} {label}", expected=expected, got=got, hint=hint))

    known = set(labels)
    without = [label for label in labels if label not in totals]
    for label in sorted(totals):
        total = totals[label]
        if not math.isfinite(total) or total < 0:
            fault("total_not_valid", label, "a total of 0 or more", str(total), "mend the frame totals")
        elif total > 0 and label not in known and not partial:
            near = get_close_matches(label, without, n=1)
            fault(
                "empty_post_stratum",
                label,
                "units in every level that has a total",
                f"none for a total of {total:g}",
                f"did you mean {near[0]}?" if near else "collapse it with another level",
            )
    for index, label in enumerate(labels):
        if label not in totals:
            fault(
                "post_stratum_without_total",
                label,
                "a population total for every level of the sample",
                f"{count[index]} unit(s) and no total",
                "add the total or move the units",
            )
        elif totals[label] > 0 and not before[index] > 0:
            fault(
                "post_stratum_without_weight",
                label,
                "weights that add up to more than 0",
                f"{before[index]:g} for a total of {totals[label]:g}",
                "collapse it with another level",
            )
        elif totals[label] == 0 and before[index] > 0:
            fault(
                "empty_total",
                label,
                "a total above 0 where units have weight",
                f"total 0, weights {before[index]:g}",
                "check the classification of these units on the frame",
            )
    return faults


def sum_faults(totals: Mapping[str, Mapping[str, float]], tolerance: float) -> list[Violation]:
    """Margins whose totals do not add up to what those of the first do."""
    sums = {name: math.fsum(levels.values()) for name, levels in totals.items()}
    first = next(iter(sums))
    return [
        Violation(
            "margins_disagree",
            where=f"margin {name}",
            expected=f"totals that add up to {sums[first]:.12g}, as those of {first} do",
            got=f"{total:.12g}",
            hint="scale the margins to one population total",
        )
        for name, total in sums.items()
        if abs(total - sums[first]) > tolerance * sums[first]
    ]


def total_faults(terms: Sequence[str], totals: Mapping[str, float]) -> list[Violation]:
    """Terms without a total, totals without a term, totals that are no numbers."""
    faults = [
        Violation("term_without_total", f"term {term}", "a total for every term", "none", "add its population total")
        for term in terms
        if term not in totals
    ]
    faults += [
        unknown_name("unknown_term", f"total of {term}", "a term", term, terms) for term in totals if term not in terms
    ]
    faults += [
        Violation("total_not_valid", f"term {term}", "a finite total", str(total), "mend the frame totals")
        for term, total in totals.items()
        if term in terms and not math.isfinite(total)
    ]
    return faults


def empty_terms(terms: Sequence[str], gross: FloatArray, wanted: FloatArray) -> list[Violation]:
    """Terms that are 0 in all rows with a weight, though their total is not."""
    return [
        Violation(
            "term_without_units",
            where=f"term {terms[j]}",
            expected="units with a weight and a value other than 0",
            got=f"none for a total of {wanted[j]:g}",
            hint="collapse it with another term",
        )
        for j in np.flatnonzero((gross == 0) & (wanted != 0)).tolist()
    ]


def independent_terms(
    columns: FloatArray, terms: Sequence[str], totals: FloatArray, *, tolerance: float | None
) -> tuple[IntArray, list[Violation]]:
    """The terms that are no combination of those before them, and what is wrong with the others.

    Args:
        columns: ``(q, p)``, in which the terms have the same combinations as in the sample.
        totals: ``(p,)``.
        tolerance: a combination is no fault if the totals agree with it within this share; None: each is one.
    """
    faults: list[Violation] = []
    kept: list[int] = []
    for j, term in enumerate(terms):
        earlier = columns[:, kept]
        share = np.linalg.lstsq(earlier, columns[:, j], rcond=None)[0] if kept else np.zeros(0)
        left = columns[:, j] - earlier @ share
        if not kept or np.linalg.norm(left) >= RANK_TOLERANCE * np.linalg.norm(columns[:, j]):
            kept.append(j)
            continue
        parts = combination([terms[k] for k in kept], np.asarray(share, dtype=np.float64))
        if tolerance is None:
            faults.append(
                Violation(
                    "term_redundant",
                    where=f"term {term}",
                    expected="terms that are not combinations of others",
                    got=f"in the sample it equals {parts}",
                    hint="leave it out: its total follows from theirs",
                )
            )
            continue
        follows = float(totals[kept] @ share)
        if abs(totals[j] - follows) > tolerance * max(abs(totals[j]), float(np.abs(totals[kept] * share).max())):
            faults.append(
                Violation(
                    "totals_in_conflict",
                    where=f"term {term}",
                    expected=f"{follows:.10g}: in the sample it equals {parts}",
                    got=f"{totals[j]:.10g}",
                    hint="change one of these totals, or collapse terms until units are in each of them alone",
                )
            )
    return np.array(kept, dtype=np.int64), faults


def combination(terms: Sequence[str], multipliers: FloatArray) -> str:
    """The terms with their multipliers, those of next to nothing left out."""
    small = 1e-6 * float(np.abs(multipliers).max(initial=0.0))
    return " ".join(f"{b:+.6g} x ({t})" for t, b in zip(terms, multipliers.tolist(), strict=True) if abs(b) > small)


def not_converged(
    where: str, table: pl.DataFrame, tolerance: float, after: str, *, because: Sequence[Violation] = ()
) -> NoReturn:
    """Raise, naming each level or term of the margins that is not met, the furthest first, and why if it is known."""
    far = table.filter(pl.col("distance_after") > tolerance).sort("distance_after", descending=True)
    faults = [
        Violation(
            "calibration_not_converged",
            where=f"margin {row['margin']}" + ("" if row["level"] is None else f", level {row['level']}"),
            expected=f"{row['total']:.10g}",
            got=f"{row['after']:.10g}, off by {row['distance_after']:.3g} of it after {after}",
            hint="collapse small or conflicting levels, check the totals, or allow more iterations",
        )
        for row in far.iter_rows(named=True)
    ]
    if not faults:
        faults.append(
            Violation(
                "calibration_not_converged",
                where=where,
                expected="weights that stand still",
                got=f"margins met, but the weights still move after {after}",
                hint="allow more iterations, or a larger epsilon",
            )
        )
    raise ViolationsError(where, [*faults, *because])
