"""Caps on the weights that hold together with the totals.

Belongs here: limits of weights, cutting weights to them and sharing out what is cut, calibration within the limits
afterwards. Does not belong here: the calibration itself (calibration), bounds on the g-weights (distances, reach).

Trimming trades variance for bias (Potter 1990, Proc. ASA Survey Research Methods, 225-230); calibration afterwards
takes out the bias in the calibration variables, but makes some weights grow beyond the cap again. Trimming and
calibrating in turn until both hold is slow, and where both cannot hold it never tells. Its fixed points are the weights
that meet the totals within the limits, so the calibration here is given the limits as bounds of the weights: one
problem, solved at once, or refused with the totals that contradict each other.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.stats.arrays import FloatArray, divide
from pipelines.stats.calibration import Calibration, calibrate
from pipelines.stats.calibration_faults import weight_faults
from pipelines.stats.terms import TermsMatrix, raise_faults, row_numbers

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
    if count and not count * limits.low <= total <= count * limits.high:
        raise ViolationsError(
            "trimming",
            [
                Violation(
                    "limits_infeasible",
                    where="sum of the weights",
                    expected=f"{count * limits.low:.10g} to {count * limits.high:.10g}, what {count} weight(s) within "
                    f"{limits.low:g} to {limits.high:g} make",
                    got=f"{total:.10g}",
                    hint="widen the limits",
                )
            ],
        )
    made = weight.copy()
    while True:
        outside = acting & ((made < limits.low) | (made > limits.high))
        if not outside.any():
            return made
        cut = np.where(acting, np.clip(made, limits.low, limits.high), 0.0)
        excess = float((made - cut).sum())
        room = acting & ((cut < limits.high) if excess > 0 else (cut > limits.low))
        # Those cut in this round take part only where no others can.
        takers = room & ~outside if np.any(room & ~outside) else room
        if not takers.any():
            return cut
        made = cut
        made[takers] += excess * (cut[takers] / cut[takers].sum() if share == "proportional" else 1 / takers.sum())


@dataclass(frozen=True, eq=False)
class Trimming:
    """Weights that keep their limits and meet their totals.

    ``calibration``: before trimming. ``trimmed`` ``(n,)``: its weights cut, what was cut shared out. ``recalibration``:
    of these within the limits; its weights are the result, its residualizer is for the variance. ``cut``: rows beyond a
    limit before trimming, ``at_low`` and ``at_high``: rows at a limit at the end, all 1-based.
    """

    calibration: Calibration
    limits: WeightLimits
    trimmed: FloatArray
    recalibration: Calibration
    cut: tuple[int, ...]
    at_low: tuple[int, ...]
    at_high: tuple[int, ...]

    @property
    def weight(self) -> FloatArray:
        """The weights at the end ``(n,)``."""
        return self.recalibration.weight

    @property
    def factor(self) -> FloatArray:
        """The weights at the end over those calibrated before trimming ``(n,)``; 1 where these are 0."""
        return divide(self.weight, self.calibration.weight, otherwise=1.0)

    @property
    def trimmed_share(self) -> float:
        """Share of the calibrated weight that lay beyond a limit before trimming."""
        before = self.calibration.weight
        return float(np.abs(before - _clipped(before, self.limits)).sum() / before.sum())

    @property
    def moved_share(self) -> float:
        """Half the sum of the absolute changes, as a share of the calibrated weight: weight that went elsewhere."""
        before = self.calibration.weight
        return float(np.abs(self.weight - before).sum() / 2 / before.sum())


def trim_and_calibrate(
    weight: FloatArray,
    matrix: TermsMatrix,
    totals: Mapping[str, float],
    limits: WeightLimits | Callable[[FloatArray], WeightLimits],
    *,
    distance: str = "raking",
    bounds: tuple[float, float] = (-math.inf, math.inf),
    share: Share = "proportional",
    drop_redundant: bool = False,
) -> Trimming:
    """Calibrate, cut the weights to the limits, share out what was cut, and calibrate again within the limits.

    Args:
        weight: ``(n,)`` weights before calibration, 0 or more.
        matrix: the calibration variables, from `terms_matrix` or `margin_terms`.
        totals: the population total of each term.
        limits: of the weights, or a rule that makes them from the calibrated weights, such as `iqr_limits`.
        distance: of both calibrations; in place of logit the second is raking, because weights stay at their limit.
        bounds: of the g-weights, in the first calibration: those of the second are the limits.
        share: how what is cut is shared out.
        drop_redundant: as in `calibrate`.

    Raises:
        ViolationsError: calibrated weights below 0, naming the rows; limits that the sum of the weights cannot keep;
            totals that no weights within the limits meet, naming the terms, how near they can come and which of them
            contradict each other; faults of the calibration.
    """
    first = calibrate(weight, matrix, totals, distance=distance, bounds=bounds, drop_redundant=drop_redundant)
    raise_faults("trimming", weight_faults(first.weight, matrix.n, negative=False))
    caps = limits if isinstance(limits, WeightLimits) else limits(first.weight)
    trimmed = trim(first.weight, caps, share=share)
    second = calibrate(
        trimmed,
        matrix,
        totals,
        distance="raking" if distance == "logit" else distance,
        weight_bounds=(caps.low, caps.high),
        drop_redundant=drop_redundant,
    )
    acting = second.weight > 0
    return Trimming(
        calibration=first,
        limits=caps,
        trimmed=trimmed,
        recalibration=second,
        cut=row_numbers(_clipped(first.weight, caps) != first.weight),
        at_low=row_numbers(acting & (second.weight == caps.low)),
        at_high=row_numbers(acting & (second.weight == caps.high)),
    )


def _clipped(weight: FloatArray, limits: WeightLimits) -> FloatArray:
    return np.where(weight > 0, np.clip(weight, limits.low, limits.high), weight)
