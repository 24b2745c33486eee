-- indicators.ac3: one row per survey and wave; share of the metadata of published columns (name and description in both
-- languages, unit) that are there
-- reads: mart.adoption_rate, mart.dictionary
-- params: none
with completeness as (
    select
        (
            count(nullif(d.label_ko, '')) + count(nullif(d.label_en, ''))
            + count(nullif(d.description_ko, '')) + count(nullif(d.description_en, '')) + count(d.unit)
        ) / nullif(5 * count(*), 0)::double as value
    from mart.dictionary as d
),

waves as (
    select distinct
        r.survey,
        r.wave
    from mart.adoption_rate as r
)

select
    w.survey,
    w.wave,
    c.value
from waves as w
cross join completeness as c
order by w.survey, w.wave
