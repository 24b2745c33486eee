-- published.target_progress: one row per domain: distance to the national target, pace so far and needed, chance to
--   reach it; each unit counts once
-- reads: mart.progress, mart.domain
-- params: none
create macro target_progress(survey, wave) as table
    select
        p.domain_type,
        p.domain_code,
        d.label_ko,
        d.label_en,
        p.measure,
        p.estimate,
        p.target,
        p.target_year,
        p.target_scope,
        p.gap_pp,
        p.gap_se_pp,
        p.observed_pp_per_year,
        p.required_pp_per_year,
        p.p_target,
        p.status,
        p.status_reason
    from mart.progress as p
    left join mart.domain as d
        on p.survey = d.survey and p.domain_type = d.domain_type and p.domain_code = d.domain_code
    where
        p.survey = survey -- noqa: RF02, RF03
        and p.wave = wave -- noqa: RF02, RF03
        and p.unit_weighting = 'unit'
    order by p.domain_type, d.sort_order, p.domain_code, p.measure
