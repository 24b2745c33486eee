"""Weighted quantiles of rows by the rules of R's ``svyquantile`` (survey 4.1).

Belongs here: the rules, and the sorted values with their weights that they read. Does not belong here: the intervals
of quantiles (quantiles).

R breaks ties of a cumulated weight with p by its rounding. Sums are made as R makes them (extended precision, in the
order of the sorted rows), so that ties fall as in R where numpy's long double is R's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, cast, get_args

import numpy as np

from pipelines.stats.arrays import FloatArray, IntArray
from pipelines.stats.terms import known_name

QuantileRule = Literal["math", "school", "shahvaish", "hf1", "hf2", "hf3", "hf4", "hf5", "hf6", "hf7", "hf8", "hf9"]


@dataclass(frozen=True, eq=False)
class Distribution:
    """The weighted distribution of one measure: what every quantile rule reads. Made by :meth:`sorted_by`.

    Shapes: m rows of a weight other than 0, in the order of their values (ties in the order of the rows).
    """

    value: FloatArray  # (m,)
    weight: FloatArray  # (m,)
    cumulated: FloatArray  # (m,)

    @classmethod
    def sorted_by(cls, value: FloatArray, weight: FloatArray) -> "Distribution":
        """From values ``(n,)`` already in order and their weights ``(n,)``."""
        acting = weight != 0
        if not acting.all():
            value, weight = value[acting], weight[acting]
        return cls(value=value, weight=weight, cumulated=_cumulated(weight))

    @property
    def total(self) -> float:
        """Sum of the weights."""
        return float(self.cumulated[-1]) if len(self.cumulated) else 0.0

    def share_to(self, at: FloatArray) -> FloatArray:
        """F: the weighted share of rows with a value of at most ``at`` ``(P,)``."""
        rows = np.searchsorted(self.value, at, side="right")
        cumulated = np.concatenate([[0.0], self.cumulated])
        return cumulated[rows] / self.total if self.total else np.full(len(at), np.nan)

    def quantiles(self, probabilities: FloatArray, rule: QuantileRule) -> FloatArray:
        """Quantiles ``(P,)`` at probabilities ``(P,)``; NaN where the probability is."""
        known = ~np.isnan(probabilities)
        found = np.full(len(probabilities), np.nan)
        if len(self.value) and known.any():
            found[known] = RULES[rule](self, probabilities[known])
        return found


def _cumulated(weight: FloatArray) -> FloatArray:
    return np.cumsum(weight, dtype=np.longdouble).astype(np.float64)


def _steps(seen: Distribution, p: FloatArray) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """Rows below and above p in the cumulated weights, and the distance of p to the share of each, as R counts.

    The row below is the last whose cumulated weight is at most p W; where there is none, R takes the first row
    all the same, and so the second for the one above.
    """
    total = seen.total
    # The last row at most p W: of weights below 0 (linear calibration) the cumulated sums may fall again.
    reached = np.minimum.accumulate(seen.cumulated[::-1])[::-1] if (seen.weight < 0).any() else seen.cumulated
    below = np.maximum(np.searchsorted(reached, p * total, side="right") - 1, 0)
    above = np.minimum(below + 1, len(seen.value) - 1)
    return below, above, p - seen.cumulated[below] / total, seen.cumulated[above] / total - p


def _math(seen: Distribution, p: FloatArray) -> FloatArray:
    """Inverse of F (hf1): the value below p if its share is p, else the one above."""
    below, above, gap, _ = _steps(seen, p)
    return cast(FloatArray, np.where(gap == 0, seen.value[below], seen.value[above]))


def _school(seen: Distribution, p: FloatArray) -> FloatArray:
    """As math, but the mean of both values where the share is p (hf2)."""
    below, above, gap, _ = _steps(seen, p)
    both = (seen.value[below] + seen.value[above]) / 2.0
    return cast(FloatArray, np.where(gap == 0, both, seen.value[above]))


def _hf3(seen: Distribution, p: FloatArray) -> FloatArray:
    """As math on the distinct values, the lower one only if its rank is even: R's reading, not the nearest row."""
    value, start = np.unique(seen.value, return_index=True)
    weight = np.add.reduceat(seen.weight, start)
    below, above, gap, _ = _steps(Distribution.sorted_by(value, weight), p)
    return cast(FloatArray, np.where((gap == 0) & (below % 2 == 1), value[below], value[above]))


