"""What only a browser can tell about the report: what it asks for, draws, and where things end up."""

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import LANGUAGES

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

# Charts of the page that can be seen at this width, with the boxes of their words. A line of text is higher than its
# letters: a quarter is taken off above and below.
_CHARTS = """() => [...document.querySelectorAll('svg')]
  .filter((svg) => svg.getBoundingClientRect().width > 0)
  .map((svg) => {
    const outer = svg.getBoundingClientRect();
    return {
      name: svg.getAttribute('aria-label'),
      width: outer.width, height: outer.height, left: outer.left, right: outer.right,
      top: outer.top, bottom: outer.bottom,
      marks: svg.querySelectorAll('path, line, rect').length,
      words: [...svg.querySelectorAll('text')].map((text) => {
        const box = text.getBoundingClientRect();
        const size = parseFloat(getComputedStyle(text).fontSize) * (svg.viewBox.baseVal?.width
          ? outer.width / svg.viewBox.baseVal.width : 1);
        return {
          text: text.textContent, size, left: box.left, right: box.right,
          top: box.top + box.height / 4, bottom: box.bottom - box.height / 4,
        };
      }),
    };
  })"""


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_asks_for_nothing_and_complains_of_nothing(
    browser: Browser, files: Mapping[str, Path], language: str
) -> None:
    page = browser.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(files[language].as_uri())
    page.evaluate("document.fonts.ready")
    page.mouse.wheel(0, 20_000)
    page.wait_for_timeout(100)
    page.close()
    assert said == []
    # Data inside the file are no request to anywhere
    assert [url for url in asked if not url.startswith("data:")] == [files[language].as_uri()]


def test_the_typeface_comes_with_the_file(page: Page) -> None:
    assert page.evaluate("[...document.fonts].map((font) => font.family + font.status)") == [
        "Noto Sans KR Reportloaded"
    ]


def test_charts_are_drawn(page: Page) -> None:
    charts = page.evaluate(_CHARTS)
    # Two bars, two series, three charts for each ranking, two ladders, two of technologies, regions, two of changes,
    # small areas, two of other sources
    assert len(charts) == 20
    for chart in charts:
        assert chart["width"] >= 300, chart["name"]
        assert chart["height"] >= 60, chart["name"]
        assert chart["marks"] >= 3, chart["name"]
        assert chart["words"], chart["name"]


