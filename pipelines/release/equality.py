"""Whether every form of a release says the same as the marts, cell by cell.

Belongs here: comparing what was read back with the marts. Does not belong here: reading a form (read_back), or deciding
what follows from a difference (the gate).

Numbers are equal when they are the same double: published ones have twelve digits, which each form keeps. Per cent are
compared as decimals shifted by two places. In forms for readers (KOSIS, workbook) a number that may not be printed must
be a mark there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path

import fastexcel
import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.outputs import KosisTable
from pipelines.errors import AxstatError
from pipelines.release import read_back
from pipelines.reporting.data import ReportData
from pipelines.reporting.texts import Texts

# A file that is missing, damaged, or has other tables, columns or keys than it should
_UNREADABLE = (
    AxstatError,
    OSError,
    KeyError,
    IndexError,
    ValueError,
    pl.exceptions.PolarsError,
    fastexcel.FastExcelError,
)
_TRUTH = {"true": True, "false": False}
ROW, FILE, MORE = "(row)", "(file)", "(further cells)"
THERE, NOT_THERE = "there", "not there"
# Differing cells that are told of one table in one form; the rest are counted
MOST = 50


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A cell in which a form differs from the mart.

    Attributes:
        form: ``duckdb``, ``parquet``, ``csv``, ``sdmx``, ``jsonstat``, ``kosis`` or ``xlsx``.
        table: the mart; of KOSIS the table's id, of the workbook the sheet's table.
        key: the row, as ``survey=industry, wave=2025, …``; empty for a whole file or column.
        column: the column; `ROW` for a row and `FILE` for a table that is there in one of the two only, `FILE` also for
            what cannot be read, `MORE` for the number of cells that are not told one by one.
        expected, got: the values as text, None for NULL.
    """

    form: str
    table: str
    key: str
    column: str
    expected: str | None
    got: str | None

    def __str__(self) -> str:
        return f"{self.form} {self.table} [{self.key}] {self.column}: expected {self.expected}, got {self.got}"


def unequal_cells(
    folder: Path,
    library: ContractLibrary,
    marts: Mapping[str, pl.DataFrame],
    printed: ReportData,
    *,
    template_dir: Path,
) -> list[Difference]:
    """Every cell in which a form in a release folder differs from the marts; none when all are equal.

    Args:
        folder: the release, whole or under construction.
        marts: published tables by name without schema, without what may not be printed (`printable`), as
            `publishable` gives them.
        printed: the same release as the report has it; the workbook is held against it.
        template_dir: the folder `reports/annual`, for the headings of the workbook.
    """
    found = _database(folder, library, marts)
    readers = {"parquet": read_back.read_parquet, "csv": read_back.read_csv}
    for form, reader in readers.items():
        for name, mart in marts.items():
            found += _check(form, name, library.marts[f"mart.{name}"].key, mart, partial(reader, folder, name))
    for entry in library.outputs.sdmx.tables:
        name = entry.table.partition(".")[2]
        read = partial(read_back.read_sdmx, folder, entry, library, marts)
        found += _check("sdmx", name, library.marts[entry.table].key, marts[name], read)
    cubes = library.outputs.json_stat
    name, key = cubes.table.partition(".")[2], library.marts[cubes.table].key
    figures = marts[name].select(*key, *cubes.figures, *cubes.status)
    found += _check("jsonstat", name, key, figures, partial(read_back.read_json_stat, folder, library))
    for table in library.outputs.kosis.tables:
        found += _kosis(folder, table, library, marts)
    found += _workbook(folder, printed, Texts(template_dir, "en"))
    return found


def _database(folder: Path, library: ContractLibrary, marts: Mapping[str, pl.DataFrame]) -> list[Difference]:
    try:
        tables = read_back.read_database(folder)
    except _UNREADABLE as error:
        return [_unreadable("duckdb", read_back.DATABASE, error)]
    found = []
    for name in sorted({*marts, *tables}):
        if name in marts and name in tables:
            found += _differences("duckdb", name, library.marts[f"mart.{name}"].key, marts[name], tables[name])
        else:
            expected, got = (THERE if name in one else NOT_THERE for one in (marts, tables))
            found.append(Difference(form="duckdb", table=name, key="", column=FILE, expected=expected, got=got))
    return found


