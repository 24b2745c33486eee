-- checks.engines_differ: one row per rate of a domain whose bootstrap standard error is not within 0.75 to 1.33 of the
-- linearised one
-- reads: estimates.replicate_rate
-- params: $survey, $wave
-- severity: warning
select
    domain_type,
    domain_code,
    measure,
    unit_weighting,
    n,
    se_taylor,
    se_bootstrap,
    'expected of a few very small domains; look at the largest n' as what_to_do
from estimates.replicate_rate
where survey = $survey and wave = $wave and status = 'warn'
order by domain_type, domain_code, measure, unit_weighting
