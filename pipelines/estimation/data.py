"""The data file of a specification: CSV, Parquet, SPSS or Stata -> a frame of the columns that are needed.

Belongs here: formats, missing values, which columns hold numbers. Does not belong here: what a column is for (run),
deliveries and their contracts (intake).
"""

import gzip
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
from pyarrow import csv as arrow_csv

from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.intake.formats.process import read_in_process
from pipelines.intake.formats.statistical import STATISTICAL_PROGRAM
from pipelines.intake.limits import LIMITS
from pipelines.stats.terms import whole_numbers

Format = Literal["csv", "tsv", "parquet", "statistical"]
# Ends of names, without .gz, which text files may have besides
FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".sav": "statistical",
    ".zsav": "statistical",
    ".dta": "statistical",
}
_ENCODINGS = "a text file in UTF-8 or CP949"
_TEXT = "a header, quotes that are closed, and as many cells in every row"
_DELIMITERS = {"csv": ",", "tsv": "\t"}
_TRUTH = {"TRUE": True, "True": True, "true": True, "FALSE": False, "False": False, "false": False}


@dataclass(frozen=True, eq=False)
class DataFile:
    """A file that can be read: its columns are known, its rows not yet read. Made by :func:`open_data`."""

    path: Path
    name: str  # as the specification writes it
    format: Format
    columns: tuple[str, ...]
    content: bytes | None = field(repr=False)  # of a text file, in UTF-8

    def read(self, columns: Sequence[str], *, missing: Sequence[str], text: Sequence[str] = ()) -> pl.DataFrame:
        """The columns named, numbers as numbers.

        A text column is one of numbers, or of truth values, where all its values are: 01 is then 1. Categories are
        text. Cells that hold one of ``missing`` are null, and so are empty cells of text files and NaN. Columns of
        ``text`` are labels: 01 stays 01, and numbers of other files become text, whole ones without decimals.

        Raises:
            ViolationsError: rows of a text file have more or fewer cells than its header, or two columns one name;
                columns of lists, records, bytes or spans of time.
            AxstatError: the file cannot be read.
        """
        if self.content is not None:
            delimiter = _DELIMITERS[self.format]
            _check_shape(self.content, self.name, delimiter, self.columns, columns)
            frame = _cells(self.content, self.name, delimiter, columns=list(columns))
            return frame.select(
                _without(_read_as(_without(frame[name], ("", *missing)), label=name in text), missing)
                for name in frame.columns
            )
        if self.format == "parquet":
            try:
                frame = pl.read_parquet(self.path, columns=list(columns))
            except (pl.exceptions.PolarsError, OSError) as error:
                raise _unreadable(self.name, "a complete Parquet file", error) from None
        else:
            _, frame = _statistical(self.path, self.name, columns)
        _check_types(frame, self.name)
        plain = frame.select(_without(_plain(frame[name]), missing) for name in frame.columns)
        return plain.with_columns(whole_numbers(plain[name]).cast(pl.String) for name in plain.columns if name in text)


