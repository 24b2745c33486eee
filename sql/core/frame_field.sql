-- core.frame_field: one row per survey, wave, institution and field it serves, its main sector among them
-- reads: staging.institution_frame
-- params: $survey, $wave
select
    survey,
    wave,
    unit_id,
    unnest(list_distinct(list_append(fields, main_sector))) as field
from staging.institution_frame
where survey = $survey and wave = $wave
