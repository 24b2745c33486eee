import numpy as np
import pytest

from pipelines.synthetic.population import choose, largest_remainder, shares


def test_largest_remainder_by_hand() -> None:
    # 10 in proportion 1 : 2 : 3 is 1.67, 3.33, 5: one unit is left for the largest remainder.
    assert largest_remainder(np.array([1.0, 2.0, 3.0]), 10).tolist() == [2, 3, 5]
    assert largest_remainder(np.array([0.0, 5.0]), 3).tolist() == [0, 3]


def test_shares_add_to_one_in_each_row() -> None:
    np.testing.assert_allclose(shares([[1, 3], [2, 2]]), [[0.25, 0.75], [0.5, 0.5]])


def test_choose_draws_with_the_rows_probabilities() -> None:
    table = np.array([[0.2, 0.8, 0.0], [0.0, 0.0, 1.0]])
    row = np.repeat([0, 1], 50_000)
    drawn = choose(table, row, np.random.default_rng(2))
    assert (drawn[row == 1] == 2).all()
    # Binomial with n = 50,000 and p = 0.2: standard deviation 0.0018.
    assert (drawn[row == 0] == 0).mean() == pytest.approx(0.2, abs=0.007)
    assert drawn[row == 0].max() == 1
