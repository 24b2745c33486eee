"""The SQL rules of the contracts: for each, rows that break it beside rows that just do not."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.contracts.compiler import polars_schema
from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.rules import rule_tables, run_rules
from pipelines.warehouse.session import Session

ROOT = Path(__file__).parents[3]
Row = Mapping[str, Any]
Broken = Callable[..., list[int]]

INDUSTRY_STRATUM = {"selection_ksic_group": "CC", "selection_size_class": "10-49", "selection_region": "11"}
PUBLIC_STRATUM = {"selection_main_sector": "P03", "selection_institution_type": "central"}
SELECTED = {"inclusion_probability": 0.5, "panel_since": 2024, "permanent_random_number": 0.25, "disposition": "1.1"}
VALID: Mapping[str, Row] = {
    "industry_response": {"unit_id": "1208147521", "employees": 100},
    "public_response": {"unit_id": "0012345", "employees": 100},
    "industry_sample": {"unit_id": "1208147521", **INDUSTRY_STRATUM, **SELECTED},
    "public_sample": {"unit_id": "0012345", **PUBLIC_STRATUM, **SELECTED},
    "business_frame": {
        "unit_id": "1208147521",
        "ksic_division": "26",
        "region": "11",
        "employees": 100,
        "take_all": False,
        **INDUSTRY_STRATUM,
    },
    "institution_frame": {
        "unit_id": "0012345",
        "institution_type": "central",
        "main_sector": "P03",
        "fields": ["P01", "P03"],
        "region": "11",
        "employees": 100,
        "take_all": False,
        **PUBLIC_STRATUM,
    },
}
TECHNOLOGIES = ("tech_ml", "tech_text", "tech_speech", "tech_vision", "tech_genai", "tech_rpa", "tech_robot")
RESPONSES = ("industry_response", "public_response")
WAVE = 2025


def battery(answers: str, **other: Any) -> dict[str, Any]:
    """A digit a technology; a dot is a blank."""
    digits = (None if answer == "." else answer for answer in answers)
    return {**dict(zip(TECHNOLOGIES, digits, strict=True)), **other}


def units(rows: Sequence[Row]) -> list[Row]:
    """Rows of different units."""
    return [{"unit_id": str(number), **row} for number, row in enumerate(rows, 1)]


@pytest.fixture(scope="module")
def library() -> ContractLibrary:
    return load_library(ROOT / "data_contracts")


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory, library: ContractLibrary) -> Warehouse:
    return Warehouse(tmp_path_factory.mktemp("home") / "axstat.duckdb", SqlCatalogue(ROOT / "sql"), library)


@pytest.fixture
def broken(warehouse: Warehouse, library: ContractLibrary) -> Broken:
    """Row numbers that break a rule of a contract; frame, sample and previous are changes of the valid row."""

    def frame_of(table: str, survey: str, wave: int, rows: Sequence[Row]) -> pl.DataFrame:
        base = {"survey": survey, "wave": wave, "file_sha256": "0" * 64} | VALID[table.removeprefix("staging.")]
        numbered = [base | {"row_number": number} | dict(row) for number, row in enumerate(rows, 1)]
        return pl.DataFrame(numbered, schema=polars_schema(library.tables[table]))

    def stage(session: Session, table: str, survey: str, wave: int, rows: Sequence[Row] | None) -> None:
        session.delete(table, where={})
        if rows is not None:
            session.append(table, frame_of(table, survey, wave, rows))

    def run(
        contract: str,
        rule: str,
        rows: Sequence[Row],
        *,
        frame: Sequence[Row] | None = None,
        sample: Sequence[Row] | None = None,
        previous: Sequence[Row] | None = None,
    ) -> list[int]:
        [survey] = [one for one in library.surveys.values() if contract in vars(one.contracts).values()]
        tables = rule_tables(survey, contract)
        with warehouse.session() as session:
            for name, there in (("frame", frame), ("sample", sample)):
                stage(session, tables[name], survey.survey, WAVE, there)
            stage(session, tables["previous"], survey.survey, WAVE - 1, previous)
            typed = frame_of(f"staging.{contract}", survey.survey, WAVE, rows)
            typed = typed.with_columns(pl.col("unit_id").alias("identifier"))
            found = run_rules(session, library, contract, typed, survey=survey.survey, wave=WAVE)
        assert rule in [one.id for one in found.rules]
        return found.findings.filter(pl.col("rule") == rule)["row_number"].to_list()

    return run


@pytest.mark.parametrize("contract", RESPONSES)
@pytest.mark.parametrize(("rule", "other"), [("not_selected", "sample"), ("not_on_frame", "frame")])
def test_answers_of_strangers(broken: Broken, contract: str, rule: str, other: str) -> None:
    rows = [{}, {"unit_id": "2"}, {"unit_id": None}]
    assert broken(contract, rule, rows, **{other: [{}]}) == [2]


@pytest.mark.parametrize("contract", RESPONSES)
def test_employees_against_the_frame(broken: Broken, contract: str) -> None:
    rows = [{"employees": employees} for employees in (100, 999, 1000, 11, 10, None)]
    assert broken(contract, "employees_against_frame", rows, frame=[{"employees": 100}]) == [3, 5]


@pytest.mark.parametrize(
    ("size", "employees", "expected"),
    [("10-49", (245, 246), [2]), ("50-249", (9, 10, 1245, 1246), [1, 4]), ("250+", (49, 50, 900_000), [1])],
)
def test_employees_against_the_size_class(
    broken: Broken, size: str, employees: tuple[int, ...], expected: list[int]
) -> None:
    rows = [{"employees": number} for number in employees]
    sample = [{"selection_size_class": size}]
    assert broken("industry_response", "employees_against_size_class", rows, sample=sample) == expected


@pytest.mark.parametrize("contract", [*RESPONSES, "business_frame", "institution_frame"])
def test_employees_against_the_last_wave(broken: Broken, contract: str) -> None:
    rows = [{"employees": employees} for employees in (20, 500, 501, 19)]
    assert broken(contract, "employees_jump", rows, previous=[{"employees": 100}]) == [3, 4]
    assert broken(contract, "employees_jump", rows, previous=[{"employees": 100, "unit_id": "another"}]) == []


def test_an_industry_that_changed(broken: Broken) -> None:
    rows = [{"ksic_division": division} for division in ("26", "27", None)]
    assert broken("industry_response", "ksic_changed", rows, previous=[{"ksic_division": "26"}]) == [2]


@pytest.mark.parametrize("contract", RESPONSES)
def test_outliers_of_a_stratum(broken: Broken, contract: str) -> None:
    """Ten times e^-1 to e^1 around 100: with one row at the median's e^z, MAD 0.5 or so decides."""
    usual = [round(100 * 2.718281828 ** (step / 10)) for step in (-10, -8, -6, -4, -2, 2, 4, 6, 8, 10)]
    rows = units([{"employees": employees} for employees in (*usual, 100, 100_000)])
    assert broken(contract, "employees_outlier", rows, sample=rows_of(rows)) == [12]
    near = units([{"employees": employees} for employees in (*usual, 100, 2_000)])
    assert broken(contract, "employees_outlier", near, sample=rows_of(near)) == []
    few = units([{"employees": employees} for employees in (*usual[:8], 100_000)])
    assert broken(contract, "employees_outlier", few, sample=rows_of(few)) == []


