"""The covariance of two waves of any file: by hand, at its limits, against repeated sampling."""

import numpy as np
import polars as pl
import pytest

from pipelines.stats.design import SurveyDesign
from pipelines.stats.linearization import linearized_mean, linearized_total
from pipelines.stats.overlap import overlap_covariance
from pipelines.stats.variance import variance


def wave(units: list[tuple[str, str, float, float]], *, population: bool = True) -> tuple[pl.DataFrame, SurveyDesign]:
    """Rows of (unit, stratum, N, y) with weight N/n."""
    frame = pl.DataFrame(units, schema=["id", "h", "N", "y"], orient="row").with_columns(
        (pl.col("N") / pl.len().over("h")).alias("w")
    )
    return frame, SurveyDesign.from_frame(
        frame, weight="w", strata="h", stages=["id"], population=["N"] if population else ()
    )


def covariance_of_totals(one: tuple[pl.DataFrame, SurveyDesign], two: tuple[pl.DataFrame, SurveyDesign]) -> float:
    influences = [linearized_total(design, frame["y"].to_numpy()[:, None]).influence for frame, design in (one, two)]
    found = overlap_covariance(one[1], two[1], (one[0]["id"], two[0]["id"]), (influences[0], influences[1]))
    return float(found[0])


def test_covariance_by_hand() -> None:
    """n1 = 3 of 12, n2 = 4 of 12, m = 2 (b, c): z1 = 4 (1, 3), z2 = 3 (2, 5); (1 - 12/(2 12)) 2/1 (8 9/2) = 36."""
    before = wave([("a", "s", 12, 7), ("b", "s", 12, 1), ("c", "s", 12, 3)])
    after = wave([("b", "s", 12, 2), ("c", "s", 12, 5), ("d", "s", 12, 0), ("e", "s", 12, 9)])
    assert covariance_of_totals(before, after) == pytest.approx(0.5 * 2 * (4 * 2 / 2) * (3 * 3 / 2) * 2)


def test_the_same_wave_twice_has_its_variance() -> None:
    """All units common: C = V, so a difference of nothing has no variance."""
    rng = np.random.default_rng(1)
    units = [(f"{h}{j}", h, 40.0, float(y)) for h in "st" for j, y in enumerate(rng.normal(size=6))]
    frame, design = wave(units)
    influence = linearized_total(design, frame["y"].to_numpy()[:, None]).influence
    assert covariance_of_totals((frame, design), (frame, design)) == pytest.approx(variance(design, influence)[0])


def test_units_that_moved_or_are_alone_add_nothing() -> None:
    before = wave([("a", "s", 9, 1), ("b", "s", 9, 2), ("c", "t", 9, 3), ("d", "t", 9, 5)])
    moved = wave([("a", "t", 9, 1), ("b", "t", 9, 4), ("x", "s", 9, 0), ("y", "s", 9, 1)])
    assert covariance_of_totals(before, moved) == 0.0
    one_left = wave([("a", "s", 9, 1), ("x", "s", 9, 4), ("c", "t", 9, 0), ("y", "t", 9, 1)])
    assert covariance_of_totals(before, one_left) == 0.0


@pytest.mark.slow
def test_variance_of_the_change_is_that_of_repeated_samples() -> None:
    """2,000 pairs of samples, 70 % overlap: the mean of V1 + V2 - 2 C is within 3.5 Monte Carlo errors of the truth."""
    rng = np.random.default_rng(20261124)
    size, n, kept, draws = 200, 40, 28, 2000
    y1 = rng.normal(10, 3, size)
    y2 = 0.8 * y1 + rng.normal(3, 1, size)
    changes, estimated = [], []
    for _ in range(draws):
        order = rng.permutation(size)
        first, second = order[:n], np.concatenate([order[:kept], order[n : 2 * n - kept]])
        parts = []
        for drawn, y in ((first, y1), (second, y2)):
            frame, design = wave([(str(i), "s", float(size), float(y[i])) for i in drawn])
            parts.append((frame, design, linearized_mean(design, frame["y"].to_numpy()[:, None])))
        (f1, d1, p1), (f2, d2, p2) = parts
        c = overlap_covariance(d1, d2, (f1["id"], f2["id"]), (p1.influence, p2.influence))[0]
        changes.append(p2.estimate[0] - p1.estimate[0])
        estimated.append(variance(d1, p1.influence)[0] + variance(d2, p2.influence)[0] - 2 * c)
    truth = np.var(changes, ddof=1)
    error = np.sqrt(2 * truth**2 / (draws - 1) + np.var(estimated) / draws)
    assert abs(np.mean(estimated) - truth) <= 3.5 * error
