"""Deliveries whose files are broken as files: bytes, encodings, the structure of each format.

Belongs here: what the bytes of a file are. Does not belong here: what its cells say (cells.py), what is said of it
(manifests.py).
"""

import codecs
import datetime
import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Callable, Sequence
from fractions import Fraction

import openpyxl
import polars as pl
import xlsxwriter

from tests.integration.broken.cells import extra, put, reverse_rows
from tests.integration.broken.country import Accepted, Case, Delivery, quarantined, rejected
from tests.integration.broken.formats import (
    FORMATS,
    LAYOUT,
    SHEET,
    Grid,
    cells,
    delimited,
    frame,
    json_lines,
    rezipped,
    xlsx,
    zipped,
)

Bytes = Callable[[bytes], bytes]
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_SHEET_XML = "xl/worksheets/sheet1.xml"


def cut(keep: float) -> Bytes:
    """The first part of the bytes: a share, or all but so many."""
    return lambda data: data[: int(keep if keep < 0 else keep * len(data))]


def always(content: bytes) -> Bytes:
    return lambda _: content


def replace(old: bytes, new: bytes, *, times: int = 1) -> Bytes:
    def change(data: bytes) -> bytes:
        assert old in data
        return data.replace(old, new, times)

    return change


def from_grid(write: Callable[[Grid], bytes]) -> Callable[[Delivery], None]:
    """The file written in another way than its form says."""

    def change(delivery: Delivery) -> None:
        delivery.data = write(delivery.grid)
        delivery.entry["sha256"] = hashlib.sha256(delivery.data).hexdigest()

    return change


def named(name: str, form: str | None = None) -> Callable[[Delivery], None]:
    """The file under another name, written in another form."""

    def change(delivery: Delivery) -> None:
        if form is not None:
            from_grid(FORMATS[form].write)(delivery)
        delivery.rename(name)

    return change


def old_hash(delivery: Delivery) -> None:
    """The manifest tells the hash of the whole file, as it was when it was sent."""
    delivery.entry["sha256"] = hashlib.sha256(FORMATS["csv-cp949"].write(delivery.grid)).hexdigest()


def _line(number: int, change: Bytes) -> Bytes:
    """One line of the text changed; 0 is the header, -1 the last."""

    def all_lines(data: bytes) -> bytes:
        lines = data.split(b"\r\n")[:-1]
        lines[number] = change(lines[number])
        return b"\r\n".join(lines) + b"\r\n"

    return all_lines


def _every_line(change: Bytes) -> Bytes:
    return lambda data: b"".join(change(line) + b"\r\n" for line in data.split(b"\r\n")[:-1])


def _rows_counted(more: int) -> Callable[[Delivery], None]:
    def change(delivery: Delivery) -> None:
        delivery.entry["rows"] = len(delivery.grid.rows) + more

    return change


