"""The problem that calibration solves: g-weights under which the weighted terms add up to their totals.

Belongs here: the problem in numbers, terms left out of it, Newton's method on its dual. Does not belong here: the
g-weight as a function (distances), whether there is a solution at all (reach), what is reported of it (calibration).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
from scipy.linalg import qr, solve_triangular

from pipelines.errors import Violation
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray, divide
from pipelines.stats.calibration_faults import (
    RANK_TOLERANCE,
    empty_terms,
    independent_terms,
    total_faults,
    weight_faults,
)
from pipelines.stats.distances import Bounds, Distance
from pipelines.stats.terms import TermsMatrix, raise_faults

RESCALE_ABOVE: Final = 20.0
"""R's ``grake`` scales the weights first when every total is more than this many times the sample's."""


@dataclass(frozen=True, eq=False)
class Solution:
    """The g-weights ``(C,)`` found, the misfit ``(p,)`` they leave, and after how many Newton steps."""

    factor: FloatArray
    misfit: FloatArray
    iterations: int
    converged: bool


@dataclass(frozen=True, eq=False)
class TotalsProblem:
    """Find g-weights with ``X' (weight * g) = target``, a row of X for each of C patterns of the variables.

    ``terms`` the p names and ``kept`` ``(p,)`` their positions in the matrix they come from; ``gross`` the sums of the
    absolute values of X; ``X * sqrt(weight)[:, None] = basis @ triangle``. ``rescaled``: what R's
    algorithm scaled the weights by first.
    """

    terms: tuple[str, ...]
    kept: IntArray
    X: FloatArray
    weight: FloatArray
    target: FloatArray
    gross: FloatArray
    basis: FloatArray
    triangle: FloatArray
    rescaled: float

    @classmethod
    def build(
        cls,
        weight: FloatArray,
        matrix: TermsMatrix,
        totals: Mapping[str, float],
        *,
        rescale: bool,
        drop_redundant: bool = False,
        tolerance: float = 1e-9,
    ) -> "TotalsProblem":
        """The problem of weights ``(n,)``, calibration variables and totals.

        Args:
            rescale: scale the weights first where R does: for bounds, and for distances other than linear.
            drop_redundant: leave out a term that others make up, if its total follows from theirs within
                ``tolerance``; refuse it otherwise.

        Raises:
            ViolationsError: faults of weights and totals, weights that are all 0, terms without units, redundant terms.
        """
        raise_faults(
            "calibration", [*weight_faults(weight, matrix.n, negative=False), *total_faults(matrix.terms, totals)]
        )
        if not weight.any():
            raise_faults(
                "calibration",
                [Violation("no_weight", "weights", "a weight above 0", "none", "give the weights before calibration")],
            )
        before = matrix.sums(weight[:, None])[:, 0]
        wanted = np.array([totals[term] for term in matrix.terms], dtype=np.float64)
        gross = np.abs(matrix.patterns).T @ before
        raise_faults("calibration", empty_terms(matrix.terms, gross, wanted))
        # R leaves out a variable that is 0 in every row and in the population.
        kept = np.flatnonzero((gross > 0) | (wanted != 0))
        weighted = matrix.patterns[:, kept] * np.sqrt(before)[:, None]
        norms = np.sqrt(np.sum(weighted * weighted, axis=0))
        basis, triangle = orthonormal(weighted / norms)
        if triangle.shape[0] < triangle.shape[1] or np.any(np.abs(np.diagonal(triangle)) < RANK_TOLERANCE):
            # Combinations of the terms are those of the columns of the triangle, which is small.
            own, faults = independent_terms(
                triangle * norms,
                [matrix.terms[j] for j in kept],
                wanted[kept],
                tolerance=tolerance if drop_redundant else None,
            )
            raise_faults("calibration", faults)
            turn, triangle = orthonormal(triangle[:, own])
            basis, kept, norms = basis @ turn, kept[own], norms[own]
        target = wanted[kept]
        X = matrix.patterns if len(kept) == len(matrix.terms) else matrix.patterns[:, kept]
        rescaled = 1.0
        if rescale:
            ratios = divide(target, X.T @ before, otherwise=math.inf)
            if ratios.min() > RESCALE_ABOVE and math.isfinite(ratios.max()):
                rescaled = float(ratios.mean())
        return cls(
            terms=tuple(matrix.terms[j] for j in kept),
            kept=kept,
            X=X,
            weight=before * rescaled,
            target=target,
            gross=gross[kept] * rescaled,
            basis=basis,
            triangle=triangle * norms * math.sqrt(rescaled),
            rescaled=rescaled,
        )

    def solve(
        self, method: Distance, bounds: Bounds, *, epsilon: float, tolerance: float, max_iterations: int
    ) -> Solution:
        """Newton's method on the dual, its steps shortened where they go past the top."""
        # With u = (basis @ eta) / sqrt(weight) the Hessian of the dual is basis' F' basis, well conditioned
        # whatever the units of the terms.
        inverse_root = divide(np.ones_like(self.weight), np.sqrt(self.weight))
        allowed = np.maximum(
            np.minimum(
                epsilon * (1.0 + np.abs(self.target)),
                tolerance * np.where(self.target != 0, np.abs(self.target), self.gross),
            ),
            32 * np.finfo(np.float64).eps * self.gross,
        )
        eta = np.zeros(len(self.target))
        u = np.zeros(len(self.weight))
        factor = method.factor(u, bounds)
        misfit = self.target - self.X.T @ (self.weight * factor)
        whole = float(np.linalg.norm(self._whiten(np.where(self.target != 0, self.target, self.gross)))) or 1.0
        iterations = 0
        # R takes one step in any case.
        while (iterations == 0 or np.any(np.abs(misfit) > allowed)) and iterations < max_iterations:
            iterations += 1
            rise = self._whiten(misfit)
            # At a bound the slope is 0, near one that logit never reaches next to it. Where a direction holds nothing
            # else, its step would be endless and the others be cut short with it: these weights count with a slope that
            # goes to 0 with what is missing of the totals.
            slope, least = method.slope(u, bounds), 0.1 * min(1.0, float(np.linalg.norm(rise)) / whole)
            slope = np.where(slope > (least if method.bounded else 0.0), slope, least)
            values, vectors = np.linalg.eigh(self.basis.T @ (slope[:, None] * self.basis))
            step = vectors @ ((vectors.T @ rise) / np.maximum(values, 1e-8))
            with np.errstate(over="ignore", invalid="ignore"):
                for _ in range(80):
                    u = (self.basis @ (eta + step)) * inverse_root
                    factor = method.factor(u, bounds)
                    misfit = self.target - self.X.T @ (self.weight * factor)
                    # The dual is concave: where its slope has turned over, the step went past the top.
                    if np.all(np.isfinite(misfit)) and -float(self._whiten(misfit) @ step) <= 0.5 * float(rise @ step):
                        break
                    step = step / 2
            eta = eta + step
        if math.isfinite(tolerance):
            # Where rounding keeps the steps from R's rule, the tolerance is what was asked for.
            allowed = np.maximum(allowed, tolerance * np.where(self.target != 0, np.abs(self.target), self.gross))
        return Solution(factor, misfit, iterations, converged=bool(np.all(np.abs(misfit) <= allowed)))

    def _whiten(self, misfit: FloatArray) -> FloatArray:
        return cast(FloatArray, solve_triangular(self.triangle, misfit, trans="T"))

    def basis_without(self, lost: BoolArray) -> FloatArray:
        """The orthonormal basis when the patterns marked ``(C,)`` are left out; it may need fewer columns."""
        return orthonormal(self.basis * ~lost[:, None], drop=True)[0]


def orthonormal(columns: FloatArray, *, drop: bool = False) -> tuple[FloatArray, FloatArray]:
    """QR of ``(C, p)``; with ``drop``, only as many basis columns as the columns have rank."""
    if not drop:
        basis, triangle = qr(columns, mode="economic")
        return cast(FloatArray, basis), cast(FloatArray, triangle)
    basis, triangle, _ = qr(columns, mode="economic", pivoting=True)
    rank = int(np.sum(np.abs(np.diagonal(triangle)) > RANK_TOLERANCE))
    return cast(FloatArray, basis[:, :rank]), cast(FloatArray, triangle[:rank])
