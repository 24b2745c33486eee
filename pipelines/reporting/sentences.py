"""What the report says in words, decided by the numbers of the marts.

Belongs here: which sentence is true for an estimate, and the values it takes. Does not belong here: the
wording (texts.<language>.yaml), or a number that is not in the marts, save the plain arithmetic a
sentence spells out.

"Rose" and "fell" are said only where the interval of the change excludes 0.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from pipelines.contracts.surveys import Survey
from pipelines.reporting import numbers
from pipelines.reporting.data import PUBLISH, Rate, ReportData
from pipelines.reporting.numbers import Language
from pipelines.reporting.texts import Texts
from pipelines.stats.interval_formulas import t_quantile

Direction = Literal["rose", "fell", "same"]

# A division that leads further off than this says nothing more
_LAST_YEAR_WORTH_NAMING = 2150
# Half a unit of the last digit that is printed
_SMALLEST_SHOWN = 0.05
# A projection of a few points says nothing finer
_LEAST_PROBABILITY = 0.01


@dataclass(frozen=True)
class Pace:
    """Mean change a year since the baseline, in percentage points, with its interval."""

    per_year: float
    low: float
    high: float
    baseline_wave: int

    @property
    def direction(self) -> Direction:
        """What may be said: the interval decides."""
        if self.low > 0:
            return "rose"
        return "fell" if self.high < 0 else "same"


@dataclass(frozen=True)
class Bar:
    """The thin bar under a large figure: shares in per cent of its width."""

    estimate: float
    low: float
    high: float
    target: float


@dataclass(frozen=True)
class Headline:
    """The texts of one large figure on page one; empty strings are not printed, no estimate has no bar."""

    name: str
    population: str
    estimate: str
    interval: str
    target_heading: str
    target: str
    distance: str
    distance_interval: str
    status: str
    sentences: tuple[str, ...]
    also: tuple[tuple[str, str], ...]
    bar: Bar | None
    bar_description: str
    bar_target: str


def short_name(survey: Survey, language: Language) -> str:
    """The survey's short label."""
    return str(getattr(survey, f"short_label_{language}"))


def unit_names(survey: Survey, language: Language) -> dict[str, str]:
    """Names of the survey's unit as texts use them: `unit` (one), `units` (several)."""
    if language == "ko":
        return {"unit": survey.unit_ko, "units": survey.unit_ko}
    return {"unit": survey.unit_en, "units": survey.units_en}


def level(survey: Survey, language: Language) -> str:
    """The confidence level: 95 %."""
    return numbers.whole_per_cent(survey.confidence_level, language)


def pace(rate: Rate, progress: Mapping[str, Any] | None, *, confidence_level: float) -> Pace | None:
    """Observed pace with its interval (t with the estimate's df), or None where nothing can be said.

    That is so where the mart has no pace, and where a rate is exactly 0 or 1 without a full census: its SE is 0
    by the formula, and the change would look more certain than it is.
    """
    if progress is None or progress["observed_pp_per_year"] is None or progress["observed_se_pp"] is None:
        return None
    if not rate.is_census and {rate.estimate, progress["baseline"]} & {0.0, 1.0}:
        return None
    per_year, se = progress["observed_pp_per_year"], progress["observed_se_pp"]
    # A census has no df and needs none: its SE is 0
    quantile = float(t_quantile(confidence_level, np.array(rate.df or math.inf)))
    return Pace(
        per_year=per_year,
        low=per_year - quantile * se,
        high=per_year + quantile * se,
        baseline_wave=progress["baseline_wave"],
    )


def pace_sentence(found: Pace | None, texts: Texts, survey: Survey, *, is_first: bool) -> str:
    """How fast the headline has moved since the baseline; `is_first`: this wave is the baseline."""
    language = texts.language
    if found is None:
        return texts("headline.pace.first" if is_first else "headline.pace.unknown")
    # The verb says the direction, so the number has no sign where the direction is known
    shown = found.per_year if found.direction == "same" else abs(found.per_year)
    bounds = (found.low, found.high) if found.direction != "fell" else (-found.high, -found.low)
    # A bound above 0 must not be printed as 0.0 beside "rose"
    digits = 2 if found.direction != "same" and bounds[0] < _SMALLEST_SHOWN else 1
    return texts(
        f"headline.pace.{found.direction}",
        baseline_year=found.baseline_wave,
        points=numbers.points(shown, language, sign=found.direction == "same"),
        interval=numbers.decimal_interval(*bounds, language, digits=digits),
        level=level(survey, language),
    )


