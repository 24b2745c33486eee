"""What delivered text becomes."""

import hmac
from typing import Any

import duckdb
import pytest

from pipelines.contracts.library import ContractLibrary


@pytest.mark.parametrize(
    ("macro", "sent", "expected"),
    [
        ("clean_text", " 　a b\u00a0", "a b"),
        ("clean_text", "   ", None),
        ("clean_text", None, None),
        ("whole_digits", "1,395", "1395"),
        ("whole_digits", "1,234,567.00", "1234567"),
        ("whole_digits", "007", "007"),
        ("whole_digits", "26.5", None),
        ("whole_digits", "12,34", None),
        ("whole_digits", "1e3", None),
        ("whole_digits", "0x1A", None),
        ("whole_digits", "1_000", None),
        ("to_integer", "1,395", 1395),
        ("to_integer", "26.0", 26),
        ("to_integer", " -3 ", -3),
        ("to_integer", "0", 0),
        ("to_integer", "26.5", None),
        ("to_integer", "abc", None),
        ("to_integer", "", None),
        ("to_integer", "99999999999", None),
        ("to_double", "0.25", 0.25),
        ("to_double", ".5", 0.5),
        ("to_double", "2.5e-3", 0.0025),
        ("to_double", "1,395.5", 1395.5),
        ("to_double", "-1", -1.0),
        ("to_double", "nan", None),
        ("to_double", "inf", None),
        ("to_double", "1e999", None),
        ("to_double", ".", None),
        ("to_double", "1.2.3", None),
        ("ksic_division", "C26", "26"),
        ("ksic_division", "26", "26"),
        ("ksic_division", "26.0", "26"),
        ("ksic_division", "6", "06"),
        ("ksic_division", "b6", "06"),
        ("ksic_division", " 01 ", "01"),
        # what is no division stays visible, so that the rule on codes can quote it
        ("ksic_division", "26121", "26121"),
        ("ksic_division", "x", "x"),
        ("business_number", "120-81-47521", "1208147521"),
        ("business_number", "1208147521", "1208147521"),
        ("business_number", "1208147521.0", "1208147521"),
        ("business_number", "120 81 47521", "1208147521"),
        ("business_number", "120-81-4752", "120814752"),
        ("business_number", "12O-81-47521", "12O-81-47521"),
        ("business_number", " ", None),
        ("institution_code", "12345", "0012345"),
        ("institution_code", "12345.0", "0012345"),
        ("institution_code", "0012345", "0012345"),
        ("institution_code", "B551234", "B551234"),
        ("institution_code", "12345678", "12345678"),
        ("sector_code", "P03", "P03"),
        ("sector_code", "p3", "P03"),
        ("sector_code", "보건", "보건"),
        ("sector_list", "P03;P01;P03", ["P01", "P03"]),
        ("sector_list", "P03; p1;", ["P01", "P03"]),
        ("sector_list", "P03;X", ["P03", "X"]),
        ("sector_list", "  ", None),
        ("yes_no", "Y", True),
        ("yes_no", "n", False),
        ("yes_no", "true", True),
        ("yes_no", "0", False),
        ("yes_no", "maybe", None),
        ("answer_status", "1", "answered"),
        ("answer_status", None, "not_asked"),
    ],
)
def test_a_macro_normalises(connection: duckdb.DuckDBPyConnection, macro: str, sent: str | None, expected: Any) -> None:
    found = connection.execute(f"select {macro}($sent::varchar)", {"sent": sent}).fetchall()
    assert found == [(expected,)]


@pytest.mark.parametrize(
    ("sent", "width", "expected"),
    [
        ("1", 1, "1"),
        ("1.0", 1, "1"),
        ("08", 1, "8"),
        ("0", 1, "0"),
        ("1", 2, "01"),
        ("11.0", 2, "11"),
        ("98", 2, "98"),
        ("123", 2, "123"),
        ("10-49", 1, "10-49"),
        ("250+", 1, "250+"),
        ("1.1", 1, "1.1"),
        ("central", 1, "central"),
        (" ", 1, None),
        (None, 2, None),
    ],
)
def test_a_code_gets_the_form_of_its_list(
    connection: duckdb.DuckDBPyConnection, sent: str | None, width: int, expected: str | None
) -> None:
    found = connection.execute(
        "select code_text($sent::varchar, $width::integer)", {"sent": sent, "width": width}
    ).fetchall()
    assert found == [(expected,)]


def test_answer_status_agrees_with_the_missing_codes_of_the_contracts(
    connection: duckdb.DuckDBPyConnection, library: ContractLibrary
) -> None:
    """Every answer code of every question, missing or not; the macro has no list of columns of its own."""
    coded = [
        (column.name, code.value, column.missing_codes.get(code.value, "answered"))
        for delivery in library.deliveries.values()
        for column in delivery.columns
        if column.missing_codes
        for code in column.codes
    ]
    assert {kind for _, _, kind in coded} == {"answered", "dont_know", "refused"}
    for name, code, kind in coded:
        found = connection.execute("select answer_status($code)", {"code": code}).fetchall()
        assert found == [(kind,)], (name, code)


def test_unit_key_is_hmac_sha_256_by_the_secret_of_the_session(connection: duckdb.DuckDBPyConnection) -> None:
    found = connection.sql("select unit_key('1208147521'), unit_key(null)").fetchall()
    assert found == [(hmac.digest(bytes(range(32)), b"1208147521", "sha256").hex()[:24], None)]
