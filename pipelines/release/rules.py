"""The rules of the gate, each a function from the candidate to its reasons to refuse; no reason: it passes.

Belongs here: what each rule looks at, and how a reason reads. Does not belong here: which rules there are and in what
order (gate), the statistics behind them (stats.plausibility), SQL checks (sql/checks).
"""

import datetime
from collections.abc import Iterator

import polars as pl

from pipelines.contracts.surveys import Survey
from pipelines.errors import AxstatError, Violation
from pipelines.release import indicators
from pipelines.release.candidate import Candidate, FailedCheck, Reason
from pipelines.release.equality import unequal_cells
from pipelines.release.text_check import text_findings
from pipelines.stats.plausibility import KEY, PROJECTION, STANDARD_ERRORS, departures, turned_gradients

_ENGINES = "engines_disagree"
_SHOWN = 3
_SUPPRESS = "suppress"
_SIZE = "size_class"


def failed_checks(candidate: Candidate) -> list[Reason]:
    """Blocking checks of sql/checks, but that of the engines, which is a rule of its own."""
    return [
        _of_check(candidate, "check_failed", failed) for failed in candidate.failed_checks if failed.check != _ENGINES
    ]


def disagreeing_engines(candidate: Candidate) -> list[Reason]:
    """Bootstrap over linearised standard error of a total outside 0.85 to 1.18 (method.md 3)."""
    return [_of_check(candidate, _ENGINES, failed) for failed in candidate.failed_checks if failed.check == _ENGINES]


def _of_check(candidate: Candidate, rule: str, failed: FailedCheck) -> Reason:
    shown = [
        ", ".join(f"{name}={value}" for name, value in row.items() if name != "what_to_do")
        for row in failed.rows.head(_SHOWN).to_dicts()
    ]
    more = failed.rows.height - len(shown)
    hints = failed.rows["what_to_do"].unique(maintain_order=True).to_list()
    return Reason(
        rule,
        Violation(
            failed.check,
            f"{failed.survey or 'both surveys'} {candidate.wave}",
            "no offending row",
            f"{failed.rows.height}: {'; '.join(shown)}{f' and {more} more' if more else ''}",
            "; ".join(hints),
        ),
    )


def told_cells(candidate: Candidate) -> list[Reason]:
    """Confidential cells that the release tells too closely (method.md 8).

    What an earlier vintage tells by itself cannot be taken back by holding this one.
    """
    return [
        Reason(
            "disclosure",
            Violation(
                "cell_told",
                f"{leak.survey} {leak.wave} {leak.cell}",
                "every confidential cell open by its protection interval",
                str(leak),
                "run the wave again, so that its cells are protected anew; if the cell stays open, tell the "
                "methodologist which table shows it",
            ),
        )
        for leak in candidate.leaks
        if not leak.before
    ]


def implausible_changes(candidate: Candidate) -> list[Reason]:
    """Changes since the last comparable wave that lie too far from the survey's, or from its projection."""
    return [reason for survey in candidate.library.surveys.values() for reason in _departing(candidate, survey)]


def _departing(candidate: Candidate, survey: Survey) -> Iterator[Reason]:
    before = _last_comparable_wave(candidate, survey)
    if before is None:
        return
    one_way = [domain.type for domain in survey.domains if len(domain.columns) < 2 and domain.rows == "unit"]
    printed = pl.col("domain_type").is_in(one_way) & (pl.col("reliability") != _SUPPRESS)
    changes = _of_headline(candidate, survey, "change", candidate.wave).filter(printed, wave_before=before)
    rates = _of_headline(candidate, survey, "adoption_rate", candidate.wave).filter(printed)
    projections = (
        _of_headline(candidate, survey, "projection", before)
        .filter(model="logit", variant="main", kind="projected", year=candidate.wave)
        .filter(pl.col("domain_type").is_in(one_way))
    )
    found = departures(
        changes, rates, projections, whole=survey.headline.domain_type, level=survey.confidence_level
    ).filter("implausible")
    for row in found.iter_rows(named=True):
        against = "the wave before projected" if row["reference"] == PROJECTION else "the survey's is"
        yield Reason(
            "implausible_change",
            Violation(
                "implausible_change",
                f"{_place(survey, candidate, row)}, change since {before}",
                f"at most {STANDARD_ERRORS:g} standard errors from what was to be expected, after Holm's adjustment",
                f"{row['change_pp']:+.1f} points where {against} {row['expected_pp']:+.1f}: "
                f"{row['standard_errors']:+.1f} standard errors, adjusted p = {row['p_adjusted']:.1e}",
                "find out whether it is real (a break in the register, a wrong code, a changed sample); if it is, say "
                "so in data_contracts/explanations.yaml",
            ),
            (survey.survey, row["domain_type"], row["domain_code"]),
        )


def turned_size_gradients(candidate: Candidate) -> list[Reason]:
    """Neighbouring size classes whose order is clearly the other way round than in the last comparable wave."""
    return [reason for survey in candidate.library.surveys.values() for reason in _turned(candidate, survey)]


