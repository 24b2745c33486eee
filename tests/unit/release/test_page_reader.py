from decimal import Decimal

import pytest

from pipelines.release.page_reader import numbers_in, read_page, rounded


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("31.2\u00a0% (30.1–32.3)", ["31.2", "30.1", "32.3"]),
        ("n 12,345 in 2021–2025", ["12345", "2021", "2025"]),
        ("−0.3 to +1.1", ["-0.3", "1.1"]),
        ("약35.0%p, 8개", ["35.0", "8"]),
        ("2022, 2023 and 3.", ["2022", "2023", "3"]),
        ("RR3, P07, 2025.1-F03, 1.2.0, 7e6d2d", ["2025.1"]),
        ("", []),
    ],
)
def test_numbers_of_a_text(text: str, expected: list[str]) -> None:
    assert [one.value for one in numbers_in(text)] == [Decimal(number) for number in expected]


def test_a_number_keeps_how_it_is_written() -> None:
    [one] = numbers_in("it is +7.50 points")
    assert (one.text, one.digits, one.has_sign) == ("+7.50", 2, True)


@pytest.mark.parametrize(
    ("value", "digits", "factor", "expected"),
    # A half goes up, from the decimal that is written, not from the binary number: 0.3125 is 31.25 %, 2.675 is 2.68
    [(0.3125, 1, 100, "31.3"), (2.675, 2, 1, "2.68"), (-0.04, 1, 1, "0.0"), (-0.05, 1, 1, "-0.1"), (0.07, 0, 100, "7")],
)
def test_rounding(value: float, digits: int, factor: int, expected: str) -> None:
    assert rounded(value, digits=digits, factor=factor) == Decimal(expected)


def test_a_page_is_read_as_it_is_seen() -> None:
    page = read_page(
        "<section id='a'><p>one<br>two <span class='nb'>3</span>4</p><p>5</p><style>6</style>"
        "<table><tbody><tr data-of='x'><td>7</td></tr></tbody></table></section>"
    )
    [section] = page.all("section")
    assert section.text(without=frozenset({"table"})) == "one two 34 5"
    [cell] = section.all("td")
    row = cell.within("tr")
    assert row is not None
    assert row.attributes["data-of"] == "x"
    assert cell.within("figure") is None
