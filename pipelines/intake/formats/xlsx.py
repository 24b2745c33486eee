"""Excel workbooks (.xlsx) -> TextTable.

Belongs here: one sheet, cell by cell, as text. Does not belong here: column names (columns.py). Formulas are
never evaluated: a cell is the value the workbook stores for it.
"""

from pathlib import Path

import fastexcel
import polars as pl

from pipelines.intake.form import FileForm
from pipelines.intake.problems import file_error
from pipelines.intake.table import Provenance, TextTable, join_headers, number_as_text, text_table

# How fastexcel's messages name an error cell -> what Excel shows in it.
_ERROR_CELLS = {
    "Div0": "#DIV/0!",
    "GettingData": "#GETTING_DATA",
    "NA": "#N/A",
    "Name": "#NAME?",
    "Null": "#NULL!",
    "Num": "#NUM!",
    "Ref": "#REF!",
    "Value": "#VALUE!",
}


def read_xlsx(path: Path, form: FileForm, *, file: str) -> TextTable:
    """Read one sheet of the workbook at `path`: `form.sheet`, or the first; `file` names it in messages.

    Raises:
        ViolationsError: not a whole workbook, no such sheet, nothing in it.
    """
    provenance = Provenance(file=file, format="xlsx")
    try:
        workbook = fastexcel.read_excel(path)
        sheet = _sheet_name(workbook.sheet_names, form, file=file)
        texts = workbook.load_sheet(sheet, header_row=None, dtypes="string")
        if not texts.width:
            return text_table(pl.DataFrame(), (), provenance)  # raises: there is nothing in it
        batch, errors = texts.to_arrow_with_errors()
        numbers = workbook.load_sheet(sheet, header_row=None, dtypes="float").to_polars()
    except fastexcel.FastExcelError as error:
        raise file_error(
            file,
            "truncated_file",
            expected="a complete .xlsx workbook without password",
            got=str(error).split("\n", maxsplit=1)[0],
            hint="open the file, save it as .xlsx and send it again with its new sha256",
        ) from error
    cells = _with_full_numbers(pl.DataFrame(pl.from_arrow(batch)), numbers)
    if errors is not None:
        cells = _with_error_cells(cells, [(error.offset_position, error.detail) for error in errors.errors])
    header = cells.head(form.header_rows).rows()
    return text_table(cells.slice(form.header_rows), join_headers(header), provenance)


def _sheet_name(names: list[str], form: FileForm, *, file: str) -> str:
    if form.sheet is None and names:
        return names[0]
    if form.sheet is not None and form.sheet in names:
        return form.sheet
    raise file_error(
        file,
        "unknown_sheet",
        expected=f"the sheet {form.sheet!r}" if form.sheet is not None else "a sheet",
        got=f"sheets {', '.join(repr(name) for name in names)}",
        hint="name the sheet with the data in the manifest ('sheet')",
    )


def _with_full_numbers(cells: pl.DataFrame, numbers: pl.DataFrame) -> pl.DataFrame:
    """`cells` with the digits that the reader's text form loses: it rounds numbers to nine decimals.

    A text cell that looks like a number has the same value in both frames and so stays as it was sent.
    """
    return cells.with_columns(
        pl.when(cells[name].cast(pl.Float64, strict=False) != numbers[name])
        .then(numbers.select(number_as_text(pl.col(name)))[name])
        .otherwise(pl.col(name))
        .alias(name)
        for name in cells.columns
    )


def _with_error_cells(cells: pl.DataFrame, errors: list[tuple[tuple[int, int], str]]) -> pl.DataFrame:
    """`cells` with Excel's own text in error cells: as blanks they would look like answers left out."""
    for (row, column), detail in errors:
        kind = detail.partition("Error(")[2].partition(")")[0]
        cells[row, column] = _ERROR_CELLS.get(kind, "#ERROR")
    return cells