def arithmetic_sentence(rate: Rate, found: Pace | None, target: float, texts: Texts, survey: Survey) -> str:
    """When the target would be reached if the observed pace went on; empty unless the rate rose."""
    estimate, _, _ = rate.value()
    if found is None or found.direction != "rose" or estimate >= target:
        return ""

    def year(per_year: float) -> int:
        return rate.wave + math.ceil(100 * (target - estimate) / per_year)

    if year(found.per_year) > _LAST_YEAR_WORTH_NAMING:
        return ""
    is_open = year(found.low) > _LAST_YEAR_WORTH_NAMING
    return texts(
        "headline.arithmetic_open" if is_open else "headline.arithmetic",
        year=year(found.per_year),
        earliest=year(found.high),
        latest=year(found.low),
        level=level(survey, texts.language),
    )


def headline(data: ReportData, survey_code: str, texts: Texts) -> Headline:
    """Everything said beside one of the two large figures."""
    language = texts.language
    survey, rate = data.survey(survey_code), data.headline(survey_code)
    goal = data.targets[survey_code]
    if not rate.is_shown:
        return _hidden_headline(data, survey_code, texts)
    progress = data.progress(rate)
    estimate, low, high = rate.value()
    target = numbers.whole_per_cent(goal.value, language)
    found = pace(rate, progress, confidence_level=survey.confidence_level)
    interval = numbers.interval(low, high, language)
    if estimate >= goal.value:
        distance = texts("headline.reached_distance", points=numbers.points(100 * (estimate - goal.value), language))
        distance_interval = ""
    else:
        distance = numbers.points(100 * (goal.value - estimate), language)
        bounds = numbers.points_interval(100 * (goal.value - high), 100 * (goal.value - low), language)
        distance_interval = texts("headline.distance_interval", interval=bounds)
    is_first = rate.wave == survey.first_wave_of_segment(rate.wave)
    needed = ""
    if progress is not None and progress["required_pp_per_year"] is not None and estimate < goal.value:
        required = progress["required_pp_per_year"]
        needed = texts("headline.needed", year=goal.year, target=target, points=numbers.points(required, language))
    sentences = (
        pace_sentence(found, texts, survey, is_first=is_first),
        needed,
        arithmetic_sentence(rate, found, goal.value, texts, survey),
        _ratio_sentence(progress, texts, survey),
        _outlook_sentence(progress, goal.year, texts),
    )
    status = _status(rate, progress, goal.value)
    return Headline(
        name=short_name(survey, language),
        population=str(getattr(survey, f"population_{language}")),
        estimate=numbers.per_cent(estimate, language),
        interval=texts("headline.interval", level=level(survey, language), interval=interval),
        target_heading=texts("headline.target", year=goal.year),
        target=target,
        distance=distance,
        distance_interval=distance_interval,
        status=texts(f"headline.status.{status}"),
        sentences=tuple(sentence for sentence in sentences if sentence),
        also=tuple(_beside(data, survey_code, texts)),
        bar=Bar(*(round(100 * share, 2) for share in (estimate, low, high, goal.value))),
        bar_description=texts(
            "headline.bar_description",
            estimate=numbers.per_cent(estimate, language),
            interval=interval,
            target=target,
            level=level(survey, language),
        ),
        bar_target=texts("headline.bar_target", target=target),
    )


def _hidden_headline(data: ReportData, survey_code: str, texts: Texts) -> Headline:
    """The card of a headline that may not be shown: the target stands, and why there is no figure."""
    language = texts.language
    survey, rate, goal = data.survey(survey_code), data.headline(survey_code), data.targets[survey_code]
    return Headline(
        name=short_name(survey, language),
        population=str(getattr(survey, f"population_{language}")),
        estimate="–",
        interval="",
        target_heading=texts("headline.target", year=goal.year),
        target=numbers.whole_per_cent(goal.value, language),
        distance="–",
        distance_interval="",
        status=texts("headline.status.hidden"),
        sentences=(texts("chart.nothing", reason="; ".join(reasons(data, rate, language))),),
        also=tuple(_beside(data, survey_code, texts)),
        bar=None,
        bar_description="",
        bar_target="",
    )