def _cut_files() -> list[Case]:
    parts: dict[str, Bytes] = {"ten bytes": lambda data: data[:10], "the half": cut(0.5), "all but four bytes": cut(-4)}
    forms = ("xlsx", "ods", "sav", "dta", "sas7bdat", "parquet", "zip")
    return [
        *(
            Case(
                f"cut to {part}, {form}",
                form,
                rejected("truncated_file"),
                data=change,
                quick=(form, part) == ("parquet", "the half"),
            )
            for form in forms
            for part, change in parts.items()
            if (form, part) != ("dta", "all but four bytes")
        ),
        # Of Stata's file, that is nothing but a part of its closing tag
        Case("cut to all but four bytes, dta", "dta", Accepted(), data=cut(-4)),
        Case("cut to ten bytes, xls", "xls", rejected("truncated_file"), data=cut(0.001)),
        Case("cut to the half, xls", "xls", rejected("truncated_file"), data=cut(0.5)),
        Case("cut within the last row, csv", "csv-cp949", rejected("truncated_file"), data=cut(-9), quick=True),
        Case(
            "cut behind a row, csv",
            "csv-cp949",
            rejected("rows_differ"),
            data=lambda data: b"".join(data.splitlines(keepends=True)[:300]),
        ),
        Case(
            "cut within a letter of the header, csv",
            "csv-cp949",
            rejected("wrong_encoding"),
            data=lambda data: data[:20],
        ),
        Case("cut within a record, fixed width", "fixed-width", rejected("truncated_file"), data=cut(-9)),
        Case("cut within a line, json lines", "jsonl", rejected("not_json"), data=cut(-30)),
        Case("cut within a letter, utf-16", "csv-utf-16", rejected("wrong_encoding"), data=cut(-1)),
        Case(
            "cut, and the hash of the whole",
            "csv-cp949",
            rejected("hash_differs", "truncated_file"),
            data=cut(-9),
            delivery=old_hash,
        ),
        *(
            Case(
                f"empty, {form}",
                form,
                rejected("truncated_file" if form in forms or form == "xls" else "empty_file"),
                data=always(b""),
            )
            for form in ("csv-cp949", "jsonl", "fixed-width", "xlsx", "sav", "parquet", "zip")
        ),
        *(
            Case(f"only a header, {form}", form, rejected("empty_file"), cells=lambda grid: grid.rows.clear())
            for form in ("csv-cp949", "xlsx", "ods", "parquet")
        ),
        Case("nothing but white space, csv", "csv-utf-8", rejected("empty_file"), data=always(b" \r\n\r\n")),
        Case("changed since, xlsx", "xlsx", rejected("hash_differs"), delivery=old_hash),
        Case("changed since, sav", "sav", rejected("hash_differs"), delivery=old_hash),
        Case(
            "a bit of the packed sheet flipped",
            "xlsx",
            rejected("truncated_file"),
            data=_flip(b"xl/worksheets/sheet1.xml", 200),
        ),
        Case("a bit of the packed file flipped", "zip", rejected("truncated_file"), data=_flip(b"response.csv", 300)),
        Case(
            "the mark of the format flipped, parquet",
            "parquet",
            rejected("truncated_file"),
            data=lambda data: data[:-1] + b"2",
        ),
        Case(
            "the mark of the format flipped, sav",
            "sav",
            rejected("truncated_file"),
            data=lambda data: b"$XX2" + data[4:],
        ),
        Case(
            "the mark of the format flipped, dta",
            "dta",
            rejected("truncated_file"),
            data=lambda data: b"<stata_dto>" + data[11:],
        ),
        Case("the file and itself behind it", "csv-utf-8", rejected("rows_differ"), data=lambda data: data + data),
    ]


def _flip(behind: bytes, distance: int) -> Bytes:
    def change(data: bytes) -> bytes:
        at = data.index(behind) + distance
        return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]

    return change


def _encodings() -> list[Case]:
    return [
        Case(
            "CP949 declared as UTF-8", "csv-cp949", rejected("wrong_encoding"), entry={"encoding": "utf-8"}, quick=True
        ),
        Case("CP949 declared as Latin 1", "csv-cp949", rejected("no_known_column"), entry={"encoding": "latin-1"}),
        Case(
            "CP949 declared as Shift JIS",
            "csv-cp949",
            rejected("wrong_encoding"),
            entry={"encoding": "shift_jis"},
        ),
        Case("UTF-8 declared as CP949", "tsv", rejected("wrong_encoding"), entry={"encoding": "cp949"}),
        Case(
            "UTF-8 declared with a mark it has not",
            "csv-utf-8",
            rejected("wrong_encoding"),
            cells=reverse_rows,
            entry={"encoding": "utf-8-sig"},
        ),
        Case("UTF-16 with its mark, declared without", "csv-utf-16", Accepted(), entry={"encoding": "utf-16-le"}),
        Case(
            "UTF-16 without its mark",
            "csv-utf-16",
            rejected("wrong_encoding"),
            data=lambda data: data[2:],
            entry={"encoding": None},
        ),
        Case(
            "UTF-16 without its mark, declared",
            "csv-utf-16",
            Accepted(),
            data=lambda data: data[2:],
            entry={"encoding": "utf-16-le"},
        ),
        Case("a byte order mark twice", "tsv", rejected("missing_column"), data=lambda data: codecs.BOM_UTF8 + data),
        Case("a byte of no encoding", "csv-sniffed", rejected("wrong_encoding"), data=replace(b";11;", b";\xff\xff;")),
        Case(
            "header in CP949, rows in UTF-8",
            "csv-sniffed",
            rejected("wrong_encoding"),
            data=lambda data: data + "합계\r\n".encode(),
        ),
        Case(
            "zero bytes, nothing declared",
            "csv-sniffed",
            rejected("wrong_encoding"),
            data=replace(b";11;", b";1\x001;"),
        ),
    ]


