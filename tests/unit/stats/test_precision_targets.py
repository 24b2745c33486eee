"""Precision targets against published problems, an optimiser, brute force and the algorithm of the paper."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from pipelines.errors import ViolationsError
from pipelines.stats.allocation import Strata
from pipelines.stats.precision_targets import bethel


def strata(population: list[int], **options: object) -> Strata:
    return Strata.build([str(h) for h in range(len(population))], np.array(population), **options)  # type: ignore[arg-type]


def test_bracken_and_mccormicks_sample_design() -> None:
    """Two variables in four strata: Bracken & McCormick 1968, 10.2, is problem 72 of Hock & Schittkowski 1981.

    minimise 1 + sum x under 4/x1 + 2.25/x2 + 1/x3 + 0.25/x4 <= 0.0401 and 0.16/x1 + 0.36/x2 + 0.64/x3 + 0.64/x4 <=
    0.010085. Their solution: 727.67937 at (193.4071, 179.5475, 185.0186, 168.7062). The right sides hold the finite
    population terms as published.
    """
    four = strata([400_000, 300_000, 200_000, 100_000])
    left = np.array([[4.0, 2.25, 1.0, 0.25], [0.16, 0.36, 0.64, 0.64]])
    limit = np.array([0.0401, 0.010085]) - left @ (1 / four.population)
    made = bethel(four, left, limit, names=["a", "b"])
    assert 1 + made.exact.sum() == pytest.approx(727.67937, abs=5e-5)
    assert made.exact == pytest.approx([193.4071, 179.5475, 185.0186, 168.7062], abs=2e-3)
    assert made.bound is not None
    assert made.bound <= made.cost <= made.bound + 1


def test_the_example_of_the_package_bethel() -> None:
    """Means of income, books and days of sport with a CV of 5 % each, in eight strata of 1,000 persons.

    From the package bethel 0.2.1 (of R, and of PyPI by its author), whose ``bth`` rounds each size up: N and variances
    of the strata and totals of ``load_pop()`` by ``prepare_strata(pop, "strata", ["income", "books", "sportDays"])``
    and ``prepare_targets(..., cv=0.05)``; ``bth(...)["bethel_sample"]``.
    """
    population = np.array([158, 120, 126, 40, 124, 180, 197, 55])
    variance = np.array(
        [
            [173288328.6, 146902338.2, 164571496.3, 161485439.3, 184191920.7, 166657102.3, 159816070.0, 186047874.4],
            [50.43912763, 43.87331933, 60.54965079, 74.74294872, 52.5177026, 50.42194289, 49.92675852, 57.83973064],
            [1471.367734, 1756.310294, 1313.439746, 1636.025, 1661.695974, 1493.444413, 1290.623381, 1596.331987],
        ]
    )
    totals = np.array([27509070.0, 12429.0, 56122.0])
    made_of = strata(population.tolist(), minimum=0.0)
    made = bethel(made_of, variance * population**2, (0.05 * totals) ** 2, names=["income", "books", "sport"])
    assert np.ceil(made.exact).tolist() == [25, 21, 19, 7, 21, 29, 30, 10]
    assert made.bound is not None
    # Rounded up that is 162 units; the targets are met by fewer, and by as few as whole numbers can be.
    assert made.cost == np.ceil(made.bound) < 162


def test_one_target_has_the_closed_form() -> None:
    """Cochran 1977, (5.24) and (5.25): x ~ W S/sqrt(c), n = sum(W S sqrt c) sum(W S/sqrt c)/(V + sum W S^2/N)."""
    draw = np.random.default_rng(20261101)
    population = draw.integers(2_000, 9_000, 6)
    cost, spread = draw.uniform(1, 4, 6), draw.uniform(1, 3, 6)
    made_of = strata(population.tolist(), cost=cost)
    share = population / population.sum()
    limit = 0.02**2
    made = bethel(made_of, (share**2 * spread**2)[None, :], np.array([limit]), names=["all"])
    room = limit + np.sum(share * spread**2) / population.sum()
    expected = share * spread / np.sqrt(cost) * np.sum(share * spread * np.sqrt(cost)) / room
    assert (expected < population).all()
    assert made.exact == pytest.approx(expected, rel=1e-6)


def random_problem(seed: int, *, strata_at_most: int = 7) -> tuple[Strata, np.ndarray, np.ndarray]:
    """Strata, unit variances and limits between what the least and the most that may be drawn give."""
    draw = np.random.default_rng(seed)
    count, targets = int(draw.integers(2, strata_at_most + 1)), int(draw.integers(1, 5))
    population = draw.integers(1, 400, count)
    made_of = strata(
        population.tolist(),
        cost=draw.uniform(0.5, 4, count),
        response=draw.uniform(0.3, 1, count) if seed % 2 else 1.0,
        minimum=draw.integers(0, 5, count).astype(float),
        maximum=np.maximum(draw.integers(20, 400, count), 20).astype(float),
        take_all=(population < 20) & (draw.random(count) < 0.5),
    )
    unit_variance = draw.lognormal(0, 1, (targets, count)) * (draw.random((targets, count)) < 0.7)
    worst = made_of.variance(unit_variance, made_of.least)
    best = made_of.variance(unit_variance, made_of.most)
    limit = best + (worst - best) * draw.uniform(0.02, 0.9, targets) + 1e-9
    return made_of, unit_variance, limit


@pytest.mark.parametrize("seed", range(40))
def test_no_optimiser_finds_a_cheaper_one(seed: int) -> None:
    """scipy's SLSQP, from several starts, on the same problem in the sizes themselves."""
    made_of, unit_variance, limit = random_problem(seed)
    made = bethel(made_of, unit_variance, limit, names=[str(j) for j in range(len(limit))])
    assert made.bound is not None
    assert float(made_of.cost @ made.exact) == pytest.approx(made.bound, rel=2e-9)
    costs = []
    for start in (0.9, 0.5, 0.1):
        found = minimize(
            lambda x: float(made_of.cost @ x),
            made_of.least + start * (made_of.most - made_of.least),
            jac=lambda x: made_of.cost,
            bounds=list(zip(made_of.least, made_of.most, strict=True)),
            constraints={"type": "ineq", "fun": lambda x: 1 - made_of.variance(unit_variance, x) / limit},
            method="SLSQP",
            options={"maxiter": 500, "ftol": 1e-12},
        )
        if (made_of.variance(unit_variance, found.x) <= limit * (1 + 1e-7)).all():
            costs.append(found.fun)
    assert costs
    assert min(costs) >= made.bound * (1 - 1e-6)
    assert min(costs) == pytest.approx(made.bound, rel=1e-4)


