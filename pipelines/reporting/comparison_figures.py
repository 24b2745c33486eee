"""Figures of changes and of model-based rates, with their titles, notes and tables.

Belongs here: the choice of rows and the texts around these charts. Does not belong here: how they are drawn
(comparison_charts), their tables' columns (comparison_tables), other figures (figures).
"""

import dataclasses
from collections.abc import Mapping

from pipelines.contracts.surveys import Survey
from pipelines.reporting import comparison_charts, numbers
from pipelines.reporting.blanking import CONFIDENTIAL, HIDDEN, SUPPRESS
from pipelines.reporting.charts import Frame
from pipelines.reporting.comparison_tables import change_table, flow_name, small_area_table
from pipelines.reporting.comparisons import Change, SmallArea, changes, flows, parts, small_areas, wave_before
from pipelines.reporting.data import CAUTION, ReportData
from pipelines.reporting.drawing import NARROW, WIDE
from pipelines.reporting.figures import Figure, accent_of, source_of
from pipelines.reporting.numbers import Language
from pipelines.reporting.sentences import level, short_name, unit_names, weighting_text
from pipelines.reporting.tables import mark_beside, mark_without
from pipelines.reporting.texts import Texts

MODELLED = "[m]"


def change_figure(data: ReportData, texts: Texts, survey_code: str, domain_type: str) -> Figure | None:
    """Change of the headline measure since the wave before in the domains of a type; None without one."""
    found = changes(data, survey_code, domain_type)
    if not found:
        return None
    survey, language = data.survey(survey_code), texts.language
    ordered = sorted(found, key=lambda change: (change.low is None, -(change.points or 0.0)))
    frame = Frame(
        small_print=texts("synthetic.small_print") if data.synthetic else "",
        value_heading=texts("changes.value_heading", level=level(survey, language)),
        n_heading=texts("changes.n_heading"),
    )
    shifts = [_shift(change, texts) for change in ordered]
    bounds = [abs(bound) for shift in shifts for bound in (shift.low, shift.high) if bound is not None]
    ticks = [
        (points, numbers.decimal(points, language, digits=0, sign=True))
        for points in comparison_charts.change_ticks(bounds)
    ]

    def draw(width: int) -> str:
        return comparison_charts.change_plot(shifts, frame, accent=accent_of(survey), width=width, tick_names=ticks)

    kind = getattr(data.classifications["domain_types"].item(domain_type), f"label_{language}")
    title = _change_title(found, texts)
    subtitle = texts(
        "changes.subtitle",
        measure=data.measure_text(survey.headline.measure, "label", language),
        domain_type=kind,
        weighting=weighting_text(survey, survey.headline.unit_weighting, texts),
        before=found[0].wave_before,
        after=data.wave,
        level=level(survey, language),
    )
    notes = [texts("changes.note")]
    hidden = [change.labels[language] for change in ordered if change.reliability == SUPPRESS]
    without = [change.labels[language] for change in ordered if change.low is None and change.reliability not in HIDDEN]
    secret = [change.labels[language] for change in ordered if change.reliability == CONFIDENTIAL]
    if without:
        notes.append(texts("changes.without_note", names=texts.listed(without)))
    if hidden:
        notes.append(texts("changes.hidden_note", names=texts.listed(hidden)))
    if secret:
        notes.append(texts("changes.secret_note", names=texts.listed(secret)))
    cautioned = [
        change.labels[language] for change in ordered if change.low is not None and change.reliability == CAUTION
    ]
    if cautioned:
        notes.append(texts("changes.caution_note", names=texts.listed(cautioned)))
    name = f"{survey_code}_{domain_type}_change"
    return Figure(
        name=name,
        title=title,
        subtitle=subtitle,
        narrow=draw(NARROW),
        wide=draw(WIDE),
        alternative=f"{title}. {subtitle}",
        notes=tuple(notes),
        source=source_of(data, texts, survey),
        table=change_table(data, [texts], ordered, name=name, title=f"{title} — {subtitle}"),
    )


