"""Bytes of a text file -> text, never with loss.

Belongs here: which encoding a file has and what to say when it has not. Does not belong here: what the text
means (formats/delimited.py).
"""

import codecs
import re

from pipelines.errors import ViolationsError
from pipelines.intake.problems import file_error

# "utf-8-sig" is UTF-8 with a byte order mark. The three-byte mark stands before UTF-16's, which it never
# resembles.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# How much is looked through for what no text has.
_SAMPLE = 2**20
_HANGUL = re.compile("[\uac00-\ud7a3]")
# What shows that bytes are UTF-8 and not what is declared: letters that the declared encoding would not give by chance.
_TELLS_UTF_8 = {
    "cp949": _HANGUL,
    "shift_jis": re.compile("[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3]"),
    "windows-1252": re.compile("[^\x00-\x7f]"),
    "latin-1": re.compile("[^\x00-\x7f]"),
}
# Declared -> read as: CP949 holds all of EUC-KR, whose own codec fails on real Korean text.
_ALIASES = {"euc-kr": "cp949"}
_BYTE_ORDERS = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}


def decode(data: bytes, *, declared: str | None, file: str) -> tuple[str, str]:
    """The text of `data` without byte order mark, and the encoding it was read with.

    A declared encoding is held to; else a byte order mark decides; else strict UTF-8, else strict CP949
    (which holds all of EUC-KR). Text that both would read, but only CP949 as Hangul, is refused rather than
    guessed; other encodings are never guessed. Each of these codecs gives the same bytes for the text it reads
    (a test tries all of them), so nothing is replaced.

    Args:
        declared: an encoding that a file's form may name, or None.
        file: how messages name the file.

    Raises:
        ViolationsError: bytes that the encoding does not have (with their offset and line), a declared
            encoding that the bytes contradict, or two possible readings.
    """
    mark = next((encoding for bytes_, encoding in _MARKS if data.startswith(bytes_)), None)
    if declared is not None:
        encoding = _ALIASES.get(declared, declared)
        return _decode_declared(data, declared=encoding, mark=mark, file=file), encoding
    if mark is not None:
        return _strict(data, mark, file=file, hint="send the file again, saved as UTF-8"), mark
    if b"\0" in data[:_SAMPLE]:
        raise _wrong(
            file,
            expected="text",
            got="zero bytes: UTF-16 without its mark, or no text at all",
            hint="declare 'encoding': 'utf-16-le' or 'utf-16-be' in the manifest, or save the file as UTF-8; if it is "
            "a workbook or a zip, name it so",
        )

    as_utf8, as_cp949 = _try(data, "utf-8"), _try(data, "cp949")
    if as_utf8 is not None:
        if not _HANGUL.search(as_utf8) and as_cp949 is not None and _HANGUL.search(as_cp949):
            raise _wrong(
                file,
                expected="an encoding that can be told from the bytes",
                got="bytes that are UTF-8 without Hangul and CP949 with Hangul",
                hint="declare 'encoding' of the file in the manifest: 'utf-8' or 'cp949'",
            )
        return as_utf8, "utf-8"
    if as_cp949 is not None:
        return as_cp949, "cp949"
    raise _wrong(
        file,
        expected="UTF-8 or CP949",
        got=f"{_fault(data, 'utf-8')}; {_fault(data, 'cp949')}",
        hint="save the file as UTF-8 and send it again with its new sha256, declare another encoding that it has, "
        "or repair these bytes",
    )


def _decode_declared(data: bytes, *, declared: str, mark: str | None, file: str) -> str:
    if mark is not None and not _fits(mark, declared, data):
        raise _wrong(
            file,
            expected=f"{declared}, as the manifest declares",
            got=f"the byte order mark of {mark}",
            hint="correct 'encoding' in the manifest, or leave it out",
        )
    if mark is None and declared in ("utf-8-sig", "utf-16"):
        other = "'utf-8' or 'cp949'" if declared == "utf-8-sig" else "'utf-16-le' or 'utf-16-be'"
        raise _wrong(
            file,
            expected=f"{declared}, as the manifest declares",
            got="no byte order mark",
            hint=f"declare {other} instead, whichever the file has, or leave 'encoding' out",
        )
    if declared in _TELLS_UTF_8:
        as_utf8 = _try(data, "utf-8")
        if as_utf8 is not None and _TELLS_UTF_8[declared].search(as_utf8):
            reads = "and reads as Hangul" if declared == "cp949" else "and not plain English"
            raise _wrong(
                file,
                expected=f"{declared}, as the manifest declares",
                got=f"UTF-8: every byte is valid UTF-8 {reads}",
                hint="declare 'encoding': 'utf-8' in the manifest",
            )
        return _strict(data, declared, file=file, hint="declare the file's real encoding, or save it as UTF-8")
    if declared.startswith("utf-16"):
        text = _strict(data, declared, file=file, hint="declare the file's real encoding, or save it as UTF-8")
        return text.removeprefix("\ufeff")
    other = "declare 'encoding': 'cp949' in the manifest: the file can be read so without loss"
    repair = "save the file as UTF-8 and send it again with its new sha256"
    hint = repair if _try(data, "cp949") is None else other
    return _strict(data, "utf-8-sig" if mark else "utf-8", file=file, hint=hint)


def _fits(mark: str, declared: str, data: bytes) -> bool:
    if mark == "utf-16":
        return declared == "utf-16" or (declared in _BYTE_ORDERS and data.startswith(_BYTE_ORDERS[declared]))
    return declared in ("utf-8", "utf-8-sig")


def _text(data: bytes, encoding: str) -> str:
    """`data` decoded; the mark is taken off afterwards, as Python's utf-8-sig counts offsets without it."""
    if encoding == "utf-8-sig":
        return data.decode("utf-8").removeprefix("\ufeff")
    return data.decode(encoding)


def _try(data: bytes, encoding: str) -> str | None:
    try:
        return _text(data, encoding)
    except UnicodeDecodeError:
        return None


def _strict(data: bytes, encoding: str, *, file: str, hint: str) -> str:
    try:
        return _text(data, encoding)
    except UnicodeDecodeError as error:
        raise _wrong(file, expected=f"{encoding} throughout", got=_fault(data, encoding), hint=hint) from error


def _fault(data: bytes, encoding: str) -> str:
    """Where `data` first breaks `encoding`, in words."""
    try:
        _text(data, encoding)
    except UnicodeDecodeError as error:
        # Counted in the text: in UTF-16 the byte of a line end is half of some letters.
        before = data[: error.start].decode(encoding, errors="ignore")
        line = before.count("\n") + 1
        return f"byte 0x{data[error.start]:02x} at offset {error.start} (line {line}) is not {encoding}"
    return f"valid {encoding}"


def _wrong(file: str, *, expected: str, got: str, hint: str) -> ViolationsError:
    return file_error(file, "wrong_encoding", expected=expected, got=got, hint=hint)