def _check(
    form: str, table: str, key: Sequence[str], expected: pl.DataFrame, read: Callable[[], pl.DataFrame]
) -> list[Difference]:
    """Differences of a table; that it cannot be read is one."""
    try:
        got = read()
    except _UNREADABLE as error:
        return [_unreadable(form, table, error)]
    return _differences(form, table, key, expected, got)


def _unreadable(form: str, table: str, error: Exception) -> Difference:
    said = str(error).strip().splitlines()
    return Difference(
        form=form,
        table=table,
        key="",
        column=FILE,
        expected="a file that can be read",
        got=f"{type(error).__name__}: {said[0] if said else ''}",
    )


def _differences(
    form: str, table: str, key: Sequence[str], expected: pl.DataFrame, got: pl.DataFrame
) -> list[Difference]:
    """Cells of two tables that differ, rows by their key; `got` may have text where `expected` has numbers."""
    found = [
        Difference(
            form=form,
            table=table,
            key="",
            column=name,
            expected=THERE if name in expected.columns else NOT_THERE,
            got=THERE if name in got.columns else NOT_THERE,
        )
        for name in [*expected.columns, *(name for name in got.columns if name not in expected.columns)]
        if (name in expected.columns) != (name in got.columns)
    ]
    if any(difference.column in key for difference in found):
        return found
    shared = [name for name in expected.columns if name in got.columns]
    typed, broken = _typed(got.select(shared), expected.select(shared))
    if typed.equals(expected.select(shared)) and not broken:
        return found
    found += _told(form, table, key, expected.select(shared), typed, broken)
    return found


def _typed(got: pl.DataFrame, expected: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, pl.Series]]:
    """`got` in the types of `expected`; beside it, by column, the text of cells that have another type."""
    columns, broken = [], {}
    for name, dtype in expected.schema.items():
        cells = got.get_column(name)
        if cells.dtype == dtype:
            columns.append(cells)
            continue
        if dtype == pl.Boolean:
            made = cells.cast(pl.String).replace_strict(_TRUTH, default=None, return_dtype=pl.Boolean)
        else:
            made = cells.cast(dtype, strict=False)
        if (lost := made.is_null() & cells.is_not_null()).any():
            broken[name] = cells.cast(pl.String).set(~lost, None)
        columns.append(made)
    return pl.DataFrame(columns), broken


def _told(
    form: str,
    table: str,
    key: Sequence[str],
    expected: pl.DataFrame,
    got: pl.DataFrame,
    broken: Mapping[str, pl.Series],
) -> list[Difference]:
    """The first `MOST` differing cells in the order of rows and columns, and how many more there are."""
    texts = got.with_columns(
        pl.coalesce(pl.lit(broken[name]), pl.col(name).cast(pl.String)).alias(f"{name} as sent")
        for name in got.columns
        if name in broken
    )
    both = (
        expected.with_columns(pl.lit(True).alias("_expected"))
        .join(texts.with_columns(pl.lit(True).alias("_got")), on=list(key), how="full", suffix=" got", nulls_equal=True)
        .with_columns(pl.coalesce(name, f"{name} got").alias(name) for name in key)
        .sort(key)
    )
    alone = pl.col("_expected").is_null() | pl.col("_got").is_null()
    there = pl.when(pl.col("_got")).then(pl.lit(THERE)).otherwise(pl.lit(NOT_THERE))
    wanted = pl.when(pl.col("_expected")).then(pl.lit(THERE)).otherwise(pl.lit(NOT_THERE))
    parts = [(ROW, both.filter(alone).select(*key, wanted.alias("_wanted"), there.alias("_found")))]
    matched = both.filter(~alone)
    for name in expected.columns:
        if name in key:
            continue
        differs = pl.col(name).ne_missing(pl.col(f"{name} got"))
        if name in broken:
            differs |= pl.col(f"{name} as sent").is_not_null() & pl.col(f"{name} got").is_null()
        sent = f"{name} as sent" if name in broken else f"{name} got"
        parts.append(
            (name, matched.filter(differs).select(*key, pl.col(name).alias("_wanted"), pl.col(sent).alias("_found")))
        )
    found: list[Difference] = []
    for column, rows in parts:
        for row in rows.head(MOST - len(found)).iter_rows(named=True):
            where = ", ".join(f"{name}={row[name]}" for name in key)
            found.append(
                Difference(
                    form=form,
                    table=table,
                    key=where,
                    column=column,
                    expected=_text(row["_wanted"]),
                    got=_text(row["_found"]),
                )
            )
    if more := sum(rows.height for _, rows in parts) - len(found):
        found.append(Difference(form=form, table=table, key="", column=MORE, expected="0", got=str(more)))
    return found


