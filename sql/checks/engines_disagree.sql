-- checks.engines_disagree: one row per headline rate whose bootstrap standard error is not within 0.85 to 1.18 of the
-- linearised one, so that neither can be trusted
-- reads: estimates.replicate_rate
-- params: $survey, $wave
-- severity: error
select
    domain_type,
    domain_code,
    measure,
    unit_weighting,
    se_taylor,
    se_bootstrap,
    'find which of the two is wrong before anything is published; see reports/methodology/replicates.md' as what_to_do
from estimates.replicate_rate
where survey = $survey and wave = $wave and status = 'stop'
order by domain_type, domain_code, measure, unit_weighting
