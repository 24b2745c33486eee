-- staging.industry_response: one row per row of the current industry_response file, typed, with the cells that edit
-- files correct; answers are codes of one digit (obstacle: two), NULL where nothing was answered
-- reads: raw.industry_response, raw.edited_industry_response, meta.delivery_file
-- params: $survey, $wave
with sent as (
    select original.*
    from raw.industry_response as original
    where
        not exists (
            select 1
            from raw.edited_industry_response as edited
            where edited.file_sha256 = original.file_sha256 and edited.row_number = original.row_number
        )
    union all by name
    select edited.*
    from raw.edited_industry_response as edited
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
    code_text(sent.ai_use, 1) as ai_use,
    code_text(columns('^tech_'), 1),
    code_text(sent.obstacle, 2) as obstacle,
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
            and file.contract = 'industry_response'
            and file.file_sha256 = sent.file_sha256
            and file.status = 'current'
    )
