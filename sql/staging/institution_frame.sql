-- staging.institution_frame: one row per row of the current institution_frame file, typed, with the cells that edit
-- files correct; units are institutions; selection_* is the stratum of selection, all else is today's
-- reads: raw.institution_frame, raw.edited_institution_frame, meta.delivery_file
-- params: $survey, $wave
with sent as (
    select original.*
    from raw.institution_frame as original
    where
        not exists (
            select 1
            from raw.edited_institution_frame as edited
            where edited.file_sha256 = original.file_sha256 and edited.row_number = original.row_number
        )
    union all by name
    select edited.*
    from raw.edited_institution_frame as edited
)

select
    sent.survey,
    sent.wave,
    sent.file_sha256,
    sent.row_number,
    institution_code(sent.institution_code) as identifier,
    unit_key(identifier) as unit_id,
    code_text(sent.institution_type, 1) as institution_type,
    sector_code(sent.main_sector) as main_sector,
    sector_list(sent.fields) as fields,
    code_text(sent.region, 2) as region,
    to_integer(sent.employees) as employees,
    sector_code(sent.selection_main_sector) as selection_main_sector,
    code_text(sent.selection_institution_type, 1) as selection_institution_type,
    yes_no(sent.take_all) as take_all
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
            and file.contract = 'institution_frame'
            and file.file_sha256 = sent.file_sha256
            and file.status = 'current'
    )
