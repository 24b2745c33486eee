"""The rules of the gate, each a function from the candidate to its reasons to refuse; no reason: it passes.

Belongs here: what each rule looks at, and how a reason reads. Does not belong here: which rules there are and in what
order (gate), the statistics behind them (stats.plausibility), SQL checks (sql/checks).
"""

import datetime
from collections.abc import Iterator

import polars as pl

from pipelines.contracts.surveys import Survey
from pipelines.errors import AxstatError, Violation
from pipelines.release.candidate import Candidate, FailedCheck, Reason
from pipelines.stats.plausibility import KEY, PROJECTION, STANDARD_ERRORS, departures, turned_gradients
from pipelines.warehouse.published import query_published

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
    """Surveys without quality indicators, and indicators with neither a value nor a reason for having none."""
    of_wave = candidate.marts["quality_indicator"].filter(pl.col("wave") == candidate.wave)
    reasons = []
    for survey in candidate.library.surveys:
        rows = of_wave.filter(pl.col("survey") == survey)
        silent = rows.filter(pl.col("value").is_null(), pl.col("reason").fill_null("").str.strip_chars() == "")
        missing = [
            f"{row['indicator']} of {row['domain_type']} {row['domain_code']}" for row in silent.iter_rows(named=True)
        ]
        if rows.is_empty() or missing:
            reasons.append(
                Reason(
                    "missing_indicator",
                    Violation(
                        "missing_indicator",
                        f"{survey} {candidate.wave}",
                        "each quality indicator with a value, or a reason for having none",
                        ", ".join(missing) if missing else "no indicator at all",
                        "run the wave again; an indicator that does not apply needs its reason",
                    ),
                )
            )
    return reasons


def unequal_outputs(candidate: Candidate) -> list[Reason]:
    """Tables that are not the marts, cell by cell, in the DuckDB file, as Parquet or as CSV."""
    reasons = []
    folder = candidate.files.folder
    for name, rows in sorted(candidate.marts.items()):
        parquet, csv = folder / "parquet" / f"{name}.parquet", folder / "csv" / f"{name}.csv"
        copies = {
            "axstat.duckdb": query_published(folder / "axstat.duckdb", f'select * from mart."{name}"'),
            f"parquet/{parquet.name}": pl.read_parquet(parquet),
            f"csv/{csv.name}": pl.read_csv(csv, schema=rows.schema),
        }
        for file, copy in copies.items():
            if not rows.equals(copy):
                reasons.append(
                    Reason(
                        "unequal_outputs",
                        Violation(
                            "unequal_outputs",
                            f"mart.{name} in {file}",
                            f"the {rows.height} rows of the mart, cell by cell",
                            _difference(rows, copy),
                            "find out which writer changes the values; nothing may be published in two versions",
                        ),
                    )
                )
    return reasons


def _difference(rows: pl.DataFrame, copy: pl.DataFrame) -> str:
    if rows.columns != copy.columns or rows.height != copy.height:
        return f"{copy.height} rows, columns {', '.join(copy.columns)}"
    cells = [
        f"{name}, row {(rows[name].ne_missing(copy[name])).arg_true()[0] + 1}"
        for name in rows.columns
        if rows[name].dtype == copy[name].dtype and rows[name].ne_missing(copy[name]).any()
    ]
    kinds = [f"{name} as {copy[name].dtype}" for name in rows.columns if rows[name].dtype != copy[name].dtype]
    return f"other values: {'; '.join([*cells, *kinds][:_SHOWN])}"


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
