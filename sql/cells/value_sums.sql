-- cells.value_sums: one row per stratum, domain and value of a sample of elements, whose rows are its units: how many
-- rows have the value, the sum of their weights and that of the squares; y and x are NULL together where one is missing
-- reads: input.microdata
-- params: none
with present as (
    select
        stratum,
        domain,
        weight,
        y,
        x,
        y is not null and x is not null and not isnan(y) and not isnan(x) as used
    from input.microdata
    where domain is not null
),

paired as (
    select
        stratum,
        domain,
        weight,
        case when used then y end as y,
        case when used then x end as x
    from present
)

select
    stratum,
    domain,
    y,
    x,
    count(*) as rows_there,
    count(case when weight <> 0 then 1 end) as n,
    sum(weight) as weight,
    sum(weight * weight) as weight_squares
from paired
group by stratum, domain, y, x