def _text() -> list[Case]:
    plain, undeclared = "csv-utf-8", {"delimiter": None}
    return [
        Case(
            "other delimiter than declared",
            "csv-utf-8",
            rejected("no_known_column"),
            delivery=from_grid(delimited("utf-8", ";")),
        ),
        Case(
            "vertical bars, nothing declared",
            plain,
            Accepted(),
            entry=undeclared,
            delivery=from_grid(delimited("utf-8", "|")),
        ),
        Case(
            "carets, nothing declared",
            plain,
            rejected("no_known_column"),
            entry=undeclared,
            delivery=from_grid(delimited("utf-8", "^")),
        ),
        Case(
            "carets, declared", plain, Accepted(), entry={"delimiter": "^"}, delivery=from_grid(delimited("utf-8", "^"))
        ),
        Case("line feeds", plain, Accepted(), delivery=from_grid(delimited("utf-8", line_end="\n"))),
        Case("carriage returns", plain, Accepted(), delivery=from_grid(delimited("utf-8", line_end="\r"))),
        Case("all cells quoted", plain, Accepted(), delivery=from_grid(delimited("utf-8", quoting=1))),
        Case("line ends mixed", plain, Accepted(), data=lambda data: data.replace(b"\r\n", b"\n", 100)),
        Case("no line end at the end", plain, Accepted(), data=cut(-2)),
        Case("blank lines at the end", plain, Accepted(), data=lambda data: data + b"\r\n\r\n  \r\n,,\r\n"),
        Case(
            "blank line in between",
            plain,
            quarantined(1, "business_number_not_null"),
            data=_line(9, lambda line: line + b"\r\n"),
            delivery=_rows_counted(1),
        ),
        Case(
            "blank line in between, not counted",
            plain,
            rejected("rows_differ"),
            data=_line(9, lambda line: line + b"\r\n"),
        ),
        Case("delimiter behind every row", plain, Accepted(), data=_every_line(lambda line: line + b",")),
        Case(
            "delimiter behind rows, not the header",
            plain,
            rejected("ragged_rows"),
            data=lambda data: _line(0, lambda line: line[:-1])(_every_line(lambda line: line + b",")(data)),
        ),
        Case(
            "a row too short",
            plain,
            rejected("ragged_rows"),
            data=_line(5, lambda line: line.rpartition(b",")[0]),
            quick=True,
        ),
        Case("a row too long", plain, rejected("ragged_rows"), data=_line(5, lambda line: line + b",1")),
        Case(
            "the last row too short",
            plain,
            rejected("truncated_file"),
            data=_line(-1, lambda line: line.rpartition(b",")[0]),
        ),
        Case("a quote never closed", plain, rejected("broken_quoting"), data=_line(5, lambda line: b'"' + line)),
        Case(
            "a quote within a cell",
            plain,
            quarantined(1, "region_known_code"),
            cells=put("region", "1@1"),
            data=replace(b"1@1", b'1"1'),
        ),
        Case(
            "text behind a closing quote",
            plain,
            rejected("broken_quoting"),
            cells=put("region", "1@1"),
            data=replace(b"1@1", b'"1"1'),
        ),
        Case("the end mark of DOS", plain, rejected("truncated_file"), data=lambda data: data + b"\x1a"),
        Case(
            "titles above and notes below",
            plain,
            Accepted(),
            data=lambda data: (
                "실태조사 결과\r\n(단위: 명)\r\n\r\n".encode() + data + "\r\n※ 자료: 조사기관\r\n".encode()
            ),
        ),
        Case(
            "a row of totals below",
            plain,
            quarantined(1, "business_number_10_digits", "not_selected", "not_on_frame"),
            data=lambda data: data + "합계".encode() + b"," * data.split(b"\r\n")[0].count(b",") + b"\r\n",
            delivery=_rows_counted(1),
        ),
        Case(
            "one row fewer than the manifest says",
            plain,
            rejected("rows_differ"),
            cells=reverse_rows,
            delivery=_rows_counted(1),
            quick=True,
        ),
        Case(
            "one row more than the manifest says",
            plain,
            rejected("rows_differ"),
            cells=reverse_rows,
            delivery=_rows_counted(-1),
        ),
        Case(
            "titles that are not there",
            plain,
            rejected("rows_differ", "no_known_column"),
            cells=reverse_rows,
            entry={"skip_rows": 2},
        ),
        Case("notes that are not there", plain, rejected("rows_differ"), cells=reverse_rows, entry={"notes_below": 1}),
        Case(
            "json lines: blank line in between",
            "jsonl",
            quarantined(1, "business_number_not_null"),
            data=lambda data: data.replace(b"\n", b"\n\n", 1),
            delivery=_rows_counted(1),
        ),
        Case("json lines: a list", "jsonl", rejected("not_an_object"), data=_first_line(b'["a"]')),
    ]


