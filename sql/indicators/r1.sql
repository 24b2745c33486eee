-- indicators.r1: one row per survey and wave; share of the cells that have to be filled in which an estimate may be
-- printed
-- reads: mart.adoption_rate
-- params: none
select
    r.survey,
    r.wave,
    count(*) filter (where r.estimate is not null and r.reliability <> 'suppress') / count(*)::double as value
from mart.adoption_rate as r
group by r.survey, r.wave
order by r.survey, r.wave
