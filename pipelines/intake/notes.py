"""Which rows of a sheet or a text file stand above and below its table.

Belongs here: telling titles and notes from rows. Does not belong here: reading (formats/). A row is only left out where
it cannot be a data row by all that is known: a real one that is taken for a note would be lost.
"""

import re
from collections.abc import Sequence
from itertools import takewhile

from pipelines.intake.form import FileForm

Row = Sequence[str | None]

# How far from either end notes are looked for, beyond what a form may declare.
REACH = 1010
_LEAST_COLUMNS = 3
# How notes begin. A company's "(주)" and a masked number's "***-" are no such marks.
_MARK = re.compile(
    r"\s*(※|☞|\*{1,3}\d?\)?\s*[^\s*\d\-]|\(?(주석?|註|자료|출처|비고|참고|단위|sources?|notes?|units?)\s*\d*\s*[:：]|주\s*\d+\s*\)|주\)\s)",
    re.IGNORECASE,
)
# A sentence, and far longer than any other cell of its column.
_LONG, _TIMES_LONGER = 30, 3


def rows_above(head: Sequence[Row], form: FileForm) -> int:
    """How many of the first rows stand above the header: those declared, or titles, and blank rows.

    Undeclared, a row above a header of three columns or more is a title if only one of its cells is filled. Where the
    header has several rows, the first may have one filled cell itself: then a blank row or a mark must tell a title.
    """
    start = form.skip_rows or 0
    if form.skip_rows is None:
        titles = len(list(takewhile(lambda row: filled(row) <= 1, head)))
        header = head[titles : titles + form.header_rows]
        if titles < len(head) and max(filled(row) for row in header) >= _LEAST_COLUMNS:
            start = titles
            while form.header_rows > 1 and start and filled(head[start - 1]) and not _marked(head[start - 1]):
                start -= 1
    return start + len(list(takewhile(lambda row: not filled(row), head[start:])))


def rows_that_may_be_notes(tail: Sequence[Row]) -> int:
    """How many of the last rows are blank or have nothing but their first cell."""
    return len(list(takewhile(lambda row: not any(_present(cell) for cell in row[1:]), reversed(tail))))


def rows_below(tail: Sequence[Row], form: FileForm, *, width: int, longest: int) -> int:
    """How many of the last rows stand below the table: those declared, or notes, and blank rows among them.

    Undeclared, a row at the end of a table of three columns or more is a note if nothing but its first cell is filled
    and it begins with a note's mark, or is a sentence far longer than the column's other cells. In text, a record of
    another width than the table's is no row, and a note if it begins with a mark.

    Args:
        tail: the last rows of the file, to its end.
        width: columns of the table.
        longest: characters of the longest other cell of the first column, 0 if there is none.
    """
    found = taken = seen = 0
    for row in reversed(tail):
        seen += 1
        if not filled(row):
            continue
        if form.notes_below is None:
            if width < _LEAST_COLUMNS or not _is_note(row, width=width, longest=longest):
                break
        elif found == form.notes_below:
            break
        found, taken = found + 1, seen
    return taken


def note_texts(rows: Sequence[Row], *, joint: str = " | ") -> tuple[str, ...]:
    """The text of the rows that are left out, one a row, without blank rows."""
    return tuple(joint.join(cell.strip() for cell in row if cell and cell.strip()) for row in rows if filled(row))


def filled(row: Row) -> int:
    """How many cells of the row are not blank."""
    return sum(_present(cell) for cell in row)


def _present(cell: str | None) -> bool:
    return bool(cell and cell.strip())


def _marked(row: Row) -> bool:
    return _MARK.match(next((cell for cell in row if cell and cell.strip()), "")) is not None


def _is_note(row: Row, *, width: int, longest: int) -> bool:
    first = (row[0] or "").strip()
    if any(_present(cell) for cell in row[1:]):
        return len(row) != width and _MARK.match(first) is not None
    sentence = len(first) >= _LONG and " " in first and 0 < longest * _TIMES_LONGER < len(first)
    return sentence or _MARK.match(first) is not None
