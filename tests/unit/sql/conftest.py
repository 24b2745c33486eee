"""A database that holds only what a statement says it reads, and rows written short."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from pipelines.contracts.compiler import create_table_sql, polars_schema
from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.contracts.models import TableContract
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import CONNECTION_CONFIG, create_macros
from pipelines.warehouse.engines.microdata import MICRODATA, SOURCE, Microdata
from pipelines.warehouse.reference import reference_frames
from pipelines.warehouse.unit_key import UnitKey

ROOT = Path(__file__).parents[3]
SECRET = bytes(range(32))
Rows = Sequence[Mapping[str, Any]]
Run = Callable[..., pl.DataFrame]
FILLERS: Mapping[str, Any] = {
    "VARCHAR": "-",
    "VARCHAR[]": [],
    "INTEGER": 0,
    "BIGINT": 0,
    "DOUBLE": 0.0,
    "BOOLEAN": False,
    "DATE": "2025-01-01",
}


@pytest.fixture(scope="session")
def library() -> ContractLibrary:
    return load_library(ROOT / "data_contracts")


@pytest.fixture(scope="session")
def catalogue() -> SqlCatalogue:
    return SqlCatalogue(ROOT / "sql")


@pytest.fixture(scope="session")
def reference(library: ContractLibrary) -> Mapping[str, pl.DataFrame]:
    return reference_frames(library, last_wave=2025)


@pytest.fixture
def connection(catalogue: SqlCatalogue) -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty database in memory, with the macros and a secret."""
    with duckdb.connect(config=dict(CONNECTION_CONFIG)) as opened:
        for name, pad in zip(("inner", "outer"), UnitKey(SECRET).pads, strict=True):
            opened.execute(f"set variable unit_key_{name} = $pad", {"pad": pad})
        create_macros(opened, catalogue)
        yield opened


@pytest.fixture
def make_tables(
    connection: duckdb.DuckDBPyConnection, library: ContractLibrary, catalogue: SqlCatalogue
) -> Callable[[Sequence[str]], None]:
    """Makes the named tables, empty, as their contracts have them; microdata and cells as their queries give them."""

    def make(names: Sequence[str]) -> None:
        for name in names:
            connection.execute(f"create schema if not exists {name.split('.')[0]}")
            if name == MICRODATA:
                connection.execute(f"create table if not exists {SOURCE} (w double)")
                query = Microdata(types={"w": pl.Float64()}, weight="w").query().sql(dialect="duckdb")
                connection.execute(f"create table if not exists {name} as {query}")
            elif name.startswith("cells."):
                make(catalogue[name].reads)
                connection.execute(f"create table {name} as {catalogue[name].sql}")
            else:
                for sql in create_table_sql(library.tables[name]):
                    connection.execute(sql)

    return make


@pytest.fixture
def run(
    connection: duckdb.DuckDBPyConnection,
    make_tables: Callable[[Sequence[str]], None],
    catalogue: SqlCatalogue,
    library: ContractLibrary,
    reference: Mapping[str, pl.DataFrame],
) -> Run:
    """Runs a statement on the rows given for the tables it reads.

    Reference tables are loaded from the contracts. Columns left out of a row are NULL, or a filler where the
    contract requires them; survey and wave are those of the call. Tables no rows are given for are empty.
    """

    def run_on(name: str, *, survey: str = "industry", wave: int = 2025, **tables: Rows) -> pl.DataFrame:
        statement = catalogue[name]
        make_tables(statement.reads)
        given = {key.replace("__", "."): rows for key, rows in tables.items()}
        assert set(given) <= set(statement.reads), f"{name} does not read {set(given) - set(statement.reads)}"
        for table in statement.reads:
            if table in given:
                frame = _filled(library.tables[table], given[table], {"survey": survey, "wave": wave})
            elif table in reference:
                frame = reference[table]
            else:
                continue
            connection.register("incoming", frame)
            connection.execute(f"insert into {table} by name select * from incoming")
            connection.unregister("incoming")
        params = {key: value for key, value in (("survey", survey), ("wave", wave)) if key in statement.params}
        return connection.sql(statement.sql, params=params).pl()

    return run_on


def _filled(contract: TableContract, rows: Rows, defaults: Mapping[str, Any]) -> pl.DataFrame:
    records = []
    for row in rows:
        unknown = set(row) - set(contract.column_names)
        assert not unknown, f"{contract.name} has no {unknown}"
        record = {column.name: FILLERS[column.type] if column.required else None for column in contract.columns}
        record |= {name: value for name, value in defaults.items() if name in record}
        records.append(record | row)
    schema = polars_schema(contract)
    text_dates = {name: pl.String() if dtype == pl.Date else dtype for name, dtype in schema.items()}
    return pl.DataFrame(records, schema=text_dates, orient="row")
