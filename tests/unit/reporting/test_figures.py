import re
from collections.abc import Mapping

import polars as pl
import pytest

from pipelines.reporting import figures
from pipelines.reporting.data import ReportData
from pipelines.reporting.ladder_figures import ladder_figure
from pipelines.reporting.series_figures import series_figure
from pipelines.reporting.texts import Texts
from tests.unit.reporting.made_up import made_up_report


def _words(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def _with_reliability(chosen: pl.Expr, reliability: str, reason: str) -> ReportData:
    rates = made_up_report().marts["adoption_rate"]
    return made_up_report(
        adoption_rate=rates.with_columns(
            pl.when(chosen).then(pl.lit(reliability)).otherwise(pl.col("reliability")).alias("reliability"),
            pl.when(chosen).then(pl.lit(reason)).otherwise(pl.col("reliability_reason")).alias("reliability_reason"),
        )
    )


def test_ranking_is_sorted_with_what_is_not_shown_last(texts: Mapping[str, Texts]) -> None:
    data = _with_reliability(pl.col("domain_code") == "AX1", "suppress", "n_effective_below_30")
    figure = figures.ranking_figure(data, texts["en"], "industry", "ax_industry")
    assert figure is not None
    rows = figure.table.rows
    values = [row[2].value for row in rows]
    assert values[-1] is None
    assert values[:-1] == sorted(values[:-1], reverse=True)
    assert rows[-1][0].text == "Manufacturing"
    assert figure.wide is not None
    for svg in (figure.narrow, figure.wide):
        assert "[u]" in _words(svg)
        assert "Sample or effective sample below 30" in _words(svg)
    assert any("Manufacturing" in note and note.startswith("[u]") for note in figure.notes)


def test_caution_is_marked_and_explained(texts: Mapping[str, Texts]) -> None:
    data = _with_reliability(pl.col("domain_code") == "AX2", "caution", "df_below_8")
    figure = figures.ranking_figure(data, texts["en"], "industry", "ax_industry")
    assert figure is not None
    assert figure.wide is not None
    assert any(word.endswith(") [e]") for word in _words(figure.wide))
    assert any("fewer than 8 degrees" in note and "Finance" in note for note in figure.notes)


def test_the_target_is_called_national(report: ReportData, texts: Mapping[str, Texts]) -> None:
    figure = figures.ranking_figure(report, texts["ko"], "public", "public_sector")
    assert figure is not None
    assert any(word.startswith("국가 목표 95") for word in _words(figure.narrow))
    assert any("개별 분야의 목표를 정하지 않았습니다" in note for note in figure.notes)


def test_census_domains_are_marked(report: ReportData, texts: Mapping[str, Texts]) -> None:
    figure = figures.ranking_figure(report, texts["en"], "public", "public_sector")
    assert figure is not None
    assert "Communications · census" in _words(figure.narrow)
    assert any("no sampling error" in note for note in figure.notes)


@pytest.mark.parametrize("language", ["ko", "en"])
def test_a_ladder_with_a_suppressed_stage_is_left_to_the_table(texts: Mapping[str, Texts], language: str) -> None:
    hidden = (pl.col("domain_code") == "AX3") & (pl.col("measure") == "stage_pilot")
    data = _with_reliability(hidden, "suppress", "n_effective_below_30")
    figure = ladder_figure(data, texts[language], "industry", ("total", "ax_industry"))
    assert figure is not None
    name = data.classifications["ax_industries"].item("AX3")
    label = name.label_ko if language == "ko" else name.label_en
    assert label not in _words(figure.narrow)
    assert any(label in note for note in figure.notes)
    assert sum(row[0].text == label for row in figure.table.rows) == 5


def test_nothing_is_drawn_without_estimates(texts: Mapping[str, Texts]) -> None:
    first = made_up_report(wave=2021)
    assert figures.technology_figure(first, texts["ko"], "industry") is None
    assert ladder_figure(first, texts["ko"], "industry", ("total",)) is None
    assert figures.ranking_figure(first, texts["ko"], "industry", "public_sector") is None


def test_series_shows_what_is_required(report: ReportData, texts: Mapping[str, Texts]) -> None:
    figure = series_figure(report, texts["en"], "industry")
    progress = report.progress(report.headline("industry"))
    assert progress is not None
    assert f"needed: {progress['required_pp_per_year']:.1f} points" in _words(figure.narrow)
    assert len(figure.table.rows) == 5
