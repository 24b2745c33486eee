"""The one shape every reader returns: text as sent, with what the file says about itself.

Belongs here: TextTable and how cells become text. Does not belong here: any reading of a file (formats/) and
any meaning of a cell (that is the contract's, applied later).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from pipelines.intake.problems import file_error

# What counts as blank: white space of any kind, the non-breaking and the ideographic space among them.
BLANK = r"^[\s\u00a0\u3000\ufeff]*$"
HEADER_JOINT = " / "
# Beyond 2**53 a double no longer holds every whole number; such a value keeps its own notation.
_LARGEST_EXACT = 2.0**53


@dataclass(frozen=True)
class Provenance:
    """Where a table comes from: the file as messages name it, its format and, for text, its encoding.

    `notes` are the titles and notes around the table, top to bottom: what was left out of its rows.
    """

    file: str
    format: str
    encoding: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TextTable:
    """A file's rows as text.

    Attributes:
        frame: one row a data row, columns ``c0, c1, ...`` by position, all pl.String, blank cells null. Blank
            rows at the end of the file are left out, others kept, so that row numbers match the file.
        headers: the header of each column; '' where the file has none.
        labels: the variable label of each column, or None (only typed formats have labels).
        value_labels: header -> code as text -> label.
    """

    frame: pl.DataFrame
    headers: tuple[str, ...]
    provenance: Provenance
    labels: tuple[str | None, ...] = ()
    value_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def text_table(
    frame: pl.DataFrame,
    headers: Sequence[str],
    provenance: Provenance,
    *,
    labels: Sequence[str | None] | None = None,
    value_labels: Mapping[str, Mapping[str, str]] | None = None,
) -> TextTable:
    """A TextTable from data rows of text: names by position, blanks to null, trailing blank rows off.

    Columns without header and without any value (a spreadsheet's edge) are left out.

    Raises:
        ViolationsError: no data row.
    """
    names = [f"c{position}" for position in range(frame.width)]
    frame = frame.rename(dict(zip(frame.columns, names, strict=True))).with_columns(
        pl.when(~pl.all().str.contains(BLANK)).then(pl.all())
    )
    if frame.width:
        filled = frame.select(pl.any_horizontal(pl.all().is_not_null()).alias("filled"))["filled"].arg_true()
        frame = frame.head(int(filled[-1]) + 1 if len(filled) else 0)
    if frame.is_empty():
        raise file_error(
            provenance.file,
            "empty_file",
            expected="at least one data row",
            got="no data row" if headers else "nothing",
            hint="send the complete file",
        )
    kept = [
        position for position, name in enumerate(names) if headers[position] or frame[name].null_count() < frame.height
    ]
    all_labels = labels or [None] * frame.width
    return TextTable(
        frame=frame.select(pl.col(names[old]).alias(f"c{new}") for new, old in enumerate(kept)),
        headers=tuple(headers[position] for position in kept),
        provenance=provenance,
        labels=tuple(all_labels[position] for position in kept),
        value_labels=value_labels or {},
    )


def typed_to_text(frame: pl.DataFrame, provenance: Provenance) -> pl.DataFrame:
    """The cells of a typed file (Parquet, SPSS) as text: whole numbers without '.0', others in the shortest
    notation that gives the same number back, truth values as true/false, dates and times as ISO 8601.

    Raises:
        ViolationsError: columns whose type has no plain text (lists, structures, bytes).
    """
    odd = [
        f"{name}: {dtype}"
        for name, dtype in frame.schema.items()
        if dtype.is_nested() or dtype in (pl.Binary, pl.Object)
    ]
    if odd:
        raise file_error(
            provenance.file,
            "column_type",
            expected="columns of text, numbers, truth values or dates",
            got=", ".join(odd),
            hint="write one plain value a cell (a list of codes as text, joined by semicolons)",
        )
    return frame.select(_as_text(name, dtype) for name, dtype in frame.schema.items())


def number_as_text(column: pl.Expr) -> pl.Expr:
    """A float column as text: whole numbers without '.0', others shortest and exact; NaN is no value."""
    column = column.cast(pl.Float64)
    whole = (column == column.round(0)) & (column.abs() <= _LARGEST_EXACT)
    return (
        pl.when(whole)
        .then(pl.when(whole).then(column).cast(pl.Int64).cast(pl.String))
        .when(~column.is_nan())
        .then(column.cast(pl.String))
    )


def _as_text(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if dtype == pl.Float32:
        # By way of its own shortest notation: widening first would add digits nobody sent.
        return number_as_text(column.cast(pl.String).cast(pl.Float64)).alias(name)
    if dtype.is_float():
        return number_as_text(column).alias(name)
    if isinstance(dtype, pl.Datetime):
        return column.dt.to_string("iso:strict").alias(name)
    return column.cast(pl.String).alias(name)


def join_headers(rows: Sequence[Sequence[str | None]]) -> list[str]:
    """One header a column from several header rows, top to bottom, joined by ' / '.

    A merged cell holds its text in its first cell only, so blanks of the upper rows take the text to their
    left; a text that stands over a blank (merged downwards) is its own column's and is not carried on.

    >>> join_headers([["id", "AI use", None, "note"], [None, "text", "speech", None]])
    ['id', 'AI use / text', 'AI use / speech', 'note']
    """
    cleaned = [[" ".join((cell or "").split()) for cell in row] for row in rows]
    for level in reversed(range(len(cleaned) - 1)):
        upper, lower = cleaned[level], cleaned[level + 1 :]
        for position in range(1, len(upper)):
            spans = all(any(row[at] for row in lower) for at in (position - 1, position))
            if not upper[position] and spans:
                upper[position] = upper[position - 1]
    return [HEADER_JOINT.join(part for part in parts if part) for parts in zip(*cleaned, strict=True)]
