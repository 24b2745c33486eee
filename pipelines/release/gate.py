"""The gate: every reason for which a release may not go out, and what persons answer for by name.

Belongs here: the rules in their order, how a candidate is judged by all of them, overrides and explanations, the
refusal with its full list. Does not belong here: what a single rule looks at (rules), building the candidate or
publishing it (publish).
"""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.signed import Explanation, Override
from pipelines.errors import AxstatError, Violation
from pipelines.release import rules
from pipelines.release.candidate import Candidate, Reason
from pipelines.reporting.notices import Notice
from pipelines.reporting.numbers import Language

Judge = Callable[[Candidate], Sequence[Reason]]


@dataclass(frozen=True)
class Rule:
    """One reason to refuse; `code` and its labels stand in gate_rules.yaml, also whether it may be overridden."""

    code: str
    judge: Judge


# What can be judged by the rows, before anything is written …
BY_ROWS = (
    Rule("check_failed", rules.failed_checks),
    Rule("engines_disagree", rules.disagreeing_engines),
    Rule("disclosure", rules.told_cells),
    Rule("implausible_change", rules.implausible_changes),
    Rule("size_gradient", rules.turned_size_gradients),
    Rule("missing_indicator", rules.missing_indicators),
    Rule("calendar", rules.before_its_moment),
    Rule("embargo", rules.under_embargo),
)
# … and by the files of the candidate
BY_FILES = (Rule("unequal_outputs", rules.unequal_outputs), Rule("text_differs", rules.wrong_numbers))
# Whoever runs a wave before its day finds the release held by these; all else is a mistake to mend
HOLDING = frozenset({"calendar", "embargo"})
_OVERRIDE = "override"


@dataclass(frozen=True)
class Finding:
    """A reason to refuse, and who answers for the release going out all the same (neither: it does not)."""

    reason: Reason
    override: Override | None = None
    explanation: Explanation | None = None

    @property
    def refuses(self) -> bool:
        """Nobody answers for it."""
        return self.override is None and self.explanation is None

    def __str__(self) -> str:
        text = f"{self.reason.rule}: {self.reason.violation}"
        if self.override is not None:
            return f"{text}\n  overridden by {self.override.name}: {self.override.reason_en}"
        if self.explanation is not None:
            return f"{text}\n  explained by {self.explanation.who}: {self.explanation.why_en}"
        return text


@dataclass(frozen=True)
class Verdict:
    """What the gate found. `judged`: codes of the rules that were asked, in order; `overrides`: all that were given."""

    release: str
    judged: tuple[str, ...]
    findings: tuple[Finding, ...]
    overrides: tuple[Override, ...] = ()

    @property
    def reasons(self) -> tuple[Finding, ...]:
        """What stands in the way."""
        return tuple(finding for finding in self.findings if finding.refuses)

    def require_passed(self) -> None:
        """Let through, or not.

        Raises:
            RefusedError: with the full list.
        """
        if self.reasons:
            raise RefusedError(self)

    def __str__(self) -> str:
        lines = []
        for code in self.judged:
            of_rule = [finding for finding in self.findings if finding.reason.rule == code]
            refusing = sum(finding.refuses for finding in of_rule)
            answered = len(of_rule) - refusing
            told = [f"{refusing} reason(s) to refuse"] if refusing else ["passes"] if not answered else []
            told += [f"{answered} answered for by name"] if answered else []
            lines.append(f"  {code}: {', '.join(told)}")
        return "\n".join([f"release {self.release}", *lines, *map(str, self.findings)])


