"""Weights made to agree with known totals, and what that does to the variance.

Belongs here: post-stratification, raking, calibration to the totals of terms, the matrix of those terms, and
the residuals that replace the influences after each of them. Does not belong here: which variables to calibrate
on (weighting's plan), the variance of the residuals (linearization).

Each method is the function of R's ``survey`` 4.1 of the same name, with its weights and its residuals:
`post_stratify` is ``postStratify``, `rake` is ``rake``, `calibrate` is ``calibrate`` with ``calfun`` linear,
raking or logit. Sources: Deville & Särndal (1992), JASA 87, 376-382; Deville, Särndal & Sautory (1993), JASA 88,
1013-1020.

Work is done on the distinct patterns of the calibration variables where there are fewer of them than rows: a
million rows with a few margins then cost little more than one sum over the rows.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, NoReturn, Protocol, cast

import numpy as np
import polars as pl
from scipy import sparse
from scipy.linalg import qr, solve_triangular
from scipy.optimize import linprog
from scipy.special import expit

from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.stats.arrays import FloatArray, IntArray, dense_codes
from pipelines.stats.terms import (
    TermsMatrix,
    code_sums,
    column_sums,
    cross_codes,
    missing_faults,
    raise_faults,
    row_numbers,
    unknown_name,
    whole_numbers,
)

RAKING_RESIDUAL_SWEEPS: Final = 10
"""Sweeps over the margins in the residuals of `rake`, fixed in R's ``svyrecvar``."""

RESCALE_ABOVE: Final = 20.0
"""R's ``grake`` scales the weights first when every total is more than this many times the sample's."""

RANK_TOLERANCE: Final = 1e-7
"""A term is redundant when the terms before it leave less than this share of its norm (R's ``qr``)."""


SHORTFALL_PATTERNS: Final = 200_000
"""With more patterns the linear programme that finds the terms at fault takes minutes: the terms not met are named."""


class Residualizer(Protocol):
    """What a variance needs to know of a calibration."""

    def residuals(self, influence: FloatArray) -> FloatArray:
        """Weighted influences ``(n, K)`` (calibrated weight x influence), replaced by their residuals ``(n, K)``."""
        ...


@dataclass(frozen=True, eq=False)
class Residuals:
    """Residuals of the form ``u - left @ project(right' @ u)``, which all methods here have.

    ``left`` and ``right`` are ``(n, m)``, sparse with one entry a row where the m are cells; ``project`` takes and
    gives ``(m, K)``. Sums of residuals over any groups of rows need only the same sums of ``left`` and of ``u``.
    """

    left: sparse.csr_array | FloatArray
    right: sparse.csr_array | FloatArray
    project: Callable[[FloatArray], FloatArray]

    def residuals(self, influence: FloatArray) -> FloatArray:
        """Residuals ``(n, K)`` of the weighted influences ``(n, K)``."""
        return cast(FloatArray, influence - self.left @ self.project(self.right.T @ influence))


@dataclass(frozen=True, eq=False)
class Calibration:
    """Calibrated weights and how they came about.

    ``factor`` and ``weight`` ``(n,)``: the g-weight of each row, and its weight after. ``margins``: one row a level
    or term: margin, level (null for a term), n (rows in it), before, total, after, distance_before, distance_after
    (relative to the total; where that is 0, to the sum of the absolute values). ``iterations``: Newton steps, or
    sweeps over the margins. ``residualizer``: what the variance needs of it. ``rescaled``: the factor by which R's
    algorithm scaled the weights first (1: it did not); bounds hold for the g-weights after it.
    """

    factor: FloatArray
    weight: FloatArray
    margins: pl.DataFrame
    iterations: int
    residualizer: Residualizer
    rescaled: float = 1.0

    @property
    def factor_min(self) -> float:
        """Smallest g-weight."""
        return float(self.factor.min())

    @property
    def factor_max(self) -> float:
        """Largest g-weight."""
        return float(self.factor.max())

    @property
    def factor_cv(self) -> float:
        """Standard deviation of the g-weights over the rows, as a share of their mean."""
        return float(self.factor.std() / self.factor.mean())

    @property
    def largest_distance_before(self) -> float:
        """Largest relative distance from a total before calibration."""
        return float(np.max(self.margins["distance_before"].to_numpy()))

    @property
    def largest_distance_after(self) -> float:
        """Largest relative distance from a total after calibration."""
        return float(np.max(self.margins["distance_after"].to_numpy()))

    @property
    def negative_rows(self) -> tuple[int, ...]:
        """1-based rows with a negative weight: linear calibration without bounds can make them."""
        return row_numbers(self.weight < 0)


