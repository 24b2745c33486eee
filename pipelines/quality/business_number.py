"""The check digit of Korean business registration numbers.

Belongs here: the sum. Does not belong here: what follows from a wrong one (structure.py).
"""

import polars as pl

_WEIGHTS = (1, 3, 7, 1, 3, 7, 1, 3, 5)


def valid_check_digit(number: pl.Expr) -> pl.Expr:
    """Whether ten digits d1..d10 (text without hyphens) end in their check digit; null where it is not ten
    digits.

    With s the sum of d1..d9 times 1, 3, 7, 1, 3, 7, 1, 3, 5, plus the whole part of d9 * 5 / 10, the check
    digit is (10 - s mod 10) mod 10. National Tax Service's rule as given in the project's facts;
    120-81-47521 is valid.
    """
    ten_digits = pl.when(number.str.contains(r"^[0-9]{10}$")).then(number).cast(pl.Int64)
    digits = [ten_digits // 10 ** (9 - place) % 10 for place in range(10)]
    weighted = [digit * weight for digit, weight in zip(digits, _WEIGHTS, strict=False)]
    total = sum(weighted[1:], weighted[0]) + (digits[8] * 5) // 10
    return (10 - total % 10) % 10 == digits[9]
