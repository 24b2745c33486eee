import dataclasses
from collections.abc import Mapping
from typing import Any

import polars as pl
import pytest

from pipelines.reporting import sentences
from pipelines.reporting.data import Rate, ReportData
from pipelines.reporting.texts import Texts
from tests.unit.reporting.made_up import made_up_report

# t quantile for 95 % and 10 degrees of freedom, from any table
T10 = 2.228


def _progress(per_year: float, se: float, **more: Any) -> dict[str, Any]:
    values = {
        "observed_pp_per_year": per_year,
        "observed_se_pp": se,
        "baseline_wave": 2022,
        "baseline": 0.27,
        "required_pp_per_year": 7.5,
        "progress_ratio": None,
        "progress_ratio_low": None,
        "progress_ratio_high": None,
        "pace_status": None,
        "p_target": None,
    }
    return {**values, **more}


@pytest.fixture
def rate(report: ReportData) -> Rate:
    return dataclasses.replace(
        report.headline("industry"), estimate=0.325, ci_low=0.31, ci_high=0.34, df=10.0, wave=2025
    )


def _pace(rate: Rate, per_year: float, se: float) -> sentences.Pace:
    found = sentences.pace(rate, _progress(per_year, se), confidence_level=0.95)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("per_year", "se", "direction", "korean", "english"),
    [
        # 2.0 -+ 2.228 x 0.5: 0.9 to 3.1
        (2.0, 0.5, "rose", "올랐습니다", "rose by 2.0"),
        # 1.0 -+ 2.228 x 0.5 reaches -0.1: not a rise, however it looks
        (1.0, 0.5, "same", "비슷합니다", "about the same"),
        (-2.0, 0.5, "fell", "내렸습니다", "fell by 2.0"),
        (-1.0, 0.5, "same", "비슷합니다", "about the same"),
    ],
)
def test_the_interval_chooses_the_verb(
    report: ReportData,
    texts: Mapping[str, Texts],
    rate: Rate,
    per_year: float,
    se: float,
    direction: str,
    korean: str,
    english: str,
) -> None:
    found = _pace(rate, per_year, se)
    assert found.direction == direction
    assert found.low == pytest.approx(per_year - T10 * se, abs=1e-3)
    assert found.high == pytest.approx(per_year + T10 * se, abs=1e-3)
    survey = report.survey("industry")
    assert korean in sentences.pace_sentence(found, texts["ko"], survey, is_first=False)
    assert english in sentences.pace_sentence(found, texts["en"], survey, is_first=False)


def test_a_bound_just_over_zero_is_not_printed_as_zero(
    report: ReportData, texts: Mapping[str, Texts], rate: Rate
) -> None:
    found = dataclasses.replace(_pace(rate, 2.0, 0.5), low=0.03, high=3.97)
    sentence = sentences.pace_sentence(found, texts["en"], report.survey("industry"), is_first=False)
    assert "0.03–3.97" in sentence


def test_no_pace_without_two_comparable_waves(report: ReportData, texts: Mapping[str, Texts], rate: Rate) -> None:
    assert sentences.pace(rate, None, confidence_level=0.95) is None
    missing = _progress(1.0, 1.0, observed_pp_per_year=None)
    assert sentences.pace(rate, missing, confidence_level=0.95) is None
    survey = report.survey("industry")
    assert "처음" in sentences.pace_sentence(None, texts["ko"], survey, is_first=True)
    assert "cannot be had" in sentences.pace_sentence(None, texts["en"], survey, is_first=False)


def test_no_pace_from_a_rate_of_exactly_one(rate: Rate) -> None:
    full = dataclasses.replace(rate, estimate=1.0, se=0.0)
    assert sentences.pace(full, _progress(5.0, 0.4), confidence_level=0.95) is None
    assert sentences.pace(rate, _progress(5.0, 0.4, baseline=0.0), confidence_level=0.95) is None
    census = dataclasses.replace(full, is_census=True, df=0.0)
    found = sentences.pace(census, _progress(5.0, 0.0), confidence_level=0.95)
    assert found is not None
    assert (found.low, found.high) == (5.0, 5.0)


