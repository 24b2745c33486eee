-- staging.public_response: one row per row of the current public_response file, typed, with the cells that edit files
-- correct; answers are codes of one digit (obstacle: two), NULL where nothing was answered or a field is not served
-- reads: raw.public_response, raw.edited_public_response, meta.delivery_file
-- params: $survey, $wave
with sent as (
    select original.*
    from raw.public_response as original
    where
        not exists (
            select 1
            from raw.edited_public_response as edited
            where edited.file_sha256 = original.file_sha256 and edited.row_number = original.row_number
        )
    union all by name
    select edited.*
    from raw.edited_public_response as edited
)

select
    sent.survey,
    sent.wave,
    sent.file_sha256,
    sent.row_number,
    institution_code(sent.institution_code) as identifier,
    unit_key(identifier) as unit_id,
    to_integer(sent.employees) as employees,
    code_text(sent.ai_use, 1) as ai_use,
    code_text(columns('^tech_'), 1),
    code_text(sent.obstacle, 2) as obstacle,
    code_text(columns('^field_'), 1),
    clean_text(sent.interviewer) as interviewer,
    to_double(sent.interview_minutes) as interview_minutes
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
            and file.contract = 'public_response'
            and file.file_sha256 = sent.file_sha256
            and file.status = 'current'
    )
