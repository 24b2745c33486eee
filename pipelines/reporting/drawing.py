"""The drawing board under the charts: a Vega-Lite specification put together layer by layer, drawn by
vl-convert.

Belongs here: page widths, type sizes, colours, layers, text at pixel positions, and the way to SVG. Does
not belong here: what a chart shows (charts).

Two things are done differently from the usual way, for speed (a picture takes 0.01 s, not 0.2 s) and so
that it does not depend on the fonts of the machine. Specifications are written as plain Vega-Lite:
putting the same ones together with altair took as long as drawing them; a test holds them to the schema
that altair carries. Text is set into the finished picture: the converter measures every word in the fonts
it finds, and nothing here is placed by that measure.

Every chart is drawn for a fixed width in CSS pixels, so that its text is never scaled: `NARROW` is one
column of the page and a phone, `WIDE` two columns and a tablet. Colours are named in `PALETTE`; the page
maps each to a variable of the light or dark theme.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

import vl_convert
from markupsafe import escape

from pipelines.reporting.fonts import text_width

NARROW = 352
WIDE = 736

LABEL = 13
SMALL = 12
LEADING = 16

# Hex values are what the page finds a colour by: no two may be alike
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

Accent = Literal["industry", "public"]
Layer = dict[str, Any]

_CONFIG = {
    "background": "transparent",
    "aria": False,
    "view": {"stroke": None, "clip": False},
    "axis": {
        "title": None, "domain": False, "ticks": False, "labels": False, "gridColor": PALETTE["grid"],
    },
}  # fmt: skip

# What a point that can be visited is known by, in style and script
POINT_CLASS = 'class="point"'

_RIM = 'stroke-width="4" stroke-linejoin="round" paint-order="stroke"'
# Radius of a point's reach, in pixels: that of the rows of a narrow dot plot
_REACH = 12
_ANCHORS = {"left": "start", "center": "middle", "right": "end"}


def pixels(field: str) -> Layer:
    """A position channel whose field holds pixels."""
    return {"field": field, "type": "quantitative", "scale": None, "axis": None}


def scaled(field: str, scale: Layer, axis: Layer | None = None) -> Layer:
    """A position channel on a scale, with its axis drawn if one is given."""
    return {"field": field, "type": "quantitative", "scale": scale, "axis": axis}


def as_it_is(field: str) -> Layer:
    """A colour or shape channel whose field holds the colour or shape."""
    return {"field": field, "type": "nominal", "scale": None, "legend": None}


def ticks(top: float, length: float, *, apart: float) -> list[float]:
    """Round shares from 0 to `top`, at least `apart` pixels from each other on an axis this long."""
    step = next(step for step in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if step / top * length >= apart)
    return [round(step * number, 2) for number in range(int(top / step + 1e-9) + 1)]


def labels_width(labels: Sequence[str], most: float) -> float:
    """Width of a column of labels, each broken onto two lines where it is wider than `most`."""
    return max((text_width(line, LABEL) for label in labels for line in label_lines(label, most)), default=0.0)


def wrapped(text: str, room: float) -> list[str]:
    """A sentence on as many lines as it needs in this many pixels, broken at spaces."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, LABEL) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def label_lines(label: str, room: float) -> list[str]:
    """A label on one line, or on two broken at a space, a middle dot or before a bracket."""
    if text_width(label, LABEL) <= room:
        return [label]
    places = [number if sign == "(" else number + 1 for number, sign in enumerate(label) if sign in " ·("]
    halves = [(label[:place].rstrip(), label[place:].lstrip()) for place in places if 0 < place < len(label)]
    if not halves:
        return [label]
    return list(min(halves, key=lambda pair: max(text_width(half, LABEL) for half in pair)))


def point_mark(color: str, size: int) -> Layer:
    """A dot with a thin rim that keeps it apart from lines under it."""
    return {
        "type": "point", "filled": True, "color": color, "stroke": PALETTE["paper"], "strokeWidth": 1.2,
        "size": size, "opacity": 1,
    }  # fmt: skip


