"""Separation and estimable columns. The fit itself is tested through models."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.stats.scoring import estimable_columns, infinite_coefficients


@given(
    values=st.lists(st.tuples(st.integers(-20, 20), st.booleans()), min_size=4, max_size=30),
    shift=st.sampled_from([0.0, 2020.0]),
)
@settings(max_examples=200, deadline=None)
def test_separation_on_one_variable(values: list[tuple[int, bool]], shift: float) -> None:
    """Intercept and x are separated when, and only when, one outcome's x all lie on one side of the other's."""
    x = np.array([value for value, _ in values], dtype=np.float64)
    y = np.array([answer for _, answer in values], dtype=np.float64)
    if len(np.unique(x)) < 2:
        return
    zero, one = x[y == 0], x[y == 1]
    apart = len(zero) == 0 or len(one) == 0 or zero.max() <= one.min() or one.max() <= zero.min()
    found = infinite_coefficients(np.column_stack([np.ones(len(x)), x + shift]), y, family="binomial")
    assert bool(found) == apart


def test_separation_is_found_in_a_large_file() -> None:
    """One cell of 40 units in 60,000 without a yes, beside a continuous variable."""
    rng = np.random.default_rng(11)
    n = 60_000
    cell = np.zeros(n)
    cell[rng.choice(n, 40, replace=False)] = 1.0
    x = np.column_stack([np.ones(n), rng.normal(size=n), cell])
    y = (rng.random(n) < 0.3).astype(np.float64)
    y[cell == 1] = 0.0
    assert infinite_coefficients(x, y, family="binomial") == [2]
    y[np.flatnonzero(cell)[0]] = 1.0
    assert infinite_coefficients(x, y, family="binomial") == []


def test_fractions_bind_the_direction() -> None:
    """A fractional outcome fixes its predictor: x'g = 0 there."""
    x = np.column_stack([np.ones(4), [0.0, 0.0, 1.0, 1.0]])
    assert infinite_coefficients(x, np.array([0.0, 1.0, 1.0, 1.0]), family="binomial") == [1]
    assert infinite_coefficients(x, np.array([0.0, 1.0, 1.0, 0.5]), family="binomial") == []


def test_columns_that_earlier_ones_determine_are_named() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(50, 3)) * [1.0, 1e6, 1e-6]
    twice = np.column_stack([x[:, 0], 2.0 * x[:, 0], x[:, 1], x[:, 0] - 3.0 * x[:, 1], x[:, 2], np.zeros(50)])
    assert estimable_columns(twice) == [0, 2, 4]
