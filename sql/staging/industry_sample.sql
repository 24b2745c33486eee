-- staging.industry_sample: one row per row of the current industry_sample file, typed, with the cells that edit files
-- correct; all selected enterprises, respondents or not
-- reads: raw.industry_sample, raw.edited_industry_sample, meta.delivery_file
-- params: $survey, $wave
with sent as (
    select original.*
    from raw.industry_sample as original
    where
        not exists (
            select 1
            from raw.edited_industry_sample as edited
            where edited.file_sha256 = original.file_sha256 and edited.row_number = original.row_number
        )
    union all by name
    select edited.*
    from raw.edited_industry_sample as edited
)

select
    sent.survey,
    sent.wave,
    sent.file_sha256,
    sent.row_number,
    business_number(sent.business_number) as identifier,
    unit_key(identifier) as unit_id,
    code_text(sent.selection_ksic_group, 1) as selection_ksic_group,
    code_text(sent.selection_size_class, 1) as selection_size_class,
    code_text(sent.selection_region, 2) as selection_region,
    to_double(sent.inclusion_probability) as inclusion_probability,
    to_integer(sent.panel_since) as panel_since,
    to_double(sent.permanent_random_number) as permanent_random_number,
    code_text(sent.disposition, 1) as disposition
from sent
where
    sent.survey = $survey
    and sent.wave = $wave
    and exists (
        select 1
        from meta.delivery_file as file
        where
            file.survey = sent.survey
            and file.wave = sent.wave
            and file.contract = 'industry_sample'
            and file.file_sha256 = sent.file_sha256
            and file.status = 'current'
    )
