"""Deliveries with broken cells, rows and headers, in the formats they come in.

Belongs here: what stands in the table. Does not belong here: bytes (files.py), manifests and folders (manifests.py).
"""

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

from tests.integration.broken.country import (
    FRAME,
    SAMPLE,
    Accepted,
    Case,
    Expected,
    quarantined,
    rejected,
)
from tests.integration.broken.formats import FORMATS, Grid

Change = Callable[[Grid], None]

# Those whose writers and readers differ most
WIDE = ("csv-cp949", "xlsx", "ods", "sav", "dta", "parquet", "jsonl", "fixed-width", "zip")
UNKNOWN_UNIT = ("not_selected", "not_on_frame")
NO_UNIT = ("business_number_10_digits", *UNKNOWN_UNIT)


def put(column: str, value: str | None, rows: Sequence[int] = (4,)) -> Change:
    """The cells of a column in some rows (from 0) changed."""

    def change(grid: Grid) -> None:
        for row in rows:
            grid.rows[row][grid.at(column)] = value

    return change


def each(column: str, new: Callable[[str], str]) -> Change:
    """Every filled cell of a column changed."""

    def change(grid: Grid) -> None:
        at = grid.at(column)
        for row in grid.rows:
            row[at] = new(cell) if (cell := row[at]) is not None else None

    return change


def all_cells(value: str) -> Callable[[str], str]:
    return lambda _: value


def rename(column: str, header: str) -> Change:
    def change(grid: Grid) -> None:
        grid.headers[grid.at(column)] = header

    return change


def all_headers(new: Callable[[str], str]) -> Change:
    def change(grid: Grid) -> None:
        grid.headers = [new(header) for header in grid.headers]

    return change


def drop(*columns: str) -> Change:
    def change(grid: Grid) -> None:
        for column in columns:
            at = grid.at(column)
            for row in (grid.columns, grid.headers, *grid.rows):
                del row[at]

    return change


def extra(header: str, value: str | None) -> Change:
    """One more column with the same text in each row."""

    def change(grid: Grid) -> None:
        grid.columns.append(header)
        grid.headers.append(header)
        for row in grid.rows:
            row.append(value)

    return change


def repeat_rows(grid: Grid) -> None:
    grid.rows += [list(row) for row in grid.rows[:2]]


def contradict(grid: Grid) -> None:
    grid.rows.append(list(grid.rows[0]))
    at = grid.at("region")
    grid.rows[-1][at] = "11" if grid.rows[0][at] != "11" else "21"


def repeat_with_hyphens(grid: Grid) -> None:
    grid.rows.append(list(grid.rows[0]))
    number = grid.rows[0][grid.at("business_number")] or ""
    grid.rows[-1][grid.at("business_number")] = f"{number[:3]}-{number[3:5]}-{number[5:]}"


def twice(grid: Grid) -> None:
    grid.rows += [list(row) for row in grid.rows]


def other_sample(grid: Grid) -> None:
    at = grid.at("business_number")
    for place, row in enumerate(grid.rows):
        row[at] = f"999{place:07}"


def blank_row(grid: Grid) -> None:
    grid.rows.insert(7, [None] * len(grid.columns))


def header_again(grid: Grid) -> None:
    grid.rows.insert(0, list(grid.headers))


def reverse_rows(grid: Grid) -> None:
    grid.rows.reverse()


def reverse_columns(grid: Grid) -> None:
    for row in (grid.columns, grid.headers, *grid.rows):
        row.reverse()


def one_row(grid: Grid) -> None:
    del grid.rows[1:]


def swap_headers(one: str, other: str) -> Change:
    def change(grid: Grid) -> None:
        first, second = grid.at(one), grid.at(other)
        grid.headers[first], grid.headers[second] = grid.headers[second], grid.headers[first]

    return change


