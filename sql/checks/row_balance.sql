-- checks.row_balance: one row per contract whose delivered rows are not all accounted for
-- reads: meta.row_balance
-- params: $survey, $wave
-- severity: error
select
    survey,
    wave,
    contract,
    rows_in,
    core,
    quarantined,
    rejected,
    superseded,
    'find the step that lost or doubled rows: delivered must equal core + quarantined + rejected + superseded'
        as what_to_do
from meta.row_balance
where survey = $survey and wave = $wave and rows_in is distinct from core + quarantined + rejected + superseded
order by contract
