"""What may not be printed is in no output: suppressed and confidential estimates, and what is made of them."""

import re
from collections.abc import Mapping

import polars as pl
import pytest

from pipelines.reporting import comparison_tables, estimate_tables, figures
from pipelines.reporting.blanking import CONFIDENTIAL, SUPPRESS, printable
from pipelines.reporting.data import ReportData
from pipelines.reporting.html import render_report
from pipelines.reporting.numbers import Language
from pipelines.reporting.texts import Texts
from tests.unit.reporting.conftest import LANGUAGES
from tests.unit.reporting.made_up import ANNUAL, made_up_report, published_marts

_AX1 = {"survey": "industry", "domain_type": "ax_industry", "domain_code": "AX1"}
_VALUES = ("n", "n_missing", "n_dont_know", "population", "adopters", "adopters_se", "estimate", "se", "ci_low",
           "ci_high", "deff", "n_effective", "cv")  # fmt: skip


def _where(**key: str) -> pl.Expr:
    return pl.all_horizontal(pl.col(name) == value for name, value in key.items())


def _confidential(chosen: pl.Expr, *, blanked: bool = True) -> ReportData:
    """A release in which the chosen rates are confidential; `blanked`: as the mart will hold them."""
    rates = made_up_report().marts["adoption_rate"]
    # Under a secret the reliability is still what the rule found
    values = [pl.when(chosen).then(None).otherwise(pl.col(name)).alias(name) for name in _VALUES] if blanked else []
    return made_up_report(
        adoption_rate=rates.with_columns(
            *values, pl.when(chosen).then(pl.lit("C")).otherwise(pl.col("conf_status")).alias("conf_status")
        )
    )


def test_our_figure_beside_another_is_blanked_by_its_own_year() -> None:
    data = _confidential(_where(survey="industry", domain_type="total") & (pl.col("wave") == 2023), blanked=False)
    rows = data.marts["benchmark"].filter(_where(survey="industry", domain_type="total"))
    told = {row["ref_year"]: row["estimate"] is not None for row in rows.iter_rows(named=True)}
    assert told == {2021: True, 2022: True, 2023: False, 2024: True, 2025: True}


def _everything(column: str, value: str) -> ReportData:
    marts: Mapping[str, pl.DataFrame] = made_up_report().marts
    hidden = {
        name: marts[name].with_columns(pl.lit(SUPPRESS).alias(mark))
        for name in ("change", "decomposition", "flow", "benchmark", "small_area")
        for mark in ("reliability",)
    }
    hidden["small_area"] = hidden["small_area"].with_columns(pl.lit(SUPPRESS).alias("direct_reliability"))
    rates = marts["adoption_rate"].with_columns(
        pl.lit(value).alias(column), pl.lit("n_effective_below_30").alias("reliability_reason")
    )
    return made_up_report(adoption_rate=rates, **hidden)


@pytest.mark.parametrize("blanked", [True, False])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_confidential_rate_is_marked_c_everywhere(
    texts: Mapping[str, Texts], language: Language, blanked: bool
) -> None:
    data = _confidential(_where(**_AX1), blanked=blanked)
    words = texts[language]
    label = getattr(data.classifications["ax_industries"].item("AX1"), f"label_{language}")
    [rate] = [rate for rate in data.rates("industry", "ax_industry") if rate.domain_code == "AX1"]
    assert (rate.is_shown, rate.n, rate.population, rate.reliability) == (False, None, None, CONFIDENTIAL)

    figure = figures.ranking_figure(data, words, "industry", "ax_industry")
    assert figure is not None
    [row] = [row for row in figure.table.rows if row[0].text == label]
    # n, estimate, limits, SE, the year before, which is confidential too but stands as not available, and the mark
    assert [cell.text for cell in row[1:]] == ["[c]"] * 5 + ["[x]", "[c]"]
    reason = getattr(data.classifications["reliability_reasons"].item("confidential"), f"label_{language}")
    assert row[-1].note == reason
    assert any(note.startswith("[c]") and label in note for note in figure.notes)
    assert "[u]" not in " ".join(figure.notes)
    assert re.findall(r">(\[[uc]\])<", figure.narrow) == ["[c]", "[c]"]

    [change] = [row for row in comparison_tables.changes_table(data, [words], "industry").rows if row[0].text == label]
    assert {cell.text for cell in change[1:]} == {"[c]"}
    [flow] = [row for row in comparison_tables.flows_table(data, [words], "industry").rows if row[0].text == label]
    assert {cell.text for cell in flow[1:]} == {"[c]"}
    hidden = estimate_tables.suppressed_table(data, [words])
    told = [row for row in hidden.rows if row[0].text == label]
    assert len(told) == 2
    assert {(row[-2].text, row[-1].text) for row in told} == {("[c]", reason)}


