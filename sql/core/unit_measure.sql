-- core.unit_measure: one row per survey, wave, unit, field and measure: 1, 0, or NULL with the reason in
-- `answer_status`; `field` is a code for field_adoption and empty for all else; `imputed` says that an imputed answer
-- is in it
-- reads: staging.industry_response, staging.public_response, core.units, core.imputed_value, core.frame_field,
-- core.classification_item
-- params: $survey, $wave
with answers as (
    select
        survey,
        wave,
        unit_id,
        ai_use,
        columns('^tech_')
    from staging.industry_response
    where survey = $survey and wave = $wave
    union all by name
    select
        survey,
        wave,
        unit_id,
        ai_use,
        columns('^(tech|field)_')
    from staging.public_response
    where survey = $survey and wave = $wave
),

-- what an answer says about a technology: the stage it stands for, and the stage's place on the ladder
stage_answer as (
    select
        answer.code as answer,
        stage.code as stage,
        stage.sort_order as rung
    from core.classification_item as answer
    inner join core.classification_item as stage
        on stage.classification = 'ai_stages' and answer.parent = stage.code
    where answer.classification = 'stage_answers'
),

-- the lowest stage that counts as adoption
in_operation_from as (
    select rung from stage_answer
    where stage = 'deployed'
),

technology_answer as (
    select
        a.survey,
        a.wave,
        a.unit_id,
        a.item,
        coalesce(i.value, a.answer) as answer,
        i.value is not null as imputed
    from (from answers unpivot include nulls (answer for item in (columns('^tech_')))) as a
    left join core.imputed_value as i
        on a.survey = i.survey and a.wave = i.wave and a.unit_id = i.unit_id and a.item = i.variable
),

field_answer as (
    select
        survey,
        wave,
        unit_id,
        item,
        answer
    from answers unpivot include nulls (answer for item in (columns('^field_')))
),

technology as (
    select
        a.survey,
        a.wave,
        a.unit_id,
        a.item as measure,
        s.rung,
        s.rung >= o.rung as in_operation,
        answer_status(a.answer) as answer_status,
        a.imputed
    from technology_answer as a
    inner join core.units as u
        on a.survey = u.survey and a.wave = u.wave and a.unit_id = u.unit_id and u.question_version = 'list-2022'
    cross join in_operation_from as o
    left join stage_answer as s on a.answer = s.answer
),

-- One technology in operation settles adoption; that there is none is known only when every one was answered.
ladder as (
    select
        survey,
        wave,
        unit_id,
        max(rung) as highest_rung,
        case
            when bool_or(in_operation) then 1.0
            when bool_and(rung is not null) then 0.0
        end as adoption,
        case
            when adoption is not null then 'answered'
            when bool_or(answer_status = 'refused') then 'refused'
            when bool_or(answer_status = 'dont_know') then 'dont_know'
            else 'not_asked'
        end as answer_status,
        bool_or(imputed) as imputed
    from technology
    group by survey, wave, unit_id
),

unit_measure as (
    select
        a.survey,
        a.wave,
        a.unit_id,
        '' as field,
        'ai_adoption' as measure,
        case coalesce(i.value, a.ai_use) when '1' then 1.0 when '2' then 0.0 end as value,
        answer_status(coalesce(i.value, a.ai_use)) as answer_status,
        i.value is not null as imputed
    from answers as a
    inner join core.units as u
        on a.survey = u.survey and a.wave = u.wave and a.unit_id = u.unit_id and u.question_version = 'yn-2019'
    left join core.imputed_value as i
        on a.survey = i.survey and a.wave = i.wave and a.unit_id = i.unit_id and i.variable = 'ai_use'
    union all by name
    select
        survey,
        wave,
        unit_id,
        '' as field,
        'ai_adoption' as measure,
        adoption as value,
        answer_status,
        imputed
    from ladder
    union all by name
    select
        l.survey,
        l.wave,
        l.unit_id,
        '' as field,
        'stage_' || s.stage as measure,
        case when l.adoption is not null then cast(l.highest_rung = s.rung as double) end as value,
        l.answer_status,
        l.imputed
    from ladder as l
    cross join stage_answer as s
    union all by name
    select
        survey,
        wave,
        unit_id,
        '' as field,
        measure,
        cast(in_operation as double) as value,
        answer_status,
        imputed
    from technology
    union all by name
    select
        survey,
        wave,
        unit_id,
        '' as field,
        'genai_adoption' as measure,
        cast(in_operation as double) as value,
        answer_status,
        imputed
    from technology
    where measure = 'tech_genai'
    union all by name
    select
        a.survey,
        a.wave,
        a.unit_id,
        f.field,
        'field_adoption' as measure,
        case a.answer when '1' then 1.0 when '2' then 0.0 end as value,
        answer_status(a.answer) as answer_status,
        false as imputed
    from field_answer as a
    inner join core.units as u
        on a.survey = u.survey and a.wave = u.wave and a.unit_id = u.unit_id and u.question_version = 'list-2022'
    -- the register says which fields an institution serves, so that answers and population count the same
    inner join core.frame_field as f
        on
            a.survey = f.survey
            and a.wave = f.wave
            and a.unit_id = f.unit_id
            and a.item = 'field_' || f.field
)

select
    survey,
    wave,
    unit_id,
    field,
    measure,
    cast(value as double) as value,
    answer_status,
    imputed
from unit_measure
