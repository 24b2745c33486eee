"""The cheapest sample that meets precision targets for several variables and domains at once.

Belongs here: the problem of Bethel (1989) and Chromy (1987), its solution, whole numbers that still meet the targets.
Does not belong here: what an allocation promises (allocation), what the targets are about (planning).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.errors import AxstatError, Violation
from pipelines.stats.allocation import Allocation, Strata
from pipelines.stats.arrays import FloatArray, IntArray
from pipelines.stats.terms import raise_faults

# A target counts as met within this share of its variance: rounding of sums, nothing a survey could notice.
MET = 1e-9
# The cheapest allocation is found to this share of its cost, before it is made whole numbers.
_SOLVED = 1e-9
_STEPS = 200


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
