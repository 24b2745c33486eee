"""The table of other offices' figures beside ours."""

import polars as pl
import pytest

from pipelines.reporting.outside import sources_table
from pipelines.reporting.tables import NOT_AVAILABLE, NOT_SHOWN, Table
from pipelines.reporting.texts import Texts
from tests.unit.reporting.made_up import ANNUAL, made_up_report

ENGLISH = Texts(ANNUAL, "en")


def rows_by_place(table: Table) -> dict[tuple[str, str, str], dict[str, str]]:
    names = [column.heading for column in table.columns]
    made = [dict(zip(names, (cell.text for cell in row), strict=True)) for row in table.rows]
    return {(row["Survey"], row["Year"], row["Of"]): row for row in made}


def test_theirs_ours_and_why_they_may_differ_stand_in_a_row() -> None:
    data = made_up_report()
    table = sources_table(data, [ENGLISH])
    rows = rows_by_place(table)
    ours = data.marts["adoption_rate"].row(
        by_predicate=(pl.col("survey") == "industry")
        & (pl.col("wave") == data.wave)
        & (pl.col("domain_type") == "total")
        & (pl.col("measure") == "ai_adoption")
        & (pl.col("base") == "answered")
        & (pl.col("unit_weighting") == "unit"),
        named=True,
    )
    row = rows["Industry", str(data.wave), "All"]
    assert row["Theirs (%)"] == f"{100 * (ours['estimate'] - 0.02):.1f}"
    assert row["Estimate (%)"] == f"{100 * ours['estimate']:.1f}"
    assert row["Ours less theirs (pp)"] == "2.0"
    assert row["Differs, or may, in"] == "Another statistical unit; Question not at hand"
    assert row["Definition"] == "Share of enterprises that use AI"
    assert "no error where the definitions differ" in table.notes[0]


def test_what_we_have_not_is_marked() -> None:
    row = rows_by_place(sources_table(made_up_report(), [ENGLISH]))["Industry", "2025", "legal form"]
    assert row["Theirs (%)"] != NOT_AVAILABLE
    assert {row[name] for name in ("Estimate (%)", "Lower", "Upper", "Ours less theirs (pp)")} == {NOT_AVAILABLE}
    assert row["Differs, or may, in"] == "No such domain of ours"


def test_what_may_not_be_shown_is_not_shown_here_either() -> None:
    data = made_up_report()
    hidden = pl.when(pl.col("domain_type") == "total").then(pl.lit("suppress")).otherwise("reliability")
    object.__setattr__(
        data, "marts", {**data.marts, "benchmark": data.marts["benchmark"].with_columns(hidden.alias("reliability"))}
    )
    row = rows_by_place(sources_table(data, [ENGLISH]))["Industry", "2025", "All"]
    assert {row[name] for name in ("Estimate (%)", "Lower", "Upper", "Ours less theirs (pp)")} == {NOT_SHOWN}


@pytest.mark.parametrize("language", ["ko", "en"])
def test_only_figures_of_the_wave_of_the_report(language: str) -> None:
    data = made_up_report()
    table = sources_table(data, [Texts(ANNUAL, language)])
    assert len(table.rows) == data.marts["benchmark"].filter(pl.col("wave") == data.wave).height
