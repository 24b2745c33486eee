-- mart.adoption_rate: one row per estimate: its definition, the estimate with its uncertainty, and whether the series
-- breaks here ('b' at the first wave of a comparability segment that follows another)
-- reads: estimates.adoption_rate, estimates.disclosure, core.wave_version
-- params: $wave
select
    e.survey,
    e.wave,
    e.domain_type,
    e.domain_code,
    e.measure,
    e.base,
    e.unit_weighting,
    e.measure || '@' || v.question_version as definition_id,
    v.question_version,
    v.tech_list_version,
    v.comparability_segment,
    e.n,
    e.n_missing,
    e.n_dont_know,
    e.population,
    e.adopters,
    e.adopters_se,
    e.estimate,
    e.se,
    e.ci_low,
    e.ci_high,
    e.ci_level,
    e.df,
    e.deff,
    e.n_effective,
    e.cv,
    e.reliability,
    e.reliability_reason,
    case when v.segment_has_predecessor and e.wave = v.first_wave_of_segment then 'b' else 'A' end as obs_status,
    -- A domain without respondents has no cell there and nothing to hide; what is not free is blanked in a release
    coalesce(d.conf_status, 'F') as conf_status,
    e.variance_method
from estimates.adoption_rate as e
inner join core.wave_version as v on e.survey = v.survey and e.wave = v.wave
left join estimates.disclosure as d
    on
        e.survey = d.survey and e.wave = d.wave and e.domain_type = d.domain_type
        and e.domain_code = d.domain_code and e.measure = d.measure and e.unit_weighting = d.unit_weighting
where e.wave = $wave
