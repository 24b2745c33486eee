"""Tables of estimates: domains, measures, fields, the series, progress, and what is not shown.

Belongs here: which estimates a table holds. Does not belong here: how a row of estimates becomes cells
(tables).
"""

from collections.abc import Sequence

from pipelines.reporting.data import CAUTION, SUPPRESS, Rate, ReportData
from pipelines.reporting.sentences import reasons, short_name, weighting_text
from pipelines.reporting.tables import (
    BREAK,
    Column,
    Headings,
    Kind,
    RateRow,
    Table,
    all_languages,
    joined_title,
    number_cell,
    rate_table,
    text_cell,
)
from pipelines.reporting.texts import Texts


def domain_type_label(data: ReportData, domain_type: str, language: str) -> str:
    """The name of a kind of domain."""
    return str(getattr(data.classifications["domain_types"].item(domain_type), f"label_{language}"))


def domains_table(data: ReportData, languages: Sequence[Texts], survey: str) -> Table:
    """The headline measure in every domain, both weightings side by side."""
    contract = data.survey(survey)
    measure = contract.headline.measure
    rows = []
    for domain_type in data.domain_types(survey):
        by_weighting = {
            weighting: {rate.domain_code: rate for rate in data.rates(survey, domain_type, weighting=weighting)}
            for weighting in contract.unit_weightings
        }
        for rate in data.rates(survey, domain_type):

            def names(language: str, rate: Rate = rate, kind: str = domain_type) -> tuple[str, ...]:
                return rate.labels[language], domain_type_label(data, kind, language)

            rates = {weighting: found.get(rate.domain_code) for weighting, found in by_weighting.items()}
            rows.append(RateRow(all_languages(languages, names), rates))
    return rate_table(
        data,
        languages,
        rows,
        survey=survey,
        name=f"{survey}_domains",
        title=joined_title(
            languages,
            "tables.domains_title",
            lambda texts: {
                "survey": short_name(contract, texts.language),
                "measure": data.measure_text(measure, "label", texts.language),
                "wave": data.wave,
            },
        ),
        label_keys=("domain", "domain_type"),
        weightings=contract.unit_weightings,
        with_adopters=True,
    )


def measures_table(data: ReportData, languages: Sequence[Texts], survey: str) -> Table:
    """Every measure for the survey's total, both weightings side by side."""
    contract = data.survey(survey)
    rows = []
    for measure in data.measures():
        rates = {
            weighting: next(
                iter(data.rates(survey, contract.headline.domain_type, measure=measure, weighting=weighting)),
                None,
            )
            for weighting in contract.unit_weightings
        }
        if any(rates.values()):

            def names(language: str, measure: str = measure) -> tuple[str, ...]:
                return (data.measure_text(measure, "label", language),)

            rows.append(RateRow(all_languages(languages, names), rates))
    return rate_table(
        data,
        languages,
        rows,
        survey=survey,
        name=f"{survey}_measures",
        title=joined_title(
            languages,
            "tables.measures_title",
            lambda texts: {"survey": short_name(contract, texts.language), "wave": data.wave},
        ),
        label_keys=("measure",),
        weightings=contract.unit_weightings,
        with_adopters=True,
    )


def field_tables(data: ReportData, languages: Sequence[Texts], survey: str) -> list[Table]:
    """Domains with measures of their own (fields that institutions serve): one table each."""
    contract = data.survey(survey)
    made = []
    for domain in contract.domains:
        for measure in domain.measures:
            rows = []
            for rate in data.rates(survey, domain.type, measure=measure):
                rates = {
                    weighting: next(
                        (
                            found
                            for found in data.rates(survey, domain.type, measure=measure, weighting=weighting)
                            if found.domain_code == rate.domain_code
                        ),
                        None,
                    )
                    for weighting in contract.unit_weightings
                }
                names = all_languages(languages, lambda language, rate=rate: (rate.labels[language],))
                rows.append(RateRow(names, rates))
            if rows:
                title = joined_title(
                    languages,
                    "tables.fields_title",
                    lambda texts, measure=measure: {
                        "survey": short_name(contract, texts.language),
                        "measure": data.measure_text(measure, "label", texts.language),
                        "wave": data.wave,
                    },
                )
                made.append(
                    rate_table(
                        data,
                        languages,
                        rows,
                        survey=survey,
                        name=f"{survey}_{domain.type}",
                        title=title,
                        label_keys=("domain",),
                        weightings=contract.unit_weightings,
                        with_adopters=True,
                    )
                )
    return made


def series_rows(data: ReportData, languages: Sequence[Texts], survey: str) -> list[RateRow]:
    """The survey's headline by wave with the question it was asked by."""
    contract = data.survey(survey)
    rows = []
    for rate in data.series(survey):
        question = data.question_versions[rate.question_version]

        def names(language: str, rate: Rate = rate, question: object = question) -> tuple[str, ...]:
            return (
                short_name(contract, language), str(rate.wave), str(getattr(question, f"label_{language}")),
            )  # fmt: skip

        rates = {
            weighting: next(iter(data.rates(survey, rate.domain_type, weighting=weighting, wave=rate.wave)), None)
            for weighting in contract.unit_weightings
        }
        rows.append(RateRow(all_languages(languages, names), rates, BREAK if rate.is_break else ""))
    return rows


