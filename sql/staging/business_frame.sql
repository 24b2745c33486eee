-- staging.business_frame: one row per row of the current business_frame file, typed, with the cells that edit files
-- correct; units are enterprises; selection_* is the stratum of selection, ksic, region and employees are today's
-- reads: raw.business_frame, raw.edited_business_frame, meta.delivery_file
-- params: $survey, $wave
with sent as (
    select original.*
    from raw.business_frame as original
    where
        not exists (
            select 1
            from raw.edited_business_frame as edited
            where edited.file_sha256 = original.file_sha256 and edited.row_number = original.row_number
        )
    union all by name
    select edited.*
    from raw.edited_business_frame as edited
)

select
    sent.survey,
    sent.wave,
    sent.file_sha256,
    sent.row_number,
    business_number(sent.business_number) as identifier,
    unit_key(identifier) as unit_id,
    ksic_division(sent.ksic) as ksic_division,
    code_text(sent.region, 2) as region,
    to_integer(sent.employees) as employees,
    code_text(sent.selection_ksic_group, 1) as selection_ksic_group,
    code_text(sent.selection_size_class, 1) as selection_size_class,
    code_text(sent.selection_region, 2) as selection_region,
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
            and file.contract = 'business_frame'
            and file.file_sha256 = sent.file_sha256
            and file.status = 'current'
    )
