-- checks.stratum_counts: one row per stratum of selection with more selected units than the frame has, or with sampled
-- and take-all units mixed
-- reads: core.sample, core.frame
-- params: $survey, $wave
-- severity: error
with selected as (
    select
        selection_stratum,
        count(*) as units_selected
    from core.sample
    -- a unit that has left the frame is out of scope and is not counted in it
    where survey = $survey and wave = $wave and on_frame
    group by selection_stratum
),

on_frame as (
    select
        selection_stratum,
        count(*) as units_on_frame,
        count(distinct take_all) as kinds
    from core.frame
    where survey = $survey and wave = $wave
    group by selection_stratum
)

select
    coalesce(s.selection_stratum, f.selection_stratum) as selection_stratum,
    coalesce(s.units_selected, 0) as units_selected,
    coalesce(f.units_on_frame, 0) as units_on_frame,
    f.kinds > 1 as take_all_mixed,
    'have frame and sample file made from the same register; a stratum is surveyed whole or sampled, not both'
        as what_to_do
from selected as s
full join on_frame as f on s.selection_stratum = f.selection_stratum
where coalesce(s.units_selected, 0) > coalesce(f.units_on_frame, 0) or f.kinds > 1
order by selection_stratum