def open_data(path: Path, *, name: str) -> DataFile:
    """Find the columns of a file.

    Raises:
        AxstatError: the file is not there, has an unknown ending or cannot be read.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    zipped = suffixes[-1:] == [".gz"]
    ending = (suffixes[:-1] if zipped else suffixes)[-1:]
    found = FORMATS.get(ending[0]) if ending else None
    if found is None or (zipped and found not in ("csv", "tsv")):
        raise AxstatError(
            "unknown_format",
            where=f"file {name}",
            expected=f"a file that ends in {', '.join(FORMATS)}; text files also with .gz",
            got=path.suffix or "no ending",
            hint="convert the file, or give it its ending",
        )
    if not path.is_file():
        raise AxstatError(
            "file_not_found",
            where=f"file {name}",
            expected="a file at that path, relative to the specification",
            got="none",
            hint="mend the path",
        )
    content = None
    if found in ("csv", "tsv"):
        content = _text_content(path, name)
        header = _cells(content, name, _DELIMITERS[found], has_header=False, n_rows=1, truncate_ragged_lines=True)
        columns = [column or "" for column in header.row(0)]
    elif found == "parquet":
        try:
            columns = list(pl.read_parquet_schema(path))
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _unreadable(name, "a complete Parquet file", error) from None
    else:
        columns, _ = _statistical(path, name, ())
    return DataFile(path=path, name=name, format=found, columns=tuple(columns), content=content)


def number_faults(column: pl.Series, *, place: str) -> list[Violation]:
    """What keeps a column from being one of numbers, naming the first rows."""
    if column.dtype.is_numeric():
        wrong = column.is_infinite() if column.dtype.is_float() else pl.Series([False])
        expected = "finite numbers"
    elif column.dtype in (pl.Boolean, pl.Null):
        return []
    else:
        wrong = column.cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False).is_null() & column.is_not_null()
        expected = "numbers"
    rows = np.flatnonzero(wrong.fill_null(value=False).to_numpy())
    if not len(rows):
        return []
    values = ", ".join(repr(column[int(row)]) for row in rows[:3])
    return [
        Violation(
            "not_a_number",
            where=f"{place}, column {column.name!r}",
            expected=expected,
            got=f"{values}{' …' if len(rows) > 3 else ''}",
            hint="name what stands for a missing value in missing, or choose a column of numbers",
            rows=tuple((rows + 1).tolist()),
        )
    ]


def _text_content(path: Path, name: str) -> bytes:
    """A file's text in UTF-8 without blank lines at its end; what is not UTF-8 is CP949, which Korean offices send."""
    try:
        content = path.read_bytes()
        if path.suffix.lower() == ".gz":
            content = gzip.decompress(content)
        if not content.isascii() and not _is_utf8(content):
            content = content.decode("cp949").encode("utf-8")
    except UnicodeDecodeError as error:
        raise _unreadable(name, _ENCODINGS, error, hint="save the file as UTF-8") from None
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(name, _ENCODINGS, error) from None
    return content.rstrip(b"\r\n")


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _cells(content: bytes, name: str, delimiter: str, **options: Any) -> pl.DataFrame:
    """Cells as text, with options of polars."""
    try:
        return pl.read_csv(content, separator=delimiter, infer_schema=False, **options)
    except pl.exceptions.PolarsError as error:
        raise _unreadable(name, _TEXT, error) from None


def _check_shape(content: bytes, name: str, delimiter: str, header: Sequence[str], needed: Sequence[str]) -> None:
    """Refuse rows that are wider or narrower than the header, which polars fills up or cuts, and names used twice."""
    width = len(header)
    others: dict[int, int] = {}

    def note(row: arrow_csv.InvalidRow) -> str:
        # The header is the first row here, since it may name two columns alike
        others[row.number - 1] = row.actual_columns
        return "skip"

    try:
        arrow_csv.read_csv(
            pa.py_buffer(content),
            # Rows have no number where threads read them
            arrow_csv.ReadOptions(use_threads=False, block_size=1 << 24, column_names=[str(i) for i in range(width)]),
            arrow_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=note
            ),
            arrow_csv.ConvertOptions(include_columns=["0"], column_types={"0": pa.binary()}),
        )
    except pa.ArrowInvalid as error:
        raise _unreadable(name, _TEXT, error) from None
    faults = [
        Violation(
            "column_twice",
            where=f"file {name}, column {column!r}",
            expected="one column of that name",
            got=f"{header.count(column)} of them",
            hint="give the columns names of their own",
        )
        for column in needed
        if header.count(column) > 1
    ]
    if others:
        widths = ", ".join(str(found) for found in sorted(set(others.values())))
        faults.append(
            Violation(
                "ragged_rows",
                where=f"file {name}",
                expected=f"{width} cells in every row, as in the header",
                got=f"{widths} cells in {len(others)} row(s)",
                hint="quote cells that hold the delimiter, and send the complete file again if it was cut off",
                rows=tuple(others),
            )
        )
    if faults:
        raise ViolationsError(f"file {name}", faults)


