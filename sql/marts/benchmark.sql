-- mart.benchmark: one row per outside figure that measures the like of ours, with our estimate of the same year and
-- domain, and in what the definitions differ or may
-- reads: core.benchmark, core.wave_version, core.classification_item, core.ksic_scope, mart.adoption_rate
-- params: $wave
with sections as (
    -- those that are an AX industry, no less and no more
    select
        k.revision,
        k.section,
        max(k.ax_industry) as ax_industry
    from core.ksic_scope as k
    group by k.revision, k.section
    having
        count(distinct k.ax_industry) = 1
        and count(k.ax_industry) = count(*)
        and max(k.ax_industry) not in (
            select other.ax_industry
            from core.ksic_scope as other
            where other.ax_industry is not null
            group by other.ax_industry
            having count(distinct other.section) > 1
        )
),

figures as (
    select
        b.compared_with,
        b.series,
        b.measure,
        b.geo,
        b.industry,
        b.size_class,
        b.other_group,
        b.ref_year,
        b.vintage,
        b.value,
        b.obs_status,
        b.n,
        b.definition_ko,
        b.definition_en,
        b.size_cutoff,
        b.source,
        b.statistical_unit,
        b.min_employees,
        b.question_form,
        b.sample_kind,
        v.wave as own_wave,
        coalesce(v.statistical_unit, w.statistical_unit) as own_unit,
        coalesce(v.min_employees, w.min_employees) as own_min_employees,
        coalesce(v.question_form, w.question_form) as own_question,
        case
            when b.other_group <> 'total' then null
            when b.size_class = 'total' and b.industry = 'total' then 'total'
            when b.industry = 'total' and s.code is not null then 'size_class'
            when b.size_class = 'total' and k.section is not null then 'ax_industry'
        end as own_type,
        case when b.size_class <> 'total' then s.code else coalesce(k.ax_industry, 'total') end as own_code
    from core.benchmark as b
    -- the survey as it is at the release, and as it was in the figure's year
    inner join core.wave_version as w on b.compared_with = w.survey and w.wave = $wave
    left join core.wave_version as v on b.compared_with = v.survey and b.ref_year = v.wave
    left join core.classification_item as s on s.classification = 'size_classes' and b.size_class = s.code
    left join sections as k on b.geo = 'KR' and b.industry = k.section and v.ksic_revision = k.revision
    where b.is_latest and b.unit = 'share' and b.measure = 'ai_adoption' and b.ref_year <= $wave
)

select
    f.compared_with as survey,
    $wave as wave,
    f.series,
    f.measure,
    f.geo,
    f.industry,
    f.size_class,
    f.other_group,
    f.ref_year,
    f.vintage,
    f.value,
    f.obs_status,
    f.n,
    f.definition_ko,
    f.definition_en,
    f.size_cutoff,
    f.source,
    r.domain_type,
    r.domain_code,
    r.estimate,
    r.se,
    r.ci_low,
    r.ci_high,
    r.reliability,
    100 * (r.estimate - f.value) as difference_pp,
    -- an empty list says nothing, and is NULL
    nullif(
        concat_ws(
            ';',
            case when f.geo <> 'KR' then 'area' end,
            case when f.statistical_unit <> f.own_unit then 'unit' end,
            case
                when f.min_employees is null and f.own_min_employees is not null then 'size_cutoff_not_stated'
                when f.min_employees is distinct from f.own_min_employees then 'size_cutoff'
            end,
            case
                when f.question_form = 'not_stated' then 'question_not_stated'
                when f.question_form <> f.own_question then 'question'
            end,
            case
                when f.sample_kind = 'not_probability' then 'not_probability'
                when f.sample_kind = 'not_stated' then 'sample_not_stated'
            end,
            case
                when f.own_wave is null then 'no_wave'
                when r.estimate is null then 'no_domain'
            end
        ),
        ''
    ) as differs_in
from figures as f
left join mart.adoption_rate as r
    on
        f.compared_with = r.survey
        and f.own_wave = r.wave
        and f.own_type = r.domain_type
        and f.own_code = r.domain_code
        and f.measure = r.measure
        and r.base = 'answered'
        and r.unit_weighting = 'unit'