_HTML = "<html><head><meta charset=euc-kr></head><body><table><tr><td>사업자</td></tr></table>".encode("cp949")
_XML_2003 = b'<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet">'


def _names() -> list[Case]:
    return [
        Case(
            "a workbook named csv",
            "csv-utf-8",
            rejected("wrong_encoding"),
            delivery=named("response.csv", "xlsx"),
            entry={"encoding": None},
        ),
        Case(
            "a parquet file named csv",
            "csv-utf-8",
            rejected("wrong_encoding"),
            delivery=named("response.csv", "parquet"),
            entry={"encoding": None},
        ),
        Case("text named xlsx", "csv-cp949", rejected("not_a_workbook"), delivery=named("response.xlsx")),
        Case("a web page named xls", "xls", rejected("not_a_workbook"), data=always(_HTML), quick=True),
        Case("an XML spreadsheet named xls", "xls", rejected("not_a_workbook"), data=always(_XML_2003)),
        Case(
            "a password",
            "xlsx",
            rejected("encrypted"),
            data=always(_OLE + bytes(2_000) + "EncryptedPackage".encode("utf-16-le")),
        ),
        Case("a zip named xlsx", "xlsx", rejected("truncated_file"), data=always(zipped({"a.txt": b"1"}))),
        Case("xlsx named xls", "xlsx", Accepted(), delivery=named("response.xls")),
        Case("ods named xlsx", "ods", Accepted(), delivery=named("response.xlsx")),
        Case("text named sav", "csv-cp949", rejected("truncated_file"), delivery=named("response.sav")),
        Case("dta named sav", "dta", rejected("truncated_file"), delivery=named("response.sav")),
        Case("text named parquet", "csv-cp949", rejected("truncated_file"), delivery=named("response.parquet")),
        Case("text named zip", "csv-cp949", rejected("truncated_file"), delivery=named("response.zip")),
        Case("a PDF", "csv-cp949", rejected("unknown_format"), delivery=named("response.pdf")),
        Case("no ending", "csv-cp949", rejected("unknown_format"), delivery=named("response")),
        Case("an ending in capitals", "csv-cp949", Accepted(), delivery=named("RESPONSE.CSV")),
    ]


