-- macro.ksic_division: two-digit KSIC division ('C26', '26', '26.0' -> '26'; '6', 'B6' -> '06'); text that is no
-- division stays as it is, for the contract's rules to name it
-- reads: macro.clean_text
-- params: none
create or replace temporary macro ksic_division(value) as
case
    when regexp_full_match(clean_text(value), '[A-Ua-u]?\d{1,2}(\.0*)?')
        then lpad(regexp_extract(clean_text(value), '\d+'), 2, '0')
    else clean_text(value)
end
