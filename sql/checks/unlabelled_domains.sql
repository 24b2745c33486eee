-- checks.unlabelled_domains: one row per domain or measure in the marts that has no label
-- reads: mart.adoption_rate, mart.domain, mart.measure
-- params: $wave
-- severity: error
select distinct
    r.survey,
    r.domain_type,
    r.domain_code,
    r.measure,
    'add the code to its classification, or find out where the estimate got it from' as what_to_do
from mart.adoption_rate as r
left join mart.domain as d
    on r.survey = d.survey and r.domain_type = d.domain_type and r.domain_code = d.domain_code
left join mart.measure as m on r.measure = m.measure
where r.wave = $wave and (d.domain_code is null or m.measure is null)
order by r.survey, r.domain_type, r.domain_code, r.measure
