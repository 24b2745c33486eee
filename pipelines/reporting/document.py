"""What the annual report says, in no particular form: the content of the HTML page and of the printed ones.

Belongs here: which figures, sentences and tables the report has, their numbers, and their order. Does not
belong here: what a sentence says (sentences), how a chart is drawn (charts), or how anything looks (html,
pdf, templates).
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from pipelines.reporting import (
    comparison_figures,
    comparison_tables,
    estimate_tables,
    numbers,
    outlook,
    outside,
    process_tables,
    revisions,
    sentences,
)
from pipelines.reporting.blanking import CONFIDENTIAL
from pipelines.reporting.data import ReportData
from pipelines.reporting.figures import Figure, ranking_figure, technology_figure
from pipelines.reporting.ladder_figures import ladder_figure
from pipelines.reporting.numbers import Language
from pipelines.reporting.sentences import Headline
from pipelines.reporting.series_figures import series_figure
from pipelines.reporting.tables import Table
from pipelines.reporting.texts import Texts


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The domains of one survey by rate."""

    survey: str
    section: str
    sentences: tuple[str, ...]
    proposal: str
    figures: tuple[Figure, ...]
    small_areas: Figure | None


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Stages, technologies with what each is, and regions; `missing` says where none may be shown."""

    missing: tuple[str, ...]
    stages: tuple[Figure, ...]
    technologies: tuple[Figure, ...]
    technology_list: tuple[tuple[str, str], ...]
    regions: tuple[Figure, ...]
    region_sentences: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SurveyChanges:
    """What changed in one survey since the wave before."""

    figure: Figure
    sentences: tuple[str, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What changed since the wave before."""

    section: str
    surveys: tuple[SurveyChanges, ...]


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Figures of others beside ours: a chart a survey, and the table of all."""

    figures: tuple[Figure, ...]
    table: Table


@dataclass(frozen=True, kw_only=True)
class Suppressed:
    """What is not shown; `table` is None where everything is."""

    lead: str
    caution: str
    table: Table | None


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Response, quality indicators and revisions; `response` is empty where no rate is known."""

    response: str
    revised: str
    tables: tuple[Table, ...]


@dataclass(frozen=True, kw_only=True)
class MethodItem:
    """A paragraph on method; its formulas are set with the marks `i` and `sub` of HTML, and no other."""

    heading: str
    body: Markup


