-- cells.wave_counts: one row per survey and wave in the warehouse: how many units reached each table
-- reads: core.frame, core.sample, core.units, core.weights, mart.adoption_rate
-- params: none
with reached as (
    select
        survey,
        wave,
        'frame' as step,
        count(*) as units
    from core.frame
    group by survey, wave
    union all
    select
        survey,
        wave,
        'sample' as step,
        count(*) as units
    from core.sample
    group by survey, wave
    union all
    select
        survey,
        wave,
        'units' as step,
        count(*) as units
    from core.units
    group by survey, wave
    union all
    select
        survey,
        wave,
        'weights' as step,
        count(*) as units
    from core.weights
    group by survey, wave
    union all
    select
        survey,
        wave,
        'rates' as step,
        count(*) as units
    from mart.adoption_rate
    group by survey, wave
)

select
    survey,
    wave,
    coalesce(max(units) filter (where step = 'frame'), 0) as frame_units,
    coalesce(max(units) filter (where step = 'sample'), 0) as selected_units,
    coalesce(max(units) filter (where step = 'units'), 0) as answering_units,
    coalesce(max(units) filter (where step = 'weights'), 0) as weighted_units,
    coalesce(max(units) filter (where step = 'rates'), 0) as published_rates
from reached
group by survey, wave
order by survey, wave
