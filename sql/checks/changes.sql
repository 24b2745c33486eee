-- checks.changes: one row per change across comparability segments, or between rates other than the published ones
-- reads: mart.change, mart.adoption_rate
-- params: $wave
-- severity: error
select
    c.survey,
    c.wave,
    c.wave_before,
    c.domain_type,
    c.domain_code,
    c.measure,
    c.unit_weighting,
    c.estimate_before,
    before.estimate as published_before,
    c.estimate_after,
    now.estimate as published_after,
    'build the step changes again; waves of another question are not compared' as what_to_do
from mart.change as c
left join mart.adoption_rate as now
    on
        c.survey = now.survey
        and c.wave = now.wave
        and c.domain_type = now.domain_type
        and c.domain_code = now.domain_code
        and c.measure = now.measure
        and c.base = now.base
        and c.unit_weighting = now.unit_weighting
left join mart.adoption_rate as before
    on
        c.survey = before.survey
        and c.wave_before = before.wave
        and c.domain_type = before.domain_type
        and c.domain_code = before.domain_code
        and c.measure = before.measure
        and c.base = before.base
        and c.unit_weighting = before.unit_weighting
where
    c.wave = $wave
    and (
        c.wave_before >= c.wave
        or coalesce(now.comparability_segment, c.comparability_segment) <> c.comparability_segment
        or coalesce(before.comparability_segment, c.comparability_segment) <> c.comparability_segment
        or (c.estimate_after is null) <> (now.estimate is null)
        or (c.estimate_before is null) <> (before.estimate is null)
        or abs(c.estimate_after - now.estimate) > 1e-9
        or abs(c.estimate_before - before.estimate) > 1e-9
    )
order by c.survey, c.wave_before, c.domain_type, c.domain_code, c.measure, c.unit_weighting