def _shift(change: Change, texts: Texts) -> comparison_charts.Shift:
    language = texts.language
    label = change.labels[language]
    n = mark_without(change.reliability) if change.n_common is None else numbers.count(change.n_common, language)
    if change.points is None or change.low is None or change.high is None:
        mark = mark_without(change.reliability)
        words = texts("chart.point_hidden", label=label, text=mark, n=n)
        return comparison_charts.Shift(label, mark, mark, n, words=words, source=change.source)
    number = numbers.decimal(change.points, language, sign=True)
    mark = f" {mark_beside(change.reliability)}".rstrip()
    text = f"{number} ({numbers.points_interval(change.low, change.high, language)}){mark}"
    se = numbers.decimal(change.se or 0.0, language)
    return comparison_charts.Shift(
        label=label,
        text=text,
        words=texts("chart.point_change", label=label, text=text, se=se, n=n),
        source=change.source,
        short=number + mark,
        n=n,
        points=change.points,
        low=change.low,
        high=change.high,
    )


def _change_title(found: list[Change], texts: Texts) -> str:
    """What the intervals support, counted."""
    shown = [change for change in found if change.direction is not None]
    if not shown:
        return texts("changes.title_none")
    counted = {way: sum(change.direction == way for change in shown) for way in ("rose", "fell")}
    if not any(counted.values()):
        return texts("changes.title_same", count=len(shown))
    key = "changes.title_both" if all(counted.values()) else f"changes.title_{'rose' if counted['rose'] else 'fell'}"
    return texts(key, rose=counted["rose"], fell=counted["fell"], count=len(shown))


def change_sentences(data: ReportData, texts: Texts, survey_code: str) -> list[str]:
    """The change of the headline, its parts and its flows, in words; empty where there is nothing to compare with."""
    survey, language = data.survey(survey_code), texts.language
    total = changes(data, survey_code, survey.headline.domain_type)
    if not total:
        return []
    [change] = total
    if change.points is None or change.low is None or change.high is None:
        return []
    size = change.points if change.direction == "about_the_same" else abs(change.points)
    bounds = (change.low, change.high) if change.direction != "fell" else (-change.high, -change.low)
    made = [
        texts(
            f"changes.total.{change.direction}",
            survey=short_name(survey, language),
            before_year=change.wave_before,
            points=numbers.points(size, language, sign=change.direction == "about_the_same"),
            interval=numbers.points_interval(*bounds, language),
            level=level(survey, language),
        )
    ]
    for part in parts(data, survey_code):
        if part.labels is None and part.whole_type == survey.headline.domain_type and part.within is not None:
            kind = getattr(data.classifications["domain_types"].item(part.domain_type), f"label_{language}")
            made.append(
                texts(
                    "changes.parts",
                    domain_type=kind,
                    within=numbers.points(part.within, language, sign=True),
                    composition=numbers.points(part.composition or 0.0, language, sign=True),
                )
            )
            break
    made += _flow_sentence(data, texts, survey)
    return made


def _flow_sentence(data: ReportData, texts: Texts, survey: Survey) -> list[str]:
    found = flows(data, survey.survey, survey.headline.domain_type)
    shares = {flow.flow: flow for flow in found[0]} if found else {}
    if not shares or any(flow.share is None for flow in shares.values()):
        return []
    values = {name: numbers.per_cent(flow.share or 0.0, texts.language) for name, flow in shares.items()}
    names = {f"{name}_name": flow_name(name, texts) for name in shares}
    count = numbers.count(next(iter(shares.values())).n or 0, texts.language)
    return [texts("changes.flows", count=count, **unit_names(survey, texts.language), **values, **names)]


