-- macro.yes_no: Y/N, true/false or 1/0 as BOOLEAN; NULL when the text is none of them
-- reads: macro.clean_text
-- params: none
create or replace temporary macro yes_no(value) as
case
    when upper(clean_text(value)) in ('Y', 'YES', 'TRUE', '1', '1.0') then true
    when upper(clean_text(value)) in ('N', 'NO', 'FALSE', '0', '0.0') then false
end
