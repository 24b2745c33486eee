-- macro.valid_business_number: whether ten digits d1..d10 (text without hyphens) end in their check digit; NULL
-- where the text is not ten digits. With s the sum of d1..d9 times 1, 3, 7, 1, 3, 7, 1, 3, 5, plus the whole part of
-- d9 * 5 / 10, the check digit is (10 - s mod 10) mod 10: the National Tax Service's rule as given in the project's
-- facts; 1208147521 is valid
-- reads: none
-- params: none
create or replace temporary macro valid_business_number(value) as
case
    when regexp_full_match(value, '\d{10}')
        then (
            try_cast(value as bigint) // 1000000000
            + 3 * (try_cast(value as bigint) // 100000000 % 10)
            + 7 * (try_cast(value as bigint) // 10000000 % 10)
            + try_cast(value as bigint) // 1000000 % 10
            + 3 * (try_cast(value as bigint) // 100000 % 10)
            + 7 * (try_cast(value as bigint) // 10000 % 10)
            + try_cast(value as bigint) // 1000 % 10
            + 3 * (try_cast(value as bigint) // 100 % 10)
            + 5 * (try_cast(value as bigint) // 10 % 10)
            + 5 * (try_cast(value as bigint) // 10 % 10) // 10
            + try_cast(value as bigint) % 10
        ) % 10 = 0
end
