-- macro.to_double: a number as DOUBLE ('0.25', '1,395.5', '2.5e-3'); NULL when the text is not a finite one
-- reads: macro.clean_text
-- params: none
create or replace temporary macro to_double(value) as
case
    when regexp_full_match(clean_text(value), '-?(\d+|\d{1,3}(,\d{3})+)?(\.\d*)?([eE][+-]?\d{1,2})?')
        then try_cast(replace(clean_text(value), ',', '') as double)
end