def _turned(candidate: Candidate, survey: Survey) -> Iterator[Reason]:
    before = _last_comparable_wave(candidate, survey)
    if before is None or _SIZE not in {domain.type for domain in survey.domains}:
        return
    waves = [
        _of_headline(candidate, survey, "adoption_rate", wave).filter(
            pl.col("domain_type") == _SIZE, pl.col("reliability") != _SUPPRESS
        )
        for wave in (before, candidate.wave)
    ]
    labelled = candidate.marts["domain"].filter(survey=survey.survey, domain_type=_SIZE).sort("sort_order")
    found = turned_gradients(*waves, classes=labelled["domain_code"].to_list(), level=survey.confidence_level)
    for row in found.iter_rows(named=True):
        yield Reason(
            "size_gradient",
            Violation(
                "size_gradient",
                f"{survey.survey} {candidate.wave} {_SIZE} {row['upper']} against {row['lower']}, "
                f"by {row['unit_weighting']}",
                f"the order of {before}: {row['before_pp']:+.1f} points",
                f"{row['after_pp']:+.1f} points",
                "look for units in the wrong class and for weights; if it is real, say so of the upper class in "
                "data_contracts/explanations.yaml",
            ),
            (survey.survey, _SIZE, row["upper"]),
        )


def missing_indicators(candidate: Candidate) -> list[Reason]:
    """Quality indicators that a survey and wave lacks: each needs a value, or a reason for having none."""
    found = indicators.missing_indicators(
        candidate.marts["quality_indicator"], printed=candidate.marts["adoption_rate"], library=candidate.library
    )
    reasons = []
    for survey, wave in found.select("survey", "wave").unique(maintain_order=True).iter_rows():
        rows = found.filter(survey=survey, wave=wave).select("indicator", "problem").iter_rows()
        reasons.append(
            Reason(
                "missing_indicator",
                Violation(
                    "missing_indicator",
                    f"{survey} {wave}",
                    "each quality indicator with a value, or a reason for having none",
                    ", ".join(f"{indicator} ({problem})" for indicator, problem in rows),
                    f"run wave {wave} again; an indicator that does not apply needs its reason in quality_values.yaml",
                ),
            )
        )
    return reasons


def unequal_outputs(candidate: Candidate) -> list[Reason]:
    """Cells in which a form of the release is not what the marts are."""
    files = candidate.files
    found = unequal_cells(files.folder, candidate.library, candidate.marts, files.data, template_dir=files.template_dir)
    return [
        Reason(
            "unequal_outputs",
            Violation(
                "unequal_outputs",
                f"{cell.form} {cell.table} {cell.column} {cell.key}".strip(),
                str(cell.expected),
                str(cell.got),
                "this is a fault of the form's writer, not of the data: report it",
            ),
        )
        for cell in found
    ]


def wrong_numbers(candidate: Candidate) -> list[Reason]:
    """Numbers of the report, in words, charts and tables, that are not those of the marts."""
    files = candidate.files
    findings = text_findings(
        {language: (files.folder / f"report.{language}.html").read_text(encoding="utf-8") for language in ("ko", "en")},
        release=candidate.release,
        marts=candidate.marts,
        library=candidate.library,
        deliveries=files.data.deliveries,
        row_balance=files.data.row_balance,
        texts_dir=files.template_dir,
    )
    return [
        Reason(
            "text_differs",
            Violation(
                "text_differs",
                f"report.{language}.html, {found.where}: {found.context}".strip(),
                found.expected,
                found.printed,
                "find out which template or sentence prints it; the marts are what is published",
            ),
        )
        for language, of_page in findings.items()
        for found in of_page
    ]


def before_its_moment(candidate: Candidate) -> list[Reason]:
    """The calendar has no moment for the wave, or one that has not come."""
    where = f"data_contracts/release_calendar.yaml, wave {candidate.wave}"
    try:
        moment = candidate.library.calendar.publication_moment(candidate.wave)
    except AxstatError as error:
        return [Reason("calendar", Violation(error.code, error.where, error.expected, error.got, error.hint))]
    if candidate.now >= moment:
        return []
    hint = f"run `axstat release --wave {candidate.wave}` then; --dry-run judges without publishing"
    return [Reason("calendar", _too_early("before_publication", where, moment, candidate, hint))]


def under_embargo(candidate: Candidate) -> list[Reason]:
    """The calendar holds the wave back beyond its moment."""
    return [
        Reason(
            "embargo",
            _too_early(
                "embargo",
                "data_contracts/release_calendar.yaml, embargoes",
                embargo.until,
                candidate,
                f"wait until then; the reason given is: {embargo.why_en}",
            ),
        )
        for embargo in candidate.library.calendar.embargoes
        if embargo.wave == candidate.wave and candidate.now < embargo.until
    ]


def _too_early(code: str, where: str, moment: datetime.datetime, candidate: Candidate, hint: str) -> Violation:
    now = candidate.now.astimezone(moment.tzinfo)
    return Violation(
        code, where, f"{moment.isoformat(timespec='minutes')} or later", now.isoformat(timespec="minutes"), hint
    )


def _last_comparable_wave(candidate: Candidate, survey: Survey) -> int | None:
    before = candidate.marts["change"].filter(survey=survey.survey, wave=candidate.wave)["wave_before"].max()
    assert before is None or isinstance(before, int)
    return before


def _of_headline(candidate: Candidate, survey: Survey, mart: str, wave: int) -> pl.DataFrame:
    """Rows of a mart of one survey, wave and the headline's measure and base, in both weightings."""
    headline = survey.headline
    rows = candidate.marts[mart].filter(survey=survey.survey, wave=wave, measure=headline.measure)
    return rows.filter(pl.col("base") == headline.base) if "base" in rows.columns else rows


def _place(survey: Survey, candidate: Candidate, row: dict[str, object]) -> str:
    domain_type, domain_code, weighting = (row[name] for name in KEY)
    return f"{survey.survey} {candidate.wave} {domain_type} {domain_code}, by {weighting}"