@dataclass(frozen=True, eq=False)
class ResidualSequence:
    """Several calibrations, each on the weights of the one before: residuals are taken in the same order, as in R."""

    steps: tuple[Residualizer, ...]

    def residuals(self, influence: FloatArray) -> FloatArray:
        """Residuals ``(n, K)`` after all steps."""
        for step in self.steps:
            influence = step.residuals(influence)
        return influence


# Post-stratification


@dataclass(frozen=True, eq=False)
class _CellMeans:
    """Sums by cell over the weight ``(m,)`` of the cell."""

    weight: FloatArray

    def __call__(self, sums: FloatArray) -> FloatArray:
        return _divide(sums, self.weight[:, None])


def post_stratify(
    weight: FloatArray, cell: pl.Series, totals: Mapping[str, float], *, partial: bool = False
) -> Calibration:
    """Scale weights so that they add up to the total of each cell (R's ``postStratify``).

    The residual is u - W * sum(u d/W)/sum(d) over the cell, d the weight before and W after; W/d is one factor in a
    cell, so the mean is sum(u)/sum(W). A row of weight 0 gets W = 1 in the product, as in R: it carries the mean
    of its cell as a unit of weight 1 would.

    Args:
        weight: ``(n,)`` weights before.
        cell: label of each row. A column of whole numbers is read without decimals: 1.0 is the label "1".
        totals: population total of each cell.
        partial: leave out totals of cells without rows, rather than refuse them.

    Raises:
        ViolationsError: naming every cell at fault: a total above 0 without rows or weight in it, rows
            without a total, a negative or non-finite total, a total of 0 with weight in the cell. Naming the rows
            without a label or a finite weight.
    """
    raise_faults("post-stratification", [*_weight_faults(weight, len(cell)), *missing_faults(cell)])
    codes, labels = dense_codes(whole_numbers(cell))
    count = np.bincount(codes, minlength=len(labels))
    before = code_sums(codes, weight, len(labels))
    faults = _level_faults("post-stratum", labels, count, before, totals, partial=partial)
    raise_faults("post-stratification", faults)
    wanted = np.array([totals[label] for label in labels], dtype=np.float64)
    factor = _divide(wanted, before, otherwise=1.0)
    after = weight * factor[codes]
    cell_weight = code_sums(codes, after, len(labels))
    return Calibration(
        factor=factor[codes],
        weight=after,
        margins=_margin_frame([cell.name] * len(labels), labels, count, before, wanted, cell_weight),
        iterations=1,
        residualizer=Residuals(
            left=_membership(codes, len(labels), np.where(after == 0, 1.0, after)),
            right=_membership(codes, len(labels), np.ones(len(codes))),
            project=_CellMeans(cell_weight),
        ),
    )


# Raking


@dataclass(frozen=True, eq=False)
class _RakingSweeps:
    """What ten sweeps over the margins take out of u/W, from its sums by joint cell.

    ``count`` ``(m,)`` rows of a joint cell with a weight; for each margin ``levels`` ``(m,)`` the level of each joint
    cell, and ``ratios`` ``(m,)`` the weight after that margin in the last sweep over the final one.
    """

    count: IntArray
    levels: tuple[IntArray, ...]
    ratios: tuple[FloatArray, ...]

    def __call__(self, sums: FloatArray) -> FloatArray:
        removed = np.zeros_like(sums)
        for _ in range(RAKING_RESIDUAL_SWEEPS):
            for level, ratio in zip(self.levels, self.ratios, strict=True):
                rows = code_sums(level, self.count, int(level.max()) + 1)
                left = (sums - self.count[:, None] * removed) / ratio[:, None]
                removed += ratio[:, None] * _divide(column_sums(level, left, len(rows)), rows[:, None])[level]
        return removed


