-- meta.row_balance: one row per survey, wave and contract: rows delivered, and where each of them went
-- reads: meta.delivery_file, raw.quarantine, core.frame, core.sample, core.units
-- params: $survey, $wave
with delivered as (
    select
        survey,
        wave,
        contract,
        sum(rows_in) as rows_in,
        coalesce(sum(rows_in) filter (where status = 'rejected'), 0) as rejected,
        coalesce(sum(rows_in) filter (where status = 'superseded'), 0) as superseded
    from meta.delivery_file
    where survey = $survey and wave = $wave
    group by survey, wave, contract
),

quarantined as (
    select
        q.contract,
        count(*) as held
    from raw.quarantine as q
    inner join meta.delivery_file as d
        on
            q.survey = d.survey
            and q.wave = d.wave
            and q.contract = d.contract
            and q.file_sha256 = d.file_sha256
    where q.survey = $survey and q.wave = $wave and d.status = 'current'
    group by q.contract
),

-- contracts are named <unit>_frame, <survey>_sample, <survey>_response
reached as (
    select
        'frame' as kind,
        count(*) as core_rows
    from core.frame
    where survey = $survey and wave = $wave
    union all
    select
        'sample' as kind,
        count(*) as core_rows
    from core.sample
    where survey = $survey and wave = $wave
    union all
    select
        'response' as kind,
        count(*) as core_rows
    from core.units
    where survey = $survey and wave = $wave
)

select
    d.survey,
    d.wave,
    d.contract,
    cast(d.rows_in as bigint) as rows_in,
    r.core_rows as core,
    coalesce(q.held, 0) as quarantined,
    cast(d.rejected as bigint) as rejected,
    cast(d.superseded as bigint) as superseded
from delivered as d
left join quarantined as q on d.contract = q.contract
left join reached as r on regexp_extract(d.contract, '[a-z]+$') = r.kind
