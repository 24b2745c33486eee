"""What contracts compile to: schema, DDL, rules, metadata, dictionary."""

from collections.abc import Iterator
from dataclasses import replace

import duckdb
import polars as pl
import pytest

from pipelines.contracts.compiler import (
    column_comment,
    column_metadata,
    create_table_sql,
    data_dictionary,
    expectations,
    polars_schema,
    polars_type,
    raw_table,
    table_comment,
)
from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.models import Code, Column, TableContract
from pipelines.errors import AxstatError

SCHEMAS = ("raw", "staging", "core", "estimates", "mart", "meta")


@pytest.fixture
def table() -> TableContract:
    return TableContract(
        name="core.toys",
        version="1.0.0",
        title_ko="장난감",
        title_en="Toys",
        description="What children call theirs.",
        grain="one row a toy",
        columns=(
            Column(
                name="toy",
                label_ko="장난감",
                label_en="Toy",
                description="The child's word for it.",
                type="VARCHAR",
                required=True,
                codes=(Code(value="car", label_ko="차", label_en="Car"),),
                unit="code",
            ),
            Column(
                name="price_krw",
                label_ko="값",
                label_en="Price",
                description="As paid.",
                description_ko="낸 값.",
                type="DOUBLE",
            ),
            Column(
                name="parts",
                label_ko="부품",
                label_en="Parts",
                description="Names of its parts.",
                type="VARCHAR[]",
                question_versions=("new",),
            ),
        ),
        key=("toy",),
        owner="nursery",
        source="shelf",
        licence="free",
    )


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as open_connection:
        for schema in SCHEMAS:
            open_connection.execute(f"create schema {schema}")
        yield open_connection


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("VARCHAR", pl.String()),
        ("INTEGER", pl.Int32()),
        ("BIGINT", pl.Int64()),
        ("DOUBLE", pl.Float64()),
        ("BOOLEAN", pl.Boolean()),
        ("DATE", pl.Date()),
        ("VARCHAR[]", pl.List(pl.String())),
    ],
)
def test_polars_types(text: str, expected: pl.DataType) -> None:
    assert polars_type(text) == expected


def test_a_type_that_contracts_do_not_use_is_refused() -> None:
    with pytest.raises(AxstatError) as caught:
        polars_type("HUGEINT")
    assert caught.value.code == "unknown_type"


def test_polars_schema_as_typed_and_as_sent(table: TableContract) -> None:
    assert polars_schema(table) == pl.Schema(
        {"toy": pl.String(), "price_krw": pl.Float64(), "parts": pl.List(pl.String())}
    )
    assert set(polars_schema(table, as_text=True).dtypes()) == {pl.String()}


def test_ddl_makes_the_table_with_its_comments(table: TableContract, connection: duckdb.DuckDBPyConnection) -> None:
    for statement in create_table_sql(table, remark="SYNTHETIC DATA."):
        connection.execute(statement)
    columns = connection.execute(
        "select column_name, data_type, is_nullable, comment from duckdb_columns() "
        "where schema_name = 'core' order by column_index"
    ).fetchall()
    assert [row[:3] for row in columns] == [
        ("toy", "VARCHAR", False),
        ("price_krw", "DOUBLE", True),
        ("parts", "VARCHAR[]", True),
    ]
    # An apostrophe in a description must not end the literal
    assert columns[0][3] == "Toy (장난감). The child's word for it. Unit: code."
    assert columns[1][3] == "Price (값). As paid. 낸 값."
    (comment,) = connection.execute("select comment from duckdb_tables() where table_name = 'toys'").fetchone() or ()
    assert comment == "Toys (장난감). What children call theirs. Row: one row a toy. SYNTHETIC DATA."
    assert table_comment(table).endswith("Row: one row a toy.")


def test_ddl_runs_twice(table: TableContract, connection: duckdb.DuckDBPyConnection) -> None:
    for statement in (*create_table_sql(table), *create_table_sql(table)):
        connection.execute(statement)
    assert connection.execute("select count(*) from core.toys").fetchone() == (0,)


def test_every_table_of_the_warehouse_can_be_made(
    library: ContractLibrary, connection: duckdb.DuckDBPyConnection
) -> None:
    for contract in library.tables.values():
        for statement in create_table_sql(contract):
            connection.execute(statement)
    made = connection.execute("select schema_name || '.' || table_name from duckdb_tables() order by 1").fetchall()
    assert [name for (name,) in made] == sorted(library.tables)
    (without,) = (
        connection.execute("select count(*) from duckdb_columns() where comment is null and not internal").fetchone()
        or ()
    )
    assert without == 0


def test_polars_schema_and_ddl_agree(library: ContractLibrary, connection: duckdb.DuckDBPyConnection) -> None:
    for contract in library.tables.values():
        connection.execute(create_table_sql(contract)[0])
        frame = pl.DataFrame(schema=polars_schema(contract))
        connection.register("frame", frame)
        names = ", ".join(f'"{name}"' for name in frame.columns)
        # By position: the columns of the frame must be the columns of the table, in their order
        connection.execute(f"insert into {contract.name} select {names} from frame")
        found = connection.execute(f"describe {contract.name}").fetchall()
        assert [row[0] for row in found] == frame.columns


def test_a_delivery_is_not_a_table(library: ContractLibrary) -> None:
    with pytest.raises(AxstatError) as caught:
        create_table_sql(library.deliveries["industry_response"])
    assert caught.value.code == "not_a_table"


