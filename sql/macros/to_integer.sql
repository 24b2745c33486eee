-- macro.to_integer: a whole number as INTEGER ('1,395' -> 1395, '-3' -> -3); NULL when the text is not one
-- reads: macro.clean_text, macro.whole_digits
-- params: none
create or replace temporary macro to_integer(value) as
case
    when starts_with(clean_text(value), '-')
        then -try_cast(whole_digits(substr(clean_text(value), 2)) as integer)
    else try_cast(whole_digits(value) as integer)
end
