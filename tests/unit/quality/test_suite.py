import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

import polars as pl
import pytest

from pipelines.contracts.models import QualityRule, Severity
from pipelines.errors import AxstatError
from pipelines.quality.suite import check_values

VALUES = pl.DataFrame(
    {
        "row_number": [11, 12, 13, 14, 15],
        "number": ["1", "22", None, "x", "1"],
        "employees": [5, -1, None, 30, 7],
        "limit": [6, 6, 6, 6, 6],
        "flag": [True, False, None, True, False],
        "fields": [["P01"], ["P01", "P99"], None, ["P02", "P03"], []],
    },
    schema_overrides={"employees": pl.Int32},
)


def rule(id: str, expectation: str, severity: Severity = "error", **kwargs: object) -> QualityRule:
    return QualityRule(
        id=id,
        expectation=expectation,
        kwargs=kwargs,
        severity=severity,
        why="why",
        owner="owner",
        message_ko="ko",
        message_en="en",
        action_ko="조치",
        action_en="act",
    )


def found(*rules: QualityRule) -> dict[str, list[int]]:
    findings = check_values(VALUES, rules, contract="c").findings
    return {one.id: findings.filter(pl.col("rule") == one.id)["row_number"].sort().to_list() for one in rules}


def test_values_that_stand_many_times_are_judged_wherever_they_stand() -> None:
    """What is found in the rows is found in each of their copies: here values are few, there each row counts."""
    rules = [
        rule("positive", "expect_column_values_to_be_between", column="employees", min_value=1),
        rule("small", "expect_column_values_to_be_between", column="employees", max_value=29),
        rule("digits", "expect_column_values_to_match_regex", column="number", regex="^[0-9]+$"),
        rule("other", "expect_column_values_to_not_match_regex", column="number", regex="^2"),
        rule("known", "expect_column_values_to_be_in_set", column="number", value_set=["1", "x"]),
        rule("banned", "expect_column_values_to_not_be_in_set", column="number", value_set=["1"]),
        rule("short", "expect_column_value_lengths_to_equal", column="number", value=1),
        rule("brief", "expect_column_value_lengths_to_be_between", column="number", max_value=1),
        rule("fields", "expect_column_values_to_match_regex", column="fields", regex="^(P0[0-9];?)*$"),
        rule("yes", "expect_column_values_to_be_in_set", column="flag", value_set=["Y"]),
        rule("sent", "expect_column_values_to_not_be_null", column="number"),
        rule("nothing", "expect_column_values_to_be_between", column="limit", max_value=6),
    ]
    alone = found(*rules)
    copies = range(0, 2000, 100)
    many = pl.concat(VALUES.with_columns(pl.col("row_number") + shift) for shift in copies)
    findings = check_values(many, rules, contract="c").findings
    assert {one.id: findings.filter(pl.col("rule") == one.id)["row_number"].sort().to_list() for one in rules} == {
        id: sorted(row + shift for row in rows for shift in copies) for id, rows in alone.items()
    }
    assert sum(map(len, alone.values())) == 13


def test_a_column_without_any_value_breaks_no_rule_on_values() -> None:
    empty = pl.DataFrame({"row_number": range(9), "number": pl.Series([None] * 9, dtype=pl.String)})
    asked = rule("digits", "expect_column_values_to_match_regex", column="number", regex="^[0-9]+$")
    assert check_values(empty, [asked], contract="c").findings.is_empty()


def test_row_numbers_of_each_rule_come_back() -> None:
    between, regex = "expect_column_values_to_be_between", "expect_column_values_to_match_regex"
    assert found(
        rule("positive", between, column="employees", min_value=1),
        rule("small", between, column="employees", max_value=29),
        rule("number", regex, column="number", regex="^[0-9]+$"),
        rule("sent", "expect_column_values_to_not_be_null", column="number"),
        rule("known", "expect_column_values_to_be_in_set", column="number", value_set=["1", "x"]),
        rule("banned", "expect_column_values_to_not_be_in_set", column="number", value_set=["1"]),
        rule("fine", between, column="employees", min_value=-5),
    ) == {
        "positive": [12],
        "small": [14],
        "number": [14],
        "sent": [13],
        "known": [12],
        "banned": [11, 15],
        "fine": [],
    }


def test_truth_values_and_lists_are_seen_as_contracts_write_them() -> None:
    assert found(
        rule("yes", "expect_column_values_to_be_in_set", column="flag", value_set=["Y"]),
        rule("codes", "expect_column_values_to_match_regex", column="fields", regex="^P0[1-9](;P0[1-9])*$"),
    ) == {"yes": [12, 15], "codes": [12, 15]}


def test_rules_on_two_columns() -> None:
    pair = "expect_column_pair_values_a_to_be_greater_than_b"
    kwargs = {"column_A": "limit", "column_B": "employees", "ignore_row_if": "either_value_is_missing"}
    assert found(rule("below", pair, **kwargs)) == {"below": [14, 15]}


def test_no_rows_and_no_rules() -> None:
    one = rule("r", "expect_column_values_to_not_be_null", column="number")
    assert check_values(VALUES.clear(), [one], contract="c").findings.is_empty()
    assert check_values(VALUES, [], contract="c").findings.is_empty()


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (rule("r", "expect_column_values_to_be_between", column="number", min_value=1), "rule_crashed"),
        (rule("r", "expect_column_values_to_not_be_null", column="absent"), "rule_crashed"),
        (rule("r", "expect_nothing_of_the_kind", column="number"), "invalid_rule"),
        (rule("r", "expect_column_values_to_be_between", column="employees"), "invalid_rule"),
        (rule("r", "expect_column_values_to_not_be_null", column="number", limit=1), "invalid_rule"),
        (rule("r", "expect_table_row_count_to_equal", value=5), "rule_without_rows"),
        (rule("r", "expect_column_mean_to_be_between", column="limit", min_value=0), "rule_without_rows"),
    ],
    ids=["text_as_number", "no_column", "no_rule", "no_limits", "no_argument", "table", "aggregate"],
)
def test_a_rule_that_cannot_be_run_is_no_finding(broken: QualityRule, code: str) -> None:
    with pytest.raises(AxstatError) as caught:
        check_values(VALUES, [broken], contract="industry_response")
    assert caught.value.code == code
    assert caught.value.where == "contract industry_response, rule r"
    assert caught.value.got


def test_the_engine_is_quiet() -> None:
    shown, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(shown), redirect_stderr(errors):
        found(rule("r", "expect_column_values_to_not_be_null", column="number"))
    assert (shown.getvalue(), errors.getvalue()) == ("", "")


def test_the_engine_is_imported_only_when_it_is_needed() -> None:
    code = "import sys, pipelines.quality.rows; print('great_expectations' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"
