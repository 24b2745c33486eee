"""Which delimiter splits a text into a table, where nobody says it.

Belongs here: telling the delimiter. Does not belong here: reading the table (delimited.py).
"""

import csv
import io
from collections.abc import Sequence
from itertools import islice

from pipelines.intake.problems import file_error

_CANDIDATES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_RECORDS = 2_000
_CHARACTERS = 2**20


def sniff_delimiter(text: str, *, file: str) -> str:
    """The delimiter by which all records of the text's beginning have the same number of cells, two or more.

    Quotes are heeded. Records of one cell above and below the table (titles, notes) are passed over, as few as
    possible. Of a text without such a delimiter, the comma, or the only one that the first record has: what is
    wrong with the records is then told by their reader.

    Raises:
        ViolationsError: two delimiters fit.
    """
    sample = text[:_CHARACTERS]
    records = {mark: _records(sample, mark, cut=len(text) > _CHARACTERS) for mark in _CANDIDATES}
    passed_over = {mark: passed for mark, found in records.items() if (passed := _passed_over(found)) is not None}
    fitting = [mark for mark, passed in passed_over.items() if passed == min(passed_over.values())]
    if not fitting:
        first_line = sample.lstrip("\r\n").split("\n", maxsplit=1)[0]
        fitting = [mark for mark in _CANDIDATES if mark in first_line]
        if not fitting or "," in fitting:
            return ","
    if len(fitting) > 1:
        raise file_error(
            file,
            "delimiter_unclear",
            expected="one delimiter that splits the records",
            got=f"records that {' and '.join(_CANDIDATES[mark] for mark in fitting)} split alike",
            hint="declare 'delimiter' of the file in the manifest",
        )
    return fitting[0]


def _records(sample: str, delimiter: str, *, cut: bool) -> list[int]:
    """The numbers of cells of the sample's records, blank lines left out; none if it cannot be read so."""
    widths: list[int] = []
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter, strict=True)
    try:
        widths.extend(len(record) for record in islice(reader, _RECORDS) if record)
    except csv.Error:
        # A sample that ends within quotes says nothing against the records before.
        if not (cut and reader.line_num >= sample.count("\n")):
            return []
    return widths[:-1] if cut and len(widths) < _RECORDS else widths


def _passed_over(widths: Sequence[int]) -> int | None:
    """How many records of one cell stand around records of one width; None if there are none or of several.

    As with notes, none stand around a table of two columns.
    """
    several = [at for at, width in enumerate(widths) if width > 1]
    if not several:
        return None
    table = widths[several[0] : several[-1] + 1]
    around = len(widths) - len(table)
    return around if len(set(table)) == 1 and (around == 0 or table[0] > 2) else None