def second_column_named(column: str) -> Change:
    def change(grid: Grid) -> None:
        extra(grid.headers[grid.at(column)], "1")(grid)

    return change


def _in_formats(name: str, forms: Iterable[str], expected: Expected, cells: Change, quick: str = "") -> list[Case]:
    return [Case(f"{name}, {form}", form, expected, cells=cells, quick=form == quick) for form in forms]


def _good() -> list[Case]:
    return [Case(f"good, {form}", form, Accepted(), quick=form == "csv-cp949") for form in FORMATS]


def _everywhere() -> list[Case]:
    return [
        *_in_formats(
            "few unknown codes", WIDE, quarantined(3, "region_known_code"), put("region", "77", (3, 4, 9)), "xlsx"
        ),
        *_in_formats(
            "another code list", WIDE, rejected("unknown_code_list"), each("region", all_cells("77")), "csv-cp949"
        ),
        *_in_formats("rows twice", WIDE, quarantined(2, "duplicate_row"), repeat_rows, "csv-cp949"),
        *_in_formats("unit with two answers", WIDE, quarantined(2, "duplicate_unit"), contradict),
        *_in_formats("words for a number", WIDE, quarantined(1, "employees_not_a_number"), put("employees", "많음")),
        *_in_formats("no column of employees", WIDE, rejected("missing_column"), drop("employees"), "jsonl"),
        *_in_formats("other sample's units", WIDE, rejected(*UNKNOWN_UNIT), other_sample, "csv-cp949"),
        *_in_formats("column of another wave", WIDE, rejected("wrong_wave"), extra("wave", "2021")),
    ]


_NUMBERS: dict[str, tuple[str, Expected]] = {
    "thousands mark": ("1,234", Accepted()),
    "zeros before": ("00012", Accepted()),
    "point zero": ("12.0", Accepted()),
    "blanks around": ("  12 ", Accepted()),
    "point": ("1.234", quarantined(1, "employees_not_a_number")),
    "decimal comma": ("12,5", quarantined(1, "employees_not_a_number")),
    "decimals": ("12.5", quarantined(1, "employees_not_a_number")),
    "blank as thousands mark": ("1 234", quarantined(1, "employees_not_a_number")),
    "full-width digits": ("１２", quarantined(1, "employees_not_a_number")),
    "date": ("2022-03-01", quarantined(1, "employees_not_a_number")),
    "scientific": ("1.2E+01", quarantined(1, "employees_not_a_number")),
    "unit in it": ("12명", quarantined(1, "employees_not_a_number")),
    "per cent": ("12%", quarantined(1, "employees_not_a_number")),
    "in brackets": ("(12)", quarantined(1, "employees_not_a_number")),
    "nan": ("nan", quarantined(1, "employees_not_a_number")),
    "inf": ("inf", quarantined(1, "employees_not_a_number")),
    "NULL": ("NULL", quarantined(1, "employees_not_a_number")),
    "error cell": ("#N/A", quarantined(1, "employees_not_a_number")),
    "beyond integers": ("99999999999999999999", quarantined(1, "employees_not_a_number")),
    "huge": ("5000000", quarantined(1, "employees_in_range")),
    "negative": ("-3", quarantined(1, "employees_in_range")),
    "nought": ("0", quarantined(1, "employees_in_range")),
}
_CODES: dict[str, str] = {
    "formula": "=cmd|' /C calc'!A0",
    "formula of a sum": "=SUM(A1:A9)",
    "at sign": "@SUM(1)",
    "SQL": "11'; drop table core.units; --",
    "markup": "<script>alert(1)</script>",
    "path": "../../etc/passwd",
    "line break": "1\n1",
    "quote": 'say "11"',
    "control characters": "1\x01\x1b[31m1",
    "zero byte": "1\x001",
    "long cell": "1" * 5_000,
    "right-to-left mark": "\u202e11",
    "letter O for nought": "1O",
    "label for code": "서울",
}
_UNITS: dict[str, tuple[str | None, Expected]] = {
    "none": (None, quarantined(1, "business_number_not_null")),
    "a blank": (" ", quarantined(1, "business_number_not_null")),
    "a digit short": ("123456789", quarantined(1, *NO_UNIT)),
    "a digit more": ("12345678901", quarantined(1, *NO_UNIT)),
    "scientific": ("1.20815E+09", quarantined(1, *NO_UNIT)),
    "letters": ("ABCDEFGHIJ", quarantined(1, *NO_UNIT)),
    "full-width digits": ("１２３４５６７８９０", quarantined(1, *NO_UNIT)),
    "of nobody": ("9990000001", quarantined(1, *UNKNOWN_UNIT)),
}


