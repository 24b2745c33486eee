"""The report's charts: Altair specifications, drawn to inline SVG by vl-convert.

Belongs here: marks, scales, positions and colours. Does not belong here: words and number formats (they come in
as text), selections from marts, or the choice of what is drawn.

Every chart is drawn for a fixed width in CSS pixels, so that its text is never scaled: `NARROW` is one column of
the page and a phone, `WIDE` two columns and a tablet. Colours are named in `PALETTE`; style.css maps each to the
variable of the light or dark theme by attribute selector.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import altair as alt
import vl_convert

from pipelines.reporting.fonts import text_width

NARROW = 352
WIDE = 736

LABEL = 13
SMALL = 12

# Hex values are keys into style.css: no two may be alike
PALETTE = {
    "ink": "#1d2530",
    "muted": "#5a6472",
    "grid": "#e4e8ec",
    "quiet": "#a9b1bb",
    "paper": "#ffffff",
    "industry": "#0b62a8",
    "industry_soft": "#9cc3e2",
    "public": "#0a7560",
    "public_soft": "#94cbbd",
    "target": "#b8420f",
    "band": "#f1f3f5",
    "stage_0": "#d9dee4",
    "stage_1": "#b4cfe5",
    "stage_2": "#7fb0d9",
    "stage_3": "#2b76b5",
    "stage_4": "#0a3f73",
    "on_light": "#1c2431",
    "on_dark": "#fefefe",
}

# Stages whose bars are dark enough for light figures
_DARK_STAGES = (3, 4)

_ANY_FONT = "sans-serif"
_LEADING = 16

Accent = Literal["industry", "public"]


@dataclass(frozen=True)
class Drawing:
    """A chart as inline SVG, in one or two widths."""

    narrow: str
    wide: str | None = None


@dataclass(frozen=True)
class Dot:
    """A row of a dot plot. Shares 0 to 1; `share` None draws `text` where the dot would be.

    Attributes:
        text: the number in words for the right edge; short: the same where there is no room.
        n: respondents, formatted.
        earlier: the share one wave before, drawn lighter.
        census: drawn as a diamond without whisker.
        reason: why there is no number.
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
    short_heading: str = ""
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


@dataclass(frozen=True)
class Goal:
    """Where a series should go: target share and year, its name, and the words (by line) beside the path."""

    share: float
    year: int
    text: str
    path: tuple[str, ...] = ()


@dataclass(frozen=True)
class Break:
    """A gap between two waves of different segments, and its words by line."""

    before: int
    after: int
    words: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """A part of a stacked bar: share 0 to 1 and its number as text."""

    share: float
    text: str


@dataclass(frozen=True)
class Stack:
    """A stacked bar; `parts` in the order of the legend, adding up to 1."""

    label: str
    parts: tuple[Part, ...]
    text: str


class _Board:
    """Layers in the order they are drawn, and the data they draw.

    Data go into the specification under names: altair copies inline data once per layer and call.
    """

    def __init__(self, width: float) -> None:
        self.width = width
        self._layers: list[alt.Chart] = []
        self._data: dict[str, list[dict[str, object]]] = {}

    def rows(self, values: Sequence[Mapping[str, object]]) -> alt.Chart:
        """A chart of these rows, to be given a mark and added."""
        name = f"d{len(self._data)}"
        self._data[name] = [dict(value) for value in values]
        return alt.Chart(alt.NamedData(name))

    def add(self, layer: alt.Chart) -> None:
        """Draw `layer` over what is there."""
        self._layers.append(layer)

    def text(
        self,
        values: Sequence[tuple[float, float, str]],
        *,
        align: Literal["left", "right", "center"] = "left",
        color: str = "ink",
        size: int = LABEL,
    ) -> None:
        """Write lines of text at pixel positions (x, y of the line's middle, text)."""
        data = [{"px": x, "py": y, "t": text} for x, y, text in values if text]
        if data:
            mark = self.rows(data).mark_text(
                align=align, baseline="middle", color=PALETTE[color], fontSize=size
            )
            self.add(mark.encode(x=_pixels_across("px"), y=_pixels_down("py"), text="t:N"))

    def svg(self, *, height: float, top: float, bottom: float) -> str:
        """Draw at exactly `width` x (`top` + `height` + `bottom`) pixels."""
        chart = (
            alt.layer(*self._layers)
            .properties(
                width=self.width,
                height=height,
                autosize="none",
                padding={"left": 0, "right": 0, "top": top, "bottom": bottom},
            )
            .configure(background="transparent", aria=False, font=_ANY_FONT)
            .configure_view(stroke=None, clip=False)
            .configure_axis(
                title=None, domain=False, ticks=False, labelFontSize=SMALL, labelColor=PALETTE["muted"],
                labelPadding=6, labelFlush=False, labelOverlap=False, gridColor=PALETTE["grid"],
                labelExpr="format(datum.value * 100, '.0f') + '\u00a0%'",
            )
            # One axis each: the layers that stand at pixel positions would else switch the axis off
            .resolve_axis(x="independent", y="independent")
        )  # fmt: skip
        specification = chart.to_dict(validate=False)
        specification["datasets"] = self._data
        svg = vl_convert.vegalite_to_svg(specification)
        # The page sets the typeface. Nothing is placed by the converter's own measure of text, so the picture
        # does not depend on the fonts of this machine
        return str(svg).replace(f' font-family="{_ANY_FONT}"', "")


