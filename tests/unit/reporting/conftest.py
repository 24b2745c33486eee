"""A made-up release, printed once for all tests of reporting."""

from collections.abc import Mapping

import pytest

from pipelines.reporting.data import ReportData
from pipelines.reporting.html import render_report
from pipelines.reporting.numbers import Language
from pipelines.reporting.texts import Texts
from tests.unit.reporting.made_up import ANNUAL, made_up_report

LANGUAGES: tuple[Language, ...] = ("ko", "en")


@pytest.fixture(scope="session")
def report() -> ReportData:
    return made_up_report()


@pytest.fixture(scope="session")
def pages(report: ReportData) -> Mapping[str, str]:
    """The report's HTML by language."""
    return {language: render_report(report, language, template_dir=ANNUAL) for language in LANGUAGES}


@pytest.fixture(scope="session")
def texts() -> Mapping[str, Texts]:
    return {language: Texts(ANNUAL, language) for language in LANGUAGES}
