-- core.sample: one row per survey, wave and selected unit, with what became of it; `answered` says that a valid row of
-- answers is there, and a unit reported as a respondent without one counts as eligible non-response
-- reads: staging.industry_sample, staging.public_sample, staging.industry_response, staging.public_response,
-- core.frame, core.classification_item
-- params: $survey, $wave
with selected as (
    select
        survey,
        wave,
        unit_id,
        selection_ksic_group || '/' || selection_size_class || '/' || selection_region as selection_stratum,
        inclusion_probability,
        panel_since,
        permanent_random_number,
        row_number,
        disposition
    from staging.industry_sample
    union all
    select
        survey,
        wave,
        unit_id,
        selection_main_sector || '/' || selection_institution_type as selection_stratum,
        inclusion_probability,
        panel_since,
        permanent_random_number,
        row_number,
        disposition
    from staging.public_sample
),

answered as (
    select
        survey,
        wave,
        unit_id
    from staging.industry_response
    union
    select
        survey,
        wave,
        unit_id
    from staging.public_response
)

select
    s.survey,
    s.wave,
    s.unit_id,
    s.selection_stratum,
    -- a unit that has left the frame since its selection was certain of it when its probability was 1
    coalesce(f.take_all, s.inclusion_probability = 1) as take_all,
    s.inclusion_probability,
    s.panel_since,
    s.permanent_random_number,
    -- of equal numbers the one that stands first in the file comes first
    printf('%.17f', s.permanent_random_number) || '/' || printf('%d', row_number() over (
        partition by s.permanent_random_number
        order by s.row_number
    )) as draw_id,
    s.disposition,
    d.parent as disposition_group,
    f.unit_id is not null as on_frame,
    a.unit_id is not null as answered,
    case
        when d.parent = 'respondent' and a.unit_id is null then 'eligible_nonrespondent'
        else d.parent
    end as status
from selected as s
left join core.frame as f on s.survey = f.survey and s.wave = f.wave and s.unit_id = f.unit_id
left join answered as a on s.survey = a.survey and s.wave = a.wave and s.unit_id = a.unit_id
left join core.classification_item as d on d.classification = 'dispositions' and s.disposition = d.code
where s.survey = $survey and s.wave = $wave
