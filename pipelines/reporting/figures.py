"""The report's figures: which estimates each chart shows, with its title, notes, alternative text and table.

Belongs here: the choice of estimates and the texts around a chart. Does not belong here: how a chart is drawn
(charts), how the page is laid out (template).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipelines.contracts.classifications import Item
from pipelines.contracts.surveys import Survey
from pipelines.reporting import charts, numbers, outlook, stacked_charts
from pipelines.reporting.blanking import CONFIDENTIAL, SUPPRESS
from pipelines.reporting.data import CAUTION, Rate, ReportData
from pipelines.reporting.drawing import NARROW, WIDE, Accent, words_only, wrapped
from pipelines.reporting.estimate_tables import series_rows
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


def _frame(data: ReportData, texts: Texts, survey: Survey) -> charts.Frame:
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


def _sorted(rates: Sequence[Rate]) -> list[Rate]:
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
        reason = _reason(data, rate, texts)
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
    ordered = _sorted(rates)
    dots = [_dot(data, rate, _label(data, rate, texts, by_measure=by_measure), texts) for rate in ordered]
    frame = _frame(data, texts, survey)
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


def _reason(data: ReportData, rate: Rate, texts: Texts) -> str:
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
                reason = _reason(data, rate, texts)
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
    top = _sorted(rates)[0]
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


def series_figure(data: ReportData, texts: Texts, survey_code: str) -> Figure:
    """The headline over the waves with its breaks, the target and the way still to go."""
    survey, language = data.survey(survey_code), texts.language
    series = [rate for rate in data.series(survey_code) if rate.is_shown]
    if not series:
        return _nothing_to_draw(data, texts, survey_code)
    last, goal = series[-1], data.targets[survey_code]
    target = numbers.whole_per_cent(goal.value, language)
    points = []
    for rate in series:
        share, low, high = rate.value()
        text = numbers.number_of_per_cent(share, language)
        said = numbers.with_interval(share, low, high, language) + f" {mark_beside(rate.reliability)}".rstrip()
        words = point_words(rate, str(rate.wave), said, texts)
        points.append(charts.Point(rate.wave, share, low, high, text, rate.segment, words, rate.row_address))
    breaks = []
    for before, after in pairwise(series):
        if before.segment == after.segment:
            continue
        old, new = (data.question_versions[rate.question_version] for rate in (before, after))
        names = {"before": getattr(old, f"label_{language}"), "after": getattr(new, f"label_{language}")}
        breaks.append(charts.Break(before.wave, after.wave, tuple(texts("chart.break", **names).split("\n"))))
    progress = data.progress(last)
    path: tuple[str, ...] = ()
    if progress is not None and progress["required_pp_per_year"] is not None:
        required = progress["required_pp_per_year"]
        path = tuple(
            texts(
                "chart.path",
                points=numbers.points(required, language),
                number=numbers.decimal(required, language),
            ).split("\n")
        )
    estimate = last.value()[0]
    title = texts(
        "trend.title" if estimate < goal.value else "ranking.title_one",
        name=short_name(survey, language),
        year=last.wave,
        estimate=numbers.per_cent(estimate, language),
        gap=numbers.points(100 * (goal.value - estimate), language),
    )
    subtitle = texts(
        "trend.subtitle",
        measure=data.measure_text(last.measure, "label", language),
        weighting=weighting_text(survey, last.unit_weighting, texts),
        level=level(survey, language),
        years="–".join(str(wave) for wave in dict.fromkeys((series[0].wave, last.wave))),
    )
    name = f"{survey_code}_series"
    drawn = charts.series_plot(
        points,
        _frame(data, texts, survey),
        accent=accent_of(survey),
        goal=charts.Goal(
            goal.value,
            goal.year,
            texts("chart.series_target", year=goal.year, target=target),
            path,
            outlook.required_path(data, last),
        ),
        breaks=breaks,
        fan=outlook.fan(data, last),
    )
    return Figure(
        name=name,
        title=title,
        subtitle=subtitle,
        narrow=drawn,
        wide=None,
        alternative=f"{title}. {subtitle}",
        notes=tuple(outlook.projection_notes(data, last, texts)),
        source=source_of(data, texts, survey),
        table=_series_table(data, texts, survey_code, name, f"{title} — {subtitle}"),
    )


def _nothing_to_draw(data: ReportData, texts: Texts, survey_code: str) -> Figure:
    """The series where no wave's estimate may be shown: why, and the table of marks."""
    survey, language = data.survey(survey_code), texts.language
    last = data.headline(survey_code)
    name = f"{survey_code}_series"
    title = texts("trend.title_none", name=short_name(survey, language))
    subtitle = texts(
        "trend.subtitle",
        measure=data.measure_text(last.measure, "label", language),
        weighting=weighting_text(survey, last.unit_weighting, texts),
        level=level(survey, language),
        years=str(last.wave),
    )
    why = texts("chart.nothing", reason=_reason(data, last, texts))
    small_print = texts("synthetic.small_print") if data.synthetic else ""
    return Figure(
        name=name,
        title=title,
        subtitle=subtitle,
        narrow=words_only(wrapped(why, NARROW), small_print=small_print, width=NARROW),
        wide=None,
        alternative=f"{title}. {why}",
        notes=(),
        source=source_of(data, texts, survey),
        table=_series_table(data, texts, survey_code, name, f"{title} — {subtitle}"),
    )


