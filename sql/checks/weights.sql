-- checks.weights: one row per survey and wave whose weights are not positive or do not add up to the frame, and per
-- unit that has a weight without a reason to
-- reads: core.weights, core.frame, core.sample
-- params: $survey, $wave
-- severity: error
with weighted as (
    select
        count(*) filter (where weight is null or weight <= 0 or not isfinite(weight)) as bad_weights,
        fsum(weight) as sum_of_weights
    from core.weights
    where survey = $survey and wave = $wave
),

on_frame as (
    select count(*) as frame_units
    from core.frame
    where survey = $survey and wave = $wave
),

expected as (
    select
        unit_id,
        status
    from core.sample
    where survey = $survey and wave = $wave and status in ('respondent', 'out_of_scope')
),

present as (
    select
        unit_id,
        status
    from core.weights
    where survey = $survey and wave = $wave
)

select
    null as unit_id,
    w.bad_weights || ' weights that are not positive; they add up to ' || w.sum_of_weights || ', the frame has '
    || f.frame_units as found,
    'see the steps in core.weights; post-stratification meets the frame count to 1e-9' as what_to_do
from weighted as w
cross join on_frame as f
where w.bad_weights > 0 or abs(w.sum_of_weights - f.frame_units) > 1e-6 * f.frame_units
union all
select
    coalesce(e.unit_id, p.unit_id) as unit_id,
    'in core.sample: ' || coalesce(e.status, 'not to be weighted') || ', in core.weights: '
    || coalesce(p.status, 'absent') as found,
    'build core.weights again from core.sample' as what_to_do
from expected as e
full join present as p on e.unit_id = p.unit_id
where e.status is distinct from p.status
