-- checks.progress: one row per progress that has no target, or an estimate other than the published rate
-- reads: mart.progress, mart.adoption_rate
-- params: $wave
-- severity: error
select
    p.survey,
    p.wave,
    p.domain_type,
    p.domain_code,
    p.measure,
    p.unit_weighting,
    p.estimate,
    r.estimate as published_estimate,
    'build estimates.progress again from estimates.adoption_rate' as what_to_do
from mart.progress as p
left join mart.adoption_rate as r
    on
        p.survey = r.survey
        and p.wave = r.wave
        and p.domain_type = r.domain_type
        and p.domain_code = r.domain_code
        and p.measure = r.measure
        and p.unit_weighting = r.unit_weighting
        and r.base = 'answered'
where
    p.wave = $wave
    and (
        p.target is null
        or r.survey is null
        or p.comparability_segment <> r.comparability_segment
        or p.estimate is distinct from r.estimate
        or (p.estimate is null and p.status_reason is null)
    )
order by p.survey, p.domain_type, p.domain_code, p.measure, p.unit_weighting
