"""Tables of how the figures came about: quality, weights, definitions, deliveries, balance of rows.

Belongs here: which rows these tables hold. Does not belong here: estimates.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from pipelines.contracts.classifications import Item
from pipelines.reporting import numbers
from pipelines.reporting.addresses import cell_address, row_address
from pipelines.reporting.data import ReportData
from pipelines.reporting.sentences import short_name
from pipelines.reporting.tables import (
    NOT_AVAILABLE,
    Cell,
    Column,
    Headings,
    Kind,
    Table,
    joined_title,
    number_cell,
    optional_text,
    text_cell,
)
from pipelines.reporting.texts import Texts


def quality_table(data: ReportData, languages: Sequence[Texts]) -> Table:
    """Quality indicators of this wave for whole surveys, each with its definition; one column a survey.

    Where there is no value the reason stands beside it. In several languages there is also what makes each value: the
    query to the published file, the function, or the file that supplies it.
    """
    words = Headings(languages)
    frame = data.marts["quality_indicator"].filter(
        (pl.col("wave") == data.wave) & pl.col("domain_type").is_in(["total"])
    )
    found = {(row["indicator"], row["survey"]): row for row in frame.iter_rows(named=True)}
    columns = [
        *words.label_columns("tables.column.indicator"),
        Column(words.heading("tables.column.code"), "code"),
    ]
    for contract in data.surveys.values():
        columns.append(Column("\n".join(short_name(contract, texts.language) for texts in languages), "ratio"))
    columns += words.per_language("text", "tables.column.unit")
    columns += words.per_language("text", "tables.column.definition")
    columns += words.per_language("text", "tables.column.no_value")
    with_source = len(languages) > 1
    if with_source:
        columns += [Column(words.heading(f"tables.column.{key}"), "text") for key in ("made_from", "made_by")]
    units = data.classifications["measurement_units"]
    rows = []
    for item in data.classifications["quality_indicators"].items:
        values = [found.get((item.code, survey)) for survey in data.surveys]
        there = [row for row in values if row is not None]
        if not there:
            continue
        unit = units.item(there[0]["unit"])
        sources = [text_cell(there[0][key]) for key in ("rests_on", "source")] if with_source else []
        rows.append(
            (
                *(text_cell(getattr(item, f"label_{texts.language}")) for texts in languages),
                text_cell(item.code),
                *(_in_its_unit(row, unit.code, languages[0]) for row in values),
                *(text_cell(_unit_name(unit, texts)) for texts in languages),
                *(text_cell(there[0][f"definition_{texts.language}"]) for texts in languages),
                *(optional_text(_reasons(there, texts) or "–") for texts in languages),
                *sources,
            )
        )
    title = joined_title(languages, "quality.indicators_title", lambda texts: {"wave": data.wave})
    return Table("quality", title, tuple(columns), tuple(rows))


def _unit_name(unit: Item, texts: Texts) -> str:
    """Shares are printed as per cent here."""
    return texts("quality.per_cent") if unit.code == "share" else str(getattr(unit, f"label_{texts.language}"))


def _reasons(rows: Sequence[Mapping[str, object]], texts: Texts) -> str:
    """Why a survey has no value; said once where it is the same for all."""
    reasons = [str(row[f"reason_{texts.language}"]) for row in rows if row["value"] is None]
    return "; ".join(dict.fromkeys(reasons))


def _in_its_unit(row: Mapping[str, object] | None, unit: str, texts: Texts) -> Cell:
    """A value whose unit is named by its row. Shares are printed with the sign: the column cannot say it."""
    if row is None or row["value"] is None:
        return Cell(None, NOT_AVAILABLE, "" if row is None else str(row.get(f"reason_{texts.language}") or ""))
    value = float(str(row["value"]))
    mart = next(name for name, (column, *_) in _KEYS.items() if column in row)
    at = cell_address(row_address(mart, row, _KEYS[mart]), "value")
    if unit == "share":
        return Cell(value, numbers.per_cent(value, texts.language), kind="share", source=at)
    digits = {"count": 0, "days": 0, "weight": 2, "percentage_points": 2, "ratio": 3}.get(unit, 3)
    text = numbers.decimal(value, texts.language, digits=digits)
    return Cell(value, text, kind="count" if digits == 0 else None, source=at)


# By mart: the columns that name a row, first the one that no other has
_KEYS = {
    "quality_indicator": ("indicator", "survey", "wave", "domain_type", "domain_code"),
    "weight_diagnostic": ("diagnostic", "survey", "wave", "step"),
}


def weights_table(data: ReportData, languages: Sequence[Texts]) -> Table:
    """Weight diagnostics of this wave; one column a survey and step of weighting."""
    words = Headings(languages)
    frame = data.marts["weight_diagnostic"].filter(pl.col("wave") == data.wave)
    found = {(row["step"], row["diagnostic"], row["survey"]): row for row in frame.iter_rows(named=True)}
    steps = list(languages[0].raw("quality.step"))
    columns = words.label_columns("tables.column.indicator")
    for contract in data.surveys.values():
        group = "\n".join(short_name(contract, texts.language) for texts in languages)
        columns += [Column(words.heading(f"quality.step.{step}"), "ratio", group) for step in steps]
    rows = []
    for item in data.classifications["weight_diagnostics"].items:
        values = [found.get((step, item.code, survey)) for survey in data.surveys for step in steps]
        if any(values):
            unit = item.properties.get("unit", "ratio")
            rows.append(
                (
                    *(text_cell(getattr(item, f"label_{texts.language}")) for texts in languages),
                    *(_in_its_unit(row, unit, languages[0]) for row in values),
                )
            )
    title = joined_title(languages, "quality.weights_title", lambda texts: {"wave": data.wave})
    return Table("weights", title, tuple(columns), tuple(rows))


def deliveries_table(data: ReportData, languages: Sequence[Texts]) -> Table:
    """Every file that was delivered, up to this wave."""
    words = Headings(languages)
    kinds: list[tuple[str, Kind]] = [
        ("survey", "text"), ("wave", "year"), ("contract", "code"), ("delivery", "code"), ("file", "code"),
        ("rows_in", "count"), ("collection", "text"), ("status", "text"), ("sha256", "code"),
    ]  # fmt: skip
    columns = tuple(Column(words.heading(f"tables.column.{key}"), kind) for key, kind in kinds)
    rows = []
    frame = data.deliveries.filter(pl.col("wave") <= data.wave).sort(
        "survey", "wave", "contract", "sequence", "delivery", "file_name"
    )
    for row in frame.iter_rows(named=True):
        survey = data.surveys.get(row["survey"])
        rows.append(
            (
                text_cell(" / ".join(short_name(survey, t.language) for t in languages) if survey else row["survey"]),
                text_cell(row["wave"]),
                text_cell(row["contract"]),
                text_cell(row["delivery"]),
                text_cell(row["file_name"]),
                number_cell(row["rows_in"], "count", languages[0]),
                text_cell(f"{row['collection_start']} – {row['collection_end']}"),
                text_cell(" / ".join(t(f"provenance.status.{row['status']}") for t in languages)),
                text_cell(row["file_sha256"]),
            )
        )
    title = joined_title(languages, "provenance.deliveries_title", lambda texts: {})
    return Table("deliveries", title, columns, tuple(rows))


def balance_table(data: ReportData, languages: Sequence[Texts]) -> Table:
    """Rows in and what became of them, up to this wave."""
    words = Headings(languages)
    counts = ("rows_in", "core", "quarantined", "rejected", "superseded")
    keys: list[tuple[str, Kind]] = [("survey", "text"), ("wave", "year"), ("contract", "code")]
    keys += [(name, "count") for name in counts]
    columns = tuple(Column(words.heading(f"tables.column.{key}"), kind) for key, kind in keys)
    rows = []
    for row in (
        data.row_balance.filter(pl.col("wave") <= data.wave).sort("survey", "wave", "contract").iter_rows(named=True)
    ):
        survey = data.surveys.get(row["survey"])
        rows.append(
            (
                text_cell(" / ".join(short_name(survey, t.language) for t in languages) if survey else row["survey"]),
                text_cell(row["wave"]),
                text_cell(row["contract"]),
                *(number_cell(row[name], "count", languages[0]) for name in counts),
            )
        )
    title = joined_title(languages, "provenance.balance_title", lambda texts: {})
    return Table("balance", title, columns, tuple(rows))


def definitions_table(data: ReportData, languages: Sequence[Texts]) -> Table:
    """Every measure with its definition."""
    words = Headings(languages)
    columns = [Column(words.heading("tables.column.code"), "code")]
    columns += words.label_columns("tables.column.measure") + words.per_language("text", "tables.column.definition")
    rows = tuple(
        (
            text_cell(measure),
            *(text_cell(data.measure_text(measure, "label", texts.language)) for texts in languages),
            *(text_cell(data.measure_text(measure, "definition", texts.language)) for texts in languages),
        )
        for measure in data.measures()
    )
    title = joined_title(languages, "method.definitions_title", lambda texts: {})
    return Table("definitions", title, tuple(columns), rows)