def rake(
    weight: FloatArray,
    margins: pl.DataFrame,
    totals: Mapping[str, Mapping[str, float]],
    *,
    epsilon: float = 1e-12,
    max_sweeps: int = 500,
    tolerance: float = 1e-9,
) -> Calibration:
    """Post-stratify to one margin after the other until the weights stand still (R's ``rake``).

    For the residual, ten sweeps take the unweighted level means of u/W out of u/W, margin by margin, W being the weight
    after that margin in the last sweep. In a joint cell of the margins it is a fixed multiple of the final weight and
    every correction is one value, so the sweeps run on joint cells. Rows of weight 0 are left out of the means and
    stay 0 (R divides 0 by 0 and returns NaN).

    Args:
        weight: ``(n,)`` weights before.
        margins: n rows, at least the columns named in ``totals``: the label of each row in each margin.
        totals: for each margin the population total of each level. The order of the margins is the order of raking.
        epsilon: R's rule: the last sweep changes no joint cell by this much or, if below 1, by this share of the sum
            of weights. R's own defaults are 1 and, for ``max_sweeps``, 10.
        max_sweeps: sweeps over all margins before it is given up.
        tolerance: largest relative distance from a total at the end, and of the sums of the margins' totals
            from each other. ``math.inf`` leaves R's rule alone.

    Raises:
        ViolationsError: an unknown margin; in each margin the faults of `post_stratify`; margins whose totals
            have different sums; no convergence, naming each level that is not met and how far it is.
    """
    here = [name for name in totals if name in margins.columns]
    faults = _weight_faults(weight, margins.height)
    for name in totals:
        if name in margins.columns:
            faults += missing_faults(margins[name])
        else:
            faults.append(unknown_name("unknown_margin", f"margin {name}", "a column", name, margins.columns))
    if not totals:
        faults.append(Violation("no_margin", "totals", "at least one margin", "none", "name the margins to rake on"))
    raise_faults("raking", faults)

    coded = [dense_codes(whole_numbers(margins[name])) for name in here]
    labels = [known for _, known in coded]
    cell, levels = cross_codes([codes for codes, _ in coded], [len(known) for known in labels])
    size = len(levels[0])
    start = cells = code_sums(cell, weight, size)
    rows = np.bincount(cell, minlength=size)

    def sums(values: FloatArray | IntArray) -> list[FloatArray]:
        return [code_sums(level, values, len(known)) for level, known in zip(levels, labels, strict=True)]

    for name, known, count, before in zip(here, labels, sums(rows), sums(start), strict=True):
        faults += _level_faults(f"margin {name}, level", known, count.astype(np.int64), before, totals[name])
    raise_faults("raking", faults or _sum_faults(totals, tolerance))
    wanted = [np.array([totals[name][label] for label in known]) for name, known in zip(here, labels, strict=True)]

    def table() -> pl.DataFrame:
        parts = zip(here, labels, sums(rows), sums(start), wanted, sums(cells), strict=True)
        return pl.concat(
            [_margin_frame([name] * len(known), known, count, *rest) for name, known, count, *rest in parts]
        )

    limit = epsilon * float(start.sum()) if epsilon < 1 else epsilon
    multiplier = np.ones(size)
    sweeps = 0
    while True:
        sweeps += 1
        previous, factors = cells, []
        for level, total in zip(levels, wanted, strict=True):
            factors.append(_divide(total, code_sums(level, cells, len(total)), otherwise=1.0)[level])
            cells = cells * factors[-1]
            multiplier = multiplier * factors[-1]
        change = float(np.max(np.abs(cells - previous)))
        distance = max(
            float(np.max(_distance(after, total, before)))
            for after, total, before in zip(sums(cells), wanted, sums(start), strict=True)
        )
        if change < limit and distance <= tolerance:
            break
        if sweeps == max_sweeps:
            _not_converged("raking", table(), tolerance, f"{sweeps} sweeps, the last of which moved {change:.3g}")

    ratios = [np.ones(size)]
    for factor in factors[:0:-1]:
        ratios.insert(0, ratios[0] / factor)
    after = weight * multiplier[cell]
    return Calibration(
        factor=multiplier[cell],
        weight=after,
        margins=table(),
        iterations=sweeps,
        residualizer=Residuals(
            left=_membership(cell, size, after),
            right=_membership(cell, size, _divide(np.ones_like(after), after)),
            project=_RakingSweeps(np.bincount(cell[after != 0], minlength=size), tuple(levels), tuple(ratios)),
        ),
    )