@dataclass(frozen=True, kw_only=True)
class Method:
    """How it was measured."""

    items: tuple[MethodItem, ...]
    targets: tuple[str, ...]
    definitions: Table


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where it is from, how to cite it, and what was published beside it."""

    cite: str
    files: tuple[tuple[str, str], ...]
    deliveries: Table
    balance: Table
    versions: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Document:
    """The report in one language. Figures and tables are numbered in the order of the fields.

    Attributes:
        data: what it was made from.
        corrections: headlines that the release before printed differently.
        notices: what persons answer for by name.
        breaks: heading and reason of each break of the series.
        readings: how a target is read, by survey.
        changes: None where there is no wave to compare with.
        sources: None where others have published nothing.
    """

    data: ReportData
    heading: str
    dates: tuple[str, ...]
    corrections: tuple[str, ...]
    notices: tuple[str, ...]
    headlines: Mapping[str, Headline]
    trend: tuple[Figure, ...]
    breaks: tuple[tuple[str, str], ...]
    readings: Mapping[str, str]
    rankings: tuple[Ranking, ...]
    profile: Profile
    changes: Changes | None
    sources: Sources | None
    tables: tuple[Table, ...]
    suppressed: Suppressed
    quality: Quality
    method: Method
    provenance: Provenance


@dataclass
class _Numbering:
    """Ids of figures and tables, in the order they are asked for."""

    release: str
    texts: Texts
    figures: int = 0
    tables: int = 0

    def figure(self, figure: Figure) -> Figure:
        self.figures += 1
        id_ = f"{self.release}-F{self.figures:02d}"
        # The table behind a figure is the figure again: it carries the same number
        table = dataclasses.replace(figure.table, id=self.texts("common.figure_id", id=id_))
        return dataclasses.replace(figure, id=self.texts("common.figure_id", id=id_), table=table)

    def table(self, table: Table) -> Table:
        self.tables += 1
        return dataclasses.replace(table, id=self.texts("common.table_id", id=f"{self.release}-T{self.tables:02d}"))


def document_of(data: ReportData, language: Language, template_dir: Path) -> Document:
    """The report in one language by the words of a folder, made once for all forms of a release.

    It is kept with the data, so that a process that is handed them need not make it again.

    Raises:
        AxstatError: as :func:`build_document`.
    """
    made: dict[tuple[Language, Path], Document] = vars(data).setdefault("_documents", {})
    if (language, template_dir) not in made:
        made[(language, template_dir)] = build_document(data, Texts(template_dir, language))
    return made[(language, template_dir)]


def build_document(data: ReportData, texts: Texts) -> Document:
    """The report in the language of `texts`; the same data give the same document.

    Raises:
        AxstatError: the headline is missing, a code has no label, or a text is missing.
    """
    numbering = _Numbering(data.release, texts)
    return Document(
        data=data,
        heading=_heading(data, texts),
        dates=tuple(_dates(data, texts)),
        corrections=tuple(revisions.correction_notice(data, texts)),
        notices=tuple(notice.sentence(texts) for notice in data.notices),
        headlines={survey: sentences.headline(data, survey, texts) for survey in data.surveys},
        trend=tuple(numbering.figure(series_figure(data, texts, survey)) for survey in data.surveys),
        breaks=tuple(sentences.break_sentences(data, texts)),
        readings={
            survey: str(getattr(target, f"interpretation_{texts.language}")) for survey, target in data.targets.items()
        },
        rankings=tuple(_rankings(data, texts, numbering)),
        profile=_profile(data, texts, numbering),
        changes=_changes(data, texts, numbering),
        sources=_sources(data, texts, numbering),
        tables=_tables(data, texts, numbering),
        suppressed=_suppressed(data, texts, numbering),
        quality=_quality(data, texts, numbering),
        method=_method(data, texts, numbering),
        provenance=_provenance(data, texts, numbering),
    )


def _heading(data: ReportData, texts: Texts) -> str:
    values: dict[str, object] = {"wave": data.wave}
    if not all(data.headline(survey).is_shown for survey in data.surveys):
        return texts("document.heading_without", **values)
    for survey, contract in data.surveys.items():
        values[survey] = numbers.per_cent(data.headline(survey).value()[0], texts.language)
        values[f"{survey}_name"] = sentences.short_name(contract, texts.language)
    return texts("document.heading", **values)


def _dates(data: ReportData, texts: Texts) -> list[str]:
    language = texts.language
    lines = [
        texts("document.reference", wave=data.wave),
        texts("document.release", release=data.release),
        texts("document.published", date=numbers.day(data.publication_date, language)),
    ]
    for survey, contract in data.surveys.items():
        if survey in data.collection:
            period = numbers.period(*data.collection[survey], language)
            name = sentences.short_name(contract, language)
            lines.append(texts("document.collection", survey=name, period=period))
    return lines


# What the ranking sections show: survey, domain type, and the domain type of the small chart beside
_RANKED = (("industry", "ax_industry", "size_class"), ("public", "public_sector", "institution_type"))


def _rankings(data: ReportData, texts: Texts, numbering: _Numbering) -> Iterator[Ranking]:
    for survey, domain_type, beside in _RANKED:
        rates = data.rates(survey, domain_type)
        if not rates:
            continue
        contract = data.survey(survey)
        figures = [
            ranking_figure(data, texts, survey, domain_type, weighting=weighting, both_widths=number == 0)
            for number, weighting in enumerate(
                sorted(contract.unit_weightings, key=lambda name: name != contract.headline.unit_weighting)
            )
        ]
        figures.append(ranking_figure(data, texts, survey, beside, both_widths=False))
        by_model = comparison_figures.small_area_figure(data, texts, survey)
        yield Ranking(
            survey=survey,
            section=texts(f"{survey}.section", count=len(rates)),
            sentences=tuple(sentences.ranking_sentences(data, rates, texts)),
            proposal=sentences.proposal_sentence(data, rates, texts),
            figures=tuple(numbering.figure(figure) for figure in figures if figure),
            small_areas=None if by_model is None else numbering.figure(by_model),
        )


# Asked with the technologies, so that a wave has both or neither
_ANY_STAGE = "stage_none"


def _profile(data: ReportData, texts: Texts, numbering: _Numbering) -> Profile:
    def numbered(*figures: Figure | None) -> tuple[Figure, ...]:
        return tuple(numbering.figure(figure) for figure in figures if figure)

    language = texts.language
    regions = data.rates("industry", "region")
    return Profile(
        missing=tuple(
            texts("profile.nothing", survey=sentences.short_name(contract, language))
            for survey, contract in data.surveys.items()
            if data.rates(survey, contract.headline.domain_type, measure=_ANY_STAGE)
            and technology_figure(data, texts, survey) is None
        ),
        stages=numbered(
            ladder_figure(data, texts, "industry", ("total", "ax_industry")),
            ladder_figure(data, texts, "public", ("total", "institution_type"), both_widths=False),
        ),
        technologies=numbered(
            technology_figure(data, texts, "industry"),
            technology_figure(data, texts, "public"),
        ),
        technology_list=tuple(
            (getattr(item, f"label_{language}"), getattr(item, f"description_{language}"))
            for item in data.classifications["ai_technologies"].items
        ),
        regions=numbered(ranking_figure(data, texts, "industry", "region")),
        region_sentences=tuple(sentences.ranking_sentences(data, regions, texts)),
    )


def _changes(data: ReportData, texts: Texts, numbering: _Numbering) -> Changes | None:
    if not comparison_figures.has_changes(data):
        return None
    of_surveys = []
    for survey, domain_type, _ in _RANKED:
        figure = comparison_figures.change_figure(data, texts, survey, domain_type)
        if figure is not None:
            made = (
                comparison_tables.flows_table(data, [texts], survey),
                comparison_tables.parts_table(data, [texts], survey),
            )
            of_surveys.append(
                SurveyChanges(
                    figure=numbering.figure(figure),
                    sentences=tuple(comparison_figures.change_sentences(data, texts, survey)),
                    tables=tuple(numbering.table(table) for table in made),
                )
            )
    return Changes(section=texts("changes.section", wave=data.wave), surveys=tuple(of_surveys))


def _sources(data: ReportData, texts: Texts, numbering: _Numbering) -> Sources | None:
    table = outside.sources_table(data, [texts])
    if not table.rows:
        return None
    found = [outside.sources_figure(data, texts, survey) for survey in data.surveys]
    return Sources(
        figures=tuple(numbering.figure(figure) for figure in found if figure is not None),
        table=numbering.table(table),
    )


def _tables(data: ReportData, texts: Texts, numbering: _Numbering) -> tuple[Table, ...]:
    made = [
        estimate_tables.series_table(data, [texts]),
        estimate_tables.progress_table(data, [texts]),
    ]
    for survey in data.surveys:
        made.append(estimate_tables.domains_table(data, [texts], survey))
        made.append(estimate_tables.measures_table(data, [texts], survey))
        made.append(outlook.scenario_table(data, [texts], survey))
        made.append(comparison_tables.changes_table(data, [texts], survey))
        made += estimate_tables.field_tables(data, [texts], survey)
    return tuple(numbering.table(table) for table in made if table.rows)


def _measure_label(data: ReportData, texts: Texts) -> str:
    measure = next(iter(data.surveys.values())).headline.measure
    return data.measure_text(measure, "label", texts.language)


def _suppressed(data: ReportData, texts: Texts, numbering: _Numbering) -> Suppressed:
    hidden, everything, cautioned = estimate_tables.suppressed_rates(data)
    language = texts.language
    values = {"wave": data.wave, "measure": _measure_label(data, texts)}
    lead = []
    secret = sum(rate.reliability == CONFIDENTIAL for rate in hidden)
    counts = {"total": numbers.count(everything, language), "count": numbers.count(len(hidden) - secret, language)}
    if len(hidden) > secret:
        lead.append(texts("suppressed.lead", **counts, **values))
    if secret:
        counts["count"] = numbers.count(secret, language)
        lead.append(texts("suppressed.secret", **counts, **values))
    return Suppressed(
        lead=" ".join(lead) or texts("suppressed.none", **values),
        caution=texts("suppressed.caution", count=numbers.count(cautioned, language)) if cautioned else "",
        table=numbering.table(estimate_tables.suppressed_table(data, [texts])) if hidden else None,
    )


def _quality(data: ReportData, texts: Texts, numbering: _Numbering) -> Quality:
    response = _response_rates(data, texts)
    made = [
        process_tables.quality_table(data, [texts]),
        revisions.triangle_table(data, [texts]),
        revisions.changes_table(data, [texts]),
        process_tables.weights_table(data, [texts]),
    ]
    return Quality(
        revised=revisions.revised_sentence(data, texts),
        response=texts("quality.response", rates=texts.listed(response)) if response else "",
        tables=tuple(numbering.table(table) for table in made if table.rows),
    )


def _response_rates(data: ReportData, texts: Texts) -> list[str]:
    indicators = data.marts["quality_indicator"]
    found = []
    for survey, contract in data.surveys.items():
        row = indicators.filter(
            (indicators["survey"] == survey)
            & (indicators["wave"] == data.wave)
            & (indicators["indicator"] == "RR3")
            & (indicators["domain_type"] == "total")
        )
        if row.height == 1 and row["value"][0] is not None:
            name = sentences.short_name(contract, texts.language)
            found.append(f"{name} {numbers.per_cent(row['value'][0], texts.language)}")
    return found


def _method(data: ReportData, texts: Texts, numbering: _Numbering) -> Method:
    language = texts.language
    contract = next(iter(data.surveys.values()))
    values = {**data.surveys, "level": sentences.level(contract, language)}
    return Method(
        items=tuple(
            MethodItem(heading=item["heading"], body=texts.markup(item["body"], **values))
            for item in texts.raw("method.items")
        ),
        targets=tuple(
            texts(
                "method.target",
                name=sentences.short_name(data.survey(survey), language),
                year=target.year,
                target=numbers.whole_per_cent(target.value, language),
                definition=getattr(target, f"definition_{language}"),
                denominator=getattr(target, f"denominator_{language}"),
                interpretation=getattr(target, f"interpretation_{language}"),
                source=target.source_ko if language == "ko" else target.source,
            )
            for survey, target in data.targets.items()
        ),
        definitions=numbering.table(process_tables.definitions_table(data, [texts])),
    )


def _provenance(data: ReportData, texts: Texts, numbering: _Numbering) -> Provenance:
    date = numbers.day(data.publication_date, texts.language)
    cite = "provenance.cite_synthetic" if data.synthetic else "provenance.cite"
    return Provenance(
        cite=texts(cite, wave=data.wave, release=data.release, date=date),
        files=tuple((name, labels[texts.language]) for name, labels in data.files.items()),
        deliveries=numbering.table(process_tables.deliveries_table(data, [texts])),
        balance=numbering.table(process_tables.balance_table(data, [texts])),
        versions=tuple(data.versions.items()),
    )
