"""JSON lines (.jsonl, .ndjson) -> TextTable.

Belongs here: one object a line, its values as text. Does not belong here: encodings (encoding.py), column names
(columns.py).
"""

import json
from pathlib import Path
from typing import NoReturn

import polars as pl

from pipelines.errors import Violation, ViolationsError
from pipelines.intake.encoding import decode
from pipelines.intake.form import FileForm
from pipelines.intake.formats.json_text import check_letters
from pipelines.intake.limits import LIMITS, Limits, check_shape
from pipelines.intake.table import Provenance, TextTable, text_table

# How contracts write several codes in one cell.
_JOINT = ";"
# What is wrong with a line -> what is expected, and what to do.
_RULES = {
    "not_json": ("one JSON object a line", "correct the line; an object must not go over several lines"),
    "not_an_object": ("one JSON object a line", 'write each row as an object: {"column": value, ...}'),
    "repeated_key": ("each key once in an object", "leave out one of them"),
    "nested_value": (
        f"plain values, or lists of plain values without {_JOINT!r}",
        "write one plain value a key",
    ),
}


class _LineError(Exception):
    """A line that cannot be taken; `code` is one of the rules."""

    def __init__(self, code: str, got: str) -> None:
        self.code = code
        self.got = got
        super().__init__(code)


def read_json_lines(path: Path, form: FileForm, *, file: str, limits: Limits = LIMITS) -> TextTable:
    """Read the file at `path`: a row a line; headers are the keys of all lines in the order of their first sight.

    Numbers stay as they are written, truth values are true and false, null is blank, a list of plain values is joined
    by ';' as contracts write lists.

    Raises:
        ViolationsError: encoding, lines that are no object, repeated keys, nested values (all lines at once), no rows,
            or more than the limits.
    """
    text, encoding = decode(path.read_bytes(), declared=form.encoding, file=file)
    columns: dict[str, list[str | None]] = {}
    broken: dict[str, list[tuple[int, str]]] = {}
    for row, line in enumerate(text.split("\n"), 1):
        cells: dict[str, str | None] = {}
        try:
            if line.strip():
                cells = {key: _as_text(value) for key, value in _object(line).items()}
        except _LineError as error:
            broken.setdefault(error.code, []).append((row, error.got))
        for key in cells:
            if key not in columns:
                columns[key] = [None] * (row - 1)
        for key, values in columns.items():
            values.append(cells.get(key))
        check_shape(row, len(columns), limits, file=file)
    if broken:
        raise ViolationsError(file, [_violation(code, lines, file=file) for code, lines in broken.items()])
    frame = pl.DataFrame([pl.Series(str(at), values, dtype=pl.String) for at, values in enumerate(columns.values())])
    return text_table(frame, list(columns), Provenance(file=file, format="json lines", encoding=encoding))


def _object(line: str) -> dict[str, object]:
    """The object of a line, with numbers as they are written."""
    try:
        found = json.loads(
            line, parse_float=str, parse_int=str, parse_constant=_no_number, object_pairs_hook=_without_repeats
        )
        check_letters(found, line)
    except ValueError as error:
        raise _LineError("not_json", str(error)) from error
    except RecursionError as error:
        raise _LineError("nested_value", "lists in lists beyond measure") from error
    if not isinstance(found, dict):
        raise _LineError("not_an_object", "a list" if isinstance(found, list) else "a single value")
    return found


def _no_number(text: str) -> NoReturn:
    raise _LineError("not_json", f"{text}, which JSON does not have")


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise _LineError("repeated_key", repr(key))
        found[key] = value
    return found


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        texts = [_as_text(one) for one in value if not isinstance(one, list)]
        if len(texts) == len(value) and not any(text is None or _JOINT in text for text in texts):
            return _JOINT.join(text for text in texts if text is not None)
    raise _LineError("nested_value", "an object" if isinstance(value, dict) else "a list of more than plain values")


def _violation(code: str, lines: list[tuple[int, str]], *, file: str) -> Violation:
    expected, hint = _RULES[code]
    row, got = lines[0]
    return Violation(
        code=code,
        where=file,
        expected=expected,
        got=f"{len(lines)} line(s), the first ({row}): {got}",
        hint=hint,
        rows=tuple(row for row, _ in lines),
    )
