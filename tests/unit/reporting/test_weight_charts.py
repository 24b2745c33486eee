"""The charts of the weight report show the numbers they are given."""

import re

import numpy as np
import pytest

from pipelines.reporting.drawing import LABEL, WIDE
from pipelines.reporting.fonts import text_width
from pipelines.reporting.weight_charts import BINS, Distance, distance_plot, histogram, round_ticks


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 10, [0, 5, 10]), (0.93, 1.21, [1.0, 1.1, 1.2]), (3, 1250, [500, 1000]), (-0.2, 0.4, [-0.2, 0.0, 0.2, 0.4])],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert round_ticks(low, high, most=3) == pytest.approx(ticks, abs=1e-12)


def test_bars_of_a_histogram() -> None:
    """Ten units at the low end and five at the high one, in bars of 400 / BINS = 10 pixels, 140 and 70 high."""
    assert BINS == 40
    svg = histogram(np.array([1.0] * 10 + [5.0] * 5), width=400, low=1, high=5)
    assert "tallest bar: 10 units" in svg
    drawn = re.search(r"mark-rect.*?</g>", svg, flags=re.DOTALL)
    assert drawn is not None
    numbers = [[float(each) for each in re.findall(r"[\d.]+", path)] for path in re.findall(r' d="([^"]*)"', drawn[0])]
    # M x,y h width v height h -width
    assert numbers == [pytest.approx([0, 0, 10, 140, 10]), pytest.approx([390, 70, 10, 70, 10])]


def test_a_histogram_of_one_value() -> None:
    svg = histogram(np.array([2.0, 2.0]), width=400, low=2, high=2)
    assert "tallest bar: 2 units" in svg
    assert ">2<" in svg


def test_distances_are_on_one_axis_of_both_signs() -> None:
    long = "region=a label that finds no room beside the plot, however wide the picture of the page is made"
    svg = distance_plot([Distance("region=N", -0.2, 0.0), Distance(long, 0.1, 0.0)], width=WIDE)
    assert "-20\u00a0%" in svg
    assert ">20\u00a0%" in svg
    assert long not in svg
    (shown,) = re.findall(r">(region=a [^<]*…)<", svg)
    assert text_width(shown, LABEL) <= 0.4 * WIDE


def test_distances_of_totals_that_were_met_already() -> None:
    assert "region=N" in distance_plot([Distance("region=N", 0.0, 0.0)], width=WIDE)
