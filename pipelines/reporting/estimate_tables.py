"""Tables of estimates: domains, measures, fields, the series, progress, and what is not shown.

Belongs here: which estimates a table holds. Does not belong here: how a row of estimates becomes cells
(tables).
"""

import dataclasses
from collections.abc import Sequence

from pipelines.reporting.addresses import cell_address, row_address
from pipelines.reporting.blanking import HIDDEN
from pipelines.reporting.data import CAUTION, PROGRESS_KEY, Rate, ReportData
from pipelines.reporting.sentences import reasons, short_name, weighting_text
from pipelines.reporting.tables import (
    BREAK,
    Column,
    Headings,
    Kind,
    RateRow,
    Table,
    joined_title,
    number_cell,
    rate_cell,
    rate_table,
    text_cell,
)
from pipelines.reporting.texts import Texts


def domain_type_label(data: ReportData, domain_type: str, language: str) -> str:
    """The name of a kind of domain."""
    return str(getattr(data.classifications["domain_types"].item(domain_type), f"label_{language}"))


def _same(data: ReportData, rate: Rate, wave: int | None) -> Rate | None:
    """The same estimate in another wave."""
    found = data.rates(rate.survey, rate.domain_type, measure=rate.measure, weighting=rate.unit_weighting, wave=wave)
    return next((other for other in found if other.domain_code == rate.domain_code), None)


def _with_all_weightings(data: ReportData, rate: Rate) -> dict[str, Rate | None]:
    """The same estimate under every weighting of its survey."""
    return {
        weighting: next(
            (
                found
                for found in data.rates(
                    rate.survey, rate.domain_type, measure=rate.measure, weighting=weighting, wave=rate.wave
                )
                if found.domain_code == rate.domain_code
            ),
            None,
        )
        for weighting in data.survey(rate.survey).unit_weightings
    }


def domains_table(data: ReportData, languages: Sequence[Texts], survey: str) -> Table:
    """The headline measure in every domain, both weightings side by side."""
    contract = data.survey(survey)
    rows = []
    for domain_type in data.domain_types(survey):
        by_weighting = {
            weighting: {rate.domain_code: rate for rate in data.rates(survey, domain_type, weighting=weighting)}
            for weighting in contract.unit_weightings
        }
        kind = {texts.language: domain_type_label(data, domain_type, texts.language) for texts in languages}
        rows += [
            RateRow(
                {language: (rate.labels[language], label) for language, label in kind.items()},
                {weighting: found.get(rate.domain_code) for weighting, found in by_weighting.items()},
            )
            for rate in data.rates(survey, domain_type)
        ]
    title = joined_title(
        languages,
        "tables.domains_title",
        lambda texts: {
            "survey": short_name(contract, texts.language),
            "measure": data.measure_text(contract.headline.measure, "label", texts.language),
            "wave": data.wave,
        },
    )
    return rate_table(
        data,
        languages,
        rows,
        survey=survey,
        name=f"{survey}_domains",
        title=title,
        label_keys=("domain", "domain_type"),
        weightings=contract.unit_weightings,
        with_adopters=True,
    )


def measures_table(data: ReportData, languages: Sequence[Texts], survey: str) -> Table:
    """Every measure for the survey's total, both weightings side by side."""
    contract = data.survey(survey)
    rows = [
        RateRow(
            {texts.language: (data.measure_text(measure, "label", texts.language),) for texts in languages},
            _with_all_weightings(data, rate),
        )
        for measure in data.measures()
        for rate in data.rates(survey, contract.headline.domain_type, measure=measure)
    ]
    title = joined_title(
        languages,
        "tables.measures_title",
        lambda texts: {"survey": short_name(contract, texts.language), "wave": data.wave},
    )
    return rate_table(
        data,
        languages,
        rows,
        survey=survey,
        name=f"{survey}_measures",
        title=title,
        label_keys=("measure",),
        weightings=contract.unit_weightings,
        with_adopters=True,
    )


def field_tables(data: ReportData, languages: Sequence[Texts], survey: str) -> list[Table]:
    """Domains with measures of their own (fields that institutions serve): one table each."""
    contract = data.survey(survey)
    return [
        _field_table(data, languages, survey, domain.type, measure)
        for domain in contract.domains
        for measure in domain.measures
        if data.rates(survey, domain.type, measure=measure)
    ]


def _field_table(data: ReportData, languages: Sequence[Texts], survey: str, domain_type: str, measure: str) -> Table:
    contract = data.survey(survey)
    rows = [
        RateRow(
            {texts.language: (rate.labels[texts.language],) for texts in languages},
            _with_all_weightings(data, rate),
        )
        for rate in data.rates(survey, domain_type, measure=measure)
    ]
    title = joined_title(
        languages,
        "tables.fields_title",
        lambda texts: {
            "survey": short_name(contract, texts.language),
            "measure": data.measure_text(measure, "label", texts.language),
            "wave": data.wave,
        },
    )
    return rate_table(
        data,
        languages,
        rows,
        survey=survey,
        name=f"{survey}_{domain_type}",
        title=title,
        label_keys=("domain",),
        weightings=contract.unit_weightings,
        with_adopters=True,
    )


