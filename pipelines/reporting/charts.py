"""The report's charts: dot plots, time series with their breaks.

Belongs here: marks, scales and positions of a chart. Does not belong here: words and number formats (they
come in as text), stacked bars (stacked_charts), selections from marts, or the choice of what is drawn (figures).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.reporting.drawing import (
    LABEL,
    LEADING,
    NARROW,
    PALETTE,
    SMALL,
    WIDE,
    Accent,
    Board,
    Layer,
    as_it_is,
    label_lines,
    labels_width,
    pixels,
    point_mark,
    scaled,
    ticks,
)
from pipelines.reporting.fonts import text_width


@dataclass(frozen=True)
class Dot:
    """A row of a dot plot. Shares 0 to 1; `share` None draws `text` where the dot would be.

    Attributes:
        text: the number with its interval, for the right edge of a wide picture; short: for a narrow one.
        n: respondents, formatted.
        earlier: the share one wave before, drawn lighter.
        census: drawn as a diamond without whisker.
        reason: why there is no number.
        words, source: what the point says when it is visited, and of which row of the marts.
    """

    label: str
    text: str
    short: str
    n: str
    share: float | None = None
    low: float | None = None
    high: float | None = None
    earlier: float | None = None
    census: bool = False
    reason: str = ""
    words: str = ""
    source: str = ""


@dataclass(frozen=True)
class Line:
    """A vertical reference line at a share, with its name above the plot."""

    share: float
    name: str


@dataclass(frozen=True)
class Frame:
    """What surrounds every chart: the small print inside the picture and the headings of the right edge."""

    small_print: str
    value_heading: str = ""
    n_heading: str = "n"


@dataclass(frozen=True)
class Point:
    """A point of a time series; points of one segment are joined, segments never."""

    wave: int
    share: float
    low: float
    high: float
    text: str
    segment: str
    words: str = ""
    source: str = ""


@dataclass(frozen=True)
class Goal:
    """Where a series should go: target share and year, its name, and the words (by line) beside the path.

    ``required``: year and share along the path; left out, it runs straight from the last point.
    """

    share: float
    year: int
    text: str
    path: tuple[str, ...] = ()
    required: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Ahead:
    """A year of the fan: the middle line of the projection with its interval."""

    year: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Break:
    """A gap between two waves of different segments, and its words by line."""

    before: int
    after: int
    words: tuple[str, ...]


def _axis_top(shares: Sequence[float]) -> float:
    """Right end of an axis that starts at zero: 1, or less where everything is small."""
    highest = max(shares, default=1.0)
    return next(top for top in (0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0) if highest <= top)


def _tick_name(share: float) -> str:
    return f"{100 * share:.0f}\u00a0%"


@dataclass(frozen=True)
class _Columns:
    """Where things stand across a dot plot, in pixels from the left."""

    labels: float
    left: float
    right: float
    numbers: float
    top_share: float

    def at(self, share: float) -> float:
        """The place of a share."""
        return self.left + share / self.top_share * (self.right - self.left)


def dot_plot(
    dots: Sequence[Dot],
    frame: Frame,
    *,
    accent: Accent,
    width: int,
    target: Line | None = None,
    reference: Line | None = None,
) -> str:
    """Shares as dots with interval whiskers, one a row in the order given.

    At `WIDE` labels stand beside the plot, in narrower pictures above each row's line.
    """
    is_wide = width >= WIDE
    columns = _columns(dots, frame, width, [line.share for line in (target, reference) if line is not None])
    step, label_y, dot_y = (34, 0, 0) if is_wide else (42, -10, 9)
    height = step * len(dots)
    middles = [step * (number + 0.5) for number in range(len(dots))]

    board = Board(width)
    scale = {"domain": [0, columns.top_share], "range": [columns.left, columns.right], "nice": False}
    marked = ticks(columns.top_share, columns.right - columns.left, apart=56)
    axis = {"values": marked, "orient": "bottom"}
    board.draw(
        [{"share": 0.0}], {"type": "rule", "opacity": 0, "color": PALETTE["paper"]}, x=scaled("share", scale, axis)
    )
    board.text(
        [(columns.at(share), height + 14, _tick_name(share)) for share in marked],
        align="center",
        color="muted",
        size=SMALL,
    )
    board.draw(
        [{"a": 0, "b": width, "y": step * number} for number in range(1, len(dots))],
        {"type": "rule", "color": PALETTE["grid"]},
        x=pixels("a"),
        x2={"field": "b"},
        y=pixels("y"),
    )
    # Lines end where words stand: above the dots of a narrow picture, in rows that have a reason
    over = 0 if is_wide else 20
    spans = [(step * row + over, step * (row + 1)) for row, dot in enumerate(dots) if not dot.reason]
    for line, color, dash, start in ((reference, "muted", [3, 3], -4), (target, "target", [], -24)):
        if line is not None:
            board.draw(
                [{"share": line.share, "top": top, "end": end} for top, end in [(start, 0), *spans]],
                {"type": "rule", "color": PALETTE[color], "strokeDash": dash, "strokeWidth": 1.4},
                x=scaled("share", scale),
                y=pixels("top"),
                y2={"field": "end"},
            )
    _draw_dots(board, dots, [middle + dot_y for middle in middles], scale, accent)
    for dot, middle in zip(dots, middles, strict=True):
        board.point(columns.at(dot.share or 0.0), middle + dot_y, dot.words, dot.source)

    # Words: labels at the left, numbers and n at the right, headings and names of lines above
    lines = [label_lines(dot.label, columns.labels or width - 60) for dot in dots]
    rows = list(zip(dots, lines, middles, strict=True))
    board.text(
        [
            (0, middle + label_y + LEADING * (number - (len(parts) - 1) / 2), part)
            for _, parts, middle in rows
            for number, part in enumerate(parts)
        ]
    )
    board.text(
        [(columns.numbers, middle + label_y, dot.text if is_wide else dot.short) for dot, _, middle in rows],
        align="right",
    )
    board.text([(width, middle + dot_y, dot.n) for dot, _, middle in rows], align="right", color="muted", size=SMALL)
    # A reason that finds no room beside the number is left to the text around the chart
    room = columns.right - columns.left
    board.text(
        [
            (columns.left, middle + dot_y, dot.reason)
            for dot, _, middle in rows
            if text_width(dot.reason, SMALL) <= room
        ],
        color="muted",
        size=SMALL,
    )
    headings = [(float(width), -12.0, frame.n_heading)]
    if is_wide:
        headings.append((columns.numbers, -12.0, frame.value_heading))
    board.text(headings, align="right", color="muted", size=SMALL)
    # Names of the lines stand on two levels: the lower one shares its line with the headings
    for line, color, level, limit in (
        (target, "target", -32.0, float(width)),
        (reference, "muted", -12.0, columns.right + 6),
    ):
        if line is not None:
            needed = text_width(line.name, SMALL)
            begin = min(max(columns.at(line.share) - needed / 2, 0.0), limit - needed)
            board.text([(begin, level, line.name)], color=color, size=SMALL)
    board.text([(0, height + 40, frame.small_print)], color="target", size=SMALL)
    return board.svg(height=height, top=44 if target else 26, bottom=52 if frame.small_print else 28)


def _columns(dots: Sequence[Dot], frame: Frame, width: int, lines: Sequence[float]) -> _Columns:
    """Columns from the right edge: n, then the number, then the plot, then the labels."""
    top_share = _axis_top(
        [share for dot in dots for share in (dot.high, dot.earlier) if share is not None] + list(lines)
    )
    n_width = max(text_width(text, SMALL) for text in (frame.n_heading, *(dot.n for dot in dots)))
    if width < WIDE:
        return _Columns(0.0, 7.0, width - n_width - 18, width, top_share)
    labels = labels_width([dot.label for dot in dots], 0.3 * width)
    number_width = max(text_width(text, LABEL) for text in (frame.value_heading, *(dot.text for dot in dots)))
    numbers = width - n_width - 20
    return _Columns(labels, labels + 16, numbers - number_width - 18, numbers, top_share)


def _draw_dots(board: Board, dots: Sequence[Dot], heights: Sequence[float], scale: Layer, accent: Accent) -> None:
    data = [
        {
            "y": y, "share": dot.share, "low": dot.low, "high": dot.high, "earlier": dot.earlier,
            "shape": "diamond" if dot.census else "circle",
        }
        for dot, y in zip(dots, heights, strict=True)
        if dot.share is not None
    ]  # fmt: skip
    soft = PALETTE[f"{accent}_soft"]
    earlier = [row for row in data if row["earlier"] is not None]
    board.draw(
        earlier,
        {"type": "rule", "color": soft, "strokeWidth": 2},
        x=scaled("earlier", scale),
        x2={"field": "share"},
        y=pixels("y"),
    )
    board.draw(
        earlier,
        {"type": "point", "filled": True, "color": soft, "size": 64, "opacity": 1},
        x=scaled("earlier", scale),
        y=pixels("y"),
    )
    board.draw(
        [row for row in data if row["low"] != row["high"]],
        {"type": "rule", "color": PALETTE[accent], "strokeWidth": 2.2, "strokeCap": "round"},
        x=scaled("low", scale),
        x2={"field": "high"},
        y=pixels("y"),
    )
    board.draw(data, point_mark(PALETTE[accent], 104), x=scaled("share", scale), y=pixels("y"), shape=as_it_is("shape"))


def series_plot(
    points: Sequence[Point],
    frame: Frame,
    *,
    accent: Accent,
    goal: Goal,
    breaks: Sequence[Break] = (),
    fan: Sequence[Ahead] = (),
    width: int = NARROW,
    height: int = 250,
) -> str:
    """A share over waves up to the target year: intervals, segments not joined, the required path, the projection."""
    first = min(point.wave for point in points)
    last = max(points, key=lambda point: point.wave)
    left, right = 50.0, width - 16.0
    years = {"domain": [first, goal.year], "range": [left, right], "nice": False}
    shares = {"domain": [0, 1], "range": [height, 0], "nice": False}
    segments = {point.segment for point in points}
    starts = {min(point.wave for point in points if point.segment == segment) for segment in segments}
    x, y = scaled("wave", years), scaled("share", shares)

    def x_of(year: float) -> float:
        return left + (year - first) / (goal.year - first) * (right - left)

    def y_of(share: float) -> float:
        return height * (1 - share)

    board = Board(width)
    labelled = sorted({first, last.wave, goal.year, *starts})
    marked = ticks(1.0, height, apart=40)
    board.draw(
        [{"wave": first, "share": 0.0}],
        {"type": "point", "opacity": 0, "color": PALETTE["paper"]},
        x=scaled("wave", years, {"values": labelled, "orient": "bottom", "grid": False}),
        y=scaled("share", shares, {"values": marked, "orient": "left"}),
    )
    names = [(x_of(year), height + 14.0, str(year)) for year in labelled]
    board.text(names, align="center", color="muted", size=SMALL)
    names = [(left - 12, y_of(share), _tick_name(share)) for share in marked]
    board.text(names, align="right", color="muted", size=SMALL)
    board.draw(
        [{"a": gap.before + 0.22, "b": gap.after - 0.22, "low": 0, "high": 1} for gap in breaks],
        {"type": "rect", "color": PALETTE["band"]},
        x=scaled("a", years),
        x2={"field": "b"},
        y=scaled("low", shares),
        y2={"field": "high"},
    )
    if fan:
        now = {"wave": last.wave, "share": last.share, "low": last.share, "high": last.share}
        ahead = [now, *({"wave": one.year, "share": one.share, "low": one.low, "high": one.high} for one in fan)]
        area = {"type": "area", "color": PALETTE[f"{accent}_soft"], "opacity": 0.45}
        board.draw(ahead, area, x=x, y=scaled("low", shares), y2={"field": "high"})
        middle = {
            "type": "line",
            "color": PALETTE[accent],
            "strokeWidth": 1.6,
            "strokeDash": [1, 3],
            "strokeCap": "round",
        }
        board.draw(ahead, middle, x=x, y=y)
    aim = {"wave": goal.year, "share": goal.share}
    red = PALETTE["target"]
    board.draw(
        [{"wave": first, "share": goal.share}, aim],
        {"type": "line", "color": red, "strokeWidth": 1.2},
        x=x,
        y=y,
    )
    if last.wave < goal.year:
        path = {"type": "line", "color": red, "strokeDash": [4, 4], "strokeWidth": 1.4}
        way = [{"wave": year, "share": share} for year, share in goal.required]
        board.draw(way or [{"wave": last.wave, "share": last.share}, aim], path, x=x, y=y)
    data = [{"wave": p.wave, "share": p.share, "low": p.low, "high": p.high, "segment": p.segment} for p in points]
    color = PALETTE[accent]
    joined = {"field": "segment", "type": "nominal"}
    board.draw(data, {"type": "line", "color": color, "strokeWidth": 2.4}, x=x, y=y, detail=joined)
    whisker = {"type": "rule", "color": color, "strokeWidth": 2.2, "strokeCap": "round"}
    board.draw(data, whisker, x=x, y=scaled("low", shares), y2={"field": "high"})
    board.draw(data, point_mark(color, 76), x=x, y=y)
    for point in points:
        board.point(x_of(point.wave), y_of(point.share), point.words, point.source)
    diamond = {"type": "point", "filled": True, "color": red, "shape": "diamond", "size": 90, "opacity": 1}
    board.draw([aim], diamond, x=x, y=y)

    steps = dict(goal.required)

    def number_y(point: Point) -> float:
        over = y_of(point.high) - 11
        # A number gives way to the target's line, and to the path where that runs above the point
        is_free = abs(over - y_of(goal.share)) > 14 and steps.get(point.wave, 0.0) < point.share
        return over if is_free else y_of(point.low) + 12

    board.text([(x_of(p.wave), number_y(p), p.text) for p in points], align="center", size=SMALL)
    # The target's name stands on its line, or under it where the plot ends
    goal_y = y_of(goal.share) + (13 if goal.share > 0.97 else -10)
    board.text([(x_of(last.wave) - 4, goal_y, goal.text)], color="target", size=SMALL)
    if last.wave < goal.year:
        # Under the fan, or right of the path's middle, there is nothing but the path itself, which rises away
        start = y_of(fan[-1].low) + 14 if fan else y_of((last.share + goal.share) / 2) + 34
        words = [(right, start + LEADING * number, line) for number, line in enumerate(goal.path)]
        board.text(words, align="right", color="target", size=SMALL)
    for gap in breaks:
        start = y_of(_free_level([p for p in points if p.wave >= gap.after], goal.share, len(gap.words)))
        words = [(x_of(gap.after) - 6, start + LEADING * number, line) for number, line in enumerate(gap.words)]
        board.text(words, color="muted", size=SMALL)
    board.text([(0, height + 40, frame.small_print)], color="target", size=SMALL)
    return board.svg(height=height, top=18, bottom=52 if frame.small_print else 28)


def _free_level(points: Sequence[Point], goal: float, lines: int) -> float:
    """The share at which lines of text, set downwards, touch neither the series nor the target's line."""
    low, high = min(p.low for p in points) - 0.1, max(p.high for p in points) + 0.12
    for start in (0.95, 0.62, 0.4, 0.2):
        end = start - 0.065 * lines
        if not (end < high and low < start + 0.04) and not end < goal < start + 0.06:
            return start
    return 0.95
