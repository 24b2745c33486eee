"""The charts of the weight report: histograms, distances from totals before and after.

Belongs here: marks, scales and positions. Does not belong here: which weights are drawn, words around the charts
(weighting.report), the charts of the annual report (charts).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.reporting.drawing import LABEL, PALETTE, SMALL, Board, as_it_is, pixels
from pipelines.reporting.fonts import text_width

BINS = 40
_HISTOGRAM_HEIGHT = 140
_ROW = 24


@dataclass(frozen=True)
class Distance:
    """How far a sum lies from its total, as shares of it."""

    label: str
    before: float
    after: float


def histogram(values: npt.NDArray[np.float64], *, width: int, low: float, high: float) -> str:
    """Units by weight or factor, in BINS classes from ``low`` to ``high``, which hold all values.

    The axis has round numbers; the height of the tallest bar is written beside it.
    """
    span = (high - low) or abs(low) or 1.0
    low, high = (low, high) if high > low else (low - span / 2, low + span / 2)
    counts, edges = np.histogram(values, bins=BINS, range=(low, high))
    top = int(counts.max())
    place = (edges - low) / (high - low) * width
    board = Board(width)
    board.draw(
        [
            {"a": float(a), "b": float(b), "y": _HISTOGRAM_HEIGHT * (1 - count / top), "base": _HISTOGRAM_HEIGHT}
            for a, b, count in zip(place[:-1], place[1:], counts.tolist(), strict=True)
            if count
        ],
        {"type": "rect", "color": PALETTE["industry"], "stroke": PALETTE["paper"], "strokeWidth": 1},
        x=pixels("a"),
        x2={"field": "b"},
        y=pixels("y"),
        y2={"field": "base"},
    )
    board.draw(
        [{"a": 0, "b": width, "y": _HISTOGRAM_HEIGHT}],
        {"type": "rule", "color": PALETTE["quiet"]},
        x=pixels("a"),
        x2={"field": "b"},
        y=pixels("y"),
    )
    for tick in round_ticks(low, high, most=max(2, width // 110)):
        at = (tick - low) / (high - low) * width
        text = f"{tick:.6g}"
        half = text_width(text, SMALL) / 2
        board.text(
            [(min(max(at, half), width - half), _HISTOGRAM_HEIGHT + 14, text)],
            align="center",
            color="muted",
            size=SMALL,
        )
    board.text([(width, -10, f"tallest bar: {top:,} units")], align="right", color="muted", size=SMALL)
    return board.svg(height=_HISTOGRAM_HEIGHT, top=22, bottom=26)


def distance_plot(distances: Sequence[Distance], *, width: int) -> str:
    """Distances from the totals, a row each: where the sum lay before (light) and where it lies after (dark)."""
    labels = min(max(text_width(each.label, LABEL) for each in distances), 0.4 * width)
    reach = max(max(abs(each.before), abs(each.after)) for each in distances) or 0.01
    left, right = labels + 24, width - 24
    middle = (left + right) / 2
    height = _ROW * len(distances)

    def at(share: float) -> float:
        return middle + share / reach * (right - left) / 2

    board = Board(width)
    board.draw(
        [{"x": middle, "y": 0, "end": height}],
        {"type": "rule", "color": PALETTE["quiet"]},
        x=pixels("x"),
        y=pixels("y"),
        y2={"field": "end"},
    )
    rows = [(_ROW * (number + 0.5), each) for number, each in enumerate(distances)]
    board.draw(
        [{"a": at(each.before), "b": at(each.after), "y": y} for y, each in rows],
        {"type": "rule", "color": PALETTE["grid"], "strokeWidth": 3},
        x=pixels("a"),
        x2={"field": "b"},
        y=pixels("y"),
    )
    board.draw(
        [
            {"x": at(share), "y": y, "c": PALETTE[color]}
            for y, each in rows
            for share, color in ((each.before, "industry_soft"), (each.after, "industry"))
        ],
        {"type": "point", "filled": True, "size": 70, "opacity": 1},
        x=pixels("x"),
        y=pixels("y"),
        color=as_it_is("c"),
    )
    board.text([(0, y, _shortened(each.label, labels)) for y, each in rows])
    ends = [(left, -reach), (middle, 0.0), (right, reach)]
    board.text(
        [(x, height + 14, f"{100 * share:.3g}\u00a0%") for x, share in ends], align="center", color="muted", size=SMALL
    )
    return board.svg(height=height, top=6, bottom=26)


def round_ticks(low: float, high: float, *, most: int) -> list[float]:
    """Round numbers between the ends, at most so many."""
    rough = (high - low) / most * (1 - 1e-9)
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * times for times in (1, 2, 5, 10) if unit * times >= rough)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _shortened(label: str, room: float) -> str:
    if text_width(label, LABEL) <= room:
        return label
    kept = len(label)
    while kept > 1 and text_width(label[:kept] + "…", LABEL) > room:
        kept -= 1
    return label[:kept] + "…"