# Calibration to the totals of terms


@dataclass(frozen=True)
class Bounds:
    """Smallest and largest g-weight allowed."""

    low: float = -math.inf
    high: float = math.inf


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


def _logit_share(u: FloatArray, bounds: Bounds) -> tuple[FloatArray, float]:
    span = bounds.high - bounds.low
    steepness = span / ((bounds.high - 1.0) * (1.0 - bounds.low))
    centre = math.log((1.0 - bounds.low) / (bounds.high - 1.0))
    return expit(steepness * u + centre), steepness * span


def _logit(u: FloatArray, bounds: Bounds) -> FloatArray:
    share, _ = _logit_share(u, bounds)
    return bounds.low + (bounds.high - bounds.low) * share


def _logit_slope(u: FloatArray, bounds: Bounds) -> FloatArray:
    share, steepness = _logit_share(u, bounds)
    return steepness * share * (1.0 - share)


DISTANCES: Final[Mapping[str, Distance]] = {
    "linear": Distance(_linear, _linear_slope),
    "raking": Distance(_raking, _raking_slope, floor=0.0),
    "logit": Distance(_logit, _logit_slope, bounded=True),
}
"""R's ``calfun`` by name (Deville & Särndal 1992, cases 1, 2 and 6)."""


@dataclass(frozen=True, eq=False)
class _Regression:
    """Fitted values of the patterns from sums of u by pattern: ``(m, K)`` both.

    ``basis`` ``(m, p)`` orthonormal, of the patterns times ``root``; ``root`` ``(m,)`` root of the weight before;
    ``factor`` ``(m,)`` the g-weight. The sum of d u/W over a pattern is its sum of u over g.
    """

    basis: FloatArray
    root: FloatArray
    factor: FloatArray

    def __call__(self, sums: FloatArray) -> FloatArray:
        scaled = _divide(sums, (self.factor * self.root)[:, None])
        return _divide(self.basis @ (self.basis.T @ scaled), self.root[:, None])


def _coefficients(sums: FloatArray) -> FloatArray:
    """Sums with an orthonormal basis are the coefficients of the regression."""
    return sums


def _regression_residuals(
    matrix: TermsMatrix, basis: FloatArray, root: FloatArray, factor: FloatArray, weight: FloatArray
) -> Residuals:
    if matrix.pattern is None:
        right = _divide(basis, (factor * root)[:, None])
        return Residuals(left=_divide(basis, root[:, None]) * weight[:, None], right=right, project=_coefficients)
    return Residuals(
        left=_membership(matrix.pattern, len(root), weight),
        right=_membership(matrix.pattern, len(root), np.ones(len(weight))),
        project=_Regression(basis, root, factor),
    )


