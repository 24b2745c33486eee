"""The report in use: by pointer and keyboard, with tables filtered and taken away, without a network."""

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page

from tests.browser.conftest import LANGUAGES

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def _open(browser: Browser, path: Path, width: int = 1440) -> Page:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(path.as_uri())
    return page


def _rows(page: Page, button: Locator) -> tuple[list[list[str]], str]:
    """A CSV file that a button gives, as rows, and its name."""
    with page.expect_download() as waiting:
        button.click()
    text = Path(waiting.value.path()).read_text(encoding="utf-8-sig")
    return list(csv.reader(io.StringIO(text))), waiting.value.suggested_filename


@pytest.mark.parametrize("language", LANGUAGES)
def test_tables_are_filtered_by_kind_survey_and_words(
    browser: Browser, files: Mapping[str, Path], language: str
) -> None:
    page = _open(browser, files[language])
    page.evaluate("document.querySelectorAll('#tables details').forEach((box) => { box.open = true; })")
    table = page.locator("table[data-name*='-progress-']")
    box = page.locator("details.table-box", has=table)
    shown = table.locator("tbody tr:visible")
    everything = shown.count()
    kind, survey = box.locator("select").all()
    survey.select_option(index=2)
    of_survey = shown.count()
    assert 0 < of_survey < everything
    assert {cell.inner_text() for cell in table.locator("tbody tr:visible th:nth-child(3)").all()} == {
        survey.input_value()
    }
    assert f"{of_survey}" in box.locator("output").inner_text()
    kind.select_option(label=table.locator("tbody tr:visible th:nth-child(2)").last.inner_text())
    assert 0 < shown.count() < of_survey
    survey.select_option(index=0)
    kind.select_option(index=0)
    assert shown.count() == everything
    assert box.locator("output").inner_text() == ""
    box.locator("input[type=search]").fill("no such domain")
    assert shown.count() == 0
    page.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_table_behind_every_chart_can_be_taken_away(
    browser: Browser, files: Mapping[str, Path], language: str
) -> None:
    page = _open(browser, files[language])
    figures = page.locator("figure").all()
    assert len(figures) == 18
    for figure in figures:
        # The button is in sight, the table need not be opened
        rows, name = _rows(page, figure.locator("button.save"))
        shown = figure.locator("table").evaluate(
            """(table) => [...table.tBodies[0].rows].map(
                 (row) => [...row.cells].map((cell) => [cell.textContent.trim(), cell.dataset.v ?? null]))"""
        )
        assert name.startswith("2025.1-"), name
        assert len(rows) == len(shown) + 3
        for written, cells in zip(rows[1:-2], shown, strict=True):
            for text, (printed, value) in zip(written, cells, strict=True):
                if value is None:
                    assert text.removeprefix("'") == printed
                else:
                    assert text == value
                    # Unrounded in the file, rounded once on the page
                    digits = len(printed.replace(",", "").rstrip("%\u00a0").partition(".")[2])
                    number = float(printed.replace(",", "").replace("−", "-").rstrip("%\u00a0"))
                    assert abs(number - float(value)) <= 0.5 * 10**-digits + 1e-9
        figure_id = re.search(r"2025\.1-F\d\d", figure.locator(".source").inner_text())
        assert figure_id is not None
        assert figure_id.group() in rows[-2][0]
        assert "Synthetic" in rows[-1][0] or "합성" in rows[-1][0]
    page.close()


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", " =1+1", "\t=1", "＝1+1"])
def test_no_cell_becomes_a_formula(browser: Browser, files: Mapping[str, Path], text: str) -> None:
    page = _open(browser, files["en"])
    figure = page.locator("figure").first
    figure.locator("tbody th").first.evaluate("(cell, text) => { cell.textContent = text; }", text)
    rows, _ = _rows(page, figure.locator("button.save"))
    assert rows[1][0] == "'" + text.strip()
    page.close()


