"""Allocations against published ones, an independent optimiser, brute force and the algorithm of the paper."""

import itertools
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from statsmodels.stats.power import NormalIndPower

from pipelines.errors import AxstatError, ViolationsError
from pipelines.stats.allocation import (
    Strata,
    bethel,
    detectable_change,
    domain_figures,
    neyman,
    panel_covariance,
    power,
    proportional,
    share_spread,
    stratum_figures,
)

# Cochran 1977, Sampling Techniques, 3rd ed., chapter 5: 64 cities in 1930, the 16 largest and 48 others.
CITIES = Strata.build(["large", "small"], np.array([16, 48]))
CITY_VARIANCE = np.array([53_843.0, 5_581.0])


def strata(population: list[int], **options: object) -> Strata:
    return Strata.build([str(h) for h in range(len(population))], np.array(population), **options)  # type: ignore[arg-type]


def test_cochrans_cities() -> None:
    """V of the total of 64 cities, n = 24: 1,882,293 in proportion (6, 18) and 1,090,827 for (12, 12)."""
    shared = proportional(CITIES, size=24)
    assert shared.drawn.tolist() == [6, 18]
    of_total = (CITIES.population**2 * CITY_VARIANCE)[None, :]
    assert CITIES.variance(of_total, shared.drawn)[0] == pytest.approx(1_882_293, abs=1)
    assert CITIES.variance(of_total, np.array([12, 12]))[0] == pytest.approx(1_090_827, abs=1)
    best = neyman(CITIES, np.sqrt(CITY_VARIANCE), size=24)
    # N S = 3,712 and 3,586 there, so n = 24 x 3,712/7,298 and 24 x 3,586/7,298.
    assert best.exact == pytest.approx([24 * 3712 / 7298, 24 * 3586 / 7298], abs=0.01)
    assert best.drawn.tolist() == [12, 12]


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


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(min_value=2, max_value=9), min_size=3, max_size=3),
    st.lists(st.floats(min_value=0.1, max_value=9), min_size=3, max_size=3),
    st.floats(min_value=0, max_value=1),
)
def test_a_fixed_size_is_shared_out_as_no_other_way_beats(
    population: list[int], spread: list[float], part: float
) -> None:
    made_of = strata(population, minimum=1.0)
    size = 3 + round(part * (sum(population) - 3))
    made = neyman(made_of, np.array(spread), size=size)
    of_total = (made_of.population * spread)[None, :] ** 2
    best = min(
        made_of.variance(of_total, np.array(drawn))[0]
        for drawn in itertools.product(*(range(1, most + 1) for most in population))
        if sum(drawn) == size
    )
    assert made.drawn.sum() == size
    assert made.exact.sum() == pytest.approx(size)
    assert made_of.variance(of_total, made.drawn)[0] == pytest.approx(best, rel=1e-12, abs=1e-9)


def test_power_allocation_runs_from_equal_cvs_to_neyman() -> None:
    made_of = strata([5_000, 800, 90_000], response=np.array([0.5, 1.0, 0.8]))
    mean, spread = np.array([3.0, 40.0, 0.2]), np.array([4.0, 20.0, 0.9])
    total = made_of.population * mean
    assert power(made_of, spread / mean, total, 1.0, size=500).exact == pytest.approx(
        neyman(made_of, spread, size=500).exact, rel=1e-9
    )
    # q = 0 makes the sum of squared CVs, CV^2 = (S/mean)^2/(r g), the least: compared with scipy.
    equal = power(made_of, spread / mean, total, 0.0, size=500)
    found = minimize(
        lambda g: 1e3 * float(np.sum((spread / mean) ** 2 / (made_of.response * g))),
        np.full(3, 500 / 3),
        constraints={"type": "eq", "fun": lambda g: g.sum() - 500},
        bounds=[(2, 500)] * 3,
    )
    assert equal.exact == pytest.approx(found.x, rel=2e-3)


def test_a_budget_is_used_up_and_no_more() -> None:
    made_of = strata([300, 500], cost=np.array([2.0, 7.0]), minimum=4.0)
    made = neyman(made_of, np.array([1.0, 2.0]), budget=401.0)
    assert 401 - 7 < made.cost <= 401
    assert float(made_of.cost @ made.exact) == pytest.approx(401)
    # g ~ N S/sqrt(c)
    assert made.exact[1] / made.exact[0] == pytest.approx((1000 / np.sqrt(7)) / (300 / np.sqrt(2)))
    with pytest.raises(AxstatError, match="36 to 4100"):
        neyman(made_of, np.array([1.0, 2.0]), budget=30.0)
    with pytest.raises(AxstatError, match="8 to 800"):
        proportional(made_of, size=900)


def test_strata_that_cannot_be_are_named() -> None:
    with pytest.raises(ViolationsError) as raised:
        Strata.build(
            ["a", "b", "b"],
            np.array([10.0, 0.0, 2.5]),
            cost=np.array([1.0, 0.0, 1.0]),
            response=np.array([1.2, 1.0, 1.0]),
        )
    found = {fault.code: fault.where for fault in raised.value.violations}
    assert found == {
        "stratum_repeated": "strata b",
        "population_not_valid": "strata b, b",
        "cost_not_valid": "strata b",
        "response_not_valid": "strata a",
    }
    with pytest.raises(ViolationsError, match="limits_contradict"):
        strata([100, 100], minimum=20.0, maximum=np.array([10.0, 50.0]))


