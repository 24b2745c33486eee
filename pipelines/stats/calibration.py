"""Weights made to agree with known totals.

Belongs here: post-stratification, raking, calibration to the totals of terms. Does not belong here: which variables to
calibrate on (weighting's plan), the residuals of calibrated weights (residuals), whether totals can be met and between
which bounds (reach), caps on the weights (trimming).

Each method is the function of R's ``survey`` 4.1 of the same name, with its weights and its residuals:
`post_stratify` is ``postStratify``, `rake` is ``rake``, `calibrate` is ``calibrate`` with ``calfun`` linear,
raking or logit, with ``aggregate.stage`` by `unit_means`; its distance entropy is one that R leaves to ``make.calfun``.
Sources: Deville & Särndal (1992), JASA 87, 376-382; Deville, Särndal & Sautory (1993), JASA 88, 1013-1020.

Work is done on the distinct patterns of the calibration variables where there are fewer of them than rows: a
million rows with a few margins then cost little more than one sum over the rows.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse

from pipelines.errors import Violation
from pipelines.stats.arrays import FloatArray, IntArray, dense_codes, divide, in_threads, pieces
from pipelines.stats.calibration_faults import (
    level_faults,
    margin_frame,
    not_converged,
    relative_distance,
    sum_faults,
    weight_faults,
)
from pipelines.stats.calibration_problem import TotalsProblem
from pipelines.stats.distances import Bounds, distance_named, limits_of_weights
from pipelines.stats.reach import conflict_faults, forced_to_zero, range_faults
from pipelines.stats.residuals import (
    CellMeans,
    CellResiduals,
    PatternRegression,
    RakingSweeps,
    RegressionResiduals,
    Residualizer,
)
from pipelines.stats.terms import (
    TermsMatrix,
    code_sums,
    joint_cells,
    missing_faults,
    raise_faults,
    row_numbers,
    split_by_weight,
    unknown_name,
    whole_numbers,
)


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
    def largest_distance_after(self) -> float:
        """Largest relative distance from a total after calibration."""
        return float(np.max(self.margins["distance_after"].to_numpy()))

    @property
    def negative_rows(self) -> tuple[int, ...]:
        """1-based rows with a negative weight: linear calibration without bounds can make them."""
        return row_numbers(self.weight < 0)


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
    raise_faults("post-stratification", [*weight_faults(weight, len(cell)), *missing_faults(cell)])
    codes, labels = dense_codes(whole_numbers(cell))
    count = np.bincount(codes, minlength=len(labels))
    before = code_sums(codes, weight, len(labels))
    faults = level_faults("post-stratum", labels, count, before, totals, partial=partial)
    raise_faults("post-stratification", faults)
    wanted = np.array([totals[label] for label in labels], dtype=np.float64)
    factor = divide(wanted, before, otherwise=1.0)
    after = weight * factor[codes]
    cell_weight = code_sums(codes, after, len(labels))
    return Calibration(
        factor=factor[codes],
        weight=after,
        margins=margin_frame([cell.name] * len(labels), labels, count, before, wanted, cell_weight),
        iterations=1,
        residualizer=CellResiduals(
            cell=codes, size=len(labels), weight=np.where(after == 0, 1.0, after), project=CellMeans(cell_weight)
        ),
    )


def rake(
    weight: FloatArray,
    margins: pl.DataFrame,
    totals: Mapping[str, Mapping[str, float]],
    *,
    epsilon: float = 1e-12,
    max_sweeps: int = 2000,
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
    faults = weight_faults(weight, margins.height)
    for name in totals:
        if name in margins.columns:
            faults += missing_faults(margins[name])
        else:
            faults.append(unknown_name("unknown_margin", f"margin {name}", "a column", name, margins.columns))
    if not totals:
        faults.append(Violation("no_margin", "totals", "at least one margin", "none", "name the margins to rake on"))
    raise_faults("raking", faults)

    # polars codes the text of several columns at once.
    joint = joint_cells([whole_numbers(each) for each in margins.select(here).cast({pl.String: pl.Categorical})])
    cell, levels, labels, rows = joint.cell, joint.levels, joint.labels, joint.rows
    size = len(rows)
    start = cells = code_sums(cell, weight, size)

    def sums(values: FloatArray | IntArray) -> list[FloatArray]:
        return [code_sums(level, values, len(known)) for level, known in zip(levels, labels, strict=True)]

    for name, known, count, before in zip(here, labels, sums(rows), sums(start), strict=True):
        faults += level_faults(f"margin {name}, level", known, count.astype(np.int64), before, totals[name])
    raise_faults("raking", faults or sum_faults(totals, tolerance))
    wanted = [np.array([totals[name][label] for label in known]) for name, known in zip(here, labels, strict=True)]

    def table() -> pl.DataFrame:
        parts = zip(here, labels, sums(rows), sums(start), wanted, sums(cells), strict=True)
        return pl.concat(
            [margin_frame([name] * len(known), known, count, *rest) for name, known, count, *rest in parts]
        )

    limit = epsilon * float(start.sum()) if epsilon < 1 else epsilon
    sweeps = 0
    while True:
        sweeps += 1
        previous, factors = cells, []
        for level, total in zip(levels, wanted, strict=True):
            factors.append(divide(total, code_sums(level, cells, len(total)), otherwise=1.0)[level])
            cells = cells * factors[-1]
        change = float(np.max(np.abs(cells - previous)))
        distance = max(
            float(np.max(relative_distance(after, total, before)))
            for after, total, before in zip(sums(cells), wanted, sums(start), strict=True)
        )
        if change <= limit and distance <= tolerance:
            break
        if sweeps == max_sweeps:
            terms = [f"{name}={label}" for name, known in zip(here, labels, strict=True) for label in known]
            belongs = sparse.hstack(
                [_indicators(level, len(known)) for level, known in zip(levels, labels, strict=True)], format="csr"
            )
            asked = np.concatenate(wanted)
            # The nearest point is one of many: of the programme only the proof is told.
            why = conflict_faults(terms, belongs, start, asked, Bounds(low=0.0))[-1:]
            not_converged(
                "raking",
                table(),
                tolerance,
                f"{sweeps} sweeps, the last of which moved {change:.3g}",
                because=why or forced_to_zero(terms, belongs, start, asked, divide(cells, start)),
            )

    ratios = [np.ones(size)]
    for factor in factors[:0:-1]:
        ratios.insert(0, ratios[0] / factor)
    cell_factor = divide(cells, start, otherwise=1.0)
    row_factor, after = np.empty((2, len(cell)))

    def apply(piece: slice) -> bool:
        np.take(cell_factor, cell[piece], out=row_factor[piece], mode="clip")
        np.multiply(weight[piece], row_factor[piece], out=after[piece])
        return bool(np.all(after[piece]))

    weighted = all(in_threads(apply, pieces(len(cell))))
    in_use = rows if weighted else np.bincount(cell[after != 0], minlength=size)
    return Calibration(
        factor=row_factor,
        weight=after,
        margins=table(),
        iterations=sweeps,
        residualizer=CellResiduals(
            cell=cell,
            size=size,
            weight=after,
            project=RakingSweeps(in_use, tuple(levels), tuple(ratios)),
            of_weighted=True,
        ),
    )


def _indicators(level: IntArray, size: int) -> sparse.csr_array:
    """``(m, size)``: 1 in the column of each joint cell's level."""
    return sparse.csr_array((np.ones(len(level)), level, np.arange(len(level) + 1)), shape=(len(level), size))


