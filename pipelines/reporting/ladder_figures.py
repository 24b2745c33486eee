"""The figure of the stages of adoption, as bars that add up to 1.

Belongs here: the choice of estimates and the texts around that chart. Does not belong here: other figures (figures,
series_figures, comparison_figures), how it is drawn (stacked_charts).
"""

from collections.abc import Iterator, Sequence

from pipelines.contracts.classifications import Item
from pipelines.reporting import charts, numbers, stacked_charts
from pipelines.reporting.data import Rate, ReportData
from pipelines.reporting.drawing import NARROW, WIDE
from pipelines.reporting.figures import Figure, highest_first, point_words, source_of
from pipelines.reporting.sentences import short_name, weighting_text
from pipelines.reporting.tables import RateRow, rate_table
from pipelines.reporting.texts import Texts


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
    for rate in highest_first(data.rates(survey_code, domain_type)):
        if all(rate.domain_code in found for found in by_stage):
            yield rate, [found[rate.domain_code] for found in by_stage]