@settings(deadline=None, max_examples=150)
@given(st.integers(min_value=0, max_value=10**9))
def test_whole_numbers_meet_the_targets_and_none_can_be_spared(seed: int) -> None:
    made_of, unit_variance, limit = random_problem(seed, strata_at_most=30)
    made = bethel(made_of, unit_variance, limit, names=[str(j) for j in range(len(limit))])
    assert (made_of.variance(unit_variance, made.drawn) <= limit * (1 + 2e-9)).all()
    assert ((made.drawn >= made_of.least) & (made.drawn <= made_of.most)).all()
    assert made.bound is not None
    assert made.cost >= made.bound * (1 - 1e-9)
    assert made.cost <= made.bound * (1 + 1e-9) + made_of.cost.sum()
    for h in np.flatnonzero(made.drawn > made_of.least):
        fewer = made.drawn.copy()
        fewer[h] -= 1
        assert (made_of.variance(unit_variance, fewer) > limit).any()


@settings(deadline=None, max_examples=60)
@given(st.integers(min_value=0, max_value=10**9), st.floats(min_value=1.01, max_value=3))
def test_wider_targets_and_better_response_never_cost_more(seed: int, factor: float) -> None:
    made_of, unit_variance, limit = random_problem(seed)
    names = [str(j) for j in range(len(limit))]
    base = bethel(made_of, unit_variance, limit, names=names).bound
    wider = bethel(made_of, unit_variance, limit * factor, names=names).bound
    assert base is not None
    assert wider is not None
    assert wider <= base * (1 + 1e-8)
    better = Strata(
        labels=made_of.labels,
        population=made_of.population,
        cost=made_of.cost,
        response=np.minimum(made_of.response * factor, 1.0),
        least=made_of.least,
        most=made_of.most,
    )
    answered = bethel(better, unit_variance, limit, names=names).bound
    assert answered is not None
    assert answered <= base * (1 + 1e-8)


