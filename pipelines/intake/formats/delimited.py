"""Delimited text (CSV, TSV) -> TextTable.

Belongs here: the structure of a delimited file and what can be wrong with it. Does not belong here: encodings
(encoding.py), column names (columns.py).
"""

import csv
import io
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import cast

import polars as pl

from pipelines.errors import ViolationsError
from pipelines.intake.encoding import decode
from pipelines.intake.form import FileForm
from pipelines.intake.formats.delimiter import sniff_delimiter
from pipelines.intake.formats.regular_text import read_regular
from pipelines.intake.limits import LIMITS, Limits, check_shape, too_large
from pipelines.intake.notes import REACH, filled, note_texts, rows_above, rows_below, rows_that_may_be_notes
from pipelines.intake.problems import file_error
from pipelines.intake.table import Provenance, TextTable, join_headers, text_table

# Records turned into a frame at a time: bounds the Python strings alive at once.
_CHUNK = 20_000


def read_delimited(path: Path, form: FileForm, *, file: str, limits: Limits = LIMITS) -> TextTable:
    """Read the file at `path` as `form` describes it; `file` is how messages name it.

    Parsed by the csv module unless every record is sound: polars pads a record that is too short without a word, and
    fails on a quote inside an unquoted cell, which contractors do send.

    Raises:
        ViolationsError: encoding, empty file, delimiter that cannot be told, records of another width than the
            header, a quote left open, more than the limits.
    """
    text, encoding = decode(path.read_bytes(), declared=form.encoding, file=file)
    provenance = Provenance(file=file, format="delimited text", encoding=encoding)
    if not text or text.isspace():
        return text_table(pl.DataFrame(), (), provenance)  # raises: there is nothing in it
    if form.delimiter is not None:
        delimiter = form.delimiter
    else:
        delimiter = "\t" if path.suffix.lower() == ".tsv" else sniff_delimiter(text, file=file)
    # Encoded again and read as a stream: a StringIO of Hangul would hold four bytes a character.
    data = text.encode()
    del text
    records = _records(data, delimiter=delimiter, file=file, limits=limits)
    head = list(islice(records, REACH))
    above = rows_above(head, form)
    header = [record for _, record in zip(range(form.header_rows), islice(head, above, None), strict=False)]
    if not header:
        return text_table(pl.DataFrame(), (), provenance)  # raises: there is no header
    width = len(header[0])
    check_shape(0, width, limits, file=file)
    frame = read_regular(data, delimiter=delimiter, width=width, longest=limits.cell_characters)
    other_widths: dict[int, int] = {}
    if frame is not None:
        frame = frame.slice(above + len(header))
        tail = [[cell or "" for cell in row] for row in frame.tail(REACH).rows()]
    else:
        body = chain(islice(head, above + len(header), None), records)
        frame, tail, other_widths = _one_by_one(body, header, limits, file=file)
    check_shape(frame.height, width, limits, file=file)
    other_cells = frame.head(frame.height - rows_that_may_be_notes(tail))[:, 0].str.len_chars().max() if width else 0
    below = rows_below(tail, form, width=width, longest=cast("int | None", other_cells) or 0)
    last = frame.height - below
    other_widths = {row: cells for row, cells in other_widths.items() if row <= last}
    if other_widths:
        raise _ragged(other_widths, width=width, last=frame.height, file=file)
    notes = note_texts([*head[:above], *tail[len(tail) - below :]], joint=f"{delimiter} ")
    return text_table(frame.head(last), join_headers(header), replace(provenance, notes=notes))


def _one_by_one(
    records: Iterable[list[str]], header: list[list[str]], limits: Limits, *, file: str
) -> tuple[pl.DataFrame, list[list[str]], dict[int, int]]:
    """The records below the header, the last of them as they are, and those of another width: row (0 and below: of the
    header) -> cells. They are blank in the frame.
    """
    width = len(header[0])
    other_widths = {number: len(row) for number, row in enumerate(header, 1 - len(header)) if len(row) != width}
    chunks: list[pl.DataFrame] = []
    rows: list[list[str]] = []
    blank = [""] * width
    tail: deque[list[str]] = deque(maxlen=REACH)
    for number, record in enumerate(records, 1):
        fits = len(record) == width
        if not fits and filled(record):
            other_widths[number] = len(record)
        rows.append(record if fits else blank)
        tail.append(record)
        if len(rows) == _CHUNK:
            check_shape(number, width, limits, file=file)
            chunks.append(_frame(rows, width))
            rows.clear()
    chunks.append(_frame(rows, width))
    return pl.concat(chunks), list(tail), other_widths


def _records(data: bytes, *, delimiter: str, file: str, limits: Limits) -> Iterator[list[str]]:
    """The records of the file; a blank line is an empty record."""
    stream = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    first_line = 1
    try:
        for record in reader:
            yield record
            first_line = reader.line_num + 1
    except csv.Error as error:
        if "field limit" in str(error):
            raise too_large(
                file,
                expected=f"cells of at most {limits.cell_characters:,} characters",
                got=f"a longer one in the record that starts on line {first_line}",
                hint="look for a quote that is never closed there, or shorten the cell",
            ) from error
        raise file_error(
            file,
            "broken_quoting",
            expected="every quote closed, and quotes inside a quoted cell doubled",
            got=f"the record that starts on line {first_line} cannot be read ({error})",
            hint="repair the quoting of that record, or send the file again if it was cut off",
        ) from error


def _frame(rows: list[list[str]], width: int) -> pl.DataFrame:
    columns = zip(*rows, strict=True) if rows else ((),) * width
    return pl.DataFrame([pl.Series(str(position), values, dtype=pl.String) for position, values in enumerate(columns)])


def _ragged(other_widths: dict[int, int], *, width: int, last: int, file: str) -> ViolationsError:
    """`other_widths`: data row number (0 and below: header rows) -> its number of cells."""
    cut = list(other_widths) == [last] and other_widths[last] < width
    found = ", ".join(str(found) for found in sorted(set(other_widths.values())))
    return file_error(
        file,
        "truncated_file" if cut else "ragged_rows",
        part="header" if min(other_widths) < 1 else "",
        expected=f"{width} cells in every row, as in the first",
        got=f"{found} cells in {'the last row' if cut else f'{len(other_widths)} row(s)'}",
        hint="the file was cut off: send the complete file again"
        if cut
        else "quote cells that hold the delimiter, or declare 'delimiter' in the manifest, or 'skip_rows' and "
        "'notes_below' if these are titles and notes around the table",
        rows=tuple(number for number in other_widths if number > 0),
    )