def test_what_is_made_of_a_confidential_rate_is_blanked() -> None:
    open_, closed = made_up_report(), _confidential(_where(**_AX1), blanked=False)
    for name, columns in {
        "change": ("estimate_before", "estimate_after", "change_pp", "se_pp", "n_common"),
        "decomposition": ("within_pp", "contribution_pp", "share_before", "share_after"),
        "flow": ("share", "se", "n", "population"),
        "progress": ("estimate", "se", "gap_pp", "baseline", "p_target"),
    }.items():
        of_it = [data.marts[name].filter(_where(**_AX1)) for data in (open_, closed)]
        assert of_it[1].height > 0, name
        for column in columns:
            assert of_it[0][column].null_count() < of_it[0].height, (name, column)
            assert of_it[1][column].null_count() == of_it[1].height, (name, column)
    for name in ("projection", "hindcast"):
        assert closed.marts[name].filter(_where(**_AX1)).height == 0
    rest = ~_where(**_AX1)
    for name in ("adoption_rate", "change", "benchmark"):
        if "domain_type" in open_.marts[name].columns:
            assert closed.marts[name].filter(rest).equals(open_.marts[name].filter(rest)), name
    # The other domains of tables that add up would tell it
    for name, column in (("decomposition", "contribution_pp"), ("flow", "share"), ("scenario", "estimate")):
        others = rest & _where(survey="industry", domain_type="ax_industry", wave=2025, measure="ai_adoption")
        assert open_.marts[name].filter(others)[column].null_count() < open_.marts[name].filter(others).height, name
        assert closed.marts[name].filter(others & _where(unit_weighting="unit"))[column].is_null().all(), name


def test_a_change_from_a_confidential_wave_is_confidential() -> None:
    data = _confidential(_where(**_AX1) & (pl.col("wave") == 2024), blanked=False)
    changes = data.marts["change"].filter(_where(**_AX1))
    told = {
        (row["wave_before"], row["wave"]): row["change_pp"] is not None
        for row in changes.filter(_where(measure="ai_adoption", unit_weighting="unit")).iter_rows(named=True)
    }
    # The question is the same from 2022 on
    assert set(told) == {(2022, 2023), (2023, 2024), (2024, 2025)}
    assert all(shown == (2024 not in pair) for pair, shown in told.items())


def test_confidential_and_unreliable_are_counted_apart(texts: Mapping[str, Texts]) -> None:
    data = _confidential(_where(**_AX1))
    page = render_report(data, "en", template_dir=ANNUAL)
    total = len(estimate_tables.suppressed_rates(data)[0])
    text = re.sub(r"<[^>]*>", "", page)
    assert f"{total - 2} rest on too few answers" in text
    assert "2 are confidential" in text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("column", "value", "mark"), [("reliability", SUPPRESS, "[u]"), ("conf_status", "C", "[c]")])
def test_a_report_of_nothing_but_marks_can_be_printed(
    texts: Mapping[str, Texts], language: Language, column: str, value: str, mark: str
) -> None:
    data = _everything(column, value)
    page = render_report(data, language, template_dir=ANNUAL)
    words = texts[language]
    main = page[page.index("<main") : page.index('<section id="tables"')]
    # The card of each survey and its series say why there is nothing
    why = words("chart.nothing", reason="|").split("|")[0]
    assert re.sub(r"</?(?:span|tspan|text)[^>]*>", " ", main).count(why[:24]) >= 4
    assert main.count(f"<h1>{words('document.heading_without', wave=2025)}") == 0
    assert words("document.heading_without", wave=2025) in re.sub(r"<[^>]*>", "", page)
    assert mark in main
    # No cell of an estimate holds a number
    for survey in data.surveys:
        for table in (
            estimate_tables.domains_table(data, [words], survey),
            estimate_tables.measures_table(data, [words], survey),
            comparison_tables.changes_table(data, [words], survey),
        ):
            for row in table.rows:
                shares = [cell for cell, col in zip(row, table.columns, strict=True) if col.kind in ("share", "points")]
                assert {cell.value for cell in shares} == {None}
                assert {cell.text for cell in shares} <= {mark, "[u]", "[x]"}


def test_published_tables_have_the_marks_of_their_contracts() -> None:
    marts = published_marts()
    rates = marts["adoption_rate"].with_columns(
        pl.when(_where(**_AX1)).then(pl.lit("C")).otherwise(pl.col("conf_status")).alias("conf_status")
    )
    made = printable({**marts, "adoption_rate": rates})
    assert made["adoption_rate"]["reliability"].equals(rates["reliability"])
    of_it = made["adoption_rate"].filter(_where(**_AX1))
    assert of_it["estimate"].is_null().all()
    assert of_it["n"].is_null().all()
    for name in ("change", "decomposition", "flow"):
        rows = made[name].filter(_where(**_AX1))
        assert rows.height > 0
        assert set(rows["reliability"]) == {SUPPRESS}, name
        assert set(made[name]["reliability"]) <= {"publish", "caution", SUPPRESS}
    assert made["measure"].equals(marts["measure"])
