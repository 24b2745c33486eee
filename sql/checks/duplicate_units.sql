-- checks.duplicate_units: one row per unit that stands more than once in a table that has one row a unit
-- reads: core.frame, core.sample, core.units
-- params: $survey, $wave
-- severity: error
with counted as (
    select
        survey,
        wave,
        'core.frame' as table_name,
        unit_id,
        count(*) as rows_found
    from core.frame
    where survey = $survey and wave = $wave
    group by survey, wave, unit_id
    union all
    select
        survey,
        wave,
        'core.sample' as table_name,
        unit_id,
        count(*) as rows_found
    from core.sample
    where survey = $survey and wave = $wave
    group by survey, wave, unit_id
    union all
    select
        survey,
        wave,
        'core.units' as table_name,
        unit_id,
        count(*) as rows_found
    from core.units
    where survey = $survey and wave = $wave
    group by survey, wave, unit_id
)

select
    survey,
    wave,
    table_name,
    unit_id,
    rows_found,
    'quarantine all rows of the unit but one, then build the wave again' as what_to_do
from counted
where rows_found > 1
order by table_name, unit_id
