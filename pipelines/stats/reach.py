"""Whether totals can be reached at all, and if not which of them contradict each other.

Belongs here: linear programmes over the g-weights: the nearest that totals can come within bounds, the totals in
conflict, the narrowest bounds that have a solution. Does not belong here: the calibrated weights themselves
(calibration).

The programmes are solved by HiGHS (``scipy.optimize.linprog``), in terms relative to their totals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from pipelines.errors import AxstatError, Violation
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray
from pipelines.stats.calibration_faults import combination
from pipelines.stats.calibration_problem import TotalsProblem
from pipelines.stats.distances import Bounds
from pipelines.stats.terms import TermsMatrix, raise_faults

PROGRAMME_PATTERNS: Final = 200_000
"""With more patterns than this a linear programme takes minutes: then terms not met are named, not the reason."""

SUSPECTS: Final = 20
"""So many of the smallest g-weights are looked at for units that the totals leave no weight."""

MISSED: Final = 1e-8
"""A total is out of reach when the nearest point misses it by more than this share; HiGHS is no finer."""


@dataclass(frozen=True, eq=False)
class _Programme:
    """``rows`` ``(p, C)``: what a g-weight of 1 gives to each total, relative to it; ``goal`` ``(p,)``: 1, -1 or 0.

    Only of the patterns that have a weight, marked ``used``.
    """

    rows: sparse.csr_array
    goal: FloatArray
    scale: FloatArray
    used: BoolArray

    @classmethod
    def build(cls, X: FloatArray | sparse.csr_array, weight: FloatArray, target: FloatArray) -> "_Programme":
        used = weight > 0
        rows = sparse.csr_array(sparse.csr_array(X)[used].multiply(weight[used, None]).T)
        gross = np.abs(rows).sum(axis=1)
        scale = np.where(target != 0, np.abs(target), np.where(gross > 0, gross, 1.0))
        return cls(sparse.csr_array(rows.multiply(1.0 / scale[:, None])), target / scale, scale, used)

    def only(self, kept: IntArray) -> "_Programme":
        return _Programme(self.rows[kept], self.goal[kept], self.scale[kept], self.used)

    def _bounds(self, bounds: Bounds) -> FloatArray:
        return np.column_stack(bounds.each(len(self.used)))[self.used]

    def nearest(self, bounds: Bounds) -> FloatArray:
        """Shares of the totals missed ``(p,)`` at the point where their sum is least."""
        size, patterns = self.rows.shape
        eye = sparse.eye_array(size, format="csr")
        found = linprog(
            np.concatenate([np.zeros(patterns), np.ones(2 * size)]),
            A_eq=sparse.hstack([self.rows, eye, -eye], format="csr"),
            b_eq=self.goal,
            bounds=np.vstack([self._bounds(bounds), np.tile([0.0, np.inf], (2 * size, 1))]),
            method="highs",
        )
        slack = found.x[-2 * size :]
        return np.asarray(slack[:size] - slack[size:], dtype=np.float64)

    def proof(self, bounds: Bounds) -> tuple[float, FloatArray]:
        """The least that the largest share missed can be, and the multipliers ``(p,)`` that prove it.

        Their sum of absolute values is bounded, so that proofs of few terms are preferred.
        """
        size, patterns = self.rows.shape
        ones = np.ones((size, 1))
        found = linprog(
            np.array([*np.zeros(patterns), 1.0]),
            A_ub=sparse.vstack([sparse.hstack([self.rows, -ones]), sparse.hstack([-self.rows, -ones])], format="csr"),
            b_ub=np.concatenate([self.goal, -self.goal]),
            bounds=np.vstack([self._bounds(bounds), [0.0, np.inf]]),
            method="highs",
        )
        dual = found.ineqlin.marginals
        return float(found.fun), np.asarray(dual[:size] - dual[size:], dtype=np.float64)

    def highest(self, multipliers: FloatArray, bounds: Bounds) -> float:
        """The largest value that the combination of relative totals takes within the bounds."""
        value = self.rows.T @ multipliers
        value[np.abs(value) <= 1e-9 * (np.abs(self.rows).T @ np.abs(multipliers))] = 0.0
        up, down = value > 0, value < 0
        low, high = self._bounds(bounds).T
        return float(value[up] @ high[up] + value[down] @ low[down])


def out_of_range(problem: TotalsProblem, bounds: Bounds) -> FloatArray:
    """By how much each total ``(p,)`` lies beyond what its term alone can reach within the bounds."""
    low, high = bounds.each(len(problem.weight))
    above, below = np.maximum(problem.X, 0.0), np.maximum(-problem.X, 0.0)

    def sums(of_above: FloatArray, of_below: FloatArray) -> FloatArray:
        return _sums(above, problem.weight, of_above) - _sums(below, problem.weight, of_below)

    lowest, highest = sums(low, high), sums(high, low)
    return np.maximum(problem.target - highest, 0.0) - np.maximum(lowest - problem.target, 0.0)


def range_faults(problem: TotalsProblem, bounds: Bounds) -> list[Violation]:
    """Totals that their term alone cannot reach."""
    return _missed(problem.terms, problem.target, out_of_range(problem, bounds), bounds)


def conflict_faults(
    terms: Sequence[str],
    X: FloatArray | sparse.csr_array,
    weight: FloatArray,
    target: FloatArray,
    bounds: Bounds,
) -> list[Violation]:
    """Why no g-weights within the bounds meet all totals; none if some do, or with too many patterns to tell.

    First the terms not met at the nearest point. Then the proof that it cannot be done (Farkas' lemma): a combination
    of terms whose largest value within the bounds lies below what the totals make of it. Of its terms none can be left
    out: without it the others could be met.

    Args:
        terms: p names. X: ``(C, p)``. weight: ``(C,)``, 0 or more. target: ``(p,)``.
    """
    if len(weight) > PROGRAMME_PATTERNS:
        return []
    programme = _Programme.build(X, weight, target)
    faults = _missed(terms, target, programme.nearest(bounds) * programme.scale, bounds)
    if not faults:
        return []
    kept = np.flatnonzero(np.abs(programme.proof(bounds)[1]) > 1e-9)
    for j in kept.tolist():
        rest = kept[kept != j]
        if len(rest) and programme.only(rest).proof(bounds)[0] > MISSED:
            kept = rest
    proof = programme.only(kept)
    _, share = proof.proof(bounds)
    unit = float(np.abs(share / proof.scale).max())
    names = [terms[j] for j in kept.tolist()]
    shown = combination(names, share / proof.scale / unit)
    largest, asked = proof.highest(share, bounds) / unit, float(share @ proof.goal) / unit
    return [
        *faults,
        Violation(
            "totals_in_conflict",
            where=f"terms {', '.join(names)}",
            expected=f"{shown} of at most {largest:.10g}: no more is made within {bounds}",
            got=f"{asked:.10g}",
            hint="change one of these totals, collapse or drop one of the terms, or widen the bounds",
        ),
    ]


def forced_to_zero(
    terms: Sequence[str],
    X: FloatArray | sparse.csr_array,
    weight: FloatArray,
    target: FloatArray,
    factor: FloatArray,
) -> list[Violation]:
    """Units to which the totals leave no weight at all, among those whose g-weight is nearly 0.

    Raking and entropy, which keep every weight above 0, then come near the totals for ever and never meet them.

    Args:
        factor: ``(C,)`` g-weights at which the calibration stopped. Others as in `conflict_faults`.
    """
    if len(weight) > PROGRAMME_PATTERNS:
        return []
    used = np.flatnonzero(weight > 0)
    programme = _Programme.build(X, weight, target)
    faults = []
    for position in np.argsort(factor[used], kind="stable")[:SUSPECTS].tolist():
        if factor[used[position]] > 0.1:
            break
        objective = np.zeros(len(used))
        objective[position] = -1.0
        found = linprog(objective, A_eq=programme.rows, b_eq=programme.goal, bounds=(0, None), method="highs")
        if found.x is None or found.x[position] > MISSED:
            continue
        row = sparse.csr_array(X)[[used[position]]].toarray()[0]
        unit = ", ".join(t if v == 1 else f"{t} {v:.6g}" for t, v in zip(terms, row.tolist(), strict=True) if v != 0)
        faults.append(
            Violation(
                "weight_forced_to_zero",
                where=f"units with {unit}",
                expected="totals that leave every unit some weight",
                got="the totals are only met when these have none",
                hint="collapse one of these levels with another, check its total, or use linear with a low of 0",
            )
        )
    return faults


@dataclass(frozen=True)
class NarrowestBounds:
    """The narrowest interval of g-weights in which some meet the totals.

    ``rescaled``: the bounds hold after the weights were scaled by this, as in ``Calibration.rescaled``.
    """

    low: float
    high: float
    rescaled: float = 1.0

    def widened(self, share: float = 0.1) -> tuple[float, float]:
        """Bounds wider by this share of the width, half of it on each side; a low of 0 or more does not go below.

        At the narrowest bounds themselves hardly any freedom is left: weights pile up at both, and logit, which stays
        strictly inside, has no solution.
        """
        room = share * max(self.high - self.low, 1e-6) / 2
        low = self.low - room
        return (max(low, self.low / 2) if self.low >= 0 else low), self.high + room


def narrowest_bounds(
    weight: FloatArray,
    matrix: TermsMatrix,
    totals: Mapping[str, float],
    *,
    floor: float = 0.0,
    drop_redundant: bool = False,
) -> NarrowestBounds:
    """The narrowest bounds low <= 1 <= high between which some g-weights meet the totals.

    Minimises high - low in one linear programme over the g-weight of each pattern; of several such intervals the one
    with the smallest high, which holds the largest weights down. The width, not the ratio high/low: it is linear, it is
    defined for a low of 0 or below, and near 1, where bounds should be, the two agree.

    Args:
        weight: ``(n,)`` weights before, 0 or more.
        matrix: the calibration variables, from `terms_matrix`.
        totals: the population total of each term.
        floor: low is not below this; minus infinity lets weights become negative.
        drop_redundant: as in `calibrate`.

    Raises:
        ViolationsError: faults of weights, terms and totals as in `calibrate`; totals in conflict above the floor.
        AxstatError: too many patterns for the programme.
    """
    problem = TotalsProblem.build(weight, matrix, totals, rescale=True, drop_redundant=drop_redundant)
    patterns = len(problem.weight)
    if patterns > PROGRAMME_PATTERNS:
        raise AxstatError(
            "too_many_patterns",
            where="narrowest bounds",
            expected=f"at most {PROGRAMME_PATTERNS} different rows of calibration variables",
            got=str(patterns),
            hint="ask for the bounds on a sample of the rows, or on classes of the numeric variables",
        )
    programme = _Programme.build(problem.X, problem.weight, problem.target)
    size = programme.rows.shape[1]
    # Variables: the g-weights above low, low, and the width.
    sums = programme.rows.sum(axis=1)[:, None]
    equal = sparse.hstack([programme.rows, sums, np.zeros_like(sums)], format="csr")
    ones = np.ones((size, 1))
    within = sparse.vstack(
        [
            sparse.hstack([sparse.eye_array(size), np.zeros((size, 1)), -ones]),
            sparse.csr_array(np.array([[*np.zeros(size), -1.0, -1.0]])),
        ],
        format="csr",
    )
    limit = np.array([*np.zeros(size), -1.0])

    def solve(objective: tuple[float, float], width: tuple[float, float | None]) -> FloatArray | None:
        found = linprog(
            np.array([*np.zeros(size), *objective]),
            A_ub=within,
            b_ub=limit,
            A_eq=equal,
            b_eq=programme.goal,
            bounds=[(0, None)] * size + [(floor, 1.0), width],
            # With a column for each row of the file the interior point method is several times faster than the simplex.
            method="highs-ipm",
        )
        return np.asarray(found.x) if found.status == 0 else None

    first = solve((0.0, 1.0), (0.0, None))
    if first is None:
        raise_faults(
            "narrowest bounds",
            conflict_faults(problem.terms, problem.X, problem.weight, problem.target, Bounds(low=floor)),
        )
        raise AxstatError(
            "bounds_not_found",
            where="narrowest bounds",
            expected="a solution of the linear programme",
            got="none, though the totals do not contradict each other",
            hint="bring the terms to similar sizes",
        )
    width = float(first[-1])
    second = solve((1.0, 1.0), (0.0, width * (1 + 1e-9) + 1e-12))
    low, width = (first if second is None else second)[-2:].tolist()
    high = max(low + width, 1.0)
    # What the interior point leaves above the floor is its tolerance.
    low = floor if low - floor <= MISSED else low
    return NarrowestBounds(low=low, high=high, rescaled=problem.rescaled)


def _missed(terms: Sequence[str], target: FloatArray, short: FloatArray, bounds: Bounds) -> list[Violation]:
    scale = np.where(target != 0, np.abs(target), 1.0)
    return [
        Violation(
            "bounds_infeasible",
            where=f"term {term}",
            expected=f"a total of {total:.10g} within {bounds}",
            got=f"at the nearest {total - missing:.10g}, off by {abs(missing) / size:.3g} of it",
            hint="widen the bounds, drop or collapse the term, or check its total",
        )
        for term, total, missing, size in zip(terms, target.tolist(), short.tolist(), scale.tolist(), strict=True)
        if abs(missing) > MISSED * size
    ]


def _sums(columns: FloatArray, weight: FloatArray, bound: FloatArray) -> FloatArray:
    """Sums ``(p,)`` of columns ``(C, p)`` x weight x bound: an infinite bound counts only where both are above 0."""
    finite = np.isfinite(bound)
    sums = columns.T @ np.where(finite, weight * np.where(finite, bound, 0.0), 0.0)
    for sign in (-np.inf, np.inf):
        endless = columns.T @ (weight * (bound == sign)) > 0
        sums = np.where(endless, sign, sums)
    return np.asarray(sums, dtype=np.float64)
