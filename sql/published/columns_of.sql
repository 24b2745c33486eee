-- published.columns_of: one row per column of a published table, as mart.dictionary has it; the table as schema.table
-- reads: mart.dictionary
-- params: none
create macro columns_of(table_name) as table
    select
        c.position,
        c.column,
        c.type,
        c.unit,
        c.is_key,
        c.label_ko,
        c.label_en,
        c.description_ko,
        c.description_en
    from mart.dictionary as c
    where c.table = table_name -- noqa: RF03
    order by c.position
