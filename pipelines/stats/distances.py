"""Distances between the weights before and after calibration.

Belongs here: the g-weight that each distance gives to a linear predictor, its slope, the bounds it can keep. Does not
belong here: solving for the predictor (calibration_problem).

Numbered as in Deville & Särndal (1992), JASA 87, table 1, which lists seven:

- ``linear`` is case 1, the regression estimator; with bounds it is case 7, truncated linear (R: ``calfun="linear"``
  with ``bounds``).
- ``raking`` is case 2, the distance g log g - g + 1, also called exponential or multiplicative: iterative proportional
  fitting solves it. With bounds the g-weights are truncated, as R does it.
- ``entropy`` is case 4, minimum entropy, the distance g - 1 - log g (empirical likelihood): another one than raking.
- ``logit`` is case 6, which stays strictly inside its bounds.

Cases 3 (Hellinger) and 5 (modified chi-square) lie between raking and entropy, and beyond it, and are left out.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import expit

from pipelines.errors import AxstatError
from pipelines.stats.arrays import FloatArray, divide
from pipelines.stats.terms import raise_faults, unknown_name


@dataclass(frozen=True, eq=False)
class Bounds:
    """Smallest and largest g-weight allowed, the same of all or ``(C,)`` one of each."""

    low: float | FloatArray = -math.inf
    high: float | FloatArray = math.inf

    def __str__(self) -> str:
        if isinstance(self.low, float) and isinstance(self.high, float):
            return f"g-weights of {self.low:g} to {self.high:g}"
        return "the bounds of each weight"

    def each(self, patterns: int) -> tuple[FloatArray, FloatArray]:
        """Low and high of each ``(C,)``."""
        return np.broadcast_to(self.low, patterns), np.broadcast_to(self.high, patterns)


@dataclass(frozen=True)
class Distance:
    """A calibration method: the g-weight F(u) of the linear predictor u within bounds, and its slope F'(u).

    F(0) = 1 and F does not decrease: that is all that `calibrate` asks of a distance. ``floor``: F stays above it
    without bounds. ``bounded``: F needs finite bounds.
    """

    factor: Callable[[FloatArray, Bounds], FloatArray]
    slope: Callable[[FloatArray, Bounds], FloatArray]
    floor: float = -math.inf
    bounded: bool = False


def _linear(u: FloatArray, bounds: Bounds) -> FloatArray:
    return np.clip(1.0 + u, bounds.low, bounds.high)


def _linear_slope(u: FloatArray, bounds: Bounds) -> FloatArray:
    return ((1.0 + u > bounds.low) & (1.0 + u < bounds.high)).astype(np.float64)


def _raking(u: FloatArray, bounds: Bounds) -> FloatArray:
    with np.errstate(over="ignore"):
        return np.clip(np.exp(u), bounds.low, bounds.high)


def _raking_slope(u: FloatArray, bounds: Bounds) -> FloatArray:
    with np.errstate(over="ignore"):
        factor = np.exp(u)
    return np.where((factor > bounds.low) & (factor < bounds.high), factor, 0.0)


def _logit_share(u: FloatArray, bounds: Bounds) -> tuple[FloatArray, float | FloatArray]:
    span = bounds.high - bounds.low
    steepness = span / ((bounds.high - 1.0) * (1.0 - bounds.low))
    centre = np.log((1.0 - bounds.low) / (bounds.high - 1.0))
    return expit(steepness * u + centre), steepness * span


def _logit(u: FloatArray, bounds: Bounds) -> FloatArray:
    share, _ = _logit_share(u, bounds)
    return bounds.low + (bounds.high - bounds.low) * share


def _logit_slope(u: FloatArray, bounds: Bounds) -> FloatArray:
    share, steepness = _logit_share(u, bounds)
    return steepness * share * (1.0 - share)


def _entropy(u: FloatArray, bounds: Bounds) -> FloatArray:
    # At u = 1 the g-weight has grown beyond every bound, and stays there.
    return np.clip(divide(np.ones_like(u), np.maximum(1.0 - u, 0.0), otherwise=math.inf), bounds.low, bounds.high)


def _entropy_slope(u: FloatArray, bounds: Bounds) -> FloatArray:
    factor = divide(np.ones_like(u), np.maximum(1.0 - u, 0.0), otherwise=math.inf)
    inside = (factor > bounds.low) & (factor < bounds.high)
    return np.where(inside, factor, 0.0) ** 2


DISTANCES: Final[Mapping[str, Distance]] = {
    "linear": Distance(_linear, _linear_slope),
    "raking": Distance(_raking, _raking_slope, floor=0.0),
    "entropy": Distance(_entropy, _entropy_slope, floor=0.0),
    "logit": Distance(_logit, _logit_slope, bounded=True),
}
"""By name; linear, raking and logit are R's ``calfun`` of that name."""


def distance_named(name: str, bounds: tuple[float, float]) -> tuple[Distance, Bounds]:
    """The distance of that name and its bounds.

    Raises:
        ViolationsError: an unknown distance.
        AxstatError: bounds that do not hold 1, or are not finite where the distance needs them finite.
    """
    if name not in DISTANCES:
        raise_faults("calibration", [unknown_name("unknown_distance", "distance", "a distance", name, list(DISTANCES))])
    method, (low, high) = DISTANCES[name], bounds
    if not low < 1 < high or (method.bounded and not (math.isfinite(low) and math.isfinite(high))):
        raise AxstatError(
            "bounds_not_valid",
            where=f"bounds of {name} calibration",
            expected="low < 1 < high" + (", both finite" if method.bounded else ""),
            got=f"[{low:g}, {high:g}]",
            hint="give the smallest and the largest factor by which a weight may change, e.g. [0.3, 3]",
        )
    return method, Bounds(float(low), float(high))


def limits_of_weights(name: str, bounds: Bounds, weight_bounds: tuple[float, float], weight: FloatArray) -> Bounds:
    """Bounds of g-weights under which weights ``(C,)`` keep bounds of their own too.

    Raises:
        AxstatError: bounds of the weight that exclude each other or those of a g-weight; a distance that never comes
            to its bounds, for weights that start at them.
    """
    low, high = weight_bounds
    lowest, highest = (
        np.where(weight > 0, divide(np.full_like(weight, bound), weight), unbound)
        for bound, unbound in ((low, -math.inf), (high, math.inf))
    )
    lowest, highest = np.maximum(lowest, bounds.low), np.minimum(highest, bounds.high)
    apart = int((lowest > highest).sum())
    if DISTANCES[name].bounded or apart:
        raise AxstatError(
            "weight_bounds_not_valid",
            where=f"bounds of the weights in {name} calibration",
            expected="a truncated distance (linear, raking, entropy) and bounds that some g-weight of each can keep",
            got=f"[{low:g}, {high:g}]" + (f", outside the bounds of the g-weight for {apart}" if apart else ""),
            hint="use raking, or widen the bounds",
        )
    return Bounds(lowest, highest)