def test_arithmetic_of_the_pace(report: ReportData, texts: Mapping[str, Texts], rate: Rate) -> None:
    # 37.5 points to go: 2.0 a year take 18.75 years, so 2044; at 3.1 a year 12.1 years, at 0.9 41.7
    found = dataclasses.replace(_pace(rate, 2.0, 0.5), low=0.9, high=3.1)
    sentence = sentences.arithmetic_sentence(rate, found, 0.7, texts["en"], report.survey("industry"))
    assert "in 2044 (2038–2067 " in sentence


def test_arithmetic_with_an_open_end(report: ReportData, texts: Mapping[str, Texts], rate: Rate) -> None:
    found = dataclasses.replace(_pace(rate, 2.0, 0.5), low=0.1, high=3.1)
    sentence = sentences.arithmetic_sentence(rate, found, 0.7, texts["en"], report.survey("industry"))
    assert "in 2044 (not before 2038 " in sentence


def test_no_arithmetic_unless_it_rose(report: ReportData, texts: Mapping[str, Texts], rate: Rate) -> None:
    survey = report.survey("industry")
    for per_year in (1.0, -2.0):
        found = _pace(rate, per_year, 0.5)
        assert sentences.arithmetic_sentence(rate, found, 0.7, texts["en"], survey) == ""
    reached = dataclasses.replace(rate, estimate=0.71)
    assert sentences.arithmetic_sentence(reached, _pace(rate, 2.0, 0.5), 0.7, texts["en"], survey) == ""


def test_ranking_sentences_are_true_of_the_marts(report: ReportData, texts: Mapping[str, Texts]) -> None:
    rates = report.rates("industry", "ax_industry")
    total = report.headline("industry").value()[0]
    above = {rate.labels["ko"] for rate in rates if rate.is_shown and rate.value()[1] > total}
    below = {rate.labels["ko"] for rate in rates if rate.is_shown and rate.value()[2] < total}
    said = sentences.ranking_sentences(report, rates, texts["ko"])
    high = next(sentence for sentence in said if "높습니다" in sentence)
    low = next(sentence for sentence in said if "낮습니다" in sentence)
    for rate in rates:
        assert (rate.labels["ko"] in high) == (rate.labels["ko"] in above)
        assert (rate.labels["ko"] in low) == (rate.labels["ko"] in below)


def test_title_names_the_ends_of_the_range(report: ReportData, texts: Mapping[str, Texts]) -> None:
    rates = report.rates("industry", "size_class")
    title = sentences.ranking_title(rates, texts["en"])
    ordered = sorted(rates, key=lambda rate: rate.value()[0])
    assert title.index(ordered[0].labels["en"]) < title.index(ordered[-1].labels["en"])
    hidden = [
        dataclasses.replace(rate, estimate=None, ci_low=None, ci_high=None, reliability="suppress") for rate in rates
    ]
    assert sentences.ranking_title(hidden, texts["en"]) == texts["en"]("ranking.title_none")


def test_headline_says_distance_with_the_interval_turned_round(report: ReportData, texts: Mapping[str, Texts]) -> None:
    estimate, low, high = report.headline("industry").value()
    card = sentences.headline(report, "industry", texts["en"])
    assert card.distance == f"{100 * (0.7 - estimate):.1f}\u00a0percentage points"
    assert card.distance_interval == f"({100 * (0.7 - high):.1f}–{100 * (0.7 - low):.1f})"
    assert (card.bar.estimate, card.bar.target) == (round(100 * estimate, 2), 70.0)


def _report_with(report: ReportData, survey: str, rate: dict[str, float], progress: dict[str, Any]) -> ReportData:
    """The release with other values in the rows of one survey's headline."""

    def changed(name: str, values: Mapping[str, Any]) -> pl.DataFrame:
        here = (
            (pl.col("survey") == survey)
            & (pl.col("domain_type") == "total")
            & (pl.col("wave") == report.wave)
            & (pl.col("measure") == "ai_adoption")
        )
        return (
            made_up_report()
            .marts[name]
            .with_columns(
                pl.when(here).then(pl.lit(value)).otherwise(pl.col(column)).alias(column)
                for column, value in values.items()
            )
        )

    return made_up_report(adoption_rate=changed("adoption_rate", rate), progress=changed("progress", progress))


