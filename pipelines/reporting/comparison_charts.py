"""Charts that compare: changes around zero, and two estimates of one rate.

Belongs here: marks, scales and positions of these charts. Does not belong here: words and number formats (they come in
as text), the other charts (charts).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.reporting.charts import Frame
from pipelines.reporting.drawing import (
    LABEL,
    LEADING,
    PALETTE,
    SMALL,
    WIDE,
    Accent,
    Board,
    Layer,
    label_lines,
    labels_width,
    pixels,
    point_mark,
    scaled,
)
from pipelines.reporting.fonts import text_width

_STEPS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)


@dataclass(frozen=True)
class Shift:
    """A change in percentage points with its interval; `points` None draws no dot.

    ``words``, ``source``: as of charts.Dot.
    """

    label: str
    text: str
    short: str
    n: str
    points: float | None = None
    low: float | None = None
    high: float | None = None
    words: str = ""
    source: str = ""


@dataclass(frozen=True)
class Estimate:
    """One of two estimates of a rate: share with its limits, and its numbers as text; no share draws nothing."""

    text: str
    share: float | None = None
    low: float | None = None
    high: float | None = None
    words: str = ""


@dataclass(frozen=True)
class Pair:
    """A row with a filled dot above and a hollow one below; `short`: both numbers, for a narrow picture."""

    label: str
    n: str
    short: str
    filled: Estimate
    hollow: Estimate
    source: str = ""


def change_plot(
    shifts: Sequence[Shift], frame: Frame, *, accent: Accent, width: int, tick_names: Sequence[tuple[float, str]]
) -> str:
    """Changes as dots with interval whiskers on both sides of zero, one a row in the order given.

    Args:
        tick_names: points that are marked, symmetric around 0, with their names; the outermost are the ends of the
            axis (see :func:`change_ticks`).
    """
    is_wide = width >= WIDE
    left, right, numbers, labels = _columns(
        [shift.label for shift in shifts], [shift.text for shift in shifts], [shift.n for shift in shifts], frame, width
    )
    step, label_y, dot_y = (34, 0, 0) if is_wide else (42, -10, 9)
    height = step * len(shifts)
    top = max(points for points, _ in tick_names)
    scale = {"domain": [-top, top], "range": [left, right], "nice": False}

    def at(points: float) -> float:
        return left + (points + top) / (2 * top) * (right - left)

    board = Board(width)
    _rows(board, len(shifts), step, width)
    board.draw(
        [{"points": points, "start": 0, "end": height} for points, _ in tick_names if points],
        {"type": "rule", "color": PALETTE["grid"]},
        x=scaled("points", scale),
        y=pixels("start"),
        y2={"field": "end"},
    )
    # In a narrow picture the line ends where a label stands
    spans = (
        [(-4, height)] if is_wide else [(-4, 0), *((step * row + 20, step * (row + 1)) for row in range(len(shifts)))]
    )
    board.draw(
        [{"points": 0.0, "start": start, "end": end} for start, end in spans],
        {"type": "rule", "color": PALETTE["muted"], "strokeWidth": 1.4},
        x=scaled("points", scale),
        y=pixels("start"),
        y2={"field": "end"},
    )
    data = [
        {"y": step * (number + 0.5) + dot_y, "points": shift.points, "low": shift.low, "high": shift.high}
        for number, shift in enumerate(shifts)
        if shift.points is not None
    ]
    _whiskers(board, data, scale, PALETTE[accent])
    board.draw(data, point_mark(PALETTE[accent], 104), x=scaled("points", scale), y=pixels("y"))

    board.text(
        [(at(points), height + 14, name) for points, name in tick_names], align="center", color="muted", size=SMALL
    )
    _labels(board, [shift.label for shift in shifts], labels or width - 90, step, label_y)
    middles = [step * (number + 0.5) for number in range(len(shifts))]
    rows = list(zip(shifts, middles, strict=True))
    board.text([(numbers, y + label_y, shift.text if is_wide else shift.short) for shift, y in rows], align="right")
    board.text([(width, y + dot_y, shift.n) for shift, y in rows], align="right", color="muted", size=SMALL)
    for shift, y in rows:
        board.point(at(shift.points or 0.0), y + dot_y, shift.words, shift.source)
    _headings(board, frame, numbers, width)
    board.text([(0, height + 40, frame.small_print)], color="target", size=SMALL)
    return board.svg(height=height, top=26, bottom=52 if frame.small_print else 28)


def change_ticks(bounds: Sequence[float]) -> list[float]:
    """Points to mark on a symmetric axis that holds the bounds: two or three steps on each side of 0."""
    largest = max((abs(bound) for bound in bounds), default=1.0)
    step, steps = next(
        (step, steps) for step in _STEPS for steps in (2, 3) if largest <= step * steps or step == _STEPS[-1]
    )
    return [step * number for number in range(-steps, steps + 1)]


def pair_plot(
    pairs: Sequence[Pair], frame: Frame, *, names: tuple[str, str], accent: Accent, width: int, top_share: float = 1.0
) -> str:
    """Two estimates of each rate with their intervals: a filled dot above, a hollow one below.

    Args:
        names: of the filled and of the hollow estimates, for the legend.
    """
    is_wide = width >= WIDE
    texts = [estimate.text for pair in pairs for estimate in (pair.filled, pair.hollow)]
    left, right, numbers, labels = _columns(
        [pair.label for pair in pairs], texts, [pair.n for pair in pairs], frame, width
    )
    step, label_y, first_y, second_y = (44, 0, -9, 9) if is_wide else (64, -21, 0, 18)
    height = step * len(pairs)
    scale = {"domain": [0, top_share], "range": [left, right], "nice": False}
    board = Board(width)
    _rows(board, len(pairs), step, width)
    marked = [top_share * number / 4 for number in range(5)]
    board.draw(
        [{"share": share, "start": 0, "end": height} for share in marked],
        {"type": "rule", "color": PALETTE["grid"]},
        x=scaled("share", scale),
        y=pixels("start"),
        y2={"field": "end"},
    )
    for shift, color, mark, chosen in (
        (first_y, PALETTE[accent], point_mark(PALETTE[accent], 90), [pair.filled for pair in pairs]),
        (second_y, PALETTE["ink"], _hollow(PALETTE["ink"], 90), [pair.hollow for pair in pairs]),
    ):
        data = [
            {"y": step * (number + 0.5) + shift, "share": one.share, "low": one.low, "high": one.high}
            for number, one in enumerate(chosen)
            if one.share is not None
        ]
        _whiskers(board, data, scale, color)
        board.draw(data, mark, x=scaled("share", scale), y=pixels("y"))
    board.text(
        [(left + share / top_share * (right - left), height + 14, f"{100 * share:.0f}\u00a0%") for share in marked],
        align="center",
        color="muted",
        size=SMALL,
    )
    _labels(board, [pair.label for pair in pairs], labels or width - 110, step, label_y)
    for number, pair in enumerate(pairs):
        y = step * (number + 0.5)
        for shift, one in ((first_y, pair.filled), (second_y, pair.hollow)):
            place = left + (one.share or 0.0) / top_share * (right - left)
            board.point(place, y + shift, one.words, pair.source)
        beside = [(first_y, pair.filled.text), (second_y, pair.hollow.text)] if is_wide else [(label_y, pair.short)]
        board.text([(numbers, y + shift, text) for shift, text in beside], align="right")
        board.text([(width, y + (first_y + second_y) / 2, pair.n)], align="right", color="muted", size=SMALL)
    _legend(board, names, accent)
    _headings(board, frame, numbers, width)
    board.text([(0, height + 40, frame.small_print)], color="target", size=SMALL)
    return board.svg(height=height, top=50, bottom=52 if frame.small_print else 28)


def _columns(
    labels: Sequence[str], texts: Sequence[str], counts: Sequence[str], frame: Frame, width: int
) -> tuple[float, float, float, float]:
    """Left and right end of the plot, right end of the numbers, width of the labels (0: they stand above the rows)."""
    n_width = max(text_width(text, SMALL) for text in (frame.n_heading, *counts))
    numbers = width - n_width - 20
    number_width = max(text_width(text, LABEL) for text in (frame.value_heading, *texts))
    if width < WIDE:
        return 14.0, numbers, float(width), 0.0
    room = labels_width(labels, 0.3 * width)
    return room + 22, numbers - number_width - 24, numbers, room


def _rows(board: Board, rows: int, step: float, width: float) -> None:
    """The quiet lines between rows."""
    board.draw(
        [{"a": 0, "b": width, "y": step * number} for number in range(1, rows)],
        {"type": "rule", "color": PALETTE["grid"]},
        x=pixels("a"),
        x2={"field": "b"},
        y=pixels("y"),
    )


def _whiskers(board: Board, data: Sequence[Mapping[str, object]], scale: Layer, color: str) -> None:
    board.draw(
        [row for row in data if row["low"] is not None and row["low"] != row["high"]],
        {"type": "rule", "color": color, "strokeWidth": 2.0, "strokeCap": "round"},
        x=scaled("low", scale),
        x2={"field": "high"},
        y=pixels("y"),
    )


def _hollow(color: str, size: int) -> Layer:
    return {
        "type": "point", "filled": True, "color": PALETTE["paper"], "stroke": color, "strokeWidth": 1.8,
        "size": size, "opacity": 1,
    }  # fmt: skip


def _labels(board: Board, labels: Sequence[str], room: float, step: float, shift: float) -> None:
    board.text(
        [
            (0, step * (number + 0.5) + shift + LEADING * (line - (len(lines) - 1) / 2), words)
            for number, lines in enumerate(label_lines(label, room) for label in labels)
            for line, words in enumerate(lines)
        ]
    )


def _headings(board: Board, frame: Frame, numbers: float, width: float) -> None:
    headings = [(float(width), -12.0, frame.n_heading)]
    if width >= WIDE:
        headings.append((numbers, -12.0, frame.value_heading))
    board.text(headings, align="right", color="muted", size=SMALL)


def _legend(board: Board, names: tuple[str, str], accent: Accent) -> None:
    start = [8.0, 8.0 + 14 + text_width(names[0], SMALL) + 26]
    for x, mark in zip(start, (point_mark(PALETTE[accent], 70), _hollow(PALETTE["ink"], 70)), strict=True):
        board.draw([{"x": x, "y": -34}], mark, x=pixels("x"), y=pixels("y"))
    board.text([(x + 12, -34.0, name) for x, name in zip(start, names, strict=True)], color="muted", size=SMALL)
