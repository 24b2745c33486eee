"""The files of a specification as tables of the columns that are used.

Belongs here: opening a file by its place in the specification, columns that are not there, values that are missing.
Does not belong here: what a column is for (run, planning, weighting).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.estimation.data import number_faults, open_data
from pipelines.stats.terms import unknown_name


def read_table(
    folder: Path,
    name: str,
    columns: Iterable[tuple[str, str]],
    *,
    missing: Sequence[str],
    text: Sequence[str] = (),
    numeric: Sequence[str] = (),
    needed: Sequence[str] = (),
) -> pl.DataFrame:
    """The columns of a file that are named, each with its place in the specification.

    Args:
        text: columns of labels, read as text.
        numeric: columns that must hold numbers.
        needed: columns that must have a value in every row.

    Raises:
        AxstatError: the file cannot be read, or has no rows.
        ViolationsError: columns that are not there, with the nearest name; rows without a number or value.
    """
    file = open_data(folder / name, name=name)
    used: dict[str, str] = {}
    for place, column in columns:
        used.setdefault(column, place)
    faults = [
        unknown_name("unknown_column", place, f"a column of {name}", column, file.columns)
        for column, place in used.items()
        if column not in file.columns
    ]
    if faults:
        raise ViolationsError(f"file {name}", faults)
    table = file.read(list(used), missing=missing, text=text)
    if table.height == 0:
        raise AxstatError("no_rows", where=f"file {name}", expected="at least one row", got="none", hint="check it")
    for column in dict.fromkeys(numeric):
        faults += number_faults(table[column], place=f"file {name}")
    for column in dict.fromkeys(needed):
        rows = np.flatnonzero(table[column].is_null().to_numpy())
        if len(rows):
            faults.append(
                Violation(
                    "value_missing",
                    where=f"file {name}, column {column!r}",
                    expected="a value in every row",
                    got=f"{len(rows)} missing",
                    hint="fill them in, or leave these rows out of the file",
                    rows=tuple((rows + 1).tolist()),
                )
            )
    if faults:
        raise ViolationsError(f"file {name}", faults)
    return table


def joined_labels(table: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """The labels of several columns as one, such as ``C/10-49/11``; null where one is. A slash inside is ``\\/``."""
    labels = (pl.col(name).cast(pl.String).str.replace_all("\\", r"\\", literal=True) for name in columns)
    parts = [label.str.replace_all("/", r"\/", literal=True) for label in labels]
    return table.select(pl.concat_str(parts, separator="/")).to_series()