def test_raw_table_keeps_everything_as_text(library: ContractLibrary) -> None:
    delivery = library.deliveries["public_response"]
    raw = raw_table(delivery)
    assert raw.name == "raw.public_response"
    assert raw.column_names == (
        "survey",
        "wave",
        "delivery",
        "file_name",
        "file_sha256",
        "row_number",
        *delivery.column_names,
        "extra_columns",
    )
    sent = [raw.column(name) for name in delivery.column_names]
    assert {column.type for column in sent} == {"VARCHAR"}
    assert not any(column.required or column.codes or column.synonyms for column in sent)
    assert raw.column("institution_code").identifier
    assert raw.column("row_number").type == "BIGINT"
    assert raw.key == ("file_sha256", "row_number")
    assert raw.column("survey").required


def test_rules_come_from_the_contract_and_its_columns(library: ContractLibrary) -> None:
    rules = {rule.id: rule for rule in expectations(library.deliveries["business_frame"])}
    assert set(rules) >= {
        "business_number_10_digits",
        "employees_in_range",
        "employees_below_scope",
        "region_known_code",
        "take_all_known_code",
        "ksic_in_scope",
    }
    assert dict(rules["employees_in_range"].kwargs) == {
        "column": "employees",
        "min_value": 1,
        "max_value": 1_000_000,
    }
    assert rules["employees_in_range"].severity == "error"
    assert rules["employees_below_scope"].severity == "warning"
    assert rules["take_all_known_code"].kwargs["value_set"] == ["Y", "N"]
    assert rules["region_known_code"].kwargs["value_set"] == list(library.classifications["regions"].codes)
    assert "unique" not in " ".join(rule.expectation for rule in rules.values())


def test_missing_codes_are_allowed_values(library: ContractLibrary) -> None:
    rules = {rule.id: rule for rule in expectations(library.deliveries["industry_response"])}
    assert rules["tech_ml_known_code"].kwargs["value_set"] == ["1", "2", "3", "4", "5", "8", "9"]
    assert rules["obstacle_known_code"].kwargs["value_set"][-2:] == ["98", "99"]  # type: ignore[index]
    # What a column must have is checked with its type, not as a value
    assert not any("null" in rule.expectation for rule in rules.values())


def test_rules_follow_the_question_version(library: ContractLibrary) -> None:
    response = library.deliveries["industry_response"]
    older = {rule.column for rule in expectations(response, question_version="yn-2019")}
    newer = {rule.column for rule in expectations(response, question_version="list-2022")}
    assert "ai_use" in older - newer
    assert "tech_genai" in newer - older
    assert "obstacle" in older & newer


def test_every_rule_says_what_to_do_in_both_languages(library: ContractLibrary) -> None:
    for delivery in library.deliveries.values():
        rules = expectations(delivery)
        assert len({rule.id for rule in rules}) == len(rules), delivery.name
        for rule in rules:
            assert rule.action_ko, rule
            assert rule.action_en, rule
            assert rule.message_en.isascii() or "…" in rule.message_en, rule
            assert any("가" <= letter <= "힣" for letter in rule.message_ko), rule


def test_column_metadata_follows_the_contract(table: TableContract) -> None:
    found = column_metadata(table)
    assert [record.name for record in found] == ["toy", "price_krw", "parts"]
    assert found[0].description == column_comment(table.columns[0])
    assert (found[1].type, found[1].label_ko, found[1].label_en) == ("DOUBLE", "값", "Price")


def test_the_dictionary_holds_every_mart_column_in_both_languages(library: ContractLibrary) -> None:
    dictionary = data_dictionary(library)
    expected = [(mart.name, name) for mart in library.marts.values() for name in mart.column_names]
    assert dictionary.select("table", "column").rows() == expected
    told = ("type", "unit", "label_en", "label_ko", "description_en", "description_ko")
    for name in told:
        assert dictionary.filter(pl.col(name).is_null() | (pl.col(name).str.strip_chars() == "")).is_empty(), name
    korean = dictionary["description_ko"].str.contains("[가-힣]")
    assert dictionary.filter(~korean).is_empty()
    keys = dictionary.filter(pl.col("is_key") & (pl.col("table") == "mart.measure"))
    assert keys["column"].to_list() == ["measure"]


def test_codes_of_numbers_and_of_lists_are_as_the_column_holds_them(library: ContractLibrary) -> None:
    base = library.deliveries["industry_response"]
    codes = tuple(Code(value=value, label_ko=value, label_en=value) for value in ("1", "2"))

    def rule(type_: str, codes: tuple[Code, ...]) -> dict[str, object]:
        column = replace(base.columns[0], name="x", type=type_, codes=codes)
        return dict(expectations(replace(base, columns=(column,), quality=()))[0].kwargs)

    assert rule("VARCHAR", codes)["value_set"] == ["1", "2"]
    assert rule("INTEGER", codes)["value_set"] == [1, 2]
    assert rule("VARCHAR[]", codes)["regex"] == "^(?:(?:1|2)(?:;(?:1|2))*)?$"
    words = (*codes, Code(value="many", label_ko="many", label_en="many"))
    with pytest.raises(AxstatError, match=r"codes_do_not_fit[\s\S]*'many'"):
        rule("INTEGER", words)
