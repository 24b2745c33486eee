"""A table of text as the bytes of a file, in every format that contractors send.

Belongs here: one writer a format. Does not belong here: what is broken (the cases), what is in the table.
"""

import csv
import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

import polars as pl
import pyreadstat
import xlsxwriter
import xlwt

from pipelines.contracts.models import TableContract
from tests.unit.intake.formats.sas7bdat import write_sas7bdat
from tests.unit.intake.formats.xlsb import write_xlsb

SHEET = "자료"
JOINT = " / "
LAYOUT = "layout.csv"
_MADE = (2024, 9, 26, 12, 0, 0)


@dataclass
class Grid:
    """A table to be written: cells as text, None where there is none. `columns` are the contract's names, `headers`
    what the file calls them."""

    columns: list[str]
    headers: list[str]
    rows: list[list[str | None]]

    def at(self, column: str) -> int:
        return self.columns.index(column)

    def copy(self) -> "Grid":
        return Grid(list(self.columns), list(self.headers), [list(row) for row in self.rows])


@dataclass(frozen=True)
class Format:
    """One way to write a grid. `entry` is what the manifest says of such a file; `header` which of the contract's
    names it has: 'name', 'korean', 'variable' or 'two_rows'."""

    ending: str
    header: str
    write: Callable[[Grid], bytes]
    entry: Mapping[str, object] = field(default_factory=dict)
    beside: Callable[[Grid], Mapping[str, bytes]] = lambda grid: {}

    def with_headers(self, grid: Grid, contract: TableContract) -> Grid:
        found = grid.copy()
        found.headers = [_header(contract, name, self.header) for name in grid.columns]
        return found


def _header(contract: TableContract, name: str, kind: str) -> str:
    """Of the synonyms the first is Korean, the second a variable name, the one with a joint stands in two rows."""
    synonyms = contract.column(name).synonyms
    if kind == "two_rows":
        return next(synonym for synonym in synonyms if JOINT in synonym)
    return {"name": name, "korean": synonyms[0], "variable": synonyms[1]}[kind]


def delimited(
    encoding: str, delimiter: str = ",", *, line_end: str = "\r\n", quoting: int = csv.QUOTE_MINIMAL
) -> Callable[[Grid], bytes]:
    def write(grid: Grid) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=quoting)
        writer.writerow(grid.headers)
        writer.writerows(grid.rows)
        return text.getvalue().encode(encoding)

    return write


def _through_file(ending: str, write: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file.{ending}"
        write(path)
        return path.read_bytes()


def header_rows(headers: Sequence[str]) -> list[list[str]]:
    """The rows that joined headers stand in; of equal upper parts side by side only the first is written."""
    parts = [header.split(JOINT) for header in headers]
    depth = max(len(part) for part in parts)
    rows = [[part[level] if level < len(part) else "" for part in parts] for level in range(depth)]
    for row in rows[:-1]:
        row[:] = ["" if at and cell == row[at - 1] else cell for at, cell in enumerate(row)]
    return rows


def cells(grid: Grid) -> list[list[str]]:
    return [*header_rows(grid.headers), *([cell or "" for cell in row] for row in grid.rows)]


def xlsx(rows: Sequence[Sequence[object]], *, sheets: Sequence[str] = (SHEET,)) -> bytes:
    """A workbook with `rows` on the last of its sheets; text is written as text, numbers as numbers."""
    content = io.BytesIO()
    with xlsxwriter.Workbook(
        content, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    ) as book:
        for name in sheets:
            sheet = book.add_worksheet(name)
        for number, row in enumerate(rows):
            for column, value in enumerate(row):
                if value != "":
                    sheet.write(number, column, value)
    return content.getvalue()


def _xls(grid: Grid) -> bytes:
    book = xlwt.Workbook(encoding="utf-8")
    sheet = book.add_sheet(SHEET)
    for number, row in enumerate(cells(grid)):
        for column, value in enumerate(row):
            if value:
                sheet.write(number, column, value)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _xlsb(grid: Grid) -> bytes:
    return _through_file("xlsb", lambda path: write_xlsb(path, cells(grid), sheet=SHEET))


def _ods(grid: Grid) -> bytes:
    def cell(value: str) -> str:
        if not value:
            return "<table:table-cell/>"
        return f'<table:table-cell office:value-type="string"><text:p>{escape(value)}</text:p></table:table-cell>'

    rows = "".join(f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in cells(grid))
    namespace = "urn:oasis:names:tc:opendocument:xmlns:"
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content xmlns:office="{namespace}office:1.0" '
        f'xmlns:table="{namespace}table:1.0" xmlns:text="{namespace}text:1.0"><office:body><office:spreadsheet>'
        f'<table:table table:name="{SHEET}">{rows}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    return zipped(
        {
            "mimetype": b"application/vnd.oasis.opendocument.spreadsheet",
            "content.xml": content.encode(),
            "META-INF/manifest.xml": f'<manifest:manifest xmlns:manifest="{namespace}manifest:1.0"/>'.encode(),
        }
    )


