-- cells.value_moments: one row per stratum and domain of a sample of elements: sums of squares of w (y - about x), for
-- a linearised variance; about is near the ratio of the domain, against rounding
-- reads: cells.value_sums
-- params: none
with domain_ratio as (
    select
        domain,
        coalesce(sum(weight * y) / nullif(sum(weight * x), 0), 0) as about
    from cells.value_sums
    group by domain
),

centred as (
    select
        s.stratum,
        s.domain,
        r.about,
        s.x,
        s.y - r.about * s.x as y,
        s.rows_there,
        s.n,
        s.weight,
        s.weight_squares
    from cells.value_sums as s
    inner join domain_ratio as r on s.domain = r.domain
)

select
    stratum,
    domain,
    max(about) as about,
    count(case when abs(y) = cast('infinity' as double) or isnan(y) then 1 end) as infinite,
    coalesce(sum(case when y is null then cast(n as double) end), 0) as n_missing,
    coalesce(sum(case when y is not null then cast(rows_there as double) end), 0) as used_rows,
    coalesce(sum(case when y is not null then cast(n as double) end), 0) as n,
    coalesce(sum(case when y is not null then cast(rows_there as double) end), 0) as units,
    coalesce(sum(case when y is not null then cast(n as double) end), 0) as acting,
    coalesce(sum(case when y is not null then weight end), 0) as weight,
    coalesce(sum(weight * y), 0) as top,
    coalesce(sum(weight * x), 0) as bottom,
    coalesce(sum(weight_squares * y * y), 0) as top_top,
    coalesce(sum(weight_squares * y * x), 0) as top_bottom,
    coalesce(sum(weight_squares * x * x), 0) as bottom_bottom,
    coalesce(sum(weight_squares * x * x), 0) as row_bottom_bottom,
    coalesce(sum(weight * y * y), 0) as row_top_top,
    coalesce(sum(weight * y * y), 0) as row_size
from centred
group by stratum, domain