def _pixels_across(field: str) -> alt.X:
    return alt.X(f"{field}:Q", scale=None, axis=None)


def _pixels_down(field: str) -> alt.Y:
    return alt.Y(f"{field}:Q", scale=None, axis=None)


def _ticks(top: float) -> list[float]:
    step = 0.2 if top > 0.5 else 0.1 if top > 0.2 else 0.05 if top > 0.1 else 0.02
    return [round(step * number, 2) for number in range(int(top / step + 1e-9) + 1)]


def _axis_top(shares: Sequence[float]) -> float:
    """Right end of an axis that starts at zero: 1, or less where everything is small."""
    highest = max(shares, default=1.0)
    return next(top for top in (0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0) if highest <= top)


def _label_lines(label: str, room: float) -> list[str]:
    """A label on one line, or on two broken at a space, a middle dot or before a bracket."""
    if text_width(label, LABEL) <= room:
        return [label]
    places = [number if sign == "(" else number + 1 for number, sign in enumerate(label) if sign in " ·("]
    halves = [(label[:place].rstrip(), label[place:].lstrip()) for place in places if 0 < place < len(label)]
    if not halves:
        return [label]
    return list(min(halves, key=lambda pair: max(text_width(half, LABEL) for half in pair)))


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

    Where the labels leave no room beside the plot they stand above each row's line.
    """
    is_wide = width >= WIDE
    label_width = max(text_width(dot.label, LABEL) for dot in dots)
    above = not is_wide and label_width > 0.32 * width
    room = 0.0 if above else min(label_width, 0.3 * width)
    lines = [_label_lines(dot.label, room or width - 60) for dot in dots]
    texts = [dot.text if is_wide else dot.short for dot in dots]
    heading = frame.value_heading if is_wide else frame.short_heading

    # Columns from the right edge: n, then the number, then the plot
    n_width = max(text_width(text, SMALL) for text in (frame.n_heading, *(dot.n for dot in dots)))
    number_width = 0.0 if above else max(text_width(text, LABEL) for text in (heading, *texts))
    number_right = width if above else width - n_width - 20
    left = room + 16 if room else 7.0
    right = width - n_width - 18 if above else number_right - number_width - 18

    step = 44 if above else 34 if is_wide else 30
    label_y, dot_y = (-11, 9) if above else (0, 0)
    height = step * len(dots)
    middle = [step * (number + 0.5) for number in range(len(dots))]

    shown = [(dot, y) for dot, y in zip(dots, middle, strict=True) if dot.share is not None]
    named = [line for line in (target, reference) if line is not None]
    top_share = _axis_top(
        [share for dot, _ in shown for share in (dot.high, dot.earlier) if share is not None]
        + [line.share for line in named]
    )
    scale = alt.Scale(domain=[0, top_share], range=[left, right], nice=False)
    axis = alt.Axis(values=_ticks(top_share), orient="bottom")

    def x(field: str, *, drawn: bool = False) -> alt.X:
        return alt.X(f"{field}:Q", scale=scale, axis=axis if drawn else None)

    board = _Board(width)
    board.add(board.rows([{"share": 0.0}]).mark_rule(opacity=0).encode(x=x("share", drawn=True)))
    hairlines = [{"a": 0, "b": width, "y": step * number} for number in range(1, len(dots))]
    board.add(
        board.rows(hairlines)
        .mark_rule(color=PALETTE["grid"])
        .encode(x=_pixels_across("a"), x2="b", y=_pixels_down("y"))
    )
    for line, color, dash, start in ((reference, "muted", [3, 3], -4), (target, "target", [], -24)):
        if line is not None:
            rule = board.rows([{"share": line.share, "top": start, "end": height}])
            board.add(
                rule.mark_rule(color=PALETTE[color], strokeDash=dash, strokeWidth=1.4).encode(
                    x=x("share"), y=_pixels_down("top"), y2="end"
                )
            )

    data = [
        {
            "y": y + dot_y, "share": dot.share, "low": dot.low, "high": dot.high, "earlier": dot.earlier,
            "shape": "diamond" if dot.census else "circle",
        }
        for dot, y in shown
    ]  # fmt: skip
    soft = PALETTE[f"{accent}_soft"]
    if earlier := [row for row in data if row["earlier"] is not None]:
        board.add(
            board.rows(earlier)
            .mark_rule(color=soft, strokeWidth=2)
            .encode(x=x("earlier"), x2="share", y=_pixels_down("y"))
        )
        board.add(
            board.rows(earlier)
            .mark_point(filled=True, color=soft, size=64, opacity=1)
            .encode(x=x("earlier"), y=_pixels_down("y"))
        )
    if whiskers := [row for row in data if row["low"] != row["high"]]:
        board.add(
            board.rows(whiskers)
            .mark_rule(color=PALETTE[accent], strokeWidth=2.2, strokeCap="round")
            .encode(x=x("low"), x2="high", y=_pixels_down("y"))
        )
    if data:
        board.add(
            board.rows(data)
            .mark_point(
                filled=True,
                color=PALETTE[accent],
                stroke=PALETTE["paper"],
                strokeWidth=1.2,
                size=104,
                opacity=1,
            )
            .encode(x=x("share"), y=_pixels_down("y"), shape=alt.Shape("shape:N", scale=None, legend=None))
        )

    rows = list(zip(dots, lines, texts, middle, strict=True))
    board.text(
        [
            (0, y + label_y + _LEADING * (number - (len(parts) - 1) / 2), part)
            for _, parts, _, y in rows
            for number, part in enumerate(parts)
        ]
    )
    board.text([(number_right, y + label_y, text) for _, _, text, y in rows], align="right")
    board.text([(width, y + dot_y, dot.n) for dot, _, _, y in rows], align="right", color="muted", size=SMALL)
    board.text([(left, y + dot_y, dot.reason) for dot, _, _, y in rows], color="muted", size=SMALL)
    headings = [(float(width), -12.0, frame.n_heading)] + ([] if above else [(number_right, -12.0, heading)])
    board.text(headings, align="right", color="muted", size=SMALL)

    # Names of the lines stand on two levels: the lower one shares its line with the headings
    for line, color, level, limit in (
        (target, "target", -32.0, width),
        (reference, "muted", -12.0, right + 6),
    ):
        if line is not None:
            name_width = text_width(line.name, SMALL)
            at = left + line.share / top_share * (right - left)
            board.text(
                [(min(max(at - name_width / 2, 0.0), limit - name_width), level, line.name)],
                color=color,
                size=SMALL,
            )
    board.text([(0, height + 40, frame.small_print)], color="target", size=SMALL)
    return board.svg(height=height, top=44 if target else 26, bottom=52 if frame.small_print else 28)


def series_plot(
    points: Sequence[Point],
    frame: Frame,
    *,
    accent: Accent,
    goal: Goal,
    breaks: Sequence[Break] = (),
    width: int = NARROW,
    height: int = 250,
) -> str:
    """A share over waves up to the target year: intervals, segments that are not joined, the path still to go."""
    first = min(point.wave for point in points)
    last = max(points, key=lambda point: point.wave)
    left, right = 50.0, width - 16.0
    years = alt.Scale(domain=[first, goal.year], range=[left, right], nice=False)
    shares = alt.Scale(domain=[0, 1], range=[height, 0], nice=False)
    segment_starts = {
        min(p.wave for p in points if p.segment == name) for name in {p.segment for p in points}
    }
    labelled = sorted({first, last.wave, goal.year, *segment_starts})
    # A negative padding puts the labels to the right of the picture's left edge
    upright = alt.Axis(values=_ticks(1.0), orient="left", labelPadding=-38)
    across = alt.Axis(values=labelled, labelExpr="format(datum.value, 'd')", orient="bottom", grid=False)

    def x(field: str, *, drawn: bool = False) -> alt.X:
        return alt.X(f"{field}:Q", scale=years, axis=across if drawn else None)

    def y(field: str, *, drawn: bool = False) -> alt.Y:
        return alt.Y(f"{field}:Q", scale=shares, axis=upright if drawn else None)

    def x_of(year: float) -> float:
        return left + (year - first) / (goal.year - first) * (right - left)

    def y_of(share: float) -> float:
        return height * (1 - share)

    board = _Board(width)
    anchor = board.rows([{"wave": first, "share": 0.0}]).mark_point(opacity=0)
    board.add(anchor.encode(x=x("wave", drawn=True), y=y("share", drawn=True)))
    if breaks:
        bands = [{"a": gap.before + 0.22, "b": gap.after - 0.22, "low": 0, "high": 1} for gap in breaks]
        board.add(
            board.rows(bands).mark_rect(color=PALETTE["band"]).encode(x=x("a"), x2="b", y=y("low"), y2="high")
        )
    board.add(
        board.rows([{"a": first, "b": goal.year, "share": goal.share}])
        .mark_rule(color=PALETTE["target"], strokeWidth=1.2)
        .encode(x=x("a"), x2="b", y=y("share"))
    )
    if last.wave < goal.year:
        path = [{"wave": last.wave, "share": last.share}, {"wave": goal.year, "share": goal.share}]
        board.add(
            board.rows(path)
            .mark_line(color=PALETTE["target"], strokeDash=[4, 4], strokeWidth=1.4)
            .encode(x=x("wave"), y=y("share"))
        )
    data = [
        {"wave": p.wave, "share": p.share, "low": p.low, "high": p.high, "segment": p.segment} for p in points
    ]
    color = PALETTE[accent]
    board.add(
        board.rows(data)
        .mark_line(color=color, strokeWidth=2.4)
        .encode(x=x("wave"), y=y("share"), detail="segment:N")
    )
    board.add(
        board.rows(data)
        .mark_rule(color=color, strokeWidth=2.2, strokeCap="round")
        .encode(x=x("wave"), y=y("low"), y2="high")
    )
    board.add(
        board.rows(data)
        .mark_point(filled=True, color=color, stroke=PALETTE["paper"], strokeWidth=1.2, size=76, opacity=1)
        .encode(x=x("wave"), y=y("share"))
    )
    board.add(
        board.rows([{"wave": goal.year, "share": goal.share}])
        .mark_point(filled=True, color=PALETTE["target"], shape="diamond", size=90, opacity=1)
        .encode(x=x("wave"), y=y("share"))
    )

    def number_y(point: Point) -> float:
        over = y_of(point.high) - 11
        return over if abs(over - y_of(goal.share)) > 14 else y_of(point.low) + 12

    board.text([(x_of(p.wave), number_y(p), p.text) for p in points], align="center", size=SMALL)
    # The target's name stands on its line, or under it where the plot ends
    under = goal.share > 0.97
    board.text(
        [(x_of(last.wave) - 4, y_of(goal.share) + (13 if under else -10), goal.text)],
        color="target",
        size=SMALL,
    )
    if last.wave < goal.year:
        # Right of the path's middle there is nothing but the path itself, which rises away from the words
        start = y_of((last.share + goal.share) / 2) + 34
        words = [(right, start + _LEADING * number, line) for number, line in enumerate(goal.path)]
        board.text(words, align="right", color="target", size=SMALL)
    for gap in breaks:
        start = y_of(_free_level([p for p in points if p.wave >= gap.after], goal.share, len(gap.words)))
        words = [
            (x_of(gap.after) - 6, start + _LEADING * number, line) for number, line in enumerate(gap.words)
        ]
        board.text(words, color="muted", size=SMALL)
    board.text([(0, height + 40, frame.small_print)], color="target", size=SMALL)
    return board.svg(height=height, top=18, bottom=52 if frame.small_print else 28)


def _free_level(points: Sequence[Point], goal: float, lines: int) -> float:
    """The share at which `lines` lines of text, set downwards, touch neither the series nor the target's line."""
    low, high = min(p.low for p in points) - 0.1, max(p.high for p in points) + 0.12
    for start in (0.95, 0.62, 0.4, 0.2):
        end = start - 0.065 * lines
        if not (end < high and low < start + 0.04) and not end < goal < start + 0.06:
            return start
    return 0.95