class RefusedError(AxstatError):
    """The gate does not let a release out; the text lists every reason."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__(
            "release_refused",
            where=f"release {verdict.release}",
            expected="no reason to refuse",
            got=f"{len(verdict.reasons)} reason(s): {', '.join(self.codes)}",
            hint="mend each below; reports/methodology/release.md says who may answer for what",
        )

    @property
    def codes(self) -> tuple[str, ...]:
        """Rules that refuse, each once, in their order."""
        return tuple(dict.fromkeys(finding.reason.rule for finding in self.verdict.reasons))

    @property
    def held(self) -> bool:
        """Only its time has not come; nothing is wrong with the release."""
        return set(self.codes) <= HOLDING

    def __str__(self) -> str:
        return super().__str__() + "".join(f"\n{finding}" for finding in self.verdict.findings)


def judge_rows(candidate: Candidate) -> Verdict:
    """By the rules that need no files."""
    return _judged(candidate, BY_ROWS, before=())


def judge_files(candidate: Candidate, by_rows: Verdict) -> Verdict:
    """By the others too, and whether each override that was given was needed."""
    verdict = _judged(candidate, BY_FILES, before=by_rows.findings)
    used = {finding.override.rule for finding in verdict.findings if finding.override is not None}
    unused = [
        Finding(
            Reason(
                _OVERRIDE,
                Violation(
                    "override_without_finding",
                    f"override of {override.rule} by {override.name}",
                    "an override of a rule that refuses this release",
                    "nothing that this rule finds, or an explanation for it",
                    "take the override away; it is for one release and one finding",
                ),
            )
        )
        for override in verdict.overrides
        if override.rule not in used
    ]
    judged = (*by_rows.judged, *verdict.judged, _OVERRIDE)
    return Verdict(verdict.release, judged, (*verdict.findings, *unused), verdict.overrides)


def _judged(candidate: Candidate, asked: Sequence[Rule], *, before: tuple[Finding, ...]) -> Verdict:
    findings = [
        _answered(candidate, reason) for rule in asked for reason in rule.judge(candidate)
    ]  # every rule is asked, whatever the others found
    return Verdict(
        candidate.release, tuple(rule.code for rule in asked), (*before, *findings), tuple(candidate.overrides)
    )


def _answered(candidate: Candidate, reason: Reason) -> Finding:
    for explanation in candidate.library.explanations:
        about = (explanation.survey, explanation.domain_type, explanation.domain_code)
        if (explanation.wave, explanation.rule) == (candidate.wave, reason.rule) and about == reason.subject:
            return Finding(reason, explanation=explanation)
    for override in candidate.overrides:
        if override.rule == reason.rule:
            return Finding(reason, override=override)
    return Finding(reason)


def overrides_of(library: ContractLibrary, release: str, told: Sequence[Override]) -> tuple[Override, ...]:
    """Overrides of one release: those of the contract file, and those told on the command line.

    Raises:
        AxstatError: a rule that does not exist, or that nobody may override.
    """
    rule_list = library.classifications["gate_rules"]
    may = [item.code for item in rule_list.items if item.properties.get("override") == "yes"]
    for override in told:
        if override.rule not in may:
            known = override.rule in rule_list.codes
            raise AxstatError(
                "no_override" if known else "unknown_rule",
                where=f"override of {override.rule}",
                expected=f"a rule that may be overridden: {', '.join(may)}",
                got=override.rule,
                hint="a leak cannot be called back and a moment was promised to all: mend it, or change the calendar"
                if known
                else "correct the rule's code",
            )
    return tuple(override for override in (*library.overrides, *told) if override.release == release)


def told_overrides(
    release: str, rules_named: Sequence[str], *, name: str, reason: str, reason_ko: str | None
) -> tuple[Override, ...]:
    """Overrides as the command line tells them, for one release; in Korean the same words where none are given."""
    return tuple(
        Override(release=release, rule=rule, name=name, reason_en=reason, reason_ko=reason_ko or reason)
        for rule in dict.fromkeys(rules_named)
    )


def notices(verdict: Verdict, candidate: Candidate, languages: Sequence[Language]) -> tuple[Notice, ...]:
    """What the report must print: each override that was given, and each explanation that was needed."""
    rule_list = candidate.library.classifications["gate_rules"]

    def labels(code: str) -> dict[Language, str]:
        item = rule_list.item(code)
        return {language: getattr(item, f"label_{language}") for language in languages}

    made = [
        Notice(
            kind="override",
            rule=labels(override.rule),
            who=override.name,
            why={language: getattr(override, f"reason_{language}") for language in languages},
        )
        for override in verdict.overrides
    ]
    explained = dict.fromkeys(finding.explanation for finding in verdict.findings if finding.explanation is not None)
    for given in explained:
        made.append(
            Notice(
                kind="explanation",
                rule=labels(given.rule),
                who=given.who,
                why={language: getattr(given, f"why_{language}") for language in languages},
                about=candidate.domain_labels(given.survey, given.domain_type, given.domain_code, languages),
            )
        )
    return tuple(made)


def utc_now() -> datetime.datetime:
    """The moment of asking. Only the rules of calendar and embargo look at it; nothing of it is written anywhere."""
    return datetime.datetime.now(datetime.UTC)
