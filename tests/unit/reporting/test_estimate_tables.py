from collections.abc import Mapping

import polars as pl
import pytest

from pipelines.reporting import estimate_tables
from pipelines.reporting.data import ReportData
from pipelines.reporting.tables import Table
from pipelines.reporting.texts import Texts


def _mart(report: ReportData, survey: str, **chosen: object) -> pl.DataFrame:
    rows = report.marts["adoption_rate"].filter(
        (pl.col("survey") == survey) & (pl.col("wave") == report.wave) & (pl.col("base") == "answered")
    )
    for name, value in chosen.items():
        rows = rows.filter(pl.col(name) == value)
    return rows


@pytest.mark.parametrize("survey", ["industry", "public"])
def test_every_domain_is_there_once(report: ReportData, texts: Mapping[str, Texts], survey: str) -> None:
    table = estimate_tables.domains_table(report, [texts["ko"]], survey)
    mart = _mart(report, survey, measure="ai_adoption", unit_weighting="unit")
    assert len(table.rows) == mart.height
    names = {(row[0].text, row[1].text) for row in table.rows}
    assert len(names) == mart.height


@pytest.mark.parametrize("survey", ["industry", "public"])
def test_cells_are_the_mart_unrounded(report: ReportData, texts: Mapping[str, Texts], survey: str) -> None:
    table = estimate_tables.domains_table(report, [texts["en"]], survey)
    estimates = [number for number, column in enumerate(table.columns) if column.heading == "Estimate (%)"]
    for position, weighting in zip(estimates, ("unit", "employment"), strict=True):
        mart = _mart(report, survey, measure="ai_adoption", unit_weighting=weighting)
        expected = sorted(value for value in mart["estimate"] if value is not None)
        values = sorted(row[position].value for row in table.rows if isinstance(row[position].value, float))
        assert values == expected
        marks = sum(row[position].text == "[u]" for row in table.rows)
        assert marks == mart["estimate"].null_count()


def _no_blank(table: Table) -> None:
    for row in table.rows:
        assert len(row) == len(table.columns)
        for cell, column in zip(row, table.columns, strict=True):
            # Only marks and reasons may have nothing to say
            assert cell.text or (column.kind in ("mark", "text") and cell.value == "")


def test_no_cell_is_blank(report: ReportData, texts: Mapping[str, Texts]) -> None:
    languages = [texts["ko"], texts["en"]]
    for survey in report.surveys:
        _no_blank(estimate_tables.domains_table(report, languages, survey))
        _no_blank(estimate_tables.measures_table(report, languages, survey))
        for table in estimate_tables.field_tables(report, languages, survey):
            _no_blank(table)
    _no_blank(estimate_tables.series_table(report, languages))
    _no_blank(estimate_tables.progress_table(report, languages))
    _no_blank(estimate_tables.suppressed_table(report, languages))


def test_series_marks_the_break(report: ReportData, texts: Mapping[str, Texts]) -> None:
    table = estimate_tables.series_table(report, [texts["en"]])
    marked = [row[1].text for row in table.rows if any(cell.text == "[b]" for cell in row)]
    assert marked == ["2022", "2022"]
    assert [row[1].text for row in table.rows] == [str(wave) for wave in range(2021, 2026)] * 2


def test_suppressed_table_lists_each_with_its_reason(report: ReportData, texts: Mapping[str, Texts]) -> None:
    hidden, everything, cautioned = estimate_tables.suppressed_rates(report)
    mart = report.marts["adoption_rate"].filter(
        (pl.col("wave") == report.wave) & (pl.col("base") == "answered") & (pl.col("measure") == "ai_adoption")
    )
    assert everything == mart.height
    assert len(hidden) == mart.filter(pl.col("reliability") == "suppress").height
    assert cautioned == mart.filter(pl.col("reliability") == "caution").height
    table = estimate_tables.suppressed_table(report, [texts["ko"]])
    assert len(table.rows) == len(hidden)
    assert all("30 미만" in row[-1].text for row in table.rows)


def test_fields_have_a_table_of_their_own(report: ReportData, texts: Mapping[str, Texts]) -> None:
    assert estimate_tables.field_tables(report, [texts["ko"]], "industry") == []
    (table,) = estimate_tables.field_tables(report, [texts["ko"]], "public")
    assert len(table.rows) == len(report.classifications["public_sectors"].items)


def test_progress_is_the_mart(report: ReportData, texts: Mapping[str, Texts]) -> None:
    table = estimate_tables.progress_table(report, [texts["en"]])
    gap = next(n for n, column in enumerate(table.columns) if column.heading == "Still to go (pp)")
    total = next(row for row in table.rows if row[0].text == "Total")
    progress = report.progress(report.headline("industry"))
    assert progress is not None
    assert total[gap].value == progress["gap_pp"]
    assert total[gap].text == f"{progress['gap_pp']:.1f}"