def stacked_bars(stacks: Sequence[Stack], legend: Sequence[str], frame: Frame, *, width: int) -> str:
    """Bars of parts that add to 1, with a legend above and each part's number inside where it has room."""
    is_wide = width >= WIDE
    room = min(max(text_width(stack.label, LABEL) for stack in stacks), 0.3 * width) if is_wide else 0.0
    number_width = max(text_width(text, LABEL) for text in (frame.value_heading, *(s.text for s in stacks)))
    left, right = (room + 16, width - number_width - 16) if is_wide else (0.0, float(width))
    step, thick, bar_y, label_y = (38, 24, 0, 0) if is_wide else (52, 22, 10, -13)
    height = step * len(stacks)
    scale = alt.Scale(domain=[0, 1], range=[left, right], nice=False, clamp=True)

    bars: list[dict[str, object]] = []
    numbers: dict[str, list[tuple[float, float, str]]] = {"on_light": [], "on_dark": []}
    labels: list[tuple[float, float, str]] = []
    ends: list[tuple[float, float, str]] = []
    for row, stack in enumerate(stacks):
        middle = step * (row + 0.5)
        start = 0.0
        for rank, part in enumerate(stack.parts):
            end = start + part.share
            y = middle + bar_y
            bars.append({"a": start, "b": end, "y": y - thick / 2, "y2": y + thick / 2, "c": _stage(rank)})
            if (right - left) * part.share > text_width(part.text, SMALL) + 8:
                centre = left + (right - left) * (start + end) / 2
                numbers["on_dark" if rank in _DARK_STAGES else "on_light"].append((centre, y, part.text))
            start = end
        parts = _label_lines(stack.label, room or width - number_width - 16)
        for number, words in enumerate(parts):
            labels.append((0, middle + label_y + _LEADING * (number - (len(parts) - 1) / 2), words))
        ends.append((width, middle + label_y, stack.text))

    chips: list[dict[str, object]] = []
    names: list[tuple[float, float, str]] = []
    x, line = 0.0, 0
    for rank, name in enumerate(legend):
        needed = 18 + text_width(name, SMALL)
        if x and x + needed > width - (text_width(frame.value_heading, SMALL) + 16 if not line else 0):
            x, line = 0.0, line + 1
        y = 22.0 * line
        chips.append({"x": x, "x2": x + 12, "y": y - 6, "y2": y + 6, "c": _stage(rank)})
        names.append((x + 18, y, name))
        x += needed + 18
    top = 22 * (line + 1) + 12
    lift = 12 - top

    board = _Board(width)
    color = alt.Color("c:N", scale=None, legend=None)
    board.add(
        board.rows(bars)
        .mark_rect(stroke=PALETTE["paper"], strokeWidth=1)
        .encode(
            x=alt.X("a:Q", scale=scale, axis=None), x2="b", y=_pixels_down("y"), y2="y2", color=color
        )
    )  # fmt: skip
    board.add(
        board.rows([{**chip, "y": chip["y"] + lift, "y2": chip["y2"] + lift} for chip in chips])
        .mark_rect()
        .encode(x=_pixels_across("x"), x2="x2", y=_pixels_down("y"), y2="y2", color=color)
    )
    for tone, values in numbers.items():
        board.text(values, align="center", color=tone, size=SMALL)
    board.text(labels)
    board.text(ends, align="right")
    board.text([(x, y + lift, name) for x, y, name in names], color="muted", size=SMALL)
    board.text([(width, lift, frame.value_heading)], align="right", color="muted", size=SMALL)
    board.text([(0, height + 16, frame.small_print)], color="target", size=SMALL)
    return board.svg(height=height, top=top, bottom=28 if frame.small_print else 6)


def _stage(rank: int) -> str:
    return PALETTE[f"stage_{rank}"]