def test_the_inverse_of_respondents_is_that_of_coin_throws() -> None:
    """E(1/n | n > 0) of n ~ binomial(g, r), term by term; what is left out is of order 1/(r g)^3."""
    for drawn, response in ((40, 0.5), (100, 0.3), (60, 0.8)):
        chance = np.array([comb(drawn, n) * response**n * (1 - response) ** (drawn - n) for n in range(1, drawn + 1)])
        exact = float(np.sum(chance / np.arange(1, drawn + 1)) / chance.sum())
        one = strata([1_000], response=response)
        net = response * drawn
        assert one.inverse(np.array([drawn]))[0] == pytest.approx(exact, abs=4 / net**3)
        assert abs(1 / net - exact) > 5 * abs(one.inverse(np.array([drawn]))[0] - exact)


def test_domains_that_cut_across_strata_take_the_spread_of_the_whole_stratum() -> None:
    """From the units themselves: z = y - mean in the domain, 0 outside; u = N_h^2/N_d^2 var(z)."""
    draw = np.random.default_rng(7)
    stratum = np.repeat([0, 1, 2], [30, 50, 20])
    cell = draw.integers(0, 3, 100)
    y = draw.normal(stratum + 2 * cell, 1.0)
    parts = [(h, k) for h in range(3) for k in range(3)]
    rows = [y[(stratum == h) & (cell == k)] for h, k in parts]
    size = np.array([len(row) for row in rows], dtype=float)
    mean = np.array([row.mean() for row in rows])
    spread = np.array([row.std(ddof=1) for row in rows])
    code = np.array([h for h, _ in parts])
    inside = [np.array([k == wanted for _, k in parts]) for wanted in range(3)] + [np.ones(9, dtype=bool)]
    made = domain_figures(code, size, mean, spread, inside, n_strata=3)
    for d in range(4):
        member = (cell == d) if d < 3 else np.ones(100, dtype=bool)
        centre = y[member].mean()
        z = np.where(member, y - centre, 0.0)
        expected = [(stratum == h).sum() ** 2 / member.sum() ** 2 * z[stratum == h].var(ddof=1) for h in range(3)]
        assert made.mean[d] == pytest.approx(centre)
        assert made.unit_variance[d] == pytest.approx(expected)
    centre, whole = stratum_figures(code, size, mean, spread, n_strata=3)
    assert centre == pytest.approx([y[stratum == h].mean() for h in range(3)])
    assert whole == pytest.approx([y[stratum == h].std(ddof=1) for h in range(3)])


def test_the_spread_of_a_share_is_that_of_its_ones_and_zeros() -> None:
    ones = np.array([0.0] * 7 + [1.0] * 3)
    assert share_spread(np.array([0.3, 1.0]), np.array([10.0, 1.0])) == pytest.approx([ones.std(ddof=1), 0.0])


def test_the_change_that_can_be_detected_without_overlap_is_that_of_two_samples() -> None:
    """statsmodels solves the power of the two-sample z test; its two-sided power counts the other tail, 1e-9 here."""
    spread, n = 0.45, 400.0
    se = np.array([spread / np.sqrt(n)])
    made = detectable_change(se, se, np.zeros(1), power=0.9, level=0.95)
    effect = NormalIndPower().solve_power(nobs1=n, alpha=0.05, power=0.9, ratio=1.0)
    assert made[0] == pytest.approx(effect * spread, rel=1e-6)


def test_the_covariance_of_two_waves_is_that_of_units_drawn_twice() -> None:
    """Two samples of 12 of 30 with 9 units in common, drawn many times; the formula of method.md 3."""
    draw = np.random.default_rng(11)
    one = strata([30])
    y1 = draw.normal(0, 1, 30)
    y2 = 0.6 * y1 + draw.normal(0, 0.5, 30)
    spread = np.sqrt(y1.var(ddof=1) * y2.var(ddof=1))
    rho = np.corrcoef(y1, y2)[0, 1]
    formula = panel_covariance(one, np.array([[spread]]), np.array([12]), overlap=0.75, correlation=rho)[0]
    samples = 40_000
    turn = draw.permuted(np.tile(np.arange(30), (samples, 1)), axis=1)
    first, second = y1[turn[:, :12]].mean(axis=1), y2[turn[:, 3:15]].mean(axis=1)
    products = (first - first.mean()) * (second - second.mean())
    assert abs(products.mean() - formula) < 4 * products.std() / np.sqrt(samples)
    # Of 30, two samples of 24 share 18 at least; a census shares all.
    at_least = panel_covariance(one, np.ones((1, 1)), np.array([24]), overlap=0.0, correlation=1.0)[0]
    assert at_least == pytest.approx(18 / 24 / 24 - 1 / 30)
    assert panel_covariance(one, np.ones((1, 1)), np.array([30]), overlap=0.0, correlation=1.0)[0] == pytest.approx(0)
