-- checks.small_areas: one row per survey, measure and weighting whose small domains do not add up to the direct total
-- reads: mart.small_area, mart.adoption_rate
-- params: $wave
-- severity: error
select
    s.survey,
    s.wave,
    s.domain_type,
    s.measure,
    s.unit_weighting,
    sum(s.benchmark_weight * s.estimate) as model_total,
    any_value(r.estimate) as direct_total,
    'build the step small_areas again: its domains are benchmarked to the total' as what_to_do
from mart.small_area as s
left join mart.adoption_rate as r
    on
        s.survey = r.survey
        and s.wave = r.wave
        and s.measure = r.measure
        and s.base = r.base
        and s.unit_weighting = r.unit_weighting
        and r.domain_type = 'total'
where s.wave = $wave
group by s.survey, s.wave, s.domain_type, s.measure, s.unit_weighting
having
    any_value(r.estimate) is not null
    -- domains without a model are direct; a known one counts by its own value, the others make up the rest
    and count(s.benchmark_factor) > 0
    and abs(sum(s.benchmark_weight * s.estimate) - any_value(r.estimate)) > 1e-9
order by s.survey, s.measure, s.unit_weighting
