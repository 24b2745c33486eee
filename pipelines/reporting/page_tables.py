"""Tables on paper: widths of columns, where lines of text break, and which tables stand across the page.

Belongs here: what follows from the page being as wide as it is. Does not belong here: what a table holds (tables), its
lines and colours (reports/annual/parts.typ).

Widths are in points and come from the widths of the characters (fonts), so that a figure is never broken and a table
never runs over the margin.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pipelines.reporting.fonts import text_width
from pipelines.reporting.tables import Column, Kind, Table

# A4 less its margins, as in parts.typ
UPRIGHT = 498.9
ACROSS = 745.5
TYPE_SIZE = 7.0
SMALLEST_TYPE = 5.0
# Left and right of each cell
INSET = 2.5

_WORDS: frozenset[Kind] = frozenset({"label", "text", "code"})
# A column of words is readable from this width on
_READABLE = 78.0
# A word longer than this, such as a hash, is cut
_LONGEST_WORD = 150.0
# A heading over figures takes this many lines before it widens its column
_HEADING_LINES = 3
# Rows that do not fit one page
_LONG = 50
_BREAKABLE = re.compile(r"[ \n]+")


def needs_width(table: Table) -> bool:
    """True when the table is too wide for an upright page, or is long and would break most of its lines there."""
    needs = _needs_of(table)
    return _least(needs) > UPRIGHT or (
        len(table.rows) > _LONG and UPRIGHT < sum(need.natural for need in needs) <= ACROSS
    )


def table_values(table: Table, *, across: bool) -> dict[str, Any]:
    """A table as values of the template, fitted to a page upright or across.

    Returns:
        id, title, notes, `size` of type and `widths` of columns (points), `columns` (heading, align), `groups`
        (heading, number of columns), and `rows` of cells, each a list of lines.
    """
    needs = _needs_of(table)
    room = ACROSS if across else UPRIGHT
    # Where even the least does not fit, type is set smaller
    size = TYPE_SIZE * min(1.0, max(SMALLEST_TYPE / TYPE_SIZE, room / _least(needs)))
    widths = _fitted(needs, room, size / TYPE_SIZE)
    return {
        "id": table.id,
        "title": table.title,
        "notes": table.notes,
        "size": size,
        "widths": widths,
        "columns": [
            {"heading": column.heading, "align": "left" if column.kind in _WORDS else "right"}
            for column in table.columns
        ],
        "groups": _groups(table.columns) if table.has_groups else [],
        "rows": [
            [lines(cell.text, width - 2 * INSET, size) for cell, width in zip(row, widths, strict=True)]
            for row in table.rows
        ],
    }


@dataclass(frozen=True)
class _Need:
    """Widths in points at the full size of type: without a break, and of the longest word; figures are not broken."""

    natural: float
    word: float
    is_words: bool


def _needs_of(table: Table) -> list[_Need]:
    return [_need(column, [row[number].text for row in table.rows]) for number, column in enumerate(table.columns)]


def _least(needs: Sequence[_Need]) -> float:
    return sum(min(need.natural, max(need.word, _READABLE)) if need.is_words else need.natural for need in needs)


def _groups(columns: Sequence[Column]) -> list[tuple[str, int]]:
    return [(group, len(list(members))) for group, members in groupby(column.group for column in columns)]


def _need(column: Column, cells: Sequence[str]) -> _Need:
    heading_word = max(_width(word) for word in _BREAKABLE.split(column.heading))
    widest = max(map(_width, cells), default=0.0)
    if column.kind in _WORDS:
        word = max((_width(word) for cell in cells for word in _BREAKABLE.split(cell)), default=0.0)
        return _Need(max(widest, _width(column.heading)), min(max(word, heading_word), _LONGEST_WORD), True)
    # Lines of a heading do not fill up evenly: a fifth more
    heading = 1.2 * (_width(column.heading) - 2 * INSET) / _HEADING_LINES + 2 * INSET
    return _Need(max(widest, heading_word, heading), 0.0, False)


def _width(text: str) -> float:
    """Width of a cell with its insets; a little more than its characters, since they are set to whole units."""
    return 1.02 * text_width(text, TYPE_SIZE) + 2 * INSET


def _fitted(needs: Sequence[_Need], room: float, scale: float) -> list[float]:
    """Widths that fill at most `room`: figures get theirs, words share what is left by what they need."""
    natural = [scale * need.natural for need in needs]
    if sum(natural) <= room:
        return natural
    waiting = {number: scale * need.word for number, need in enumerate(needs) if need.is_words}
    left = room - sum(width for number, width in enumerate(natural) if number not in waiting)
    widths = dict(enumerate(natural))
    while waiting:
        total = sum(natural[number] for number in waiting)
        # In proportion all take the same number of lines; those whose longest word needs more go first
        short = [number for number, word in waiting.items() if left * natural[number] / total < word]
        for number in short or waiting:
            widths[number] = waiting[number] if short else left * natural[number] / total
        if not short:
            break
        for number in short:
            left -= waiting.pop(number)
    return [widths[number] for number in range(len(needs))]


def lines(text: str, room: float, size: float) -> list[str]:
    """The text, with words that are wider than the column cut into lines."""
    if text_width(text, size) <= room:
        return [text]
    made: list[str] = []
    for word in text.split(" "):
        if text_width(word, size) <= room:
            made.append(word)
            continue
        piece = ""
        for sign in word:
            if piece and 1.02 * text_width(piece + sign, size) > room:
                made.append(f"{piece}\n")
                piece = ""
            piece += sign
        made.append(piece)
    joined = " ".join(made).replace("\n ", "\n")
    return joined.split("\n")