def test_whole_numbers_against_every_allocation_there_is() -> None:
    """Rounding is no search of all allocations; on small problems it stays within one unit of the best one."""
    exactly = 0
    for seed in range(30):
        draw = np.random.default_rng(seed)
        made_of = strata([6, 7, 8], cost=draw.uniform(1, 3, 3), minimum=1.0)
        unit_variance = draw.lognormal(0, 1, (2, 3))
        limit = made_of.variance(unit_variance, np.array([3, 3, 4])) * draw.uniform(0.7, 1.3, 2)
        made = bethel(made_of, unit_variance, limit, names=["a", "b"])
        best = min(
            float(made_of.cost @ drawn)
            for drawn in map(np.array, itertools.product(range(1, 7), range(1, 8), range(1, 9)))
            if (made_of.variance(unit_variance, drawn) <= limit).all()
        )
        assert best - 1e-9 <= made.cost <= best + made_of.cost.max()
        exactly += abs(made.cost - best) < 1e-9
    assert exactly >= 15


def chromy(unit_variance: np.ndarray, room: np.ndarray, cost: np.ndarray, steps: int) -> np.ndarray:
    """Chromy's algorithm as Bethel 1989 states it: weights alpha that sum to 1, 1/n in closed form."""
    a = unit_variance / room[:, None]
    alpha = np.full(len(a), 1 / len(a))
    for _ in range(steps):
        root = np.sqrt(alpha @ a)
        x = np.sqrt(cost) / (root * (np.sqrt(cost) @ root))
        alpha = alpha * (a @ x) ** 2
        alpha /= alpha.sum()
    return 1 / x


@pytest.mark.parametrize("seed", range(10))
def test_chromys_algorithm_ends_at_the_same_place(seed: int) -> None:
    draw = np.random.default_rng(1000 + seed)
    made_of = strata([10**7] * 8, cost=draw.uniform(1, 3, 8), minimum=0.0)
    unit_variance = draw.lognormal(0, 1, (3, 8))
    limit = draw.uniform(0.001, 0.003, 3)
    made = bethel(made_of, unit_variance, limit, names=["a", "b", "c"])
    room = limit + unit_variance @ (1 / made_of.population)
    assert made.exact == pytest.approx(chromy(unit_variance, room, made_of.cost, 20_000), rel=1e-4)


def test_prices_say_what_a_wider_target_saves() -> None:
    made_of, unit_variance, limit = random_problem(12)
    names = [str(j) for j in range(len(limit))]
    made = bethel(made_of, unit_variance, limit, names=names)
    assert made.price is not None
    assert made.bound is not None
    for j in range(len(limit)):
        wider = limit.copy()
        wider[j] *= 1.0001
        saved = bethel(made_of, unit_variance, wider, names=names).bound
        assert saved is not None
        assert made.bound - saved == pytest.approx(made.price[j] * 1e-4, rel=1e-2, abs=1e-6 * made.bound)


def test_a_target_out_of_reach_names_the_strata() -> None:
    made_of = Strata.build(["a", "b", "c"], np.array([50, 60, 70]), response=0.5)
    unit_variance = np.array([[0.1, 0.2, 0.0], [0.0, 0.0, 1.0]])
    with pytest.raises(ViolationsError) as raised:
        bethel(made_of, unit_variance, np.array([1e-6, 1.0]), names=["industry=A, adoption", "industry=B, adoption"])
    (fault,) = raised.value.violations
    assert fault.code == "target_out_of_reach"
    assert fault.where == "target industry=A, adoption"
    assert "strata a, b" in fault.got
    assert "110 units" in fault.got


def test_a_census_meets_what_only_a_census_meets() -> None:
    made_of = strata([30, 40], response=0.8)
    unit_variance = np.array([[1.0, 0.0], [1.0, 1.0]])
    only = made_of.variance(unit_variance, made_of.most)[0]
    made = bethel(made_of, unit_variance, np.array([only, 0.2]), names=["a", "b"])
    assert made.drawn[0] == 30
    assert 2 <= made.drawn[1] < 40


def test_targets_that_ask_for_nothing_leave_the_least() -> None:
    made_of = strata([30, 1, 4], response=0.5, minimum=3.0)
    made = bethel(made_of, np.ones((1, 3)), np.array([1e9]), names=["a"])
    assert made.drawn.tolist() == [6, 1, 4]
    assert made.bound == made.cost == 11
