-- indicators.panel: one row per survey and wave that can be compared with the year before; share of the units that
-- answered the headline measure which answered it the year before, too
-- reads: mart.change
-- params: none
select
    c.survey,
    c.wave,
    c.n_common / nullif(c.n_after, 0)::double as value
from mart.change as c
where
    c.domain_type = 'total'
    and c.measure = 'ai_adoption'
    and c.base = 'answered'
    and c.unit_weighting = 'unit'
    and c.wave_before = c.wave - 1
order by c.survey, c.wave