def _with_cell(
    column: str, write: Callable[[xlsxwriter.Workbook, object, int, int], object]
) -> Callable[[Delivery], None]:
    """A workbook one of whose cells is written by `write`(book, sheet, row, column)."""

    def as_bytes(grid: Grid) -> bytes:
        content = io.BytesIO()
        with xlsxwriter.Workbook(content, {"in_memory": True}) as book:
            sheet = book.add_worksheet(SHEET)
            rows = cells(grid)
            for number, row in enumerate(rows):
                for at, value in enumerate(row):
                    if value:
                        sheet.write_string(number, at, value)
            write(book, sheet, len(rows) - 3, grid.at(column))
        return content.getvalue()

    return from_grid(as_bytes)


def _uncalculated(grid: Grid) -> bytes:
    """As openpyxl writes formulas."""
    sheet = [[*line] for line in cells(grid)]
    sheet[-1][grid.at("employees")] = "=6*7"
    book, content = openpyxl.Workbook(), io.BytesIO()
    book.active.title = SHEET
    for line in sheet:
        book.active.append(line)
    book.save(content)
    return content.getvalue()


def _sheet(old: bytes, new: bytes) -> Bytes:
    return lambda data: rezipped(
        data, lambda name, content: content.replace(old, new, 1) if name == _SHEET_XML else content
    )


def _numbers(grid: Grid) -> bytes:
    """The workbook with numbers as numbers, where a cell is one."""
    header = len(cells(grid)) - len(grid.rows)
    return xlsx(
        [
            [int(cell) if row >= header and cell.isdigit() else cell for cell in line]
            for row, line in enumerate(cells(grid))
        ]
    )


def _with_cover(grid: Grid) -> bytes:
    return xlsx(cells(grid), sheets=("표지", SHEET))


def _with_titles(grid: Grid) -> bytes:
    rows = cells(grid)
    return xlsx([["인공지능 실태조사"], [], *rows, [], ["※ 자료: 조사기관"]])


def _lie_about_size(data: bytes) -> bytes:
    content = bytearray(data)
    at = content.rindex(b"PK\x01\x02", 0, content.rindex(_SHEET_XML.encode()))
    content[at + 24 : at + 28] = struct.pack("<I", 10)
    return bytes(content)


