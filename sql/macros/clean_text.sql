-- macro.clean_text: text without blanks around it; NULL when nothing is left
-- reads: none
-- params: none
create or replace temporary macro clean_text(value) as
nullif(trim(value), '')
