"""Parquet files -> TextTable.

Belongs here: reading and rendering. Does not belong here: column names (columns.py).
"""

from pathlib import Path

import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from pipelines.intake.form import FileForm
from pipelines.intake.problems import file_error
from pipelines.intake.table import Provenance, TextTable, text_table, typed_to_text


def read_parquet(path: Path, form: FileForm, *, file: str) -> TextTable:
    """Read the file at `path`; `form` has nothing to say about this format, `file` names it in messages.

    Raises:
        ViolationsError: a file that is cut off or is not Parquet, nested columns, or no rows.
    """
    del form
    try:
        # Not by polars: on damaged pages its reader ends the whole process, which no caller can catch.
        with pq.ParquetFile(path) as source:
            table = source.read()
        table.validate(full=True)
        headers = table.column_names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise file_error(
            file,
            "truncated_file",
            expected="a complete Parquet file",
            got=str(error).split("\n", maxsplit=1)[0],
            hint="send the complete file again",
        ) from error
    # Names made here: those of the file may stand twice, and its metadata are nobody's business.
    names = [f"{header!r} (column {position})" for position, header in enumerate(headers, 1)]
    frame = pl.DataFrame(pl.from_arrow(pa.table(table.columns, names=names)))
    provenance = Provenance(file=file, format="parquet")
    return text_table(typed_to_text(frame, provenance), headers, provenance)