def series_rows(data: ReportData, languages: Sequence[Texts], survey: str) -> list[RateRow]:
    """The survey's headline by wave with the question it was asked by."""
    rows = []
    for rate in data.series(survey):
        question = data.question_versions[rate.question_version]
        names: dict[str, tuple[str, ...]] = {
            texts.language: (
                short_name(data.survey(survey), texts.language),
                str(rate.wave),
                str(getattr(question, f"label_{texts.language}")),
            )
            for texts in languages
        }
        rows.append(RateRow(names, _with_all_weightings(data, rate), BREAK if rate.is_break else ""))
    return rows


def series_table(data: ReportData, languages: Sequence[Texts]) -> Table:
    """The headline of every survey over the waves; the first point after a break is marked."""
    first = next(iter(data.surveys))
    headline = data.survey(first).headline
    table = rate_table(
        data,
        languages,
        [row for survey in data.surveys for row in series_rows(data, languages, survey)],
        survey=first,
        name="series",
        title=joined_title(
            languages,
            "tables.series_title",
            lambda texts: {"measure": data.measure_text(headline.measure, "label", texts.language)},
        ),
        label_keys=("survey", "wave", "question"),
        weightings=data.survey(first).unit_weightings,
    )
    # Counted in enterprises or in institutions, by row: the group's heading names neither
    named = list(dict.fromkeys(column.group for column in table.columns if column.group))
    groups = {
        group: joined_title(languages, f"tables.weighting_value.{weighting}", lambda _: {})
        for group, weighting in zip(named, data.survey(first).unit_weightings, strict=True)
    }
    columns = [dataclasses.replace(column, group=groups.get(column.group, column.group)) for column in table.columns]
    return dataclasses.replace(table, columns=tuple(columns))


# Heading, what the cells hold, column of mart.progress
_PROGRESS: tuple[tuple[str, Kind, str], ...] = (
    ("target", "share", "target"),
    ("estimate", "share", "estimate"),
    ("gap", "points", "gap_pp"),
    ("gap_se", "points", "gap_se_pp"),
    ("share_of_distance", "share", "share_of_distance"),
    ("observed", "points", "observed_pp_per_year"),
    ("observed_se", "points", "observed_se_pp"),
    ("required", "points", "required_pp_per_year"),
    ("ratio", "ratio", "progress_ratio"),
)


def progress_table(data: ReportData, languages: Sequence[Texts]) -> Table:
    """Distance to the national target and pace, for every domain that is not a cross."""
    headings = Headings(languages)
    columns = [
        column
        for key in ("domain", "domain_type", "survey")
        for column in headings.label_columns(f"tables.column.{key}")
    ]
    columns += [Column(headings.heading(f"tables.column.{key}"), kind) for key, kind, _ in _PROGRESS]
    rows = []
    for survey, contract in data.surveys.items():
        for domain in contract.domains:
            for rate in data.rates(survey, domain.type) if len(domain.columns) < 2 else []:
                progress = data.progress(rate)
                if progress is not None:
                    at = row_address("progress", progress, PROGRESS_KEY)
                    # What cannot be had because of the baseline has the baseline's mark
                    baseline = _same(data, rate, progress["baseline_wave"]) if rate.is_shown else None
                    numbers = [
                        number_cell(
                            progress[source], kind, languages[0], baseline or rate, source=cell_address(at, source)
                        )
                        for _, kind, source in _PROGRESS
                    ]
                    names = [text_cell(name) for name in _domain_names(data, languages, rate)]
                    rows.append((*names, *numbers))
    title = joined_title(languages, "tables.progress_title", lambda _: {"wave": data.wave})
    return Table("progress", title, tuple(columns), tuple(rows))


def _domain_names(data: ReportData, languages: Sequence[Texts], rate: Rate) -> list[str]:
    """Domain, its kind and its survey, each in every language."""
    return [
        *(rate.labels[texts.language] for texts in languages),
        *(domain_type_label(data, rate.domain_type, texts.language) for texts in languages),
        *(short_name(data.survey(rate.survey), texts.language) for texts in languages),
    ]


def suppressed_rates(data: ReportData) -> tuple[list[Rate], int, int]:
    """Estimates of the headline measure in this wave that are not shown; how many there are; how many are [e]."""
    everything = [
        rate
        for survey, contract in data.surveys.items()
        for domain_type in data.domain_types(survey)
        for weighting in contract.unit_weightings
        for rate in data.rates(survey, domain_type, weighting=weighting)
    ]
    hidden = [rate for rate in everything if rate.reliability in HIDDEN]
    return hidden, len(everything), sum(rate.reliability == CAUTION for rate in everything)


def suppressed_table(data: ReportData, languages: Sequence[Texts]) -> Table:
    """What is not shown, with n and reason."""
    headings = Headings(languages)
    columns = [
        column
        for key in ("domain", "domain_type", "survey", "weighting")
        for column in headings.label_columns(f"tables.column.{key}")
    ]
    columns.append(Column(headings.heading("tables.column.n"), "count"))
    columns += headings.per_language("text", "tables.column.reason")
    rows = []
    for rate in suppressed_rates(data)[0]:
        contract = data.survey(rate.survey)
        names = _domain_names(data, languages, rate)
        names += [weighting_text(contract, rate.unit_weighting, texts) for texts in languages]
        rows.append(
            (
                *(text_cell(name) for name in names),
                rate_cell(rate, "n", "count", languages[0]),
                *(text_cell("; ".join(reasons(data, rate, texts.language))) for texts in languages),
            )
        )
    title = joined_title(languages, "suppressed.title", lambda _: {"wave": data.wave})
    return Table("suppressed", title, tuple(columns), tuple(rows))
