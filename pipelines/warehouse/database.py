"""The warehouse file: its connection, its tables, and what a batch of statements may do to it.

Belongs here: sessions (one transaction each), building a statement into its table, reading and replacing
rows. Does not belong here: what a statement says (`sql/`), what a table looks like (contracts), the published
file (published).
"""

import hashlib
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl

from pipelines.contracts.compiler import create_table_sql
from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.models import TableContract
from pipelines.errors import AxstatError
from pipelines.warehouse.catalogue import SqlCatalogue, Statement
from pipelines.warehouse.unit_key import UnitKey, unit_key

# Raised by one when a warehouse file of the older layout can no longer be used as it is.
SCHEMA_VERSION = 2

# Beside the warehouse: the secret of the units' keys.
KEY_FILE = "unit_key"

# What duckdb.connect takes as a setting.
ConfigValue = str | bool | int | float | list[str]

# No statement may fetch an extension or pick up a Python variable by its name.
CONNECTION_CONFIG: Mapping[str, ConfigValue] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}

# How DuckDB words it that another process has the file open, on Linux and macOS, and on Windows.
_HELD_BY_ANOTHER = ("Could not set lock on file", "used by another process")
_INCOMING = "incoming_rows"
_VERSION_TABLE = "meta.schema_version"

# DuckDB gives every connection of one process to one file the same database, without a lock between them, so
# that two sessions would mix. Sessions of one process take turns here, as those of two do at the file.
_turns_guard = threading.Lock()
_turns: dict[Path, threading.Lock] = {}


