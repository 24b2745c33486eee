-- checks.measure_values: one row per answer whose value and status contradict each other, or per unit whose ladder
-- does not add up to its adoption
-- reads: core.unit_measure
-- params: $survey, $wave
-- severity: error
with contradicting as (
    select
        survey,
        wave,
        unit_id,
        field,
        measure
    from core.unit_measure
    where
        survey = $survey
        and wave = $wave
        and ((value is null) = (answer_status = 'answered') or value not in (0, 1))
),

ladder as (
    select
        survey,
        wave,
        unit_id,
        '' as field,
        'stage_*' as measure
    from core.unit_measure
    where survey = $survey and wave = $wave and field = ''
    group by survey, wave, unit_id
    having
        count(*) filter (where measure like 'stage\_%' escape '\') > 0
        and (
            sum(value) filter (where measure in ('stage_deployed', 'stage_scaled'))
            is distinct from sum(value) filter (where measure = 'ai_adoption')
            or sum(value) filter (where measure like 'stage\_%' escape '\') <> 1
        )
)

select
    *,
    'an answer code that the contract does not know has come through: quarantine the row' as what_to_do
from contradicting
union all
select
    *,
    'the highest stage and the adoption of the unit disagree: mend sql/core/unit_measure.sql' as what_to_do
from ladder
