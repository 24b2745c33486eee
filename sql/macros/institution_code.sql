-- macro.institution_code: seven-digit institution code with the leading zeros a spreadsheet took away
-- ('12345', '12345.0' -> '0012345'); text that is no code stays as it is, for the contract's rules to name it
-- reads: macro.clean_text
-- params: none
create or replace temporary macro institution_code(value) as
case
    when regexp_full_match(clean_text(value), '\d{1,7}(\.0*)?')
        then lpad(regexp_extract(clean_text(value), '^\d+'), 7, '0')
    else clean_text(value)
end
