"""Codebooks from what is there already: a file's own labels, a contract, the rows of `raw.codebook`.

Belongs here: other records -> Codebook, and Codebook -> rows. Does not belong here: the contractor's codebook file
(contractor), comparing (differences), storing anything (warehouse).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from pipelines.contracts.codebooks import VariableType
from pipelines.contracts.models import Column, TableContract
from pipelines.intake.codebook.model import Codebook, Variable, plain
from pipelines.intake.columns import find_columns
from pipelines.intake.table import TextTable

_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "DOUBLE", "DECIMAL")
_ROWS: Mapping[str, type[pl.DataType]] = {
    "position": pl.Int32,
    "variable": pl.String,
    "column_name": pl.String,
    "text": pl.String,
    "question": pl.String,
    "type": pl.String,
    "code": pl.String,
    "code_label": pl.String,
    "question_version": pl.String,
}


def columns_of(names: Sequence[str], texts: Sequence[str | None], contract: TableContract) -> list[str | None]:
    """The contract's column of each variable; of several for one column, the first is it."""
    found = {places[0]: column for column, places in find_columns(names, texts, contract).items()}
    return [found.get(position) for position in range(len(names))]


def codebook_of_labels(table: TextTable, contract: TableContract, *, source: str) -> Codebook:
    """The variables of a file, with the labels that it has of its own (files of statistical programs do)."""
    columns = columns_of(table.headers, table.labels, contract)
    variables = [
        Variable(
            names=(header or f"column {position + 1}",),
            column=column,
            texts=(label,) if label and plain(label) else (),
            codes={code: (text,) for code, text in table.value_labels.get(header, {}).items()},
        )
        for position, (header, label, column) in enumerate(zip(table.headers, table.labels, columns, strict=True))
    ]
    return Codebook(source=source, kind="labels", variables=tuple(variables))


def codebook_of_contract(contract: TableContract, *, question_version: str) -> Codebook:
    """The columns that a file of this question version has; names, texts and labels in both languages."""
    variables = [
        Variable(
            names=(column.name, *column.synonyms),
            column=column.name,
            texts=(column.label_ko, column.label_en, *column.synonyms),
            codes={code.value: (code.label_ko, code.label_en) for code in column.codes},
            type=_type(column),
            optional=column.optional,
        )
        for column in contract.columns
        if column.asked_in(question_version)
    ]
    return Codebook(
        source=contract.name, kind="contract", variables=tuple(variables), question_version=question_version
    )


def _type(column: Column) -> VariableType | None:
    """None for codes and lists, which are sent as numbers or as text."""
    if column.codes or column.type.endswith("[]"):
        return None
    if column.type.startswith(_NUMBERS):
        return "number"
    return "date" if column.type == "DATE" else None


def completed(first: Codebook, other: Codebook) -> Codebook:
    """The variables of `first`; what it does not say of one is taken from the same variable in `other`."""
    by_column = {variable.column: variable for variable in other.variables if variable.column is not None}
    by_name = {plain(variable.name): variable for variable in other.variables}
    variables = []
    for variable in first.variables:
        of_column = None if variable.column is None else by_column.get(variable.column)
        same = of_column or by_name.get(plain(variable.name))
        if same is not None:
            variable = replace(
                variable,
                column=variable.column or same.column,
                texts=variable.texts or same.texts,
                questions=variable.questions or same.questions,
                codes=variable.codes or same.codes,
                type=variable.type or same.type,
            )
        variables.append(variable)
    return replace(first, variables=tuple(variables))


def codebook_rows(codebook: Codebook) -> pl.DataFrame:
    """The codebook as rows: one a variable and code, one a variable without codes.

    Columns: position (from 1), variable, column_name, text, question, type, code, code_label,
    question_version.
    """
    rows = [
        (position, one.name, one.column, _first(one.texts), _first(one.questions), one.type, code, _first(labels))
        for position, one in enumerate(codebook.variables, start=1)
        for code, labels in (*one.codes.items(), *(() if one.codes else ((None, ()),)))
    ]
    names = list(_ROWS)[:-1]
    frame = pl.DataFrame(rows, schema={name: _ROWS[name] for name in names}, orient="row")
    return frame.with_columns(pl.lit(codebook.question_version, dtype=pl.String).alias("question_version"))


def codebook_of_rows(rows: pl.DataFrame, *, before: int) -> Codebook | None:
    """What the last wave before `before` was delivered with; None where there was none.

    What that wave does not say of a variable (a CSV file has no labels) is taken from the wave before it.

    Args:
        rows: as `codebook_rows` makes them, with `survey` and `wave`, of one survey and contract.
    """
    earlier = rows.filter(pl.col("wave") < before)
    found: Codebook | None = None
    for wave in earlier["wave"].unique().sort(descending=True):
        one = _of_wave(earlier.filter(pl.col("wave") == wave).sort("position", maintain_order=True), wave)
        found = one if found is None else completed(found, one)
    return found


def _of_wave(rows: pl.DataFrame, wave: int) -> Codebook:
    variables = []
    for _, of_variable in rows.group_by("position", maintain_order=True):
        first = of_variable.row(0, named=True)
        labelled = of_variable.filter(pl.col("code").is_not_null()).select("code", "code_label")
        variables.append(
            Variable(
                names=(first["variable"],),
                column=first["column_name"],
                texts=_stated(first["text"]),
                questions=_stated(first["question"]),
                codes={code: _stated(label) for code, label in labelled.iter_rows()},
                type=first["type"],
            )
        )
    head = rows.row(0, named=True)
    return Codebook(
        source=f"{head['survey']} {wave}",
        kind="wave",
        variables=tuple(variables),
        question_version=head["question_version"],
    )


def _first(words: Sequence[str]) -> str | None:
    return words[0] if words else None


def _stated(word: str | None) -> tuple[str, ...]:
    return () if word is None else (word,)
