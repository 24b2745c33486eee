-- macro.code_text: a code as the contracts write it, `width` digits long ('1.0' -> '1', '1' -> '01' where width is 2,
-- '08' -> '8' where it is 1); codes that are no whole numbers keep their text ('10-49', '1.1', 'central')
-- reads: macro.clean_text, macro.whole_digits
-- params: none
create or replace temporary macro code_text(value, width) as
case
    when whole_digits(value) is null then clean_text(value)
    else
        lpad(
            ltrim(whole_digits(value), '0'),
            cast(greatest(width, length(ltrim(whole_digits(value), '0'))) as integer),
            '0'
        )
end
