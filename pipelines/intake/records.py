"""A table of text -> typed records of a contract, each with the row of the file it is from.

Belongs here: which columns and rows of a file are a contract's records, and what is left out on request. Does not
belong here: single cells (typed.py), finding headers (columns.py), records that break a rule (precheck).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from pipelines.contracts.cell_form import PLAIN, CellForm, Unpivot
from pipelines.contracts.models import TableContract
from pipelines.errors import Violation
from pipelines.intake.columns import map_columns
from pipelines.intake.problems import file_error
from pipelines.intake.table import TextTable
from pipelines.intake.typed import typed_column
from pipelines.stats.arrays import in_threads

RECORD, ROW = "_record", "_row"
_SHOWN = 8


@dataclass(frozen=True)
class TypedRecords:
    """The records of one file.

    Attributes:
        rows: data rows of the file.
        dropped_rows: the file's rows that were left out as blank, in whole or in part of their periods;
            `dropped` counts the records.
        typed: RECORD (number, from 1), ROW (the file's data row) and the contract's columns, each flag column beside
            its own.
        sent: RECORD, ROW and the contract's columns as text; null where no value was sent.
        warnings: what a person should look at.
    """

    rows: int
    dropped: int
    dropped_rows: tuple[int, ...]
    typed: pl.DataFrame
    sent: pl.DataFrame
    warnings: tuple[Violation, ...]


def typed_records(
    table: TextTable,
    contract: TableContract,
    cells: Mapping[str, CellForm],
    *,
    unpivot: Unpivot | None = None,
    drop_blank_in: Sequence[str] = (),
) -> TypedRecords:
    """The records that a contract makes of a table.

    Args:
        cells: form of the cells, by column; the others are plain.
        unpivot: columns to turn into records.
        drop_blank_in: columns; a record in all of which nothing was sent is left out, and counted.

    Raises:
        ViolationsError: columns that are missing or stand twice, no column to unpivot.
        AxstatError: a type or a form that does not fit a column.
    """
    frame, extra = _records(table, contract, unpivot)
    columns = in_threads(
        lambda column: typed_column(frame[column.name], column, cells.get(column.name, PLAIN)), contract.columns
    )
    blank = [made.blank for column, made in zip(contract.columns, columns, strict=True) if column.name in drop_blank_in]
    dropped = pl.select(pl.all_horizontal(blank)).to_series() if blank else pl.repeat(False, frame.height, eager=True)
    numbers = frame.select(RECORD, ROW)
    typed = numbers.hstack([part for made in columns for part in (made.values, made.flags) if part is not None])
    return TypedRecords(
        rows=table.frame.height,
        dropped=int(dropped.sum()),
        dropped_rows=tuple(frame[ROW].filter(dropped).unique().sort()),
        typed=typed.filter(~dropped),
        sent=numbers.hstack([made.sent for made in columns]).filter(~dropped),
        warnings=_extra_warnings(extra, contract, file=table.provenance.file),
    )


def _records(table: TextTable, contract: TableContract, unpivot: Unpivot | None) -> tuple[pl.DataFrame, list[str]]:
    """RECORD, ROW and the contract's columns as text; headers that no column takes."""
    file = table.provenance.file
    headers, labels = list(table.headers), list(table.labels)
    taken: dict[int, re.Match[str]] = {}
    if unpivot is not None:
        pattern = re.compile(unpivot.pattern)
        taken = {at: match for at, header in enumerate(headers) if (match := pattern.search(header))}
        if not taken:
            raise file_error(
                file,
                "no_column_to_unpivot",
                part="header",
                expected=f"headers that match {unpivot.pattern}",
                got=", ".join(map(repr, headers[:_SHOWN])) + (", …" if len(headers) > _SHOWN else ""),
                hint="correct unpivot.pattern in the contract, or its form (delimiter, header_rows, sheet)",
            )
    made = () if unpivot is None else (*unpivot.names, unpivot.value)
    fixed = tuple(column for column in contract.columns if column.name not in made)
    left = [at for at in range(len(headers)) if at not in taken]
    positions: Mapping[str, int] = {}
    extra = [headers[at] for at in left]
    if fixed:
        columns = map_columns(
            [headers[at] for at in left],
            [labels[at] for at in left],
            replace(contract, columns=fixed),
            question_version="",
            file=file,
        )
        positions, extra = columns.positions, list(columns.extra.values())
    frame = table.frame.with_row_index(ROW, 1).select(
        pl.col(ROW).cast(pl.Int64),
        *(pl.col(f"c{left[at]}").alias(name) for name, at in positions.items()),
        *(pl.col(f"c{at}").alias(f"c{at}") for at in taken),
    )
    if unpivot is not None:
        frame = _long(frame, unpivot, taken)
    return frame.select(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(RECORD), ROW, *contract.column_names), extra


def _long(frame: pl.DataFrame, unpivot: Unpivot, taken: Mapping[int, re.Match[str]]) -> pl.DataFrame:
    """A record a row and matched column, in the order of the file."""
    parts = []
    for place, (at, match) in enumerate(taken.items()):
        said = match.groupdict() or {unpivot.names[0]: match.string}
        parts.append(
            frame.select(
                *(name for name in frame.columns if name not in {f"c{other}" for other in taken}),
                *(pl.lit(text, dtype=pl.String).alias(name) for name, text in said.items()),
                pl.col(f"c{at}").alias(unpivot.value),
                pl.lit(place).alias("_place"),
            )
        )
    return pl.concat(parts).sort(ROW, "_place").drop("_place")


def _extra_warnings(extra: Sequence[str], contract: TableContract, *, file: str) -> tuple[Violation, ...]:
    if not extra:
        return ()
    return (
        Violation(
            code="extra_columns",
            where=file,
            expected=f"the columns of {contract.name}",
            got=f"{len(extra)} more: {', '.join(repr(name) for name in extra)}",
            hint="they are not read: add them to the contract if they are wanted",
        ),
    )
