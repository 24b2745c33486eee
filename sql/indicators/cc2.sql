-- indicators.cc2: one row per survey and wave; number of waves since the last break up to this one, this one included
-- reads: mart.adoption_rate
-- params: none
with waves as (
    select distinct
        r.survey,
        r.wave,
        r.comparability_segment
    from mart.adoption_rate as r
)

select
    w.survey,
    w.wave,
    count(*) over (
        partition by w.survey, w.comparability_segment
        order by w.wave
    )::double as value
from waves as w
order by w.survey, w.wave
