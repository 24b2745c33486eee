import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import polars as pl
import pytest

from pipelines.reporting import numbers, share
from pipelines.reporting.data import ReportData
from pipelines.reporting.numbers import Language
from pipelines.reporting.share import render_share
from pipelines.reporting.texts import Texts
from tests.unit.reporting.conftest import LANGUAGES
from tests.unit.reporting.made_up import ANNUAL, made_up_report


@pytest.mark.parametrize("language", LANGUAGES)
def test_picture_has_the_size_that_is_shared_and_the_same_bytes(report: ReportData, language: Language) -> None:
    made = render_share(report, language, template_dir=ANNUAL)
    assert made.startswith(b"\x89PNG")
    assert (int.from_bytes(made[16:20]), int.from_bytes(made[20:24])) == (1200, 630)
    assert len(made) < 300_000
    assert render_share(made_up_report(), language, template_dir=ANNUAL) == made


@pytest.mark.parametrize("language", LANGUAGES)
def test_picture_says_rate_interval_target_source_and_release(
    report: ReportData, texts: Mapping[str, Texts], monkeypatch: pytest.MonkeyPatch, language: Language
) -> None:
    given: list[Mapping[str, Any]] = []
    monkeypatch.setattr(share, "typeset", lambda template, values, **_: given.append(values) or b"")
    render_share(report, language, template_dir=ANNUAL)
    told = re.sub(r"\\xa0", "\u00a0", repr(given[0]))
    for survey in report.surveys:
        estimate, low, high = report.headline(survey).value()
        assert numbers.per_cent(estimate, language) in told
        assert numbers.interval(low, high, language) in told
        assert numbers.whole_per_cent(report.targets[survey].value, language) in told
        assert getattr(report.surveys[survey], f"label_{language}") in told
    assert report.release in told
    assert texts[language]("synthetic.small_print") in told


def test_banner_is_in_the_picture_of_synthetic_data_only(report: ReportData) -> None:
    official = dataclasses.replace(report, synthetic=False)
    assert render_share(report, "en", template_dir=ANNUAL) != render_share(official, "en", template_dir=ANNUAL)


def test_a_headline_that_may_not_be_shown_has_a_picture_without_a_bar() -> None:
    data = made_up_report()
    rates = data.marts["adoption_rate"].with_columns(pl.lit("suppress").alias("reliability"))
    hidden = dataclasses.replace(data, marts={**data.marts, "adoption_rate": rates})
    made = render_share(hidden, "ko", template_dir=ANNUAL)
    assert (int.from_bytes(made[16:20]), int.from_bytes(made[20:24])) == (1200, 630)
