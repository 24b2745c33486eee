"""Allocations against published ones and brute force; what they promise against chance itself."""

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