def words_only(lines: Sequence[str], *, small_print: str, width: int) -> str:
    """A picture of words alone, in the place of a chart that has nothing to draw."""
    board = Board(width)
    top, bottom = 16.0, 52.0 if small_print else 28.0
    height = LEADING * 1.4 * len(lines)
    # A quiet frame says that a picture belongs here
    board.draw(
        [{"a": 0, "b": width, "y": y} for y in (0.0, height + 8)],
        {"type": "rule", "color": PALETTE["grid"]},
        x=pixels("a"),
        x2={"field": "b"},
        y=pixels("y"),
    )
    board.text([(0, LEADING * 1.4 * (number + 0.7), line) for number, line in enumerate(lines)], color="muted")
    board.text([(0, height + 30, small_print)], color="target", size=SMALL)
    return board.svg(height=height, top=top, bottom=bottom)


class Board:
    """Layers in the order they are drawn, and the words over them."""

    def __init__(self, width: float) -> None:
        """Begin with nothing on it."""
        self.width = width
        self._layers: list[Layer] = []
        self._words: list[str] = []
        self._points: list[str] = []

    def draw(self, rows: Sequence[Mapping[str, object]], mark: Layer, **encoding: Layer) -> None:
        """Draw a mark for each row over what is there; nothing for no rows."""
        if rows:
            self._layers.append({"data": {"values": list(rows)}, "mark": mark, "encoding": encoding})

    def point(self, x: float, y: float, words: str, source: str) -> None:
        """A place that says something when it is pointed at or visited by keyboard.

        Args:
            x, y: its middle, in pixels.
            words: what it says: label, estimate, interval, standard error, n; "" sets no point.
            source: address of the row of the marts it speaks of, "" for none.
        """
        if words:
            at = f' data-of="{escape(source)}"' if source else ""
            self._points.append(
                f'<g {POINT_CLASS} role="img" aria-label="{escape(words)}"{at}><circle cx="{x:.6g}" cy="{y:.6g}"'
                f' r="{_REACH}" fill="none" pointer-events="all"/></g>'
            )

    def text(
        self,
        values: Sequence[tuple[float, float, str]],
        *,
        align: Literal["left", "right", "center"] = "left",
        color: str = "ink",
        size: int = LABEL,
    ) -> None:
        """Write lines of text at pixel positions (x, y of the line's middle, text).

        A rim in the colour of the page parts the words from lines under them; words on bars have none.
        """
        # Digits and capitals are 0.7 em high: their middle is 0.35 em over the baseline
        lines = [f'<text x="{x:.6g}" y="{y + 0.35 * size:.6g}">{escape(text)}</text>' for x, y, text in values if text]
        if lines:
            rim = "" if color.startswith("on_") else f' stroke="{PALETTE["paper"]}" {_RIM}'
            opening = f'<g fill="{PALETTE[color]}" font-size="{size}" text-anchor="{_ANCHORS[align]}"{rim}>'
            self._words.append(f"{opening}{''.join(lines)}</g>")

    def specification(self, *, height: float, top: float, bottom: float) -> Layer:
        """The Vega-Lite specification, for exactly `width` x (`top` + `height` + `bottom`) pixels."""
        return {
            "width": self.width,
            "height": height,
            "autosize": "none",
            "padding": {"left": 0, "right": 0, "top": top, "bottom": bottom},
            "layer": self._layers,
            # One axis each: the layers that stand at pixel positions would else switch the axis off
            "resolve": {"axis": {"x": "independent", "y": "independent"}},
            "config": _CONFIG,
        }

    def svg(self, *, height: float, top: float, bottom: float) -> str:
        """The picture."""
        svg = _marks(json.dumps(self.specification(height=height, top=top, bottom=bottom), sort_keys=True))
        shift = f'transform="translate(0,{top:.6g})"'
        if not self._points:
            return f"{svg.removesuffix('</svg>')}<g {shift}>{''.join(self._words)}</g></svg>"
        # What the points say, the marks and words need not say again to those who listen
        opening, _, marks = svg.removesuffix("</svg>").partition(">")
        return (
            f'{opening}><g aria-hidden="true">{marks}<g {shift}>{"".join(self._words)}</g></g>'
            f"<g {shift}>{''.join(self._points)}</g></svg>"
        )


@lru_cache(maxsize=64)
def _marks(specification: str) -> str:
    """The marks of a Vega-Lite specification; kept, since a picture's two languages mostly differ in its words only."""
    return str(vl_convert.vegalite_to_svg(specification))
