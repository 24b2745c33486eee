-- checks.inclusion_probabilities: one row per selected unit whose inclusion probability is not above 0 and at most 1,
-- or is less than 1 in a take-all stratum
-- reads: core.sample
-- params: $survey, $wave
-- severity: error
select
    survey,
    wave,
    unit_id,
    selection_stratum,
    take_all,
    inclusion_probability,
    'have the sampling unit correct the probability, or the stratum''s take-all mark, in the sample file' as what_to_do
from core.sample
where
    survey = $survey
    and wave = $wave
    and (inclusion_probability <= 0 or inclusion_probability > 1 or (take_all and inclusion_probability < 1))
order by unit_id
