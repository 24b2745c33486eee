-- checks.unclassified_frame_units: one row per unit on the frame that falls into no post-stratum or domain, because
-- its industry is in no code list of the wave
-- reads: core.frame
-- params: $survey, $wave
-- severity: error
select
    survey,
    wave,
    unit_id,
    ksic_division,
    ksic_group,
    size_class,
    main_sector,
    institution_type,
    'correct the unit in the frame file; an industry outside the survey''s scope does not belong there' as what_to_do
from core.frame
where
    survey = $survey
    and wave = $wave
    and (ksic_group is null or size_class is null)
    and (main_sector is null or institution_type is null)
order by unit_id
