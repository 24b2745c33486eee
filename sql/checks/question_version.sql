-- checks.question_version: one row per current file asked with another question than the contract of the survey has
-- for the wave
-- reads: meta.delivery_file, core.wave_version
-- params: $survey, $wave
-- severity: error
select
    d.survey,
    d.wave,
    d.delivery,
    d.file_name,
    d.question_version as delivered,
    v.question_version as expected,
    'correct question_version and tech_list_version in the manifest, or the survey''s contract' as what_to_do
from meta.delivery_file as d
inner join core.wave_version as v on d.survey = v.survey and d.wave = v.wave
where
    d.survey = $survey
    and d.wave = $wave
    and d.status = 'current'
    and (d.question_version <> v.question_version or d.tech_list_version <> v.tech_list_version)
order by d.delivery, d.file_name
