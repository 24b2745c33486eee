-- macro.sector_code: code of a public sector or field ('P03', 'p3' -> 'P03'); text that is no code stays as it is,
-- for the contract's rules to name it
-- reads: macro.clean_text
-- params: none
create or replace temporary macro sector_code(value) as
case
    when regexp_full_match(clean_text(value), '[Pp]\d{1,2}')
        then 'P' || lpad(regexp_extract(clean_text(value), '\d+'), 2, '0')
    else clean_text(value)
end
