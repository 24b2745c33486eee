"""Caps on the weights that hold together with the totals.

Belongs here: limits of weights, cutting weights to them and sharing out what is cut, the loop of trimming and
calibration. Does not belong here: the calibration that the loop calls (calibration), bounds on the g-weights
(distances, reach).

Trimming trades variance for bias (Potter 1990, Proc. ASA Survey Research Methods, 225-230); calibration afterwards
takes out the bias in the calibration variables, but makes some weights grow beyond the cap again. The two are
therefore repeated until both hold.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl

from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.stats.arrays import FloatArray
from pipelines.stats.calibration import Calibration
from pipelines.stats.calibration_faults import weight_faults
from pipelines.stats.terms import raise_faults, row_numbers

Share = Literal["proportional", "equal"]
"""How what is cut is shared out: in proportion to the weights, or the same amount to each (R's ``trimWeights``)."""


@dataclass(frozen=True)
class WeightLimits:
    """Smallest and largest weight allowed; weights of 0 are outside the sample and stay 0."""

    low: float = 0.0
    high: float = math.inf

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high:
            raise AxstatError(
                "limits_not_valid",
                where="limits of the weights",
                expected="0 <= low < high",
                got=f"[{self.low:g}, {self.high:g}]",
                hint="give the smallest and the largest weight allowed",
            )


def iqr_limits(weight: FloatArray, times: float = 6.0, *, low: float = 0.0) -> WeightLimits:
    """The cap median + ``times`` x interquartile range of the weights above 0.

    6 is what the US National Immunization Survey uses (Chowdhury, Khare & Wolter 2007, Proc. ASA Survey Research
    Methods). The quartiles are those of the rows, interpolated (R's type 7).
    """
    first, middle, third = np.quantile(weight[weight > 0], [0.25, 0.5, 0.75])
    return WeightLimits(low, float(middle + times * (third - first)))


def trim(weight: FloatArray, limits: WeightLimits, *, share: Share = "proportional") -> FloatArray:
    """Cut weights to the limits and share out what was cut among the others, until none is outside; the sum stays.

    With ``share="equal"`` and no weights of 0 this is R's ``trimWeights(strict=TRUE)``.

    Args:
        weight: ``(n,)``, 0 or more.

    Raises:
        ViolationsError: weights that are missing, negative or infinite; limits that no weights of this sum can keep.
    """
    raise_faults("trimming", weight_faults(weight, len(weight), negative=False))
    acting = weight > 0
    count, total = int(acting.sum()), float(weight.sum())
    if not count * limits.low <= total <= count * limits.high:
        raise ViolationsError("trimming", [_out_of_reach("sum of the weights", count, total, limits)])
    made = weight.copy()
    while True:
        outside = acting & ((made < limits.low) | (made > limits.high))
        if not outside.any():
            return made
        cut = np.where(acting, np.clip(made, limits.low, limits.high), 0.0)
        excess = float((made - cut).sum())
        # Those at a limit from an earlier round may give way to the other side, but take no more on this one.
        takers = acting & ~outside & ((cut < limits.high) if excess > 0 else (cut > limits.low))
        if not takers.any():
            return cut
        made = cut
        made[takers] += excess * (cut[takers] / cut[takers].sum() if share == "proportional" else 1 / takers.sum())


@dataclass(frozen=True, eq=False)
class Trimming:
    """Weights that keep their limits and meet their totals.

    ``weight`` and ``factor`` ``(n,)``: the weight at the end, and it over the calibrated weight before trimming.
    ``calibration``: the first one, before trimming; ``recalibration``: the last, with the weights at the end, the
    margins as they meet them, and the residualizer for the variance. ``at_low`` and ``at_high``: rows at a limit,
    1-based. ``rounds``: one row a round: round, outside (rows beyond a limit), excess (weight beyond), distance
    (largest relative distance from a total after cutting).
    """

    weight: FloatArray
    factor: FloatArray
    limits: WeightLimits
    calibration: Calibration
    recalibration: Calibration
    at_low: tuple[int, ...]
    at_high: tuple[int, ...]
    rounds: pl.DataFrame

    @property
    def trimmed_share(self) -> float:
        """Share of the calibrated weight that lay beyond the limits before trimming."""
        return float(self.rounds["excess"][0] / self.calibration.weight.sum())

    @property
    def moved_share(self) -> float:
        """Half the sum of absolute changes of the weights, as a share of their sum: weight that went elsewhere."""
        before = self.calibration.weight
        return float(np.abs(self.weight - before).sum() / 2 / before.sum())


def trim_and_calibrate(
    weight: FloatArray,
    calibrate: Callable[[FloatArray], Calibration],
    limits: WeightLimits | Callable[[FloatArray], WeightLimits],
    *,
    share: Share = "proportional",
    tolerance: float = 1e-9,
    max_rounds: int = 500,
) -> Trimming:
    """Calibrate, trim, share out, calibrate again, until weights within the limits meet the totals.

    Each round cuts to the limits exactly; the loop ends when the weights so cut still meet every total within the
    tolerance. Where such weights exist, alternating between the two sets leads to some (Csiszar 1975, Annals of
    Probability 3, for raking; von Neumann's alternating projections for linear). Bounds on the g-weights hold in each
    round for the calibration of that round.

    Args:
        weight: ``(n,)`` weights before calibration, 0 or more.
        calibrate: a calibration of any weights, such as ``lambda w: rake(w, margins, totals)``.
        limits: of the weights, or a rule that makes them from the calibrated weights, such as `iqr_limits`.
        tolerance: largest relative distance from a total at the end.
        max_rounds: rounds before it is given up.

    Raises:
        ViolationsError: limits that the total of a level cannot keep, naming each; limits and totals that do not
            come together, naming the levels that are furthest; faults of the calibration.
    """
    first = calibrate(weight)
    if np.any(first.weight < 0):
        raise ViolationsError(
            "trimming",
            [
                Violation(
                    "weight_negative",
                    where="calibrated weights",
                    expected="0 or more",
                    got=f"{int((first.weight < 0).sum())} negative",
                    hint="use raking or entropy, or bounds with a low of 0 or more",
                    rows=first.negative_rows,
                )
            ],
        )
    caps = limits if isinstance(limits, WeightLimits) else limits(first.weight)
    raise_faults("trimming", _level_limits(first.margins, caps))
    made, history = first, list[tuple[int, int, float, float]]()
    while True:
        beyond = made.weight - _clipped(made.weight, caps)
        cut = trim(made.weight, caps, share=share) if beyond.any() else made.weight
        made = calibrate(cut)
        excess = float(np.abs(beyond).sum())
        history.append((len(history) + 1, int((beyond != 0).sum()), excess, made.largest_distance_before))
        if made.largest_distance_before <= tolerance:
            break
        if len(history) == max_rounds:
            raise ViolationsError("trimming", _apart(made.margins, caps, len(history), tolerance))
    acting = cut > 0
    # What is reported and used is the weights as cut, which meet the totals as they are.
    before = pl.col("before"), pl.col("distance_before")
    margins = made.margins.with_columns(before[0].alias("after"), before[1].alias("distance_after"))
    return Trimming(
        weight=cut,
        factor=np.divide(cut, first.weight, out=np.ones_like(cut), where=first.weight > 0),
        limits=caps,
        calibration=first,
        recalibration=replace(made, weight=cut, factor=np.ones_like(cut), margins=margins),
        at_low=row_numbers(acting & (cut == caps.low)),
        at_high=row_numbers(acting & (cut == caps.high)),
        rounds=pl.DataFrame(
            history,
            schema={"round": pl.Int64, "outside": pl.Int64, "excess": pl.Float64, "distance": pl.Float64},
            orient="row",
        ),
    )


def _clipped(weight: FloatArray, limits: WeightLimits) -> FloatArray:
    return np.where(weight > 0, np.clip(weight, limits.low, limits.high), weight)


def _out_of_reach(where: str, count: int, total: float, limits: WeightLimits) -> Violation:
    return Violation(
        "limits_infeasible",
        where=where,
        expected=f"{count * limits.low:.10g} to {count * limits.high:.10g}, what {count} weight(s) within "
        f"{limits.low:g} to {limits.high:g} make",
        got=f"{total:.10g}",
        hint="widen the limits, or collapse the level with another",
    )


def _level_limits(margins: pl.DataFrame, limits: WeightLimits) -> list[Violation]:
    """Levels whose total is more than all their rows at the cap make, rows of weight 0 among them."""
    return [
        _out_of_reach(f"margin {margin}, level {level}", n, total, limits)
        for margin, level, n, total in margins.select("margin", "level", "n", "total").iter_rows()
        if level is not None and total > n * limits.high
    ]


def _apart(margins: pl.DataFrame, limits: WeightLimits, rounds: int, tolerance: float) -> list[Violation]:
    far = margins.filter(pl.col("distance_before") > tolerance).sort("distance_before", descending=True)
    return [
        Violation(
            "trimming_not_converged",
            where=f"margin {row['margin']}" + ("" if row["level"] is None else f", level {row['level']}"),
            expected=f"{row['total']:.10g} of weights within {limits.low:g} to {limits.high:g}",
            got=f"{row['before']:.10g}, off by {row['distance_before']:.3g} of it after {rounds} rounds",
            hint="widen the limits, or collapse levels that hold many weights at a limit",
        )
        for row in far.iter_rows(named=True)
    ]
