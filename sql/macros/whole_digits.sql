-- macro.whole_digits: the digits of a whole number as sent, without thousands commas and without the '.0' that a
-- spreadsheet or a statistics package adds ('1,395' -> '1395', '26.0' -> '26', '007' -> '007');
-- NULL for anything else, so that '26.5', '1e3' or '12,34' are never taken for a number they are not
-- reads: macro.clean_text
-- params: none
create or replace temporary macro whole_digits(value) as
case
    when regexp_full_match(clean_text(value), '(\d+|\d{1,3}(,\d{3})+)(\.0*)?')
        then replace(regexp_extract(clean_text(value), '^[\d,]+'), ',', '')
end
