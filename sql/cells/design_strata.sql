-- cells.design_strata: one row per stratum of any sample: the rows and units drawn in it, what its rows say of its
-- population, and how many of them no estimate can be made from
-- reads: input.microdata
-- params: none
select
    stratum,
    count(*) as rows_there,
    count(distinct unit) as units_there,
    count(case when unit is null then 1 end) as unit_missing,
    count(case when weight is null or isnan(weight) then 1 end) as weight_missing,
    count(case when weight < 0 then 1 end) as weight_negative,
    count(case when abs(weight) = cast('infinity' as double) then 1 end) as weight_infinite,
    count(case when population is null or isnan(population) then 1 end) as population_missing,
    min(case when isnan(population) then null else population end) as population_low,
    max(case when isnan(population) then null else population end) as population_high,
    count(case when take_all then 1 end) as take_all,
    count(case when take_all is null then 1 end) as take_all_missing
from input.microdata
group by stratum
