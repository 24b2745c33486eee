"""Sample sizes of strata, and what precision they promise.

Belongs here: strata and their limits, allocations of a size or budget, the precision an allocation promises, the change
two waves can detect. Does not belong here: precision targets (precision_targets), tables and specifications (planning),
the drawing of units (selection).

A stratum h of N units costs c a unit drawn; a share r of the units drawn responds, as if by a coin for each. Of g units
drawn E(1/n) = 1/(r g) + (1 - r)/(r g)^2 for the n respondents (Stephan 1945; Cochran 1977, 5A.9), so that an estimate
with variance S^2 N^2/N_d^2 (1/n - 1/N) in the stratum is promised
V = sum_h u_h (E(1/n_h) - 1/N_h), u_h = (N_h/N_d)^2 S_h^2 its unit variance. r = 1 is the textbook case.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from pipelines.errors import AxstatError, Violation
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray
from pipelines.stats.terms import code_sums, column_sums, raise_faults


@dataclass(frozen=True, eq=False)
class Strata:
    """H strata of a frame and the limits of what may be drawn in each; made by :meth:`build`."""

    labels: tuple[str, ...]
    population: FloatArray  # (H,) N, whole numbers
    cost: FloatArray  # (H,) of a unit drawn
    response: FloatArray  # (H,) share of the units drawn that responds, above 0
    least: IntArray  # (H,) units drawn at least
    most: IntArray  # (H,) units drawn at most

    @classmethod
    def build(
        cls,
        labels: Sequence[str],
        population: FloatArray | IntArray,
        *,
        cost: FloatArray | float = 1.0,
        response: FloatArray | float = 1.0,
        minimum: FloatArray | float = 2.0,
        maximum: FloatArray | float = np.inf,
        take_all: BoolArray | None = None,
    ) -> "Strata":
        """Check the strata and turn their limits into units drawn.

        Args:
            labels: H names, each once.
            population: units on the frame ``(H,)``.
            cost, response: see the module; ``(H,)`` or one for all.
            minimum: respondents to be expected at least, so ``minimum/response`` units are drawn, or all there are.
            maximum: units drawn at most, whatever the targets ask for.
            take_all: strata that are drawn whole.

        Raises:
            ViolationsError: naming the strata: a name twice, N not a whole number above 0, cost not above 0, response
                not in (0, 1], limits that contradict each other.
        """
        shape = (len(labels),)
        count = np.asarray(population, dtype=np.float64)
        unit_cost, responding, fewest, cap = (
            np.broadcast_to(np.asarray(values, dtype=np.float64), shape).copy()
            for values in (cost, response, minimum, maximum)
        )
        whole = np.zeros(shape, dtype=np.bool_) if take_all is None else take_all
        names = np.array(labels)
        first = np.unique(names, return_index=True)[1]
        repeated = np.ones(shape, dtype=np.bool_)
        repeated[first] = False
        checks = (
            ("stratum_repeated", repeated, "each stratum once", names, "add its rows up, or name more columns"),
            ("population_not_valid", ~((count >= 1) & (count % 1 == 0)), "units on the frame, 1 or more", count, ""),
            ("cost_not_valid", ~((unit_cost > 0) & np.isfinite(unit_cost)), "a cost above 0", unit_cost, ""),
            ("response_not_valid", ~((responding > 0) & (responding <= 1)), "a rate in (0, 1]", responding, ""),
            ("minimum_not_valid", ~(fewest >= 0) | np.isinf(fewest), "0 or more respondents", fewest, ""),
            ("maximum_not_valid", ~(cap >= 1), "a unit or more", cap, ""),
        )
        faults = [
            _named_strata(code, labels, wrong, expected, f"{values[wrong][0]}", hint or "correct the strata")
            for code, wrong, expected, values, hint in checks
            if wrong.any()
        ]
        raise_faults("strata", faults)
        least = np.minimum(np.ceil(fewest / responding - 1e-9), count)
        least = np.where(whole, count, np.maximum(least, 1.0))
        most = np.minimum(np.floor(cap), count)
        if (least > most).any():
            wrong = least > most
            got = f"{least[wrong][0]:.0f} at least, {most[wrong][0]:.0f} at most"
            hint = "raise the maximum, or lower the minimum"
            raise_faults("strata", [_named_strata("limits_contradict", labels, wrong, "least <= most", got, hint)])
        return cls(
            labels=tuple(labels),
            population=count,
            cost=unit_cost,
            response=responding,
            least=least.astype(np.int64),
            most=most.astype(np.int64),
        )

    def inverse(self, drawn: FloatArray | IntArray) -> FloatArray:
        """E(1/n) ``(H,)`` of the respondents among the units drawn."""
        net = self.response * drawn
        return 1.0 / net + (1.0 - self.response) / net**2

    def variance(self, unit_variance: FloatArray, drawn: FloatArray | IntArray) -> FloatArray:
        """The variance promised ``(J,)`` of J estimates by their unit variances ``(J, H)``."""
        return unit_variance @ (self.inverse(drawn) - 1.0 / self.population)


@dataclass(frozen=True, eq=False)
class Allocation:
    """Units to draw.

    ``drawn`` ``(H,)``; ``exact`` ``(H,)`` the same before they were made whole numbers; ``cost`` of the units drawn. Of
    an allocation to targets ``bound``: no allocation that meets them can be cheaper, whole numbers or not; ``price``
    ``(J,)`` of the targets: a variance larger by a share e saves about ``price`` x e. None of others.
    """

    drawn: IntArray
    exact: FloatArray
    cost: float
    bound: float | None = None
    price: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class DomainFigures:
    """D domains over H strata: units ``(D,)``, mean ``(D,)``, unit variance ``(D, H)`` of the mean."""

    population: FloatArray
    mean: FloatArray
    unit_variance: FloatArray


def domain_figures(
    stratum: IntArray,
    population: FloatArray,
    mean: FloatArray,
    spread: FloatArray,
    domain: Sequence[BoolArray],
    *,
    n_strata: int,
) -> DomainFigures:
    """Means of domains and their unit variances, from the parts of strata.

    A part is a stratum, or what of it lies in one cell of domains that cut across strata. With z = y - (mean of the
    domain) inside the domain and 0 outside, S^2_h is the variance of z over the whole stratum (Cochran 1977, 2.13).

    Args:
        stratum: code 0..H-1 of each of R parts.
        population, mean, spread: N, mean and standard deviation (divisor N - 1) of each part ``(R,)``; a mean may
            be NaN where the stratum is one part, the domain's mean is then NaN.
        domain: for each domain the parts in it ``(R,)``; it must hold a unit.
    """
    within = np.maximum(population - 1.0, 0.0) * spread**2
    size = np.bincount(stratum, weights=population, minlength=n_strata)
    several = np.bincount(stratum, minlength=n_strata)[stratum] > 1
    totals, means, unit_variances = [], [], []
    for inside in domain:
        there = population * inside
        total = there.sum()
        centre = (there[inside] @ mean[inside]) / total
        # Where a stratum is one part, z has the variance of y, whatever the means are.
        away = np.where(inside & several, mean - centre, 0.0)
        sums = column_sums(stratum, np.column_stack([within * inside + there * away**2, there * away]), n_strata)
        squares = np.maximum(sums[:, 0] - sums[:, 1] ** 2 / size, 0.0)
        totals.append(total)
        means.append(centre)
        unit_variances.append((size / total) ** 2 * squares / np.maximum(size - 1.0, 1.0))
    return DomainFigures(np.array(totals), np.array(means), np.array(unit_variances))


def stratum_figures(
    stratum: IntArray, population: FloatArray, mean: FloatArray, spread: FloatArray, *, n_strata: int
) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of each stratum ``(H,)`` from its parts; arguments as for :func:`domain_figures`."""
    size = code_sums(stratum, population, n_strata)
    centre = code_sums(stratum, population * mean, n_strata) / size
    several = np.bincount(stratum, minlength=n_strata)[stratum] > 1
    away = np.where(several, mean - centre[stratum], 0.0)
    squares = code_sums(stratum, (population - 1.0) * spread**2 + population * away**2, n_strata)
    return centre, np.sqrt(squares / np.maximum(size - 1.0, 1.0))


