"""Made-up identification numbers that no real body can have.

Belongs here: numbers of enterprises and institutions, and the check digit of the former. Does not belong
here: how numbers are written in files (writers), or the check of delivered numbers (quality).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

# Check digit rule of the business registration number; 120-81-47521 is valid under it.
_WEIGHTS: Final = np.array([1, 3, 7, 1, 3, 7, 1, 3, 5], dtype=np.int64)

# ddd-00-dddd-c: real numbers have a kind of business, 01 to 99, in the middle pair; 00 marks made-up ones.
_OFFICES: Final = np.arange(101, 1000)
_SERIALS: Final = np.arange(1, 10_000)

_INSTITUTION_CODES: Final = 10_000_000
_INSTITUTION_LOW: Final = 100_001


def check_digits(first_nine: NDArray[np.int64]) -> NDArray[np.int64]:
    """Check digits of business registration numbers.

    With digits d1..d9 and weights 1, 3, 7, 1, 3, 7, 1, 3, 5: s = sum of the products + floor(5 d9 / 10), and
    the check digit is (10 - s mod 10) mod 10.

    Args:
        first_nine: shape (n,), the first nine digits as one number.

    Returns:
        shape (n,), 0 to 9.
    """
    digits = (first_nine[:, None] // 10 ** np.arange(8, -1, -1, dtype=np.int64)) % 10
    total = digits @ _WEIGHTS + digits[:, 8] * 5 // 10
    return (10 - total % 10) % 10


def business_numbers(count: int, rng: np.random.Generator) -> NDArray[np.str_]:
    """`count` different ten-digit business registration numbers, in random order.

    Raises:
        ValueError: if more numbers are asked for than the made-up range has.
    """
    drawn = rng.choice(_OFFICES.size * _SERIALS.size, size=count, replace=False)
    first_nine = _OFFICES[drawn // _SERIALS.size] * 1_000_000 + _SERIALS[drawn % _SERIALS.size]
    numbers = first_nine * 10 + check_digits(first_nine)
    return np.char.mod("%010d", numbers)


def institution_codes(count: int, rng: np.random.Generator) -> NDArray[np.str_]:
    """`count` different seven-digit institution codes, in random order; one in ten begins with a zero."""
    drawn = rng.choice(_INSTITUTION_CODES - _INSTITUTION_LOW, size=count, replace=False) + _INSTITUTION_LOW
    return np.char.mod("%07d", drawn)