def _status(rate: Rate, progress: Mapping[str, Any] | None, target: float) -> str:
    _, low, _ = rate.value()
    if low >= target:
        return "reached"
    if progress is None or progress["pace_status"] is None:
        return "unknown"
    return str(progress["pace_status"])


def _ratio_sentence(progress: Mapping[str, Any] | None, texts: Texts, survey: Survey) -> str:
    if progress is None or progress["progress_ratio"] is None:
        return ""
    language = texts.language
    ratio = numbers.decimal(progress["progress_ratio"], language, digits=2)
    low, high = progress["progress_ratio_low"], progress["progress_ratio_high"]
    if low is None or high is None:
        return texts("headline.status_ratio_plain", ratio=ratio)
    interval = numbers.decimal_interval(low, high, language, digits=2)
    return texts("headline.status_ratio", ratio=ratio, interval=interval, level=level(survey, language))


def _outlook_sentence(progress: Mapping[str, Any] | None, year: int, texts: Texts) -> str:
    """The status by the projection with its probability, and whether it hangs on an assumption."""
    if progress is None:
        return ""
    status, chance = progress["status"], progress["p_target"]
    if status == "reached" or status == "insufficient":
        return (
            "" if chance is None else texts("headline.probability", year=year, probability=probability(chance, texts))
        )
    words = texts(
        f"headline.outlook.{status}", year=year, probability="" if chance is None else probability(chance, texts)
    )
    if "depends_on_assumption" in str(progress["status_reason"] or "").split(";"):
        return f"{words} {texts('headline.outlook_depends')}"
    return words


def probability(chance: float, texts: Texts) -> str:
    """A probability in whole per cent, "under 1 %" and "over 99 %" at the ends."""
    language = texts.language
    if chance < _LEAST_PROBABILITY:
        return texts("headline.probability_below", bound=numbers.whole_per_cent(_LEAST_PROBABILITY, language))
    if chance > 1 - _LEAST_PROBABILITY:
        return texts("headline.probability_above", bound=numbers.whole_per_cent(1 - _LEAST_PROBABILITY, language))
    return numbers.whole_per_cent(round(chance, 2), language)


def _beside(data: ReportData, survey_code: str, texts: Texts) -> list[tuple[str, str]]:
    """Figures that stand beside the headline: by employment, and totals of a part."""
    language = texts.language
    survey, rate = data.survey(survey_code), data.headline(survey_code)
    pairs: list[tuple[str, str]] = []
    for weighting in survey.unit_weightings:
        if weighting != survey.headline.unit_weighting:
            label = texts(f"common.weighting.{weighting}", **unit_names(survey, language))
            pairs += [
                (label, numbers.with_interval(*other.value(), language))
                for other in data.rates(survey_code, rate.domain_type, weighting=weighting)
                if other.is_shown
            ]
    for domain in survey.domains:
        # Totals of a part of the population, such as the eight AX industries together
        if domain.code is not None and domain.type != rate.domain_type:
            pairs += [
                (part.labels[language], numbers.with_interval(*part.value(), language))
                for part in data.rates(survey_code, domain.type)
                if part.is_shown
            ]
    return pairs


def weighting_text(survey: Survey, weighting: str, texts: Texts) -> str:
    """How units are counted: 기업 수 기준, weighted by employment."""
    return texts(f"common.weighting.{weighting}", **unit_names(survey, texts.language))


def ranking_title(rates: Sequence[Rate], texts: Texts) -> str:
    """The range of the estimates that are shown."""
    language = texts.language
    shown = sorted((rate for rate in rates if rate.is_shown), key=lambda rate: rate.value()[0])
    if not shown:
        return texts("ranking.title_none")
    lowest, highest = shown[0], shown[-1]
    if len(shown) == 1:
        estimate = numbers.per_cent(highest.value()[0], language)
        return texts("ranking.title_one", name=highest.labels[language], estimate=estimate)
    return texts(
        "ranking.title",
        low_name=lowest.labels[language],
        low=numbers.per_cent(lowest.value()[0], language),
        high_name=highest.labels[language],
        high=numbers.per_cent(highest.value()[0], language),
    )


