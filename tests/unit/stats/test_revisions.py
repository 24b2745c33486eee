"""Worked by hand from the formulas of ESS A6; no number here comes from the code."""

import numpy as np
import polars as pl
import pytest

from pipelines.errors import AxstatError
from pipelines.stats.revisions import average_revision, revision_triangle


def test_average_revisions_by_hand() -> None:
    """Three periods, first 30, 32, 40, later 31, 30, 40: revisions +1, -2, 0.

    MR = -1/3, MAR = 3/3 = 1, RMAR = 3/(31 + 30 + 40) = 3/101.
    """
    found = average_revision(np.array([30.0, 32.0, 40.0]), np.array([31.0, 30.0, 40.0]))
    assert found is not None
    assert found.n == 3
    assert found.mean == pytest.approx(-1 / 3)
    assert found.mean_absolute == pytest.approx(1.0)
    assert found.relative_mean_absolute == pytest.approx(3 / 101)


def test_revisions_that_cancel_show_in_mar_alone() -> None:
    """+2 and -2: no bias, but each figure moved by 2; RMAR = 4/(12 + 8)."""
    found = average_revision(np.array([10.0, 10.0]), np.array([12.0, 8.0]))
    assert found is not None
    assert (found.mean, found.mean_absolute, found.relative_mean_absolute) == (0.0, 2.0, pytest.approx(0.2))


def test_without_figures_there_is_no_average_and_without_level_no_relative_one() -> None:
    assert average_revision(np.array([]), np.array([])) is None
    found = average_revision(np.array([1.0]), np.array([0.0]))
    assert found is not None
    assert (found.mean, found.relative_mean_absolute) == (-1.0, None)


@pytest.mark.parametrize(("earlier", "later"), [([1.0], [1.0, 2.0]), ([float("nan")], [1.0]), ([1.0], [float("inf")])])
def test_pairs_that_are_no_pairs_are_refused(earlier: list[float], later: list[float]) -> None:
    with pytest.raises(AxstatError, match="revision_pairs"):
        average_revision(np.array(earlier), np.array(later))


def printed(*rows: tuple[int, str, int, float | None, float | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["wave", "vintage", "publication_order", "estimate", "se"], orient="row")


def test_a_triangle_by_hand() -> None:
    """2022 prints 30 %, then 31 % in the next wave's release, then 29 %; 2023 prints once."""
    found = revision_triangle(
        printed(
            (2022, "2022.2", 3, 0.29, 0.01),
            (2022, "2022.1", 1, 0.30, 0.01),
            (2022, "2023.1", 2, 0.31, 0.01),
            (2023, "2023.1", 2, 0.40, 0.01),
        ),
        figure=["wave"],
    )
    assert found.select("wave", "vintage", "previous_vintage", "differs").rows() == [
        (2022, "2022.1", None, False),
        (2022, "2023.1", "2022.1", True),
        (2022, "2022.2", "2023.1", True),
        (2023, "2023.1", None, False),
    ]
    assert found["change_pp"].to_list() == [None, pytest.approx(1.0), pytest.approx(-2.0), None]
    assert found["change_from_first_pp"].to_list() == [None, pytest.approx(1.0), pytest.approx(-1.0), None]


def test_a_standard_error_that_moves_is_a_revision_and_noise_is_none() -> None:
    found = revision_triangle(
        printed(
            (2022, "a", 1, 0.3, 0.01),
            (2022, "b", 2, 0.3 * (1 + 1e-12), 0.01),
            (2022, "c", 3, 0.3, 0.011),
            (2022, "d", 4, 0.3 * (1 + 1e-8), 0.011),
        ),
        figure=["wave"],
    )
    assert found["differs"].to_list() == [False, False, True, True]


def test_a_figure_that_cannot_be_printed_differs_from_one_that_can() -> None:
    found = revision_triangle(
        printed((2022, "a", 1, 0.3, 0.01), (2022, "b", 2, None, None), (2022, "c", 3, None, None)), figure=["wave"]
    )
    assert found["differs"].to_list() == [False, True, False]
    assert found["change_pp"].to_list() == [None, None, None]
