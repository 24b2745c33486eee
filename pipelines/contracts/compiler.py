"""What a contract compiles to: polars schema, DuckDB DDL, quality rules, column metadata, data dictionary.

Belongs here: pure functions from contracts to those forms. Does not belong here: running SQL or loading rows
(warehouse), running expectations (quality), reading YAML (files).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import polars as pl

from pipelines.contracts.models import Column, QualityRule, SqlRule, TableContract
from pipelines.errors import AxstatError

if TYPE_CHECKING:
    from pipelines.contracts.library import ContractLibrary

_POLARS_TYPES: Mapping[str, pl.DataType] = MappingProxyType(
    {
        "VARCHAR": pl.String(),
        "INTEGER": pl.Int32(),
        "BIGINT": pl.Int64(),
        "DOUBLE": pl.Float64(),
        "BOOLEAN": pl.Boolean(),
        "DATE": pl.Date(),
        "TIMESTAMP": pl.Datetime("us"),
        "BLOB": pl.Binary(),
    }
)


def polars_type(type_text: str) -> pl.DataType:
    """Polars type of a DuckDB type text; ``T[]`` is a list.

    Raises:
        AxstatError: a type that contracts do not use.
    """
    if type_text.endswith("[]"):
        return pl.List(polars_type(type_text.removesuffix("[]")))
    found = _POLARS_TYPES.get(type_text)
    if found is None:
        raise AxstatError(
            "unknown_type",
            where=f"column type {type_text}",
            expected=f"one of {', '.join(_POLARS_TYPES)}, or one of them with []",
            got=type_text,
            hint="use one of these types in the contract",
        )
    return found


def polars_schema(contract: TableContract, *, as_text: bool = False) -> pl.Schema:
    """Column names and polars types in contract order; with `as_text` every column is text, as sent."""
    return pl.Schema({column.name: pl.String() if as_text else polars_type(column.type) for column in contract.columns})


def raw_table(contract: TableContract) -> TableContract:
    """Contract of `raw.<name>`: where a row came from, every column as text, columns the contract lacks."""
    provenance = (
        _provenance("survey", "조사", "Survey", "Survey the file belongs to."),
        _provenance(
            "wave",
            "조사 기준 연도",
            "Wave",
            "Reference year of the survey.",
            type_text="INTEGER",
            unit="year",
        ),
        _provenance("delivery", "납품 식별자", "Delivery", "Id of the delivery the file came in."),
        _provenance("file_name", "파일 이름", "File name", "Name of the file in the delivery.", unit="text"),
        _provenance("file_sha256", "파일 해시", "File hash", "SHA-256 of the file's bytes."),
        _provenance(
            "row_number",
            "행 번호",
            "Row number",
            "Data row in the file; 1 is the first after the header.",
            type_text="BIGINT",
            unit="number",
        ),
    )
    sent = tuple(
        replace(
            column,
            type="VARCHAR",
            required=False,
            codes=(),
            classification=None,
            synonyms=(),
            missing_codes=MappingProxyType({}),
            description=f"{column.description} Text as sent.",
        )
        for column in contract.columns
    )
    extra = Column(
        name="extra_columns",
        label_ko="계약에 없는 열",
        label_en="Extra columns",
        description="JSON object of the columns that the contract does not know, as sent; NULL when none.",
        type="VARCHAR",
        unit="text",
    )
    return TableContract(
        name=f"raw.{contract.name}",
        version=contract.version,
        title_ko=f"{contract.title_ko} 원자료",
        title_en=f"{contract.title_en}, as sent",
        description=f"Rows of the files of contract {contract.name}, every value as the text that was sent.",
        grain="one row a data row of a file",
        columns=(*provenance, *sent, extra),
        key=("file_sha256", "row_number"),
        quality=(),
        owner=contract.owner,
        source=contract.source,
        licence=contract.licence,
        made_by=("pipelines.intake.delivery.read_delivery_file",),
        reads=("meta.delivery_file",),
    )


def edited_table(contract: TableContract) -> TableContract:
    """Contract of `raw.edited_<name>`: the rows that edit files changed, whole, in place of those of `raw.<name>`."""
    return replace(
        raw_table(contract),
        name=f"raw.edited_{contract.name}",
        title_ko=f"{contract.title_ko} 수정 행",
        title_en=f"{contract.title_en}, edited rows",
        description=f"Rows of the current file of {contract.name} with the cells that edit files correct.",
        grain="one row a data row with an edit that was applied",
        made_by=("pipelines.intake.edits.apply_edits",),
        reads=(f"raw.{contract.name}",),
    )


def _provenance(
    name: str,
    label_ko: str,
    label_en: str,
    description: str,
    *,
    type_text: str = "VARCHAR",
    unit: str = "code",
) -> Column:
    return Column(
        name=name,
        label_ko=label_ko,
        label_en=label_en,
        description=description,
        type=type_text,
        required=True,
        unit=unit,
    )


def create_table_sql(table: TableContract, *, remark: str | None = None) -> list[str]:
    """Statements that make the table with its comments.

    Keys are checked by `sql/checks` and not declared: an index per table slows bulk inserts several times
    over.

    Args:
        table: its name must be ``schema.table``; the schema must exist.
        remark: added to the table's comment, e.g. that the data are synthetic.

    Raises:
        AxstatError: the name has no schema (a delivery contract).
    """
    schema, dot, name = table.name.partition(".")
    if not dot:
        raise AxstatError(
            "not_a_table",
            where=table.name,
            expected="a contract named schema.table",
            got="a delivery contract",
            hint="compile raw_table(contract) instead",
        )
    target = f"{_quoted(schema)}.{_quoted(name)}"
    columns = ",\n".join(
        f"    {_quoted(column.name)} {column.type}{' NOT NULL' if column.required else ''}" for column in table.columns
    )
    statements = [
        f"CREATE TABLE IF NOT EXISTS {target} (\n{columns}\n)",
        f"COMMENT ON TABLE {target} IS {_literal(table_comment(table, remark=remark))}",
    ]
    statements.extend(
        f"COMMENT ON COLUMN {target}.{_quoted(column.name)} IS {_literal(column_comment(column))}"
        for column in table.columns
    )
    return statements


def table_comment(table: TableContract, *, remark: str | None = None) -> str:
    """Title in both languages, what the table and a row of it are, then the remark."""
    parts = [f"{table.title_en} ({table.title_ko}).", table.description, f"Row: {table.grain}."]
    if remark:
        parts.append(remark)
    return " ".join(parts)


def column_comment(column: Column) -> str:
    """Labels in both languages, what the column holds, and its unit."""
    parts = [f"{column.label_en} ({column.label_ko}).", column.description]
    if column.description_ko:
        parts.append(column.description_ko)
    if column.unit is not None:
        parts.append(f"Unit: {column.unit}.")
    return " ".join(parts)


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def expectations(contract: TableContract, *, question_version: str | None = None) -> list[QualityRule]:
    """Rules on the values of a delivery: those written in the contract, then those of its code lists.

    Rules hold for normalised, typed values (no thousands commas, codes with their leading zeros, blanks
    NULL); NULL breaks none of them. Types, required values and keys are not among them (`quality.structure`).

    Args:
        contract: a delivery contract whose codes are resolved (as the library gives it).
        question_version: leave out rules on columns that this version does not have; None keeps all.
    """
    asked = {
        column.name: column
        for column in contract.columns
        if question_version is None or column.asked_in(question_version)
    }
    rules = [rule for rule in contract.quality if rule.column is None or rule.column in asked]
    for column in asked.values():
        if column.codes:
            rules.append(_in_codes(column, contract.owner))
    return rules


def sql_rules(contract: TableContract, *, question_version: str | None = None) -> list[SqlRule]:
    """Rules of a delivery that are written in SQL, without those on columns that the question version lacks."""
    return [
        rule
        for rule in contract.sql_rules
        if question_version is None or rule.column is None or contract.column(rule.column).asked_in(question_version)
    ]


def _in_codes(column: Column, owner: str) -> QualityRule:
    values = [code.value for code in column.codes]
    listed = ", ".join(values if len(values) <= 20 else [*values[:20], "…"])
    expectation = "expect_column_values_to_be_in_set"
    if column.type.endswith("[]"):
        # Rules meet a list as text joined by ';'
        one = "(?:" + "|".join(re.escape(value) for value in values) + ")"
        expectation = "expect_column_values_to_match_regex"
        asked: dict[str, object] = {"regex": f"^(?:{one}(?:;{one})*)?$"}
    else:
        asked = {"value_set": _typed_codes(column)}
    return QualityRule(
        id=f"{column.name}_known_code",
        expectation=expectation,
        kwargs=MappingProxyType({"column": column.name, **asked}),
        severity="error",
        why="A code that no list has stands for nothing: the answer cannot be used.",
        owner=owner,
        message_ko=f"{column.label_ko}: 코드표에 없는 값입니다. 허용: {listed}",
        message_en=f"{column.label_en}: not a code of the list. Allowed: {listed}",
        action_ko="제출처에 코드를 수정하도록 요청하십시오. 새로운 코드이면 먼저 계약에 추가해야 합니다.",
        action_en="have the sender correct the code; a new code needs an entry in the contract first",
    )


def _typed_codes(column: Column) -> list[object]:
    """The codes as the column holds them: numbers where it is one of numbers.

    Raises:
        AxstatError: a code that is no number.
    """
    values = [code.value for code in column.codes]
    dtype = polars_type(column.type)
    if not dtype.is_numeric():
        return list(values)
    typed = pl.Series(values, dtype=pl.String).cast(dtype, strict=False)
    if typed.null_count():
        raise AxstatError(
            "codes_do_not_fit",
            where=f"column {column.name}",
            expected=f"codes of the type {column.type}",
            got=", ".join(repr(value) for value, made in zip(values, typed, strict=True) if made is None),
            hint="correct the codes, or give the column the type VARCHAR",
        )
    return list(typed)


@dataclass(frozen=True, kw_only=True)
class ColumnMetadata:
    """What a column list in a user interface shows."""

    name: str
    type: str
    description: str
    label_ko: str
    label_en: str


def column_metadata(contract: TableContract) -> list[ColumnMetadata]:
    """One record a column, in contract order."""
    return [
        ColumnMetadata(
            name=column.name,
            type=column.type,
            description=column_comment(column),
            label_ko=column.label_ko,
            label_en=column.label_en,
        )
        for column in contract.columns
    ]


def data_dictionary(library: "ContractLibrary") -> pl.DataFrame:
    """One row a column of every mart: where it is, its type, unit, code list, labels and descriptions."""
    rows = [
        {
            "table": table.name,
            "position": position,
            "column": column.name,
            "type": column.type,
            "unit": column.unit,
            "required": column.required,
            "is_key": column.name in table.key,
            "classification": column.classification,
            "label_en": column.label_en,
            "label_ko": column.label_ko,
            "description_en": column.description,
            "description_ko": column.description_ko,
        }
        for table in library.marts.values()
        for position, column in enumerate(table.columns, start=1)
    ]
    return pl.DataFrame(
        rows,
        schema={
            "table": pl.String,
            "position": pl.Int32,
            "column": pl.String,
            "type": pl.String,
            "unit": pl.String,
            "required": pl.Boolean,
            "is_key": pl.Boolean,
            "classification": pl.String,
            "label_en": pl.String,
            "label_ko": pl.String,
            "description_en": pl.String,
            "description_ko": pl.String,
        },
    )
