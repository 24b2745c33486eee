import re

import altair as alt
import pytest

from pipelines.reporting import charts, drawing, stacked_charts
from pipelines.reporting.drawing import NARROW, PALETTE, WIDE, Board
from tests.unit.reporting.made_up import ANNUAL
from tests.unit.reporting.test_charts import DOTS, FRAME, GOAL, POINTS, STACKS

_STYLE = (ANNUAL / "style.css").read_text(encoding="utf-8")


def test_colours_differ_and_have_a_variable_in_both_themes() -> None:
    assert len(set(PALETTE.values())) == len(PALETTE)
    light, dark = _STYLE.split("@media screen and (prefers-color-scheme: dark)")
    for name, value in PALETTE.items():
        variable = f"--c-{name.replace('_', '-')}"
        assert re.search(rf"{variable}: {value};", light), name
        assert re.search(rf"{variable}: #[0-9a-f]{{6}};", dark.split("* {")[0]), name


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_contrast_of_wcag_aa(theme: str) -> None:
    """4.5 to 1, WCAG 2.2 success criterion 1.4.3, relative luminance as defined there."""
    light, rest = _STYLE.split("@media screen and (prefers-color-scheme: dark)")
    block = light if theme == "light" else rest.split("* {")[0]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
    for text in ("c-ink", "c-muted", "c-target", "c-industry", "c-public", "link"):
        for ground in ("paper", "panel"):
            assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for stage in range(5):
        figure = "c-on-dark" if stage >= 3 else "c-on-light"
        assert _contrast(colours[figure], colours[f"c-stage-{stage}"]) >= 4.5, stage


def test_specifications_follow_the_vega_lite_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, object]] = []

    def keep(board: Board, **size: float) -> str:
        made.append(board.specification(**size))
        return ""

    monkeypatch.setattr(Board, "svg", keep)
    target = charts.Line(0.7, "target")
    for width in (NARROW, WIDE):
        charts.dot_plot(DOTS, FRAME, accent="industry", width=width, target=target, reference=target)
        stacked_charts.stacked_bars(STACKS, ["a", "b", "c"], FRAME, width=width)
    charts.series_plot(POINTS, FRAME, accent="public", goal=GOAL, breaks=[charts.Break(2021, 2022, ("new question",))])
    assert len(made) == 5
    for specification in made:
        # Raises where the specification breaks the schema that altair carries
        alt.Chart.from_dict(specification, validate=True)


def test_the_picture_has_the_size_it_was_asked_for() -> None:
    board = Board(NARROW)
    board.draw([{"x": 10, "y": 5}], {"type": "point"}, x=drawing.pixels("x"), y=drawing.pixels("y"))
    svg = board.svg(height=100, top=20, bottom=30)
    assert 'width="352" height="150" viewBox="0 0 352 150"' in svg


def test_words_are_escaped_and_placed_over_the_marks() -> None:
    board = Board(NARROW)
    board.draw([{"x": 10, "y": 5}], {"type": "point"}, x=drawing.pixels("x"), y=drawing.pixels("y"))
    board.text([(10, 20, "a < b & c")], size=10)
    svg = board.svg(height=100, top=20, bottom=30)
    assert '<text x="10" y="23.5">a &lt; b &amp; c</text></g></g></svg>' in svg
    assert "font-family" not in svg


def test_ticks_keep_their_distance() -> None:
    assert drawing.ticks(1.0, 300, apart=56) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert drawing.ticks(1.0, 200, apart=56) == [0.0, 0.5, 1.0]
    assert drawing.ticks(0.1, 400, apart=56) == [0.0, 0.02, 0.04, 0.06, 0.08, 0.1]
