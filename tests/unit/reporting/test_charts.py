import re

import pytest

from pipelines.reporting import charts, stacked_charts
from pipelines.reporting.charts import Dot, Frame, Goal, Line, Point
from pipelines.reporting.drawing import NARROW, PALETTE, WIDE
from pipelines.reporting.stacked_charts import Part, Stack

FRAME = Frame("synthetic data", "Estimate (95 % CI)", "n")
DOTS = [
    Dot("Manufacturing", "40.0 % (35.0–45.0)", "40.0 %", "460", 0.40, 0.35, 0.45, earlier=0.38),
    Dot("Defence · census", "30.0 %", "30.0 %", "5", 0.30, 0.30, 0.30, census=True),
    Dot("Legal, accounting and professional services", "[u]", "[u]", "12", reason="too few"),
]
POINTS = [
    Point(2021, 0.03, 0.02, 0.04, "3.0", "old"),
    Point(2022, 0.28, 0.27, 0.29, "28.0", "new"),
    Point(2023, 0.30, 0.29, 0.31, "30.0", "new"),
]
GOAL = Goal(0.7, 2030, "Target 70 %", ("needed: 5.7 points", "a year"))
STACKS = [
    Stack("All", (Part(0.6, "60.0"), Part(0.37, "37.0"), Part(0.03, "3.0")), "40.0 %"),
    Stack("Some", (Part(0.5, "50.0"), Part(0.25, "25.0"), Part(0.25, "25.0")), "50.0 %"),
]


def _texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_dot_plot_writes_every_label_number_and_n(width: int) -> None:
    svg = charts.dot_plot(DOTS, FRAME, accent="industry", width=width, target=Line(0.7, "National target 70 %"))
    found = _texts(svg)
    for dot in DOTS:
        assert (dot.text if width == WIDE else dot.short) in found
        assert dot.n in found
        assert dot.label in found or all(word in " ".join(found) for word in dot.label.split())
    assert "National target 70 %" in found
    assert "too few" in found
    assert "synthetic data" in found


def test_only_what_has_a_number_gets_a_dot() -> None:
    svg = charts.dot_plot(DOTS, FRAME, accent="public", width=WIDE)
    assert svg.count(f'fill="{PALETTE["public"]}" stroke="{PALETTE["paper"]}"') == 2
    assert svg.count(f'fill="{PALETTE["public_soft"]}"') == 1


def test_a_census_has_no_whisker() -> None:
    with_interval = charts.dot_plot(DOTS[:1], FRAME, accent="industry", width=WIDE)
    without = charts.dot_plot(DOTS[1:2], FRAME, accent="industry", width=WIDE)
    whisker = f'stroke="{PALETTE["industry"]}" stroke-linecap="round"'
    assert whisker in with_interval or 'stroke-width="2.2"' in with_interval
    assert 'stroke-width="2.2"' not in without


def test_series_are_not_joined_over_a_break() -> None:
    svg = charts.series_plot(
        POINTS, FRAME, accent="industry", goal=GOAL, breaks=[charts.Break(2021, 2022, ("new question",))]
    )
    lines = re.findall(rf'<path[^>]*stroke="{PALETTE["industry"]}" stroke-width="2.4"', svg)
    # One line a segment: a segment of a single wave has nothing to join
    assert len(lines) == 2
    found = _texts(svg)
    assert {"3.0", "28.0", "30.0", "new question", "Target 70 %", "2021", "2022", "2023", "2030"} <= set(found)


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_bars_fill_their_width_and_leave_out_numbers_without_room(width: int) -> None:
    svg = stacked_charts.stacked_bars(STACKS, ["none", "some", "all of it"], FRAME, width=width)
    found = _texts(svg)
    assert {"60.0", "37.0", "50.0", "All", "Some", "40.0 %", "none", "some", "all of it"} <= set(found)
    assert "3.0" not in found
    edges = [float(edge) for edge in re.findall(r'<path[^>]*d="M[\d.]+,[\d.]+h([\d.]+)v2[24]', svg)]
    bar = edges[:3]
    assert sum(bar) == pytest.approx(sum(edges[3:6]))
    assert bar[0] / sum(bar) == pytest.approx(0.6)


def test_axis_of_small_shares_ends_near_them() -> None:
    small = [Dot("a", "3.0 %", "3.0 %", "100", 0.03, 0.02, 0.04)]
    assert "10\u00a0%" in _texts(charts.dot_plot(small, FRAME, accent="industry", width=WIDE))
    assert "100\u00a0%" not in _texts(charts.dot_plot(small, FRAME, accent="industry", width=WIDE))


FAN = [charts.Ahead(year, 0.30 + 0.03 * (year - 2023), 0.25, 0.40 + 0.03 * (year - 2023)) for year in range(2024, 2031)]


def test_the_fan_is_an_area_and_a_dotted_line_to_the_target_year() -> None:
    without = charts.series_plot(POINTS, FRAME, accent="industry", goal=GOAL)
    svg = charts.series_plot(POINTS, FRAME, accent="industry", goal=GOAL, fan=FAN)
    soft = f'fill="{PALETTE["industry_soft"]}"'
    assert soft in svg
    assert soft not in without
    assert 'stroke-dasharray="1,3"' in svg
    assert 'stroke-dasharray="1,3"' not in without


def test_the_required_path_runs_along_its_years_and_numbers_give_way_to_it() -> None:
    required = tuple((year, 0.28 + 0.0525 * (year - 2022)) for year in range(2022, 2031))
    goal = Goal(0.7, 2030, "Target 70 %", ("needed: 5.7 points", "a year"), required)
    svg = charts.series_plot(POINTS, FRAME, accent="industry", goal=goal)
    straight = charts.series_plot(POINTS, FRAME, accent="industry", goal=GOAL)
    (path,) = re.findall(r'<path[^>]*stroke-dasharray="4,4"[^>]*>', svg)
    assert path.count("L") == 8
    (path,) = re.findall(r'<path[^>]*stroke-dasharray="4,4"[^>]*>', straight)
    assert path.count("L") == 1

    def height(picture: str, number: str) -> float:
        return float(re.search(rf'y="([\d.]+)"[^>]*>{number}<', picture)[1])

    assert height(svg, "30.0") > height(straight, "30.0")