@pytest.mark.parametrize("language", ["ko", "en"])
@pytest.mark.parametrize("status", ["on_track", "acceleration_needed", "limited", "moving_away"])
def test_every_status_of_the_contract_has_words(
    report: ReportData, texts: Mapping[str, Texts], language: str, status: str
) -> None:
    data = _report_with(report, "industry", {}, {"pace_status": status, "progress_ratio_low": None})
    card = sentences.headline(data, "industry", texts[language])
    assert card.status == texts[language].raw(f"headline.status.{status}")
    assert any("0.52" in sentence for sentence in card.sentences)


@pytest.mark.parametrize("language", ["ko", "en"])
def test_a_target_that_is_reached_leaves_nothing_to_go(
    report: ReportData, texts: Mapping[str, Texts], language: str
) -> None:
    rate = {"estimate": 0.74, "ci_low": 0.72, "ci_high": 0.76}
    data = _report_with(report, "industry", rate, {"required_pp_per_year": -0.8, "p_target": 0.974})
    card = sentences.headline(data, "industry", texts[language])
    assert card.status == texts[language].raw("headline.status.reached")
    assert "4.0" in card.distance
    assert card.distance_interval == ""
    needed = texts[language].raw("headline.needed")[:10]
    assert not any(sentence.startswith(needed) for sentence in card.sentences)
    assert any("97" in sentence for sentence in card.sentences)


@pytest.mark.parametrize("language", ["ko", "en"])
def test_directions_of_domains_are_told_apart(report: ReportData, texts: Mapping[str, Texts], language: str) -> None:
    progress = made_up_report().marts["progress"]
    paces = {"AX1": 3.0, "AX2": -3.0}
    slow = progress.with_columns(pl.lit(0.0).alias("observed_pp_per_year"), pl.lit(0.5).alias("observed_se_pp"))
    mixed = slow.with_columns(pl.col("domain_code").replace_strict(paces, default=0.0).alias("observed_pp_per_year"))
    words = texts[language]
    for frame, expected in ((slow, ["ranking.all_same"]), (mixed, ["ranking.rose", "ranking.fell"])):
        data = made_up_report(progress=frame)
        rates = data.rates("industry", "ax_industry")
        label = {rate.domain_code: rate.labels[language] for rate in rates}
        said = sentences.ranking_sentences(data, rates, words)
        names = {"ranking.rose": label["AX1"], "ranking.fell": label["AX2"], "ranking.all_same": ""}
        for key in expected:
            assert words(key, baseline_year=2022, names=names[key]) in said
        assert (words("ranking.rest_same") in said) == (frame is mixed)


def test_reasons_are_those_that_led_to_the_mark(report: ReportData, rate: Rate) -> None:
    codes = "n_effective_below_30;width_030_or_more;df_below_8"
    hidden = dataclasses.replace(rate, reliability="suppress", reliability_reason=codes)
    items = report.classifications["reliability_reasons"]
    expected = [items.item(code).label_en for code in ("n_effective_below_30", "width_030_or_more")]
    assert sentences.reasons(report, hidden, "en") == expected
    assert sentences.reasons(report, rate, "en") == []


def test_breaks_are_told_once_with_both_wordings(report: ReportData, texts: Mapping[str, Texts]) -> None:
    told = sentences.break_sentences(report, texts["ko"])
    assert len(told) == 1
    for version in report.question_versions.values():
        assert version.wording_ko in told[0][1]


def test_only_what_the_strategy_names_is_called_named(report: ReportData, texts: Mapping[str, Texts]) -> None:
    sentence = sentences.proposal_sentence(report, report.rates("industry", "ax_industry"), texts["ko"])
    for item in report.classifications["ax_industries"].items:
        assert (item.label_ko in sentence) == item.named_in_source
