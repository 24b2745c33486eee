-- mart.progress: one row per domain, measure and weighting: how far it is from the national target, and how fast it
-- moves, inside its comparability segment
-- reads: estimates.progress
-- params: $wave
select
    survey,
    wave,
    domain_type,
    domain_code,
    measure,
    unit_weighting,
    comparability_segment,
    target,
    target_year,
    target_scope,
    baseline,
    baseline_wave,
    estimate,
    se,
    gap_pp,
    gap_se_pp,
    share_of_distance,
    share_se,
    observed_pp_per_year,
    observed_se_pp,
    required_pp_per_year,
    required_se_pp,
    required_from_baseline_pp_per_year,
    progress_ratio,
    progress_ratio_low,
    progress_ratio_high,
    pace_status,
    projected,
    projected_low,
    projected_high,
    tau,
    p_target,
    status,
    status_reason
from estimates.progress
where wave = $wave
