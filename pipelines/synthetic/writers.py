"""Files as contractors write them: CSV in two encodings, workbooks with merged headers, SPSS files, Parquet.

Belongs here: how a table in the contract's columns becomes the bytes of a file, the same bytes every time.
Does not belong here: what the table holds (fieldwork), which form a wave has (country.yaml), or reading
(intake).
"""

import datetime
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

import polars as pl
import pyreadstat
import xlsxwriter

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.models import Column, TableContract
from pipelines.synthetic.parameters import Form

SHEET: Final = "자료"
_HEADER_JOINT: Final = " / "
_SUFFIX: Final = {"csv": "csv", "xlsx": "xlsx", "sav": "sav", "parquet": "parquet"}
_PROBABILITY_DIGITS: Final = 10

# An SPSS file says when it was written, at this place of its header; the same input must give the same bytes.
_SAV_STAMP: Final = slice(92, 109)
_FIXED_SAV_STAMP: Final = b"26 Sep 2412:00:00"
_FIXED_DATE: Final = datetime.datetime(2024, 9, 26, 12, 0, 0)


@dataclass(frozen=True)
class WrittenFile:
    """What the manifest says of a file."""

    name: str
    contract: str
    rows: int
    encoding: str | None
    delimiter: str | None
    header_rows: int
    sheet: str | None


def write_table(
    frame: pl.DataFrame,
    contract: TableContract,
    form: Form,
    folder: Path,
    *,
    stem: str,
    sections: Mapping[str, str],
) -> WrittenFile:
    """Write `frame` into `folder` in the given form.

    Args:
        frame: columns of `contract` under their own names, codes as text.
        stem: file name without suffix.
        sections: KSIC section letter by division, for codes written with their letter.
    """
    columns = [contract.column(name) for name in frame.columns]
    path = folder / f"{stem}.{_SUFFIX[form.format]}"
    table = frame.select(_as_written(column, form, sections) for column in columns)
    headers = [_header(column, form) for column in columns]
    if form.format == "csv":
        _write_csv(table, headers, path, str(form.encoding))
    elif form.format == "xlsx":
        _write_xlsx(table, headers, path)
    elif form.format == "sav":
        _write_sav(table, headers, columns, path)
    else:
        table.rename(dict(zip(table.columns, headers, strict=True))).write_parquet(
            path, compression="zstd", compression_level=3, statistics=False, row_group_size=50_000
        )
    return WrittenFile(
        name=path.name,
        contract=contract.name,
        rows=frame.height,
        encoding=form.encoding,
        delimiter="," if form.format == "csv" else None,
        header_rows=2 if form.header == "korean_two_rows" else 1,
        sheet=SHEET if form.format == "xlsx" else None,
    )


def _header(column: Column, form: Form) -> str:
    """The header of a column: of its synonyms the first is Korean, the second a variable name."""
    if form.header == "canonical":
        return column.name
    if form.header == "korean_two_rows":
        return next(name for name in column.synonyms if _HEADER_JOINT in name)
    return column.synonyms[1 if form.header == "variable" else 0]


def _as_written(column: Column, form: Form, sections: Mapping[str, str]) -> pl.Expr:
    """The column's values the way this form writes them."""
    value = pl.col(column.name)
    if column.name == "business_number" and form.hyphens:
        return pl.concat_str(value.str.slice(0, 3), value.str.slice(3, 2), value.str.slice(5), separator="-").alias(
            column.name
        )
    if column.name == "ksic":
        if form.ksic == "letter":
            return (value.replace_strict(sections, default="Z", return_dtype=pl.String) + value).alias(column.name)
        return value.cast(pl.Int64) if form.ksic == "number" else value
    if column.name == "employees" and form.thousands:
        return _with_thousands(value)
    numbers = column.name == "institution_code" or (bool(column.missing_codes) and column.name != "take_all")
    if numbers and form.codes == "number":
        return value.cast(pl.Int64)
    return value


def _with_thousands(value: pl.Expr) -> pl.Expr:
    """1234567 as 1,234,567: a comma before each group of three digits, counted from the right."""
    text = value.abs().cast(pl.String)
    grouped = text.str.reverse().str.replace_all(r"(\d{3})", "$1,").str.reverse().str.strip_prefix(",")
    return pl.when(value < 0).then("-" + grouped).otherwise(grouped).alias("employees")


def _write_csv(table: pl.DataFrame, headers: Sequence[str], path: Path, encoding: str) -> None:
    buffer = io.BytesIO()
    table.rename(dict(zip(table.columns, headers, strict=True))).write_csv(
        buffer, line_terminator="\r\n", float_precision=_PROBABILITY_DIGITS
    )
    if encoding == "utf-8-sig":
        path.write_bytes(b"\xef\xbb\xbf" + buffer.getvalue())
    else:
        path.write_bytes(buffer.getvalue().decode("utf-8").encode(encoding))


def _write_xlsx(table: pl.DataFrame, headers: Sequence[str], path: Path) -> None:
    """A workbook with one sheet; headers in two parts take two rows, equal upper parts in a merged cell."""
    workbook = xlsxwriter.Workbook(str(path), {"strings_to_numbers": False, "strings_to_formulas": False})
    workbook.set_properties({"created": _FIXED_DATE})
    bold = workbook.add_format({"bold": True, "align": "center", "valign": "vcenter", "border": 1})
    sheet = workbook.add_worksheet(SHEET)
    parts = [header.split(_HEADER_JOINT) for header in headers]
    depth = max(len(part) for part in parts)
    if depth == 1:
        sheet.write_row(0, 0, list(headers), bold)
    else:
        for upper, group in groupby(enumerate(parts), key=lambda entry: entry[1][0]):
            positions = [position for position, _ in group]
            if len(positions) > 1:
                sheet.merge_range(0, positions[0], 0, positions[-1], upper, bold)
            else:
                sheet.write_string(0, positions[0], upper, bold)
        for position, part in enumerate(parts):
            sheet.write_string(1, position, part[-1], bold)
    for position, column in enumerate(table.iter_columns()):
        write = sheet.write_string if column.dtype == pl.String else sheet.write_number
        for row, value in enumerate(column, start=depth):
            if value is not None:
                write(row, position, value)
    workbook.close()


def _write_sav(table: pl.DataFrame, headers: Sequence[str], columns: Sequence[Column], path: Path) -> None:
    value_labels = {
        header: {float(code.value): code.label_ko for code in column.codes}
        for header, column in zip(headers, columns, strict=True)
        if column.codes and table[column.name].dtype.is_numeric()
    }
    numeric = [name for name in table.columns if table[name].dtype.is_numeric()]
    pyreadstat.write_sav(
        table.with_columns(pl.col(numeric).cast(pl.Float64)).rename(dict(zip(table.columns, headers, strict=True))),
        path,
        column_labels={header: column.label_ko for header, column in zip(headers, columns, strict=True)},
        variable_value_labels=value_labels,
    )
    content = bytearray(path.read_bytes())
    content[_SAV_STAMP] = _FIXED_SAV_STAMP
    path.write_bytes(content)


def ksic_sections(library: ContractLibrary) -> dict[str, str]:
    """Section letter by KSIC division."""
    return {row.division: row.section for row in library.ksic}
