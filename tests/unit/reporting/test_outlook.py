"""The projection in words, and the table of scenarios."""

from collections.abc import Mapping

import polars as pl
import pytest

from pipelines.reporting import outlook, sentences
from pipelines.reporting.data import ReportData
from pipelines.reporting.tables import NOT_SHOWN
from pipelines.reporting.texts import Texts
from tests.unit.reporting.made_up import made_up_report


def test_the_fan_is_the_headline_of_the_mart(report: ReportData) -> None:
    rate = report.headline("industry")
    made = outlook.fan(report, rate)
    assert [one.year for one in made] == list(range(2026, 2031))
    mart = report.marts["projection"].filter(
        survey="industry", domain_type="total", unit_weighting="unit", model="logit", variant="main", year=2030
    )
    assert (made[-1].share, made[-1].low, made[-1].high) == mart.select("estimate", "low", "high").row(0)
    path = outlook.required_path(report, rate)
    assert path[0][0] == 2022
    assert path[-1] == (2030, pytest.approx(0.70))


@pytest.mark.parametrize("language", ["ko", "en"])
def test_notes_name_the_assumption_the_table_of_tau_and_the_hindcasts(
    report: ReportData, texts: Mapping[str, Texts], language: str
) -> None:
    notes = outlook.projection_notes(report, report.headline("industry"), texts[language])
    assert len(notes) == 4
    for tau in ("0.00", "0.05", "0.10", "0.20"):
        assert tau in notes[2]
    scored = report.marts["hindcast"].filter(
        survey="industry", model="logit", unit_weighting="unit", measure="ai_adoption"
    )
    assert str(scored.height) in notes[3]


@pytest.mark.parametrize("language", ["ko", "en"])
def test_without_three_waves_the_notes_say_so(texts: Mapping[str, Texts], language: str) -> None:
    data = made_up_report(wave=2023)
    assert outlook.fan(data, data.headline("industry")) == ()
    notes = outlook.projection_notes(data, data.headline("industry"), texts[language])
    assert notes == [texts[language].raw("trend.no_projection")]


@pytest.mark.parametrize(("chance", "words"), [(0.0004, "under 1"), (0.996, "over 99"), (0.5, "50"), (0.204, "20")])
def test_a_probability_is_never_certain(texts: Mapping[str, Texts], chance: float, words: str) -> None:
    assert words in sentences.probability(chance, texts["en"])


@pytest.mark.parametrize("status", ["likely", "uncertain", "unlikely"])
@pytest.mark.parametrize("language", ["ko", "en"])
def test_the_status_is_said_with_its_probability(texts: Mapping[str, Texts], language: str, status: str) -> None:
    progress = (
        made_up_report()
        .marts["progress"]
        .with_columns(
            pl.lit(status).alias("status"),
            pl.lit(0.37).alias("p_target"),
            pl.lit("probability_middle;depends_on_assumption").alias("status_reason"),
        )
    )
    data = made_up_report(progress=progress)
    said = [one for one in sentences.headline(data, "industry", texts[language]).sentences if "37" in one]
    assert len(said) == 1
    assert said[0].startswith(texts[language].raw(f"headline.outlook.{status}")[:12])
    assert said[0].endswith(texts[language].raw("headline.outlook_depends"))


def test_scenarios_have_a_row_a_part_and_the_total_last(texts: Mapping[str, Texts]) -> None:
    rates = made_up_report().marts["adoption_rate"]
    poor = pl.when(pl.col("domain_code") == "AX4").then(pl.lit("suppress")).otherwise("reliability")
    report = made_up_report(adoption_rate=rates.with_columns(poor.alias("reliability")))
    table = outlook.scenario_table(report, [texts["en"]], "industry")
    parts = report.rates("industry", "ax_industry")
    assert len(table.rows) == len(parts) + 1
    assert table.rows[-1][0].text == "Industry total"
    hidden = [rate.labels["en"] for rate in parts if not rate.is_shown]
    assert hidden
    for row in table.rows:
        shown = {cell.text for cell in row[2:]}
        assert (shown == {NOT_SHOWN}) == (row[0].text in hidden)
    both = outlook.scenario_table(report, [texts["ko"], texts["en"]], "public")
    assert both.rows[-1][1].text == "Public sector total"