def test_nothing_overflows_sideways(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    outside = page.evaluate(
        """() => [...document.querySelectorAll('body *')]
          .filter((e) => !e.closest('.scroll, .skip, details:not([open]) > :not(summary)'))
          .filter((e) => { const r = e.getBoundingClientRect(); return r.width > 0 && r.right > innerWidth + 1; })
          .map((e) => e.tagName + '.' + e.getAttribute('class') + ': ' + e.textContent.slice(0, 40))"""
    )
    assert outside == []


def test_open_tables_stay_in_their_boxes(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((box) => { box.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.evaluate("document.querySelectorAll('details').forEach((box) => { box.open = false; })")


def test_no_words_overlap_in_a_chart(page: Page) -> None:
    clashes = []
    for chart in page.evaluate(_CHARTS):
        words = chart["words"]
        clashes += [
            (chart["name"], one["text"], other["text"])
            for number, one in enumerate(words)
            for other in words[number + 1 :]
            if one["left"] + 0.5 < other["right"]
            and other["left"] + 0.5 < one["right"]
            and one["top"] < other["bottom"]
            and other["top"] < one["bottom"]
        ]
    assert clashes == []


def test_words_stay_inside_their_chart_and_are_not_tiny(page: Page) -> None:
    for chart in page.evaluate(_CHARTS):
        for word in chart["words"]:
            assert word["left"] >= chart["left"] - 8, (chart["name"], word)
            assert word["right"] <= chart["right"] + 4, (chart["name"], word)
            assert word["top"] >= chart["top"] - 2, (chart["name"], word)
            assert word["bottom"] <= chart["bottom"] + 2, (chart["name"], word)
            assert word["size"] >= 12, (chart["name"], word)


def test_text_is_16_px_or_named_smaller(page: Page) -> None:
    sizes = page.evaluate(
        """() => [...document.querySelectorAll('main p, main li, main td')]
          .filter((e) => e.getBoundingClientRect().width > 0)
          .map((e) => parseFloat(getComputedStyle(e).fontSize))"""
    )
    assert min(sizes) >= 13
    assert page.evaluate("getComputedStyle(document.body).fontSize") == "16px"


@pytest.mark.parametrize("language", LANGUAGES)
def test_dark_theme_turns_page_and_charts(browser: Browser, files: Mapping[str, Path], language: str) -> None:
    colours = {}
    for theme in ("light", "dark"):
        page = browser.new_page(color_scheme=theme)
        page.goto(files[language].as_uri())
        colours[theme] = page.evaluate(
            """() => [
              getComputedStyle(document.body).backgroundColor,
              ...['text', 'path'].map((tag) => getComputedStyle(
                document.querySelector(`svg.chart ${tag}`)).fill),
            ]"""
        )
        page.close()
    assert colours["light"][0] == "rgb(255, 255, 255)"
    assert colours["light"][0] != colours["dark"][0]
    assert colours["light"][1] != colours["dark"][1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_everything_can_be_read_without_script(browser: Browser, files: Mapping[str, Path], language: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(files[language].as_uri())
    assert page.locator("h1").is_visible()
    assert page.locator("svg.chart:visible").count() == 18
    page.locator("#tables details summary").first.click()
    assert page.locator("#tables table").first.is_visible()
    assert page.locator("button").count() == 0
    context.close()


def _domains(page: Page) -> str:
    page.evaluate("document.querySelectorAll('#tables details').forEach((box) => { box.open = true; })")
    return "table[data-name*='industry_domains']"


@pytest.mark.parametrize("language", LANGUAGES)
def test_tables_can_be_sorted_filtered_and_taken_away(
    browser: Browser, files: Mapping[str, Path], language: str
) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(files[language].as_uri())
    table = page.locator(_domains(page))
    column = "tbody tr td:nth-child(4)"
    table.locator("thead tr:last-child th:nth-child(4) button").click()
    cells = table.locator(column)
    values = [cell.get_attribute("data-v") for cell in cells.all()]
    numbers = [float(value) for value in values if value is not None]
    assert numbers == sorted(numbers, reverse=True)
    # What is not shown comes last
    assert values[len(numbers) :] == [None] * (len(values) - len(numbers))
    assert table.locator("th[aria-sort=descending]").count() == 1

    everything = table.locator("tbody tr").count()
    box = page.locator("details", has=table).first
    box.locator("input[type=search]").fill({"ko": "서울", "en": "Seoul"}[language])
    shown = table.locator("tbody tr:visible").count()
    assert 0 < shown < everything

    with page.expect_download() as waiting:
        box.locator("button.save").click()
    text = Path(waiting.value.path()).read_text(encoding="utf-8-sig")
    rows = list(csv.reader(io.StringIO(text)))
    # Headings, all rows whatever is filtered, the table's number with its title, and the label of synthetic data
    assert len(rows) == everything + 3
    assert len(set(rows[0])) == len(rows[0])
    assert [float(row[3]) for row in rows[1:-2] if row[3] != "[u]"] == numbers
    assert "2025.1-T" in rows[-2][0]
    assert rows[-1] == [table.get_attribute("data-synthetic")]
    assert waiting.value.suggested_filename == f"2025.1-industry_domains-{language}.csv"
    page.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_prints_on_a4(browser: Browser, files: Mapping[str, Path], language: str, tmp_path: Path) -> None:
    page = browser.new_page()
    page.goto(files[language].as_uri())
    printed = page.pdf(prefer_css_page_size=True)
    page.close()
    # 210 mm x 297 mm in points, on every page
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", printed)
    assert len(boxes) > 10
    for box in boxes:
        assert [float(side) for side in box] == pytest.approx([595.28, 841.89], abs=0.5)
    assert len(printed) < 8_000_000


@pytest.mark.parametrize("language", LANGUAGES)
def test_print_opens_the_tables_and_cuts_no_chart(browser: Browser, files: Mapping[str, Path], language: str) -> None:
    # The height of a printed page less its margins, and its width, in CSS pixels
    room, width = (297 - 32) / 25.4 * 96, int((210 - 24) / 25.4 * 96)
    page = browser.new_page(viewport={"width": width, "height": 1000})
    page.goto(files[language].as_uri())
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    for table in page.locator("#tables table").all():
        assert table.is_visible()
    for figure in ("industry_ladder", "public_ladder", "public_small_area"):
        assert page.locator(f"#{figure} table").is_visible()
    assert page.locator("button.save:visible, .tools:visible, nav:visible, .skip:visible").count() == 0
    for chart in page.locator("svg.chart:visible").all():
        box = chart.bounding_box()
        assert box is not None
        assert box["height"] < room
        assert chart.evaluate("(svg) => getComputedStyle(svg).breakInside") == "avoid"
    page.close()


def test_every_printed_page_says_that_data_are_synthetic(files: Mapping[str, Path], browser: Browser) -> None:
    # The words stand in the margin of every page: where the margin box is supported, as it is in this browser
    page = browser.new_page()
    page.goto(files["en"].as_uri())
    rule = page.evaluate(
        """() => [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules])
          .flatMap((rule) => rule.cssRules ? [...rule.cssRules] : [])
          .filter((rule) => rule instanceof CSSPageRule).map((rule) => rule.cssText).join(' ')"""
    )
    page.close()
    assert "Synthetic data, not official statistics" in rule
