"""Figures of other offices beside ours, in the report: what they are, what ours is, and why the two may differ.

Belongs here: picking and wording rows of mart.benchmark. Does not belong here: what differs (sql/marts/benchmark.sql),
the series themselves (data_contracts/benchmarks).
"""

from collections.abc import Sequence
from typing import Any

import polars as pl

from pipelines.reporting.addresses import cell_address, row_address
from pipelines.reporting.blanking import HIDDEN
from pipelines.reporting.data import ReportData
from pipelines.reporting.sentences import short_name
from pipelines.reporting.tables import (
    Cell,
    Column,
    Headings,
    Kind,
    Table,
    mark_without,
    number_cell,
    optional_text,
    text_cell,
)
from pipelines.reporting.texts import Texts

_KEY = ("survey", "wave", "series", "measure", "geo", "industry", "size_class", "other_group", "ref_year")
_PLACES = ("geo", "industry", "size_class", "other_group")
_ALL, _HOME = "total", "KR"
_OURS = ("estimate", "ci_low", "ci_high")


def sources_table(data: ReportData, languages: Sequence[Texts]) -> Table:
    """Every figure of others that measures the like, newest years first; ours is by unit, of those that answered."""
    rows = data.marts["benchmark"].filter(pl.col("wave") == data.wave)
    rows = rows.sort(
        pl.col("survey").replace_strict(list(data.surveys), range(len(data.surveys)), return_dtype=pl.Int64),
        -pl.col("ref_year"),
        "series",
        *(pl.col(name) != _ALL for name in ("industry", "size_class", "other_group")),
        *_PLACES,
    )
    headings = Headings(languages)
    columns = [
        *headings.label_columns("tables.column.survey"),
        Column(headings.heading("tables.column.source"), "text"),
        Column(headings.heading("tables.column.wave"), "year"),
        Column(headings.heading("tables.column.of"), "text"),
        Column(headings.heading("tables.column.theirs"), "share"),
        *(Column(headings.heading(f"tables.column.{name}"), "share") for name in _OURS),
        Column(headings.heading("tables.column.difference"), "points"),
        *headings.per_language("text", "tables.column.differs_in"),
        *headings.per_language("text", "tables.column.definition"),
    ]
    return Table(
        "sources",
        "\n".join(texts("tables.sources_title", wave=data.wave) for texts in languages),
        tuple(columns),
        tuple(_row(data, languages, row) for row in rows.iter_rows(named=True)),
        notes=tuple(texts("tables.sources_note") for texts in languages),
    )


def _row(data: ReportData, languages: Sequence[Texts], row: dict[str, Any]) -> tuple[Cell, ...]:
    first = languages[0]
    survey = data.survey(row["survey"])
    hidden = row["reliability"] in HIDDEN
    at = row_address("benchmark", row, _KEY)
    places = [_place(data, name, row[name], languages) for name in _PLACES if row[name] not in (_ALL, _HOME)]

    def ours(name: str) -> Cell:
        kind: Kind = "points" if name == "difference_pp" else "share"
        if hidden:
            return Cell(None, mark_without(row["reliability"]), source=cell_address(at, name))
        return number_cell(row[name], kind, first, source=cell_address(at, name))

    return (
        *(text_cell(short_name(survey, texts.language)) for texts in languages),
        text_cell(row["source"]),
        text_cell(row["ref_year"]),
        text_cell(" / ".join(places) if places else " · ".join(texts("tables.sources_all") for texts in languages)),
        number_cell(row["value"], "share", first, source=cell_address(at, "value")),
        *(ours(name) for name in (*_OURS, "difference_pp")),
        *(optional_text(_differences(data, row["differs_in"], texts)) for texts in languages),
        *(text_cell(row[f"definition_{texts.language}"]) for texts in languages),
    )


def _place(data: ReportData, column: str, code: str, languages: Sequence[Texts]) -> str:
    """A size class by its name; other codes are those of the source."""
    items = [
        item for item in data.classifications["size_classes"].items if column == "size_class" and item.code == code
    ]
    names = [str(getattr(item, f"label_{texts.language}")) for item in items for texts in languages]
    return " · ".join(names) if names else code


def _differences(data: ReportData, codes: str | None, texts: Texts) -> str:
    known = data.classifications["benchmark_differences"]
    names = [] if codes is None else codes.split(";")
    return "; ".join(str(getattr(known.item(name), f"label_{texts.language}")) for name in names)
