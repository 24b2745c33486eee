-- checks.answers_without_frame: one row per unit with valid answers that is not on the frame, so that it has no domain
-- and no weight
-- reads: staging.industry_response, staging.public_response, core.frame
-- params: $survey, $wave
-- severity: error
with answers as (
    select
        survey,
        wave,
        unit_id,
        file_sha256,
        row_number
    from staging.industry_response
    union all
    select
        survey,
        wave,
        unit_id,
        file_sha256,
        row_number
    from staging.public_response
)

select
    a.survey,
    a.wave,
    a.unit_id,
    a.file_sha256,
    a.row_number,
    'look the unit up: correct its identifier in the response file, or have it added to the frame file' as what_to_do
from answers as a
where
    a.survey = $survey
    and a.wave = $wave
    and not exists (
        select 1
        from core.frame as o
        where o.survey = a.survey and o.wave = a.wave and o.unit_id = a.unit_id
    )
order by a.row_number
