"""Every statement runs on an empty database with only the tables it says it reads, and gives its contract's
columns."""

from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines.contracts.compiler import polars_schema
from pipelines.contracts.library import ContractLibrary
from pipelines.warehouse.catalogue import SqlCatalogue

STATEMENTS = list(SqlCatalogue(Path(__file__).parents[3] / "sql"))
TABLES = [statement.name for statement in STATEMENTS if statement.layer in ("staging", "core", "marts")]
QUERIES = [statement.name for statement in STATEMENTS if statement.layer in ("cells", "checks")]
PARAMS = {"survey": "industry", "wave": 2025}


def run_empty(
    name: str,
    connection: duckdb.DuckDBPyConnection,
    make_tables: Callable[[Sequence[str]], None],
    catalogue: SqlCatalogue,
) -> pl.DataFrame:
    statement = catalogue[name]
    make_tables(statement.reads)
    return connection.sql(statement.sql, params={key: PARAMS[key] for key in statement.params}).pl()


@pytest.mark.parametrize("name", TABLES)
def test_a_table_statement_gives_the_columns_of_its_contract_in_order_and_type(
    name: str,
    connection: duckdb.DuckDBPyConnection,
    make_tables: Callable[[Sequence[str]], None],
    catalogue: SqlCatalogue,
    library: ContractLibrary,
) -> None:
    found = run_empty(name, connection, make_tables, catalogue)
    if name.startswith("staging."):  # only for the checks of the rows: no table has it
        assert found.schema["identifier"] == pl.String
        found = found.drop("identifier")
    assert list(found.schema.items()) == list(polars_schema(library.tables[name]).items())
    assert found.is_empty()


@pytest.mark.parametrize("name", QUERIES)
def test_a_check_finds_nothing_in_empty_tables_and_says_what_to_do(
    name: str,
    connection: duckdb.DuckDBPyConnection,
    make_tables: Callable[[Sequence[str]], None],
    catalogue: SqlCatalogue,
) -> None:
    found = run_empty(name, connection, make_tables, catalogue)
    assert found.is_empty()
    assert ("what_to_do" in found.columns) == name.startswith("checks.")


@pytest.mark.parametrize("name", [statement.name for statement in STATEMENTS if statement.layer == "indicators"])
def test_an_indicator_gives_a_value_a_survey_and_wave(
    name: str,
    connection: duckdb.DuckDBPyConnection,
    make_tables: Callable[[Sequence[str]], None],
    catalogue: SqlCatalogue,
) -> None:
    """Without parameters, from published tables: an analyst runs it as it stands."""
    statement = catalogue[name]
    found = run_empty(name, connection, make_tables, catalogue)
    assert dict(found.schema) == {"survey": pl.String, "wave": pl.Int32, "value": pl.Float64}
    assert statement.params == ()
    assert all(table.startswith("mart.") for table in statement.reads)
    assert statement.body.startswith(("select", "with"))


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.name)
def test_a_file_holds_one_statement_whose_parameters_are_those_of_its_header(
    statement, connection: duckdb.DuckDBPyConnection
) -> None:
    [parsed] = connection.extract_statements(statement.sql)
    assert parsed.named_parameters == set(statement.params)


def test_every_table_that_sql_makes_has_a_contract(library: ContractLibrary) -> None:
    assert [name for name in TABLES if name not in library.tables] == []


def test_no_mart_selects_everything(catalogue: SqlCatalogue) -> None:
    for statement in catalogue.layer("marts"):
        assert "select *" not in statement.sql
        assert ".*" not in statement.sql
