"""Cells by DuckDB: one machine, a fixed amount of memory, the rest on disk.

Belongs here: the connection and its limits. Does not belong here: the warehouse (database), statements (`sql/cells/`).
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl
from sqlglot import exp

from pipelines.errors import AxstatError
from pipelines.warehouse.database import CONNECTION_CONFIG
from pipelines.warehouse.session import quoted

THREADS = 2


class DuckdbEngine:
    """See Engine; made by :func:`duckdb_engine`."""

    name = "duckdb"

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Take over an empty database."""
        self._connection = connection

    def read(self, table: str, files: Sequence[Path]) -> None:
        """A view of the files, read anew each time."""
        self._schema(table)
        paths = [str(file.absolute()) for file in files]
        with self._readable():
            self._connection.read_parquet(paths, hive_partitioning=False).create_view("files", replace=True)
            self._connection.execute(f'create or replace view {quoted(table)} as select * from "files"').fetchall()

    def name_query(self, table: str, query: exp.Query, *, again: bool) -> None:
        """A view, or a table that is put on disk as memory fills up."""
        self._schema(table)
        kind = "table" if again else "view"
        with self._readable():
            sql = query.sql(dialect="duckdb")
            self._connection.execute(f"create or replace {kind} {quoted(table)} as {sql}").fetchall()

    def rows(self, query: exp.Query) -> pl.DataFrame:
        """The rows of a query."""
        with self._readable():
            found: pl.DataFrame = self._connection.sql(query.sql(dialect="duckdb")).pl()
        return found

    def _schema(self, table: str) -> None:
        self._connection.execute(f"create schema if not exists {quoted(table.split('.')[0])}").fetchall()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except duckdb.OutOfMemoryException as error:
            raise AxstatError(
                "engine_out_of_memory",
                where="DuckDB",
                expected="cells that fit into the memory limit, or disk to put the rest on",
                got=str(error).splitlines()[0],
                hint="raise AXSTAT_MEMORY_LIMIT, or free disk space below the data home",
            ) from error
        except duckdb.Error as error:
            raise AxstatError(
                "engine_failed",
                where="DuckDB",
                expected="a statement that the engine takes",
                got=str(error).splitlines()[0],
                hint="check that the files are complete Parquet files",
            ) from error


@contextmanager
def duckdb_engine(*, memory_limit: int, spill_dir: Path) -> Iterator[DuckdbEngine]:
    """DuckDB in memory.

    Args:
        memory_limit: bytes; what goes beyond is put on disk.
        spill_dir: a folder; what is put there is gone at the end.
    """
    with tempfile.TemporaryDirectory(dir=spill_dir, prefix="duckdb-") as folder:
        config = {
            **CONNECTION_CONFIG,
            "memory_limit": f"{memory_limit // 2**20}MiB",
            "threads": THREADS,
            "temp_directory": folder,
            # Parquet leaves NaN out of a file's smallest and largest value: from these, this optimiser concludes that
            # no value is NaN, and isnan(x) becomes false
            "disabled_optimizers": "statistics_propagation",
            # Rows of cells have no order: keeping that of the files would cost memory
            "preserve_insertion_order": "false",
        }
        with duckdb.connect(config=config) as connection:
            yield DuckdbEngine(connection)