@pytest.mark.parametrize("contract", RESPONSES)
def test_a_stratum_without_spread_has_no_outliers(broken: Broken, contract: str) -> None:
    rows = units([{"employees": employees} for employees in (*[100] * 10, 100_000)])
    assert broken(contract, "employees_outlier", rows, sample=rows_of(rows)) == []


def rows_of(rows: Sequence[Row]) -> list[Row]:
    return [{"unit_id": row["unit_id"]} for row in rows]


@pytest.mark.parametrize("contract", RESPONSES)
def test_use_and_technologies_where_both_are_asked(broken: Broken, contract: str) -> None:
    rows = [
        battery("1231231", ai_use="1"),
        battery("1231241", ai_use="1"),
        battery("123123.", ai_use="1"),
        battery("1231238", ai_use="1"),
        battery("1111141", ai_use="2"),
        battery("1111131", ai_use="2"),
        battery(".....5.", ai_use="2"),
        battery("5555555", ai_use=None),
        battery(".......", ai_use="1"),
    ]
    assert broken(contract, "ai_use_without_technology", rows) == [1]
    assert broken(contract, "technology_without_ai_use", rows) == [5, 7]


@pytest.mark.parametrize("contract", RESPONSES)
def test_an_obstacle_without_what_was_asked_before(broken: Broken, contract: str) -> None:
    rows = [
        battery(".......", obstacle="01"),
        battery(".......", obstacle=None),
        battery("......9", obstacle="01"),
        battery(".......", obstacle="01", ai_use="2"),
    ]
    assert broken(contract, "obstacle_without_answers", rows) == [1]


