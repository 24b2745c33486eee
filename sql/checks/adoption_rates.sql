-- checks.adoption_rates: one row per published rate that is outside 0 to 1, outside its own interval, or stands
-- without its standard error or number of respondents
-- reads: mart.adoption_rate
-- params: $wave
-- severity: error
select
    survey,
    wave,
    domain_type,
    domain_code,
    measure,
    base,
    unit_weighting,
    n,
    estimate,
    se,
    ci_low,
    ci_high,
    'an estimate travels with n, SE, df and interval: mend the step that made it' as what_to_do
from mart.adoption_rate
where
    wave = $wave
    and (
        n is null
        or estimate not between 0 and 1
        or not isfinite(estimate)
        or se < 0
        or ci_low > estimate
        or ci_high < estimate
        or adopters > population * (1 + 1e-9)
        or (estimate is not null and (n = 0 or se is null or df is null or ci_low is null or ci_high is null))
        or (estimate is null and reliability <> 'suppress')
        or (reliability <> 'publish' and reliability_reason is null)
    )
order by survey, domain_type, domain_code, measure, base, unit_weighting
