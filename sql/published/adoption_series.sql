-- published.adoption_series: one row per wave: the share of adoption() of one domain; only waves of one
--   comparability_segment may be compared
-- reads: mart.adoption_rate
-- params: none
create macro adoption_series(survey, domain_type, domain_code) as table
    select
        r.wave,
        r.comparability_segment,
        r.n,
        r.estimate,
        r.se,
        r.ci_low,
        r.ci_high,
        r.reliability,
        r.obs_status,
        r.conf_status
    from mart.adoption_rate as r
    where
        r.survey = survey -- noqa: RF02, RF03
        and r.domain_type = domain_type -- noqa: RF03
        and r.domain_code = domain_code -- noqa: RF03
        and r.measure = 'ai_adoption'
        and r.base = 'answered'
        and r.unit_weighting = 'unit'
    order by r.wave