def share_spread(share: FloatArray, population: FloatArray) -> FloatArray:
    """Standard deviation ``(R,)`` of a 0/1 variable in N units: sqrt(N p (1 - p)/(N - 1)), 0 for one unit."""
    return cast(FloatArray, np.sqrt(population * share * (1.0 - share) / np.maximum(population - 1.0, 1.0)))


def neyman(strata: Strata, spread: FloatArray, *, size: int | None = None, budget: float | None = None) -> Allocation:
    """The smallest variance of a total or mean: g ~ N S/sqrt(r c) (Neyman 1934; Cochran 1977, 5.5 and 5.9).

    Args:
        spread: S ``(H,)``.
        size, budget: one of them: units drawn in all, or what they may cost.

    Raises:
        AxstatError: the limits of the strata ask for more, or the strata hold fewer.
    """
    return _in_proportion(strata, strata.population * spread / np.sqrt(strata.response * strata.cost), size, budget)


def power(
    strata: Strata,
    coefficient: FloatArray,
    importance: FloatArray,
    exponent: float,
    *,
    size: int | None = None,
    budget: float | None = None,
) -> Allocation:
    """Between the total and each stratum alike: the least sum of (X^q CV)^2 (Bankier 1988, The American Statistician).

    g ~ X^q (S/mean)/sqrt(r c). With X = N mean and q = 1 that is Neyman's.

    Args:
        coefficient: S/mean of a unit ``(H,)``.
        importance: X ``(H,)``, above 0.
        exponent: q, 0 (equal CVs) to 1.
        size, budget: as for :func:`neyman`.
    """
    weight = importance**exponent * coefficient / np.sqrt(strata.response * strata.cost)
    return _in_proportion(strata, weight, size, budget)


def proportional(strata: Strata, *, size: int | None = None, budget: float | None = None) -> Allocation:
    """Units drawn in proportion to N, within the limits; ``size``, ``budget`` as for :func:`neyman`."""
    return _in_proportion(strata, strata.population, size, budget)