def calibrate(
    weight: FloatArray,
    matrix: TermsMatrix,
    totals: Mapping[str, float],
    *,
    distance: str = "linear",
    bounds: tuple[float, float] = (-math.inf, math.inf),
    epsilon: float = 1e-12,
    max_iterations: int = 50,
    tolerance: float = 1e-9,
) -> Calibration:
    """Change the weights as little as possible so that the weighted terms add up to their totals (R's ``calibrate``).

    Newton's method on the dual problem as in R's ``grake``, with steps shortened where they go past the top. Linear
    distance without bounds is the regression estimator (GREG), met in one step.

    The residual is W (u/W - X b), b the regression of u/W on X by the weights before calibration, for every distance. X
    enters as an orthonormal basis made once. Rows with W = 0 are left out of it and stay 0 (R divides 0 by 0).

    Args:
        weight: ``(n,)`` weights before, 0 or more.
        matrix: the calibration variables, from `terms_matrix`.
        totals: the population total of each term.
        distance: a name in `DISTANCES`.
        bounds: smallest and largest g-weight. Where R scales the weights first (see ``Calibration.rescaled``), they
            hold after that, as in R.
        epsilon: R's rule: each misfit is below this share of 1 + total (R's own default is 1e-7), or within the
            rounding of the sum itself.
        max_iterations: Newton steps before it is given up.
        tolerance: largest relative distance from a total at the end; ``math.inf`` leaves R's rule alone.

    Raises:
        ViolationsError: rows with a weight that is missing, negative or infinite; terms without a total and totals
            without a term; a term that is a combination of others; a term that is 0 in all rows but whose total
            is not; bounds that no weights can keep, naming the terms and how near they can come; no convergence,
            naming the terms that are not met and how far they are.
        AxstatError: unknown distance, bounds that do not hold 1.
    """
    method, limits = _distance_named(distance, bounds)
    raise_faults(
        "calibration", [*_weight_faults(weight, matrix.n, negative=False), *_total_faults(matrix.terms, totals)]
    )
    before = matrix.sums(weight[:, None])[:, 0]
    wanted = np.array([totals[term] for term in matrix.terms], dtype=np.float64)
    start = matrix.patterns.T @ before
    gross = np.abs(matrix.patterns).T @ before
    # R leaves out a variable that is 0 in every row and in the population.
    used = (gross > 0) | (wanted != 0)
    raise_faults("calibration", _empty_terms(matrix.terms, gross, wanted))
    terms = [matrix.terms[j] for j in np.flatnonzero(used)]
    root = np.sqrt(before)
    weighted = matrix.patterns[:, used] * root[:, None]
    norms = np.sqrt(np.sum(weighted * weighted, axis=0))
    basis, triangle = _orthonormal(weighted / norms)
    if triangle.shape[0] < triangle.shape[1] or np.any(np.abs(np.diagonal(triangle)) < RANK_TOLERANCE):
        raise_faults("calibration", _redundant_terms(weighted, terms))

    rescaled = 1.0
    if distance != "linear" or limits != Bounds():
        ratios = _divide(wanted[used], start[used], otherwise=math.inf)
        rescaled = float(ratios.mean()) if ratios.min() > RESCALE_ABOVE else 1.0
    problem = _Problem(
        X=matrix.patterns[:, used],
        weight=before * rescaled,
        target=wanted[used],
        start=start[used] * rescaled,
        gross=gross[used] * rescaled,
        basis=basis,
        triangle=triangle * norms * math.sqrt(rescaled),
    )
    reach = Bounds(max(limits.low, method.floor), limits.high)
    raise_faults("calibration", _infeasible(terms, problem.target, problem.out_of_range(reach), reach))
    solution = problem.solve(method, limits, epsilon=epsilon, tolerance=tolerance, max_iterations=max_iterations)
    after_sums = start.copy()
    after_sums[used] = wanted[used] - solution.misfit
    rows = (matrix.patterns != 0).T @ matrix.row_counts()
    table = _margin_frame(list(matrix.terms), None, rows, start, wanted, after_sums, gross=gross)
    if not solution.converged:
        if len(before) <= SHORTFALL_PATTERNS:
            raise_faults("calibration", _infeasible(terms, problem.target, problem.shortfall(reach), reach))
        _not_converged("calibration", table, min(epsilon, tolerance), f"{solution.iterations} iterations")

    factor = solution.factor * rescaled
    lost = (factor == 0) & (root > 0)
    if np.any(lost):
        # A weight cut to 0 leaves the regression of the residuals, which may then need fewer columns.
        root = np.where(lost, 0.0, root)
        basis = _orthonormal(weighted / norms * (root > 0)[:, None], drop=True)[0]
    after = weight * matrix.spread(factor)
    return Calibration(
        factor=matrix.spread(factor),
        weight=after,
        margins=table,
        iterations=solution.iterations,
        residualizer=_regression_residuals(matrix, basis, root, factor, after),
        rescaled=rescaled,
    )


@dataclass(frozen=True, eq=False)
class _Solution:
    factor: FloatArray
    misfit: FloatArray
    iterations: int
    converged: bool


