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
_HANGUL = re.compile("[\uac00-\ud7a3]")


def decode(data: bytes, *, declared: str | None, file: str) -> tuple[str, str]:
    """The text of `data` without byte order mark, and the encoding it was read with.

    A declared encoding is held to; else a byte order mark decides; else strict UTF-8, else strict CP949
    (which holds all of EUC-KR). Text that both would read, but only CP949 as Hangul, is refused rather than
    guessed.

    Args:
        declared: 'utf-8', 'utf-8-sig', 'cp949' or None, as the manifest has it.
        file: how messages name the file.

    Raises:
        ViolationsError: bytes that the encoding does not have (with their offset and line), a declared
            encoding that the bytes contradict, or two possible readings.
    """
    mark = next((encoding for bytes_, encoding in _MARKS if data.startswith(bytes_)), None)
    if declared is not None:
        return _decode_declared(data, declared=declared, mark=mark, file=file), declared
    if mark is not None:
        return _strict(data, mark, file=file, hint="send the file again, saved as UTF-8"), mark

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
        hint="save the file as UTF-8 and send it again with its new sha256, or repair these bytes",
    )


def _decode_declared(data: bytes, *, declared: str, mark: str | None, file: str) -> str:
    if mark is not None and not (mark == "utf-8-sig" and declared in ("utf-8", "utf-8-sig")):
        raise _wrong(
            file,
            expected=f"{declared}, as the manifest declares",
            got=f"the byte order mark of {mark}",
            hint="correct 'encoding' in the manifest, or leave it out",
        )
    if mark is None and declared == "utf-8-sig":
        raise _wrong(
            file,
            expected="utf-8-sig, as the manifest declares",
            got="no byte order mark",
            hint="declare 'utf-8' or 'cp949' instead, whichever the file has, or leave 'encoding' out",
        )
    if declared == "cp949":
        as_utf8 = _try(data, "utf-8")
        if as_utf8 is not None and _HANGUL.search(as_utf8):
            raise _wrong(
                file,
                expected="cp949, as the manifest declares",
                got="UTF-8: every byte is valid UTF-8 and reads as Hangul",
                hint="declare 'encoding': 'utf-8' in the manifest",
            )
        return _strict(data, "cp949", file=file, hint="declare the file's real encoding, or save it as UTF-8")
    other = "declare 'encoding': 'cp949' in the manifest: the file can be read so without loss"
    repair = "save the file as UTF-8 and send it again with its new sha256"
    hint = repair if _try(data, "cp949") is None else other
    return _strict(data, "utf-8-sig" if mark else "utf-8", file=file, hint=hint)


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
        line = data.count(b"\n", 0, error.start) + 1
        return f"byte 0x{data[error.start]:02x} at offset {error.start} (line {line}) is not {encoding}"
    return f"valid {encoding}"


def _wrong(file: str, *, expected: str, got: str, hint: str) -> ViolationsError:
    return file_error(file, "wrong_encoding", expected=expected, got=got, hint=hint)