def _in_proportion(strata: Strata, weight: FloatArray, size: int | None, budget: float | None) -> Allocation:
    """g = min(max(t weight, least), most), t such that the size or the budget is used up.

    The whole numbers have the least sum of weight^2/g there is: units are added where they lower it most (Wright 2012,
    The American Statistician). A budget is used up as far as whole units go.
    """
    assert (size is None) != (budget is None), "either size or budget"
    price = np.ones_like(strata.cost) if size is not None else strata.cost
    wanted = float(size) if size is not None else cast(float, budget)
    what = "size" if size is not None else "budget"
    lowest, highest = float(price @ strata.least), float(price @ strata.most)
    if not lowest <= wanted * (1 + 1e-12) or (size is not None and wanted > highest):
        raise AxstatError(
            "size_not_possible",
            where=what,
            expected=f"{lowest:g} to {highest:g}, which the strata's least and most add up to",
            got=f"{wanted:g}",
            hint=f"change the {what}, or the limits of the strata",
        )
    return Allocation(
        drawn=(whole := _added_one_by_one(strata, weight, price, wanted)),
        exact=_clipped(strata, weight, price, wanted),
        cost=float(strata.cost @ whole),
    )


def _clipped(strata: Strata, weight: FloatArray, price: FloatArray, wanted: float) -> FloatArray:
    """t by the strata at which g leaves a limit: between two of them the sum is a line in t."""

    def units(t: float) -> FloatArray:
        return np.clip(t * weight, strata.least, strata.most)

    positive = weight > 0
    turns = np.unique(np.concatenate([bound[positive] / weight[positive] for bound in (strata.least, strata.most)]))
    if not len(turns) or price @ units(turns[-1]) <= wanted:
        return units(turns[-1] if len(turns) else 0.0)
    spent = np.array([price @ units(t) for t in turns])
    at = int(np.searchsorted(spent, wanted, side="right")) - 1
    if at < 0:
        return units(0.0)
    share = (wanted - spent[at]) / (spent[at + 1] - spent[at])
    return units(turns[at] + share * (turns[at + 1] - turns[at]))


def _added_one_by_one(strata: Strata, weight: FloatArray, price: FloatArray, wanted: float) -> IntArray:
    drawn = strata.least.copy()
    left = wanted * (1 + 1e-12) - float(price @ drawn)

    def entry(h: int) -> tuple[float, int]:
        return -float(weight[h] ** 2 / (drawn[h] * (drawn[h] + 1.0))), h

    queue = [entry(h) for h in range(len(drawn)) if drawn[h] < strata.most[h]]
    heapq.heapify(queue)
    while queue:
        _, h = queue[0]
        if price[h] > left:
            heapq.heappop(queue)
            continue
        drawn[h] += 1
        left -= price[h]
        if drawn[h] < strata.most[h]:
            heapq.heapreplace(queue, entry(h))
        else:
            heapq.heappop(queue)
    return drawn


def detectable_change(
    se_before: FloatArray,
    se_after: FloatArray,
    covariance: FloatArray,
    *,
    power: float = 0.8,
    level: float = 0.95,
) -> FloatArray:
    """The smallest true change that a two-sided test finds with the power: (z_level + z_power) SE of the change.

    SE^2 = V1 + V2 - 2 C; normal quantiles (Cochran 1977, 12.10 for the variance; any text on tests for the rest).

    Args:
        se_before, se_after: standard errors of the two waves ``(J,)``.
        covariance: of the two estimates ``(J,)``, see :func:`panel_covariance`.
    """
    # scipy.stats takes a second to import; special has the same quantile.
    from scipy.special import ndtri

    variance = np.maximum(se_before**2 + se_after**2 - 2.0 * covariance, 0.0)
    return cast(FloatArray, (ndtri((1 + level) / 2) + ndtri(power)) * np.sqrt(variance))


def panel_covariance(
    strata: Strata, unit_variance: FloatArray, drawn: IntArray, *, overlap: float, correlation: float
) -> FloatArray:
    """Covariance ``(J,)`` of the estimates of two waves that draw the same allocation from one frame.

    As in :mod:`pipelines.stats.change`: C = sum_h u_h rho (P E(1/n) - 1/N) for P = m/n common respondents. P is
    ``overlap``, at least what two samples of this size cannot help sharing (2 - N/g), and 1 in strata drawn whole.

    Args:
        overlap: share of a stratum's respondents that respond in both waves.
        correlation: of a unit's values in the two waves, within strata.
    """
    common = np.maximum(overlap, 2.0 - strata.population / drawn)
    inner = common * strata.inverse(drawn) - 1.0 / strata.population
    return correlation * (unit_variance @ inner)


def _named_strata(code: str, labels: Sequence[str], wrong: BoolArray, expected: str, got: str, hint: str) -> Violation:
    at = np.flatnonzero(wrong)
    shown = ", ".join(labels[h] for h in at[:10]) + (f" and {len(at) - 10} more" if len(at) > 10 else "")
    return Violation(code, f"strata {shown}", expected, got, hint)