def series_table(data: ReportData, languages: Sequence[Texts], surveys: Sequence[str]) -> Table:
    """The headline of several surveys over the waves; the first point after a break is marked."""
    measure = data.survey(surveys[0]).headline.measure
    table = rate_table(
        data,
        languages,
        [row for survey in surveys for row in series_rows(data, languages, survey)],
        survey=surveys[0],
        name="series",
        title=joined_title(
            languages,
            "tables.series_title",
            lambda texts: {"measure": data.measure_text(measure, "label", texts.language)},
        ),
        label_keys=("survey", "wave", "question"),
        weightings=data.survey(surveys[0]).unit_weightings,
    )
    # Counted in enterprises or in institutions, by row: the group's heading names neither
    groups = {
        column.group: joined_title(
            languages, f"tables.weighting_value.{weighting}", lambda texts: {}
        )
        for weighting, column in zip(
            data.survey(surveys[0]).unit_weightings,
            [c for n, c in enumerate(table.columns) if c.group and c.group != table.columns[n - 1].group],
            strict=True,
        )
    }  # fmt: skip
    columns = tuple(Column(c.heading, c.kind, groups.get(c.group, "")) for c in table.columns)
    return Table(table.name, table.title, columns, table.rows)


def progress_table(data: ReportData, languages: Sequence[Texts]) -> Table:
    """Distance to the national target and pace, for every domain that is not a cross."""
    first = languages[0]
    words = Headings(languages)
    columns = [
        column for key in ("domain", "domain_type", "survey") for column in words.label_columns(f"tables.column.{key}")
    ]
    parts: list[tuple[str, Kind, str]] = [
        ("target", "share", "target"),
        ("estimate", "share", "estimate"),
        ("gap", "points", "gap_pp"),
        ("gap_se", "points", "gap_se_pp"),
        ("share_of_distance", "share", "share_of_distance"),
        ("observed", "points", "observed_pp_per_year"),
        ("observed_se", "points", "observed_se_pp"),
        ("required", "points", "required_pp_per_year"),
        ("ratio", "ratio", "progress_ratio"),
    ]
    columns += [Column(words.heading(f"tables.column.{key}"), kind) for key, kind, _ in parts]
    rows = []
    for survey, contract in data.surveys.items():
        for domain in contract.domains:
            if len(domain.columns) > 1:
                continue
            for rate in data.rates(survey, domain.type):
                progress = data.progress(rate)
                if progress is None:
                    continue
                cells = [
                    text_cell(part)
                    for name in (
                        lambda language: rate.labels[language],
                        lambda language: domain_type_label(data, domain.type, language),
                        lambda language: short_name(contract, language),
                    )
                    for part in (name(texts.language) for texts in languages)
                ]
                cells += [number_cell(progress[source], kind, first, rate) for _, kind, source in parts]
                rows.append(tuple(cells))
    return Table(
        "progress",
        joined_title(languages, "tables.progress_title", lambda texts: {"wave": data.wave}),
        tuple(columns),
        tuple(rows),
    )


def suppressed_rates(data: ReportData) -> tuple[list[Rate], int, int]:
    """Suppressed estimates of the headline measure in this wave; the number of all, and of those marked [e]."""
    everything = [
        rate
        for survey, contract in data.surveys.items()
        for domain_type in data.domain_types(survey)
        for weighting in contract.unit_weightings
        for rate in data.rates(survey, domain_type, weighting=weighting)
    ]
    hidden = [rate for rate in everything if rate.reliability == SUPPRESS]
    return hidden, len(everything), sum(rate.reliability == CAUTION for rate in everything)


def suppressed_table(data: ReportData, languages: Sequence[Texts]) -> Table:
    """What is not shown, with n and reason."""
    words = Headings(languages)
    columns = [
        column
        for key in ("domain", "domain_type", "survey", "weighting")
        for column in words.label_columns(f"tables.column.{key}")
    ]
    columns += [Column(words.heading("tables.column.n"), "count")]
    columns += words.per_language("text", "tables.column.reason")
    rows = []
    for rate in suppressed_rates(data)[0]:
        contract = data.survey(rate.survey)
        names = [
            name
            for part in (
                lambda texts: rate.labels[texts.language],
                lambda texts: domain_type_label(data, rate.domain_type, texts.language),
                lambda texts: short_name(contract, texts.language),
                lambda texts: weighting_text(contract, rate.unit_weighting, texts),
            )
            for name in (part(texts) for texts in languages)
        ]
        rows.append(
            (
                *(text_cell(name) for name in names),
                number_cell(rate.n, "count", languages[0]),
                *(text_cell(reasons(data, rate, texts.language)) for texts in languages),
            )
        )
    title = joined_title(languages, "suppressed.title", lambda texts: {"wave": data.wave})
    return Table("suppressed", title, tuple(columns), tuple(rows))
