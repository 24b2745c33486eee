"""Planted numbers are found, wherever they stand; the clean report has none."""

import re
from collections.abc import Mapping

import polars as pl
import pytest

from pipelines.release.text_check import TextFinding, text_findings
from pipelines.reporting.data import ReportData
from pipelines.reporting.html import render_report
from pipelines.reporting.numbers import Language
from tests.unit.reporting.made_up import ANNUAL, library, made_up_report, published_marts

LANGUAGES: tuple[Language, ...] = ("ko", "en")


def _check(page: str, language: str, data: ReportData, marts: Mapping[str, pl.DataFrame]) -> list[TextFinding]:
    return text_findings(
        {language: page}, release=data.release, marts=marts, library=library(), deliveries=data.deliveries,
        row_balance=data.row_balance, texts_dir=ANNUAL,
    )[language]  # fmt: skip


@pytest.fixture(scope="module")
def data() -> ReportData:
    return made_up_report()


@pytest.fixture(scope="module")
def pages(data: ReportData) -> Mapping[str, str]:
    return {language: render_report(data, language, template_dir=ANNUAL) for language in LANGUAGES}


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_clean_report_has_no_findings(pages: Mapping[str, str], data: ReportData, language: Language) -> None:
    assert _check(pages[language], language, data, published_marts()) == []


@pytest.mark.slow
@pytest.mark.parametrize("wave", [2021, 2022, 2024])
def test_nor_have_earlier_waves(wave: int) -> None:
    data = made_up_report(wave=wave)
    assert _check(render_report(data, "en", template_dir=ANNUAL), "en", data, published_marts()) == []


def _plant(page: str, after: str, old: str, new: str) -> str:
    """Replace the first number after a place of the page."""
    start = page.index(after)
    place = page.index(old, start)
    return page[:place] + new + page[place + len(old) :]


@pytest.mark.slow
def test_wrong_numbers_are_found_wherever_they_are_planted(pages: Mapping[str, str], data: ReportData) -> None:
    page = pages["en"]
    headline = data.headline("industry")
    estimate = f"{100 * headline.value()[0]:.1f}"
    chosen = data.rates("industry", "ax_industry")[1]
    its = f"{100 * chosen.value()[0]:.1f}"
    adopters = f"{headline.adopters:,.0f}"
    # Place, what stands there, what is planted, where it must be found
    plants = [
        ("<h1>", estimate, "91.7", "header"),
        ('class="big"', estimate, "91.6", "card"),
        ('class="status"', "2022", "2019", "card"),
        ('class="bar"', estimate, "91.5", "card"),
        ('id="industry_series"', estimate, "91.4", "industry_series"),
        ('<section id="industry"', "the industry total", "the 91 industry total", "industry"),
        ('id="industry_ax_industry_unit"', f">{its}", ">91.3", "industry_ax_industry_unit"),
        ('<section id="suppressed"', "rest on", "17 rest on", "suppressed"),
        ('<section id="quality"', "AAPOR RR3", "AAPOR RR3 91.2", "quality"),
        ("industry_domains-en", adopters, "91,919", "industry_domains-en"),
        ("Fewer than ", "30 effective", "31 effective", "method"),
    ]
    for after, old, new, _ in plants:
        page = _plant(page, after, old, new)
    found = _check(page, "en", data, published_marts())
    for _, _, new, where in plants:
        number = re.findall(r"\d[\d.,]*", new)[-1]
        told = [one for one in found if number in f"{one.printed} {one.context}"]
        assert any(where in one.where for one in told), (new, where, told)


@pytest.mark.slow
def test_wrong_labels_of_a_chart_are_found(pages: Mapping[str, str], data: ReportData) -> None:
    page = pages["ko"]
    start = page.index('id="industry_ax_industry_unit"')
    figure = page[start : page.index("</figure>", start)]
    rates = [rate for rate in data.rates("industry", "ax_industry") if rate.is_shown]
    one, other = (f"{100 * rate.value()[0]:.1f}" for rate in rates[:2])
    assert one != other
    # The number of another row, in the wide picture only: it is one too many there, and its own is missing
    wide = figure.index('class="chart wide"')
    label = figure.index(f">{one}", wide)
    wrong = figure[:label] + f">{other}" + figure[label + 1 + len(one) :]
    found = _check(page.replace(figure, wrong), "ko", data, published_marts())
    assert {finding.where for finding in found} == {"industry_ax_industry_unit"}
    assert any(finding.printed == other for finding in found)
    assert any(finding.expected == one for finding in found)
    # What a point says
    said = re.search(rf'aria-label="[^"]*{one}[^"]*" data-of', figure)
    assert said is not None
    wrong = figure.replace(said.group(), said.group().replace(one, "12.3"))
    found = _check(page.replace(figure, wrong), "ko", data, published_marts())
    assert {finding.where for finding in found} == {"industry_ax_industry_unit point"}


@pytest.mark.slow
def test_what_may_not_be_printed_is_found_and_a_changed_mart_too(pages: Mapping[str, str], data: ReportData) -> None:
    marts = dict(published_marts())
    rates = marts["adoption_rate"]
    ax3 = (pl.col("domain_code") == "AX3") & (pl.col("wave") == 2025)
    secret = rates.with_columns(pl.when(ax3).then(pl.lit("C")).otherwise(pl.col("conf_status")).alias("conf_status"))
    found = _check(pages["en"], "en", data, {**marts, "adoption_rate": secret})
    assert {one.expected for one in found if "domain_code=AX3" in one.context and "-domains-" in one.where} <= {"[c]"}
    assert any(one.where == "2025.1-industry_domains-en" and one.expected == "[c]" for one in found)
    unreliable = rates.with_columns(
        pl.when(ax3).then(pl.lit("suppress")).otherwise(pl.col("reliability")).alias("reliability")
    )
    found = _check(pages["en"], "en", data, {**marts, "adoption_rate": unreliable})
    assert any(one.where == "2025.1-industry_domains-en" and one.expected == "[u]" for one in found)
    # A mart that says otherwise than the page, by a tenth of a point
    moved = rates.with_columns(
        pl.when(ax3).then(pl.col("estimate") + 0.001).otherwise(pl.col("estimate")).alias("estimate")
    )
    found = _check(pages["en"], "en", data, {**marts, "adoption_rate": moved})
    assert {"2025.1-industry_domains-en", "industry_ax_industry_unit", "industry_ax_industry_unit point"} <= {
        one.where for one in found
    }


@pytest.mark.slow
def test_a_number_without_an_address_and_a_page_of_another_make_are_found(
    pages: Mapping[str, str], data: ReportData
) -> None:
    start = pages["en"].index("industry_domains-en")
    page = pages["en"][:start] + pages["en"][start:].replace("data-at=", "data-away=", 1)
    found = _check(page, "en", data, published_marts())
    assert [(one.where, one.expected) for one in found if one.expected == "an address"] == [
        ("2025.1-industry_domains-en", "an address")
    ]
    found = _check("<html><body><p>nothing</p></body></html>", "en", data, published_marts())
    assert [one.context for one in found] == ["the markup has changed"]
