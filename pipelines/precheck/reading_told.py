"""What was read from a file and what was found in it, told: lines for a terminal, JSON for programs.

Belongs here: words and order of the telling. Does not belong here: what is found (reading), tables in files
(estimation.output).
"""

import json
from collections.abc import Mapping

import polars as pl

from pipelines.precheck.letter import fault_text, plain_fault
from pipelines.precheck.reading import FileReading
from pipelines.reporting.numbers import Language

WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "accept": "Read: nothing was found.",
        "remarks": "Read, with remarks: see below.",
        "reject": "Rejected: the file is not as its contract says.",
        "data_rows": "data rows",
        "records": "records",
        "typed": "typed",
        "kept_out": "quarantined",
        "dropped": "left out as blank",
        "rows": "rows",
        "error": "quarantined",
        "fail_file": "quarantined",
        "warning": "remark",
        "action": "to do:   ",
        "examples": "rows:    ",
    },
    "ko": {
        "accept": "읽기 완료: 발견된 문제가 없습니다.",
        "remarks": "읽기 완료: 아래 사항을 확인해 주십시오.",
        "reject": "반려: 파일이 계약과 다릅니다.",
        "data_rows": "자료 행 수",
        "records": "레코드 수",
        "typed": "변환",
        "kept_out": "제외",
        "dropped": "빈 레코드로 생략",
        "rows": "행",
        "error": "제외",
        "fail_file": "제외",
        "warning": "확인",
        "action": "조치:",
        "examples": "해당 행:",
    },
}
_SHOWN_ROWS = 10


def as_text(found: FileReading, language: Language) -> str:
    """Lines for a terminal."""
    words = WORDS[language]
    lines = [f"{found.file} · {found.contract}", words[found.verdict]]
    if found.rows is not None:
        counted = [f"{words['data_rows']}: {found.rows:,}"]
        if found.records != found.rows:
            counted.append(f"{words['records']}: {found.records:,}")
        counted += [f"{words['typed']}: {found.typed.height:,}", f"{words['kept_out']}: {found.quarantine.height:,}"]
        if found.dropped:
            shown = ", ".join(map(str, found.dropped_rows[:_SHOWN_ROWS]))
            more = ", …" if len(found.dropped_rows) > _SHOWN_ROWS else ""
            counted.append(f"{words['dropped']}: {found.dropped:,} ({words['rows']} {shown}{more})")
        lines.append(" · ".join(counted))
    lines += [fault_text(violation, found.texts, language) for violation in (*found.violations, *found.warnings)]
    for rule in found.rules.iter_rows(named=True):
        effect, message = words[rule["severity"]], rule[f"message_{language}"]
        lines.append(f"[{rule['rule']}] {rule['records']:,} · {effect} · {message}")
        lines.append(f"  {words['action']} {rule[f'action_{language}']}")
        lines.append(f"  {words['examples']} {', '.join(map(str, rule['examples']))}")
    return "\n".join(lines)


def as_json(found: FileReading) -> str:
    """Everything that was found, for programs: each quarantined record with its row, rules and reasons (in English)."""
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
            "violations": [plain_fault(violation, found.texts) for violation in found.violations],
            "warnings": [plain_fault(violation, found.texts) for violation in found.warnings],
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
