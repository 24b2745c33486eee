-- indicators.a1: one row per survey and wave; coefficient of variation of the headline
-- reads: mart.adoption_rate
-- params: none
select
    r.survey,
    r.wave,
    r.cv as value
from mart.adoption_rate as r
where r.domain_type = 'total' and r.measure = 'ai_adoption' and r.base = 'answered' and r.unit_weighting = 'unit'
order by r.survey, r.wave
