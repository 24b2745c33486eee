"""Permanent random numbers and what is drawn by them: frequencies, overlap, rows in any order."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, kstest

from pipelines.stats.selection import found_start, moved_start, permanent_random_numbers, select


def test_numbers_are_the_first_53_bits_of_blake2b() -> None:
    """From coreutils: printf 'firms\\0%s' 1010012345 | b2sum -l 64, and of 가나."""
    made = permanent_random_numbers("firms", ["1010012345", "가나"])
    assert made.tolist() == [(0x6527F8E4071C159E >> 11) / 2**53, (0xE296E25ABEDBEC8C >> 11) / 2**53]


def test_numbers_are_uniform_and_surveys_are_independent() -> None:
    units = [f"{number:07d}" for number in range(20_000)]
    first, second = (permanent_random_numbers(survey, units) for survey in ("a", "b"))
    assert kstest(first, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(len(units))
    assert len(np.unique(first)) == len(units)


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_rows_in_another_order_are_the_same_sample(seed: int) -> None:
    draw = np.random.default_rng(seed)
    count = int(draw.integers(1, 60))
    stratum = draw.integers(0, 4, count)
    # Few distinct numbers, so that many are equal.
    number = draw.integers(0, 12, count) / 12
    units = pl.Series([f"u{row}" for row in range(count)])
    drawn, start = draw.integers(0, 8, 4), draw.random(4)
    made = select(stratum, number, units, drawn=drawn, start=start)
    assert (
        np.bincount(stratum[made], minlength=4).tolist()
        == np.minimum(drawn, np.bincount(stratum, minlength=4)).tolist()
    )
    order = draw.permutation(count)
    again = select(stratum[order], number[order], units.gather(order), drawn=drawn, start=start)
    assert (again == made[order]).all()


def test_units_from_the_start_on_round_the_circle() -> None:
    number = np.array([0.1, 0.3, 0.5, 0.9])
    made = select(
        np.zeros(4, dtype=np.int64), number, pl.Series(list("abcd")), drawn=np.array([2]), start=np.array([0.6])
    )
    assert made.tolist() == [True, False, False, True]


def waves(
    samples: int, seed: int, second_start: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """How often each unit is drawn in the second wave, and the share of the first sample that is kept.

    First 20 units of which 6 are drawn; then 3 of the units have left and 5 are born, and 7 are drawn.
    """
    draw = np.random.default_rng(seed)
    number = draw.random((samples, 25))
    label = np.repeat(np.arange(samples), 25)
    old, new = np.arange(25) < 20, np.arange(25) >= 3
    units = pl.Series([f"{row:08d}" for row in range(samples * 25)])
    beginning = draw.random(samples)

    def drawn(there: np.ndarray, count: int, start: np.ndarray) -> np.ndarray:
        at = np.flatnonzero(np.tile(there, samples))
        made = np.zeros(samples * 25, dtype=bool)
        counts = np.full(samples, count)
        made[at] = select(label[at], number.ravel()[at], units.gather(at), drawn=counts, start=start)
        return made.reshape(samples, 25)

    first = drawn(old, 6, beginning)
    rows = np.flatnonzero(first.ravel())
    second = drawn(new, 7, second_start(label[rows], number.ravel()[rows], beginning))
    staying = first & new
    return second[:, new].mean(axis=0), (second & staying).sum(axis=0)[new & old] / staying.sum(axis=0)[new & old]


def test_every_unit_has_its_probability_births_included_and_the_overlap_is_as_asked() -> None:
    samples = 40_000
    frequency, kept = waves(
        samples, 3, lambda _label, _number, start: moved_start(start, np.full(samples, 6 / 20), overlap=0.7)
    )
    error = np.sqrt(7 / 22 * 15 / 22 / samples)
    # 22 frequencies that add up to 7: chi-square with 21 degrees of freedom, variances by 22/21 larger.
    statistic = np.sum(((frequency - 7 / 22) / error) ** 2) * 21 / 22
    assert statistic < chi2.ppf(0.9999, 21)
    assert kept.mean() == pytest.approx(0.7, abs=0.02)


def test_starts_found_from_the_sample_alone_do_about_as_well() -> None:
    """Not exact: births and the rest within 1.5 % of their probability of 7/22."""
    samples = 40_000
    fraction = np.full(samples, 6 / 20)

    def found(label: np.ndarray, number: np.ndarray, _start: np.ndarray) -> np.ndarray:
        return moved_start(found_start(label, number, fraction, n_strata=samples), fraction, overlap=0.7)

    frequency, kept = waves(samples, 4, found)
    assert frequency[-5:].mean() == pytest.approx(7 / 22, rel=0.015)
    assert frequency[:-5].mean() == pytest.approx(7 / 22, rel=0.015)
    assert kept.mean() == pytest.approx(0.7, abs=0.02)


def test_a_found_start_lies_before_the_first_unit_after_the_widest_gap() -> None:
    stratum = np.array([0, 0, 0, 2, 2])
    number = np.array([0.95, 0.10, 0.02, 0.40, 0.30])
    made = found_start(stratum, number, np.array([0.3, np.nan, 0.5]), n_strata=3)
    # N is 3/0.3 and 2/0.5.
    assert made == pytest.approx([0.95 - 1 / 11, 0.0, 0.30 - 1 / 5])


def test_more_than_half_cannot_be_given_up_whole() -> None:
    start = moved_start(np.array([0.9]), np.array([0.8]), overlap=0.0)
    assert start == pytest.approx([0.7])
    number = np.arange(10) / 10 + 0.05
    stratum, units = np.zeros(10, dtype=np.int64), pl.Series(list("abcdefghij"))
    first = select(stratum, number, units, drawn=np.array([8]), start=np.array([0.9]))
    second = select(stratum, number, units, drawn=np.array([8]), start=start)
    assert (first & second).sum() == 6
