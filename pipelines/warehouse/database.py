"""The warehouse file: who has it open, its tables, its layout and the secret of its units' keys.

Belongs here: opening and closing the file, one transaction a session, making the tables of the contracts. Does not
belong here: what may be done in a session (session.py), what a table looks like (contracts), the published file
(published).
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipelines.contracts.compiler import create_table_sql
from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.lock import HeldError, Lock
from pipelines.warehouse.migrations import layout_sha256, load_migrations, path_from
from pipelines.warehouse.session import Session, quoted
from pipelines.warehouse.unit_key import UnitKey, unit_key

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
VERSION_TABLE = "meta.schema_version"

# DuckDB gives every connection of one process to one file the same database, without a lock between them, so
# that two sessions would mix. Sessions of one process take turns here, as those of two do at the lock.
_turns_guard = threading.Lock()
_turns: dict[Path, threading.Lock] = {}


@dataclass(frozen=True)
class Layout:
    """Number and hash of a layout (migrations.py)."""

    version: int
    sha256: str

    def __str__(self) -> str:
        return f"layout {self.version} ({self.sha256[:12]})"


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
        with self.alone():
            connection = self._connect(time.monotonic() + self.lock_timeout)
            try:
                with self._transaction(connection):
                    self._prepare(connection)
                yield connection
            finally:
                connection.close()

    @contextmanager
    def as_it_is(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The file in one transaction, whatever its layout, for who changes that; to be held `alone`.

        Raises:
            AxstatError: another program has it open; it is no database; a statement fails.
        """
        connection = self._connect(time.monotonic() + self.lock_timeout)
        try:
            with self._transaction(connection):
                yield connection
        finally:
            connection.close()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep every other process of axstat away from the file, also while nothing has it open.

        Raises:
            AxstatError: another one has it longer than `lock_timeout`; its folder cannot be written.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(Lock(self.path).held(timeout=self.lock_timeout))
            except HeldError as error:
                raise self._locked(str(error)) from error
            except OSError as error:
                raise AxstatError(
                    "warehouse_folder",
                    where=str(self.path.parent),
                    expected="a folder that this user may read and write, with room on its disk",
                    got=str(error),
                    hint="run axstat as the folder's owner, or make room, and run again",
                ) from error
            yield

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
            expected="a DuckDB file that axstat made, and that this user may read and write",
            got=reason,
            hint="see to the rights; or bring the file back from a backup (`axstat restore`), or move it away: the "
            "next run builds a new one from the deliveries",
        )

    def _prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make the tables of a new file, or make sure that an old one has them as the contracts say."""
        stored = self.stored_layout(connection)
        wanted = self.wanted_layout()
        if stored is not None and stored != wanted:
            raise self._another_layout(stored, wanted)
        key = unit_key(self.key_file, make=stored is None)
        if stored is None:
            create_tables(connection, self.library)
            connection.execute(
                f"create table {VERSION_TABLE} "
                "(version integer not null, layout_sha256 varchar not null, unit_key varchar not null)"
            )
            connection.execute(
                f"insert into {VERSION_TABLE} values ($version, $layout, $unit_key)",
                {"version": wanted.version, "layout": wanted.sha256, "unit_key": key.fingerprint},
            )
        else:
            self.require_columns(connection)
        self._require_key(connection, key)
        for name, pad in zip(("inner", "outer"), key.pads, strict=True):
            connection.execute(f"set variable unit_key_{name} = $pad", {"pad": pad})
        create_macros(connection, self.catalogue)

    def wanted_layout(self) -> Layout:
        """The layout of this version of axstat and its contracts."""
        return Layout(load_migrations(self.catalogue.root)[-1].number, layout_sha256(self.library))

    def _another_layout(self, stored: Layout, wanted: Layout) -> AxstatError:
        leads = path_from(stored.sha256, load_migrations(self.catalogue.root)) is not None
        rebuild = (
            "move it away, without `unit_key`, and run all waves again: it is built from the deliveries; releases stay"
        )
        if stored.version > wanted.version:
            age, hint = "newer", "use the version of axstat that made the file, or a newer one"
        elif leads and stored.version < wanted.version:
            age, hint = "older", "run `axstat migrate`, which keeps a copy of the file as it is"
        elif stored.version < wanted.version:
            age = "older than what can be migrated,"
            hint = f"use the version of axstat that made the file; or {rebuild}"
        else:
            age = "different"
            hint = f"use the contracts that the file was made with; or {rebuild}"
        return AxstatError(
            "warehouse_version",
            where=str(self.path),
            expected=f"{wanted} of this version of axstat and its contracts",
            got=f"{age} {stored}",
            hint=hint,
        )

    def require_columns(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make sure that the file has the contracts' tables, columns, types and NOT NULLs, and no other.

        Raises:
            AxstatError: naming every table that differs.
        """
        rows = connection.execute(
            "select schema_name || '.' || table_name, column_name, data_type, not is_nullable "
            "from duckdb_columns() where not internal and database_name = current_database()"
        ).fetchall()
        found: dict[str, set[tuple[str, str, bool]]] = {}
        for table, *column in rows:
            found.setdefault(table, set()).add((column[0], column[1], column[2]))
        found.pop(VERSION_TABLE, None)
        wanted = {
            name: {(column.name, column.type, column.required) for column in table.columns}
            for name, table in self.library.tables.items()
        }
        if found != wanted:
            differing = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
            raise AxstatError(
                "warehouse_columns",
                where=str(self.path),
                expected="the tables of the contracts, as this file's layout has them",
                got="; ".join(_difference(name, found.get(name), wanted.get(name)) for name in differing),
                hint="something other than axstat changed the file: bring it back from the backup (`axstat restore`), "
                "or move it away, without `unit_key`, and run all waves again",
            )

    def _require_key(self, connection: duckdb.DuckDBPyConnection, key: UnitKey) -> None:
        [(made_with,)] = connection.execute(f"select unit_key from {VERSION_TABLE}").fetchall()
        if made_with != key.fingerprint:
            raise AxstatError(
                "unit_key_differs",
                where=str(self.key_file),
                expected=f"the secret {made_with}, by which the units in {self.path.name} are known",
                got=f"another one ({key.fingerprint})",
                hint="restore the file from the back-up of the data home, or move the warehouse folder away and run "
                "all waves anew",
            )

    def stored_layout(self, connection: duckdb.DuckDBPyConnection) -> Layout | None:
        """The layout that the file says it has; None for an empty one.

        Raises:
            AxstatError: it is no warehouse.
        """
        tables = connection.execute("select schema_name || '.' || table_name from duckdb_tables()").fetchall()
        if not tables:
            return None
        if (VERSION_TABLE,) not in tables:
            raise self._not_a_warehouse("a DuckDB file with other tables")
        rows = connection.execute(f"select version, layout_sha256 from {VERSION_TABLE}").fetchall()
        if len(rows) != 1:
            raise self._not_a_warehouse(f"{len(rows)} rows in {VERSION_TABLE}")
        return Layout(int(rows[0][0]), str(rows[0][1]))


def create_tables(connection: duckdb.DuckDBPyConnection, library: ContractLibrary) -> None:
    """Make every schema and table of the contracts, with their comments, where they are missing."""
    for schema in sorted({name.split(".")[0] for name in library.tables} | {VERSION_TABLE.split(".")[0]}):
        connection.execute(f"create schema if not exists {quoted(schema)}")
    for contract in library.tables.values():
        for sql in create_table_sql(contract):
            connection.execute(sql)


def create_macros(connection: duckdb.DuckDBPyConnection, catalogue: SqlCatalogue) -> None:
    """Make the macros, for this connection only: a file never holds those of another version of axstat."""
    for statement in catalogue.layer("macros"):
        connection.execute(statement.sql)


def _difference(table: str, found: set[tuple[str, str, bool]] | None, wanted: set[tuple[str, str, bool]] | None) -> str:
    """What of a table is another than it should be, by its columns."""
    if found is None or wanted is None:
        return f"{table} {'missing' if found is None else 'unknown'}"
    return f"{table}: {', '.join(sorted({column[0] for column in found ^ wanted}))}"


def _rollback(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.execute("rollback")
    except duckdb.TransactionException:
        # the database has already ended the transaction (a failed commit): there is nothing left to undo
        return
