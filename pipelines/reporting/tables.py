"""Tables of the report and the workbook, before they are HTML or cells of a sheet.

Belongs here: which rows and columns a table has, and each cell's value and text. Does not belong here: markup,
sheet formats, or sentences.

A table is made in one language (HTML) or in several (workbook): names then take a column a language, and headings
a line a language. No cell is blank: `[u]` is suppressed, `[x]` not available.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from pipelines.reporting import numbers
from pipelines.reporting.data import CAUTION, SUPPRESS, Rate, ReportData
from pipelines.reporting.sentences import reasons, short_name, unit_names, weighting_text
from pipelines.reporting.texts import Texts

# label: names the row. share: 0 to 1, shown in per cent. points: percentage points. ratio: plain, two decimals
Kind = Literal["label", "text", "code", "year", "count", "share", "points", "ratio", "mark"]

NOT_SHOWN = "[u]"
WITH_CAUTION = "[e]"
BREAK = "[b]"
NOT_AVAILABLE = "[x]"


@dataclass(frozen=True)
class Column:
    """A column: its heading (a line a language), what its cells hold, and the group it stands under."""

    heading: str
    kind: Kind
    group: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell: `value` unrounded (None where `text` is a mark), `text` as printed, `note` why."""

    value: float | str | None
    text: str
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table; `name` is fixed and names files and sheets."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    id: str = ""

    @property
    def has_groups(self) -> bool:
        """True when a second line of headings is needed."""
        return any(column.group for column in self.columns)


@dataclass(frozen=True)
class RateRow:
    """A row of estimates: its names by language, then one estimate a weighting."""

    names: Mapping[str, tuple[str, ...]]
    rates: Mapping[str, Rate | None]
    extra_mark: str = ""


@dataclass
class _Words:
    """Headings and names in the languages of the table."""

    languages: Sequence[Texts]
    values: Callable[[Texts], Mapping[str, object]] = field(default=lambda texts: {})

    def heading(self, key: str) -> str:
        return "\n".join(texts(key, **self.values(texts)) for texts in self.languages)

    def label_columns(self, key: str) -> list[Column]:
        return [Column(texts(key, **self.values(texts)), "label") for texts in self.languages]

    def per_language(self, kind: Kind, key: str) -> list[Column]:
        return [Column(texts(key, **self.values(texts)), kind) for texts in self.languages]


def _number(value: float | None, kind: Kind, texts: Texts, rate: Rate | None = None) -> Cell:
    """A cell of a number; a mark where there is none."""
    if value is None:
        hidden = rate is not None and rate.reliability == SUPPRESS
        return Cell(None, NOT_SHOWN if hidden else NOT_AVAILABLE)
    language = texts.language
    if kind == "count":
        return Cell(value, numbers.count(value, language))
    if kind == "share":
        return Cell(value, numbers.number_of_per_cent(value, language))
    if kind == "points":
        return Cell(value, numbers.decimal(value, language))
    if kind == "ratio":
        return Cell(value, numbers.decimal(value, language, digits=2))
    return Cell(value, str(value))


def _text(value: object, kind: Kind = "text") -> Cell:
    if value is None or value == "":
        return Cell(None, NOT_AVAILABLE)
    return Cell(value if isinstance(value, int | float) else str(value), str(value))


def _mark(data: ReportData, rate: Rate | None, texts: Texts, extra: str = "") -> Cell:
    """The marks beside an estimate; an empty mark is not a blank cell but says there is nothing to say."""
    marks, note = [], ""
    if rate is not None and rate.reliability in (SUPPRESS, CAUTION):
        marks.append(NOT_SHOWN if rate.reliability == SUPPRESS else WITH_CAUTION)
        note = reasons(data, rate, texts.language)
    if extra:
        marks.append(extra)
    if not marks:
        return Cell("", "")
    return Cell(" ".join(marks), " ".join(marks), note)


def _hundred(value: float | None) -> float | None:
    return None if value is None else numbers.hundredfold(value)