def _workbooks() -> list[Case]:
    form = "xlsx"
    not_a_number = quarantined(1, "employees_not_a_number")
    return [
        Case("numbers as numbers", form, Accepted(), delivery=from_grid(_numbers)),
        Case("no such sheet", form, rejected("unknown_sheet"), entry={"sheet": "없음"}),
        Case("a cover before the sheet", form, Accepted(), delivery=from_grid(_with_cover)),
        Case(
            "a cover before the sheet, undeclared",
            form,
            rejected("empty_file"),
            delivery=from_grid(_with_cover),
            entry={"sheet": None},
        ),
        Case("title and note, xlsx", form, Accepted(), delivery=from_grid(_with_titles)),
        Case(
            "one header row declared, two there",
            form,
            rejected("rows_differ", "no_known_column"),
            entry={"header_rows": 1},
        ),
        Case(
            "three header rows declared, two there",
            form,
            rejected("rows_differ", "no_known_column"),
            entry={"header_rows": 3},
        ),
        Case(
            "an error cell",
            form,
            not_a_number,
            delivery=_with_cell(
                "employees", lambda book, sheet, row, at: sheet.write_formula(row, at, "=1/0", None, "#DIV/0!")
            ),
        ),
        Case(
            "a formula that was never calculated",
            form,
            rejected("formula_without_value"),
            delivery=from_grid(_uncalculated),
        ),
        Case(
            "a formula with its value",
            form,
            Accepted(),
            delivery=_with_cell(
                "employees", lambda book, sheet, row, at: sheet.write_formula(row, at, "=6*7", None, 42)
            ),
        ),
        Case(
            "a date for a number",
            form,
            not_a_number,
            delivery=_with_cell(
                "employees",
                lambda book, sheet, row, at: sheet.write_datetime(
                    row, at, datetime.datetime(2022, 3, 1), book.add_format({"num_format": "yyyy-mm-dd"})
                ),
            ),
        ),
        Case(
            "a truth value for a code",
            form,
            quarantined(1, "region_known_code"),
            delivery=_with_cell("region", lambda book, sheet, row, at: sheet.write_boolean(row, at, True)),
        ),
        Case(
            "a link in a cell",
            form,
            quarantined(1, "region_known_code"),
            delivery=_with_cell("region", lambda book, sheet, row, at: sheet.write_url(row, at, "https://example.org")),
        ),
        Case(
            "a document type with an entity",
            form,
            Accepted(),
            data=_sheet(b"<worksheet", b'<!DOCTYPE worksheet [<!ENTITY x SYSTEM "file:///etc/passwd">]><worksheet'),
        ),
        Case(
            "a cell far off",
            form,
            rejected("too_large"),
            data=_sheet(b"</sheetData>", b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'),
        ),
        Case(
            "blanks that unpack to far more",
            form,
            rejected("too_large"),
            data=_sheet(b"<sheetData>", b"<sheetData>" + b" " * 20_000_000),
        ),
        Case("a directory that lies", form, rejected("truncated_file"), data=_lie_about_size),
        Case(
            "thousands of members",
            form,
            rejected("too_large"),
            data=lambda data: _with_members(data, {f"m{at}": b"" for at in range(2_001)}),
        ),
        Case(
            "a macro beside the sheet",
            form,
            Accepted(),
            data=lambda data: _with_members(data, {"xl/vbaProject.bin": _OLE + bytes(512)}),
        ),
        Case("bytes behind the end, xlsx", form, Accepted(), data=lambda data: data + b"\r\n"),
    ]


def _with_members(data: bytes, more: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return zipped({name: archive.read(name) for name in archive.namelist()} | more)


def _packed(members: Callable[[bytes], dict[str, bytes]]) -> Callable[[Delivery], None]:
    """A zip of members made from the CSV file."""
    return from_grid(lambda grid: zipped(members(FORMATS["csv-cp949"].write(grid))))


def _encrypted_flag(data: bytes) -> bytes:
    content = bytearray(data)
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


def _zips() -> list[Case]:
    form, members = "zip", rejected("zip_members")
    return [
        Case("a zip in the zip", form, members, data=lambda data: zipped({"a.zip": data}), quick=True),
        Case("two files in the zip", form, members, delivery=_packed(lambda csv: {"a.csv": csv, "b.csv": csv})),
        Case(
            "two files in the zip, one meant",
            form,
            Accepted(),
            delivery=_packed(lambda csv: {"a.csv": csv, "b.csv": b"1"}),
            entry={"member": "a.csv"},
        ),
        Case("no such file in the zip", form, members, entry={"member": "b.csv"}),
        Case("nothing in the zip", form, members, delivery=_packed(lambda csv: {})),
        Case("no data file in the zip", form, members, delivery=_packed(lambda csv: {"a.pdf": csv})),
        Case(
            "what systems add to a zip",
            form,
            Accepted(),
            delivery=_packed(lambda csv: {"a.csv": csv, "__MACOSX/._a.csv": b"1", ".DS_Store": b"1"}),
        ),
        Case(
            "a file out of the zip's folder",
            form,
            rejected("path_outside"),
            delivery=_packed(lambda csv: {"../../a.csv": csv}),
        ),
        Case("a file at the root", form, rejected("path_outside"), delivery=_packed(lambda csv: {"/tmp/a.csv": csv})),
        Case("a zip with a password", form, rejected("encrypted"), data=_encrypted_flag),
        Case(
            "a zip bomb", form, rejected("too_large"), delivery=_packed(lambda csv: {"a.csv": csv + b" " * 40_000_000})
        ),
        Case(
            "a broken file in the zip",
            form,
            rejected("ragged_rows"),
            delivery=_packed(lambda csv: {"a.csv": csv.replace(b"\r\n", b"\r\n1,2\r\n", 2)}),
        ),
        Case("bytes before the zip", form, Accepted(), data=lambda data: b"MZ" + bytes(100) + data),
    ]


def _json(change: Callable[[list[dict[str, object]]], object]) -> Callable[[Delivery], None]:
    """JSON lines whose objects were changed."""

    def write(grid: Grid) -> bytes:
        rows = [json.loads(line) for line in json_lines(grid).decode().splitlines()]
        change(rows)
        return "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows).encode()

    return from_grid(write)


def _first_line(content: bytes) -> Bytes:
    return lambda data: content + data[data.index(b"\n") :]


def _json_lines() -> list[Case]:
    form, number = "jsonl", "종사자수"
    return [
        Case(
            "json lines: numbers as numbers",
            form,
            Accepted(),
            delivery=_json(lambda rows: [row.update({number: int(row[number])}) for row in rows if row[number]]),
        ),
        Case(
            "json lines: a key left out",
            form,
            quarantined(1, "business_number_not_null"),
            delivery=_json(lambda rows: rows[3].pop("사업자등록번호")),
        ),
        Case(
            "json lines: a truth value",
            form,
            quarantined(1, "employees_not_a_number"),
            delivery=_json(lambda rows: rows[3].update({number: True})),
        ),
        Case(
            "json lines: an object in a cell",
            form,
            rejected("nested_value"),
            delivery=_json(lambda rows: rows[3].update({number: {"a": 1}})),
        ),
        Case(
            "json lines: half a letter",
            form,
            rejected("not_json"),
            delivery=_json(lambda rows: rows[3].update({number: "\ud800"})),
        ),
        Case(
            "json lines: half a letter in a key",
            form,
            rejected("not_json"),
            delivery=_json(lambda rows: rows[3].update({"\ud800": "1"})),
        ),
        Case("json lines: a key twice", form, rejected("repeated_key"), data=_first_line(b'{"a":1,"a":2}')),
        Case("json lines: NaN", form, rejected("not_json"), data=_first_line(b'{"a":NaN}')),
        Case("json lines: nested beyond measure", form, rejected("nested_value"), data=_first_line(b"[" * 100_000)),
        Case(
            "json lines: one list of all",
            form,
            rejected("not_an_object"),
            data=lambda data: b"[" + data.strip().replace(b"\n", b",") + b"]",
        ),
        Case(
            "json lines: over several lines",
            form,
            rejected("not_json"),
            data=lambda data: data.replace(b"{", b"{\n", 1),
        ),
    ]


def _without_layout(delivery: Delivery) -> None:
    del delivery.entry["layout"], delivery.entry["layout_sha256"]


def _layout(change: Bytes, *, announced: bool = True) -> Callable[[Delivery], None]:
    def changed(delivery: Delivery) -> None:
        delivery.files[LAYOUT] = change(delivery.files[LAYOUT])
        if announced:
            delivery.entry["layout_sha256"] = hashlib.sha256(delivery.files[LAYOUT]).hexdigest()

    return changed


def _fixed_width() -> list[Case]:
    form = "fixed-width"
    return [
        Case(
            "fixed width: a record too long", form, rejected("record_length"), data=_line(5, lambda line: line + b"1")
        ),
        Case("fixed width: no layout declared", form, rejected("missing_layout"), delivery=_without_layout),
        Case(
            "fixed width: no layout there",
            form,
            rejected("missing_layout"),
            delivery=lambda delivery: delivery.files.pop(LAYOUT),
        ),
        Case(
            "fixed width: a layout changed after the manifest",
            form,
            rejected("hash_differs"),
            delivery=_layout(replace(b",1,", b",2,"), announced=False),
        ),
        Case(
            "fixed width: a width of nought",
            form,
            rejected("layout_invalid"),
            delivery=_layout(replace(b",1,", b",0,")),
        ),
        Case(
            "fixed width: a layout without widths",
            form,
            rejected("layout_invalid"),
            delivery=_layout(replace(b"width", b"end")),
        ),
        Case(
            "fixed width: a layout beyond the records",
            form,
            rejected("record_length"),
            delivery=_layout(lambda data: data + b"\nX,900,5"),
        ),
        Case(
            "fixed width: a letter cut",
            form,
            rejected("letter_split"),
            cells=put("employees", "많음"),
            delivery=_layout(lambda data: data + b"\nX,18,1\nY,19,1\nZ,20,1\nW,21,1"),
        ),
        Case(
            "fixed width: blank record in between",
            form,
            quarantined(1, "business_number_not_null"),
            data=_line(5, lambda line: line + b"\r\n"),
            delivery=_rows_counted(1),
        ),
        Case("fixed width: the end mark of DOS", form, Accepted(), data=lambda data: data + b"\x1a"),
        Case(
            "fixed width: in UTF-16",
            form,
            rejected("wrong_encoding"),
            data=lambda data: data.decode("cp949").encode("utf-16"),
            entry={"encoding": "utf-16"},
        ),
    ]


def _parquet(change: Callable[[pl.DataFrame, Sequence[str]], pl.DataFrame]) -> Callable[[Delivery], None]:
    def write(grid: Grid) -> bytes:
        content = io.BytesIO()
        change(
            frame(grid).rename(dict(zip(map(str, range(len(grid.headers))), grid.headers, strict=True))), grid.headers
        ).write_parquet(content)
        return content.getvalue()

    return from_grid(write)


def _typed() -> list[Case]:
    return [
        Case(
            "parquet: numbers as numbers",
            "parquet",
            Accepted(),
            delivery=_parquet(lambda table, _: table.with_columns(pl.col("employees").cast(pl.Float64))),
        ),
        Case(
            "parquet: NaN",
            "parquet",
            Accepted(),
            delivery=_parquet(
                lambda table, _: table.with_columns(
                    pl.when(pl.col("region") == "11")
                    .then(float("nan"))
                    .otherwise(pl.col("employees").cast(pl.Float64))
                    .alias("employees")
                )
            ),
        ),
        Case(
            "parquet: a list in each cell",
            "parquet",
            rejected("column_type"),
            delivery=_parquet(lambda table, _: table.with_columns(pl.concat_list("region"))),
        ),
        Case(
            "parquet: bytes for text",
            "parquet",
            rejected("column_type"),
            delivery=_parquet(lambda table, _: table.with_columns(pl.col("region").cast(pl.Binary))),
        ),
        Case(
            "parquet: dates for numbers",
            "parquet",
            quarantined(Fraction(1), "employees_not_a_number"),
            delivery=_parquet(
                lambda table, _: table.with_columns(pl.lit(datetime.date(2022, 3, 1)).alias("employees"))
            ),
        ),
        Case(
            "parquet: extra column of bytes",
            "parquet",
            rejected("column_type"),
            cells=extra("photo", "1"),
            delivery=_parquet(lambda table, _: table.with_columns(pl.col("photo").cast(pl.Binary))),
        ),
    ]


CASES = [
    *_cut_files(),
    *_encodings(),
    *_text(),
    *_names(),
    *_workbooks(),
    *_zips(),
    *_json_lines(),
    *_fixed_width(),
    *_typed(),
]