def _statistical(path: Path, name: str, columns: Sequence[str]) -> tuple[list[str], pl.DataFrame]:
    """The names of all columns of an SPSS or Stata file, and those of ``columns`` as a frame."""
    expected = "a complete SPSS or Stata file"
    try:
        found, rows = read_in_process(
            STATISTICAL_PROGRAM,
            path,
            ["", json.dumps(list(columns))],
            file=name,
            what=expected,
            hint="send the complete file again",
            limits=LIMITS,
        )
    except ViolationsError as error:
        raise _unreadable(name, expected, ValueError(error.violations[0].got)) from None
    if "error" in found:
        raise _unreadable(name, expected, ValueError(f"{found['error']}: {found['text']}"))
    return found["names"], pl.read_ipc_stream(rows) if rows else pl.DataFrame()


def _check_types(frame: pl.DataFrame, name: str) -> None:
    """Refuse columns whose cells are no single values."""
    faults = [
        Violation(
            "not_single_values",
            where=f"file {name}, column {column.name!r}",
            expected="numbers, texts, truth values or times",
            got=str(column.dtype),
            hint="make a column of single values of it",
        )
        for column in frame.iter_columns()
        if column.dtype.is_nested() or column.dtype in (pl.Duration, pl.Binary, pl.Object)
    ]
    if faults:
        raise ViolationsError(f"file {name}", faults)


def _plain(column: pl.Series) -> pl.Series:
    """Categories and times as text, decimals as floats, NaN as null."""
    if isinstance(column.dtype, pl.Datetime):
        return column.dt.to_string("%Y-%m-%d %H:%M:%S%.f")
    if isinstance(column.dtype, pl.Categorical | pl.Enum) or column.dtype in (pl.Date, pl.Time):
        return column.cast(pl.String)
    if column.dtype.is_decimal():
        return column.cast(pl.Float64)
    return column.fill_nan(None) if column.dtype.is_float() else column


def _without(column: pl.Series, missing: Sequence[str]) -> pl.Series:
    """The column with null for each cell that is one of ``missing``."""
    if column.dtype == pl.String:
        return column.set(column.is_in(list(missing)), None) if missing else column
    if not column.dtype.is_numeric():
        return column
    codes = pl.Series(list(missing), dtype=pl.String).cast(pl.Float64, strict=False).drop_nulls().drop_nans()
    return column.set(column.cast(pl.Float64).is_in(codes.to_list()), None) if len(codes) else column


def _read_as(column: pl.Series, *, label: bool) -> pl.Series:
    return column.str.strip_chars() if label else _typed(column)


def _typed(column: pl.Series) -> pl.Series:
    """A text column as whole numbers, numbers or truth values, where all of its values are."""
    stripped = column.str.strip_chars()
    whole = stripped.cast(pl.Int64, strict=False)
    if whole.null_count() == column.null_count():
        return whole
    made = stripped.cast(pl.Float64, strict=False)
    # More digits than a number holds are a label, such as the long number of a unit.
    if made.null_count() == column.null_count() and not stripped.str.contains(r"^[0-9]{19,}$").any():
        return made.fill_nan(None)
    known = column.drop_nulls().unique().to_list()
    return column.replace_strict(_TRUTH, return_dtype=pl.Boolean) if set(known) <= set(_TRUTH) else column


def _unreadable(
    name: str, expected: str, error: Exception, *, hint: str = "send the complete file again"
) -> AxstatError:
    return AxstatError(
        "file_unreadable",
        where=f"file {name}",
        expected=expected,
        got=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:200],
        hint=hint,
    )
