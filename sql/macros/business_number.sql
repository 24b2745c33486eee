-- macro.business_number: the digits of a business registration number ('120-81-47521' -> '1208147521'); text with
-- anything else in it stays as it is, for the contract's rules to name it. Nothing is padded: a number begins with a
-- tax office of 101 or more, so that one of nine digits has lost another digit than a leading zero
-- reads: macro.clean_text
-- params: none
create or replace temporary macro business_number(value) as
case
    when regexp_full_match(clean_text(value), '[\d -]+(\.0*)?')
        then regexp_replace(regexp_replace(clean_text(value), '\.0*$', ''), '[ -]', '', 'g')
    else clean_text(value)
end
