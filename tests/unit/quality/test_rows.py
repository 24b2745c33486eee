from collections.abc import Callable, Mapping
from typing import Any

import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.models import Severity, SqlRule
from pipelines.errors import AxstatError
from pipelines.quality.findings import FINDING_SCHEMA, Checked
from pipelines.quality.rows import QualityResult, check_rows

Rows = Callable[..., tuple[pl.DataFrame, pl.DataFrame]]
Check = Callable[..., QualityResult]

SECOND, THIRD, FOURTH = "2208147520", "1018147520", "1028147523"


@pytest.fixture
def check(rows: Rows, library: ContractLibrary) -> Check:
    def run(contract: str, *changes: Mapping[str, Any]) -> QualityResult:
        typed, raw = rows(contract, *changes)
        return check_rows(typed, raw, library.deliveries[contract])

    return run


def test_valid_rows_pass_and_every_rule_is_counted(check: Check) -> None:
    result = check("business_frame", {})
    assert result.rows == 1
    assert result.quarantine.schema == {
        "row_number": pl.Int64,
        "unit_id": pl.String,
        "rules": pl.List(pl.String),
        "reasons": pl.List(pl.String),
    }
    assert result.quarantine.is_empty()
    assert result.warnings.is_empty()
    assert result.warnings.columns == ["row_number", "unit_id", "rule", "reason"]
    counts = dict(result.counts.select("rule", "rows").rows())
    assert set(counts.values()) == {0}
    assert {
        "employees_not_a_number",
        "duplicate_unit",
        "employees_in_range",
        "region_known_code",
        "take_all_known_code",
        "ksic_not_null",
    } <= set(counts)
    assert len(counts) == result.counts.height


def test_negative_employment_is_quarantined_with_its_reason(check: Check) -> None:
    result = check("business_frame", {}, {"business_number": SECOND, "employees": ("-5", -5)})
    assert result.quarantine.rows() == [
        (2, SECOND, ["employees_in_range"], ["Employees must lie between 1 and 1,000,000. Sent: '-5'."])
    ]
    # Below ten is a warning of its own, and a warning keeps no row out.
    assert result.warnings.select("row_number", "rule").rows() == [(2, "employees_below_scope")]
    [counted] = result.counts.filter(pl.col("rule") == "employees_in_range").to_dicts()
    assert (counted["severity"], counted["column"], counted["rows"]) == ("error", "employees", 1)
    assert counted["message_ko"] == "종사자 수는 1명 이상 1,000,000명 이하여야 합니다."
    assert counted["action_ko"]
    assert counted["action_en"]


def test_an_unknown_code_is_quarantined(check: Check) -> None:
    result = check("industry_response", {"tech_ml": "7"}, {"business_number": SECOND, "tech_ml": "9"})
    [row] = result.quarantine.to_dicts()
    assert (row["row_number"], row["rules"]) == (1, ["tech_ml_known_code"])
    assert row["reasons"][0].endswith("Sent: '7'.")


def test_every_reason_of_a_row_is_kept(check: Check) -> None:
    broken = {"region": "77", "employees": ("many", None), "take_all": None, "ksic": ("C84", "84")}
    [row] = check("business_frame", broken).quarantine.to_dicts()
    # 'many' is unreadable; that it became NULL is no second reason, the blank in take_all is one.
    assert row["rules"] == [
        "employees_not_a_number",
        "take_all_not_null",
        "ksic_in_scope",
        "region_known_code",
    ]
    assert row["reasons"][0] == "Employees: cannot be read as a number. Sent: 'many'."
    assert row["reasons"][1] == "Take-all: the value is missing."


def test_a_missing_identifier(check: Check) -> None:
    [row] = check("business_frame", {"business_number": None}).quarantine.to_dicts()
    assert (row["unit_id"], row["rules"]) == (None, ["business_number_not_null"])


def test_duplicates_say_which_rows(check: Check) -> None:
    changes = [
        {},
        {"business_number": SECOND},
        {},
        {"business_number": SECOND, "employees": ("12", 12)},
        {"business_number": THIRD},
    ]
    result = check("business_frame", *changes)
    assert result.quarantine.select("row_number", "rules").rows() == [
        (2, ["duplicate_unit"]),
        (3, ["duplicate_row"]),
        (4, ["duplicate_unit"]),
    ]
    reasons = [reasons[0] for reasons in result.quarantine["reasons"]]
    assert reasons[0] == "The unit stands in several rows that contradict each other. See rows 2, 4."
    assert reasons[1] == "The same row stands in the file before. See rows 1, 3."


def in_sql(severity: Severity, rows: list[int], **options: float) -> Checked:
    """What the database found for a rule of a contract."""
    said = {
        "why": "why",
        "owner": "owner",
        "message_ko": "이상합니다.",
        "message_en": "Odd.",
        "action_ko": "확인",
        "action_en": "look",
    }
    rule = SqlRule(
        id="odd", severity=severity, query="…", reads=(), parameters={}, column="employees", **said, **options
    )
    findings = pl.DataFrame([(row, "odd", "frame: 7") for row in rows], schema=FINDING_SCHEMA, orient="row")
    return Checked.of_contract([rule], findings)


