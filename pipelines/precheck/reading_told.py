"""What was read from a file and what was found in it, told: lines for a terminal, JSON for programs.

Belongs here: words and order of the telling. Does not belong here: what is found (reading), tables in files
(estimation.output).
"""

import json

import polars as pl

from pipelines.precheck.letter import plain_violation
from pipelines.precheck.reading import FileReading

_VERDICTS = {
    "accept": "Read: nothing was found.",
    "remarks": "Read, with remarks: see below.",
    "reject": "Not read: the file is not as its contract says.",
}
_SHOWN_ROWS = 10


def as_text(found: FileReading) -> str:
    """Lines for a terminal."""
    lines = [f"{found.file} · {found.contract}", _VERDICTS[found.verdict]]
    if found.rows is not None:
        counted = [f"data rows: {found.rows:,}"]
        if found.records != found.rows:
            counted.append(f"records: {found.records:,}")
        counted += [f"typed: {found.typed.height:,}", f"quarantined: {found.quarantine.height:,}"]
        if found.dropped:
            shown = ", ".join(map(str, found.dropped_rows[:_SHOWN_ROWS]))
            more = ", …" if len(found.dropped_rows) > _SHOWN_ROWS else ""
            counted.append(f"left out as blank: {found.dropped:,} (rows {shown}{more})")
        lines.append(" · ".join(counted))
    lines += [str(violation) for violation in (*found.violations, *found.warnings)]
    for rule in found.rules.iter_rows(named=True):
        effect = "quarantined" if rule["severity"] == "error" else "remark"
        lines.append(f"[{rule['rule']}] {rule['records']:,} · {effect} · {rule['message_en']}")
        lines.append(f"  to do:    {rule['action']}")
        lines.append(f"  rows:     {', '.join(map(str, rule['examples']))}")
    return "\n".join(lines)


def as_json(found: FileReading) -> str:
    """Everything that was found, for programs: each quarantined record with its row, rules and reasons."""
    kept_out = found.quarantine.select("row", "rules", "reasons").to_dicts() if found.quarantine.width else []
    return json.dumps(
        {
            "verdict": found.verdict,
            "file": found.file,
            "contract": found.contract,
            "rows": found.rows,
            "records": found.records,
            "typed": found.typed.height,
            "quarantined": found.quarantine.height,
            "dropped": found.dropped,
            "dropped_rows": list(found.dropped_rows),
            "columns": {name: str(dtype) for name, dtype in found.typed.schema.items()},
            "violations": [plain_violation(violation) for violation in found.violations],
            "warnings": [plain_violation(violation) for violation in found.warnings],
            "rules": found.rules.to_dicts(),
            "quarantine": kept_out,
        },
        ensure_ascii=False,
        indent=2,
    )


def flat(table: pl.DataFrame) -> pl.DataFrame:
    """The table with its lists as JSON text, for files that have no lists."""
    return table.with_columns(
        pl.col(name).map_elements(lambda items: json.dumps(list(items), ensure_ascii=False), return_dtype=pl.String)
        for name, dtype in table.schema.items()
        if isinstance(dtype, pl.List)
    )
