-- checks.answers_against_disposition: one row per unit that has answers although its disposition says it gave none;
-- the answers are not used
-- reads: core.sample
-- params: $survey, $wave
-- severity: warning
select
    survey,
    wave,
    unit_id,
    disposition,
    status,
    'correct the disposition to 1.1 or 1.2 if the answers are valid; as it is they are left out' as what_to_do
from core.sample
where survey = $survey and wave = $wave and answered and status <> 'respondent'
order by unit_id
