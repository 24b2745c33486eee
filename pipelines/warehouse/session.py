"""What a batch of statements may do to the warehouse, inside one transaction.

Belongs here: building a statement into its table, reading and replacing rows, asking queries from outside `sql/`. Does
not belong here: the file and its connection (database.py), what a statement says (`sql/`).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import duckdb
import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.models import TableContract
from pipelines.errors import AxstatError
from pipelines.warehouse.catalogue import SqlCatalogue, Statement

_INCOMING = "incoming_rows"


class Session:
    """What may be done to the warehouse inside one transaction. Made by `Warehouse.session`.

    Identifiers come from the contracts and the catalogue only, values travel as named parameters only. After
    an error the transaction is lost: nothing further can be done in the session.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, catalogue: SqlCatalogue, library: ContractLibrary
    ) -> None:
        """Take over a connection inside a transaction."""
        self._connection = connection
        self._catalogue = catalogue
        self._library = library

    def build(self, table: str, *, survey: str | None = None, wave: int | None = None) -> int:
        """Make the rows of one survey and wave anew from the table's statement.

        Rows are deleted and made for what the statement has as parameters: with `$survey` and `$wave` that
        survey and wave, with `$survey` all waves of the survey, without parameters the whole table.

        Args:
            table: ``schema.table``, in the catalogue and in the contracts.
            survey, wave: values of the parameters; one the statement does not have is ignored.

        Returns:
            Number of rows made.

        Raises:
            AxstatError: unknown table, missing parameter, or a statement that fails.
        """
        statement = self._catalogue[table]
        target = self._contract(table)
        params = _parameters(statement, {"survey": survey, "wave": wave})
        self._delete(target, params)
        found = self._execute(
            f"insert into {quoted(target.name)} by name {_body(statement)}", params, where=statement.path.name
        ).fetchone()
        return int(found[0]) if found else 0

    def replace(self, table: str, frame: pl.DataFrame, *, where: Mapping[str, object]) -> int:
        """Put `frame` in the place of the rows for which every column of `where` has the given value.

        Args:
            frame: the columns of the table, in any order; every row must satisfy `where`.
            where: column -> value; NULL for None. Empty: the whole table.

        Returns:
            Number of rows inserted.

        Raises:
            AxstatError: columns that differ from the contract, rows outside `where`, values of another type.
        """
        target = self._contract(table)
        for column, value in where.items():
            target.column(column)
            strays = frame.filter(pl.col(column).ne_missing(pl.lit(value))).height if column in frame.columns else 0
            if strays:
                raise AxstatError(
                    "rows_outside",
                    where=table,
                    expected=f"only rows with {column} = {value}",
                    got=f"{strays} other row(s) of {frame.height}",
                    hint="replace each part by a call of its own, or a second run would keep both",
                )
        self._check_columns(target, frame)
        self._delete(target, where)
        return self._insert(target, frame)

    def append(self, table: str, frame: pl.DataFrame) -> int:
        """Add the rows of `frame`; returns how many.

        Raises:
            AxstatError: columns that differ from the contract, values of another type.
        """
        target = self._contract(table)
        self._check_columns(target, frame)
        return self._insert(target, frame)

    def delete(self, table: str, *, where: Mapping[str, object]) -> None:
        """Remove the rows for which every column of `where` has the given value (NULL for None)."""
        self._delete(self._contract(table), where)

    def table(
        self, name: str, *, where: Mapping[str, object] | None = None, columns: tuple[str, ...] | None = None
    ) -> pl.DataFrame:
        """Rows of a table in the order of its key (of all its columns where it has none).

        The fixed order makes sums over the rows the same from run to run.

        Args:
            where: column -> value that rows must have; NULL for None.
            columns: columns wanted, in this order; None: all, in contract order.
        """
        contract = self._contract(name)
        chosen = contract.column_names if columns is None else columns
        for column in chosen:
            contract.column(column)
        condition, params = _condition(contract, where or {})
        wanted = ", ".join(map(quoted, chosen))
        order = ", ".join(map(quoted, contract.key or contract.column_names))
        return self._fetch(f"select {wanted} from {quoted(name)}{condition} order by {order}", params, where=name)

    def query(self, name: str, *, survey: str | None = None, wave: int | None = None) -> pl.DataFrame:
        """Rows of a statement, e.g. ``cells.stratum_counts``.

        Raises:
            AxstatError: unknown statement, missing parameter, or a statement that fails.
        """
        statement = self._catalogue[name]
        params = _parameters(statement, {"survey": survey, "wave": wave})
        return self._fetch(_body(statement), params, where=statement.path.name)

    def check(self, name: str, *, survey: str | None = None, wave: int | None = None) -> pl.DataFrame:
        """Offending rows of a check, each with `what_to_do`; no rows: the check holds.

        Args:
            name: with or without the leading ``checks.``.
        """
        return self.query(f"checks.{name.removeprefix('checks.')}", survey=survey, wave=wave)

    def last_wave(self, table: str, *, survey: str, first: int, last: int) -> int | None:
        """The latest wave from `first` to `last` of which a table has rows of a survey; None where there is none."""
        name = self._contract(table).name
        sql = f"select max(wave) as wave from {quoted(name)} where survey = $survey and wave between $first and $last"
        params = {"survey": survey, "first": first, "last": last}
        wave: int | None = self._fetch(sql, params, where=name)["wave"].item()
        return wave

    def require_select(self, query: str, *, given: Mapping[str, object], where: str) -> None:
        """Make sure that a query from outside `sql/` is one SELECT and has all its parameters' values.

        Raises:
            AxstatError: it is not, or the database cannot parse it.
        """
        try:
            statements = self._connection.extract_statements(query)
        except duckdb.Error as error:
            raise _failed(where, error) from error
        kinds = [statement.type.name for statement in statements]
        missing = sorted({name for statement in statements for name in statement.named_parameters} - given.keys())
        if kinds != ["SELECT"] or missing:
            raise AxstatError(
                "not_one_select",
                where=where,
                expected=f"one SELECT, its parameters of {', '.join(f'${name}' for name in given)}",
                got=", ".join([*(kinds or ["nothing"]), *(f"${name} without a value" for name in missing)]),
                hint="write one SELECT, and give each of its parameters a value",
            )

    @contextmanager
    def shown(self, rows: pl.DataFrame) -> Iterator[None]:
        """Inside, `ask` may read `rows` by the name ``incoming_rows``."""
        self._connection.register(_INCOMING, rows)
        yield
        # Not after an error: the transaction is lost then, and the name with it
        self._connection.unregister(_INCOMING)

    def ask(
        self, query: str, *, given: Mapping[str, object], where: str
    ) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
        """Names of the columns and rows of a query from outside `sql/`.

        Args:
            given: values of named parameters; one that the query does not have is not handed over.
            where: how messages name the query.

        Raises:
            AxstatError: as `require_select`; a query that fails.
        """
        self.require_select(query, given=given, where=where)
        [statement] = self._connection.extract_statements(query)
        params = {name: given[name] for name in statement.named_parameters}
        try:
            answer = self._connection.execute(query, params)
            return tuple(column[0] for column in answer.description or ()), answer.fetchall()
        except duckdb.Error as error:
            raise _failed(where, error) from error

    def _contract(self, table: str) -> TableContract:
        contract = self._library.tables.get(table)
        if contract is None:
            raise AxstatError(
                "unknown_table",
                where="warehouse",
                expected=f"one of {', '.join(sorted(self._library.tables))}",
                got=table,
                hint="correct the name, or add the table's contract",
            )
        return contract

    def _check_columns(self, contract: TableContract, frame: pl.DataFrame) -> None:
        missing = [column for column in contract.column_names if column not in frame.columns]
        extra = [column for column in frame.columns if column not in contract.column_names]
        if missing or extra:
            raise AxstatError(
                "columns_differ",
                where=contract.name,
                expected=", ".join(contract.column_names),
                got=f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(extra) or 'none'}",
                hint="make the frame as the table's contract has it",
            )

    def _insert(self, contract: TableContract, frame: pl.DataFrame) -> int:
        self._connection.register(_INCOMING, frame)
        try:
            found = self._execute(
                f"insert into {quoted(contract.name)} by name select * from {_INCOMING}",
                {},
                where=contract.name,
            ).fetchone()
        finally:
            self._connection.unregister(_INCOMING)
        return int(found[0]) if found else 0

    def _delete(self, contract: TableContract, where: Mapping[str, object]) -> None:
        condition, params = _condition(contract, where)
        self._execute(f"delete from {quoted(contract.name)}{condition}", params, where=contract.name).fetchall()

    def _execute(self, sql: str, params: Mapping[str, object], *, where: str) -> duckdb.DuckDBPyConnection:
        try:
            return self._connection.execute(sql, dict(params))
        except duckdb.Error as error:
            raise _failed(where, error) from error

    def _fetch(self, sql: str, params: Mapping[str, object], *, where: str) -> pl.DataFrame:
        try:
            found: pl.DataFrame = self._connection.sql(sql, params=dict(params)).pl()
        except duckdb.Error as error:
            raise _failed(where, error) from error
        return found


def _parameters(statement: Statement, given: Mapping[str, object]) -> dict[str, object]:
    missing = [name for name in statement.params if given[name] is None]
    if missing:
        raise AxstatError(
            "missing_parameter",
            where=statement.name,
            expected=", ".join(f"${name}" for name in statement.params),
            got=f"no {' and no '.join(missing)}",
            hint=f"give {' and '.join(missing)}",
        )
    return {name: given[name] for name in statement.params}


def _condition(contract: TableContract, where: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    """` where …` over columns of the contract, and its parameters."""
    for column in where:
        contract.column(column)
    if not where:
        return "", {}
    parts = [f"{quoted(column)} is not distinct from ${column}" for column in where]
    return f" where {' and '.join(parts)}", dict(where)


def _body(statement: Statement) -> str:
    return statement.sql.strip().removesuffix(";")


def quoted(name: str) -> str:
    """`schema.table` or a column in double quotes; names come from contracts and catalogue only."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))


def _failed(where: str, error: duckdb.Error) -> AxstatError:
    return AxstatError(
        "statement_failed",
        where=where,
        expected="a statement that the database takes",
        got=str(error),
        hint="nothing of the batch was kept; mend the statement or the rows it names",
    )
