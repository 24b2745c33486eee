"""Headline tables in the shape of KOSIS: one row a figure, with table, classifications, item, unit and time.

Belongs here: the rows and files of those tables. Does not belong here: which tables, headers, units and marks (contract
`outputs.yaml`), labels and codes (the marts' contracts).

The numbers are those that may be printed (`blanking.printable`): where one is withheld, suppressed as unreliable or not
there, a mark stands in its place.
"""

import datetime
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.models import Column, TableContract
from pipelines.contracts.outputs import KosisTable, KosisUnit
from pipelines.reporting.blanking import FREE, SUPPRESS
from pipelines.reporting.code_lists import codes_by_column


def write_kosis(
    library: ContractLibrary,
    marts: Mapping[str, pl.DataFrame],
    folder: Path,
    *,
    published: datetime.date,
    synthetic: bool,
) -> None:
    """Write every table as `<table id>.csv`: UTF-8 with a byte-order mark, Korean headers, all values text.

    Args:
        marts: tables by name without schema, without what may not be printed.
        published: the day that every row is dated by.
        synthetic: say in every table's name that the data are made up.
    """
    for table in library.outputs.kosis.tables:
        rows = kosis_rows(table, library, marts, published=published, synthetic=synthetic)
        rows.write_csv(folder / f"{table.id}.csv", include_bom=True)


def kosis_rows(
    table: KosisTable,
    library: ContractLibrary,
    marts: Mapping[str, pl.DataFrame],
    *,
    published: datetime.date,
    synthetic: bool,
) -> pl.DataFrame:
    """The rows of one table, headed as KOSIS does, in the order of the code lists, then the years."""
    form = library.outputs.kosis
    mart = library.marts[table.table]
    name = mart.name.partition(".")[2]
    codes = codes_by_column(mart, marts)
    chosen = marts[name].filter(*(pl.col(column).is_in(list(of)) for column, of in table.where.items()))
    chosen = _with_reliability(chosen, mart, marts)
    title = f"[{form.synthetic}] {table.title_ko}" if synthetic else table.title_ko
    fixed = {"ORG_ID": library.outputs.publisher.id, "TBL_ID": table.id, "TBL_NM": title}
    columns = [pl.lit(text).alias(field) for field, text in fixed.items()]
    order: list[pl.Expr] = []
    for number, classification in enumerate(table.classifications, start=1):
        column, listed = mart.column(classification), codes[classification]
        values = pl.col(classification)
        order.append(values.replace_strict({code.value: place for place, code in enumerate(listed)}))
        columns += [
            values.alias(f"C{number}"),
            pl.lit(column.label_ko).alias(f"C{number}_OBJ_NM"),
            values.replace_strict({code.value: code.label_ko for code in listed}).alias(f"C{number}_NM"),
            values.replace_strict({code.value: code.label_en for code in listed}).alias(f"C{number}_NM_ENG"),
        ]
    chosen = chosen.sort([*order, "wave"])
    made = []
    for place, item in enumerate(table.items):
        column = mart.column(item.column)
        unit = form.units[item.unit or str(column.unit)]
        made.append(
            chosen.select(
                pl.int_range(pl.len()).alias("row"),
                pl.lit(place).alias("item"),
                *columns,
                pl.lit(column.name).alias("ITM_ID"),
                pl.lit(column.label_ko).alias("ITM_NM"),
                pl.lit(column.label_en).alias("ITM_NM_ENG"),
                pl.lit(unit.label_ko).alias("UNIT_NM"),
                pl.lit(unit.label_en).alias("UNIT_NM_ENG"),
                pl.lit(form.period).alias("PRD_SE"),
                pl.col("wave").cast(pl.String).alias("PRD_DE"),
                _values(chosen, column, unit, library).alias("DT"),
                pl.lit(published.isoformat()).alias("LST_CHN_DE"),
            )
        )
    rows = pl.concat(made).sort("row", "item")
    return rows.select(pl.col(field).alias(header) for field, header in kosis_headers(table, library).items())


def kosis_headers(table: KosisTable, library: ContractLibrary) -> dict[str, str]:
    """KOSIS's fields of a table and their Korean headers, in the order of the contract."""
    numbers = range(1, len(table.classifications) + 1)
    headers = library.outputs.kosis.headers.items()
    plain = [(field, header) for field, header in headers if "{n}" not in field]
    by_number = [
        (field.format(n=number), header.format(n=number))
        for number in numbers
        for field, header in headers
        if "{n}" in field
    ]
    at = next(place for place, (field, _) in enumerate(headers) if "{n}" in field)
    return dict([*plain[:at], *by_number, *plain[at:]])


def _with_reliability(chosen: pl.DataFrame, mart: TableContract, marts: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The rows with `reliability` and `conf_status`, which a mart without them takes from its rates.

    A row of mart.progress does not say which base it stands on: it is suppressed or withheld where either is.
    """
    if "reliability" in chosen.columns:
        return chosen
    rates = marts["adoption_rate"]
    key = [name for name in mart.key if name in rates.columns]
    said = rates.group_by(key).agg(
        pl.col("reliability").filter(pl.col("reliability") == SUPPRESS).first(),
        pl.col("conf_status").filter(pl.col("conf_status") != FREE).first(),
    )
    return chosen.join(said, on=key, how="left", maintain_order="left")


def _values(chosen: pl.DataFrame, column: Column, unit: KosisUnit, library: ContractLibrary) -> pl.Series:
    """The numbers of an item as decimal text without exponent, or the mark that stands in a number's place."""
    marks = library.outputs.kosis.marks
    texts = pl.Series(
        [None if value is None else _decimal(value, unit.times) for value in chosen.get_column(column.name)],
        dtype=pl.String,
    )
    mark = (
        pl.when(pl.col("conf_status").is_not_null() & (pl.col("conf_status") != FREE))
        .then(pl.lit(marks.confidential))
        .when(pl.col("reliability") == SUPPRESS)
        .then(pl.lit(marks.suppressed))
        .otherwise(pl.lit(marks.missing))
    )
    return texts.fill_null(chosen.select(mark).to_series())


def _decimal(value: float, times: int) -> str:
    # repr() is the shortest decimal that gives the number back: it is shifted, never multiplied in binary
    return format((Decimal(repr(value)) * times).normalize(), "f")
