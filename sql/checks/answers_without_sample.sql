-- checks.answers_without_sample: one row per unit with valid answers that was never selected, so that it has no
-- inclusion probability
-- reads: staging.industry_response, staging.public_response, core.sample
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
    'look the unit up: correct its identifier in the response file, or have it added to the sample file' as what_to_do
from answers as a
where
    a.survey = $survey
    and a.wave = $wave
    and not exists (
        select 1
        from core.sample as o
        where o.survey = a.survey and o.wave = a.wave and o.unit_id = a.unit_id
    )
order by a.row_number
