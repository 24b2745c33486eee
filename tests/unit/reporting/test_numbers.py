import datetime

import pytest

from pipelines.reporting import numbers

NBSP = "\u00a0"


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.312, f"31.2{NBSP}%"),
        # Half goes up, from the decimal that is meant: binary 0.3125 is exact, 0.0005 is not
        (0.3125, f"31.3{NBSP}%"),
        (0.0005, f"0.1{NBSP}%"),
        (0.07, f"7.0{NBSP}%"),
        (0.0, f"0.0{NBSP}%"),
        (1.0, f"100.0{NBSP}%"),
        (0.99949, f"99.9{NBSP}%"),
    ],
)
def test_per_cent_has_one_decimal_rounded_half_up(share: float, expected: str) -> None:
    assert numbers.per_cent(share, "ko") == expected
    assert numbers.per_cent(share, "en") == expected


def test_rounding_happens_once_from_the_full_value() -> None:
    # Rounded to two decimals first, 0.31449 would become 31.45 and then 31.5
    assert numbers.number_of_per_cent(0.31449, "en") == "31.4"


def test_interval_form_of_the_brief() -> None:
    assert numbers.with_interval(0.312, 0.301, 0.323, "en") == f"31.2{NBSP}% (30.1–32.3)"


def test_differences_are_percentage_points() -> None:
    assert numbers.points(38.8, "ko") == f"38.8{NBSP}%p"
    assert numbers.points(38.8, "en") == f"38.8{NBSP}percentage points"
    assert numbers.points(1.44, "en", sign=True) == f"+1.4{NBSP}percentage points"
    assert numbers.points(-1.44, "ko") == f"−1.4{NBSP}%p"


def test_nothing_is_not_negative() -> None:
    assert numbers.decimal(-0.04, "en", sign=True) == "0.0"


def test_negative_bounds_do_not_meet_a_dash() -> None:
    assert numbers.points_interval(-0.3, 1.1, "en") == "−0.3 to 1.1"
    assert numbers.points_interval(-0.3, 1.1, "ko") == "−0.3 ~ 1.1"
    assert numbers.points_interval(1.0, 2.4, "ko") == "1.0–2.4"


def test_counts_have_thousands_separators() -> None:
    assert numbers.count(211_615.4, "ko") == "211,615"
    assert numbers.count(211_615.4, "en") == "211,615"


def test_targets_lose_a_decimal_that_says_nothing() -> None:
    assert numbers.whole_per_cent(0.7, "ko") == f"70{NBSP}%"
    assert numbers.whole_per_cent(0.725, "en") == f"72.5{NBSP}%"


def test_dates_are_written_out() -> None:
    day = datetime.date(2025, 12, 17)
    assert numbers.day(day, "ko") == "2025년 12월 17일"
    assert numbers.day(day, "en") == "17 December 2025"


def test_a_period_says_its_year_once() -> None:
    start, end = datetime.date(2025, 8, 1), datetime.date(2025, 10, 15)
    assert numbers.period(start, end, "ko") == "2025년 8월 1일 – 10월 15일"
    assert numbers.period(start, end, "en") == "1 August – 15 October 2025"
    assert numbers.period(start, datetime.date(2026, 1, 2), "en") == "1 August 2025 – 2 January 2026"