def rate_table(
    data: ReportData,
    languages: Sequence[Texts],
    rows: Sequence[RateRow],
    *,
    survey: str,
    name: str,
    title: str,
    label_keys: Sequence[str],
    weightings: Sequence[str],
    with_adopters: bool = False,
    with_previous: bool = False,
    notes: Sequence[str] = (),
) -> Table:
    """Estimates with n, interval, standard error and marks; several weightings side by side.

    `label_keys` name the label columns in order; each `RateRow.names[language]` has one name for each.
    """
    contract = data.survey(survey)
    first = languages[0]
    words = _Words(languages, lambda texts: unit_names(contract, texts.language))
    columns = [column for key in label_keys for column in words.label_columns(f"tables.column.{key}")]
    columns.append(Column(words.heading("tables.column.n"), "count"))
    for weighting in weightings:
        group = ""
        if len(weightings) > 1:
            group = "\n".join(weighting_text(contract, weighting, texts) for texts in languages)
        columns += [
            Column(words.heading("tables.column.estimate"), "share", group),
            Column(words.heading("tables.column.ci_low"), "share", group),
            Column(words.heading("tables.column.ci_high"), "share", group),
            Column(words.heading("tables.column.se"), "points", group),
        ]
        if with_previous:
            columns.append(Column(words.heading("tables.column.previous"), "share", group))
        if with_adopters and weighting == contract.headline.unit_weighting:
            columns.append(Column(words.heading("tables.column.adopters"), "count", group))
        columns.append(Column(words.heading("tables.column.mark"), "mark", group))
        if len(languages) > 1:
            columns += [
                Column(c.heading, c.kind, group) for c in words.per_language("text", "tables.column.reason")
            ]

    made: list[tuple[Cell, ...]] = []
    for row in rows:
        cells = [
            _text(row.names[texts.language][position])
            for position in range(len(label_keys))
            for texts in languages
        ]
        some = next((rate for rate in row.rates.values() if rate is not None), None)
        cells.append(_number(some.n if some else None, "count", first))
        for weighting in weightings:
            rate = row.rates.get(weighting)
            cells += [
                _number(rate.estimate if rate else None, "share", first, rate),
                _number(rate.ci_low if rate else None, "share", first, rate),
                _number(rate.ci_high if rate else None, "share", first, rate),
                _number(_hundred(rate.se) if rate else None, "points", first, rate),
            ]
            if with_previous:
                earlier = data.previous(rate) if rate else None
                cells.append(_number(earlier.estimate if earlier else None, "share", first))
            if with_adopters and weighting == contract.headline.unit_weighting:
                cells.append(_number(rate.adopters if rate else None, "count", first, rate))
            cells.append(_mark(data, rate, first, row.extra_mark))
            if len(languages) > 1:
                cells += [_text(reasons(data, rate, texts.language) if rate else "") for texts in languages]
        made.append(tuple(cells))
    return Table(name, title, tuple(columns), tuple(made), tuple(notes))


def _title(languages: Sequence[Texts], key: str, values: Callable[[Texts], Mapping[str, object]]) -> str:
    return "\n".join(texts(key, **values(texts)) for texts in languages)


