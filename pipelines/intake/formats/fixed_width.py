"""Text of fixed width (.dat, .fwf) with a layout file -> TextTable.

Belongs here: records cut into cells. Does not belong here: the layout (layout.py), encodings (encoding.py).
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from pipelines.errors import Violation, ViolationsError
from pipelines.intake.encoding import decode
from pipelines.intake.form import FileForm
from pipelines.intake.formats.layout import Field, read_layout
from pipelines.intake.limits import LIMITS, Limits, check_shape
from pipelines.intake.problems import file_error
from pipelines.intake.table import Provenance, TextTable, text_table

_BOM = b"\xef\xbb\xbf"
# DOS programs end a file with it.
_END_OF_FILE = "\x1a"


def read_fixed_width(path: Path, form: FileForm, *, file: str, limits: Limits = LIMITS) -> TextTable:
    """Read the file at `path` by its layout, which gives headers and labels; the file itself has no header.

    Positions are bytes unless `form.unit` says characters: Korean programs count a syllable of CP949 as two. Blanks
    that fill a field up are taken off. All records are of one length, at least the layout's.

    Raises:
        ViolationsError: no layout, an encoding that has no bytes to count, records of another length, fields that begin
            or end within a letter (with their rows), or more than the limits.
    """
    if form.layout is None:
        raise file_error(
            file,
            "missing_layout",
            expected="a layout file: CSV with name, start, width and, if wanted, label",
            got="none declared",
            hint="send one beside the data file and name it in the manifest ('layout')",
        )
    fields = read_layout(path.parent, form.layout, file=file, limits=limits)
    data = path.read_bytes()
    text, encoding = decode(data, declared=form.encoding, file=file)
    provenance = Provenance(file=file, format="fixed-width text", encoding=encoding)
    if form.unit == "bytes" and encoding.startswith("utf-16"):
        raise file_error(
            file,
            "wrong_encoding",
            expected="an encoding of one or more bytes a letter, or a layout in characters",
            got=f"{encoding}, and a layout in bytes",
            hint="declare 'unit': 'characters' in the manifest, or save the file as UTF-8",
        )
    if form.unit == "bytes":
        codec = "utf-8" if encoding == "utf-8-sig" else encoding
        # In none of these encodings is the byte of a line end a part of a letter.
        lines = data.removeprefix(_BOM).rstrip(_END_OF_FILE.encode()).split(b"\n")
        records: list[bytes] | list[str] = [line.removesuffix(b"\r") for line in lines]
    else:
        codec = None
        records = [line.removesuffix("\r") for line in text.rstrip(_END_OF_FILE).split("\n")]
    del data, text
    while records and not records[-1].strip():
        records.pop()
    check_shape(len(records), len(fields), limits, file=file)
    _check_lengths(records, fields, unit=form.unit, file=file)
    frame = _frame(records, fields, codec=codec, file=file)
    return text_table(frame, [field.name for field in fields], provenance, labels=[field.label for field in fields])


def _check_lengths(records: Sequence[bytes | str], fields: Sequence[Field], *, unit: str, file: str) -> None:
    """All records must have the length that most have, and the layout must fit into it."""
    lengths = Counter(len(record) for record in records if record.strip())
    if not lengths:
        return
    needed = max(field.end for field in fields)
    length = max(needed, lengths.most_common(1)[0][0])
    wrong = [row for row, record in enumerate(records, 1) if record.strip() and len(record) != length]
    if not wrong:
        return
    found = ", ".join(str(other) for other in sorted(set(lengths) - {length}))
    cut = wrong == [len(records)] and len(records[-1]) < length
    raise file_error(
        file,
        "truncated_file" if cut else "record_length",
        expected=f"{length} {unit} in every record" + (", as the layout says" if length == needed else ""),
        got=f"{found} {unit} in {'the last record' if cut else f'{len(wrong)} record(s)'}",
        hint="the file was cut off: send the complete file again"
        if cut
        else "correct these records, or the layout; the layout counts bytes unless 'unit' is 'characters'",
        rows=tuple(wrong),
    )


def _frame(records: Sequence[bytes | str], fields: Sequence[Field], *, codec: str | None, file: str) -> pl.DataFrame:
    columns: list[pl.Series] = []
    violations: list[Violation] = []
    for position, field in enumerate(fields):
        split: list[int] = []
        cells: list[str] = []
        for row, record in enumerate(records, 1):
            cell = record[field.start : field.end]
            if isinstance(cell, bytes):
                try:
                    cells.append(cell.decode(codec or "utf-8").strip(" "))
                except UnicodeDecodeError:
                    split.append(row)
            else:
                cells.append(cell.strip(" "))
        if split:
            violations.append(
                Violation(
                    code="letter_split",
                    where=f"{file}, column {field.name}",
                    expected="fields that begin and end between letters",
                    got=f"{len(split)} record(s) in which bytes {field.start + 1} to {field.end} cut a letter",
                    hint="correct the layout, or declare 'unit': 'characters' if it counts letters",
                    rows=tuple(split),
                )
            )
        else:
            columns.append(pl.Series(str(position), cells, dtype=pl.String))
    if violations:
        raise ViolationsError(file, violations)
    return pl.DataFrame(columns)
