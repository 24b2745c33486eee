"""The projection in the report: the fan of the series, what stands in words about it, the table of scenarios.

Belongs here: picking rows of mart.projection, mart.hindcast and mart.scenario, and the sentences they allow. Does not
belong here: drawing (charts), the figures themselves (stats).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from pipelines.reporting import numbers
from pipelines.reporting.addresses import cell_address, row_address
from pipelines.reporting.charts import Ahead
from pipelines.reporting.data import Rate, ReportData
from pipelines.reporting.sentences import level, probability, short_name, weighting_text
from pipelines.reporting.tables import (
    Cell,
    Column,
    Headings,
    Kind,
    Table,
    joined_title,
    number_cell,
    text_cell,
)
from pipelines.reporting.texts import Texts

_SCENARIO_KEY = ("survey", "wave", "scenario", "domain_type", "domain_code", "measure", "unit_weighting")
_HEADLINE = {"model": "logit", "variant": "main"}
# In the order of the columns
_SCENARIOS = ("needed", "own_projection", "observed_pace", "best_pace")
_NOW_AND_NEEDED: tuple[tuple[str, Kind], ...] = (
    ("share_of_base", "share"),
    ("estimate", "share"),
    ("needed_pace", "points"),
    ("needed_logit", "ratio"),
)


def fan(data: ReportData, rate: Rate) -> tuple[Ahead, ...]:
    """The headline of the projection, year by year; empty where there is none."""
    rows = data.projection(rate).filter(kind="projected", **_HEADLINE).sort("year")
    return tuple(Ahead(*row) for row in rows.select("year", "estimate", "low", "high").iter_rows())


def required_path(data: ReportData, rate: Rate) -> tuple[tuple[int, float], ...]:
    """Year and share of the path from the first wave of the segment to the target."""
    rows = data.projection(rate).filter(kind="required").sort("year")
    return tuple(rows.select("year", "estimate").iter_rows())


def projection_notes(data: ReportData, rate: Rate, texts: Texts) -> list[str]:
    """What the fan is, how much it hangs on the curve and on tau, and how earlier projections did."""
    language, goal = texts.language, data.targets[rate.survey]
    survey = data.survey(rate.survey)
    rows = data.projection(rate).filter(pl.col("year") == goal.year)
    headline = rows.filter(kind="projected", **_HEADLINE)
    if headline.is_empty():
        return [texts("trend.no_projection")]
    main = headline.row(0, named=True)
    notes = [
        texts(
            "trend.projection",
            year=goal.year,
            estimate=numbers.with_interval(main["estimate"], main["low"], main["high"], language),
            level=level(survey, language),
            points=main["points"],
            tau=numbers.decimal(main["tau"], language, digits=2),
        )
    ]
    envelope = rows.filter(kind="envelope")
    if envelope.height:
        low, high = envelope.select("low", "high").row(0)
        notes.append(texts("trend.envelope", year=goal.year, interval=numbers.interval(low, high, language)))
    chances = rows.filter(pl.col("variant").str.starts_with("tau=")).sort("tau")
    if chances.height:
        listed = [
            texts(
                "trend.tau_item",
                tau=numbers.decimal(tau, language, digits=2),
                probability=probability(chance, texts),
            )
            for tau, chance in chances.select("tau", "p_target").iter_rows()
        ]
        notes.append(texts("trend.tau_table", items=texts.listed(listed)))
    scored = data.marts["hindcast"].filter(
        survey=rate.survey, measure=rate.measure, unit_weighting=rate.unit_weighting, model=_HEADLINE["model"]
    )
    covered, missed = scored["covered"].cast(pl.Float64).mean(), scored["error_pp"].abs().mean()
    if isinstance(covered, float) and isinstance(missed, float):
        notes.append(
            texts(
                "trend.hindcast",
                count=numbers.count(scored.height, language),
                covered=numbers.whole_per_cent(round(covered, 2), language),
                level=level(survey, language),
                error=numbers.points(missed, language),
            )
        )
    else:
        notes.append(texts("trend.no_hindcast"))
    return notes


def scenario_table(data: ReportData, languages: Sequence[Texts], survey_code: str) -> Table:
    """What each part must do for the target, and where other paces lead; counted as the headline is."""
    survey, first = data.survey(survey_code), languages[0]
    rows = data.marts["scenario"].filter(survey=survey_code, unit_weighting=survey.headline.unit_weighting)
    present = [name for name in _SCENARIOS if name in rows["scenario"]]
    headings = Headings(languages, lambda _: {"year": data.targets[survey_code].year})
    named = data.classifications["scenarios"]
    columns = [*headings.label_columns("tables.column.domain")]
    columns += [Column(headings.heading(f"tables.column.{key}"), kind) for key, kind in _NOW_AND_NEEDED]
    for name in present:
        item = named.item(name)
        columns.append(Column("\n".join(str(getattr(item, f"label_{texts.language}")) for texts in languages), "share"))
    by_code = {(row["scenario"], row["domain_code"]): row for row in rows.iter_rows(named=True)}
    rates = {rate.domain_code: rate for rate in data.rates(survey_code, survey.scenario_parts)}
    codes = [code for code in (*rates, "rest", "all") if ("needed", code) in by_code]
    body = []
    for code in codes:
        needed = by_code[("needed", code)]
        names = [
            rates[code].labels[texts.language]
            if code in rates
            else texts(f"tables.scenario_{code}", survey=short_name(survey, texts.language))
            for texts in languages
        ]
        rate = rates.get(code)

        def cell(
            row: Mapping[str, Any], column: str, kind: Kind, rate: Rate | None = rate, *, always: bool = False
        ) -> Cell:
            hidden = rate is not None and not rate.is_shown and not always
            at = cell_address(row_address("scenario", row, _SCENARIO_KEY), column)
            return number_cell(None if hidden else row[column], kind, first, rate, source=at)

        body.append(
            (
                *(text_cell(name) for name in names),
                cell(needed, "share", "share", always=True),
                cell(needed, "estimate", "share"),
                cell(needed, "pp_per_year", "points"),
                cell(needed, "logit_per_year", "ratio"),
                *(cell(by_code[(name, code)], "in_target_year", "share") for name in present),
            )
        )
    title = joined_title(
        languages,
        "tables.scenario_title",
        lambda texts: {
            "survey": short_name(survey, texts.language),
            "year": data.targets[survey_code].year,
            "weighting": weighting_text(survey, survey.headline.unit_weighting, texts),
        },
    )
    return Table(f"{survey_code}_scenario", title, tuple(columns), tuple(body))