class Warehouse:
    """One warehouse file.

    Args:
        path: the file; made at the first session, its folder too.
        catalogue: the statements that may be run.
        library: the contracts of its tables.
        memory_limit: DuckDB's limit, e.g. ``"1GB"``.
        threads: DuckDB's threads.
        lock_timeout: seconds to wait for another writer before giving up.
        key_file: the secret of the units' keys; None: `unit_key` beside the file, made with a new file.
    """

    def __init__(
        self,
        path: Path,
        catalogue: SqlCatalogue,
        library: ContractLibrary,
        *,
        memory_limit: str = "1GB",
        threads: int = 2,
        lock_timeout: float = 30.0,
        key_file: Path | None = None,
    ) -> None:
        """Remember where the file is; nothing is opened yet."""
        self.path = path.absolute()
        self.key_file = key_file or self.path.with_name(KEY_FILE)
        self.catalogue = catalogue
        self.library = library
        self.lock_timeout = lock_timeout
        self._config: dict[str, ConfigValue] = {
            **CONNECTION_CONFIG,
            # No statement, least of all a rule of a contract, reads or writes another file
            "enable_external_access": "false",
            "memory_limit": memory_limit,
            "threads": threads,
            # Changes go into the file when it is closed, not also in the middle of a wave
            "checkpoint_threshold": "1GB",
        }
        self._kept: duckdb.DuckDBPyConnection | None = None

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Keep the file open over several sessions, and other processes out; each session then saves opening it.

        Raises:
            AxstatError: as `session`.
        """
        with self._opened() as connection:
            self._kept = connection
            try:
                yield
            finally:
                self._kept = None

    @contextmanager
    def session(self) -> Iterator["Session"]:
        """A batch of statements in one transaction: all of it is kept at the end, none of it on an error.

        The file is open, and closed to all others, only while the session lasts, unless it is `kept_open`.

        Raises:
            AxstatError: another session holds the file longer than `lock_timeout`; the file is not a
                warehouse of this version of axstat; a statement fails.
        """
        turn = self._turn()
        if not turn.acquire(timeout=max(self.lock_timeout, 0.0)):
            raise self._locked("another session of this process")
        try:
            if self._kept is not None:
                with self._transaction(self._kept):
                    yield Session(self._kept, self.catalogue, self.library)
            else:
                with self._opened() as connection, self._transaction(connection):
                    yield Session(connection, self.catalogue, self.library)
        finally:
            turn.release()

    @contextmanager
    def _opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The file with the tables of the contracts and the macros; closed at the end."""
        connection = self._connect(time.monotonic() + self.lock_timeout)
        try:
            with self._transaction(connection):
                self._prepare(connection)
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _transaction(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        try:
            connection.execute("begin")
            try:
                yield
                connection.execute("commit")
            except BaseException:
                _rollback(connection)
                raise
        except duckdb.Error as error:
            raise AxstatError(
                "warehouse_failed",
                where=str(self.path),
                expected="a batch that the database takes",
                got=str(error),
                hint="nothing of the batch was kept; mend the cause and run the wave again",
            ) from error

    def _turn(self) -> threading.Lock:
        with _turns_guard:
            return _turns.setdefault(self.path.resolve(), threading.Lock())

    def _connect(self, deadline: float) -> duckdb.DuckDBPyConnection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        pause = 0.05
        while True:
            try:
                return duckdb.connect(str(self.path), config=self._config)
            except duckdb.IOException as error:
                if not any(words in str(error) for words in _HELD_BY_ANOTHER):
                    raise self._not_a_warehouse(str(error)) from error
                if time.monotonic() + pause > deadline:
                    raise self._locked(str(error).splitlines()[0]) from error
            except duckdb.Error as error:
                raise self._not_a_warehouse(str(error)) from error
            time.sleep(pause)
            pause = min(2 * pause, 1.0)

    def _locked(self, holder: str) -> AxstatError:
        return AxstatError(
            "warehouse_locked",
            where=str(self.path),
            expected=f"the file to be free within {self.lock_timeout:g} s",
            got=holder,
            hint="wait until the other run has ended, or close the program that has the file open; "
            "for analysis open the published file, which is never locked",
        )

    def _not_a_warehouse(self, reason: str) -> AxstatError:
        return AxstatError(
            "not_a_warehouse",
            where=str(self.path),
            expected="a DuckDB file that axstat made",
            got=reason,
            hint="move the file away; the next run builds a new one from the deliveries",
        )

    def _prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make the tables of a new file, or make sure that an old one has them as the contracts say."""
        stored = self._stored_version(connection)
        wanted = (SCHEMA_VERSION, _layout_sha256(self.library))
        if stored is not None and stored != wanted:
            age = "older" if stored[0] < wanted[0] else "newer" if stored[0] > wanted[0] else "different"
            raise AxstatError(
                "warehouse_version",
                where=str(self.path),
                expected=f"layout {wanted[0]} ({wanted[1][:12]}) of this version of axstat and its contracts",
                got=f"{age} layout {stored[0]} ({stored[1][:12]})",
                hint="use the version of axstat that made the file, or move the file away and run all waves "
                "again: it is built from the deliveries",
            )
        key = unit_key(self.key_file, make=stored is None)
        if stored is None:
            create_tables(connection, self.library)
            connection.execute(
                f"create table {_VERSION_TABLE} "
                "(version integer not null, layout_sha256 varchar not null, unit_key varchar not null)"
            )
            connection.execute(
                f"insert into {_VERSION_TABLE} values ($version, $layout, $unit_key)",
                {"version": wanted[0], "layout": wanted[1], "unit_key": key.fingerprint},
            )
        self._require_key(connection, key)
        for name, pad in zip(("inner", "outer"), key.pads, strict=True):
            connection.execute(f"set variable unit_key_{name} = $pad", {"pad": pad})
        create_macros(connection, self.catalogue)

    def _require_key(self, connection: duckdb.DuckDBPyConnection, key: UnitKey) -> None:
        [(made_with,)] = connection.execute(f"select unit_key from {_VERSION_TABLE}").fetchall()
        if made_with != key.fingerprint:
            raise AxstatError(
                "unit_key_differs",
                where=str(self.key_file),
                expected=f"the secret {made_with}, by which the units in {self.path.name} are known",
                got=f"another one ({key.fingerprint})",
                hint="restore the file from the back-up of the data home, or move the warehouse folder away and run "
                "all waves anew",
            )

    def _stored_version(self, connection: duckdb.DuckDBPyConnection) -> tuple[int, str] | None:
        tables = connection.execute("select schema_name || '.' || table_name from duckdb_tables()").fetchall()
        if not tables:
            return None
        if (_VERSION_TABLE,) not in tables:
            raise self._not_a_warehouse("a DuckDB file with other tables")
        rows = connection.execute(f"select version, layout_sha256 from {_VERSION_TABLE}").fetchall()
        if len(rows) != 1:
            raise self._not_a_warehouse(f"{len(rows)} rows in {_VERSION_TABLE}")
        return int(rows[0][0]), str(rows[0][1])


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


def create_tables(connection: duckdb.DuckDBPyConnection, library: ContractLibrary) -> None:
    """Make every schema and table of the contracts, with their comments, where they are missing."""
    for schema in sorted({name.split(".")[0] for name in library.tables} | {_VERSION_TABLE.split(".")[0]}):
        connection.execute(f"create schema if not exists {quoted(schema)}")
    for contract in library.tables.values():
        for sql in create_table_sql(contract):
            connection.execute(sql)


def create_macros(connection: duckdb.DuckDBPyConnection, catalogue: SqlCatalogue) -> None:
    """Make the macros, for this connection only: a file never holds those of another version of axstat."""
    for statement in catalogue.layer("macros"):
        connection.execute(statement.sql)


def _layout_sha256(library: ContractLibrary) -> str:
    """Hash of table names, column names, types and NOT NULLs: what a stored table cannot follow by itself."""
    digest = hashlib.sha256()
    for name in sorted(library.tables):
        columns = [(column.name, column.type, column.required) for column in library.tables[name].columns]
        digest.update(repr((name, columns)).encode())
    return digest.hexdigest()


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


def _rollback(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.execute("rollback")
    except duckdb.TransactionException:
        # the database has already ended the transaction (a failed commit): there is nothing left to undo
        return
