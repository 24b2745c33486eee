"""The compiled loops: what they add up by hand, and what they leave alone."""

import subprocess
import sys
from typing import Any

import numba
import numpy as np
import pytest

from pipelines.stats import kernels
from pipelines.stats.row_sums import OWN, SHARED, SUMS

# Units (rows 0-2), (3-4); strata 0, 1; domain -1 is outside. Weights 2, 0, 1 | 3, 4.
START = np.array([0, 3, 5])
STRATUM = np.array([0, 1])
DOMAIN = np.array([0, 0, -1, 1, 1])
WEIGHT = np.array([2.0, 0.0, 1.0, 3.0, 4.0])
Y = np.array([1.0, 5.0, 9.0, 2.0, 1.0])


def readonly(*arrays: np.ndarray) -> list[np.ndarray]:
    """As columns of a frame come."""
    copies = [array.copy() for array in arrays]
    for copy in copies:
        copy.flags.writeable = False
    return copies


def complete(about: float = 0.0, *, y: np.ndarray = Y, spread: bool = True) -> tuple[np.ndarray, np.ndarray]:
    shared, own = np.zeros((2, 2, len(SHARED))), np.zeros((2, 2, 1, len(OWN)))
    rows = readonly(START, STRATUM, DOMAIN, WEIGHT)
    (values,) = readonly(y)
    kernels.add_complete(*rows, np.array([values.ctypes.data]), np.full((2, 1), about), spread, shared, own)
    return shared, own


def alone(x: np.ndarray, about: float = 0.0, *, y: np.ndarray = Y) -> np.ndarray:
    sums = np.zeros((2, 2, len(SUMS)))
    kernels.add_measure(*readonly(START, STRATUM, DOMAIN, WEIGHT, y, x), np.full(2, about), sums)
    return sums


def test_sums_by_hand() -> None:
    """Domain 0, stratum 0: A = 2, B = 2; domain 1, stratum 1: A = 3 x 2 + 4 x 1 = 10, B = 7, sum w y^2 = 16."""
    shared, own = complete()
    first = {"n": 1, "weight": 2, "units": 1, "acting": 1, "bottom_bottom": 4, "row_bottom_bottom": 4}
    second = {"n": 2, "weight": 7, "units": 1, "acting": 1, "bottom_bottom": 49, "row_bottom_bottom": 25}
    assert dict(zip(SHARED, shared[0, 0], strict=True)) == first
    assert dict(zip(SHARED, shared[1, 1], strict=True)) == second
    assert shared[0, 1].any() == shared[1, 0].any() == False  # noqa: E712 - numpy's False
    assert own[0, 0, 0].tolist() == [2, 4, 4, 2]
    assert own[1, 1, 0].tolist() == [10, 100, 70, 16]


def test_the_two_loops_agree_and_add_to_what_is_there() -> None:
    for about in (0.0, 0.75):
        shared, own = complete(about)
        sums = alone(np.zeros(0), about)
        for name in SUMS:
            expected = own[:, :, 0, OWN.index(name)] if name in OWN else None
            if expected is None:
                expected = shared[:, :, SHARED.index("weight" if name == "bottom" else name)]
            assert sums[:, :, SUMS.index(name)] == pytest.approx(expected, abs=1e-14), name
    twice = np.zeros((2, 2, len(SUMS)))
    for _ in range(2):
        kernels.add_measure(*readonly(START, STRATUM, DOMAIN, WEIGHT, Y, np.zeros(0)), np.zeros(2), twice)
    assert np.array_equal(twice, 2 * alone(np.zeros(0)))


def test_without_spread_the_squares_stay_zero() -> None:
    assert complete(spread=False)[1][:, :, 0, OWN.index("row_top_top")].any() == False  # noqa: E712
    assert np.array_equal(complete(spread=False)[1][..., :3], complete()[1][..., :3])


@pytest.mark.parametrize("gap", [np.nan, np.inf, -np.inf])
def test_missing_values_are_left_out_of_their_measure_only(gap: float) -> None:
    """Row 3 has no y, or no x: A = B = 4 of row 4 alone; a unit without any is no unit; one spoils a complete sum."""
    holes = np.where(np.arange(5) == 3, gap, Y)
    for sums in (alone(np.zeros(0), y=holes), alone(np.where(np.arange(5) == 3, gap, 1.0))):
        found = dict(zip(SUMS, sums[1, 1], strict=True))
        assert (found["n"], found["units"], found["top"], found["bottom"], found["row_bottom_bottom"]) == (
            1,
            1,
            4,
            4,
            16,
        )
    nothing = alone(np.zeros(0), y=np.where(DOMAIN == 1, gap, Y))
    assert not nothing[1].any()
    assert not np.isfinite(complete(y=holes)[1][1, 1, 0, 0])
    assert np.isfinite(complete(y=holes)[1][0, 0]).all()


def test_a_ratio_by_hand() -> None:
    """x = 2 on all rows: B = 14, (w x)^2 = 36 + 64; about 0.5 takes 0.5 x 2 off y: A = 3 x 1 + 4 x 0."""
    found = dict(zip(SUMS, alone(np.full(5, 2.0), 0.5)[1, 1], strict=True))
    assert (found["top"], found["bottom"], found["row_bottom_bottom"], found["top_bottom"]) == (3, 14, 100, 42)


def test_without_a_folder_for_compiled_code_a_loop_is_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = numba.njit, []

    def without_cache(signature: Any, *, cache: bool = False, **options: Any) -> Any:
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(signature, **options)

    monkeypatch.setattr(kernels.numba, "njit", without_cache)

    def double(values: np.ndarray) -> None:
        for place in range(len(values)):
            values[place] *= 2.0

    values = np.array([1.0, 2.0])
    kernels._compiled(numba.types.float64[::1])(double)(values)
    assert asked == [True, False]
    assert values.tolist() == [2, 4]


def test_numba_is_loaded_only_to_read_rows() -> None:
    """It takes a third of a second, which the commands that read none need not pay."""
    program = "import sys, pipelines.estimation.run, pipelines.stats.rates; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("columns", [1, 2])
def test_replicate_sums_by_hand(columns: int) -> None:
    """Unit 1 of the factors has rows 0-2, unit 0 rows 3-4: A = 2 in domain 0, times 5 and 7; 10 in 1, times 3 and 4.

    Of the full sample, factors 1 and 2 of the units, A is 4 and 10; of ones in a second column 4 and 7.
    """
    totals = np.zeros((1, 2, 2, kernels.LANES))
    unit = np.array([1, 0])
    values = readonly(Y, np.ones(5))[:columns]
    whole, factor = np.array([1.0, 2.0]), np.array([[3.0, 4.0], [5.0, 7.0]])
    at = np.array([column.ctypes.data for column in values])
    for _ in range(2):
        kernels.add_replicates(*readonly(START, unit, DOMAIN, WEIGHT), at, whole, factor, totals)
    assert (totals[0, 0, 0, :3] / 2).tolist() == [10, 14, 4]
    assert (totals[0, 1, 0, :3] / 2).tolist() == [30, 40, 10]
    assert (totals[0, :, 1, :3] / 2).tolist() == ([[10, 14, 4], [21, 28, 7]] if columns == 2 else [[0] * 3] * 2)
    assert not totals[:, :, :, 3:].any()