def test_negative_numbers_stay_numbers(browser: Browser, files: Mapping[str, Path]) -> None:
    page = _open(browser, files["en"])
    rows, _ = _rows(page, page.locator("#industry_ax_industry_change button.save"))
    # The lower limits of changes
    lows = [float(row[5]) for row in rows[1:-2] if not row[5].startswith("[")]
    assert len(lows) > 3
    assert min(lows) < 0
    page.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_points_say_estimate_interval_error_and_n(browser: Browser, files: Mapping[str, Path], language: str) -> None:
    page = _open(browser, files[language])
    figure = page.locator("#industry_ax_industry_unit")
    tip = page.locator(".tip")
    assert not tip.is_visible()
    rows = figure.locator("tbody tr").all()
    points = figure.locator("svg.wide .point").all()
    assert len(points) == len(rows) == 8
    for point, row in zip(points, rows, strict=True):
        cells = [cell.text_content() or "" for cell in row.locator("th, td").all()]
        point.hover()
        said = tip.inner_text()
        assert tip.is_visible()
        # Domain, estimate, lower, upper, SE and n as in the table's row
        for cell in (cells[0], *cells[1:6]):
            assert cell in said, (cell, said)
        assert said.split() == (point.get_attribute("aria-label") or "").replace(";", "").split() or all(
            part in said for part in (point.get_attribute("aria-label") or "").split("; ")
        )
    page.mouse.move(0, 0)
    assert not tip.is_visible()
    page.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_chart_is_one_stop_and_arrows_walk_its_points(
    browser: Browser, files: Mapping[str, Path], language: str
) -> None:
    page = _open(browser, files[language])
    for chart in page.locator("svg.chart:visible").all():
        assert chart.locator("[tabindex='0']").count() == 1, chart.get_attribute("aria-label")
        assert chart.get_attribute("role") == "group"
    chart = page.locator("#industry_ax_industry_unit svg.wide")
    labels = [point.get_attribute("aria-label") for point in chart.locator(".point").all()]
    chart.locator(".point").first.focus()
    visited = [page.evaluate("document.activeElement.getAttribute('aria-label')")]
    for _ in labels[1:]:
        page.keyboard.press("ArrowDown")
        visited.append(page.evaluate("document.activeElement.getAttribute('aria-label')"))
        assert page.locator(".tip").is_visible()
    assert visited == labels
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == labels[-1]
    ring = page.evaluate("getComputedStyle(document.activeElement.querySelector('circle')).strokeWidth")
    assert ring == "3px"
    page.keyboard.press("Home")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == labels[0]
    page.keyboard.press("Escape")
    assert not page.locator(".tip").is_visible()
    page.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_walk_by_tabulator_reaches_everything_and_is_seen(
    browser: Browser, files: Mapping[str, Path], language: str
) -> None:
    page = _open(browser, files[language])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#content"
    seen, charts = set(), set()
    for _ in range(150):
        page.keyboard.press("Tab")
        at = page.evaluate(
            """() => {
              const it = document.activeElement, style = getComputedStyle(it);
              const circle = it.querySelector?.(':scope > circle');
              return {
                tag: it.tagName, chart: it.closest('figure')?.id ?? null, text: it.textContent.slice(0, 60),
                ring: circle ? parseFloat(getComputedStyle(circle).strokeWidth)
                  : style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth),
              };
            }"""
        )
        if at["tag"] == "BODY":
            break
        assert at["ring"] >= 1, at
        seen.add(at["tag"])
        if at["tag"] == "g":
            charts.add(at["chart"])
    assert {"A", "g", "BUTTON", "SUMMARY", "DIV"} <= seen
    assert len(charts) == 18
    page.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_works_from_a_file_without_a_network(browser: Browser, files: Mapping[str, Path], language: str) -> None:
    context = browser.new_context(offline=True)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(files[language].as_uri())
    page.evaluate("document.fonts.ready")
    assert page.evaluate("document.fonts.size") == 1
    page.locator("#industry_ax_industry_unit summary").click()
    button = page.locator("#industry_ax_industry_unit th button").nth(2)
    button.click()
    assert button.get_attribute("data-order") == "descending"
    _, name = _rows(page, page.locator("#industry_ax_industry_unit button.save"))
    assert name.endswith(f"-{language}.csv")
    assert said == []
    context.close()


def test_what_got_into_the_page_does_not_run_and_loads_nothing(
    browser: Browser, files: Mapping[str, Path], tmp_path: Path
) -> None:
    text = files["en"].read_text(encoding="utf-8")
    strange = (
        """<script>document.title = "run"</script><img src="https://127.0.0.1:9/x" onerror="document.title = 'run'">"""
    )
    (tmp_path / "changed.html").write_text(text.replace("<main", f"{strange}<main", 1), encoding="utf-8")
    page = browser.new_page()
    stopped: list[tuple[str, str | None]] = []
    page.on("requestfailed", lambda request: stopped.append((request.url, request.failure)))
    page.goto((tmp_path / "changed.html").as_uri())
    page.evaluate("document.fonts.ready")
    assert page.title() != "run"
    # Not refused by whom it was asked of, but by the page
    assert stopped == [("https://127.0.0.1:9/x", "csp")]
    # The page's own script runs
    assert page.locator("button.save").count() > 0
    page.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_stays_below_three_megabytes_and_moves_nothing_for_who_wants_rest(
    browser: Browser, files: Mapping[str, Path], language: str
) -> None:
    assert files[language].stat().st_size < 3_000_000
    for wish, behaviour in (("reduce", "auto"), ("no-preference", "smooth")):
        page = browser.new_page(reduced_motion=wish)
        page.goto(files[language].as_uri())
        assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == behaviour
        assert page.evaluate("document.getAnimations().length") == 0
        page.close()
