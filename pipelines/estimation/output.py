"""Tables written where the command says.

Belongs here: the endings there are and what each writes. Does not belong here: what stands in a table.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from pipelines.errors import AxstatError

SUFFIXES = (".parquet", ".csv", ".json")


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write a table by the end of the name: .parquet, .csv or .json (records); missing values are empty or null.

    Raises:
        AxstatError: another ending.
    """
    check_output(path)
    if path.suffix == ".parquet":
        table.write_parquet(path)
    elif path.suffix == ".csv":
        table.write_csv(path)
    else:
        table.write_json(path)


def check_output(path: Path, *, suffixes: Sequence[str] = SUFFIXES) -> None:
    """Refuse an ending that is not one of these (:func:`write_table` knows them), or a folder that is not there."""
    if path.suffix not in suffixes:
        raise AxstatError(
            "unknown_format",
            where=f"--out {path.name}",
            expected=f"a name that ends in {', '.join(suffixes)}",
            got=path.suffix or "no ending",
            hint="give the file one of these endings",
        )
    if not path.parent.is_dir():
        raise AxstatError(
            "no_folder", where=f"--out {path}", expected="a folder that exists", got="none", hint="make the folder"
        )