def _cells() -> list[Case]:
    text = "csv-utf-8"
    return [
        *(
            Case(f"employees: {name}", text, expected, cells=put("employees", value))
            for name, (value, expected) in _NUMBERS.items()
        ),
        *(
            Case(
                f"region: {name}",
                text,
                quarantined(1, "region_known_code"),
                cells=put("region", value),
                quick=name == "formula",
            )
            for name, value in _CODES.items()
        ),
        *(
            Case(f"unit: {name}", text, expected, cells=put("business_number", value))
            for name, (value, expected) in _UNITS.items()
        ),
        Case("employees: left out", text, Accepted(), cells=put("employees", None)),
        Case("a stage nobody has", text, quarantined(1, "tech_ml_known_code"), cells=put("tech_ml", "7")),
        Case("a question nobody answered", text, Accepted(), cells=each("tech_ml", all_cells(""))),
        Case("leading noughts lost", text, Accepted(), cells=each("ksic", lambda code: code.lstrip("0"))),
        Case("codes with .0", text, Accepted(), cells=each("region", "{}.0".format)),
        Case("codes with blanks", text, Accepted(), cells=each("region", " {} ".format)),
        Case("division with its letter, small", text, Accepted(), cells=each("ksic", "c{}".format)),
        Case("a cell beyond all measure", text, rejected("too_large"), cells=put("region", "1" * 131_073)),
        Case(
            "another list in half the rows and one", text, rejected("unknown_code_list"), cells=_in_most("region", "77")
        ),
        Case(
            "numbers with hyphens",
            text,
            Accepted(),
            cells=each("business_number", lambda n: f"{n[:3]}-{n[3:5]}-{n[5:]}"),
        ),
    ]


