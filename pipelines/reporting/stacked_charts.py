"""Stacked bars of the report: parts that add to 1, with their legend.

Belongs here: marks and positions of such bars. Does not belong here: other charts (charts), words and number formats.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.reporting.charts import Frame
from pipelines.reporting.drawing import (
    LABEL,
    LEADING,
    PALETTE,
    SMALL,
    WIDE,
    Board,
    as_it_is,
    label_lines,
    labels_width,
    pixels,
    scaled,
)
from pipelines.reporting.fonts import text_width

# Stages whose bars are dark enough for light figures
_DARK_STAGES = (3, 4)


@dataclass(frozen=True)
class Part:
    """A part of a stacked bar: share 0 to 1 and its number as text; ``words``, ``source`` as of charts.Dot."""

    share: float
    text: str
    words: str = ""
    source: str = ""


@dataclass(frozen=True)
class Stack:
    """A stacked bar; `parts` in the order of the legend, adding up to 1."""

    label: str
    parts: tuple[Part, ...]
    text: str


def stacked_bars(stacks: Sequence[Stack], legend: Sequence[str], frame: Frame, *, width: int) -> str:
    """Bars of parts that add to 1, with a legend above and each part's number inside where it has room."""
    is_wide = width >= WIDE
    room = labels_width([stack.label for stack in stacks], 0.3 * width) if is_wide else 0.0
    number_width = max(text_width(text, LABEL) for text in (frame.value_heading, *(s.text for s in stacks)))
    left, right = (room + 16, width - number_width - 16) if is_wide else (0.0, float(width))
    step, thick, bar_y, label_y = (38, 24, 0, 0) if is_wide else (52, 22, 10, -13)
    height = step * len(stacks)

    bars: list[dict[str, object]] = []
    numbers: dict[str, list[tuple[float, float, str]]] = {"on_light": [], "on_dark": []}
    labels: list[tuple[float, float, str]] = []
    ends: list[tuple[float, float, str]] = []
    for row, stack in enumerate(stacks):
        middle = step * (row + 0.5)
        start, y = 0.0, middle + bar_y
        for rank, part in enumerate(stack.parts):
            end = start + part.share
            bars.append({"a": start, "b": end, "y": y - thick / 2, "y2": y + thick / 2, "c": _stage(rank)})
            if (right - left) * part.share > text_width(part.text, SMALL) + 8:
                centre = left + (right - left) * (start + end) / 2
                numbers["on_dark" if rank in _DARK_STAGES else "on_light"].append((centre, y, part.text))
            start = end
        parts = label_lines(stack.label, room or width - number_width - 16)
        for number, words in enumerate(parts):
            labels.append((0, middle + label_y + LEADING * (number - (len(parts) - 1) / 2), words))
        ends.append((width, middle + label_y, stack.text))

    board = Board(width)
    for row, stack in enumerate(stacks):
        start = 0.0
        for part in stack.parts:
            middle = left + (right - left) * (start + part.share / 2)
            board.point(middle, step * (row + 0.5) + bar_y, part.words, part.source)
            start += part.share
    board.draw(
        bars,
        {"type": "rect", "stroke": PALETTE["paper"], "strokeWidth": 1},
        x=scaled("a", {"domain": [0, 1], "range": [left, right], "nice": False, "clamp": True}),
        x2={"field": "b"},
        y=pixels("y"),
        y2={"field": "y2"},
        color=as_it_is("c"),
    )
    top = _draw_legend(board, legend, frame.value_heading, width)
    for tone, values in numbers.items():
        board.text(values, align="center", color=tone, size=SMALL)
    board.text(labels)
    board.text(ends, align="right")
    board.text([(0, height + 16, frame.small_print)], color="target", size=SMALL)
    return board.svg(height=height, top=top, bottom=28 if frame.small_print else 6)


def _draw_legend(board: Board, legend: Sequence[str], heading: str, width: int) -> float:
    """Draw the legend and the heading of the numbers, on one line if there is room; returns its height."""
    chip, gap, line_height = 18.0, 14.0, 22.0
    heading_width = text_width(heading, SMALL) + 16
    whole = sum(chip + text_width(name, SMALL) + gap for name in legend) - gap
    own_line = whole + heading_width > width
    places: list[tuple[float, int]] = []
    x, line = 0.0, 0
    for name in legend:
        needed = chip + text_width(name, SMALL)
        if x and x + needed > width:
            x, line = 0.0, line + 1
        places.append((x, line))
        x += needed + gap
    last = line + own_line
    top = line_height * (last + 1) + 12

    def y(on_line: int) -> float:
        return 12 - top + line_height * on_line

    board.draw(
        [
            {"x": x, "x2": x + 12, "y": y(line) - 6, "y2": y(line) + 6, "c": _stage(rank)}
            for rank, (x, line) in enumerate(places)
        ],
        {"type": "rect"},
        x=pixels("x"),
        x2={"field": "x2"},
        y=pixels("y"),
        y2={"field": "y2"},
        color=as_it_is("c"),
    )
    names = [(x + chip, y(line), name) for (x, line), name in zip(places, legend, strict=True)]
    board.text(names, color="muted", size=SMALL)
    board.text([(width, y(last), heading)], align="right", color="muted", size=SMALL)
    return top


def _stage(rank: int) -> str:
    return PALETTE[f"stage_{rank}"]