@dataclass(frozen=True, eq=False)
class _Problem:
    """Find g-weights with ``X' (weight * g) = target``.

    ``start`` and ``gross``: the sums of X and of its absolute value; ``X * sqrt(weight)[:, None] = basis @ triangle``.
    """

    X: FloatArray
    weight: FloatArray
    target: FloatArray
    start: FloatArray
    gross: FloatArray
    basis: FloatArray
    triangle: FloatArray

    def solve(
        self, method: Distance, bounds: Bounds, *, epsilon: float, tolerance: float, max_iterations: int
    ) -> _Solution:
        # With u = (basis @ eta) / sqrt(weight) the Hessian of the dual is basis' F' basis, well conditioned
        # whatever the units of the terms.
        inverse_root = _divide(np.ones_like(self.weight), np.sqrt(self.weight))
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
        iterations = 0
        # R takes one step in any case.
        while (iterations == 0 or np.any(np.abs(misfit) > allowed)) and iterations < max_iterations:
            iterations += 1
            rise = self._whiten(misfit)
            values, vectors = np.linalg.eigh(self.basis.T @ (method.slope(u, bounds)[:, None] * self.basis))
            # Along a direction in which every weight is at its bound the slope is 0: the floor keeps the step finite.
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
        return _Solution(factor, misfit, iterations, converged=bool(np.all(np.abs(misfit) <= allowed)))

    def _whiten(self, misfit: FloatArray) -> FloatArray:
        return cast(FloatArray, solve_triangular(self.triangle, misfit, trans="T"))

    def out_of_range(self, bounds: Bounds) -> FloatArray:
        """By how much each total lies beyond what its term alone can reach within the bounds."""
        above, below = (self.gross + self.start) / 2, (self.gross - self.start) / 2
        lowest = _product(above, bounds.low) - _product(below, bounds.high)
        highest = _product(above, bounds.high) - _product(below, bounds.low)
        return np.maximum(self.target - highest, 0.0) - np.maximum(lowest - self.target, 0.0)

    def shortfall(self, bounds: Bounds) -> FloatArray:
        """What is missing of each total at the point within the bounds that misses least, relative to the totals."""
        scale = np.where(self.target != 0, np.abs(self.target), self.gross)
        size = len(self.target)
        weighted = (self.X[self.weight > 0] * self.weight[self.weight > 0, None]).T / scale[:, None]
        found = linprog(
            np.concatenate([np.zeros(weighted.shape[1]), np.ones(2 * size)]),
            A_eq=np.hstack([weighted, np.eye(size), -np.eye(size)]),
            b_eq=self.target / scale,
            bounds=[(bounds.low, bounds.high)] * weighted.shape[1] + [(0, None)] * (2 * size),
            method="highs",
        )
        slack = found.x[-2 * size :]
        return cast(FloatArray, (slack[:size] - slack[size:]) * scale)


# Parts that the methods share


def _divide(a: FloatArray, b: FloatArray, *, otherwise: float = 0.0) -> FloatArray:
    """``a / b``, and ``otherwise`` where b is 0."""
    out = np.full(np.broadcast_shapes(a.shape, b.shape), otherwise)
    np.divide(a, b, out=out, where=b != 0)
    return out


def _membership(cell: IntArray, size: int, values: FloatArray) -> sparse.csr_array:
    """The matrix ``(n, size)`` with the value of each row in the column of its cell."""
    return sparse.csr_array((values, cell, np.arange(len(cell) + 1)), shape=(len(cell), size))


def _product(a: FloatArray, b: float) -> FloatArray:
    """``a * b``, and 0 where a is 0 even if b is infinite."""
    out = np.zeros_like(a)
    np.multiply(a, b, out=out, where=a != 0)
    return out


def _orthonormal(columns: FloatArray, *, drop: bool = False) -> tuple[FloatArray, FloatArray]:
    """QR of ``(C, p)``; with ``drop``, only as many basis columns as the columns have rank."""
    if not drop:
        basis, triangle = qr(columns, mode="economic")
        return cast(FloatArray, basis), cast(FloatArray, triangle)
    basis, triangle, _ = qr(columns, mode="economic", pivoting=True)
    rank = int(np.sum(np.abs(np.diagonal(triangle)) > RANK_TOLERANCE))
    return cast(FloatArray, basis[:, :rank]), cast(FloatArray, triangle[:rank])


def _distance(sums: FloatArray, totals: FloatArray, gross: FloatArray) -> FloatArray:
    """Relative distance of sums from their totals; relative to ``gross`` where the total is 0."""
    return _divide(np.abs(sums - totals), np.where(totals != 0, np.abs(totals), gross))