def test_what_the_database_found_stands_beside_the_rest(rows: Rows, library: ContractLibrary) -> None:
    typed, raw = rows("industry_response", {}, {"business_number": SECOND, "employees": ("-5", -5)})
    contract = library.deliveries["industry_response"]
    kept_out = check_rows(typed, raw, contract, in_sql=in_sql("error", [2]))
    assert kept_out.quarantine["rules"].to_list() == [["employees_in_range", "odd"]]
    assert kept_out.quarantine["reasons"].to_list()[0][1] == "Odd. Sent: '-5'. See frame: 7."
    warned = check_rows(typed, raw, contract, in_sql=in_sql("warning", [1]))
    assert warned.warnings.rows() == [(1, "1208147521", "odd", "Odd. Sent: '1395'. See frame: 7.")]
    assert warned.counts.filter(pl.col("rule") == "odd")["rows"].to_list() == [1]
    assert kept_out.file_faults == warned.file_faults == ()


def test_a_rule_can_refuse_the_file(rows: Rows, library: ContractLibrary) -> None:
    typed, raw = rows("industry_response", *({"business_number": number} for number in (SECOND, THIRD)))
    contract = library.deliveries["industry_response"]
    result = check_rows(typed, raw, contract, in_sql=in_sql("fail_file", [2]), file="d1/answers.csv")
    [fault] = result.file_faults
    assert (fault.code, fault.where, fault.rows, fault.hint) == ("odd", "d1/answers.csv", (2,), "look")
    assert (fault.expected, fault.got) == ("no row: Odd.", "1 of 2 rows")
    assert result.quarantine["row_number"].to_list() == [2]


def test_a_file_is_not_refused_up_to_the_share_of_rows_that_the_rule_allows(
    rows: Rows, library: ContractLibrary
) -> None:
    typed, raw = rows("industry_response", *({"business_number": number} for number in (SECOND, THIRD)))
    contract = library.deliveries["industry_response"]
    half = check_rows(typed, raw, contract, in_sql=in_sql("fail_file", [2], max_share=0.5))
    assert half.file_faults == ()
    assert half.quarantine["rules"].to_list() == [["odd"]]
    [fault] = check_rows(typed, raw, contract, in_sql=in_sql("fail_file", [1, 2], max_share=0.5)).file_faults
    assert (fault.code, fault.expected) == ("odd", "at most 50% of the rows: Odd.")


def test_a_row_of_a_later_wave(check: Check) -> None:
    [row] = check("industry_sample", {"panel_since": ("2026", 2026)}).quarantine.to_dicts()
    assert row["rules"] == ["panel_since_after_wave"]


def test_lists_and_truth_values_pass_the_rules_of_their_contract(check: Check) -> None:
    assert check("institution_frame", {}).quarantine.is_empty()
    [row] = check("institution_frame", {"fields": ("P03;P19", ["P03", "P19"])}).quarantine.to_dicts()
    assert row["rules"] == ["fields_are_sector_codes"]


def test_a_long_cell_is_cut_in_the_reason(check: Check) -> None:
    [row] = check("business_frame", {"region": ("x\n" * 100, "x")}).quarantine.to_dicts()
    assert row["reasons"][0].endswith(f"Sent: '{'x ' * 40}…'.")


def test_rules_of_another_question_version_are_left_out(rows: Rows, library: ContractLibrary) -> None:
    typed, raw = rows("industry_response", {"tech_ml": "7"})
    contract = library.deliveries["industry_response"]
    assert check_rows(typed, raw, contract, question_version="yn-2019").quarantine.is_empty()
    assert check_rows(typed, raw, contract, question_version="list-2022").quarantine.height == 1


def test_the_order_of_rows_does_not_matter(rows: Rows, library: ContractLibrary) -> None:
    typed, raw = rows("business_frame", {}, {"business_number": SECOND, "region": "77"})
    contract = library.deliveries["business_frame"]
    turned = check_rows(typed.reverse(), raw, contract)
    assert turned.quarantine.equals(check_rows(typed, raw, contract).quarantine)


def test_frames_that_do_not_fit(rows: Rows, library: ContractLibrary) -> None:
    typed, raw = rows("business_frame", {}, {"business_number": SECOND})
    contract = library.deliveries["business_frame"]
    with pytest.raises(AxstatError, match="rows_do_not_fit"):
        check_rows(typed.head(1), raw, contract)
    with pytest.raises(AxstatError, match="rows_do_not_fit"):
        check_rows(pl.concat([typed, typed]), pl.concat([raw, raw]), contract)
    with pytest.raises(AxstatError, match=r"(?s)columns_do_not_fit.*none called employees"):
        check_rows(typed.drop("employees"), raw, contract)


def test_no_rows(rows: Rows, library: ContractLibrary) -> None:
    typed, raw = rows("business_frame", {})
    result = check_rows(typed.clear(), raw.clear(), library.deliveries["business_frame"])
    assert (result.rows, result.quarantine.height, result.counts["rows"].sum()) == (0, 0, 0)


def test_a_reason_a_rule_side_by_side(check: Check) -> None:
    result = check(
        "business_frame",
        {"region": "77", "selection_region": "78"},
        {"business_number": SECOND, "region": "79"},
        {"business_number": THIRD},
        {"business_number": FOURTH, "employees": ("0", 0)},
    )
    assert result.quarantine["row_number"].to_list() == [1, 2, 4]
    assert result.quarantine["rules"].list.len().equals(result.quarantine["reasons"].list.len())