def _hf4(seen: Distribution, p: FloatArray) -> FloatArray:
    """Linear between the shares of the two values; at the last row its value, where R divides 0 by 0."""
    below, above, gap, rest = _steps(seen, p)
    part = np.where(above > below, gap / np.where(above > below, rest + gap, 1.0), 0.0)
    low, high = seen.value[below], seen.value[above]
    # Of two values that are the same exactly that value: a hair below it, the share at or below it would be another
    return cast(FloatArray, np.where(low == high, low, low * (1.0 - part) + high * part))


def _shahvaish(seen: Distribution, p: FloatArray) -> FloatArray:
    """Shah and Vaish (2006), a step function; R halves the weight as it stands, not the normed one, and so do we."""
    n = len(seen.value)
    position = (
        _cumulated(seen.weight / float(np.mean(seen.weight, dtype=np.longdouble))) + 0.5 - seen.weight / 2.0
    ) / (n + 1)
    position, value = _increasing(position, seen.value)
    return value[np.maximum(np.searchsorted(position, p, side="right") - 1, 0)]


def _hf5(seen: Distribution, p: FloatArray) -> FloatArray:
    return _linear((seen.cumulated - seen.weight / 2.0) / seen.total, seen.value, p)


def _hf6(seen: Distribution, p: FloatArray) -> FloatArray:
    return _linear(seen.cumulated / (seen.total + seen.weight[-1]), seen.value, p)


def _hf7(seen: Distribution, p: FloatArray) -> FloatArray:
    if len(seen.value) == 1:
        return np.repeat(seen.value, len(p))
    return _linear(_before(seen) / seen.cumulated[-2], seen.value, p)


def _hf8(seen: Distribution, p: FloatArray) -> FloatArray:
    position = _before(seen) * 1.0 / 3.0 + seen.cumulated * 2.0 / 3.0
    return _linear(position / (seen.total + seen.weight[-1] / 3.0), seen.value, p)


def _hf9(seen: Distribution, p: FloatArray) -> FloatArray:
    position = _before(seen) * 3.0 / 8.0 + seen.cumulated * 5.0 / 8.0
    return _linear(position / (seen.total + seen.weight[-1] / 4.0), seen.value, p)


def _before(seen: Distribution) -> FloatArray:
    return np.concatenate([[0.0], seen.cumulated[:-1]])


def _linear(position: FloatArray, value: FloatArray, p: FloatArray) -> FloatArray:
    """Linear interpolation of the values at their positions, constant outside; the arithmetic of R's approx()."""
    position, value = _increasing(position, value)
    left = np.clip(np.searchsorted(position, p, side="right") - 1, 0, max(len(value) - 2, 0))
    right = np.minimum(left + 1, len(value) - 1)
    width = position[right] - position[left]
    part = (p - position[left]) / np.where(width > 0, width, 1.0)
    between = value[left] + (value[right] - value[left]) * part
    between = np.where(p <= position[0], value[0], between)
    # A position that is met gives its value: interpolation might be one rounding short of it.
    return cast(FloatArray, np.where(p >= position[right], value[right], between))


def _increasing(position: FloatArray, value: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Positions in increasing order, values of equal ones averaged: approx() does so; weights may disorder them."""
    if (np.diff(position) > 0).all():
        return position, value
    distinct, code, count = np.unique(position, return_inverse=True, return_counts=True)
    return distinct, np.bincount(code, weights=value) / count


# The one place where a rule's name meets its formula; hf1 to hf9 go back to the types of Hyndman and Fan (1996).
RULES: Mapping[QuantileRule, Callable[[Distribution, FloatArray], FloatArray]] = MappingProxyType(
    {
        "math": _math,
        "school": _school,
        "shahvaish": _shahvaish,
        "hf1": _math,
        "hf2": _school,
        "hf3": _hf3,
        "hf4": _hf4,
        "hf5": _hf5,
        "hf6": _hf6,
        "hf7": _hf7,
        "hf8": _hf8,
        "hf9": _hf9,
    }
)


def quantile_rule(name: str) -> QuantileRule:
    """The rule of that name.

    Raises:
        AxstatError: ``unknown_quantile_rule``, naming the valid ones and the nearest.
    """
    return cast(QuantileRule, known_name(name, get_args(QuantileRule), "quantile rule"))
