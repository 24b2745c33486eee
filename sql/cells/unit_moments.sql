-- cells.unit_moments: one row per stratum and domain of a sample of clusters: sums of squares of the sums of its units,
-- each less about times that of x, for a linearised variance; about is near the ratio of the domain, against rounding
-- reads: cells.unit_sums
-- params: none
with domain_ratio as (
    select
        domain,
        coalesce(sum(top) / nullif(sum(bottom), 0), 0) as about
    from cells.unit_sums
    group by domain
),

centred as (
    select
        s.stratum,
        s.domain,
        r.about,
        s.used_rows,
        s.n,
        s.n_missing,
        s.weight,
        s.top - r.about * s.bottom as top,
        s.bottom,
        s.bottom_squares,
        s.row_yy + r.about * r.about * s.row_xx as row_size,
        2 * r.about * s.row_yx as row_cross
    from cells.unit_sums as s
    inner join domain_ratio as r on s.domain = r.domain
)

select
    stratum,
    domain,
    max(about) as about,
    count(case when abs(top) = cast('infinity' as double) or isnan(top) then 1 end) as infinite,
    sum(cast(n_missing as double)) as n_missing,
    sum(cast(used_rows as double)) as used_rows,
    sum(cast(n as double)) as n,
    cast(count(case when used_rows > 0 then 1 end) as double) as units,
    cast(count(case when n > 0 then 1 end) as double) as acting,
    sum(weight) as weight,
    sum(top) as top,
    sum(bottom) as bottom,
    sum(top * top) as top_top,
    sum(top * bottom) as top_bottom,
    sum(bottom * bottom) as bottom_bottom,
    sum(bottom_squares) as row_bottom_bottom,
    sum(row_size - row_cross) as row_top_top,
    sum(row_size + abs(row_cross)) as row_size
from centred
group by stratum, domain
