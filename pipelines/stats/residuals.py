"""Residuals that replace the influences of calibrated weights in a variance.

Belongs here: what each kind of calibration takes out of a weighted influence. Does not belong here: how the weights
came about (calibration), the variance of the residuals (variance).

Each is the residual that R's ``svyrecvar`` takes for the function of the same name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from pipelines.stats.arrays import FloatArray, IntArray, divide
from pipelines.stats.terms import code_sums, column_sums

RAKING_RESIDUAL_SWEEPS: Final = 10
"""Sweeps over the margins in the residuals of `rake`, fixed in R's ``svyrecvar``."""


class Residualizer(Protocol):
    """What a variance needs to know of a calibration."""

    def residuals(self, influence: FloatArray) -> FloatArray:
        """Weighted influences ``(n, K)`` (calibrated weight x influence), replaced by their residuals ``(n, K)``."""
        ...


@dataclass(frozen=True, eq=False)
class ResidualSequence:
    """Several calibrations, each on the weights of the one before: residuals are taken in the same order, as in R."""

    steps: tuple[Residualizer, ...]

    def residuals(self, influence: FloatArray) -> FloatArray:
        """Residuals ``(n, K)`` after all steps."""
        for step in self.steps:
            influence = step.residuals(influence)
        return influence


@dataclass(frozen=True, eq=False)
class CellResiduals:
    """Residuals ``u - weight x project(sums of u by cell)``: what is taken out is one value for each cell.

    ``cell`` and ``weight`` ``(n,)``; ``project`` takes the sums by cell ``(size, K)`` and gives values ``(size, K)``.
    ``of_weighted``: the sums are those of u/weight, rows of weight 0 left out.
    """

    cell: IntArray
    size: int
    weight: FloatArray
    project: Callable[[FloatArray], FloatArray]
    of_weighted: bool = False

    def residuals(self, influence: FloatArray) -> FloatArray:
        """Residuals ``(n, K)`` of the weighted influences ``(n, K)``."""
        summed = divide(influence, self.weight[:, None]) if self.of_weighted else influence
        fitted = self.project(column_sums(self.cell, summed, self.size))
        return influence - self.weight[:, None] * fitted[self.cell]


@dataclass(frozen=True, eq=False)
class RegressionResiduals:
    """Residuals ``u - left @ (right' @ u)``; both ``(n, p)``."""

    left: FloatArray
    right: FloatArray

    def residuals(self, influence: FloatArray) -> FloatArray:
        """Residuals ``(n, K)`` of the weighted influences ``(n, K)``."""
        return influence - self.left @ (self.right.T @ influence)


@dataclass(frozen=True, eq=False)
class CellMeans:
    """Sums by cell over the weight ``(m,)`` of the cell: what post-stratification takes out."""

    weight: FloatArray

    def __call__(self, sums: FloatArray) -> FloatArray:
        """Means ``(m, K)`` from sums ``(m, K)``."""
        return divide(sums, self.weight[:, None])


@dataclass(frozen=True, eq=False)
class RakingSweeps:
    """What ten sweeps over the margins take out of u/W, from its sums by joint cell.

    ``count`` ``(m,)`` rows of a joint cell with a weight; for each margin ``levels`` ``(m,)`` the level of each joint
    cell, and ``ratios`` ``(m,)`` the weight after that margin in the last sweep over the final one.
    """

    count: IntArray
    levels: tuple[IntArray, ...]
    ratios: tuple[FloatArray, ...]

    def __call__(self, sums: FloatArray) -> FloatArray:
        """What is taken out of each row of a joint cell ``(m, K)``, from sums ``(m, K)``."""
        removed = np.zeros_like(sums)
        for _ in range(RAKING_RESIDUAL_SWEEPS):
            for level, ratio in zip(self.levels, self.ratios, strict=True):
                rows = code_sums(level, self.count, int(level.max()) + 1)
                left = (sums - self.count[:, None] * removed) / ratio[:, None]
                removed += ratio[:, None] * divide(column_sums(level, left, len(rows)), rows[:, None])[level]
        return removed


@dataclass(frozen=True, eq=False)
class PatternRegression:
    """Fitted values of the patterns from sums of u by pattern: ``(m, K)`` both.

    ``basis`` ``(m, p)`` orthonormal, of the patterns times ``root``; ``root`` ``(m,)`` root of the weight before;
    ``factor`` ``(m,)`` the g-weight. The sum of d u/W over a pattern is its sum of u over g.
    """

    basis: FloatArray
    root: FloatArray
    factor: FloatArray

    def __call__(self, sums: FloatArray) -> FloatArray:
        """Fitted values ``(m, K)`` from sums ``(m, K)``."""
        scaled = divide(sums, (self.factor * self.root)[:, None])
        return divide(self.basis @ (self.basis.T @ scaled), self.root[:, None])
