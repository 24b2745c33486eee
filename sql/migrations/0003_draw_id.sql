-- migration 3: units are drawn by their place in the sample file
-- from: 64b43771ec0586677fe8462a12b15aaf6f89fbd881c61aeafb2f13c0a78cf923
-- to: 741cc39a1d2d4f0338f6990882e45835f17658d9ad8f5e088d6e90538d5a6c91
create table core.sample_new (
    survey varchar not null,
    wave integer not null,
    unit_id varchar not null,
    selection_stratum varchar not null,
    take_all boolean not null,
    inclusion_probability double not null,
    panel_since integer not null,
    permanent_random_number double not null,
    draw_id varchar not null,
    disposition varchar not null,
    disposition_group varchar not null,
    on_frame boolean not null,
    answered boolean not null,
    status varchar not null
);

insert into core.sample_new by name
with delivered as (
    select
        survey,
        wave,
        unit_id,
        permanent_random_number,
        row_number
    from staging.industry_sample
    union all
    select
        survey,
        wave,
        unit_id,
        permanent_random_number,
        row_number
    from staging.public_sample
),

drawn as (
    select
        survey,
        wave,
        unit_id,
        -- as core.sample was made from then on
        printf('%.17f', permanent_random_number) || '/' || printf('%d', row_number() over (
            partition by survey, wave, permanent_random_number
            order by row_number
        )) as draw_id
    from delivered
)

select
    o.*,
    d.draw_id
from core.sample as o
left join drawn as d on o.survey = d.survey and o.wave = d.wave and o.unit_id = d.unit_id;

drop table core.sample;

alter table core.sample_new rename to sample;

create table core.replicate_unit_new (
    survey varchar not null,
    wave integer not null,
    unit_id varchar not null,
    draw_id varchar not null,
    status varchar not null,
    variance_stratum varchar not null,
    stratum_population bigint not null,
    nonresponse_class varchar not null,
    post_stratum varchar,
    base_weight double not null,
    inverse_propensity double not null,
    before_calibration double,
    weight double,
    sampling_draw blob not null,
    eligibility_draw blob not null,
    response_draw blob not null
);

insert into core.replicate_unit_new by name
select
    o.*,
    s.draw_id
from core.replicate_unit as o
left join core.sample as s on o.survey = s.survey and o.wave = s.wave and o.unit_id = s.unit_id;

drop table core.replicate_unit;

alter table core.replicate_unit_new rename to replicate_unit;

-- What was drawn in the old order is made anew, by the next run of each wave
delete from meta.step
where step in ('replicates', 'marts');
