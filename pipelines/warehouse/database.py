"""The warehouse file: who has it open, its tables, its layout and the secret of its units' keys.

Belongs here: opening and closing the file, one transaction a session, making the tables of the contracts. Does not
belong here: what may be done in a session (session.py), what a table looks like (contracts), the published file
(published).
"""

import hashlib
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb

from pipelines.contracts.compiler import create_table_sql
from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.session import Session, quoted
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


def _rollback(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.execute("rollback")
    except duckdb.TransactionException:
        # the database has already ended the transaction (a failed commit): there is nothing left to undo
        return
