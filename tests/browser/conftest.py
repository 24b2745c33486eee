"""The printed report in Chromium. All tests here are marked `browser`."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from pipelines.reporting.html import render_report
from pipelines.reporting.numbers import Language
from tests.unit.reporting.made_up import ANNUAL, made_up_report

CHROMIUM = Path("/usr/bin/chromium")
LANGUAGES: tuple[Language, ...] = ("ko", "en")
# Phone, tablet, desk
WIDTHS = (390, 768, 1440)

_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# Module scope: the driver's event loop must be gone before other tests of this process start one of their own
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"needs Chromium at {CHROMIUM}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The report's files by language."""
    folder = tmp_path_factory.mktemp("report")
    data = made_up_report()
    paths = {}
    for language in LANGUAGES:
        paths[language] = folder / f"report.{language}.html"
        text = render_report(data, language, template_dir=ANNUAL)
        paths[language].write_text(text, encoding="utf-8")
    return paths


@pytest.fixture(params=[(language, width) for language in LANGUAGES for width in WIDTHS], scope="module")
def page(request: pytest.FixtureRequest, browser: Browser, files: Mapping[str, Path]) -> Iterator[Page]:
    """The report in one language at one width, with its typeface in place."""
    language, width = request.param
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(files[language].as_uri())
    page.evaluate("document.fonts.ready")
    yield page
    page.close()