@pytest.mark.parametrize("contract", RESPONSES)
def test_no_use_case_where_ai_is_used_throughout(broken: Broken, contract: str) -> None:
    rows = [
        battery("1111115", obstacle="05"),
        battery("1111114", obstacle="05"),
        battery("1111115", obstacle="01"),
        battery("1111115", obstacle=None),
    ]
    assert broken(contract, "no_use_case_in_use", rows) == [1]


@pytest.mark.parametrize("contract", RESPONSES)
def test_one_questionnaire_for_two_units(broken: Broken, contract: str) -> None:
    distinctive = battery("1142111", obstacle="01")
    rows = [
        {"unit_id": "1", **distinctive},
        {"unit_id": "2", **distinctive},
        {"unit_id": "3", **distinctive, "employees": 101},
        # The same unit twice is another rule's business
        {"unit_id": "4", **battery("4442111")},
        {"unit_id": "4", **battery("4442111")},
        # One technology only: many units answer so
        {"unit_id": "5", **battery("1112111")},
        {"unit_id": "6", **battery("1112111")},
    ]
    assert broken(contract, "same_answers", rows) == [1, 2]


@pytest.mark.parametrize("contract", RESPONSES)
def test_straight_lining(broken: Broken, contract: str) -> None:
    answers = ("4444444", "2222222", "1111111", "8888888", "4444443", "444444.")
    assert broken(contract, "straight_lining", [battery(line) for line in answers]) == [1, 2]


@pytest.mark.parametrize("contract", RESPONSES)
def test_an_interviewers_answers_alike(broken: Broken, contract: str) -> None:
    others = [battery(f"{a}{b}{c}1141", interviewer="1") for a in "123" for b in "123" for c in "123"]
    copied = [battery("4554321", interviewer="2")] * 3
    assert broken(contract, "same_answers_of_interviewer", units([*others, *copied])) == [28, 29, 30]
    # Two pairs less, three interviewers for them, nobody named, or nothing in use: no pattern
    assert broken(contract, "same_answers_of_interviewer", units([*others, *copied[:2]])) == []
    spread = [{**row, "interviewer": str(number)} for number, row in enumerate(copied, 2)]
    assert broken(contract, "same_answers_of_interviewer", units([*others, *spread])) == []
    unnamed = [{**row, "interviewer": None} for row in copied]
    assert broken(contract, "same_answers_of_interviewer", units([*others, *unnamed])) == []
    unused = [battery("1111111", interviewer="2")] * 3
    assert broken(contract, "same_answers_of_interviewer", units([*others, *unused])) == []


@pytest.mark.parametrize("contract", RESPONSES)
def test_answers_that_all_units_give_are_no_pattern_of_an_interviewer(broken: Broken, contract: str) -> None:
    common = [battery("1111121", interviewer=str(number % 3)) for number in range(30)]
    assert broken(contract, "same_answers_of_interviewer", units(common)) == []