def _text(value: object) -> str | None:
    return None if value is None else repr(value) if isinstance(value, float) else str(value)


def _kosis(
    folder: Path, table: KosisTable, library: ContractLibrary, marts: Mapping[str, pl.DataFrame]
) -> list[Difference]:
    """A KOSIS table against the mart: numbers in the unit's decimals, a mark for none."""
    form = library.outputs.kosis
    mart = library.marts[table.table]
    key = [*table.classifications, "wave"]
    rows = marts[mart.name.partition(".")[2]].filter(
        *(pl.col(column).is_in(list(codes)) for column, codes in table.where.items())
    )
    expected = rows.select(
        *(pl.col(name).cast(pl.String) for name in key),
        *(
            pl.Series(
                item.column,
                [_shifted(value, form.units[item.unit or str(mart.column(item.column).unit)].times) for value in cells],
                dtype=pl.String,
            )
            for item, cells in ((item, rows.get_column(item.column)) for item in table.items)
        ),
    )
    marks = {form.marks.confidential, form.marks.suppressed, form.marks.missing}
    return _check(
        "kosis", table.id, key, expected, lambda: _plain(read_back.read_kosis(folder, table, library), key, marks)
    )


def _plain(rows: pl.DataFrame, key: Sequence[str], marks: set[str]) -> pl.DataFrame:
    """Rows read from a form for readers: marks as NULL, numbers as the shortest text of their value."""
    return rows.with_columns(
        pl.Series(
            name,
            [None if cell is None or cell in marks else _decimal(cell) for cell in rows.get_column(name)],
            dtype=pl.String,
        )
        for name in rows.columns
        if name not in key
    )


def _decimal(text: str) -> str:
    """A number without padding; other text as it is, to be told as the difference it is."""
    try:
        return format(Decimal(text).normalize(), "f")
    except InvalidOperation:
        return text


def _shifted(value: float | None, times: int) -> str | None:
    return None if value is None else format((Decimal(repr(value)) * times).normalize(), "f")


def _workbook(folder: Path, printed: ReportData, texts: Texts) -> list[Difference]:
    """The workbook's tables of rates and of progress against the marts as they may be printed."""
    try:
        sheets = read_back.read_workbook(folder, printed, texts)
    except _UNREADABLE as error:
        return [_unreadable("xlsx", read_back.WORKBOOK, error)]
    return [difference for sheet in sheets for difference in _sheet(sheet, printed, set(texts.raw("workbook.marks")))]


def _sheet(sheet: read_back.SheetRows, printed: ReportData, marks: set[str]) -> list[Difference]:
    chosen = read_back.chosen(sheet, printed)
    expected = chosen.select(
        *sheet.key,
        *(
            pl.Series(name, [_shifted(value, times) for value in chosen.get_column(name)], dtype=pl.String)
            for name, times in sheet.times.items()
        ),
    )
    got = _plain(sheet.rows, sheet.key, marks)
    return _differences("xlsx", sheet.name, sheet.key, expected, got.select(expected.columns))
