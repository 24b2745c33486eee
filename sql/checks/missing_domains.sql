-- checks.missing_domains: one row per domain of the survey that has no row of AI adoption
-- reads: mart.adoption_rate, mart.domain
-- params: $wave
-- severity: error
select
    d.survey,
    d.domain_type,
    d.domain_code,
    'a domain without respondents needs a row too, suppressed and with its reason' as what_to_do
from mart.domain as d
where
    d.domain_type in ('total', 'ax_total', 'ax_industry', 'public_sector', 'size_class', 'institution_type')
    and not exists (
        select 1
        from mart.adoption_rate as r
        where
            r.survey = d.survey
            and r.wave = $wave
            and r.domain_type = d.domain_type
            and r.domain_code = d.domain_code
            and r.measure = 'ai_adoption'
            and r.base = 'answered'
            and r.unit_weighting = 'unit'
    )
order by d.survey, d.domain_type, d.domain_code
