"""Parquet files -> TextTable.

Belongs here: rendering, words for people. Does not belong here: column names (columns.py), the calls of the library
(parquet_process.py).
"""

from pathlib import Path

import polars as pl

from pipelines.intake.form import FileForm
from pipelines.intake.formats.process import read_in_process
from pipelines.intake.limits import LIMITS, Limits, check_shape
from pipelines.intake.problems import file_error
from pipelines.intake.table import Provenance, TextTable, text_table, typed_to_text

_PROGRAM = f"{__package__}.parquet_process"
_WHAT = "a complete Parquet file"
_AGAIN = "send the complete file again"


def read_parquet(path: Path, form: FileForm, *, file: str, limits: Limits = LIMITS) -> TextTable:
    """Read the file at `path`; `form` has nothing to say about this format, `file` names it in messages.

    It is read by a process of its own.

    Raises:
        ViolationsError: a file that is cut off or is not Parquet, nested columns, no rows, or more than the limits.
    """
    del form
    # What the metadata claim is checked before anything is read: a few bytes may claim billions of rows.
    arguments = [str(limits.rows), str(limits.columns)]
    found, rows = read_in_process(_PROGRAM, path, arguments, file=file, what=_WHAT, hint=_AGAIN, limits=limits)
    if "error" in found:
        got = found["text"].split("\n", maxsplit=1)[0]
        raise file_error(file, "truncated_file", expected=_WHAT, got=got, hint=_AGAIN)
    check_shape(found["rows"], found["columns"], limits, file=file)
    frame = pl.read_ipc_stream(rows)
    frame.columns = [f"{header!r} (column {position})" for position, header in enumerate(found["names"], 1)]
    provenance = Provenance(file=file, format="parquet")
    return text_table(typed_to_text(frame, provenance), found["names"], provenance)
