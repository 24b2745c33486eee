"""Sample sizes of strata: the most precise for a size or budget, the cheapest for precision targets.

Belongs here: allocation, the precision an allocation promises, the change two waves can detect. Does not belong here:
tables and specifications (planning), the drawing of units (selection).

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

# A target counts as met within this share of its variance: rounding of sums, nothing a survey could notice.
MET = 1e-9
# The cheapest allocation is found to this share of its cost, before it is made whole numbers.
_SOLVED = 1e-9
_STEPS = 200


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
        seen, first = np.unique(names, return_index=True)
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
        del seen
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

    ``drawn`` ``(H,)``; ``exact`` ``(H,)`` the same before they were made whole numbers; ``cost`` of the units drawn;
    ``bound``: of :func:`bethel`, what no allocation that meets the targets can be cheaper than, whole numbers or not
    (None of others); ``price`` ``(J,)``: of :func:`bethel`, what a target costs: the cost saved by a variance larger by
    a share e is about ``price`` x e.
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


def bethel(strata: Strata, unit_variance: FloatArray, limit: FloatArray, *, names: Sequence[str]) -> Allocation:
    """The cheapest allocation that meets every precision target: the problem of Bethel (1989) and Chromy (1987).

    Least sum of c g under V_j(g) <= limit_j and the limits of the strata, by an interior point method; Chromy's
    algorithm, for strata without limits, ends at the same place. The prices of the targets it ends with (Bethel's
    multipliers) give a bound below every solution, which the result states. Whole numbers: rounded up, then units are
    taken away where the targets stay met, the dearest for what they add to precision first.

    Args:
        unit_variance: ``(J, H)``, see the module.
        limit: variance allowed ``(J,)``, above 0.
        names: of the J targets, for errors.

    Raises:
        ViolationsError: naming the targets that are not met even where all units of the strata that may be drawn are,
            with the standard error then had and those strata.
    """
    best = strata.variance(unit_variance, strata.most)
    faults = [
        _out_of_reach(strata, names[int(j)], unit_variance[j], float(limit[j]), float(best[j]))
        for j in np.flatnonzero(best > limit * (1 + MET))
    ]
    raise_faults("precision targets", faults)
    exact, price, bound = _cheapest(strata, unit_variance, limit)
    drawn = _whole_numbers(strata, unit_variance, limit, exact, price)
    return Allocation(drawn=drawn, exact=exact, cost=float(strata.cost @ drawn), bound=bound, price=price)


@dataclass(frozen=True, eq=False)
class _Problem:
    """Least sum of c g(t) under a t <= 1, low <= t <= high, t = E(1/n): convex and separable, the constraints linear.

    K strata whose size is open, J targets that some sizes within their limits break.
    """

    a: FloatArray  # (J, K)
    cost: FloatArray  # (K,)
    response: FloatArray  # (K,)
    low: FloatArray  # (K,) t where all that may be drawn is
    high: FloatArray  # (K,)

    def drawn(self, t: FloatArray) -> FloatArray:
        """Units drawn ``(K,)``: with y = 1/(r g), t = y + (1 - r) y^2."""
        return (1.0 + np.sqrt(1.0 + 4.0 * (1.0 - self.response) * t)) / (2.0 * self.response * t)

    def slopes(self, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """First and second derivative of the cost by t ``(K,)``."""
        lost = 1.0 - self.response
        root = np.sqrt(1.0 + 4.0 * lost * t)
        scale = self.cost / (2.0 * self.response * t)
        first = scale * (2.0 * lost / root - (1.0 + root) / t)
        second = scale * (2.0 * (1.0 + root) / t**2 - 4.0 * lost / (root * t) - 4.0 * lost**2 / root**3)
        return first, second

    def solve(self) -> tuple[FloatArray, FloatArray, float]:
        """t ``(K,)``, the prices of the targets ``(J,)`` and a bound below every solution's cost.

        A primal-dual interior point method (Boyd & Vandenberghe 2004, 11.7) from within the limits.
        """
        span = self.high - self.low
        left = 1.0 - self.a @ self.low
        # Each stratum has its part of what each target leaves, or half of its own limits.
        part = np.min(left[:, None] / np.maximum(self.a, 1e-300), axis=0) / len(span)
        away = 0.5 * np.minimum(span, part)
        t = self.low + away
        # What is left to each limit is carried along, not taken from t: near a limit nothing would be left of it.
        room = np.concatenate([left - self.a @ away, away, span - away])
        cost = float(self.cost @ self.drawn(t))
        dual = cost / room / len(room)
        share = 1.0
        for _ in range(_STEPS):
            # The products of room and price must not run ahead of the slopes, which come to 0 with them.
            middle = float(room @ dual) / len(room)
            target = (0.1 if share > 0.5 and self._slope(t, dual) <= 100.0 * middle else 0.9) * middle
            change, dual_change = self._direction(t, room, dual, target)
            room_change = np.concatenate([-(self.a @ change), change, -change])
            share = _step_within((room, room_change), (dual, dual_change))
            t, room, dual = t + share * change, room + share * room_change, dual + share * dual_change
            price = dual[: len(self.a)]
            cost = float(self.cost @ self.drawn(t))
            # The sums of the bound are no better than the prices' last digits.
            wanted = _SOLVED * cost + 1e-13 * float(price.sum())
            if float(room @ dual) <= wanted and cost - (bound := self.bound(price)) <= wanted:
                return t, price, bound
        raise AxstatError(
            "allocation_not_converged",
            where="precision targets",
            expected=f"an allocation within {_SOLVED:g} of the cheapest in {_STEPS} steps",
            got=f"one that may cost {float(room @ dual) / cost:.1e} more",
            hint="leave out targets that say nearly the same, and strata that hold nearly nothing",
        )

    def bound(self, price: FloatArray) -> float:
        """The dual function: no solution costs less, whatever the prices (0 or more) are."""
        t = self.at_prices(price @ self.a)
        return float(self.cost @ self.drawn(t) + price @ (self.a @ t - 1.0))

    def at_prices(self, paid: FloatArray) -> FloatArray:
        """The t ``(K,)`` of least cost + paid t within the limits, where slope = -paid: by Newton and halving."""
        low, high = self.low.copy(), self.high.copy()
        t = np.sqrt(low * high)
        for _ in range(_STEPS):
            first, second = self.slopes(t)
            above = first + paid > 0
            low, high = np.where(above, low, t), np.where(above, t, high)
            step = t - (first + paid) / second
            inside = (step > low) & (step < high)
            ahead = np.where(inside, step, 0.5 * (low + high))
            done = np.abs(ahead - t) <= 1e-13 * t
            t = ahead
            if done.all():
                break
        return t

    def _slope(self, t: FloatArray, dual: FloatArray) -> float:
        """The largest slope of what is minimised, as a cost."""
        price, at_low, at_high = self._split(dual)
        return float(np.max(np.abs(self.slopes(t)[0] + price @ self.a - at_low + at_high) * t))

    def _direction(
        self, t: FloatArray, room: FloatArray, dual: FloatArray, target: float
    ) -> tuple[FloatArray, FloatArray]:
        """Newton's step for t and the prices towards slopes of 0 and room x price = target."""
        room_price, room_low, room_high = self._split(room)
        price, at_low, at_high = self._split(dual)
        slope, bend = self.slopes(t)
        diagonal = bend + at_low / room_low + at_high / room_high
        # The prices' change, put into the equation of the slopes, leaves J equations.
        right = -(slope + (target / room_price) @ self.a - target / room_low + target / room_high)
        weighted = self.a / diagonal
        small = weighted @ self.a.T + np.diag(room_price / price)
        change = (right - self.a.T @ np.linalg.solve(small, weighted @ right)) / diagonal
        room_change = np.concatenate([-(self.a @ change), change, -change])
        return change, target / room - dual - dual / room * room_change

    def _split(self, values: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        targets, strata = self.a.shape
        return values[:targets], values[targets : targets + strata], values[targets + strata :]


def _step_within(room: tuple[FloatArray, FloatArray], dual: tuple[FloatArray, FloatArray]) -> float:
    """The share of a step that leaves both above 0, and no product of the two far below the others."""
    share = 1.0
    for at, step in (room, dual):
        falling = step < 0
        if falling.any():
            share = min(share, 0.99 * float(np.min(-at[falling] / step[falling])))
    while share > 1e-10:
        products = (room[0] + share * room[1]) * (dual[0] + share * dual[1])
        if products.min() >= 1e-4 * products.mean():
            break
        share *= 0.8
    return share


def _cheapest(strata: Strata, unit_variance: FloatArray, limit: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Units ``(H,)``, not whole, prices ``(J,)`` and the bound."""
    drawn, most = strata.least.astype(np.float64), strata.most.astype(np.float64)
    room = limit + unit_variance @ (1.0 / strata.population)
    # A target met only where all that may be drawn is: its strata are fixed, no price is high enough for them.
    tight = unit_variance @ strata.inverse(most) >= room * (1.0 - MET)
    drawn = np.where((unit_variance[tight] > 0).any(axis=0), most, drawn)
    price = np.zeros(len(limit))
    spare = drawn == most
    left = room - unit_variance[:, spare] @ strata.inverse(drawn)[spare]
    asking = ~tight & (np.where(spare, 0.0, unit_variance) @ strata.inverse(drawn) > left)
    choice = ~spare & (unit_variance[asking] > 0).any(axis=0)
    settled = float(strata.cost[~choice] @ drawn[~choice])
    if not choice.any():
        return drawn, price, settled
    left -= unit_variance[:, ~choice & ~spare] @ strata.inverse(drawn)[~choice & ~spare]
    problem = _Problem(
        a=unit_variance[np.ix_(asking, choice)] / left[asking, None],
        cost=strata.cost[choice],
        response=strata.response[choice],
        low=strata.inverse(most)[choice],
        high=strata.inverse(drawn)[choice],
    )
    t, prices, bound = problem.solve()
    drawn[choice] = problem.drawn(t)
    price[asking] = prices * limit[asking] / left[asking]
    # What is left of the price of a target that others decide is no price.
    return drawn, np.where(price > 10.0 * _SOLVED * (settled + bound), price, 0.0), settled + bound


def _whole_numbers(
    strata: Strata, unit_variance: FloatArray, limit: FloatArray, exact: FloatArray, price: FloatArray
) -> IntArray:
    a = unit_variance / limit[:, None]
    used = a @ (1.0 / strata.population)
    drawn = np.clip(np.ceil(exact - 1e-9), strata.least, strata.most)

    def spare(drawn: FloatArray) -> FloatArray:
        return 1.0 + MET - (a @ strata.inverse(drawn) - used)

    while (spare(drawn) < 0).any():
        # Rounding up what the solver left a hair too small.
        gain = np.maximum(-spare(drawn), 0.0) @ (a * (strata.inverse(drawn) - strata.inverse(drawn + 1.0)))
        h = int(np.argmax(np.where(drawn < strata.most, gain / strata.cost, -1.0)))
        drawn[h] += 1.0
    harm = a * _lost(strata, drawn)
    while True:
        fits = (harm <= spare(drawn)[:, None]).all(axis=0) & (drawn > strata.least)
        if not fits.any():
            return drawn.astype(np.int64)
        worth = np.maximum(price @ harm, 1e-300)
        h = int(np.argmax(np.where(fits, strata.cost / worth, -1.0)))
        drawn[h] -= 1.0
        harm[:, h] = a[:, h] * _lost(strata, drawn)[h]


def _lost(strata: Strata, drawn: FloatArray) -> FloatArray:
    """What one unit fewer adds to E(1/n) ``(H,)``, where one can be taken away."""
    return strata.inverse(np.maximum(drawn - 1.0, 1.0)) - strata.inverse(drawn)


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


def _out_of_reach(strata: Strata, name: str, unit_variance: FloatArray, limit: float, best: float) -> Violation:
    there = np.flatnonzero(unit_variance > 0)
    shown = ", ".join(strata.labels[h] for h in there[:10])
    more = f" and {len(there) - 10} more" if len(there) > 10 else ""
    capped = bool((strata.most[there] < strata.population[there]).any())
    return Violation(
        "target_out_of_reach",
        where=f"target {name}",
        expected=f"SE {np.sqrt(limit):.4g} or less",
        got=f"{np.sqrt(best):.4g} where all {int(strata.most[there].sum())} units that may be drawn are "
        f"(strata {shown}{more})",
        hint="raise the maximum of these strata, or the target" if capped else "raise response there, or the target",
    )


def _named_strata(code: str, labels: Sequence[str], wrong: BoolArray, expected: str, got: str, hint: str) -> Violation:
    at = np.flatnonzero(wrong)
    shown = ", ".join(labels[h] for h in at[:10]) + (f" and {len(at) - 10} more" if len(at) > 10 else "")
    return Violation(code, f"strata {shown}", expected, got, hint)
