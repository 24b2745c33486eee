import numpy as np

from pipelines.synthetic.identifiers import business_numbers, check_digits, institution_codes


def test_check_digit_of_the_published_example() -> None:
    # 120-81-47521, the example of a valid number in the project's facts.
    assert check_digits(np.array([120814752]))[0] == 1


def test_check_digit_by_hand() -> None:
    # 101-00-0001: 1*1 + 1*7 + 1*5 + floor(5 / 10) = 13 -> 10 - 3 = 7.
    assert check_digits(np.array([101000001]))[0] == 7
    # 109-00-0000: 1*1 + 9*7 = 64 -> 6; a sum that ends in 0 gives 0: 102-00-0003: 1 + 14 + 15 + 1 = 31 -> 9.
    assert check_digits(np.array([109000000, 102000003])).tolist() == [6, 9]
    # 100-00-0009 with d9 = 9: 1 + 45 + floor(45 / 10) = 50 -> 0, not 10.
    assert check_digits(np.array([100000009]))[0] == 0


def test_business_numbers_are_unique_valid_and_of_no_real_kind() -> None:
    numbers = business_numbers(20_000, np.random.default_rng(1))
    assert len(set(numbers.tolist())) == 20_000
    assert {len(number) for number in numbers.tolist()} == {10}
    # Real numbers carry a kind of business from 01 to 99 in the fourth and fifth place.
    assert {number[3:5] for number in numbers.tolist()} == {"00"}
    digits = numbers.astype(np.int64)
    assert (check_digits(digits // 10) == digits % 10).all()


def test_institution_codes_are_unique_with_some_leading_zeros() -> None:
    codes = institution_codes(3000, np.random.default_rng(1)).tolist()
    assert len(set(codes)) == 3000
    assert {len(code) for code in codes} == {7}
    # Uniform over 0100001 to 9999999: about one in eleven begins with a zero.
    leading = sum(code.startswith("0") for code in codes) / 3000
    assert 0.06 < leading < 0.12
