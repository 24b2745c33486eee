"""Random margins: every total is met, counted afresh from the rows, or a fault is raised that holds.

What counts as holding: totals said to be out of reach are so by a linear programme over the rows, made here.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from scipy.optimize import linprog

from pipelines.errors import AxstatError, ViolationsError
from pipelines.stats.arrays import FloatArray
from pipelines.stats.calibration import Calibration, calibrate, rake
from pipelines.stats.mixed_margins import margin_terms
from pipelines.stats.reach import narrowest_bounds
from pipelines.stats.trimming import WeightLimits, trim_and_calibrate

WIDE = (-math.inf, math.inf)
WAYS = (("linear", WIDE), ("linear", (0.3, 3.0)), ("raking", WIDE), ("entropy", WIDE), ("logit", (0.3, 3.0)))
FAULTS_OF_INPUT = {
    "empty_post_stratum",
    "post_stratum_without_total",
    "post_stratum_without_weight",
    "empty_total",
    "margins_disagree",
    "no_weight",
}
OUT_OF_REACH = {"bounds_infeasible", "totals_in_conflict", "limits_infeasible"}


@dataclass(frozen=True)
class Instance:
    kind: str
    frame: pl.DataFrame
    weight: FloatArray
    margins: dict[str, dict[str, float]]
    totals: dict[str, float]

    @classmethod
    def random(cls, seed: int) -> "Instance":
        """Up to 40 rows, three margins of up to five levels, a continuous total in half of them.

        "reachable": the totals of weights that differ from the sample's by a factor of 0.5 to 1.8. "edge": of other
        weights, many of them 0, so that cells must come to 0. "free": each margin on its own, the sums equal.
        "faulty": with a level too many, a level too few, or sums that disagree.
        """
        rng = np.random.default_rng(seed)
        n, k = int(rng.integers(2, 40)), int(rng.integers(1, 4))
        kind = str(rng.choice(["reachable", "edge", "free", "faulty"]))
        frame = pl.DataFrame({f"m{j}": rng.integers(0, int(rng.integers(1, 6)), n).astype(str) for j in range(k)})
        weight = rng.uniform(0.5, 20, n)
        if rng.random() < 0.2:
            weight[rng.random(n) < 0.2] = 0
        target = weight * rng.uniform(0.5, 1.8, n)
        if kind == "edge":
            target = rng.uniform(0, 20, n) * (rng.random(n) < 0.7)
        margins = {name: sums(frame[name], target) for name in frame.columns}
        if kind == "free":
            for levels in margins.values():
                parts = rng.uniform(0.2, 3, len(levels))
                levels.update(zip(levels, (parts / parts.sum() * target.sum()).tolist(), strict=True))
        if kind == "faulty":
            name = str(rng.choice(frame.columns))
            first = next(iter(margins[name]))
            match int(rng.integers(3)):
                case 0:
                    margins[name]["new"] = 5.0
                case 1:
                    del margins[name][first]
                case _:
                    margins[name][first] = margins[name][first] * 1.1 + 0.1
        totals = {}
        if rng.random() < 0.5:
            size = rng.lognormal(2, 0.6, n)
            frame = frame.with_columns(size=size)
            totals["size"] = float(size @ target) * (float(rng.uniform(0.8, 1.2)) if kind == "free" else 1.0)
        return cls(kind, frame, weight, margins, totals)

    def largest_distance(self, weight: FloatArray, *, totals: bool = True) -> float:
        """Largest relative distance from a total (of 0: from the sum of weights), each counted afresh."""
        found = [
            (sums(self.frame[name], weight).get(level, 0.0), total)
            for name, levels in self.margins.items()
            for level, total in levels.items()
        ]
        if totals:
            found += [(float(self.frame[name].to_numpy() @ weight), total) for name, total in self.totals.items()]
        return max(abs(got - total) / (abs(total) or max(1.0, float(weight.sum()))) for got, total in found)

    def can_be_met(self, low: FloatArray, high: FloatArray, *, totals: bool = True) -> bool:
        """Whether weights within these meet all totals."""
        rows = [
            ((self.frame[name] == level).to_numpy().astype(float), total)
            for name, levels in self.margins.items()
            for level, total in levels.items()
        ]
        if totals:
            rows += [(self.frame[name].to_numpy(), total) for name, total in self.totals.items()]
        scale = np.array([abs(total) or 1.0 for _, total in rows])
        found = linprog(
            np.zeros(len(low)),
            A_eq=np.array([row for row, _ in rows]) / scale[:, None],
            b_eq=np.array([total for _, total in rows]) / scale,
            bounds=np.column_stack([low, high]),
            method="highs",
        )
        assert found.status in (0, 2)
        return bool(found.status == 0)


def sums(labels: pl.Series, weight: FloatArray) -> dict[str, float]:
    made: dict[str, float] = {}
    for label, value in zip(labels.to_list(), weight.tolist(), strict=True):
        made[label] = made.get(label, 0.0) + value
    return made


def ways(case: Instance) -> Iterator[tuple[str, tuple[float, float], bool, Callable[[], Calibration]]]:
    """Name, g-weights allowed, whether the continuous totals are in it, and the call."""

    def by(distance: str, bounds: tuple[float, float]) -> Callable[[], Calibration]:
        def run() -> Calibration:
            terms = margin_terms(case.weight, case.frame, case.margins, case.totals)
            return calibrate(
                case.weight, terms.matrix, terms.totals, distance=distance, bounds=bounds, drop_redundant=True
            )

        return run

    yield "rake", (0.0, math.inf), False, lambda: rake(case.weight, case.frame, case.margins)
    for distance, bounds in WAYS:
        floor = 0.0 if distance in ("raking", "entropy") else -math.inf
        yield distance, (max(bounds[0], floor), bounds[1]), True, by(distance, bounds)


def bounds_of(weight: FloatArray, bounds: tuple[float, float]) -> tuple[FloatArray, FloatArray]:
    acting = weight > 0
    with np.errstate(invalid="ignore"):
        return np.where(acting, weight * bounds[0], 0.0), np.where(acting, weight * bounds[1], 0.0)


def check(seed: int, outcomes: Counter[str]) -> None:
    case = Instance.random(seed)
    for name, bounds, totals, run in ways(case):
        try:
            made = run()
        except ViolationsError as error:
            codes = {violation.code for violation in error.violations}
            outcomes[f"{case.kind}: refused"] += 1
            if codes <= FAULTS_OF_INPUT:
                # Zero weights and zero totals make such faults in the other kinds too.
                assert case.kind in ("faulty", "edge") or np.any(case.weight == 0), (seed, name, codes)
                continue
            assert case.kind != "reachable" or name == "rake", (seed, name, codes)
            if codes & OUT_OF_REACH:
                assert not case.can_be_met(*bounds_of(case.weight, bounds), totals=totals), (seed, name, codes)
            elif name == "rake" and codes == {"calibration_not_converged"}:
                # Sweeps can be slow: with more of them, as the hint says, it comes to the totals.
                more = rake(case.weight, case.frame, case.margins, max_sweeps=50_000)
                assert case.largest_distance(more.weight, totals=False) <= 1e-9, seed
            else:
                # Totals that can only be met by weights of 0 are named as such.
                assert codes == {"calibration_not_converged", "weight_forced_to_zero"}, (seed, name, codes)
        else:
            outcomes[f"{case.kind}: met"] += 1
            assert case.largest_distance(made.weight, totals=totals) <= 1e-9, (seed, name)
            assert np.all(made.factor >= bounds[0]), (seed, name)
            assert np.all(made.factor <= bounds[1]), (seed, name)


def check_bounds_and_trimming(seed: int, outcomes: Counter[str]) -> None:
    case = Instance.random(seed)
    try:
        terms = margin_terms(case.weight, case.frame, case.margins, case.totals)
        narrowest = narrowest_bounds(case.weight, terms.matrix, terms.totals, drop_redundant=True)
    except ViolationsError:
        outcomes["no bounds"] += 1
        return
    low, high = narrowest.widened()
    # With a low of 0 some weights may have to be 0, which only linear reaches.
    for distance in ("linear", "raking", "entropy", "logit") if low > 0 else ("linear",):
        made = calibrate(
            case.weight, terms.matrix, terms.totals, distance=distance, bounds=(low, high), drop_redundant=True
        )
        assert case.largest_distance(made.weight) <= 1e-9, (seed, distance)
        assert made.factor_min >= low, (seed, distance)
        assert made.factor_max <= high, (seed, distance)
    width = narrowest.high - narrowest.low
    if width > 1e-3:
        # No interval of 0.98 of the width has a solution, wherever it lies around 1.
        for at in np.linspace(max(1 - 0.98 * width, 0.0), 1.0, 5).tolist():
            assert not case.can_be_met(*bounds_of(case.weight, (at, at + 0.98 * width))), (seed, at)
    outcomes["bounds"] += 1

    rng = np.random.default_rng(seed + 10**6)
    distance, bounds = (("raking", WIDE), ("linear", (0.0, 50.0)), ("entropy", WIDE), ("logit", (low, high)))[seed % 4]
    try:
        first = calibrate(
            case.weight, terms.matrix, terms.totals, distance=distance, bounds=bounds, drop_redundant=True
        )
    except ViolationsError:
        return
    acting = first.weight[first.weight > 0]
    limits = WeightLimits(
        float(np.quantile(acting, rng.uniform(0, 0.3)) * rng.choice([0, 0.9])),
        float(np.quantile(acting, rng.uniform(0.6, 1))) * 1.001,
    )
    try:
        trimmed = trim_and_calibrate(
            case.weight, terms.matrix, terms.totals, limits, distance=distance, bounds=bounds, drop_redundant=True
        )
    except ViolationsError as error:
        codes = {violation.code for violation in error.violations}
        assert codes <= OUT_OF_REACH, (seed, codes)
        zero = np.zeros_like(case.weight)
        within = np.where(first.weight > 0, limits.low, zero), np.where(first.weight > 0, limits.high, zero)
        assert not case.can_be_met(*within), (seed, codes)
        outcomes["limits out of reach"] += 1
    else:
        weight = trimmed.weight[first.weight > 0]
        assert weight.min() >= limits.low, seed
        assert weight.max() <= limits.high, seed
        assert not trimmed.weight[first.weight == 0].any(), seed
        assert case.largest_distance(trimmed.weight) <= 1e-9, seed
        outcomes["trimmed"] += 1


def all_happened(outcomes: Mapping[str, int], *names: str) -> None:
    assert all(outcomes.get(name, 0) > 0 for name in names), outcomes


def test_totals_are_met_or_the_fault_holds() -> None:
    outcomes: Counter[str] = Counter()
    for seed in range(150):
        check(seed, outcomes)
    all_happened(outcomes, *(f"{kind}: {end}" for kind in ("edge", "free", "faulty") for end in ("met", "refused")))
    all_happened(outcomes, "reachable: met")


def test_narrowest_bounds_and_trimming() -> None:
    outcomes: Counter[str] = Counter()
    for seed in range(150):
        check_bounds_and_trimming(seed, outcomes)
    all_happened(outcomes, "bounds", "no bounds", "trimmed", "limits out of reach")


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(20))
def test_ten_thousand_margins(chunk: int) -> None:
    outcomes: Counter[str] = Counter()
    for seed in range(1000 + 500 * chunk, 1500 + 500 * chunk):
        check(seed, outcomes)
        check_bounds_and_trimming(seed, outcomes)
    all_happened(outcomes, "reachable: met", "free: met", "edge: met", "bounds", "trimmed", "limits out of reach")


def test_an_error_is_always_one_of_ours() -> None:
    """Everything that `check` lets through as a refusal is an AxstatError with what to do."""
    case = Instance.random(3)
    broken = Instance("faulty", case.frame, case.weight, {"m0": {"9": 1.0}}, {})
    for _, _, _, run in ways(broken):
        with pytest.raises(AxstatError) as error:
            run()
        assert error.value.hint