def calibrate(
    weight: FloatArray,
    matrix: TermsMatrix,
    totals: Mapping[str, float],
    *,
    distance: str = "linear",
    bounds: tuple[float, float] = (-math.inf, math.inf),
    weight_bounds: tuple[float, float] = (-math.inf, math.inf),
    epsilon: float = 1e-12,
    max_iterations: int = 200,
    tolerance: float = 1e-9,
    drop_redundant: bool = False,
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
        weight_bounds: smallest and largest weight after calibration, of rows with a weight above 0 (R's
            ``bounds.const``); not with logit, whose weights never come to a bound.
        epsilon: R's rule: each misfit is below this share of 1 + total (R's own default is 1e-7), or within the
            rounding of the sum itself.
        max_iterations: Newton steps before it is given up.
        tolerance: largest relative distance from a total at the end; ``math.inf`` leaves R's rule alone.
        drop_redundant: a term that is a combination of others in the sample, and its total the same one of theirs, is
            met by itself; refused if left out.

    Raises:
        ViolationsError: rows with a weight that is missing, negative or infinite; terms without a total and totals
            without a term; a term that is a combination of others; a term that is 0 in all rows but whose total
            is not; totals that no weights within the bounds can meet, naming the terms, how near they can come and
            which of them contradict each other; no convergence, naming the terms not met and how far they are.
        AxstatError: unknown distance, bounds that do not hold 1.
    """
    method, limits = distance_named(distance, bounds)
    bounded_weights = weight_bounds != (-math.inf, math.inf)
    if bounded_weights:
        raise_faults("calibration", weight_faults(weight, matrix.n, negative=False))
        matrix = split_by_weight(matrix, weight)
    problem = TotalsProblem.build(
        weight,
        matrix,
        totals,
        rescale=distance != "linear" or bounds != (-math.inf, math.inf) or bounded_weights,
        drop_redundant=drop_redundant,
        tolerance=tolerance,
    )
    if bounded_weights:
        limits = limits_of_weights(distance, limits, weight_bounds, problem.weight / matrix.row_counts())
    reach = Bounds(np.maximum(limits.low, method.floor), limits.high)
    raise_faults("calibration", range_faults(problem, reach))
    solution = problem.solve(method, limits, epsilon=epsilon, tolerance=tolerance, max_iterations=max_iterations)

    before = problem.weight / problem.rescaled
    factor = solution.factor * problem.rescaled
    wanted = np.array([totals[term] for term in matrix.terms], dtype=np.float64)
    sums = matrix.patterns.T @ (before * factor)
    sums[problem.kept] = problem.target - solution.misfit
    table = margin_frame(
        list(matrix.terms),
        None,
        (matrix.patterns != 0).T @ matrix.row_counts(),
        matrix.patterns.T @ before,
        wanted,
        sums,
        gross=np.abs(matrix.patterns).T @ before,
    )
    if not solution.converged or (drop_redundant and np.any(table["distance_after"].to_numpy() > tolerance)):
        asked = (problem.terms, problem.X, problem.weight, problem.target)
        raise_faults("calibration", conflict_faults(*asked, reach))
        not_converged(
            "calibration",
            table,
            min(epsilon, tolerance),
            f"{solution.iterations} iterations",
            because=forced_to_zero(*asked, solution.factor) if method.floor == 0 else (),
        )

    after = weight * matrix.spread(factor)
    if bounded_weights:
        # A weight at its bound is at it exactly, whatever the rounding of bound/weight x weight.
        after = np.where(weight > 0, np.clip(after, *weight_bounds), after)
    return Calibration(
        factor=matrix.spread(factor),
        weight=after,
        margins=table,
        iterations=solution.iterations,
        residualizer=_regression_residuals(matrix, problem, before, factor, after),
        rescaled=problem.rescaled,
    )


def _regression_residuals(
    matrix: TermsMatrix, problem: TotalsProblem, before: FloatArray, factor: FloatArray, after: FloatArray
) -> Residualizer:
    basis, root = problem.basis, np.sqrt(before)
    lost = (factor == 0) & (root > 0)
    if np.any(lost):
        # A weight cut to 0 leaves the regression of the residuals, which may then need fewer columns.
        basis, root = problem.basis_without(lost), np.where(lost, 0.0, root)
    if matrix.pattern is None:
        return RegressionResiduals(
            left=divide(basis, root[:, None]) * after[:, None], right=divide(basis, (factor * root)[:, None])
        )
    return CellResiduals(
        cell=matrix.pattern, size=len(root), weight=after, project=PatternRegression(basis, root, factor)
    )
