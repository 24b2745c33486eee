"""The report under axe-core: no serious or critical finding, in any language, theme and width. All of it is slow."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.browser.conftest import LANGUAGES, WIDTHS

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser")]

_THEMES = ("light", "dark")


def _findings(page: Page) -> list[tuple[str, str, object]]:
    """Impact, rule and first place of what axe finds; the rules that it could run."""
    result = Axe().run(page).response
    assert len(result["passes"]) > 30
    return [(found["impact"], found["id"], found["nodes"][0]["target"]) for found in result["violations"]]


def _grave(found: list[tuple[str, str, object]]) -> list[tuple[str, str, object]]:
    return [one for one in found if one[0] in ("serious", "critical")]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", _THEMES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_serious_finding(browser: Browser, files: Mapping[str, Path], language: str, theme: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
    page.goto(files[language].as_uri())
    assert _grave(_findings(page)) == []
    page.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_serious_finding_with_all_tables_open(browser: Browser, files: Mapping[str, Path], language: str) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(files[language].as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((box) => { box.open = true; })")
    assert _grave(_findings(page)) == []
    page.close()


def test_axe_would_find_something(browser: Browser, files: Mapping[str, Path]) -> None:
    page = browser.new_page()
    page.goto(files["en"].as_uri())
    page.evaluate(
        """() => {
          document.documentElement.removeAttribute('lang');
          document.querySelector('.lead').style.color = '#cccccc';
          document.querySelector('#content').insertAdjacentHTML('afterbegin', '<button></button>');
        }"""
    )
    assert {one[1] for one in _grave(_findings(page))} >= {"html-has-lang", "color-contrast", "button-name"}
    page.close()
