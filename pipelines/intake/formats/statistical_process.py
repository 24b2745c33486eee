"""The program of the process that reads one file of SPSS, Stata or SAS: one line of JSON and its rows out.

Belongs here: the call of pyreadstat, and nothing that can be done outside. Does not belong here: words for people,
cells as text (statistical.py), or any import that the call does not need: each file pays for it.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pyreadstat

from pipelines.intake.formats.child import answer, refuse, run

_READERS: Mapping[str, Callable[..., Any]] = {
    ".xpt": pyreadstat.read_xport,
    ".dta": pyreadstat.read_dta,
    ".sas7bdat": pyreadstat.read_sas7bdat,
}
# What damaged files were seen to raise, besides pyreadstat's own errors: in its Python and in the frame it builds
_UNREADABLE = (
    pyreadstat.ReadstatError,
    pyreadstat.PyreadstatError,
    IndexError,
    MemoryError,
    OverflowError,
    TypeError,
    ValueError,
)


def main(path: str, encoding: str, columns: str) -> None:
    """Write the file at `path` to standard output.

    First a line of JSON with `names` (of all columns), `labels`, `value_labels` and `encoding`, then the rows as an
    Arrow stream. Or, of a file that cannot be read, only a line of JSON with `error` and `text`.

    Args:
        path: the file.
        encoding: a name iconv knows, or '' for the one that the file names.
        columns: JSON. null: all columns, user-missing values as values. A list of names: these, user-missing values
            null; of an empty list there are no rows.
    """
    ending = Path(path).suffix.lower()
    read: Callable[..., Any] = _READERS.get(ending, pyreadstat.read_sav)
    chosen = json.loads(columns)
    options: dict[str, Any] = {"encoding": encoding or None, "output_format": "polars"}
    try:
        if chosen is None:
            frame, meta = read(path, **options, **({} if ending == ".xpt" else {"user_missing": True}))
        else:
            frame = read(path, **options, usecols=chosen)[0] if chosen else None
            _, meta = read(path, **options, metadataonly=True)
    except _UNREADABLE as error:
        refuse(error)
        return
    answer(_found(meta), None if frame is None else _with_letters_as_text(frame).write_ipc_stream)


def _found(meta: Any) -> Mapping[str, object]:
    return {
        "names": meta.column_names,
        "labels": meta.column_labels,
        "value_labels": {
            name: {_code_text(code): str(label) for code, label in labels.items()}
            for name, labels in meta.variable_value_labels.items()
        },
        "encoding": meta.file_encoding,
    }


def _with_letters_as_text(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with columns of text for numbers among which letters for missing values stand."""
    mixed = [name for name, dtype in frame.schema.items() if dtype == pl.Object]
    for name in mixed:
        cells = [None if cell is None else _code_text(cell) for cell in frame[name].to_list()]
        frame = frame.replace_column(frame.get_column_index(name), pl.Series(name, cells))
    return frame


def _code_text(code: object) -> str:
    return str(int(code)) if isinstance(code, float) and code.is_integer() else str(code)


if __name__ == "__main__":
    run(main)
