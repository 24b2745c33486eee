-- staging.public_sample: one row per row of the current public_sample file, typed, with the cells that edit files
-- correct; all selected institutions, respondents or not
-- reads: raw.public_sample, raw.edited_public_sample, meta.delivery_file
-- params: $survey, $wave
with sent as (
    select original.*
    from raw.public_sample as original
    where
        not exists (
            select 1
            from raw.edited_public_sample as edited
            where edited.file_sha256 = original.file_sha256 and edited.row_number = original.row_number
        )
    union all by name
    select edited.*
    from raw.edited_public_sample as edited
)

select
    sent.survey,
    sent.wave,
    sent.file_sha256,
    sent.row_number,
    institution_code(sent.institution_code) as identifier,
    unit_key(identifier) as unit_id,
    sector_code(sent.selection_main_sector) as selection_main_sector,
    code_text(sent.selection_institution_type, 1) as selection_institution_type,
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
            and file.contract = 'public_sample'
            and file.file_sha256 = sent.file_sha256
            and file.status = 'current'
    )
