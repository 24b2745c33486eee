-- checks.strata_disagree: one row per selected unit whose stratum of selection differs between sample and frame file;
-- the sample has it as it was selected, the frame counts it elsewhere
-- reads: core.sample, core.frame
-- params: $survey, $wave
-- severity: warning
select
    s.survey,
    s.wave,
    s.unit_id,
    s.selection_stratum as sample_stratum,
    f.selection_stratum as frame_stratum,
    'make both files carry the stratum the unit got when it came on the frame' as what_to_do
from core.sample as s
inner join core.frame as f on s.survey = f.survey and s.wave = f.wave and s.unit_id = f.unit_id
where s.survey = $survey and s.wave = $wave and s.selection_stratum <> f.selection_stratum
order by s.unit_id