def frame(grid: Grid) -> pl.DataFrame:
    """The grid with positions as column names: headers may stand twice."""
    columns = zip(*grid.rows, strict=True) if grid.rows else [[] for _ in grid.columns]
    return pl.DataFrame([pl.Series(str(at), list(column), dtype=pl.String) for at, column in enumerate(columns)])


def _statistical(ending: str, write: Callable[..., object]) -> Callable[[Grid], bytes]:
    def as_bytes(grid: Grid) -> bytes:
        table = frame(grid)
        table.columns = grid.headers
        return _through_file(ending, lambda path: write(table.fill_null(""), path))

    return as_bytes


def _sas7bdat(grid: Grid) -> bytes:
    rows = [[cell or "" for cell in row] for row in grid.rows]
    return _through_file("sas7bdat", lambda path: write_sas7bdat(path, [(name, name) for name in grid.headers], rows))


def _parquet(grid: Grid) -> bytes:
    table = frame(grid)
    table.columns = grid.headers
    content = io.BytesIO()
    table.write_parquet(content)
    return content.getvalue()


def json_lines(grid: Grid) -> bytes:
    objects = (dict(zip(grid.headers, row, strict=True)) for row in grid.rows)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in objects).encode()


def _widths(grid: Grid) -> list[int]:
    return [
        max((len((row[at] or "").encode("cp949")) for row in grid.rows), default=1) + 1
        for at in range(len(grid.columns))
    ]


def _fixed_width(grid: Grid) -> bytes:
    widths = _widths(grid)
    records = (
        b"".join((cell or "").encode("cp949").ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in grid.rows
    )
    return b"\r\n".join(records) + b"\r\n"


def layout(grid: Grid) -> Mapping[str, bytes]:
    lines, start = ["name,start,width"], 1
    for header, width in zip(grid.headers, _widths(grid), strict=True):
        lines.append(f"{header},{start},{width}")
        start += width
    return {LAYOUT: "\n".join(lines).encode()}


def zipped(members: Mapping[str, bytes]) -> bytes:
    return packed(members.items())


def packed(members: Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of members, of one name more than one if asked; the same bytes every time."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name, _MADE), data, compress_type=method)
    return content.getvalue()


def rezipped(content: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """A zip with its members changed."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return zipped({name: change(name, archive.read(name)) for name in archive.namelist()})


def _zip(grid: Grid) -> bytes:
    return zipped({"자료/response.csv": delimited("cp949")(grid)})


FORMATS: Mapping[str, Format] = {
    "csv-utf-8": Format("csv", "name", delimited("utf-8"), {"encoding": "utf-8", "delimiter": ","}),
    "csv-cp949": Format("csv", "korean", delimited("cp949"), {"encoding": "cp949", "delimiter": ","}),
    "csv-sniffed": Format("csv", "korean", delimited("cp949", ";")),
    "csv-utf-16": Format("csv", "korean", delimited("utf-16"), {"encoding": "utf-16"}),
    "tsv": Format("tsv", "korean", delimited("utf-8-sig", "\t")),
    "xlsx": Format("xlsx", "two_rows", lambda grid: xlsx(cells(grid)), {"header_rows": 2, "sheet": SHEET}),
    "xls": Format("xls", "korean", _xls, {"sheet": SHEET}),
    "xlsb": Format("xlsb", "korean", _xlsb),
    "ods": Format("ods", "korean", _ods, {"sheet": SHEET}),
    "sav": Format("sav", "variable", _statistical("sav", pyreadstat.write_sav)),
    "dta": Format("dta", "variable", _statistical("dta", pyreadstat.write_dta)),
    "xpt": Format("xpt", "variable", _statistical("xpt", pyreadstat.write_xport), {"encoding": "utf-8"}),
    "sas7bdat": Format("sas7bdat", "variable", _sas7bdat),
    "parquet": Format("parquet", "name", _parquet),
    "jsonl": Format("jsonl", "korean", json_lines),
    "fixed-width": Format("dat", "variable", _fixed_width, {"layout": LAYOUT, "encoding": "cp949"}, layout),
    "zip": Format("zip", "korean", _zip, {"encoding": "cp949"}),
}