def _all_languages(
    languages: Sequence[Texts], name: Callable[[str], tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    return {texts.language: name(texts.language) for texts in languages}


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
            weighting: {
                rate.domain_code: rate for rate in data.rates(survey, domain_type, weighting=weighting)
            }
            for weighting in contract.unit_weightings
        }
        for rate in data.rates(survey, domain_type):

            def names(language: str, rate: Rate = rate, kind: str = domain_type) -> tuple[str, ...]:
                return domain_type_label(data, kind, language), rate.labels[language]

            rates = {weighting: found.get(rate.domain_code) for weighting, found in by_weighting.items()}
            rows.append(RateRow(_all_languages(languages, names), rates))
    return rate_table(
        data,
        languages,
        rows,
        survey=survey,
        name=f"{survey}_domains",
        title=_title(
            languages,
            "tables.domains_title",
            lambda texts: {
                "survey": short_name(contract, texts.language),
                "measure": data.measure_text(measure, "label", texts.language),
                "wave": data.wave,
            },
        ),
        label_keys=("domain_type", "domain"),
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

            rows.append(RateRow(_all_languages(languages, names), rates))
    return rate_table(
        data,
        languages,
        rows,
        survey=survey,
        name=f"{survey}_measures",
        title=_title(
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
                names = _all_languages(languages, lambda language, rate=rate: (rate.labels[language],))
                rows.append(RateRow(names, rates))
            if rows:
                title = _title(
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
            weighting: next(
                iter(data.rates(survey, rate.domain_type, weighting=weighting, wave=rate.wave)), None
            )
            for weighting in contract.unit_weightings
        }
        rows.append(RateRow(_all_languages(languages, names), rates, BREAK if rate.is_break else ""))
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
        title=_title(
            languages,
            "tables.series_title",
            lambda texts: {"measure": data.measure_text(measure, "label", texts.language)},
        ),
        label_keys=("survey", "wave", "question"),
        weightings=data.survey(surveys[0]).unit_weightings,
    )
    # Counted in enterprises or in institutions, by row: the group's heading names neither
    groups = {
        column.group: _title(
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
    words = _Words(languages)
    columns = [
        column
        for key in ("survey", "domain_type", "domain")
        for column in words.label_columns(f"tables.column.{key}")
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
                    _text(part)
                    for name in (
                        lambda language: short_name(contract, language),
                        lambda language: domain_type_label(data, domain.type, language),
                        lambda language: rate.labels[language],
                    )
                    for part in (name(texts.language) for texts in languages)
                ]
                cells += [_number(progress[source], kind, first, rate) for _, kind, source in parts]
                rows.append(tuple(cells))
    return Table(
        "progress",
        _title(languages, "tables.progress_title", lambda texts: {"wave": data.wave}),
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
    words = _Words(languages)
    columns = [
        column
        for key in ("survey", "domain_type", "domain", "weighting")
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
                lambda texts: short_name(contract, texts.language),
                lambda texts: domain_type_label(data, rate.domain_type, texts.language),
                lambda texts: rate.labels[texts.language],
                lambda texts: weighting_text(contract, rate.unit_weighting, texts),
            )
            for name in (part(texts) for texts in languages)
        ]
        rows.append(
            (
                *(_text(name) for name in names),
                _number(rate.n, "count", languages[0]),
                *(_text(reasons(data, rate, texts.language)) for texts in languages),
            )
        )
    title = _title(languages, "suppressed.title", lambda texts: {"wave": data.wave})
    return Table("suppressed", title, tuple(columns), tuple(rows))


def quality_table(data: ReportData, languages: Sequence[Texts]) -> Table:
    """Quality indicators of this wave for whole surveys; one column a survey."""
    words = _Words(languages)
    frame = data.marts["quality_indicator"].filter(
        (pl.col("wave") == data.wave) & pl.col("domain_type").is_in(["total"])
    )
    found = {(row["indicator"], row["survey"]): row for row in frame.iter_rows(named=True)}
    columns = [
        *words.label_columns("tables.column.indicator"),
        Column(words.heading("tables.column.code"), "code"),
    ]
    for contract in data.surveys.values():
        columns.append(
            Column("\n".join(short_name(contract, texts.language) for texts in languages), "ratio")
        )
    rows = []
    for item in data.classifications["quality_indicators"].items:
        values = [found.get((item.code, survey)) for survey in data.surveys]
        if not any(values):
            continue
        rows.append(
            (
                *(_text(getattr(item, f"label_{texts.language}")) for texts in languages),
                _text(item.code),
                *(_in_its_unit(row, item.properties.get("unit", "ratio"), languages[0]) for row in values),
            )
        )
    title = _title(languages, "quality.indicators_title", lambda texts: {"wave": data.wave})
    return Table("quality", title, tuple(columns), tuple(rows))


def _in_its_unit(row: Mapping[str, object] | None, unit: str, texts: Texts) -> Cell:
    """A value whose unit is named by its row. Shares are printed with the sign: the column cannot say it."""
    if row is None or row["value"] is None:
        return Cell(None, NOT_AVAILABLE, "" if row is None else str(row.get("reason") or ""))
    value = float(str(row["value"]))
    if unit == "share":
        return Cell(value, numbers.per_cent(value, texts.language))
    digits = {"count": 0, "weight": 2, "ratio": 3}.get(unit, 3)
    return Cell(value, numbers.decimal(value, texts.language, digits=digits))


def weights_table(data: ReportData, languages: Sequence[Texts]) -> Table:
    """Weight diagnostics of this wave; one column a survey and step of weighting."""
    words = _Words(languages)
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
                    *(_text(getattr(item, f"label_{texts.language}")) for texts in languages),
                    *(_in_its_unit(row, unit, languages[0]) for row in values),
                )
            )
    title = _title(languages, "quality.weights_title", lambda texts: {"wave": data.wave})
    return Table("weights", title, tuple(columns), tuple(rows))


def deliveries_table(data: ReportData, languages: Sequence[Texts]) -> Table:
    """Every file that was delivered, up to this wave."""
    words = _Words(languages)
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
                _text(
                    " / ".join(short_name(survey, t.language) for t in languages) if survey else row["survey"]
                ),
                _text(row["wave"]),
                _text(row["contract"]),
                _text(row["delivery"]),
                _text(row["file_name"]),
                _number(row["rows_in"], "count", languages[0]),
                _text(f"{row['collection_start']} – {row['collection_end']}"),
                _text(" / ".join(t(f"provenance.status.{row['status']}") for t in languages)),
                _text(row["file_sha256"]),
            )
        )
    title = _title(languages, "provenance.deliveries_title", lambda texts: {})
    return Table("deliveries", title, columns, tuple(rows))


def balance_table(data: ReportData, languages: Sequence[Texts]) -> Table:
    """Rows in and what became of them, up to this wave."""
    words = _Words(languages)
    counts = ("rows_in", "core", "quarantined", "rejected", "superseded")
    keys: list[tuple[str, Kind]] = [("survey", "text"), ("wave", "year"), ("contract", "code")]
    keys += [(name, "count") for name in counts]
    columns = tuple(Column(words.heading(f"tables.column.{key}"), kind) for key, kind in keys)
    rows = []
    for row in (
        data.row_balance.filter(pl.col("wave") <= data.wave)
        .sort("survey", "wave", "contract")
        .iter_rows(named=True)
    ):
        survey = data.surveys.get(row["survey"])
        rows.append(
            (
                _text(
                    " / ".join(short_name(survey, t.language) for t in languages) if survey else row["survey"]
                ),
                _text(row["wave"]),
                _text(row["contract"]),
                *(_number(row[name], "count", languages[0]) for name in counts),
            )
        )
    title = _title(languages, "provenance.balance_title", lambda texts: {})
    return Table("balance", title, columns, tuple(rows))


def definitions_table(data: ReportData, languages: Sequence[Texts]) -> Table:
    """Every measure with its definition."""
    words = _Words(languages)
    columns = [Column(words.heading("tables.column.code"), "code")]
    columns += words.label_columns("tables.column.measure") + words.per_language(
        "text", "tables.column.definition"
    )
    rows = tuple(
        (
            _text(measure),
            *(_text(data.measure_text(measure, "label", texts.language)) for texts in languages),
            *(_text(data.measure_text(measure, "definition", texts.language)) for texts in languages),
        )
        for measure in data.measures()
    )
    title = _title(languages, "method.definitions_title", lambda texts: {})
    return Table("definitions", title, tuple(columns), rows)
