"""Every reason to refuse is planted and refuses; several at once are all told; nothing planted passes."""

import datetime
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from pipelines.contracts.calendar import Embargo
from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.signed import Explanation, Override
from pipelines.errors import AxstatError
from pipelines.release import rules
from pipelines.release.candidate import Candidate, FailedCheck, WrittenFiles
from pipelines.release.equality import Difference
from pipelines.release.gate import (
    BY_FILES,
    BY_ROWS,
    RefusedError,
    Verdict,
    judge_files,
    judge_rows,
    notices,
    overrides_of,
    told_overrides,
)
from pipelines.release.protection import Leak
from pipelines.release.text_check import TextFinding
from pipelines.warehouse.published import publishable
from tests.unit.reporting.made_up import ANNUAL, made_up_report

PAGE = (Path(__file__).parents[3] / "reports" / "methodology" / "release.md").read_text(encoding="utf-8")
WAVE = 2025
SEOUL = datetime.timezone(datetime.timedelta(hours=9))
MOMENT = datetime.datetime(2025, 12, 17, 12, tzinfo=SEOUL)
ROWS = pl.DataFrame({"stratum": ["a", "b", "c", "d"], "what_to_do": ["look at it"] * 4})
HEADLINE = {"survey": "industry", "wave": WAVE, "measure": "ai_adoption"}

Plant = Callable[[Candidate], Candidate]


@pytest.fixture(scope="module")
def marts(library: ContractLibrary) -> dict[str, pl.DataFrame]:
    made_up = made_up_report(wave=WAVE).marts
    return {name: publishable(frame, library.marts[f"mart.{name}"]) for name, frame in made_up.items()}


