"""Rules of quantiles against their definitions and R."""

import numpy as np
import pytest

from pipelines.stats.quantile_rules import RULES, Distribution, QuantileRule

# Hyndman and Fan's types as numpy names them.
NUMPY_METHODS: dict[QuantileRule, str] = {
    "math": "inverted_cdf",
    "hf1": "inverted_cdf",
    "school": "averaged_inverted_cdf",
    "hf2": "averaged_inverted_cdf",
    "hf4": "interpolated_inverted_cdf",
    "hf5": "hazen",
    "hf6": "weibull",
    "hf7": "linear",
    "hf8": "median_unbiased",
    "hf9": "normal_unbiased",
}


@pytest.mark.parametrize("rule", NUMPY_METHODS)
def test_equal_weights_give_the_types_of_hyndman_and_fan(rule: QuantileRule) -> None:
    """Weights of 1 leave the unweighted definitions, which numpy has too.

    Probabilities between the first and the last row's share: below, R's math and hf4 go their own way.
    """
    rng = np.random.default_rng(4)
    for n in (7, 20, 101):
        y = np.sort(rng.normal(size=n))
        p = np.array([1.5 / n, 0.2, 0.25, 1 / 3, 0.5, 0.75, 0.9])
        found = Distribution.sorted_by(y, np.ones(n)).quantiles(p, rule)
        assert found == pytest.approx(np.quantile(y, p, method=NUMPY_METHODS[rule]), rel=1e-12)


@pytest.mark.parametrize("rule", ["math", "school"])
def test_whole_weights_repeat_rows(rule: QuantileRule) -> None:
    rng = np.random.default_rng(5)
    y, w = np.sort(rng.integers(0, 30, 40)).astype(float), rng.integers(1, 6, 40)
    p = np.linspace(0.05, 0.95, 19)
    found = Distribution.sorted_by(y, w.astype(float)).quantiles(p, rule)
    assert found == pytest.approx(np.quantile(np.repeat(y, w), p, method=NUMPY_METHODS[rule]))


def test_hf3_is_r_and_not_the_nearest_row() -> None:
    """R: ``survey:::qrule_hf3(c(10, 20, 30, 40, 50), rep(1, 5), p)``; ranks 2 and 4 are even, 1 and 3 are not."""
    found = Distribution.sorted_by(np.array([10.0, 20.0, 30.0, 40.0, 50.0]), np.ones(5))
    assert found.quantiles(np.array([0.2, 0.4, 0.5, 0.6, 0.8]), "hf3").tolist() == [20, 20, 30, 40, 40]


def test_shah_and_vaish_by_hand() -> None:
    """Weights of 1: positions (i + 0.5 - 0.5)/(n + 1) = i/(n + 1), a step function."""
    found = Distribution.sorted_by(np.array([10.0, 20.0, 30.0, 40.0]), np.ones(4))
    assert found.quantiles(np.array([0.1, 0.2, 0.39, 0.41, 0.99]), "shahvaish").tolist() == [10, 10, 10, 20, 40]


def test_below_the_first_share_and_at_the_end() -> None:
    """R: ``survey:::qrule_math(c(10, 20, 30), c(1, 1, 1), 0.1)`` is 20, of one row the row itself."""
    three = Distribution.sorted_by(np.array([10.0, 20.0, 30.0]), np.ones(3))
    assert three.quantiles(np.array([0.1]), "math").tolist() == [20.0]
    one = Distribution.sorted_by(np.array([7.0]), np.array([2.0]))
    for rule in RULES:
        assert one.quantiles(np.array([0.1, 0.9]), rule).tolist() == [7.0, 7.0]
        assert three.quantiles(np.array([1.0]), rule).tolist() == [30.0]


def test_hf4_between_two_rows_is_rounded_as_r_rounds_it() -> None:
    """R's expression q_low (1 - gamma) + q_up gamma, whose last digit decides the share at or below the quantile."""
    draw = np.random.default_rng(7)
    for _ in range(200):
        low, high = np.sort(draw.uniform(1, 99, 2))
        seen = Distribution.sorted_by(np.array([0.0, low, high]), np.ones(3))
        gap, rest = 0.9 - seen.cumulated[1] / 3, 1.0 - 0.9
        gamma = gap / (rest + gap)
        assert seen.quantiles(np.array([0.9]), "hf4")[0] == low * (1 - gamma) + high * gamma


def test_weights_below_zero_count_at_the_last_reach() -> None:
    """R: ``survey:::qrule_math(1:4, c(3, 2, -1, 2), 0.7)``: sums 3, 5, 4, 6; the last at most 4.2 is the third row."""
    found = Distribution.sorted_by(np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.0, 2.0, -1.0, 2.0]))
    assert found.quantiles(np.array([0.7]), "math").tolist() == [4.0]


@pytest.mark.parametrize("rule", sorted(RULES))
def test_between_ties_a_quantile_is_their_value_and_no_hair_below(rule: QuantileRule) -> None:
    """A hair below, the share of rows at or below it would be that of the value before: another interval."""
    rng = np.random.default_rng(8)
    for value in (5.0, 0.1, 1e7 / 3):
        seen = Distribution.sorted_by(np.full(200, value), rng.uniform(1, 9, 200))
        assert np.unique(seen.quantiles(rng.uniform(0.05, 0.95, 500), rule)).tolist() == [value]
