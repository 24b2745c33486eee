-- cells.stratum_counts: one row per stratum of selection, with what the frame has and what became of the sample
-- reads: core.frame, core.sample
-- params: $survey, $wave
with on_frame as (
    select
        selection_stratum,
        bool_and(take_all) as take_all,
        count(*) as frame_units
    from core.frame
    where survey = $survey and wave = $wave
    group by selection_stratum
),

selected as (
    select
        selection_stratum,
        bool_and(take_all) as take_all,
        count(*) as selected,
        count(*) filter (where status = 'respondent') as respondents,
        count(*) filter (where status = 'eligible_nonrespondent') as eligible_nonrespondents,
        count(*) filter (where status = 'unknown_eligibility') as unknown_eligibility,
        count(*) filter (where status = 'out_of_scope') as out_of_scope
    from core.sample
    where survey = $survey and wave = $wave
    group by selection_stratum
)

select
    coalesce(f.selection_stratum, s.selection_stratum) as selection_stratum,
    coalesce(f.take_all, s.take_all) as take_all,
    coalesce(f.frame_units, 0) as frame_units,
    coalesce(s.selected, 0) as selected,
    coalesce(s.respondents, 0) as respondents,
    coalesce(s.eligible_nonrespondents, 0) as eligible_nonrespondents,
    coalesce(s.unknown_eligibility, 0) as unknown_eligibility,
    coalesce(s.out_of_scope, 0) as out_of_scope
from on_frame as f
full join selected as s on f.selection_stratum = s.selection_stratum
order by selection_stratum
