-- macro.sector_list: the sectors of a semicolon list, each once, in order ('P03; P01;P03' -> ['P01', 'P03']);
-- NULL for NULL
-- reads: macro.clean_text, macro.sector_code
-- params: none
create or replace temporary macro sector_list(value) as
list_sort(
    list_distinct([
        sector_code(part) for part in string_split(clean_text(value), ';') if sector_code(part) is not null
    ])
)
