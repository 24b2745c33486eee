"""How numbers look on the page, in Korean and English.

Belongs here: rounding (once, half up, from the full value), signs, separators, units, intervals, dates.
Does not belong here: words around a number (sentences), or any number that is not handed in.
"""

import datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import Literal

from babel import Locale
from babel.dates import format_date
from babel.numbers import NumberPattern, parse_pattern

Language = Literal["ko", "en"]

NO_BREAK_SPACE = "\u00a0"
EN_DASH = "–"
MINUS = "−"

_POINT_UNIT = {
    "ko": f"{NO_BREAK_SPACE}%p",
    "en": f"{NO_BREAK_SPACE}percentage points",
}


@cache
def _pattern(digits: int) -> NumberPattern:
    fraction = "." + "0" * digits if digits else ""
    return parse_pattern(f"#,##0{fraction}")


@cache
def _locale(language: Language) -> Locale:
    return Locale.parse(language)


def _rounded(value: float, digits: int) -> Decimal:
    # repr() is the shortest decimal that gives the float back, so 0.3125 is rounded as 0.3125 and not as the
    # binary number beside it; adding 0 turns -0 into 0
    return Decimal(repr(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP) + 0


def decimal(value: float, language: Language, *, digits: int = 1, sign: bool = False) -> str:
    """A number with `digits` decimals and the language's separators; `sign` writes + too."""
    rounded = _rounded(value, digits)
    text = str(_pattern(digits).apply(abs(rounded), _locale(language)))
    if rounded < 0:
        return MINUS + text
    return "+" + text if sign and rounded > 0 else text


def count(value: float, language: Language) -> str:
    """A whole number: 12,345."""
    return decimal(value, language, digits=0)


def hundredfold(share: float) -> float:
    """A share in per cent, without the noise of binary multiplication (0.07 gives 7.0)."""
    return float(Decimal(repr(share)) * 100)


def number_of_per_cent(share: float, language: Language, *, digits: int = 1) -> str:
    """A share 0 to 1 as per cent without the sign: 31.2."""
    return decimal(hundredfold(share), language, digits=digits)


def per_cent(share: float, language: Language, *, digits: int = 1) -> str:
    """A share 0 to 1 as per cent: 31.2 %."""
    return f"{number_of_per_cent(share, language, digits=digits)}{NO_BREAK_SPACE}%"


def whole_per_cent(share: float, language: Language) -> str:
    """A share as per cent with no decimal where it has none: 70 %, but 72.5 %."""
    value = Decimal(repr(share)) * 100
    return per_cent(share, language, digits=0 if value == value.to_integral_value() else 1)


def interval(low: float, high: float, language: Language) -> str:
    """An interval of shares in per cent: 30.1–32.3."""
    return f"{number_of_per_cent(low, language)}{EN_DASH}{number_of_per_cent(high, language)}"


def with_interval(share: float, low: float, high: float, language: Language) -> str:
    """A share with its interval: 31.2 % (30.1–32.3)."""
    return f"{per_cent(share, language)} ({interval(low, high, language)})"


def points(value_pp: float, language: Language, *, sign: bool = False) -> str:
    """A difference in percentage points: 38.8 %p, 38.8 percentage points."""
    return f"{decimal(value_pp, language, sign=sign)}{_POINT_UNIT[language]}"


def decimal_interval(low: float, high: float, language: Language, *, digits: int = 1) -> str:
    """An interval of plain numbers: 1.0–2.4, or −0.3 to 1.1 where a dash would look like a sign."""
    joiner = EN_DASH
    if low < 0 or high < 0:
        joiner = {"ko": " ~ ", "en": " to "}[language]
    return f"{decimal(low, language, digits=digits)}{joiner}{decimal(high, language, digits=digits)}"


def points_interval(low_pp: float, high_pp: float, language: Language) -> str:
    """An interval of differences in percentage points, without unit."""
    return decimal_interval(low_pp, high_pp, language)


def day(value: datetime.date, language: Language) -> str:
    """A date written out: 2026년 11월 23일, 23 November 2026."""
    pattern = {"ko": "y년 M월 d일", "en": "d MMMM y"}[language]
    return format_date(value, format=pattern, locale=_locale(language))


def period(start: datetime.date, end: datetime.date, language: Language) -> str:
    """A period of days; the year is said once where it is the same."""
    if start.year != end.year:
        return f"{day(start, language)} {EN_DASH} {day(end, language)}"
    if language == "ko":
        return f"{day(start, language)} {EN_DASH} {format_date(end, format='M월 d일', locale=_locale('ko'))}"
    return f"{format_date(start, format='d MMMM', locale=_locale('en'))} {EN_DASH} {day(end, language)}"
