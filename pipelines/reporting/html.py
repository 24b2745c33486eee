"""The annual report as one HTML file that needs nothing beside it.

Belongs here: the order of sections, numbering, and putting texts, figures, style, script and typeface
into the template. Does not belong here: what a sentence says, how a chart is drawn, or markup
(templates).
"""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from pipelines.reporting import (
    comparison_figures,
    comparison_tables,
    estimate_tables,
    numbers,
    outlook,
    outside,
    process_tables,
    sentences,
)
from pipelines.reporting.data import ReportData
from pipelines.reporting.drawing import PALETTE
from pipelines.reporting.figures import (
    Figure,
    ladder_figure,
    ranking_figure,
    series_figure,
    technology_figure,
)
from pipelines.reporting.fonts import embedded_font
from pipelines.reporting.numbers import Language
from pipelines.reporting.tables import Cell, Column, Table
from pipelines.reporting.texts import Texts

_TEMPLATE = "report.html.jinja"


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


def page_environment(template_dir: Path) -> Environment:
    """How every page is made from its template: text is escaped, and a name that is not given is an error."""
    return Environment(
        loader=FileSystemLoader(template_dir),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render_report(data: ReportData, language: Language, *, template_dir: Path) -> str:
    """The report in one language; the same data give the same text, byte for byte.

    Args:
        data: what is printed.
        language: ``ko`` or ``en``.
        template_dir: the folder `reports/annual`.

    Raises:
        AxstatError: the headline is missing, a code has no label, or a text is missing.
    """
    texts = Texts(template_dir, language)
    environment = page_environment(template_dir)
    environment.globals["svg"] = inline_svg
    environment.filters["tight"] = _tight
    environment.filters["group_runs"] = _group_runs
    environment.filters["data_value"] = _data_value
    context = _context(data, texts)
    body = environment.get_template(_TEMPLATE).render(
        **context,
        t=texts,
        language=language,
        script=Markup((template_dir / "script.js").read_text(encoding="utf-8")),
        style="@@STYLE@@",
    )
    style = (template_dir / "style.css").read_text(encoding="utf-8")
    font = embedded_font([body, *_standing_texts(data, template_dir)])
    return body.replace("@@STYLE@@", f"{font_face(font)}\n{chart_colours()}\n{style}", 1)


def _standing_texts(data: ReportData, template_dir: Path) -> Iterator[str]:
    """All wordings and labels, used or not: with them all reports take the same subset, which is made once."""
    for pattern in ("texts.*.yaml", "*.jinja"):
        yield from (path.read_text(encoding="utf-8") for path in sorted(template_dir.glob(pattern)))
    yield from map(repr, (data.classifications, data.surveys, data.targets, data.question_versions))
    yield from (repr(data.marts[name].rows()) for name in ("domain", "measure"))


def font_face(font: str) -> str:
    """The rule that embeds the typeface, given as base64 of WOFF2."""
    source = f"url(data:font/woff2;base64,{font}) format('woff2')"
    return f"@font-face{{font-family:'Noto Sans KR Report';src:{source};font-display:block}}"


def chart_colours() -> str:
    """Rules that give each colour of the charts to the variable of the reader's theme."""
    return "\n".join(
        f'svg [fill="{value}"]{{fill:var(--c-{name.replace("_", "-")})}}'
        f'svg [stroke="{value}"]{{stroke:var(--c-{name.replace("_", "-")})}}'
        for name, value in PALETTE.items()
    )


def inline_svg(drawing: str, alternative: str, css_class: str) -> Markup:
    """An inline chart with its alternative text."""
    opening = Markup('<svg role="img" class="chart {}" aria-label="{}" ').format(css_class, alternative)
    return opening + Markup(drawing.removeprefix("<svg ").replace(' class="marks"', "", 1))


# Numbers with unit, interval and Korean particle, and short brackets: not to be broken over lines
_KEPT_TOGETHER = re.compile(r"\([^()]{1,24}\)[가-힣]*|[+−]?\d[\d.,–]*(?:\u00a0%p?)?[가-힣]*")


def _tight(text: str) -> Markup:
    """Text for HTML in which numbers and short brackets stay on one line."""
    parts = []
    end = 0
    for match in _KEPT_TOGETHER.finditer(text):
        parts += [
            escape(text[end : match.start()]),
            Markup('<span class="nb">{}</span>').format(match.group()),
        ]
        end = match.end()
    return Markup("").join([*parts, escape(text[end:])])


def _group_runs(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Groups of headings with the number of columns each stands over."""
    runs = groupby(column.group for column in columns)
    return [(group, len(list(members))) for group, members in runs]


def _data_value(cell: Cell, kind: str) -> Markup:
    """Attributes of a cell: the unrounded value in the column's unit, or how text is set."""
    if kind in _TEXT_CLASSES:
        return Markup(' class="{}"').format(_TEXT_CLASSES[kind])
    kind = cell.kind or kind
    if kind == "mark" or not isinstance(cell.value, int | float):
        return Markup("")
    value = numbers.hundredfold(cell.value) if kind == "share" else cell.value
    return Markup(' data-v="{}"').format(f"{value:.12g}")


_TEXT_CLASSES = {"text": "w", "code": "c"}


def _context(data: ReportData, texts: Texts) -> dict[str, Any]:
    numbering = _Numbering(data.release, texts)
    headlines = {survey: sentences.headline(data, survey, texts) for survey in data.surveys}
    trend = [numbering.figure(series_figure(data, texts, survey)) for survey in data.surveys]
    rankings = list(_rankings(data, texts, numbering))
    return {
        "data": data,
        "heading": _heading(data, texts),
        "dates": _dates(data, texts),
        "headlines": headlines,
        "notices": [notice.sentence(texts) for notice in data.notices],
        "trend": trend,
        "breaks": sentences.break_sentences(data, texts),
        "readings": {
            survey: str(getattr(target, f"interpretation_{texts.language}")) for survey, target in data.targets.items()
        },
        "rankings": rankings,
        "profile": _profile(data, texts, numbering),
        "changes": _changes(data, texts, numbering),
        "tables": _tables(data, texts, numbering),
        "suppressed": _suppressed(data, texts, numbering),
        "quality": _quality(data, texts, numbering),
        "method": _method(data, texts, numbering),
        "provenance": _provenance(data, texts, numbering),
    }


def _heading(data: ReportData, texts: Texts) -> str:
    values: dict[str, object] = {"wave": data.wave}
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


def _rankings(data: ReportData, texts: Texts, numbering: _Numbering) -> Iterator[dict[str, Any]]:
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
        yield {
            "survey": survey,
            "section": texts(f"{survey}.section", count=len(rates)),
            "sentences": sentences.ranking_sentences(data, rates, texts),
            "proposal": sentences.proposal_sentence(data, rates, texts),
            "figures": [numbering.figure(figure) for figure in figures if figure],
            "small_areas": None if by_model is None else numbering.figure(by_model),
        }


def _profile(data: ReportData, texts: Texts, numbering: _Numbering) -> dict[str, Any]:
    """Region, stages and technologies, with what each technology is."""

    def numbered(*figures: Figure | None) -> list[Figure]:
        return [numbering.figure(figure) for figure in figures if figure]

    language = texts.language
    regions = data.rates("industry", "region")
    return {
        "stages": numbered(
            ladder_figure(data, texts, "industry", ("total", "ax_industry")),
            ladder_figure(data, texts, "public", ("total", "institution_type"), both_widths=False),
        ),
        "technologies": numbered(technology_figure(data, texts, "industry"), technology_figure(data, texts, "public")),
        "technology_list": [
            (getattr(item, f"label_{language}"), getattr(item, f"description_{language}"))
            for item in data.classifications["ai_technologies"].items
        ],
        "regions": numbered(ranking_figure(data, texts, "industry", "region")),
        "region_sentences": sentences.ranking_sentences(data, regions, texts),
    }


def _changes(data: ReportData, texts: Texts, numbering: _Numbering) -> dict[str, Any] | None:
    """What changed since the wave before: sentences, charts and flows; None where no wave can be compared with."""
    if not comparison_figures.has_changes(data):
        return None
    of_surveys = []
    for survey, domain_type, _ in _RANKED:
        figure = comparison_figures.change_figure(data, texts, survey, domain_type)
        if figure is not None:
            of_surveys.append(
                {
                    "figure": numbering.figure(figure),
                    "sentences": comparison_figures.change_sentences(data, texts, survey),
                    "tables": [
                        numbering.table(table)
                        for table in (
                            comparison_tables.flows_table(data, [texts], survey),
                            comparison_tables.parts_table(data, [texts], survey),
                        )
                    ],
                }
            )
    return {"section": texts("changes.section", wave=data.wave), "surveys": of_surveys}


def _tables(data: ReportData, texts: Texts, numbering: _Numbering) -> list[Table]:
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
    made.append(outside.sources_table(data, [texts]))
    return [numbering.table(table) for table in made if table.rows]


def _measure_label(data: ReportData, texts: Texts) -> str:
    measure = next(iter(data.surveys.values())).headline.measure
    return data.measure_text(measure, "label", texts.language)


def _suppressed(data: ReportData, texts: Texts, numbering: _Numbering) -> dict[str, Any]:
    hidden, everything, cautioned = estimate_tables.suppressed_rates(data)
    language = texts.language
    values = {"wave": data.wave, "measure": _measure_label(data, texts)}
    lead = (
        texts(
            "suppressed.lead",
            total=numbers.count(everything, language),
            count=numbers.count(len(hidden), language),
            **values,
        )
        if hidden
        else texts("suppressed.none", **values)
    )
    return {
        "lead": lead,
        "caution": texts("suppressed.caution", count=numbers.count(cautioned, language)) if cautioned else "",
        "table": numbering.table(estimate_tables.suppressed_table(data, [texts])) if hidden else None,
    }


def _quality(data: ReportData, texts: Texts, numbering: _Numbering) -> dict[str, Any]:
    response = _response_rates(data, texts)
    made = [process_tables.quality_table(data, [texts]), process_tables.weights_table(data, [texts])]
    return {
        "response": texts("quality.response", rates=texts.listed(response)) if response else "",
        "tables": [numbering.table(table) for table in made if table.rows],
    }


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


def _method(data: ReportData, texts: Texts, numbering: _Numbering) -> dict[str, Any]:
    language = texts.language
    contract = next(iter(data.surveys.values()))
    values = {**data.surveys, "level": sentences.level(contract, language)}
    items = [
        {"heading": item["heading"], "body": texts.markup(item["body"], **values)} for item in texts.raw("method.items")
    ]
    targets = [
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
    ]
    return {
        "items": items,
        "targets": targets,
        "definitions": numbering.table(process_tables.definitions_table(data, [texts])),
    }


def _provenance(data: ReportData, texts: Texts, numbering: _Numbering) -> dict[str, Any]:
    date = numbers.day(data.publication_date, texts.language)
    cite = "provenance.cite_synthetic" if data.synthetic else "provenance.cite"
    return {
        "cite": texts(cite, wave=data.wave, release=data.release, date=date),
        "files": [(name, labels[texts.language]) for name, labels in data.files.items()],
        "deliveries": numbering.table(process_tables.deliveries_table(data, [texts])),
        "balance": numbering.table(process_tables.balance_table(data, [texts])),
        "versions": list(data.versions.items()),
    }
