-- published.adoption: one row per domain: share of units with AI in operation, of those that answered, each unit
--   counting once
-- reads: mart.adoption_rate, mart.domain
-- params: none
create macro adoption(survey, wave) as table
    select
        r.domain_type,
        r.domain_code,
        d.label_ko,
        d.label_en,
        r.n,
        r.estimate,
        r.se,
        r.ci_low,
        r.ci_high,
        r.reliability,
        r.obs_status,
        r.conf_status
    from mart.adoption_rate as r
    left join mart.domain as d
        on r.survey = d.survey and r.domain_type = d.domain_type and r.domain_code = d.domain_code
    where
        r.survey = survey -- noqa: RF02, RF03
        and r.wave = wave -- noqa: RF02, RF03
        and r.measure = 'ai_adoption'
        and r.base = 'answered'
        and r.unit_weighting = 'unit'
    order by r.domain_type, d.sort_order, r.domain_code
