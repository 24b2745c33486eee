-- checks.fields_not_on_frame: one row per institution and field that it answered for although the register does not
-- have it serve that field; the answer is not used
-- reads: staging.public_response, core.frame_field
-- params: $survey, $wave
-- severity: warning
with answered as (
    select
        survey,
        wave,
        unit_id,
        item,
        answer
    from staging.public_response unpivot (answer for item in (columns('^field_')))
)

select
    a.survey,
    a.wave,
    a.unit_id,
    substr(a.item, 7) as field,
    a.answer,
    'add the field to the institution in the frame file if it serves it' as what_to_do
from answered as a
where
    a.survey = $survey
    and a.wave = $wave
    and not exists (
        select 1
        from core.frame_field as f
        where
            f.survey = a.survey
            and f.wave = a.wave
            and f.unit_id = a.unit_id
            and f.field = substr(a.item, 7)
    )
order by a.unit_id, a.item