def small_area_figure(data: ReportData, texts: Texts, survey_code: str) -> Figure | None:
    """Direct and model-based rates side by side; None where the survey has no model in this wave."""
    found = small_areas(data, survey_code)
    if not any(area.is_modelled for area in found):
        return None
    survey, language = data.survey(survey_code), texts.language
    rule = survey.small_area
    assert rule is not None
    ordered = sorted(found, key=lambda area: -(area.row["estimate"] or area.row["direct"] or 0.0))
    frame = Frame(
        small_print=texts("synthetic.small_print") if data.synthetic else "",
        value_heading=texts("common.interval_heading", level=level(survey, language)),
        n_heading=texts("common.n_heading"),
    )
    pairs = [_pair(area, texts) for area in ordered]
    legend = (texts("small_area.direct"), f"{texts('small_area.modelled')} {MODELLED}")

    def draw(width: int) -> str:
        return comparison_charts.pair_plot(pairs, frame, names=legend, accent=accent_of(survey), width=width)

    both = [
        (direct, model)
        for area in found
        if (direct := area.interval("direct")) is not None and (model := area.interval("model")) is not None
    ]
    narrower = sum(model[2] - model[1] < direct[2] - direct[1] for direct, model in both)
    title = texts("small_area.title", count=narrower, all=len(both)) if both else texts("small_area.title_none")
    kind = getattr(data.classifications["domain_types"].item(rule.domain_type), f"label_{language}")
    subtitle = texts(
        "small_area.subtitle",
        measure=data.measure_text(survey.headline.measure, "label", language),
        domain_type=kind,
        weighting=weighting_text(survey, survey.headline.unit_weighting, texts),
        wave=data.wave,
        level=level(survey, language),
    )
    modelled = next(area.row for area in found if area.is_modelled)
    notes = [
        texts("small_area.note", mark=MODELLED, covariates=texts.listed(_covariates(data, survey, modelled, texts)))
    ]
    if modelled["sigma2_v_zero"]:
        notes.append(texts("small_area.zero_note"))
    known = [area.labels[language] for area in ordered if area.row["reason"] == "known"]
    if known:
        notes.append(texts("small_area.known_note", names=texts.listed(known)))
    name = f"{survey_code}_small_area"
    return Figure(
        name=name,
        title=title,
        subtitle=subtitle,
        narrow=draw(NARROW),
        wide=draw(WIDE),
        alternative=f"{title}. {subtitle}",
        notes=tuple(notes),
        source=source_of(data, texts, survey),
        table=small_area_table(data, [texts], ordered, name=name, title=f"{title} — {subtitle}"),
    )


def _pair(area: SmallArea, texts: Texts) -> comparison_charts.Pair:
    language = texts.language
    direct, model = area.interval("direct"), area.interval("model")
    mark = f" {MODELLED}"
    no_direct = mark_without(area.row["direct_reliability"])
    no_model = mark_without(area.row["reliability"])
    without = "" if not area.is_modelled else no_model + mark
    short = [numbers.number_of_per_cent(direct[0], language) if direct else no_direct]
    if area.is_modelled:
        short.append((numbers.number_of_per_cent(model[0], language) if model else no_model) + mark)
    n = no_direct if area.row["n"] is None else numbers.count(area.row["n"], language)
    label = area.labels[language]

    def words(kind: str, estimate: comparison_charts.Estimate, error: float | None) -> str:
        if not estimate.text:
            return ""
        of = f"{label}, {texts(f'small_area.{kind}')}"
        if error is None:
            return texts("chart.point_hidden", label=of, text=estimate.text, n=n)
        se = numbers.decimal(numbers.hundredfold(error), language)
        return texts(
            "chart.point" if kind == "direct" else "chart.point_model", label=of, text=estimate.text, se=se, n=n
        )

    filled = _estimate(direct, language, "", no_direct)
    hollow = _estimate(model, language, mark, without)
    return comparison_charts.Pair(
        label=label,
        n=n,
        short=" · ".join(short),
        filled=dataclasses.replace(filled, words=words("direct", filled, area.row["direct_se"])),
        hollow=dataclasses.replace(hollow, words=words("modelled", hollow, area.row["rmse"])),
        source=area.source,
    )


def _estimate(
    found: tuple[float, float, float] | None, language: Language, mark: str, without: str
) -> comparison_charts.Estimate:
    if found is None:
        return comparison_charts.Estimate(without)
    share, low, high = found
    return comparison_charts.Estimate(numbers.with_interval(share, low, high, language) + mark, share, low, high)


def _covariates(data: ReportData, survey: Survey, row: Mapping[str, object], texts: Texts) -> list[str]:
    """The covariates that the wave's model has, in words."""
    assert survey.small_area is not None
    made = []
    for covariate in survey.small_area.covariates:
        if covariate.kind not in str(row["covariates"]):
            continue
        labels = [
            str(data.domain_row(survey.survey, domain.type, code)[f"label_{texts.language}"])
            for domain in survey.domains
            if domain.columns == (covariate.column,)
            for code in covariate.codes
        ]
        made.append(
            texts(f"small_area.covariates.{covariate.kind}", names=texts.listed(labels or list(covariate.codes)))
        )
    return made


def has_changes(data: ReportData) -> bool:
    """Whether a survey has a wave to be compared with."""
    return any(wave_before(data, survey) is not None for survey in data.surveys)
