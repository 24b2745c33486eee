-- mart.domain: one row per survey, domain type and domain code, with labels; the codes of a cross are joined by '*'
-- reads: core.survey_domain, core.classification_item
-- params: none
with first_part as (
    select
        s.survey,
        s.domain_type,
        s.second_list,
        coalesce(s.domain_code, i.code) as domain_code,
        coalesce(i.label_ko, t.label_ko) as label_ko,
        coalesce(i.label_en, t.label_en) as label_en,
        coalesce(i.sort_order, 1) as sort_order,
        coalesce(i.named_in_source, t.named_in_source) as named_in_source,
        coalesce(i.source, t.source) as source
    from core.survey_domain as s
    inner join core.classification_item as t on t.classification = 'domain_types' and s.domain_type = t.code
    left join core.classification_item as i on s.first_list = i.classification
)

select
    f.survey,
    f.domain_type,
    f.domain_code || coalesce('*' || i.code, '') as domain_code,
    f.label_ko || coalesce(' × ' || i.label_ko, '') as label_ko,
    f.label_en || coalesce(' × ' || i.label_en, '') as label_en,
    -- no code list that is a second part has a hundred entries
    case when i.code is null then f.sort_order else 100 * f.sort_order + i.sort_order end as sort_order,
    -- a cross is named where its first part is: the second only divides it
    f.named_in_source,
    f.source || coalesce('; ' || i.source, '') as source
from first_part as f
left join core.classification_item as i on f.second_list = i.classification
