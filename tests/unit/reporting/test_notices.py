"""Overrides and explanations stand in the report of both languages, and leave no trace where there are none."""

from dataclasses import replace

import pytest

from pipelines.reporting.html import render_report
from pipelines.reporting.notices import Notice
from pipelines.reporting.numbers import Language
from pipelines.reporting.texts import Texts
from tests.unit.reporting.made_up import ANNUAL, made_up_report

OVERRIDE = Notice(
    kind="override",
    rule={"ko": "필수 점검 실패", "en": "A blocking check failed"},
    who="Lee <b>",
    why={"ko": "영향 없음", "en": "harmless"},
)
EXPLANATION = Notice(
    kind="explanation",
    rule={"ko": "규모별 순서의 역전", "en": "A size gradient turned over"},
    who="Kim",
    why={"ko": "등록부 개편", "en": "the register was reorganised"},
    about={"ko": "산업, 250명 이상", "en": "Industry, 250 or more"},
)


@pytest.mark.parametrize("language", ["ko", "en"])
def test_a_notice_names_rule_person_and_reason(language: Language) -> None:
    texts = Texts(ANNUAL, language)
    told = OVERRIDE.sentence(texts)
    assert all(part in told for part in (OVERRIDE.rule[language], OVERRIDE.who, OVERRIDE.why[language]))
    told = EXPLANATION.sentence(texts)
    assert EXPLANATION.about is not None
    assert all(part in told for part in (EXPLANATION.about[language], EXPLANATION.who, EXPLANATION.why[language]))


def test_the_report_prints_them_escaped_under_a_heading_of_their_own() -> None:
    heading = Texts(ANNUAL, "ko")("notices.section")
    page = render_report(replace(made_up_report(), notices=(OVERRIDE, EXPLANATION)), "ko", template_dir=ANNUAL)
    section = page.partition('<section class="notices"')[2].partition("</section>")[0]
    assert heading in section
    assert "Lee &lt;b&gt;" in section
    assert "등록부 개편" in section
    assert heading not in render_report(made_up_report(), "ko", template_dir=ANNUAL)
