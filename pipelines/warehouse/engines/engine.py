"""One face for the engines that add microdata up to cells, and the way to open the one that the settings name.

Belongs here: what an engine can do, statements that read each other, files that every engine reads alike. Does not
belong here: DuckDB (duckdb_engine), Spark (spark_engine), what the columns are (microdata).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import polars as pl
from sqlglot import exp

from pipelines.environment import DUCKDB
from pipelines.errors import AxstatError
from pipelines.settings import Settings
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.engines.microdata import MICRODATA, SOURCE, Microdata
from pipelines.warehouse.engines.portable import parsed

# Spark takes `name=value` for a column, leaves out names that begin so, and both take the others for patterns.
_PATTERN, _HIDDEN = frozenset("=*?[]{}\\"), ("_", ".")


class Engine(Protocol):
    """Runs queries of the portable subset."""

    name: str

    def read(self, table: str, files: Sequence[Path]) -> None:
        """Give the rows of Parquet files a name."""
        ...

    def name_query(self, table: str, query: exp.Query, *, again: bool) -> None:
        """Give the rows of a query a name. ``again``: they are read several times, and are worth keeping."""
        ...

    def rows(self, query: exp.Query) -> pl.DataFrame:
        """The rows of a query."""
        ...


class CellMaker:
    """The statements of `sql/cells/` on the rows of Parquet files, by an engine; made by :func:`open_cells`."""

    def __init__(self, engine: Engine, catalogue: SqlCatalogue, files: Sequence[Path]) -> None:
        """Name the files to the engine."""
        self.engine = engine
        self._catalogue = catalogue
        engine.read(SOURCE, files)

    def cells(self, name: str, microdata: Microdata) -> pl.DataFrame:
        """The rows of a statement, in no order.

        Args:
            name: of a statement that reads `input.microdata`, or others that do, such as ``cells.unit_moments``.
            microdata: what the columns of the files are.

        Raises:
            AxstatError: unknown statement; one that the engine does not take.
        """
        statement = self._catalogue[name]
        for table in statement.reads:
            if table == MICRODATA:
                self.engine.name_query(MICRODATA, microdata.query(), again=False)
            else:
                self._name(table, microdata)
        return self.engine.rows(parsed(statement.sql, where=statement.path.name))

    def levels(self, column: str, microdata: Microdata) -> pl.Series:
        """The different values of a column of the files, sorted."""
        return self.engine.rows(microdata.levels(column))["level"].sort()

    def only_0_and_1(self, column: str, microdata: Microdata) -> bool:
        """Whether a column of numbers has no other values, missing ones aside."""
        return bool(self.engine.rows(microdata.others(column))["others"].item() == 0)

    def _name(self, table: str, microdata: Microdata) -> None:
        statement = self._catalogue[table]
        assert statement.reads == (MICRODATA,)
        self.engine.name_query(MICRODATA, microdata.query(), again=False)
        self.engine.name_query(table, parsed(statement.sql, where=statement.path.name), again=True)


@contextmanager
def open_cells(settings: Settings, catalogue: SqlCatalogue, files: Sequence[Path]) -> Iterator[CellMaker]:
    """The engine of the settings on Parquet files of one layout.

    Raises:
        AxstatError: a name that engines read differently; an engine that cannot be started or reached; columns whose
            names differ by case only.
    """
    for file in files:
        _check_name(file)
    for folder in (settings.cells_dir, settings.spill_dir):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if settings.engine in (None, DUCKDB):
        from pipelines.warehouse.engines.duckdb_engine import duckdb_engine

        with duckdb_engine(memory_limit=settings.memory_limit, spill_dir=settings.spill_dir) as engine:
            yield CellMaker(engine, catalogue, files)
    else:
        from pipelines.warehouse.engines.spark_engine import spark_engine

        assert settings.engine is not None
        with spark_engine(settings.engine, memory_limit=settings.memory_limit, spill_dir=settings.spill_dir) as engine:
            yield CellMaker(engine, catalogue, files)


def parquet_files(folder: Path, *, name: str) -> list[Path]:
    """The Parquet files directly in a folder, by name, all of one layout.

    Raises:
        AxstatError: there is none; their columns differ.
    """
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise AxstatError(
            "no_parquet",
            where=f"folder {name}",
            expected="files that end in .parquet directly in it",
            got="none",
            hint="mend the path, or put the files there",
        )
    layouts = {file.name: dict(pl.read_parquet_schema(file)) for file in files}
    first = files[0].name
    for other, layout in layouts.items():
        if layout != layouts[first]:
            differing = sorted(dict(layout.items() ^ layouts[first].items()))
            raise AxstatError(
                "layouts_differ",
                where=f"folder {name}, file {other}",
                expected=f"the columns and types of {first}",
                got=f"others: {', '.join(differing[:5]) or 'another order'}",
                hint="write all files of the folder alike",
            )
    return files


def _check_name(file: Path) -> None:
    path = str(file.absolute())
    if _PATTERN & set(path) or file.name.startswith(_HIDDEN):
        raise AxstatError(
            "path_not_portable",
            where=f"file {file.name}",
            expected=f"a path without {' '.join(sorted(_PATTERN))}, a name that begins with a letter or digit",
            got=path,
            hint="rename the file or folder: engines read such names each in their own way",
        )


def check_columns(columns: Sequence[str], *, where: str) -> None:
    """Refuse columns that differ by case only: neither engine can tell them apart.

    Raises:
        AxstatError: there are such.
    """
    seen: dict[str, str] = {}
    for column in columns:
        if column.lower() in seen:
            raise AxstatError(
                "columns_differ_by_case",
                where=where,
                expected="columns whose names differ by more than case",
                got=f"{seen[column.lower()]} and {column}",
                hint="rename one of them",
            )
        seen[column.lower()] = column
