"""What the report says of changes, flows and model-based rates, and what it keeps back."""

import re
from collections.abc import Mapping

import polars as pl
import pytest

from pipelines.reporting import comparison_charts, comparison_figures, comparison_tables, comparisons
from pipelines.reporting.charts import Frame
from pipelines.reporting.comparison_charts import Estimate, Pair, Shift, change_ticks
from pipelines.reporting.data import ReportData
from pipelines.reporting.drawing import NARROW, WIDE
from pipelines.reporting.texts import Texts
from tests.unit.reporting.made_up import made_up_report

FRAME = Frame("synthetic data", "Change (95 % CI)", "n, both")
SURVEYS = (("industry", "ax_industry"), ("public", "public_sector"))


def _words(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def _changed(chosen: pl.Expr, **columns: object) -> ReportData:
    """A report with other values in rows of mart.change."""
    rows = made_up_report().marts["change"]
    return made_up_report(
        change=rows.with_columns(
            pl.when(chosen).then(pl.lit(value)).otherwise(pl.col(name)).alias(name) for name, value in columns.items()
        )
    )


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_a_change_plot_writes_every_row_and_draws_what_has_a_number(width: int) -> None:
    shifts = [
        Shift("Finance", "+3.0 (1.0–5.0)", "+3.0", "170", 3.0, 1.0, 5.0),
        Shift("Defence", "[u]", "[u]", "4", words="Defence: too few", source="change;wave=2025"),
    ]
    ticks = [(points, f"{points:+.0f}") for points in change_ticks([5.0])]
    svg = comparison_charts.change_plot(shifts, FRAME, accent="industry", width=width, tick_names=ticks)
    words = _words(svg)
    for shift in shifts:
        assert {shift.label, shift.n, shift.text if width == WIDE else shift.short} <= set(words)
    # What has words can be visited, whether it has a number or not
    assert re.findall(r'<g class="point" role="img" aria-label="([^"]*)" data-of="([^"]*)">', svg) == [
        ("Defence: too few", "change;wave=2025")
    ]
    without = comparison_charts.change_plot(shifts[1:], FRAME, accent="industry", width=width, tick_names=ticks)
    assert svg.count("<path") > without.count("<path")


@pytest.mark.parametrize(
    ("bounds", "ticks"),
    [
        ([0.4, 1.9], [-2, -1, 0, 1, 2]),
        ([-2.5], [-3, -2, -1, 0, 1, 2, 3]),
        ([9.9], [-10, -5, 0, 5, 10]),
        ([53.8, -56.5], [-60, -40, -20, 0, 20, 40, 60]),
        ([], [-2, -1, 0, 1, 2]),
    ],
)
def test_the_axis_of_changes_is_symmetric_and_holds_the_intervals(bounds: list[float], ticks: list[float]) -> None:
    assert change_ticks(bounds) == ticks


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_a_pair_plot_names_both_estimates(width: int) -> None:
    pair = Pair(
        "Health", "41", "[u] · 63.4 [m]", Estimate("[u]"), Estimate("63.4 % (55.2–72.7) [m]", 0.634, 0.552, 0.727)
    )
    words = _words(
        comparison_charts.pair_plot([pair], FRAME, names=("Direct", "By a model [m]"), accent="public", width=width)
    )
    assert {"Health", "41", "Direct", "By a model [m]"} <= set(words)
    assert (pair.hollow.text if width == WIDE else pair.short) in words


@pytest.mark.parametrize(("survey", "domain_type"), SURVEYS)
def test_changes_stand_highest_first_and_suppressed_ones_last(
    texts: Mapping[str, Texts], survey: str, domain_type: str
) -> None:
    data = made_up_report()
    figure = comparison_figures.change_figure(data, texts["en"], survey, domain_type)
    assert figure is not None
    marks = {change.labels["en"]: change.reliability for change in comparisons.changes(data, survey, domain_type)}
    values = [row[3].value for row in figure.table.rows]
    shown = [value for value in values if value is not None]
    assert shown == sorted(shown, reverse=True)
    assert values == shown + [None] * (len(values) - len(shown))
    hidden = [name for name, mark in marks.items() if mark == "suppress"]
    assert len(values) - len(shown) == len(hidden)
    for name in hidden:
        assert any(note.startswith("[u]") and name in note for note in figure.notes)
    assert "2024 to 2025" in figure.subtitle


@pytest.mark.parametrize(
    ("direction", "low", "high", "says"),
    [
        ("rose", 0.5, 3.5, "rose by 2.0"),
        ("fell", -3.5, -0.5, "fell by 2.0"),
        ("about_the_same", -0.5, 4.5, "about the same"),
    ],
)
def test_a_sentence_claims_what_the_interval_supports(
    texts: Mapping[str, Texts], direction: str, low: float, high: float, says: str
) -> None:
    middle = (low + high) / 2
    data = _changed(
        pl.col("domain_type") == "total", change_pp=middle, ci_low_pp=low, ci_high_pp=high, direction=direction
    )
    [sentence, parts, flows] = comparison_figures.change_sentences(data, texts["en"], "industry")
    assert says in sentence
    assert "0.5–3.5" in sentence or "−0.5 to 4.5" in sentence
    assert "by size class" in parts
    assert "dropped out" in flows
    assert "−2.0" not in sentence


def test_a_headline_that_may_not_be_printed_says_nothing(texts: Mapping[str, Texts]) -> None:
    data = _changed(pl.col("domain_type") == "total", reliability="suppress")
    assert comparison_figures.change_sentences(data, texts["ko"], "industry") == []


def test_a_rate_without_a_standard_error_has_no_dot_but_a_reason(texts: Mapping[str, Texts]) -> None:
    data = _changed(
        pl.col("domain_code") == "AX1", reliability="publish", ci_low_pp=None, ci_high_pp=None, direction=None
    )
    figure = comparison_figures.change_figure(data, texts["en"], "industry", "ax_industry")
    assert figure is not None
    assert "[x]" in _words(figure.narrow)
    assert any(note.startswith("[x]") and "Manufacturing" in note for note in figure.notes)


def test_titles_count_only_what_stands_out(texts: Mapping[str, Texts]) -> None:
    industry = pl.col("domain_type") == "ax_industry"
    for columns, title in (
        ({"direction": "about_the_same"}, "All 8 are about the same: no change stands out from chance"),
        ({"direction": "rose"}, "Adoption rose in 8 of 8; the others are about the same"),
        ({"reliability": "suppress"}, "No change can be printed"),
    ):
        data = _changed(industry, **({"reliability": "publish"} | columns))
        figure = comparison_figures.change_figure(data, texts["en"], "industry", "ax_industry")
        assert figure is not None
        assert figure.title == title


def test_suppressed_figures_are_blanked_in_all_four_marts() -> None:
    data = made_up_report()
    for name, mark, columns in (
        ("change", "reliability", ["estimate_before", "estimate_after", "change_pp", "ci_low_pp", "direction"]),
        ("decomposition", "reliability", ["within_pp", "composition_se_pp", "contribution_pp"]),
        ("flow", "reliability", ["share", "se", "ci_low", "ci_high"]),
        ("small_area", "direct_reliability", ["direct", "direct_se", "direct_ci_low", "direct_ci_high"]),
        ("small_area", "reliability", ["estimate", "rmse", "ci_low", "ci_high"]),
    ):
        suppressed = data.marts[name].filter(pl.col(mark) == "suppress")
        assert suppressed.height > 0, name
        for column in columns:
            assert suppressed[column].null_count() == suppressed.height, (name, column)
            assert data.marts[name].filter(pl.col(mark) == "publish")[column].is_not_null().any(), (name, column)


def test_model_based_rates_stand_beside_the_direct_ones_and_say_so(texts: Mapping[str, Texts]) -> None:
    data = made_up_report()
    figure = comparison_figures.small_area_figure(data, texts["en"], "public")
    assert figure is not None
    assert figure.wide is not None
    modelled = [word for word in _words(figure.wide) if word.endswith("[m]")]
    assert "By a model [m]" in modelled
    assert len(modelled) > 10
    assert any(note.startswith("[m]") and "not in its place" in note for note in figure.notes)
    assert any("the mean size of institutions" in note and "rate one year before" not in note for note in figure.notes)
    # A census needs no model: its row has the direct rate alone
    census = [area for area in comparisons.small_areas(data, "public") if not area.is_modelled]
    assert {area.row["domain_code"] for area in census} == {"P10", "P13"}
    by_name = {row[0].text: row for row in figure.table.rows}
    for area in census:
        cells = by_name[area.labels["en"]]
        assert cells[2].value == area.row["direct"]
        assert cells[5].text == "[x]"
    assert comparison_figures.small_area_figure(data, texts["en"], "industry") is None


def test_a_variance_of_zero_is_told(texts: Mapping[str, Texts]) -> None:
    rows = made_up_report().marts["small_area"]
    data = made_up_report(small_area=rows.with_columns(pl.lit(True).alias("sigma2_v_zero")))
    figure = comparison_figures.small_area_figure(data, texts["en"], "public")
    assert figure is not None
    assert any("estimated as 0" in note for note in figure.notes)


@pytest.mark.parametrize(("survey", "divisions"), [("industry", 3), ("public", 2)])
def test_tables_hold_the_sums_and_every_flow(texts: Mapping[str, Texts], survey: str, divisions: int) -> None:
    data, languages = made_up_report(), [texts["ko"], texts["en"]]
    parts = comparison_tables.parts_table(data, languages, survey)
    sums = [row for row in parts.rows if row[3].text == "All together"]
    assert len(sums) == divisions
    flows = comparison_tables.flows_table(data, languages, survey)
    groups = {column.group.split("\n")[-1] for column in flows.columns if column.group}
    assert groups == {"Adopted", "Dropped", "Stayed with AI", "Stayed without", "Net (pp)"}
    total = flows.rows[0]
    shares = [
        cell.value for cell, column in zip(total, flows.columns, strict=True) if column.heading.endswith("Share (%)")
    ]
    assert sum(shares[:4]) == pytest.approx(1.0)
    assert shares[4] == pytest.approx(100 * (shares[0] - shares[1]))


def test_the_first_wave_of_a_segment_has_no_section_of_changes(texts: Mapping[str, Texts]) -> None:
    data = made_up_report(wave=2022)
    assert not comparison_figures.has_changes(data)
    assert comparison_figures.change_figure(data, texts["en"], "industry", "ax_industry") is None
    assert comparison_figures.change_sentences(data, texts["en"], "industry") == []
    assert comparison_tables.flows_table(data, [texts["en"]], "industry").rows == ()