@pytest.mark.parametrize("contract", RESPONSES)
def test_interviews_that_took_no_time(broken: Broken, contract: str) -> None:
    timed = [{"interview_minutes": 30.0}] * 9
    rows = units([*timed, {"interview_minutes": 9.9}, {"interview_minutes": 10.0}, {"interview_minutes": None}])
    assert broken(contract, "too_fast_interview", rows) == [10]
    assert broken(contract, "too_fast_interview", rows[2:10]) == []


@pytest.mark.parametrize("contract", RESPONSES)
def test_files_without_paradata_are_silent(broken: Broken, contract: str) -> None:
    rows = units([battery("4554321")] * 12)
    assert broken(contract, "too_fast_interview", rows) == []
    assert broken(contract, "same_answers_of_interviewer", rows) == []


def test_fields_against_technologies(broken: Broken) -> None:
    rows = [
        battery("1231231", field_P01="1"),
        battery("1231241", field_P01="1"),
        battery("123123.", field_P01="1"),
        battery("1231231", field_P01="2"),
        battery("1111141", field_P01="2", field_P02="2"),
        battery("1111141", field_P01="2", field_P02="1"),
        battery("1111141", field_P01="2", field_P02="8"),
        battery("1111141"),
        battery("1111131", field_P01="2"),
    ]
    assert broken("public_response", "field_without_technology", rows) == [1]
    assert broken("public_response", "technology_without_field", rows) == [5]


@pytest.mark.parametrize("contract", ["industry_response", "industry_sample", "business_frame"])
def test_the_check_digit_of_business_numbers(broken: Broken, contract: str) -> None:
    """120-81-47521: 1 + 6 + 0 + 8 + 3 + 28 + 7 + 15 + 10 = 78, and floor(2 * 5 / 10) = 1; 79 -> 1. With the ninth
    digit 2 alone: 10 + 1 = 11 -> 9; with a first digit 9 besides: 20 -> 0."""
    numbers = [
        "1208147521",
        *(f"120814752{last}" for last in "023456789"),
        "0000000029",
        "9000000020",
        "120814752",
        "x",
    ]
    rows = [{"unit_id": number} for number in numbers]
    assert broken(contract, "business_number_check_digit", rows) == list(range(2, 11))


@pytest.mark.parametrize("contract", ["industry_sample", "public_sample"])
def test_what_a_selected_unit_keeps_for_life(broken: Broken, contract: str) -> None:
    other = {"industry_sample": {"selection_region": "26"}, "public_sample": {"selection_main_sector": "P04"}}
    rows = [{}, other[contract], {"unit_id": "new", **other[contract]}]
    assert broken(contract, "selection_stratum_changed", rows, previous=[{}]) == [2]
    rows = [{}, {"permanent_random_number": 0.26}]
    assert broken(contract, "permanent_random_number_changed", rows, previous=[{}]) == [2]


@pytest.mark.parametrize("contract", ["industry_sample", "public_sample"])
def test_the_panel_year_against_the_last_sample(broken: Broken, contract: str) -> None:
    rows = [
        {"panel_since": 2024},
        {"panel_since": 2023},
        {"unit_id": "new", "panel_since": 2025},
        {"unit_id": "new", "panel_since": 2024},
    ]
    assert broken(contract, "panel_since_disagrees", rows, previous=[{"panel_since": 2024}]) == [2, 4]


def test_the_main_sector_of_an_institution(broken: Broken) -> None:
    rows = [{}, {"main_sector": "P04"}]
    assert broken("institution_frame", "main_sector_not_served", rows) == [2]
    assert broken("institution_frame", "main_sector_changed", rows, previous=[{}]) == [2]


def test_every_sql_rule_is_tried_here(library: ContractLibrary) -> None:
    tried = Path(__file__).read_text(encoding="utf-8")
    rules = {rule.id for contract in library.deliveries.values() for rule in contract.sql_rules}
    assert sorted(rule for rule in rules if f'"{rule}"' not in tried) == []
