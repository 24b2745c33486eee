"""Workbooks (.xlsx, .xls, .xlsb, .ods) -> TextTable.

Belongs here: what kind of file it really is, the table on its sheet. Does not belong here: column names (columns.py),
the cells themselves (workbook_process.py). Formulas, macros and links are never evaluated: a cell is the value the
workbook stores for it.
"""

import io
import re
import zipfile
from pathlib import Path
from typing import cast

import polars as pl

from pipelines.errors import ViolationsError
from pipelines.intake.form import FileForm
from pipelines.intake.formats.archive import DAMAGE, check_members, damage_words, encrypted
from pipelines.intake.formats.process import read_in_process
from pipelines.intake.limits import LIMITS, Limits, check_shape
from pipelines.intake.notes import REACH, note_texts, rows_above, rows_below, rows_that_may_be_notes
from pipelines.intake.problems import file_error
from pipelines.intake.table import Provenance, TextTable, join_headers, text_table

_PROGRAM = f"{__package__}.workbook_process"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# The names of streams in an OLE file stand in it in UTF-16.
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_ODS_MANIFEST = "META-INF/manifest.xml"
_WEB_PAGE = re.compile(rb"<(!doctype\s+html|html|head|body|meta|style|table|div)\b", re.IGNORECASE)
_XML_SPREADSHEET = b"urn:schemas-microsoft-com:office:spreadsheet"
_AGAIN = "open the file, save it as .xlsx and send it again with its new sha256"


def read_workbook(path: Path, form: FileForm, *, file: str, limits: Limits = LIMITS) -> TextTable:
    """Read one sheet of the workbook at `path`: `form.sheet`, or the first; `file` names it in messages.

    Which of the formats it is, its bytes decide, whatever its name ends in. It is read by a process of its own.

    Raises:
        ViolationsError: no workbook, or one with a password or cut off; no such sheet, nothing in it, more than the
            limits.
    """
    kind = _kind(path.read_bytes(), file=file, limits=limits)
    found, rows = read_in_process(
        _PROGRAM,
        path,
        [kind, form.sheet or "", str(limits.rows), str(limits.columns)],
        file=file,
        what="a complete workbook",
        hint=_AGAIN,
        limits=limits,
    )
    if "error" in found:
        said = found["text"].split("\n", maxsplit=1)[0]
        raise encrypted(file) if "password" in said.lower() else _unreadable(file, said)
    if found["sheet"] is None:
        raise file_error(
            file,
            "unknown_sheet",
            expected=f"the sheet {form.sheet!r}" if form.sheet is not None else "a sheet",
            got=f"sheets {', '.join(repr(name) for name in found['sheets'])}",
            hint="name the sheet with the data in the manifest ('sheet')",
        )
    check_shape(found["rows"], found["columns"], limits, file=file)
    if unknown := found["unknown"]:
        raise file_error(
            file,
            "formula_without_value",
            expected="the value of every formula, as the workbook's program stores it",
            got=f"none in {', '.join(unknown[:10])}" + (f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""),
            hint=f"a program wrote the formulas, and none calculated them: {_AGAIN}",
        )
    return _table(pl.read_ipc_stream(rows), form, Provenance(file=file, format=kind))


def _table(cells: pl.DataFrame, form: FileForm, provenance: Provenance) -> TextTable:
    if not cells.width:
        return text_table(pl.DataFrame(), (), provenance)  # raises: there is nothing in it
    head = cells.head(REACH).rows()
    above = rows_above(head, form)
    header = head[above : above + form.header_rows]
    body = cells.slice(above + form.header_rows)
    tail = body.tail(REACH).rows()
    other_cells = body.head(body.height - rows_that_may_be_notes(tail))[:, 0].str.len_chars().max()
    below = rows_below(tail, form, width=cells.width, longest=cast("int | None", other_cells) or 0)
    return text_table(
        body.head(body.height - below),
        join_headers(header),
        Provenance(
            file=provenance.file,
            format=provenance.format,
            notes=note_texts([*head[:above], *tail[len(tail) - below :]]),
        ),
    )


def _kind(data: bytes, *, file: str, limits: Limits) -> str:
    """Which format the bytes are, told without reading them.

    Raises:
        ViolationsError: another kind of file that is named like a workbook, a password, a zip beyond the limits.
    """
    if data.startswith(_ZIP):
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                check_members(archive, limits, file=file)
                members = set(archive.namelist())
                if _ODS_MANIFEST in members and b":encryption-data" in archive.read(_ODS_MANIFEST):
                    raise encrypted(file)
        except DAMAGE as error:
            raise _unreadable(file, damage_words(error)) from error
        return "xlsb" if "xl/workbook.bin" in members else "ods" if "content.xml" in members else "xlsx"
    if data.startswith(_OLE):
        if _ENCRYPTED in data:
            raise encrypted(file)
        return "xls"
    start = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    for pretends, got, hint in (
        (_XML_SPREADSHEET in start, "an XML spreadsheet (of Excel 2003)", _AGAIN),
        (_WEB_PAGE.search(start), "a web page (HTML), as many sites offer it for Excel", _AGAIN),
        (_is_text(start), "text", "name it .csv (or what it is) and send it again with a manifest that says so"),
    ):
        if pretends:
            raise file_error(
                file, "not_a_workbook", expected="a workbook, as its name says", got=f"{got}, by its content", hint=hint
            )
    raise _unreadable(file, "bytes that no workbook begins with" if data else "no bytes")


def _is_text(start: bytes) -> bool:
    return bool(start) and not set(start) & set(b"\0\x01\x02\x03\x04\x05\x06\x07\x08")


def _unreadable(file: str, got: str) -> ViolationsError:
    return file_error(
        file, "truncated_file", expected="a complete workbook (.xlsx, .xls, .xlsb, .ods)", got=got, hint=_AGAIN
    )
