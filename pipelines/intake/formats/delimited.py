"""Delimited text (CSV, TSV) -> TextTable.

Belongs here: the structure of a delimited file and what can be wrong with it. Does not belong here: encodings
(encoding.py), column names (columns.py).
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from pipelines.errors import ViolationsError
from pipelines.intake.encoding import decode
from pipelines.intake.form import FileForm
from pipelines.intake.problems import file_error
from pipelines.intake.table import Provenance, TextTable, join_headers, text_table

# Records turned into a frame at a time: bounds the Python strings alive at once.
_CHUNK = 20_000


def read_delimited(path: Path, form: FileForm, *, file: str) -> TextTable:
    """Read the file at `path` as `form` describes it; `file` is how messages name it.

    Parsed by the csv module: polars pads a record that is too short without a word, and fails on a quote
    inside an unquoted cell, which contractors do send.

    Raises:
        ViolationsError: encoding, empty file, records of another width than the header, a quote left open.
    """
    text, encoding = decode(path.read_bytes(), declared=form.encoding, file=file)
    provenance = Provenance(file=file, format="delimited text", encoding=encoding)
    if not text.strip():
        return text_table(pl.DataFrame(), (), provenance)  # raises: there is nothing in it
    delimiter = form.delimiter or ("\t" if path.suffix.lower() == ".tsv" else ",")
    # Encoded again and read as a stream: a StringIO of Hangul would hold four bytes a character.
    stream = io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8", newline="")
    del text
    records = _records(stream, delimiter=delimiter, file=file)
    header = [record for _, record in zip(range(form.header_rows), records, strict=False)]
    width = len(header[0])
    other_widths = {number: len(row) for number, row in enumerate(header, 1 - len(header)) if len(row) != width}
    chunks: list[pl.DataFrame] = []
    rows: list[list[str]] = []
    blank = [""] * width
    number = 0
    for number, record in enumerate(records, 1):
        if record and len(record) != width:
            other_widths[number] = len(record)
        elif not other_widths:
            rows.append(record or blank)
        if len(rows) == _CHUNK:
            chunks.append(_frame(rows, width))
            rows.clear()
    if other_widths:
        raise _ragged(other_widths, width=width, last=number, file=file)
    chunks.append(_frame(rows, width))
    return text_table(pl.concat(chunks), join_headers(header), provenance)


def _records(stream: io.TextIOWrapper, *, delimiter: str, file: str) -> Iterator[list[str]]:
    """The records of the file; a blank line is an empty record, those before the header are left out."""
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    first_line, begun = 1, False
    try:
        for record in reader:
            begun = begun or bool(record)
            if begun:
                yield record
            first_line = reader.line_num + 1
    except csv.Error as error:
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
        else "quote cells that hold the delimiter, or declare 'delimiter' in the manifest",
        rows=tuple(number for number in other_widths if number > 0),
    )
