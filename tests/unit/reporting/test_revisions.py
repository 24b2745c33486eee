"""What a reader is told of changed figures, from triangles made up here."""

from collections.abc import Mapping

import polars as pl

from pipelines.reporting.data import ReportData
from pipelines.reporting.revisions import changes_table, correction_notice, revised_sentence, triangle_table
from pipelines.reporting.texts import Texts
from tests.unit.reporting.made_up import library, made_up_report

Prints = list[tuple[str, float | None, str, str]]


def revised(prints: Prints, *, wave: int = 2024, release: str = "2025.2", reason: str | None = None) -> ReportData:
    """A release whose triangle holds one figure of enterprises: (release, estimate, cause, kind) in order."""
    rows = [
        {
            "survey": "industry", "wave": wave, "domain_type": "total", "domain_code": "total",
            "measure": "ai_adoption", "base": "answered", "unit_weighting": "unit", "vintage": vintage,
            "publication_order": order, "is_headline": True, "estimate": estimate,
            "se": None if estimate is None else 0.01,
            "previous_vintage": None if order == 1 else prints[order - 2][0],
            "change_pp": None if order == 1 or None in (estimate, prints[order - 2][1])
            else 100 * (estimate - prints[order - 2][1]),
            "change_from_first_pp": None, "cause": cause, "kind": kind,
            "reason_ko": reason and f"{reason} ko", "reason_en": reason, "declared_by": None,
        }
        for order, (vintage, estimate, cause, kind) in enumerate(prints, start=1)
    ]  # fmt: skip
    frame = pl.DataFrame(rows, infer_schema_length=None).select(library().marts["mart.revision"].column_names)
    made = made_up_report(wave=2025, revision=frame)
    object.__setattr__(made, "release", release)
    return made


FIRST = ("2024.1", 0.30, "first", "first")
AGAIN = ("2025.1", 0.30, "none", "unchanged")


def test_nothing_is_told_where_nothing_changed(report: ReportData, texts: Mapping[str, Texts]) -> None:
    assert correction_notice(report, texts["en"]) == []
    assert revised_sentence(report, texts["en"]).endswith("none had changed.")
    assert not changes_table(report, [texts["en"]]).rows


def test_a_release_is_compared_with_the_one_of_its_wave_before_it(texts: Mapping[str, Texts]) -> None:
    """2024.2 mended 2024; readers of 2025.1 learn it in 2025.2, with the cause that 2024.2 had."""
    data = revised([FIRST, AGAIN, ("2024.2", 0.32, "late_answer", "undeclared"), ("2025.2", 0.32, "none", "unchanged")])
    [said] = correction_notice(data, texts["en"])
    assert said == (
        "Industry, 2024: 32.0\u00a0%. Release 2025.1 had 30.0\u00a0%, a change of +2.0\u00a0percentage points. "
        "Cause, as far as the inputs tell: late answers."
    )
    [told] = correction_notice(data, texts["ko"])
    assert "판 2025.1에는 30.0\u00a0%로" in told
    assert "늦게 들어온 응답" in told


def test_the_first_release_of_a_wave_is_compared_with_the_last_that_printed_the_figure(
    texts: Mapping[str, Texts],
) -> None:
    data = revised([FIRST, ("2025.1", 0.29, "weight;definition", "undeclared")], release="2025.1")
    [said] = correction_notice(data, texts["en"])
    assert "Release 2024.1 had 30.0" in said
    assert "\u22121.0\u00a0percentage points" in said
    assert "weighting changed and definition changed" in said


def test_a_declared_change_says_kind_and_reason(texts: Mapping[str, Texts]) -> None:
    data = revised([FIRST, AGAIN, ("2025.2", 0.31, "code", "correction")], reason="A wrong factor was used")
    [said] = correction_notice(data, texts["en"])
    assert said.endswith(
        "Correction (an error), cause: program or rules of computation changed (A wrong factor was used)."
    )
    [told] = correction_notice(data, texts["ko"])
    assert told.endswith("정정(오류)이며 원인은 프로그램 또는 계산 규칙의 변경입니다(A wrong factor was used ko).")


def test_changes_that_cannot_be_seen_or_shown_are_told_too(texts: Mapping[str, Texts]) -> None:
    small = revised([FIRST, AGAIN, ("2025.2", 0.3001, "code", "undeclared")])
    assert "smaller than the last digit printed" in correction_notice(small, texts["en"])[0]
    hidden = revised([FIRST, AGAIN, ("2025.2", None, "data", "undeclared")])
    assert "no longer shown" in correction_notice(hidden, texts["en"])[0]
    shown = revised(
        [
            ("2024.1", None, "first", "first"),
            ("2025.1", None, "none", "unchanged"),
            ("2025.2", 0.3, "data", "undeclared"),
        ]
    )
    assert "shown now" in correction_notice(shown, texts["en"])[0]


def test_a_change_that_was_taken_back_in_between_is_no_change_for_the_reader(texts: Mapping[str, Texts]) -> None:
    back = [FIRST, AGAIN, ("2024.2", 0.4, "data", "undeclared"), ("2024.3", 0.3, "data", "undeclared"),
            ("2025.2", 0.3, "none", "unchanged")]  # fmt: skip
    data = revised(back)
    assert correction_notice(data, texts["en"]) == []
    # The triangle keeps both
    assert len(changes_table(data, [texts["en"]]).rows) == 2
    assert "4 times in later releases; 2 of them" in revised_sentence(data, texts["en"])


def test_the_triangle_has_a_row_a_year_and_a_column_a_release_in_the_order_of_publication(
    texts: Mapping[str, Texts],
) -> None:
    data = revised([FIRST, AGAIN, ("2024.2", 0.32, "data", "undeclared"), ("2025.2", None, "data", "undeclared")])
    table = triangle_table(data, [texts["en"]])
    assert [column.heading for column in table.columns[2:]] == ["2024.1", "2025.1", "2024.2", "2025.2"]
    [row] = table.rows
    assert [cell.text for cell in row] == ["Industry", "2024", "30.0", "30.0", "32.0", "[x]"]
    both = triangle_table(data, [texts["ko"], texts["en"]])
    assert len(both.rows[0]) == len(both.columns) == len(row) + 1


def test_a_release_that_does_not_cover_a_year_is_told_from_one_that_hides_it(
    report: ReportData, texts: Mapping[str, Texts]
) -> None:
    table = triangle_table(report, [texts["en"]])
    of_2022 = next(row for row in table.rows if row[1].text == "2022")
    assert of_2022[2].text == "–"
    assert all(cell.text not in ("–", "[x]") for cell in of_2022[3:])


def test_the_list_of_changes_has_their_size_and_cause(texts: Mapping[str, Texts]) -> None:
    data = revised([FIRST, ("2025.1", 0.3123, "data", "undeclared")], release="2025.1")
    [row] = changes_table(data, [texts["ko"], texts["en"]]).rows
    printed = [cell.text for cell in row]
    assert printed[2:6] == ["2024", "2025.1", "2024.1", "31.2"]
    assert "+1.23" in printed
    assert "조사 자료의 정정" in printed
    assert "Corrected survey data" in printed
