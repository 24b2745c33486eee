-- checks.respondents_without_answers: one row per unit reported as a respondent that has no valid row of answers; it
-- counts as eligible non-response
-- reads: core.sample
-- params: $survey, $wave
-- severity: warning
select
    survey,
    wave,
    unit_id,
    disposition,
    'have the row of answers sent, or correct the disposition' as what_to_do
from core.sample
where survey = $survey and wave = $wave and disposition_group = 'respondent' and not answered
order by unit_id
