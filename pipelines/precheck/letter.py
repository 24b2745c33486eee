"""What was found in a file, told: lines for a terminal, a letter to send back, JSON for programs.

Belongs here: words and order of the telling, in Korean and English. Does not belong here: what is found (run), the
messages of rules and of faults of whole files, which stand in the contracts in both languages. What was expected and
found is a value, not a sentence, and the same in both.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from pipelines.contracts.file_faults import FileFault
from pipelines.errors import Violation
from pipelines.precheck.run import FileCheck
from pipelines.reporting.fonts import embedded_font
from pipelines.reporting.html import font_face, page_environment
from pipelines.reporting.numbers import Language

_TEMPLATE = "letter.html.jinja"
_SHOWN_ROWS = 10

WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "title": "Check of a delivery file",
        "accept": "Accepted: nothing was found.",
        "remarks": "Accepted with remarks: the rows below need a look.",
        "reject": "Rejected: the file cannot be taken as it is.",
        "file": "File",
        "contract": "Contract",
        "survey": "Survey",
        "wave": "Wave",
        "rows": "Data rows",
        "count": "Rows",
        "kept_out": "Rows that would be kept out",
        "violations": "Faults of the file",
        "warnings": "To look at",
        "expected": "Expected",
        "got": "Found",
        "hint": "To do",
        "rules": "Rules that rows break",
        "rule": "Rule",
        "error": "row kept out",
        "fail_file": "row kept out; too many of them reject the file",
        "warning": "remark",
        "severity": "Effect",
        "message": "What is wrong",
        "action": "To do",
        "examples": "First rows",
        "row_note": "Rows are counted from 1, without header rows.",
        "synthetic": "Synthetic data, not official statistics.",
        "not_checked": "Not checked: these rules need what the data home does not have.",
        "needs": "Needs",
        "frame": "the wave's frame",
        "sample": "the wave's sample",
        "previous": "the same file of an earlier wave",
        "home_problem": "The data home's warehouse could not be read",
    },
    "ko": {
        "title": "제출 파일 점검 결과",
        "accept": "접수 가능: 발견된 문제가 없습니다.",
        "remarks": "조건부 접수: 아래 행을 확인해 주십시오.",
        "reject": "반려: 이 파일은 이대로 접수할 수 없습니다.",
        "file": "파일",
        "contract": "계약",
        "survey": "조사",
        "wave": "기준 연도",
        "rows": "자료 행 수",
        "count": "행 수",
        "kept_out": "제외될 행 수",
        "violations": "파일 오류",
        "warnings": "확인할 사항",
        "expected": "기준",
        "got": "실제",
        "hint": "조치",
        "rules": "규칙을 어긴 행",
        "rule": "규칙",
        "error": "행 제외",
        "fail_file": "행 제외(많으면 파일 반려)",
        "warning": "확인",
        "severity": "처리",
        "message": "내용",
        "action": "조치",
        "examples": "해당 행(처음 몇 개)",
        "row_note": "행 번호는 머리글을 빼고 1부터 셉니다.",
        "synthetic": "합성 자료이며 공식 통계가 아닙니다.",
        "not_checked": "점검하지 않은 것: 아래 규칙에 필요한 자료가 데이터 홈에 없습니다.",
        "needs": "필요한 자료",
        "frame": "같은 차수의 추출틀",
        "sample": "같은 차수의 표본",
        "previous": "이전 차수의 같은 파일",
        "home_problem": "데이터 홈의 저장소를 읽지 못했습니다",
    },
}


def as_text(found: FileCheck, language: Language) -> str:
    """Lines for a terminal."""
    words = WORDS[language]
    lines = [
        f"{found.file} · {found.contract} · {found.survey} {found.wave}",
        words[found.verdict],
    ]
    if found.synthetic:
        lines.append(words["synthetic"])
    if found.rows is not None:
        lines.append(f"{words['rows']}: {found.rows:,} · {words['kept_out']}: {found.rows_kept_out:,}")
    lines += [fault_text(violation, found.texts, language) for violation in (*found.violations, *found.warnings)]
    for rule in found.rules.iter_rows(named=True):
        lines.append(f"[{rule['rule']}] {rule['rows']:,} · {words[rule['severity']]} · {rule[f'message_{language}']}")
        lines.append(f"  {words['action']}: {rule[f'action_{language}']}")
        lines.append(f"  {words['examples']}: {', '.join(map(str, rule['examples']))}")
    if found.home_problem is not None:
        lines.append(f"{words['home_problem']}: {found.home_problem}")
    if found.not_checked:
        lines.append(words["not_checked"])
    for left_out in found.not_checked:
        message = left_out.message_ko if language == "ko" else left_out.message_en
        missing = ", ".join(words[name] for name in left_out.missing)
        lines.append(f"[{left_out.rule}] {message} {words['needs']}: {missing}")
    return "\n".join(lines)


def as_json(found: FileCheck) -> str:
    """Everything that was found, for programs; messages and next steps in both languages."""
    return json.dumps(
        {
            "verdict": found.verdict,
            "file": found.file,
            "survey": found.survey,
            "wave": found.wave,
            "synthetic": found.synthetic,
            "contract": found.contract,
            "rows": found.rows,
            "rows_kept_out": found.rows_kept_out,
            "violations": [plain_fault(violation, found.texts) for violation in found.violations],
            "warnings": [plain_fault(violation, found.texts) for violation in found.warnings],
            "rules": found.rules.to_dicts(),
            "not_checked": [asdict(rule) for rule in found.not_checked],
            "home_problem": found.home_problem,
        },
        ensure_ascii=False,
        indent=2,
    )


def as_letter(found: FileCheck, language: Language, *, template_dir: Path) -> str:
    """One HTML page that needs nothing beside it.

    Args:
        template_dir: the folder `reports/annual`.
    """
    environment = page_environment(template_dir)
    body = environment.get_template(_TEMPLATE).render(
        found=found,
        words=WORDS[language],
        language=language,
        rules=found.rules.to_dicts(),
        message=f"message_{language}",
        action=f"action_{language}",
    )
    style = (template_dir / "style.css").read_text(encoding="utf-8")
    return body.replace("@@STYLE@@", f"{font_face(embedded_font([body]))}\n{style}", 1)


def fault_text(violation: Violation, texts: Mapping[str, FileFault], language: Language) -> str:
    """A fault of a whole file as lines for a terminal; in English it is told as everywhere else."""
    if language == "en":
        return str(violation)
    words, text = WORDS[language], texts[violation.code]
    shown = ", ".join(map(str, violation.rows[:_SHOWN_ROWS]))
    more = f" 외 {len(violation.rows) - _SHOWN_ROWS:,}개" if len(violation.rows) > _SHOWN_ROWS else ""
    rows = f", 행 {shown}{more}" if violation.rows else ""
    return (
        f"[{violation.code}] {violation.where}{rows}: {text.message_ko}\n"
        f"  {words['expected']}: {violation.expected}\n"
        f"  {words['got']}: {violation.got}\n"
        f"  {words['hint']}: {text.action_ko}"
    )


def plain_fault(violation: Violation, texts: Mapping[str, FileFault]) -> dict[str, object]:
    """A fault of a whole file as JSON holds it; `hint` is `action_en` in the words of this one file."""
    return {
        "code": violation.code,
        "where": violation.where,
        "expected": violation.expected,
        "got": violation.got,
        "hint": violation.hint,
        **texts[violation.code].model_dump(exclude={"code"}),
        "rows": list(violation.rows),
    }
