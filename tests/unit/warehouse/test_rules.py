"""The mechanism of SQL rules, on made-up rules of a real contract."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl
import pytest

from pipelines.contracts.compiler import polars_schema
from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.models import RuleInput, SqlRule
from pipelines.errors import AxstatError
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.rules import RuleRun, run_rules
from pipelines.warehouse.session import Session

CONTRACT = "industry_response"
Run = Callable[..., RuleRun]


def rule(query: str, *reads: RuleInput, id: str = "odd", column: str | None = None, **parameters: Any) -> SqlRule:
    said = {
        "why": "why",
        "owner": "owner",
        "message_ko": "가",
        "message_en": "a",
        "action_ko": "확인",
        "action_en": "look",
    }
    return SqlRule(id=id, severity="warning", query=query, reads=reads, parameters=parameters, column=column, **said)


def staged(library: ContractLibrary, table: str, *rows: dict[str, Any]) -> pl.DataFrame:
    base = {"survey": "industry", "wave": 2025, "file_sha256": "0" * 64}
    numbered = [base | {"row_number": number} | row for number, row in enumerate(rows, 1)]
    return pl.DataFrame(numbered, schema=polars_schema(library.tables[table]))


@pytest.fixture
def session(warehouse: Warehouse) -> Iterator[Session]:
    with warehouse.session() as session:
        yield session


@pytest.fixture
def run(session: Session, library: ContractLibrary) -> Run:
    def check(*rules: SqlRule, wave: int = 2025, question_version: str | None = None) -> RuleRun:
        contract = replace(library.deliveries[CONTRACT], sql_rules=rules)
        changed = replace(library, deliveries=MappingProxyType({**library.deliveries, CONTRACT: contract}))
        rows = staged(
            library,
            f"staging.{CONTRACT}",
            {"unit_id": "1", "employees": 10},
            {"unit_id": "2", "employees": 60},
            {"unit_id": "3", "employees": None},
        )
        return run_rules(
            session, changed, CONTRACT, rows, survey="industry", wave=wave, question_version=question_version
        )

    return check


def failed(run: Run, *rules: SqlRule) -> AxstatError:
    with pytest.raises(AxstatError) as caught:
        run(*rules)
    assert caught.value.code == "rule_failed"
    assert caught.value.where == f"contract {CONTRACT}, rule odd"
    return caught.value


def test_a_query_names_rows_and_says_what_it_saw(run: Run) -> None:
    found = run(
        rule("select row_number from rows where employees is null", id="blank"),
        rule("select employees as detail, row_number from rows where employees > $most", id="large", most=50),
    )
    assert [one.id for one in found.rules] == ["blank", "large"]
    assert found.findings.rows() == [(3, "blank", None), (2, "large", "60")]
    assert found.skipped == ()


def test_survey_and_wave_are_there_without_being_named(run: Run) -> None:
    query = "select row_number from rows where survey <> $survey or wave < $wave"
    assert run(rule(query)).findings.is_empty()
    assert run(rule(query), wave=2026).findings["row_number"].to_list() == [1, 2, 3]


def test_a_row_named_twice_is_one_finding(run: Run) -> None:
    query = "select row_number, d as detail from rows, unnest(['b', 'a']) as u(d) where employees > 50"
    assert run(rule(query)).findings.rows() == [(2, "odd", "a")]


def test_frame_and_sample_are_those_of_the_wave_and_previous_is_the_last_one_before(
    run: Run, session: Session, library: ContractLibrary
) -> None:
    size = {"selection_ksic_group": "CC", "selection_size_class": "250+", "selection_region": "11"}
    known = {"ksic_division": "26", "region": "11", "take_all": False, **size}
    for wave, unit in ((2024, "1"), (2025, "2"), (2026, "3")):
        frame = staged(library, "staging.business_frame", known | {"unit_id": unit, "employees": 1, "wave": wave})
        session.append("staging.business_frame", frame)
    for wave, employees in ((2022, 9), (2023, 10), (2026, 11)):
        answers = staged(library, "staging.industry_response", {"unit_id": "1", "employees": employees, "wave": wave})
        session.append("staging.industry_response", answers)
    found = run(
        rule("select rows.row_number from rows join frame using (unit_id)", "frame", id="on_frame"),
        rule("select rows.row_number, previous.wave as detail from rows join previous using (unit_id)", "previous"),
        rule("select rows.row_number from rows join sample using (unit_id)", "sample", "frame", id="selected"),
    )
    assert found.findings.rows() == [(2, "on_frame", None), (1, "odd", "2023")]
    [(skipped, missing)] = found.skipped
    assert (skipped.id, missing) == ("selected", ("sample",))
    assert [one.id for one in found.rules] == ["on_frame", "odd"]


def test_another_surveys_waves_are_no_previous_wave(run: Run, session: Session, library: ContractLibrary) -> None:
    other = staged(library, "staging.industry_response", {"survey": "public", "unit_id": "1", "wave": 2024})
    session.append("staging.industry_response", other)
    found = run(rule("select rows.row_number from rows join previous using (unit_id)", "previous"))
    assert [missing for _, missing in found.skipped] == [("previous",)]


def test_rules_on_columns_of_another_question_version_are_left_out(run: Run) -> None:
    of_list = rule("select row_number from rows", column="tech_ml")
    assert run(of_list, question_version="list-2022").findings.height == 3
    assert run(of_list, question_version="yn-2019").rules == ()


@pytest.mark.parametrize(
    ("query", "got"),
    [
        ("select row_number from rows where colour = 1", "colour"),
        ("select row_number from rows where cast(unit_id || 'x' as integer) > 1", "Conversion Error"),
        ("select row_number rom rows", "syntax error"),
        ("delete from rows", "DELETE"),
        ("select row_number from rows; drop table rows", "SELECT, DROP"),
        ("select row_number from rows) as x; drop table rows; select * from (select 1", "Parser Error"),
        ("copy (select 1) to 'found.csv'", "COPY"),
        ("", "nothing"),
        ("select row_number from rows where employees > $most", "$most without a value"),
        ("select row_number from frame", "frame"),
        ("select row_number from staging.industry_response", "staging."),
        ('select row_number from "raw".industry_response', "raw"),
        ("select row_number from incoming_rows", "incoming_rows"),
    ],
)
def test_what_cannot_be_run_names_contract_rule_and_reason(run: Run, query: str, got: str) -> None:
    assert got in failed(run, rule(query)).got


@pytest.mark.parametrize(
    "query",
    [
        "select 1 as row_number from read_csv('{file}')",
        "select 1 as row_number from read_text('{file}')",
        "select 1 as row_number from glob('{folder}/*')",
        "select 1 as row_number from '{file}'",
    ],
)
def test_no_query_reads_a_file(run: Run, tmp_path: Path, query: str) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("a\n1\n", encoding="utf-8")
    error = failed(run, rule(query.format(file=file, folder=tmp_path)))
    assert "disabled by configuration" in error.got or "does not exist" in error.got


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("select unit_id from rows", "the columns row_number"),
        ("select row_number, unit_id from rows", "the columns row_number"),
        ("select 7 as row_number", "row numbers of the file"),
        ("select cast(null as bigint) as row_number", "row numbers of the file"),
        ("select '1' as row_number", "row numbers of the file"),
    ],
)
def test_a_result_that_is_not_rows_of_the_file_is_refused(run: Run, query: str, expected: str) -> None:
    assert expected in failed(run, rule(query)).expected


def test_words_in_texts_and_comments_are_no_tables(run: Run) -> None:
    query = "select row_number, 'raw.x' as detail -- core.units\nfrom rows where employees > 50 -- end"
    assert run(rule(query)).findings.rows() == [(2, "odd", "raw.x")]
