"""What differs between two releases, row by row and cell by cell, and what each rests on.

Belongs here: comparing two published folders and telling it. Does not belong here: why there is a new vintage (causes),
whether the copies of one release agree with each other (rules).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.models import TableContract
from pipelines.errors import AxstatError
from pipelines.release.causes import Cause, causes
from pipelines.release.vintages import parse_vintage, read_manifest

CELLS = {
    "table": pl.String,
    "key": pl.String,
    "what": pl.String,
    "column": pl.String,
    "before": pl.String,
    "after": pl.String,
    "difference": pl.Float64,
    "in_standard_errors": pl.Float64,
}
_SIDE = {"added": "after", "removed": "before"}
# Standard error of a column by its name: the ending it has -> the ending of its standard error
_ERRORS = (("_pp_per_year", "_se_pp"), ("_pp", "_se_pp"), ("", "_se"))
_ERRORS_OF_HEADS = {"estimate": "se", "estimate_before": "se", "estimate_after": "se", "change_pp": "se_pp"}


@dataclass(frozen=True)
class TableDifference:
    """One table: rows of either release only, rows in both that differ, and columns of one only."""

    table: str
    rows: int
    added: int
    removed: int
    changed: int
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Difference:
    """Two releases compared.

    Attributes:
        tables: those that differ.
        cells: CELLS, a row a cell that changed and a row (without column) a row that was added or removed; within a
            table the largest change in standard errors first. ``before``, ``after`` as text; ``difference`` and
            ``in_standard_errors`` (of the release before) of numbers.
        files: files that differ or are in one only.
        causes: what the two rest on differently.
        revisions: of the program, before and after.
    """

    before: str
    after: str
    tables: tuple[TableDifference, ...]
    cells: pl.DataFrame
    files: tuple[str, ...]
    causes: tuple[Cause, ...]
    revisions: tuple[str | None, str | None]

    def told(self, *, top: int = 10) -> str:
        """For a terminal; the ``top`` largest changes of all tables."""
        lines = [f"{self.before} -> {self.after}", "why:"]
        lines += [f"  {cause}" for cause in self.causes] or ["  nothing that the two rest on differs"]
        if self.revisions[0] != self.revisions[1]:
            lines.append(f"made with revision {self.revisions[1]}, before {self.revisions[0]}")
        lines.append("rows:" if self.tables else "rows: all the same")
        for table in self.tables:
            columns = f"; columns of one release only: {', '.join(table.columns)}" if table.columns else ""
            lines.append(
                f"  {table.table}: {table.added} added, {table.removed} removed, {table.changed} changed "
                f"of {table.rows}{columns}"
            )
        largest = self.cells.filter(pl.col("in_standard_errors").is_not_null()).sort(
            pl.col("in_standard_errors").abs(), "table", "key", "column", descending=[True, False, False, False]
        )
        if largest.height:
            lines.append(f"largest changes, in standard errors of {self.before}:")
        for row in largest.head(top).iter_rows(named=True):
            lines.append(
                f"  {row['table']} {row['key']}\n    {row['column']}: {row['before']} -> {row['after']} "
                f"({row['difference']:+.4g}, {row['in_standard_errors']:+.2f} SE)"
            )
        lines.append(f"files that differ: {', '.join(self.files) or 'none'}")
        return "\n".join(lines)


def compare_releases(published: Path, before: str, after: str, library: ContractLibrary) -> Difference:
    """Compare two releases by their Parquet files and manifests.

    Args:
        before, after: names of vintages, such as ``2025.1``; of one wave, or of two (rows of a wave that only one has
            are added or removed then).

    Raises:
        AxstatError: no such release; a table without a contract that names its key.
    """
    old, new = (read_manifest(published, parse_vintage(name)) for name in (before, after))
    tables, cells = [], [pl.DataFrame(schema=CELLS)]
    folders = [published / name / "parquet" for name in (before, after)]
    for name in sorted({path.stem for folder in folders for path in folder.glob("*.parquet")}):
        paths = [folder / f"{name}.parquet" for folder in folders]
        frames = [pl.read_parquet(path) if path.exists() else None for path in paths]
        there = next(frame for frame in frames if frame is not None)
        first, second = (there.clear() if frame is None else frame for frame in frames)
        if not first.equals(second):
            told, changed = _compared(f"mart.{name}", first, second, _contract(library, name))
            tables.append(told)
            cells.append(changed)
    return Difference(
        before=before,
        after=after,
        tables=tuple(tables),
        cells=pl.concat(cells),
        files=tuple(_files(old["files"], new["files"])),
        causes=tuple(causes(old, new)),
        revisions=tuple(manifest["made_with"]["git_revision"] for manifest in (old, new)),
    )


def _contract(library: ContractLibrary, name: str) -> TableContract:
    contract = library.marts.get(f"mart.{name}")
    if contract is None:
        raise AxstatError(
            "unknown_table",
            where=f"mart.{name}",
            expected="a table of the contracts, which names its key",
            got="none: it is of another version of the contracts",
            hint="compare with the program of the release that has the table",
        )
    return contract


def _compared(
    table: str, before: pl.DataFrame, after: pl.DataFrame, contract: TableContract
) -> tuple[TableDifference, pl.DataFrame]:
    key = list(contract.key)
    shared = [name for name in before.columns if name in after.columns]
    of_one = sorted({*before.columns} ^ {*after.columns})
    values = [name for name in shared if name not in key]
    then, now = (frame.select(shared).with_columns(_key(key).alias("key")) for frame in (before, after))
    only = {"added": now.join(then, on="key", how="anti"), "removed": then.join(now, on="key", how="anti")}
    both = then.join(now, on="key", suffix=":after", maintain_order="left")
    parts = []
    for name in values:
        changed = both.filter(pl.col(name).ne_missing(pl.col(f"{name}:after")))
        parts.append(_cells(table, name, changed, shared))
    changed_rows = both.filter(
        pl.any_horizontal(False, *(pl.col(name).ne_missing(pl.col(f"{name}:after")) for name in values))
    )
    cells = pl.concat([pl.DataFrame(schema=CELLS), *parts]).sort(
        pl.col("in_standard_errors").abs().fill_null(-1.0), "key", "column", descending=[True, False, False]
    )
    for what, rows in only.items():
        lone = rows.select(
            pl.lit(table).alias("table"), "key", pl.lit(what).alias("what"),
            *(pl.lit(None, CELLS[name]).alias(name) for name in list(CELLS)[3:]),
        )  # fmt: skip
        cells = pl.concat([cells, lone])
    told = TableDifference(
        table, after.height, only["added"].height, only["removed"].height, changed_rows.height, tuple(of_one)
    )
    return told, cells


def _key(names: list[str]) -> pl.Expr:
    return pl.concat_str(
        [pl.format("{}={}", pl.lit(name), pl.col(name).cast(pl.String).fill_null("")) for name in names], separator=", "
    )


def _cells(table: str, column: str, changed: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    old, new = pl.col(column), pl.col(f"{column}:after")
    number = changed.schema[column].is_numeric() and changed.schema[f"{column}:after"].is_numeric()
    difference = (new.cast(pl.Float64) - old.cast(pl.Float64)) if number else pl.lit(None, pl.Float64)
    error = _standard_error(column, columns)
    ratio = (
        pl.when(pl.col(error) > 0).then(difference / pl.col(error)) if number and error else pl.lit(None, pl.Float64)
    )
    return changed.select(
        pl.lit(table).alias("table"),
        "key",
        pl.lit("changed").alias("what"),
        pl.lit(column).alias("column"),
        old.cast(pl.String).alias("before"),
        new.cast(pl.String).alias("after"),
        difference.alias("difference"),
        ratio.alias("in_standard_errors"),
    )


def _standard_error(column: str, columns: list[str]) -> str | None:
    """The column with the standard error of another one; names follow one rule throughout the marts."""
    named = [_ERRORS_OF_HEADS.get(column, "")]
    named += [column.removesuffix(ending) + error for ending, error in _ERRORS if column.endswith(ending)]
    return next((name for name in named if name in columns and name != column), None)


def _files(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*before, *after}):
        if name not in after:
            yield f"{name} (removed)"
        elif name not in before:
            yield f"{name} (added)"
        elif before[name] != after[name]:
            yield name