def _margin_frame(
    margin: list[str],
    level: list[str] | None,
    n: FloatArray | IntArray,
    before: FloatArray,
    total: FloatArray,
    after: FloatArray,
    *,
    gross: FloatArray | None = None,
) -> pl.DataFrame:
    scale = before if gross is None else gross
    return pl.DataFrame(
        {
            "margin": margin,
            "level": [None] * len(margin) if level is None else level,
            "n": n.astype(np.int64),
            "before": before,
            "total": total,
            "after": after,
            "distance_before": _distance(before, total, scale),
            "distance_after": _distance(after, total, scale),
        },
        schema_overrides={"margin": pl.String, "level": pl.String},
    )


# Faults


def _weight_faults(weight: FloatArray, n: int, *, negative: bool = True) -> list[Violation]:
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
    faults = []
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


def _level_faults(
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


def _sum_faults(totals: Mapping[str, Mapping[str, float]], tolerance: float) -> list[Violation]:
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


def _distance_named(name: str, bounds: tuple[float, float]) -> tuple[Distance, Bounds]:
    if name not in DISTANCES:
        raise_faults("calibration", [unknown_name("unknown_distance", "distance", "a distance", name, list(DISTANCES))])
    method, limits = DISTANCES[name], Bounds(*bounds)
    finite = math.isfinite(limits.low) and math.isfinite(limits.high)
    if not limits.low < 1 < limits.high or (method.bounded and not finite):
        raise AxstatError(
            "bounds_not_valid",
            where=f"bounds of {name} calibration",
            expected="low < 1 < high" + (", both finite" if method.bounded else ""),
            got=f"[{limits.low:g}, {limits.high:g}]",
            hint="give the smallest and the largest factor by which a weight may change, e.g. [0.3, 3]",
        )
    return method, limits


def _total_faults(terms: Sequence[str], totals: Mapping[str, float]) -> list[Violation]:
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


def _empty_terms(terms: Sequence[str], gross: FloatArray, wanted: FloatArray) -> list[Violation]:
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


def _redundant_terms(weighted: FloatArray, terms: Sequence[str]) -> list[Violation]:
    """Each term that the ones before it make up, with the combination that does."""
    faults: list[Violation] = []
    kept: list[int] = []
    for j, term in enumerate(terms):
        earlier = weighted[:, kept]
        share = np.linalg.lstsq(earlier, weighted[:, j], rcond=None)[0] if kept else np.zeros(0)
        left = weighted[:, j] - earlier @ share
        if kept and np.linalg.norm(left) < RANK_TOLERANCE * np.linalg.norm(weighted[:, j]):
            parts = [f"{b:+.6g} x ({terms[k]})" for k, b in zip(kept, share, strict=True) if abs(b) > 1e-6]
            faults.append(
                Violation(
                    "term_redundant",
                    where=f"term {term}",
                    expected="terms that are not combinations of others",
                    got=f"in the sample it equals {' '.join(parts)}",
                    hint="leave it out: its total follows from theirs",
                )
            )
        else:
            kept.append(j)
    return faults


def _infeasible(terms: Sequence[str], target: FloatArray, short: FloatArray, bounds: Bounds) -> list[Violation]:
    scale = np.where(target != 0, np.abs(target), 1.0)
    return [
        Violation(
            "bounds_infeasible",
            where=f"term {term}",
            expected=f"a total of {total:.10g} within g-weights of {bounds.low:g} to {bounds.high:g}",
            got=f"at the nearest {total - missing:.10g}, off by {abs(missing) / size:.3g} of it",
            hint="widen the bounds, drop or collapse the term, or check its total",
        )
        for term, total, missing, size in zip(terms, target.tolist(), short.tolist(), scale.tolist(), strict=True)
        if abs(missing) > 1e-8 * size
    ]


def _not_converged(where: str, table: pl.DataFrame, tolerance: float, after: str) -> NoReturn:
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
    raise ViolationsError(
        where,
        faults
        or [
            Violation(
                "calibration_not_converged",
                where=where,
                expected="weights that stand still",
                got=f"margins met, but the weights still move after {after}",
                hint="allow more iterations, or a larger epsilon",
            )
        ],
    )
