-- core.units: one row per survey, wave and unit with a valid row of answers, classified as the frame has it today
-- (not as the respondent says); answers of a unit that is not on the frame have no domain: they are left out, and
-- checks.answers_without_frame and the row balance name them
-- reads: staging.industry_response, staging.public_response, core.frame, core.wave_version
-- params: $survey, $wave
with answers as (
    select
        survey,
        wave,
        unit_id
    from staging.industry_response
    union all
    select
        survey,
        wave,
        unit_id
    from staging.public_response
)

select
    a.survey,
    a.wave,
    a.unit_id,
    v.question_version,
    v.tech_list_version,
    f.employment,
    f.ax_industry,
    f.ksic_group,
    f.size_class,
    f.region,
    f.main_sector,
    f.institution_type
from answers as a
inner join core.wave_version as v on a.survey = v.survey and a.wave = v.wave
inner join core.frame as f on a.survey = f.survey and a.wave = f.wave and a.unit_id = f.unit_id
where a.survey = $survey and a.wave = $wave
