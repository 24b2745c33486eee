import base64
import hashlib
import html
import re
from collections.abc import Mapping
from html.parser import HTMLParser

import polars as pl
import pytest

from pipelines.reporting import numbers
from pipelines.reporting.data import ReportData
from pipelines.reporting.drawing import PALETTE
from pipelines.reporting.fonts import missing_characters
from pipelines.reporting.html import render_report
from tests.unit.reporting.conftest import LANGUAGES
from tests.unit.reporting.made_up import ANNUAL, made_up_report

_LOADING = ("src", "href", "xlink:href", "srcset", "poster", "action", "data", "formaction")
_VOID = {"meta", "link", "br", "hr", "img", "input", "col"}


class _Page(HTMLParser):
    """Tables as rows of (text, unrounded value), headings, ids, and addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[tuple[str, str | None]]]] = {}
        self.ids: list[str] = []
        self.addresses: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.pictures: list[str] = []
        self._rows: list[list[tuple[str, str | None]]] = []
        self._value: str | None = None
        self._text: list[str] | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag not in _VOID:
            self.open.append(tag)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        self.addresses += [(name, str(value)) for name, value in attrs if name in _LOADING]
        if tag == "svg":
            self.pictures.append(str(given.get("aria-label", "")))
        if tag == "table":
            self._rows = self.tables.setdefault(str(given["data-name"]), [])
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._value, self._text = given.get("data-v"), []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open.pop() == tag
        if tag in ("td", "th") and self._text is not None:
            self._rows[-1].append(("".join(self._text), self._value))
            self._text = None

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)


@pytest.fixture(scope="session")
def parsed(pages: Mapping[str, str]) -> Mapping[str, _Page]:
    return {language: _Page(text) for language, text in pages.items()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_markup_is_well_formed_and_ids_are_unique(parsed: Mapping[str, _Page], language: str) -> None:
    page = parsed[language]
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_loaded_from_outside(pages: Mapping[str, str], parsed: Mapping[str, _Page], language: str) -> None:
    page, text = parsed[language], pages[language]
    targets = {value for _, value in page.addresses}
    inside = {f"#{name}" for name in page.ids}
    # Links to sections, and to files that stand beside the report
    assert targets <= inside | {"report.ko.html", "report.en.html", "axstat.xlsx"}
    assert "report.en.html" in targets if language == "ko" else "report.ko.html" in targets
    assert "@import" not in text
    assert all(address.startswith("data:") for address in re.findall(r"url\(([^)]{0,40})", text))
    # An xmlns names a vocabulary; nothing is fetched from it
    without_names = re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
    assert re.findall(r"https?://[^\s\"'<]*", without_names) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_estimate_in_the_tables_is_the_mart_rounded(
    report: ReportData, parsed: Mapping[str, _Page], language: str
) -> None:
    label = f"label_{language}"
    for survey in report.surveys:
        rows = parsed[language].tables[f"{report.release}-{survey}_domains-{language}"]
        printed = {(row[0][0], row[1][0]): row for row in rows[2:]}
        mart = (
            report.marts["adoption_rate"]
            .filter(
                (pl.col("survey") == survey)
                & (pl.col("wave") == report.wave)
                & (pl.col("measure") == "ai_adoption")
                & (pl.col("base") == "answered")
            )
            .join(report.marts["domain"], on=["survey", "domain_type", "domain_code"])
        )
        assert mart.height == 2 * len(printed)
        for row in mart.iter_rows(named=True):
            kind = getattr(report.classifications["domain_types"].item(row["domain_type"]), label)
            cells = printed[(row[label], kind)]
            assert cells[2][0] == f"{row['n']:,}"
            # Estimate, bounds and SE; then, for units only, adopters; then the mark
            first = 3 if row["unit_weighting"] == "unit" else 9
            if row["reliability"] == "suppress":
                assert {cell for cell, _ in cells[first : first + 4]} == {"[u]"}
                assert {value for _, value in cells[first : first + 4]} == {None}
                continue
            expected = [row["estimate"], row["ci_low"], row["ci_high"], row["se"]]
            for (text, value), share in zip(cells[first : first + 4], expected, strict=True):
                assert text == numbers.number_of_per_cent(share, "en")
                assert float(str(value)) == pytest.approx(100 * share, rel=1e-11)


def _with_secret(share: float) -> ReportData:
    """A release in which everything that is suppressed rests on `share`."""
    rates = made_up_report().marts["adoption_rate"]
    progress = made_up_report().marts["progress"]
    hidden = pl.col("domain_code") == "AX6"
    telling = {"estimate": share, "ci_low": share - 0.1, "ci_high": share + 0.1, "se": share / 9, "cv": 1 / 9}
    telling |= {"adopters": share * 1e5, "adopters_se": share * 1e4, "deff": 2 * share, "n_effective": 29 * share}
    rates = rates.with_columns(
        pl.when(hidden).then(pl.lit("suppress")).otherwise(pl.col("reliability")).alias("reliability"),
        pl.when(hidden)
        .then(pl.lit("n_effective_below_30"))
        .otherwise(pl.col("reliability_reason"))
        .alias("reliability_reason"),
        *(pl.when(hidden).then(pl.lit(value)).otherwise(pl.col(name)).alias(name) for name, value in telling.items()),
    )
    told = ("estimate", "se", "gap_pp", "gap_se_pp", "baseline", "observed_pp_per_year", "observed_se_pp")
    told += ("share_of_distance", "required_pp_per_year", "progress_ratio")
    progress = progress.with_columns(
        pl.when(hidden).then(pl.lit(share)).otherwise(pl.col(name)).alias(name) for name in told
    )
    return made_up_report(adoption_rate=rates, progress=progress)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_suppressed_estimate_changes_nothing_on_the_page(language: str) -> None:
    low, high = (render_report(_with_secret(share), language, template_dir=ANNUAL) for share in (0.11, 0.89))
    assert low == high
    assert "[u]" in low


@pytest.mark.parametrize("language", LANGUAGES)
def test_synthetic_data_are_labelled_everywhere(
    pages: Mapping[str, str], parsed: Mapping[str, _Page], language: str
) -> None:
    label = {"ko": "합성 자료 · 공식 통계 아님", "en": "Synthetic data, not official statistics"}[language]
    text = pages[language]
    assert f'@top-center {{ content: "{label}"' in text
    pictures = re.findall(r"<svg\b.*?</svg>", text, re.S)
    assert len(pictures) == len(parsed[language].pictures) >= 19
    assert all(label in picture for picture in pictures)
    captions = re.findall(r"<caption>(.*?)</caption>", text, re.S)
    assert captions
    assert all(label in caption for caption in captions)


@pytest.mark.parametrize("language", LANGUAGES)
def test_official_data_carry_no_synthetic_label(language: str) -> None:
    text = render_report(made_up_report(synthetic=False), language, template_dir=ANNUAL).split("</style>")[-1]
    assert "합성 자료" not in text
    assert "ynthetic data" not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_pictures_have_words_for_those_who_do_not_see_them(parsed: Mapping[str, _Page], language: str) -> None:
    assert all(len(label) > 20 for label in parsed[language].pictures)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_small_and_says_its_language(pages: Mapping[str, str], language: str) -> None:
    assert len(pages[language].encode()) < 3_000_000
    assert f'<html lang="{language}">' in pages[language]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_character_is_in_the_typeface(pages: Mapping[str, str], language: str) -> None:
    assert missing_characters(pages[language]) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_same_data_give_the_same_bytes(report: ReportData, pages: Mapping[str, str], language: str) -> None:
    assert render_report(made_up_report(), language, template_dir=ANNUAL) == pages[language]


def test_colours_of_charts_follow_the_theme(pages: Mapping[str, str]) -> None:
    used = set(re.findall(r'(?:fill|stroke)="(#[0-9a-f]{3,6})"', pages["ko"]))
    assert used <= set(PALETTE.values())
    for value in used:
        assert f'svg [fill="{value}"]{{fill:var(--c-' in pages["ko"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_first_wave_has_no_empty_parts(language: str) -> None:
    text = render_report(made_up_report(wave=2021), language, template_dir=ANNUAL)
    # Technologies and stages were first asked in 2022
    assert re.findall(r"<figure[^>]*id=\"[^\"]*(?:ladder|technologies)", text) == []
    assert re.findall(r"<(div|section|ul|dl|p)\b[^>]*>\s*</\1>", text) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_template_is_left_unfilled(pages: Mapping[str, str], language: str) -> None:
    body = pages[language].split("<body>")[1].split("<script>")[0]
    assert "{{" not in body
    assert "None" not in body
    assert "nan" not in re.findall(r">\s*(nan)\b", body)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_browser_is_told_to_run_the_reports_script_and_nothing_else(pages: Mapping[str, str], language: str) -> None:
    [script] = re.findall(r"<script[^>]*>(.*?)</script>", pages[language], flags=re.DOTALL)
    code = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    [policy] = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', pages[language])
    told = dict(part.split(" ", 1) for part in html.unescape(policy).split("; "))
    assert told["script-src"] == f"'sha256-{code}'"
    assert told["default-src"] == "'none'"
    assert pages[language].index(policy) < pages[language].index("<style>")


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_from_deliveries_cannot_become_markup(language: str) -> None:
    data = made_up_report()
    evil = data.deliveries.with_columns(pl.lit("<script>alert(1)</script>").alias("file_name"))
    values = {name: getattr(data, name) for name in data.__dataclass_fields__}
    text = render_report(type(data)(**{**values, "deliveries": evil}), language, template_dir=ANNUAL)
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
