import polars as pl
import pytest

from pipelines.quality.business_number import valid_check_digit


def check(number: str | None) -> bool | None:
    frame = pl.DataFrame({"number": [number]}, schema={"number": pl.String})
    return frame.select(valid_check_digit(pl.col("number"))).item()


def test_the_number_of_the_facts() -> None:
    """For 120-81-47521: 1 + 6 + 0 + 8 + 3 + 28 + 7 + 15 + 10 = 78, and floor(2 * 5 / 10) = 1; 79 -> 1."""
    assert check("1208147521") is True


@pytest.mark.parametrize("last", "023456789")
def test_every_other_last_digit_is_wrong(last: str) -> None:
    assert check(f"120814752{last}") is False


def test_a_sum_that_ends_in_zero_has_the_check_digit_zero() -> None:
    """d9 = 2 alone: 2*5 = 10, floor(2*5/10) = 1, so 11 -> 9; d1 = 9 besides: 9 + 11 = 20 -> 0."""
    assert check("0000000029") is True
    assert check("9000000020") is True


@pytest.mark.parametrize("number", [None, "", "120-81-47521", "120814752", "12081475211", "12081475２1"])
def test_what_is_not_ten_digits_has_none(number: str | None) -> None:
    assert check(number) is None
