"""JSON documents with numbers as they are written.

Belongs here: bytes -> JSON, and what can be wrong with that. Does not belong here: what a document means (json_stat.py,
code_lists.py, series/).
"""

import json
from pathlib import Path
from typing import Any, NoReturn

from pipelines.intake.problems import file_error


def read_json(path: Path, *, file: str) -> Any:
    """The document at `path`; numbers are the text they are written as, so that 0.50 stays 0.50.

    Raises:
        ViolationsError: not whole JSON in UTF-8, a key that stands twice in one object, half a letter, NaN or Infinity.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        document = json.loads(
            text,
            parse_float=str,
            parse_int=str,
            parse_constant=_no_number,
            object_pairs_hook=_without_repeats,
        )
        check_letters(document, text)
        return document
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise file_error(
            file,
            "not_json",
            expected="a whole JSON document in UTF-8, each key once",
            got="objects nested too deep" if isinstance(error, RecursionError) else str(error),
            hint="fetch the file again; if it was cut off, its end is missing",
        ) from error


def check_letters(document: Any, text: str) -> None:
    """Refuse what an escape like \\ud800 in `text` makes of a document: half a letter, which no text can hold.

    Raises:
        ValueError: there is one.
    """
    if "\\u" not in text:
        return
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = ord(error.object[error.start])
        raise ValueError(f"half a letter: the escape \\u{half:04x} without its other half") from error


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number in JSON")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice")
    return found
