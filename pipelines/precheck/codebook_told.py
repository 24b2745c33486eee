"""What differs between codebooks, told: lines for a terminal, a page, JSON for programs, remarks of a check.

Belongs here: order and form of the telling. Does not belong here: what differs (intake.codebook), the words
(codebook_words).
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from pipelines.contracts.file_faults import FileFault
from pipelines.errors import Violation
from pipelines.intake.codebook.differences import Comparison, Difference, DifferenceKind
from pipelines.precheck.codebook import CodebookReport
from pipelines.precheck.codebook_words import WORDS
from pipelines.reporting.html import page_environment
from pipelines.reporting.numbers import Language

_TEMPLATE = "codebook.html.jinja"


def remarks(report: CodebookReport) -> tuple[Violation, ...]:
    """What a person must look at, as messages of a check; `difference_texts` says them in both languages."""
    return tuple(
        remark(report, comparison, difference)
        for comparison in report.comparisons
        for difference in comparison.differences
        if difference.gravity != "note"
    )


def remark(report: CodebookReport, comparison: Comparison, difference: Difference) -> Violation:
    """One difference as a message."""
    code = "" if difference.code is None else f", code {difference.code}"
    return Violation(
        code=difference.kind,
        where=f"{report.file}, variable {difference.name}{code}",
        expected=f"{_said(difference.before)}, as {comparison.old.source}",
        got=_said(difference.after),
        hint=to_do(difference, "en"),
    )


def difference_texts() -> dict[str, FileFault]:
    """What the codes of remarks mean, by code."""
    return {
        kind: FileFault(
            code=kind,
            message_ko=WORDS["ko"][kind],
            message_en=WORDS["en"][kind],
            action_ko=WORDS["ko"][f"do_{kind}"],
            action_en=WORDS["en"][f"do_{kind}"],
        )
        for kind in get_args(DifferenceKind)
    }


def to_do(difference: Difference, language: Language) -> str:
    """The next step of the person who reads it."""
    known = difference.kind in ("renamed", "new", "vanished") and difference.gravity == "note"
    known = known and difference.column is not None
    return WORDS[language][f"do_{difference.kind}{'_known' if known else ''}"]


def _said(text: str | None) -> str:
    return "nothing" if text is None else repr(text)


def as_text(report: CodebookReport, language: Language) -> str:
    """Lines for a terminal."""
    words = WORDS[language]
    lines = [f"{report.file} · {report.contract} · {report.survey} {report.wave}", words[report.verdict]]
    if report.synthetic:
        lines.append(words["synthetic"])
    for comparison in report.comparisons:
        lines.append(f"{words['against']} {comparison.old.source} · {counted(comparison, language)}")
        if not comparison.texts:
            lines.append(f"  {words['no_texts']}")
        for difference in comparison.differences:
            code = "" if difference.code is None else f" {words['code']} {difference.code}"
            lines.append(f"[{words[f'is_{difference.gravity}']}] {difference.name}{code}: {words[difference.kind]}")
            lines.append(f"  {words['before']}: {difference.before or '-'}")
            lines.append(f"  {words['after']}: {difference.after or '-'}")
            lines.append(f"  {words['do']}: {to_do(difference, language)}")
    lines += [f"{words['unread']}: {cell}" for cell in report.unread]
    if report.home_problem is not None:
        lines.append(f"{words['home_problem']}: {report.home_problem}")
    return "\n".join(lines)


def counted(comparison: Comparison, language: Language) -> str:
    """How much could be compared at all."""
    words = WORDS[language]
    counts = {"paired": comparison.paired, "texts": comparison.texts, "codes": comparison.codes}
    return " · ".join(f"{words[name]} {count:,}" for name, count in counts.items())


def as_json(report: CodebookReport) -> str:
    """Everything that was found, for programs; next steps in both languages."""
    return json.dumps(
        {
            "verdict": report.verdict,
            "file": report.file,
            "survey": report.survey,
            "wave": report.wave,
            "contract": report.contract,
            "synthetic": report.synthetic,
            "comparisons": [
                {
                    "against": comparison.old.source,
                    "kind": comparison.old.kind,
                    "new_question_version": comparison.new_version,
                    "paired": comparison.paired,
                    "texts": comparison.texts,
                    "codes": comparison.codes,
                    "differences": [
                        {**asdict(one), "action_en": to_do(one, "en"), "action_ko": to_do(one, "ko")}
                        for one in comparison.differences
                    ],
                }
                for comparison in report.comparisons
            ],
            "unread": list(report.unread),
            "home_problem": report.home_problem,
        },
        ensure_ascii=False,
        indent=2,
    )


def as_page(reports: Sequence[CodebookReport], language: Language, *, template_dir: Path) -> str:
    """One HTML page that needs nothing beside it, of the files of one survey and wave.

    In the reader's own typeface: a run writes four of them a wave, and cutting ours to each would take longer than
    everything else about them.

    Args:
        template_dir: the folder `reports/annual`.
    """
    environment = page_environment(template_dir)
    body = environment.get_template(_TEMPLATE).render(
        reports=reports,
        words=WORDS[language],
        language=language,
        counted=counted,
        to_do=to_do,
        synthetic=any(report.synthetic for report in reports),
    )
    style = (template_dir / "style.css").read_text(encoding="utf-8")
    return body.replace("@@STYLE@@", style, 1)
