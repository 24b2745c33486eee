"""Figures of other offices beside ours, in the report: what they are, what ours is, and why the two may differ.

Belongs here: picking and wording rows of mart.benchmark, in a table and in a figure. Does not belong here: what differs
(sql/marts/benchmark.sql), the series themselves (data_contracts/benchmarks), how the figure is drawn.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from pipelines.reporting import numbers
from pipelines.reporting.addresses import cell_address, row_address
from pipelines.reporting.blanking import HIDDEN
from pipelines.reporting.charts import Frame
from pipelines.reporting.comparison_charts import Estimate, Pair, pair_plot
from pipelines.reporting.data import ReportData
from pipelines.reporting.drawing import NARROW, WIDE
from pipelines.reporting.figures import Figure, accent_of, source_of
from pipelines.reporting.sentences import level, short_name, weighting_text
from pipelines.reporting.tables import (
    NOT_AVAILABLE,
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
    return _table(data, languages, rows.to_dicts())


def _table(data: ReportData, languages: Sequence[Texts], rows: Sequence[dict[str, Any]]) -> Table:
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
        tuple(_row(data, languages, row) for row in rows),
        notes=tuple(texts("tables.sources_note") for texts in languages),
    )


def sources_figure(data: ReportData, texts: Texts, survey_code: str) -> Figure | None:
    """Figures of others for the whole survey beside ours of the same year; None where there are none.

    Each source and year has a row of its own: nothing is joined over definitions.
    """
    survey, language = data.survey(survey_code), texts.language
    headline = survey.headline
    rows = (
        data.marts["benchmark"]
        .filter(
            pl.col("survey") == survey_code,
            pl.col("wave") == data.wave,
            pl.col("domain_type") == headline.domain_type,
            pl.col("geo") == _HOME,
            *(pl.col(name) == _ALL for name in ("industry", "size_class", "other_group")),
        )
        .sort(-pl.col("ref_year"), "series")
        .to_dicts()
    )
    if not rows:
        return None
    frame = Frame(
        small_print=texts("synthetic.small_print") if data.synthetic else "",
        value_heading=texts("common.interval_heading", level=level(survey, language)),
        n_heading=texts("sources.n_heading"),
    )
    pairs = [_pair(row, texts) for row in rows]
    names = (texts("sources.ours"), texts("sources.theirs"))

    def draw(width: int) -> str:
        return pair_plot(pairs, frame, names=names, accent=accent_of(survey), width=width)

    differences = [row["difference_pp"] for row in rows if row["difference_pp"] is not None]
    title = (
        texts(
            "sources.title_one" if len(differences) == 1 else "sources.title",
            survey=short_name(survey, language),
            largest=numbers.points(max(map(abs, differences)), language),
            count=len(differences),
        )
        if differences
        else texts("sources.title_none", survey=short_name(survey, language))
    )
    subtitle = texts(
        "sources.subtitle",
        measure=data.measure_text(headline.measure, "label", language),
        weighting=weighting_text(survey, headline.unit_weighting, texts),
        level=level(survey, language),
    )
    name = f"{survey_code}_sources"
    definitions = {f"{row['source']}: {row[f'definition_{language}']}": None for row in rows}
    return Figure(
        name=name,
        title=title,
        subtitle=subtitle,
        narrow=draw(NARROW),
        wide=draw(WIDE),
        alternative=f"{title}. {subtitle}",
        notes=(texts("sources.note"), *definitions),
        source=source_of(data, texts, survey),
        table=dataclasses.replace(_table(data, [texts], rows), name=name, title=f"{title} — {subtitle}", notes=()),
    )


def _pair(row: Mapping[str, Any], texts: Texts) -> Pair:
    language = texts.language
    label = f"{row['ref_year']} · {row['source']}"
    n = NOT_AVAILABLE if row["n"] is None else numbers.count(row["n"], language)
    their = numbers.per_cent(row["value"], language)
    if row["estimate"] is None:
        mark = mark_without(row["reliability"])
        ours = Estimate(mark, words=f"{label}; {texts('sources.ours')} {mark}")
    else:
        interval = (row["estimate"], row["ci_low"], row["ci_high"])
        text = numbers.with_interval(*interval, language)
        ours = Estimate(text, *interval, words=f"{label}; {texts('sources.ours')} {text}")
    short = (
        mark_without(row["reliability"])
        if row["estimate"] is None
        else numbers.number_of_per_cent(row["estimate"], language)
    )
    theirs = Estimate(their, row["value"], words=f"{label}; {texts('sources.theirs')} {their}")
    return Pair(
        label=label,
        n=n,
        short=f"{short} · {numbers.number_of_per_cent(row['value'], language)}",
        filled=ours,
        hollow=theirs,
        source=row_address("benchmark", row, _KEY),
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
