"""The report's figures: which estimates each chart shows, with its title, notes, alternative text and table.

Belongs here: the choice of estimates and the texts around a chart. Does not belong here: how a chart is drawn
(charts), how the page is laid out (template).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.contracts.surveys import Survey
from pipelines.reporting import charts, numbers
from pipelines.reporting.blanking import CONFIDENTIAL, SUPPRESS
from pipelines.reporting.data import CAUTION, Rate, ReportData
from pipelines.reporting.drawing import NARROW, WIDE, Accent
from pipelines.reporting.sentences import (
    level,
    ranking_title,
    reasons,
    short_name,
    unit_names,
    weighting_text,
)
from pipelines.reporting.tables import NOT_AVAILABLE, RateRow, Table, mark_beside, mark_without, rate_table
from pipelines.reporting.texts import Texts


@dataclass(frozen=True)
class Figure:
    """A chart with everything printed around it. `name` is fixed and names files and anchors."""

    name: str
    title: str
    subtitle: str
    narrow: str
    wide: str | None
    alternative: str
    notes: tuple[str, ...]
    source: str
    table: Table
    id: str = ""


def chart_frame(data: ReportData, texts: Texts, survey: Survey) -> charts.Frame:
    """What stands around every chart of rates."""
    return charts.Frame(
        small_print=texts("synthetic.small_print") if data.synthetic else "",
        value_heading=texts("common.interval_heading", level=level(survey, texts.language)),
        n_heading=texts("common.n_heading"),
    )


def accent_of(survey: Survey) -> Accent:
    """The colour of a survey."""
    # The palette has an accent by survey code; a third survey needs a colour first
    return "public" if survey.survey == "public" else "industry"


def source_of(data: ReportData, texts: Texts, survey: Survey) -> str:
    """The line under a figure."""
    return texts("common.source", survey=getattr(survey, f"label_{texts.language}"), wave=data.wave)


def highest_first(rates: Sequence[Rate]) -> list[Rate]:
    """Highest first; what is not shown comes last."""
    return sorted(rates, key=lambda rate: (not rate.is_shown, -(rate.estimate or 0.0)))


def point_words(rate: Rate, label: str, text: str, texts: Texts) -> str:
    """What a point says when it is visited: label, estimate with interval and mark, standard error, n."""
    language = texts.language
    n = mark_without(rate.reliability) if rate.n is None else numbers.count(rate.n, language)
    if rate.se is None:
        return texts("chart.point_hidden", label=label, text=text, n=n)
    se = numbers.decimal(numbers.hundredfold(rate.se), language)
    return texts("chart.point", label=label, text=text, se=se, n=n)


def _dot(data: ReportData, rate: Rate, label: str, texts: Texts) -> charts.Dot:
    n = mark_without(rate.reliability) if rate.n is None else numbers.count(rate.n, texts.language)
    if not rate.is_shown:
        mark = mark_without(rate.reliability)
        reason = why_hidden(data, rate, texts)
        words = point_words(rate, label, f"{mark} {reason}", texts)
        return charts.Dot(label, mark, mark, n, reason=reason, words=words, source=rate.row_address)
    share, low, high = rate.value()
    mark = f" {mark_beside(rate.reliability)}".rstrip()
    earlier = data.previous(rate)
    text = (
        numbers.per_cent(share, texts.language)
        if rate.is_census
        else numbers.with_interval(share, low, high, texts.language)
    )
    return charts.Dot(
        label=f"{label} · {texts('chart.census_tag')}" if rate.is_census else label,
        text=text + mark,
        short=numbers.per_cent(share, texts.language) + mark,
        n=n,
        share=share,
        low=low,
        high=high,
        earlier=earlier.estimate if earlier else None,
        census=rate.is_census,
        words=point_words(rate, label, text + mark, texts),
        source=rate.row_address,
    )


def _label(data: ReportData, rate: Rate, texts: Texts, *, by_measure: bool) -> str:
    return data.measure_text(rate.measure, "label", texts.language) if by_measure else rate.labels[texts.language]


def _dots_figure(
    data: ReportData,
    texts: Texts,
    rates: Sequence[Rate],
    *,
    name: str,
    title: str,
    subtitle: str,
    notes: Sequence[str],
    both_widths: bool,
    by_measure: bool = False,
    with_target: bool = True,
) -> Figure:
    survey = data.survey(rates[0].survey)
    weighting = rates[0].unit_weighting
    ordered = highest_first(rates)
    dots = [_dot(data, rate, _label(data, rate, texts, by_measure=by_measure), texts) for rate in ordered]
    frame = chart_frame(data, texts, survey)
    target = reference = None
    if with_target:
        goal = data.targets[survey.survey]
        words = texts(
            "chart.national_target", target=numbers.whole_per_cent(goal.value, texts.language), year=goal.year
        )
        target = charts.Line(goal.value, words)
        total = data.rates(survey.survey, survey.headline.domain_type, weighting=weighting)[0]
        if total.is_shown:
            share = total.value()[0]
            words = texts(
                "chart.total_line",
                name=texts("common.total_short", survey=short_name(survey, texts.language)),
                estimate=numbers.per_cent(share, texts.language),
            )
            reference = charts.Line(share, words)

    def draw(width: int) -> str:
        return charts.dot_plot(dots, frame, accent=accent_of(survey), width=width, target=target, reference=reference)

    has_earlier = any(dot.earlier is not None for dot in dots)
    explained = [texts("chart.dot_note" if has_earlier else "chart.dot_note_first"), *notes]
    if any(dot.census for dot in dots):
        explained.append(texts("chart.census_note"))
    explained += _mark_notes(data, texts, ordered, by_measure=by_measure)
    table = rate_table(
        data,
        [texts],
        [
            RateRow(
                {texts.language: (_label(data, rate, texts, by_measure=by_measure),)},
                {rate.unit_weighting: rate},
            )
            for rate in ordered
        ],
        survey=survey.survey,
        name=name,
        title=f"{title} — {subtitle}",
        label_keys=("measure" if by_measure else "domain",),
        weightings=(weighting,),
        with_previous=has_earlier,
    )
    return Figure(
        name=name,
        title=title,
        subtitle=subtitle,
        narrow=draw(NARROW),
        wide=draw(WIDE) if both_widths else None,
        alternative=f"{title}. {subtitle}",
        notes=tuple(explained),
        source=source_of(data, texts, survey),
        table=table,
    )


def why_hidden(data: ReportData, rate: Rate, texts: Texts) -> str:
    """The weightiest reason for which an estimate is not shown, or to be used with caution."""
    return next(iter(reasons(data, rate, texts.language)), NOT_AVAILABLE)


_NOTES_BY_MARK = (
    (SUPPRESS, "chart.suppressed_note"), (CONFIDENTIAL, "chart.secret_note"), (CAUTION, "chart.caution_note"),
)  # fmt: skip


def _mark_notes(data: ReportData, texts: Texts, rates: Sequence[Rate], *, by_measure: bool) -> list[str]:
    """What is not shown, and what is to be used with caution, by the weightiest reason."""
    notes = []
    for reliability, key in _NOTES_BY_MARK:
        by_reason: dict[str, list[str]] = {}
        for rate in rates:
            if rate.reliability == reliability:
                reason = why_hidden(data, rate, texts)
                by_reason.setdefault(reason, []).append(_label(data, rate, texts, by_measure=by_measure))
        notes += [texts(key, reason=reason, names=texts.listed(names)) for reason, names in by_reason.items()]
    return notes


def ranking_figure(
    data: ReportData,
    texts: Texts,
    survey_code: str,
    domain_type: str,
    *,
    weighting: str | None = None,
    both_widths: bool = True,
) -> Figure | None:
    """Adoption in the domains of one type against the national target; None without estimates."""
    survey = data.survey(survey_code)
    rates = data.rates(survey_code, domain_type, weighting=weighting)
    if not rates:
        return None
    used = rates[0].unit_weighting
    kind = data.classifications["domain_types"].item(domain_type)
    domains = texts.raw(survey_code).get("domains") if domain_type in _TARGET_NOTE else None
    subtitle = texts(
        "ranking.subtitle",
        measure=data.measure_text(rates[0].measure, "label", texts.language),
        domain_type=getattr(kind, f"label_{texts.language}"),
        weighting=weighting_text(survey, used, texts),
        wave=data.wave,
        level=level(survey, texts.language),
        **unit_names(survey, texts.language),
    )
    return _dots_figure(
        data,
        texts,
        rates,
        name=f"{survey_code}_{domain_type}_{used}",
        title=ranking_title(rates, texts),
        subtitle=subtitle,
        notes=[texts("chart.target_note", domains=domains)] if domains and both_widths else [],
        both_widths=both_widths,
    )


# Domains that readers may take to have a target of their own
_TARGET_NOTE = ("ax_industry", "public_sector")


def technology_figure(data: ReportData, texts: Texts, survey_code: str) -> Figure | None:
    """Technologies in operation, for the survey's total; None without estimates."""
    survey = data.survey(survey_code)
    rates = [
        rate
        for measure in data.measures(prefix="tech_")
        for rate in data.rates(survey_code, survey.headline.domain_type, measure=measure)
    ]
    if not any(rate.is_shown for rate in rates):
        return None
    top = highest_first(rates)[0]
    names = unit_names(survey, texts.language)
    title = texts(
        "profile.technology_title",
        survey=short_name(survey, texts.language),
        name=data.measure_text(top.measure, "label", texts.language),
        estimate=numbers.per_cent(top.value()[0], texts.language),
    )
    subtitle = texts(
        "profile.technology_subtitle",
        weighting=weighting_text(survey, survey.headline.unit_weighting, texts),
        wave=data.wave,
        level=level(survey, texts.language),
        **names,
    )
    return _dots_figure(
        data,
        texts,
        rates,
        name=f"{survey_code}_technologies",
        title=title,
        subtitle=subtitle,
        notes=[texts("profile.technology_note", **names)],
        both_widths=False,
        by_measure=True,
        with_target=False,
    )