def ranking_sentences(data: ReportData, rates: Sequence[Rate], texts: Texts) -> list[str]:
    """What the intervals of a ranking support: apart from the total, changed, not shown."""
    language = texts.language
    shown = sorted((rate for rate in rates if rate.is_shown), key=lambda rate: -rate.value()[0])
    if not shown:
        return []
    survey = data.survey(shown[0].survey)
    sentences = _apart_sentences(data, shown, survey, texts)
    sentences += _change_sentences(data, shown, survey, texts)
    hidden = len(rates) - len(shown)
    if hidden:
        sentences.append(texts("ranking.not_shown", count=numbers.count(hidden, language)))
    return sentences


def _apart_sentences(data: ReportData, shown: Sequence[Rate], survey: Survey, texts: Texts) -> list[str]:
    """What stands wholly above or below the total; nothing where the total is not shown."""
    language, headline_rate = texts.language, data.headline(survey.survey)
    if not headline_rate.is_shown:
        return []
    total = headline_rate.value()[0]
    against = {
        "total_name": texts("common.total_name", survey=short_name(survey, language)),
        "total": numbers.per_cent(total, language),
    }
    above = [rate.labels[language] for rate in shown if rate.value()[1] > total]
    below = [rate.labels[language] for rate in reversed(shown) if rate.value()[2] < total]
    return [
        texts(f"ranking.{side}", names=texts.listed(names), **against)
        for side, names in (("above", above), ("below", below))
        if names
    ] or [texts("ranking.none_apart", **against)]


def _change_sentences(data: ReportData, shown: Sequence[Rate], survey: Survey, texts: Texts) -> list[str]:
    paces = [
        (rate, found)
        for rate in shown
        if (found := pace(rate, data.progress(rate), confidence_level=survey.confidence_level)) is not None
    ]
    if not paces:
        return []
    baseline_year = paces[0][1].baseline_wave
    groups: dict[Direction, list[str]] = {"rose": [], "fell": [], "same": []}
    for rate, found in paces:
        groups[found.direction].append(rate.labels[texts.language])
    if not groups["rose"] and not groups["fell"]:
        return [texts("ranking.all_same", baseline_year=baseline_year)]
    sentences = [
        texts(f"ranking.{direction}", baseline_year=baseline_year, names=texts.listed(groups[direction]))
        for direction in ("rose", "fell")
        if groups[direction]
    ]
    return sentences + ([texts("ranking.rest_same")] if groups["same"] else [])


def break_sentences(data: ReportData, texts: Texts) -> list[tuple[str, str]]:
    """Heading and reason of each break of the series; said once where surveys share it."""
    found: dict[tuple[str, str], None] = {}
    language = texts.language
    for survey in data.surveys:
        series = data.series(survey)
        for before, after in pairwise(series):
            if before.segment != after.segment:
                old, new = (data.question_versions[rate.question_version] for rate in (before, after))
                reason = texts(
                    "trend.break_reason",
                    before_year=before.wave,
                    after_year=after.wave,
                    before=getattr(old, f"wording_{language}"),
                    after=getattr(new, f"wording_{language}"),
                )
                found[(texts("trend.break_heading", after_year=after.wave), reason)] = None
    return list(found)


def proposal_sentence(data: ReportData, rates: Sequence[Rate], texts: Texts) -> str:
    """Which domains the published strategy names; empty where it names all, or none."""
    named = [
        rate.labels[texts.language]
        for rate in rates
        if data.domain_row(rate.survey, rate.domain_type, rate.domain_code)["named_in_source"]
    ]
    if not named or len(named) == len(rates):
        return ""
    return texts("ranking.proposals", names=texts.listed(named))


def reasons(data: ReportData, rate: Rate, language: str) -> list[str]:
    """Why an estimate is suppressed or marked, in words, the weightiest first; empty where it is neither."""
    code_list = data.classifications["reliability_reasons"]
    items = [code_list.item(code) for code in rate.reliability_reason.split(";") if code]
    if rate.reliability == PUBLISH:
        return []
    # A suppressed estimate may meet rules for caution too: they say nothing more
    return [
        str(getattr(item, f"label_{language}")) for item in items if item.properties.get("leads_to") == rate.reliability
    ]
