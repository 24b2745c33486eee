"""The program of the process that `read_workbook` starts: one sheet in; one line of JSON and its cells out.

Belongs here: the calls of fastexcel, and cells as text. Does not belong here: words for people (workbook.py).
"""

import posixpath
import re
import zipfile
from pathlib import Path

import fastexcel
import polars as pl
from lxml import etree

from pipelines.intake.formats.child import answer, refuse, run
from pipelines.intake.table import number_as_text

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
_FORMULA = re.compile(rb"<(\w+:)?f[\s/>]")
# What a panic of Rust code is in Python; the class cannot be imported.
_PANIC = "PanicException"


def main(path: str, kind: str, sheet: str, most_rows: str, most_columns: str) -> None:
    """Write the cells of one sheet, from the sheet's first row on, as text.

    The line has `sheets` (all names), `sheet` (the one that is read, null if there is none of that name), and its
    `rows` and `columns`: of more than `most_rows` or `most_columns`, no cell is written; `unknown`, the cells whose
    formula was never calculated. Or, of a file that cannot be read, `error` and `text`.

    Args:
        path: the workbook. kind: the ending that its content should have.
        sheet: the sheet's name, or '' for the first.
    """
    try:
        # Bytes are tried as every format, and what is wrong with them is not told.
        as_named = Path(path).suffix.lower() == f".{kind}"
        workbook = fastexcel.read_excel(path if as_named else Path(path).read_bytes())
        names = workbook.sheet_names
        chosen = next((name for name in names if name == (sheet or name)), None)
        rows = columns = 0
        cells, unknown = None, list[str]()
        if chosen is not None:
            # skip_rows=0: without it, blank rows above the first cell would be left out, and rows be miscounted.
            texts = workbook.load_sheet(chosen, header_row=None, skip_rows=0, dtypes="string")
            rows, columns = texts.total_height, texts.width
            if rows <= int(most_rows) and columns <= int(most_columns):
                cells = _cells(workbook, texts)
                unknown = _without_value(Path(path), chosen) if kind == "xlsx" else []
    except (fastexcel.FastExcelError, etree.XMLSyntaxError) as error:
        refuse(error)
        return
    except BaseException as error:
        if type(error).__name__ != _PANIC:
            raise
        refuse(error)
        return
    found = {"sheets": names, "sheet": chosen, "rows": rows, "columns": columns, "unknown": unknown}
    answer(found, None if cells is None else cells.write_ipc_stream)


def _cells(workbook: fastexcel.ExcelReader, texts: fastexcel.ExcelSheet) -> pl.DataFrame:
    if not texts.width:
        return pl.DataFrame()
    batch, errors = texts.to_arrow_with_errors()
    numbers = workbook.load_sheet(texts.name, header_row=None, skip_rows=0, dtypes="float").to_polars()
    cells = _with_full_numbers(pl.DataFrame(pl.from_arrow(batch)), numbers)
    if errors is not None:
        cells = _with_error_cells(cells, [(error.offset_position, error.detail) for error in errors.errors])
    return cells


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


def _without_value(path: Path, sheet: str) -> list[str]:
    """Cells of a sheet, as A1, with a formula and no value: programs write such, and the reader finds them blank.

    A formula whose value is the empty text is none of them; its type says so.
    """
    with zipfile.ZipFile(path) as archive:
        parts = {name.replace("\\", "/").lower(): name for name in archive.namelist()}
        parser = etree.XMLParser(resolve_entities=False, no_network=True)
        book, relations = (
            etree.fromstring(archive.read(parts[name]), parser)
            for name in ("xl/workbook.xml", "xl/_rels/workbook.xml.rels")
        )
        here = next(found for found in book.iter("{*}sheet") if found.get("name") == sheet)
        identity = next(value for name, value in here.attrib.items() if name.endswith("}id"))
        target = next(found.get("Target") for found in relations.iter("{*}Relationship") if found.get("Id") == identity)
        part = parts[posixpath.join("/xl", target).lstrip("/").lower()]
        with archive.open(part) as stream:
            if not _FORMULA.search(stream.read()):
                return []
        cells = []
        with archive.open(part) as stream:
            for _, row in etree.iterparse(stream, tag="{*}row", resolve_entities=False, no_network=True):
                with_formula = [formula.getparent() for formula in row.iter("{*}f")]
                cells += [
                    cell.get("r", "?") for cell in with_formula if not cell.findtext("{*}v") and cell.get("t") != "str"
                ]
                row.clear()
        return cells


if __name__ == "__main__":
    run(main)
