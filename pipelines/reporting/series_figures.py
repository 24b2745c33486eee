"""The figure of a survey's headline over the waves, with breaks, target, the way still to go, and projection.

Belongs here: the choice of estimates and the texts around that chart. Does not belong here: other figures (figures,
ladder_figures, comparison_figures), how it is drawn (charts).
"""

from itertools import pairwise

from pipelines.reporting import charts, numbers, outlook
from pipelines.reporting.data import ReportData
from pipelines.reporting.drawing import NARROW, words_only, wrapped
from pipelines.reporting.estimate_tables import series_rows
from pipelines.reporting.figures import Figure, accent_of, chart_frame, point_words, source_of, why_hidden
from pipelines.reporting.sentences import level, short_name, weighting_text
from pipelines.reporting.tables import Table, mark_beside, rate_table
from pipelines.reporting.texts import Texts


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
        chart_frame(data, texts, survey),
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
    why = texts("chart.nothing", reason=why_hidden(data, last, texts))
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