def _in_most(column: str, value: str) -> Change:
    def change(grid: Grid) -> None:
        put(column, value, range(len(grid.rows) // 2 + 1))(grid)

    return change


def _rows() -> list[Case]:
    text = "csv-utf-8"
    header_rules = (
        *NO_UNIT, "ksic_known_code", "region_known_code", "employees_not_a_number", "obstacle_known_code",
        *(f"tech_{name}_known_code" for name in ("ml", "text", "speech", "vision", "genai", "rpa", "robot")),
    )  # fmt: skip
    return [
        Case("row twice, once with hyphens", text, quarantined(1, "duplicate_row"), cells=repeat_with_hyphens),
        Case("the whole table twice", text, quarantined(Fraction(1, 2), "duplicate_row"), cells=twice),
        Case("blank row in between", text, quarantined(1, "business_number_not_null"), cells=blank_row),
        Case("blank row in between, xlsx", "xlsx", quarantined(1, "business_number_not_null"), cells=blank_row),
        Case("header again as a row", text, quarantined(1, *header_rules), cells=header_again),
        Case("rows in another order", text, Accepted(), cells=reverse_rows),
        Case("one row only", text, Accepted(), cells=one_row),
    ]


def _headers() -> list[Case]:
    korean, text = "csv-cp949", "csv-utf-8"
    return [
        Case("columns in another order", korean, Accepted(), cells=reverse_columns),
        Case(
            "headers of two columns exchanged",
            text,
            rejected("unknown_code_list"),
            cells=swap_headers("region", "employees"),
        ),
        Case(
            "headers of unit and number exchanged",
            text,
            rejected(*UNKNOWN_UNIT),
            cells=swap_headers("business_number", "employees"),
        ),
        Case("a header nobody knows", korean, rejected("missing_column"), cells=rename("region", "지역구분")),
        Case("a blank header", korean, rejected("missing_column"), cells=rename("region", ""), quick=True),
        Case("a header in two columns", korean, rejected("duplicate_column"), cells=second_column_named("region")),
        Case(
            "a header in two columns, xlsx", "xlsx", rejected("duplicate_column"), cells=second_column_named("region")
        ),
        Case("two columns gone", korean, rejected("missing_column"), cells=drop("region", "ksic")),
        Case(
            "no header known", korean, rejected("no_known_column"), cells=all_headers(lambda header: f"V{len(header)}")
        ),
        Case(
            "headers decomposed",
            "tsv",
            Accepted(),
            cells=all_headers(lambda header: unicodedata.normalize("NFD", header)),
        ),
        Case("headers with blanks", korean, Accepted(), cells=all_headers(lambda header: f" {' '.join(header)} ")),
        Case("headers in small letters", "sav", Accepted(), cells=all_headers(str.lower)),
        Case(
            "headers as mojibake",
            "tsv",
            rejected("no_known_column"),
            cells=all_headers(lambda header: header.encode().decode("latin-1")),
        ),
        Case(
            "headers as question marks",
            korean,
            rejected("no_known_column"),
            cells=all_headers(lambda header: "?" * len(header)),
        ),
        Case(
            "a header with a byte order mark",
            "tsv",
            rejected("missing_column"),
            cells=rename("region", "\ufeff시도코드"),
        ),
        Case("a column more", korean, Accepted(), cells=extra("비고", "=1+1")),
        Case("a column more, xlsx", "xlsx", Accepted(), cells=extra("기타 / 비고", "=HYPERLINK(1)")),
        Case("a column more with line breaks", korean, Accepted(), cells=extra("비고", 'a\n"b",c')),
        Case("a column of the wave itself", korean, Accepted(), cells=extra("wave", "2022")),
        Case("a column of another survey", korean, rejected("wrong_survey"), cells=extra("Survey", "public")),
    ]


def _other_contracts() -> list[Case]:
    return [
        Case(
            "frame: words for a number",
            "csv-cp949",
            quarantined(1, "employees_not_a_number"),
            cells=put("employees", "많음"),
            contract=FRAME,
        ),
        Case("frame: no division", "csv-cp949", rejected("missing_column"), cells=drop("ksic"), contract=FRAME),
        Case("frame: rows twice", "parquet", quarantined(2, "duplicate_row"), cells=repeat_rows, contract=FRAME),
        Case(
            "frame: another list of regions",
            "sav",
            rejected("unknown_code_list"),
            cells=each("region", all_cells("서울")),
            contract=FRAME,
        ),
        Case(
            "sample: words for a probability",
            "csv-cp949",
            quarantined(1, "inclusion_probability_not_a_number"),
            cells=put("inclusion_probability", "높음"),
            contract=SAMPLE,
        ),
        Case(
            "sample: a probability above one",
            "xlsx",
            quarantined(1, "inclusion_probability_in_range"),
            cells=put("inclusion_probability", "1.5"),
            contract=SAMPLE,
        ),
        Case("sample: rows twice", "dta", quarantined(2, "duplicate_row"), cells=repeat_rows, contract=SAMPLE),
        Case(
            "sample: no probabilities",
            "ods",
            rejected("missing_column"),
            cells=drop("inclusion_probability"),
            contract=SAMPLE,
        ),
    ]


CASES = [*_good(), *_everywhere(), *_cells(), *_rows(), *_headers(), *_other_contracts()]
