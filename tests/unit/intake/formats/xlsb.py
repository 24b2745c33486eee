"""A writer of binary Excel workbooks for tests: no library writes them."""

import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path

_RELATIONS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" '
    'Target="worksheets/sheet1.bin"/></Relationships>'
)
# Record types of [MS-XLSB]
_ROW, _NUMBER, _TEXT, _SHEET, _SHEETS, _BUNDLE, _DATA, _DIMENSION = 0, 5, 6, 129, 143, 156, 145, 148


def write_xlsb(path: Path, rows: Sequence[Sequence[str | float]], *, sheet: str) -> None:
    """Write one sheet of text and numbers; '' is a blank cell."""
    data = _record(_SHEET) + _record(_DIMENSION, struct.pack("<4I", 0, len(rows) - 1, 0, len(rows[0]) - 1))
    data += _record(_DATA)
    for number, cells in enumerate(rows):
        data += _record(_ROW, struct.pack("<IIHHI", number, 0, 300, 0, 0) + bytes(9))
        for column, value in enumerate(cells):
            at = struct.pack("<II", column, 0)
            if isinstance(value, str) and value:
                data += _record(_TEXT, at + _text(value))
            elif not isinstance(value, str):
                data += _record(_NUMBER, at + struct.pack("<d", value))
    data += _record(_DATA + 1) + _record(_SHEET + 1)
    bundle = _record(_BUNDLE, struct.pack("<II", 0, 1) + _text("rId1") + _text(sheet))
    book = _record(131) + _record(_SHEETS) + bundle + _record(_SHEETS + 1) + _record(132)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.bin", book)
        archive.writestr("xl/_rels/workbook.bin.rels", _RELATIONS)
        archive.writestr("xl/worksheets/sheet1.bin", data)


def _record(kind: int, data: bytes = b"") -> bytes:
    size, rest = b"", len(data)
    while not size or rest:
        size += bytes([rest & 0x7F | (0x80 if rest > 0x7F else 0)])
        rest >>= 7
    return (bytes([kind]) if kind < 0x80 else bytes([kind & 0x7F | 0x80, kind >> 7])) + size + data


def _text(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")
