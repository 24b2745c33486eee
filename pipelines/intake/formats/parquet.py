"""Parquet files -> TextTable.

Belongs here: reading and rendering. Does not belong here: column names (columns.py).
"""

from pathlib import Path

import polars as pl

from pipelines.intake.manifest import ManifestFile
from pipelines.intake.problems import file_error
from pipelines.intake.table import Provenance, TextTable, text_table, typed_to_text


def read_parquet(path: Path, entry: ManifestFile, *, file: str) -> TextTable:
    """Read the file at `path`; `entry` has nothing to say about this format, `file` names it in messages.

    Raises:
        ViolationsError: a file that is cut off or is not Parquet, nested columns, or no rows.
    """
    del entry
    try:
        frame = pl.read_parquet(path, hive_partitioning=False)
    except pl.exceptions.PolarsError as error:
        raise file_error(
            file,
            "truncated_file",
            expected="a complete Parquet file",
            got=str(error).split("\n", maxsplit=1)[0],
            hint="send the complete file again",
        ) from error
    provenance = Provenance(file=file, format="parquet")
    return text_table(typed_to_text(frame, provenance), frame.columns, provenance)
