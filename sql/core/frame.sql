-- core.frame: one row per survey, wave and unit on the frame: its stratum of selection, kept for life, and its
-- classification today; columns of the other survey are NULL, and so are those whose code no list has
-- reads: staging.business_frame, staging.institution_frame, core.classification_item, core.ksic_scope,
-- core.wave_version
-- params: $survey, $wave
with size_class as (
    -- '50-249' and '250+' begin with their lower bound, '10-49' too; units below the lowest belong to the first class
    select
        code,
        case
            when row_number() over (order by sort_order) = 1 then 0
            else cast(regexp_extract(code, '^\d+') as integer)
        end as lower_bound
    from core.classification_item
    where classification = 'size_classes'
),

business as (
    select
        b.survey,
        b.wave,
        b.unit_id,
        b.selection_ksic_group || '/' || b.selection_size_class || '/' || b.selection_region as selection_stratum,
        b.take_all,
        b.employees,
        b.ksic_division,
        k.ksic_group,
        k.ax_industry,
        s.code as size_class,
        b.region
    from staging.business_frame as b
    inner join core.wave_version as v on b.survey = v.survey and b.wave = v.wave
    left join core.ksic_scope as k on v.ksic_revision = k.revision and b.ksic_division = k.division
    asof left join size_class as s on b.employees >= s.lower_bound
),

units as (
    select * from business
    union all by name
    select
        survey,
        wave,
        unit_id,
        selection_main_sector || '/' || selection_institution_type as selection_stratum,
        take_all,
        employees,
        region,
        main_sector,
        institution_type
    from staging.institution_frame
)

select
    survey,
    wave,
    unit_id,
    selection_stratum,
    take_all,
    cast(employees as double) as employment,
    ksic_division,
    ksic_group,
    ax_industry,
    size_class,
    region,
    main_sector,
    institution_type
from units
where survey = $survey and wave = $wave
