-- indicators.a5: one row per survey and wave; share of responding units without an answer to the headline measure
-- reads: mart.adoption_rate
-- params: none
select
    r.survey,
    r.wave,
    (r.n_missing + r.n_dont_know) / nullif(r.n + r.n_missing + r.n_dont_know, 0)::double as value
from mart.adoption_rate as r
where r.domain_type = 'total' and r.measure = 'ai_adoption' and r.base = 'answered' and r.unit_weighting = 'unit'
order by r.survey, r.wave
