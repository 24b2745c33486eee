"""The published file and its copies: marts as DuckDB, Parquet and CSV, and asking the file.

Belongs here: the form in which marts leave the warehouse, the same bytes for the same rows. Does not belong
here: which rows are published and where (release), how a table is laid out for readers (reporting).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import polars as pl

from pipelines.contracts.compiler import create_table_sql
from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.models import TableContract
from pipelines.errors import AxstatError
from pipelines.warehouse.catalogue import Statement
from pipelines.warehouse.database import CONNECTION_CONFIG, ConfigValue
from pipelines.warehouse.session import quoted

# The oldest storage format: every DuckDB from 1.0 on opens it. Written by one thread it has the same bytes for
# the same rows, if four compressions are left out: FSST looks at a random sample of the text, ALP and ALPRD leave
# whatever was in memory between the blocks of numbers they write, and so does bit packing in the place of a NULL.
STORAGE_VERSION = "v1.0.0"
_UNSTABLE_COMPRESSIONS = "fsst,alp,alprd,bitpacking"
SIGNIFICANT_DIGITS = 12
SYNTHETIC_REMARK = (
    "SYNTHETIC DATA: made up to show and test the method, no statement about the country. "
    "합성 자료: 방법을 보이고 시험하려고 만든 것으로, 실제 통계가 아님."
)


def publishable(frame: pl.DataFrame, table: TableContract) -> pl.DataFrame:
    """A mart's rows as they are published: columns in contract order, rows in key order, numbers rounded.

    Every DOUBLE is rounded to 12 significant decimal digits of its exact binary value, as Python's
    `format(x, ".11e")` does; -0.0 becomes 0.0. Two kinds of processor differ far below that digit.

    Args:
        frame: the columns of `table`, in any order, one row a key.

    Raises:
        AxstatError: columns that differ from the contract, a key that stands twice, or a DOUBLE that is
            neither finite nor NULL.
    """
    if sorted(frame.columns) != sorted(table.column_names):
        raise AxstatError(
            "columns_differ",
            where=table.name,
            expected=", ".join(table.column_names),
            got=", ".join(frame.columns),
            hint="make the frame as the mart's contract has it",
        )
    repeated = frame.filter(frame.select(table.key).is_duplicated())
    if repeated.height:
        raise AxstatError(
            "duplicate_key",
            where=table.name,
            expected=f"one row for each {', '.join(table.key)}",
            got=f"{repeated.height} rows that share theirs, e.g. {repeated.select(table.key).row(0)}",
            hint="find out which step made the second row; sql/checks names the units",
        )
    ordered = frame.select(table.column_names).sort(table.key)
    numbers = [column.name for column in table.columns if column.type == "DOUBLE"]
    for name in numbers:
        values = ordered.get_column(name).cast(pl.Float64)
        broken = (values.is_not_null() & ~values.is_finite()).sum()
        if broken:
            raise AxstatError(
                "not_finite",
                where=f"{table.name}.{name}",
                expected="a number, or NULL with a reason beside it",
                got=f"NaN or infinity in {broken} row(s)",
                hint="make the step that estimates it return NULL and the reason",
            )
    return ordered.with_columns(_rounded(ordered.select(numbers)).get_columns()) if numbers else ordered


def _rounded(numbers: pl.DataFrame) -> pl.DataFrame:
    """Every column to 12 significant digits, in the order of the rows."""
    form = f"{{:.{SIGNIFICANT_DIGITS - 1}e}}"
    columns = ", ".join(
        f"format('{form}', {quoted(name)}::double)::double + 0.0 as {quoted(name)}" for name in numbers.columns
    )
    with duckdb.connect(config=dict(CONNECTION_CONFIG)) as connection:
        connection.register("numbers", numbers)
        found: pl.DataFrame = connection.sql(f"select {columns} from numbers").pl()
    return found


def write_published(
    marts: Mapping[str, pl.DataFrame],
    target: Path,
    library: ContractLibrary,
    *,
    synthetic: bool,
    macros: Sequence[Statement] = (),
) -> None:
    """Make the published DuckDB file: every mart given, and the table macros over them.

    It is built beside `target` and takes its name only when whole. The same rows give the same bytes.

    Args:
        marts: frames by ``mart.<table>``, as `publishable` gives them.
        target: must not exist; its folder must.
        synthetic: say in every table's COMMENT that the data are made up.
        macros: the catalogue's layer ``published``; one comes into the file with the tables that it reads.

    Raises:
        AxstatError: `target` exists; a name without contract.
    """
    if target.exists():
        raise AxstatError(
            "already_published",
            where=str(target),
            expected="a file that does not exist yet",
            got="a file",
            hint="publish a new vintage; a published file is never overwritten",
        )
    if unknown := sorted(set(marts) - set(library.marts)):
        raise AxstatError(
            "unknown_table",
            where=str(target),
            expected=f"marts of the contracts: {', '.join(library.marts)}",
            got=", ".join(unknown),
            hint="publish marts only; other tables hold microdata",
        )
    remark = SYNTHETIC_REMARK if synthetic else None
    building = target.with_name(f".{target.name}.building")
    building.unlink(missing_ok=True)
    try:
        with duckdb.connect(config={**CONNECTION_CONFIG, "threads": "1"}) as connection:
            connection.execute(f"attach {_text(str(building))} as published (storage_version '{STORAGE_VERSION}')")
            connection.execute(f"set disabled_compression_methods = '{_UNSTABLE_COMPRESSIONS}'")
            connection.execute("use published")
            connection.execute("create schema mart")
            for name, frame in sorted(marts.items()):
                for sql in create_table_sql(library.marts[name], remark=remark):
                    connection.execute(sql)
                connection.register("incoming_rows", frame)
                connection.execute(f"insert into {quoted(name)} by name select * from incoming_rows").fetchall()
                connection.unregister("incoming_rows")
            for macro in macros:
                if set(macro.reads) <= set(marts):
                    connection.execute(macro.sql)
                    comment = " ".join((macro.description, *([remark] if remark else [])))
                    connection.execute(f"comment on macro table {quoted(macro.table)} is {_text(comment)}")
            connection.execute("checkpoint published")
            connection.execute("use memory")
            connection.execute("detach published")
        building.replace(target)
    finally:
        building.unlink(missing_ok=True)


def export_parquet(frame: pl.DataFrame, target: Path) -> None:
    """A mart, as `publishable` gives it, as Parquet (zstd)."""
    frame.write_parquet(target, compression="zstd", statistics=True)


def export_csv(frame: pl.DataFrame, target: Path) -> None:
    """A mart, as `publishable` gives it, as CSV: UTF-8 without byte-order mark, empty for NULL, shortest numbers."""
    frame.write_csv(target)


def query_published(path: Path, sql: str) -> pl.DataFrame:
    """The rows of one question to a published file, read-only and cut off from all other files.

    Args:
        sql: one statement that gives rows: select, with, from, values, describe, show, summarize.

    Raises:
        AxstatError: the file cannot be opened; `sql` is not one such statement; the database refuses it.
    """
    with _open(path) as connection:
        connection.execute("set lock_configuration = true")
        try:
            statements = connection.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
                raise AxstatError(
                    "not_a_question",
                    where="query",
                    expected="one statement that gives rows (select, describe, show, summarize)",
                    got=kinds,
                    hint="the published file cannot be changed; ask one question at a time",
                )
        except duckdb.Error as error:
            raise _query_failed(error) from error
        return _answer(connection, sql)


def query_marts(marts: Mapping[str, pl.DataFrame], sql: str) -> pl.DataFrame:
    """The rows of one question to tables that are about to be published, as the published file will answer it.

    Args:
        marts: frames by ``mart.<table>``; the question sees no other table.
        sql: one SELECT without parameters.

    Raises:
        AxstatError: the database refuses it.
    """
    with duckdb.connect(config={**CONNECTION_CONFIG, "enable_external_access": "false", "threads": "1"}) as connection:
        connection.execute("create schema mart")
        for name, frame in sorted(marts.items()):
            view = name.split(".")[1]
            connection.register(f"given_{view}", frame)
            connection.execute(f"create view mart.{quoted(view)} as select * from {quoted(f'given_{view}')}")
        return _answer(connection, sql)


def _answer(connection: duckdb.DuckDBPyConnection, sql: str) -> pl.DataFrame:
    try:
        found: pl.DataFrame = connection.sql(sql).pl()
    except duckdb.Error as error:
        raise _query_failed(error) from error
    return found


def _query_failed(error: duckdb.Error) -> AxstatError:
    return AxstatError(
        "query_failed",
        where="query",
        expected="SQL that DuckDB understands, about the published tables",
        got=str(error),
        hint="`show all tables` lists the tables, `describe mart.adoption_rate` the columns of one",
    )


def read_published(path: Path) -> dict[str, pl.DataFrame]:
    """Every table of a published file, by name without schema.

    Raises:
        AxstatError: the file cannot be opened, or is damaged.
    """
    with _open(path) as connection:
        try:
            names = connection.execute("select table_name from duckdb_tables() where schema_name = 'mart'").fetchall()
            return {name: connection.sql(f"select * from mart.{quoted(name)}").pl() for (name,) in sorted(names)}
        except duckdb.Error as error:
            raise AxstatError(
                "published_file",
                where=str(path),
                expected="tables that can be read to their end",
                got=str(error).splitlines()[0],
                hint="publish the wave again; the file was damaged after it was written",
            ) from error


def _open(path: Path) -> duckdb.DuckDBPyConnection:
    """A published file, read-only and cut off from all other files."""
    config: dict[str, ConfigValue] = {**CONNECTION_CONFIG, "enable_external_access": False}
    try:
        connection = duckdb.connect(str(path), read_only=True, config=config)
    except duckdb.Error as error:
        raise AxstatError(
            "published_file",
            where=str(path),
            expected="a published DuckDB file",
            got=str(error).splitlines()[0],
            hint="run `axstat run` first, or name another file",
        ) from error
    return connection


def _text(value: str) -> str:
    """A string literal: ATTACH and COMMENT take no parameters. Paths and our own comments only."""
    return "'" + value.replace("'", "''") + "'"