@pytest.fixture(scope="module")
def clean(
    library: ContractLibrary, marts: dict[str, pl.DataFrame], tmp_path_factory: pytest.TempPathFactory
) -> Candidate:
    """A release in which nothing is wrong."""
    folder = tmp_path_factory.mktemp("candidate")
    for language in ("ko", "en"):
        (folder / f"report.{language}.html").write_text("", encoding="utf-8")
    return Candidate(
        release="2025.1", wave=WAVE, library=library, marts=marts, failed_checks=(), leaks=(), now=MOMENT,
        written=WrittenFiles(folder=folder, data=made_up_report(wave=WAVE), template_dir=ANNUAL),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def different(monkeypatch: pytest.MonkeyPatch) -> list[Difference]:
    """Cells that differ between the forms; how they are found is tested with equality."""
    found: list[Difference] = []
    monkeypatch.setattr(rules, "unequal_cells", lambda *_, **__: found)
    return found


@pytest.fixture(autouse=True)
def misprinted(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[TextFinding]]:
    """Wrong numbers by language; how they are found is tested with the text check."""
    found: dict[str, list[TextFinding]] = {"ko": [], "en": []}
    monkeypatch.setattr(rules, "text_findings", lambda _pages, **_: found)
    return found


def judged(candidate: Candidate) -> Verdict:
    return judge_files(candidate, judge_rows(candidate))


def refusal(candidate: Candidate) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        judged(candidate).require_passed()
    return caught.value


def changed(mart: str, column: str, value: pl.Expr, **rows: object) -> Plant:
    """Another value in some rows of a mart, and in its files."""

    def plant(candidate: Candidate) -> Candidate:
        chosen = pl.all_horizontal(pl.col(name) == wanted for name, wanted in rows.items())
        frame = candidate.marts[mart].with_columns(pl.when(chosen).then(value).otherwise(column).alias(column))
        assert not frame.equals(candidate.marts[mart])
        return replace(candidate, marts={**candidate.marts, mart: frame})

    return plant


def failed(check: str, survey: str | None) -> Plant:
    return lambda candidate: replace(
        candidate, failed_checks=(*candidate.failed_checks, FailedCheck(check, survey, ROWS))
    )


def early(candidate: Candidate) -> Candidate:
    return replace(candidate, now=MOMENT - datetime.timedelta(minutes=1))


def embargoed(candidate: Candidate) -> Candidate:
    held = Embargo(wave=WAVE, until=MOMENT + datetime.timedelta(days=1), why_ko="까닭", why_en="a good reason")
    calendar = candidate.library.calendar.model_copy(update={"embargoes": (held,)})
    return replace(candidate, library=replace(candidate.library, calendar=calendar))


ODD_CHANGE = changed(
    "change", "change_pp", pl.col("change_pp") + 40.0,
    **HEADLINE, wave_before=2024, domain_type="ax_industry", domain_code="AX3", unit_weighting="unit",
)  # fmt: skip


def turned(candidate: Candidate) -> Candidate:
    """The largest enterprises lead clearly in 2024 and trail clearly in 2025."""
    for wave, middle, large in ((WAVE - 1, 0.2, 0.6), (WAVE, 0.4, 0.1)):
        for code, rate in (("50-249", middle), ("250+", large)):
            plant = changed(
                "adoption_rate", "estimate", pl.lit(rate),
                **{**HEADLINE, "wave": wave}, domain_type="size_class", domain_code=code, base="answered",
                unit_weighting="unit",
            )  # fmt: skip
            candidate = plant(candidate)
    return candidate


SILENT = changed("quality_indicator", "value", pl.lit(None), survey="public", wave=WAVE, indicator="A5")


def leaking(candidate: Candidate) -> Candidate:
    leak = Leak("industry", WAVE, "ax_industry AX3 ai_adoption unit", False, 10.0, 10.5, 2.0, 2.0)
    from_before = replace(leak, cell="ax_industry AX4 ai_adoption unit", before=True)
    return replace(candidate, leaks=(leak, from_before))


PLANTS: dict[str, Plant] = {
    "check_failed": failed("weights", "industry"),
    "engines_disagree": failed("engines_disagree", "public"),
    "disclosure": leaking,
    "implausible_change": ODD_CHANGE,
    "size_gradient": turned,
    "missing_indicator": SILENT,
    "calendar": early,
    "embargo": embargoed,
}


def test_the_clean_release_passes_every_rule(clean: Candidate) -> None:
    verdict = judged(clean)
    assert verdict.findings == ()
    assert verdict.judged == (*(rule.code for rule in (*BY_ROWS, *BY_FILES)), "override")
    assert str(verdict).splitlines() == ["release 2025.1", *(f"  {code}: passes" for code in verdict.judged)]
    verdict.require_passed()


def test_every_rule_has_its_labels_and_says_whether_it_may_be_overridden(library: ContractLibrary) -> None:
    listed = library.classifications["gate_rules"]
    assert {rule.code for rule in (*BY_ROWS, *BY_FILES)} <= set(listed.codes)
    assert {item.properties["override"] for item in listed.items} == {"yes", "no"}
    assert set(PLANTS) == {rule.code for rule in BY_ROWS}


@pytest.mark.parametrize("rule", PLANTS)
def test_each_reason_refuses(clean: Candidate, rule: str) -> None:
    verdict = judge_rows(PLANTS[rule](clean))
    codes = [finding.reason.rule for finding in verdict.reasons]
    assert rule in codes
    # A rate that turns a gradient is implausible besides; no other plant has a second finding
    assert set(codes) <= {rule, "implausible_change"}
    with pytest.raises(RefusedError, match=rule):
        verdict.require_passed()


def test_several_reasons_are_all_told(
    clean: Candidate, different: list[Difference], misprinted: dict[str, list[TextFinding]]
) -> None:
    candidate = clean
    for plant in PLANTS.values():
        candidate = plant(candidate)
    cell = {"form": "csv", "table": "change", "column": "se_pp", "expected": "1.0", "got": "1.5"}
    different.append(Difference(**cell, key="survey=industry, wave=2025"))
    misprinted["en"].append(TextFinding("trend", "35.1", "35.0", "the rate was"))
    error = refusal(candidate)
    assert error.codes == (*PLANTS, "unequal_outputs", "text_differs")
    assert "report.en.html, trend: the rate was" in str(error)
    text = str(error)
    assert "[release_refused] release 2025.1" in text
    for told in (
        "check_failed: [weights] industry 2025", "engines_disagree: [engines_disagree] public 2025",
        "industry 2025 ax_industry AX3, by unit, change since 2024", "250+ against 50-249",
        "A5 (neither value nor reason)", "2025-12-17T12:00+09:00 or later", "2025-12-17T11:59+09:00",
        "embargo: [embargo]", "a good reason",
        "unequal_outputs: [unequal_outputs] csv change se_pp survey=industry, wave=2025",
    ):  # fmt: skip
        assert told in text, told
    assert not error.held


def test_rows_of_a_check_are_shown_with_what_to_do(clean: Candidate) -> None:
    text = str(judge_rows(failed("weights", None)(clean)))
    assert "both surveys 2025" in text
    assert "4: stratum=a; stratum=b; stratum=c and 1 more" in text
    assert "to do:    look at it" in text


def test_both_surveys_need_indicators(clean: Candidate) -> None:
    indicators = clean.marts["quality_indicator"].filter(pl.col("survey") != "public")
    reasons = judge_rows(replace(clean, marts={**clean.marts, "quality_indicator": indicators})).reasons
    violations = [reason.reason.violation for reason in reasons]
    assert [violation.where for violation in violations] == [f"public {wave}" for wave in range(2021, WAVE + 1)]
    assert all("R1 (no row)" in violation.got for violation in violations)


def test_an_indicator_without_value_needs_a_reason_only(clean: Candidate) -> None:
    plant = changed("quality_indicator", "reason", pl.lit("not asked"), survey="public", wave=WAVE, indicator="A5")
    assert judge_rows(plant(SILENT(clean))).reasons == ()


def test_from_the_moment_on_the_calendar_lets_it_out(clean: Candidate) -> None:
    utc = MOMENT.astimezone(datetime.UTC)
    assert judge_rows(replace(clean, now=utc)).reasons == ()
    error = RefusedError(judge_rows(early(clean)))
    assert error.held
    assert "axstat release --wave 2025" in str(error)
    assert RefusedError(judge_rows(embargoed(clean))).held
    assert not RefusedError(judge_rows(failed("weights", None)(early(clean)))).held


def test_a_wave_without_a_date_is_refused(clean: Candidate) -> None:
    [reason] = judge_rows(replace(clean, wave=2050, marts=_nothing_of_a_wave(clean))).findings[-1:]
    assert (reason.reason.rule, reason.reason.violation.code) == ("calendar", "no_publication_date")


def _nothing_of_a_wave(candidate: Candidate) -> dict[str, pl.DataFrame]:
    return {name: rows.clear() if "wave" in rows.columns else rows for name, rows in candidate.marts.items()}


def explained(candidate: Candidate, **other: object) -> Candidate:
    given = {
        "survey": "industry", "wave": WAVE, "rule": "implausible_change", "domain_type": "ax_industry",
        "domain_code": "AX3", "who": "Kim", "why_ko": "등록부 개편", "why_en": "the register was reorganised",
    }  # fmt: skip
    entry = Explanation.model_validate({**given, **other})
    return replace(candidate, library=replace(candidate.library, explanations=(entry,)))


def test_an_explanation_counts_for_its_domain_only(clean: Candidate) -> None:
    odd = ODD_CHANGE(clean)
    verdict = judge_rows(explained(odd))
    assert verdict.reasons == ()
    assert "explained by Kim: the register was reorganised" in str(verdict)
    for other in ({"domain_code": "AX4"}, {"wave": 2024}, {"survey": "public"}, {"rule": "size_gradient"}):
        assert len(judge_rows(explained(odd, **other)).reasons) == 1, other
    [notice] = notices(verdict, explained(odd), ("en", "ko"))
    assert (notice.kind, notice.who, notice.why["ko"]) == ("explanation", "Kim", "등록부 개편")
    assert notice.about == {
        language: f"{getattr(clean.library.surveys['industry'], f'short_label_{language}')}, "
        f"{getattr(clean.library.classifications['ax_industries'].item('AX3'), f'label_{language}')}"
        for language in ("en", "ko")
    }


OVERRIDE = Override(release="2025.1", rule="check_failed", name="Lee", reason_ko="사유", reason_en="known and harmless")


def test_an_override_lets_its_rule_through_and_no_other(clean: Candidate) -> None:
    candidate = replace(failed("weights", "public")(failed("weights", "industry")(clean)), overrides=(OVERRIDE,))
    verdict = judged(candidate)
    assert verdict.reasons == ()
    assert len(verdict.findings) == 2
    assert "overridden by Lee: known and harmless" in str(verdict)
    assert "check_failed: 2 answered for by name" in str(verdict)
    [notice] = notices(verdict, candidate, ("en", "ko"))
    assert (notice.kind, notice.about, notice.why["ko"]) == ("override", None, "사유")
    assert notice.rule["en"] == clean.library.classifications["gate_rules"].item("check_failed").label_en
    assert refusal(SILENT(candidate)).codes == ("missing_indicator",)


def test_an_override_that_nothing_needs_is_a_reason_to_refuse(clean: Candidate) -> None:
    error = refusal(replace(clean, overrides=(OVERRIDE,)))
    assert error.codes == ("override",)
    assert "override of check_failed by Lee" in str(error)


def test_overrides_are_for_one_release(library: ContractLibrary) -> None:
    other = OVERRIDE.model_copy(update={"release": "2025.2"})
    held = replace(library, overrides=(OVERRIDE, other))
    assert overrides_of(held, "2025.1", ()) == (OVERRIDE,)
    told = told_overrides("2025.1", ["engines_disagree"], name="Lee", reason="because", reason_ko=None)
    assert told[0].reason_ko == "because"
    assert overrides_of(library, "2025.1", told) == told


@pytest.mark.parametrize(
    ("rule", "code"), [("calendar", "no_override"), ("disclosure", "no_override"), ("x", "unknown_rule")]
)
def test_moments_and_leaks_cannot_be_overridden(library: ContractLibrary, rule: str, code: str) -> None:
    told = told_overrides("2025.1", [rule], name="Lee", reason="because", reason_ko=None)
    with pytest.raises(AxstatError) as caught:
        overrides_of(library, "2025.1", told)
    assert caught.value.code == code


def test_the_method_page_has_the_rules_in_their_order(library: ContractLibrary) -> None:
    table = PAGE.partition("<!-- rules:start -->")[2].partition("<!-- rules:end -->")[0]
    told = re.findall(r"^\| `(\w+)` \|.*\| (yes|no) \|$", table, flags=re.MULTILINE)
    listed = library.classifications["gate_rules"]
    asked = {*(rule.code for rule in (*BY_ROWS, *BY_FILES)), "override"}
    assert told == [(item.code, item.properties["override"]) for item in listed.items if item.code in asked]