def _series_table(data: ReportData, texts: Texts, survey_code: str, name: str, title: str) -> Table:
    return rate_table(
        data,
        [texts],
        series_rows(data, [texts], survey_code),
        survey=survey_code,
        name=name,
        title=title,
        label_keys=("survey", "wave", "question"),
        weightings=(data.survey(survey_code).headline.unit_weighting,),
    )


def ladder_figure(
    data: ReportData,
    texts: Texts,
    survey_code: str,
    domain_types: Sequence[str],
    *,
    both_widths: bool = True,
) -> Figure | None:
    """The stages of adoption as bars that add to 1; None where no bar can be drawn.

    A domain with a suppressed stage has no bar: it is named in a note and stands in the table.
    """
    survey, language = data.survey(survey_code), texts.language
    stages = sorted(data.classifications["ai_stages"].items, key=lambda item: item.sort_order)
    lowest = data.rates(survey_code, survey.headline.domain_type, measure=_stage(stages[0]))
    if not lowest or not lowest[0].is_shown:
        return None
    ladders = [
        (_domain_name(data, rate, texts), rate, parts)
        for domain_type in domain_types
        for rate, parts in _ladders(data, survey_code, domain_type, stages)
    ]
    legend = [str(getattr(item, f"label_{language}")) for item in stages]
    drawn = [ladder for ladder in ladders if all(rate.is_shown for rate in (ladder[1], *ladder[2]))]
    if not drawn:
        return None
    stacks = [
        stacked_charts.Stack(
            name,
            tuple(
                stacked_charts.Part(
                    part.value()[0],
                    numbers.number_of_per_cent(part.value()[0], language),
                    point_words(part, f"{name}, {stage}", numbers.with_interval(*part.value(), language), texts),
                    part.row_address,
                )
                for stage, part in zip(legend, parts, strict=True)
            ),
            numbers.per_cent(rate.value()[0], language),
        )
        for name, rate, parts in drawn
    ]
    heading = texts("chart.ladder_heading")
    notes = [texts("profile.ladder_note", heading=heading)]
    if left_out := [ladder[0] for ladder in ladders if ladder not in drawn]:
        notes.append(texts("profile.ladder_left_out", names=texts.listed(left_out)))
    frame = charts.Frame(small_print=texts("synthetic.small_print") if data.synthetic else "", value_heading=heading)
    title = texts(
        "profile.ladder_title",
        survey=short_name(survey, language),
        estimate=numbers.per_cent(lowest[0].value()[0], language),
    )
    subtitle = texts(
        "profile.ladder_subtitle",
        weighting=weighting_text(survey, survey.headline.unit_weighting, texts),
        wave=data.wave,
    )
    name = f"{survey_code}_ladder"
    table = rate_table(
        data,
        [texts],
        [
            RateRow({language: (label, stage)}, {part.unit_weighting: part})
            for label, _, parts in ladders
            for stage, part in zip(legend, parts, strict=True)
        ],
        survey=survey_code,
        name=name,
        title=f"{title} — {subtitle}",
        label_keys=("domain", "stage"),
        weightings=(survey.headline.unit_weighting,),
    )
    return Figure(
        name=name,
        title=title,
        subtitle=subtitle,
        narrow=stacked_charts.stacked_bars(stacks, legend, frame, width=NARROW),
        wide=stacked_charts.stacked_bars(stacks, legend, frame, width=WIDE) if both_widths else None,
        alternative=f"{title}. {subtitle}",
        notes=tuple(notes),
        source=source_of(data, texts, survey),
        table=table,
    )


def _stage(item: Item) -> str:
    return f"stage_{item.code}"


def _domain_name(data: ReportData, rate: Rate, texts: Texts) -> str:
    survey = data.survey(rate.survey)
    if rate.domain_type == survey.headline.domain_type:
        return texts("common.total_short", survey=short_name(survey, texts.language))
    return rate.labels[texts.language]


def _ladders(
    data: ReportData, survey_code: str, domain_type: str, stages: Sequence[Item]
) -> Iterator[tuple[Rate, list[Rate]]]:
    """Adoption and the rates of all stages, for the domains of one type that have them, highest first."""
    by_stage = [
        {rate.domain_code: rate for rate in data.rates(survey_code, domain_type, measure=_stage(item))}
        for item in stages
    ]
    for rate in _sorted(data.rates(survey_code, domain_type)):
        if all(rate.domain_code in found for found in by_stage):
            yield rate, [found[rate.domain_code] for found in by_stage]
