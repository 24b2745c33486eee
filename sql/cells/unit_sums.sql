-- cells.unit_sums: one row per stratum, primary sampling unit and domain of a sample of clusters: the sums from which
-- means, totals and ratios and their linearised variances are made; rows that miss y or x are only counted
-- reads: input.microdata
-- params: none
with present as (
    select
        stratum,
        unit,
        domain,
        weight,
        y,
        x,
        y is not null and x is not null and not isnan(y) and not isnan(x) as used
    from input.microdata
    where domain is not null
)

select
    stratum,
    unit,
    domain,
    count(case when used then 1 end) as used_rows,
    count(case when used and weight <> 0 then 1 end) as n,
    count(case when not used and weight <> 0 then 1 end) as n_missing,
    sum(case when used then weight else 0 end) as weight,
    sum(case when used then weight * y else 0 end) as top,
    sum(case when used then weight * x else 0 end) as bottom,
    sum(case when used then weight * weight * x * x else 0 end) as bottom_squares,
    sum(case when used then weight * y * y else 0 end) as row_yy,
    sum(case when used then weight * y * x else 0 end) as row_yx,
    sum(case when used then weight * x * x else 0 end) as row_xx
from present
group by stratum, unit, domain
