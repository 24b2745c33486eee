"""Which numbers a passage of the report may hold, worked out from the marts without the report's own code.

Belongs here: for each kind of passage, the cells and the plain arithmetic its sentences spell out, as they must be
printed. Does not belong here: reading the page (page_reader), comparing (text_check).

This repeats on purpose what `reporting` does: a number that is picked or rounded wrongly there is not allowed here.
"""

import datetime
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

import polars as pl
from scipy import stats

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.surveys import Survey
from pipelines.release.mart_cells import Row
from pipelines.release.page_reader import Printed, rounded

# As method.md 6 and the report say it
_LAST_YEAR = 2150
_LEAST_SHOWN = 0.05
_LEAST_CHANCE = 0.01
_SUPPRESS, _CAUTION, _FREE = "suppress", "caution", "F"


@dataclass
class Allowed:
    """Numbers as they must be printed: value and decimals."""

    found: set[tuple[Decimal, int]] = field(default_factory=set)

    def add(self, *values: float | None, digits: int = 0, factor: int = 1) -> "Allowed":
        """Allow numbers; None adds nothing."""
        self.found |= {(rounded(value, digits=digits, factor=factor), digits) for value in values if value is not None}
        return self

    def shares(self, *values: float | None) -> "Allowed":
        """Allow shares in per cent."""
        return self.add(*values, digits=1, factor=100)

    def points(self, *values: float | None, digits: int = 1) -> "Allowed":
        """Allow percentage points, in sentences that say the direction also without their sign."""
        return self.add(*values, digits=digits).add(
            *(abs(value) for value in values if value is not None), digits=digits
        )

    def both(self, other: "Allowed") -> "Allowed":
        """What either allows."""
        return Allowed(self.found | other.found)

    def has(self, printed: Printed) -> bool:
        """Whether a number may stand as it is printed."""
        return (printed.value, printed.digits) in self.found


@dataclass(frozen=True)
class Release:
    """What expected numbers are worked out from."""

    wave: int
    marts: Mapping[str, pl.DataFrame]
    library: ContractLibrary
    deliveries: pl.DataFrame
    row_balance: pl.DataFrame

    def headline(
        self,
        survey: str,
        *,
        domain_type: str | None = None,
        domain_code: str | None = None,
        unit_weighting: str | None = None,
    ) -> list[Row]:
        """Rows of the survey's headline in this wave that may be printed; of another domain or weighting if asked."""
        choice = self.library.surveys[survey].headline
        key = (
            survey, domain_type or choice.domain_type, choice.measure, choice.base,
            unit_weighting or choice.unit_weighting,
        )  # fmt: skip
        found = self._rates.get(key, [])
        return [row for row in found if is_open(row) and domain_code in (None, row["domain_code"])]

    @cached_property
    def _rates(self) -> Mapping[tuple[str, ...], list[Row]]:
        # A page asks hundreds of times
        found: dict[tuple[str, ...], list[Row]] = {}
        for row in self.marts["adoption_rate"].filter(wave=self.wave).iter_rows(named=True):
            key = ("survey", "domain_type", "measure", "base", "unit_weighting")
            found.setdefault(tuple(row[name] for name in key), []).append(row)
        return found

    def of_total(self, mart: str, survey: str, **other: object) -> pl.DataFrame:
        """Rows of another mart for the headline in this wave."""
        choice = self.library.surveys[survey].headline
        key: dict[str, Any] = {
            "survey": survey, "wave": self.wave, "domain_type": choice.domain_type, "measure": choice.measure,
            "unit_weighting": choice.unit_weighting, **other,
        }  # fmt: skip
        return self.marts[mart].filter(**key)


def is_open(row: Row) -> bool:
    """Whether an estimate may be printed."""
    return bool(row["reliability"] != _SUPPRESS and row.get("conf_status", _FREE) == _FREE)


def everywhere(release: Release) -> Allowed:
    """Years that have a wave, years and values of targets, the confidence level."""
    made = Allowed()
    made.add(*release.marts["adoption_rate"]["wave"].unique().to_list(), release.wave)
    for survey in release.library.surveys.values():
        made.add(survey.confidence_level, factor=100)
    for target in release.library.targets.values():
        made.add(target.year, target.date.year).add(target.value, factor=100)
    return made


def domain_counts(release: Release, *surveys: str) -> Allowed:
    """How many domains of each kind these surveys have, for headings."""
    made = Allowed()
    for survey in surveys:
        for domain in release.library.surveys[survey].domains:
            if domain.code is None and len(domain.columns) < 2:
                made.add(release.marts["domain"].filter(survey=survey, domain_type=domain.type).height)
    return made


def dates(release: Release) -> Allowed:
    """Publication and collection: day, month, year; the vintage's number is part of an id."""
    made = Allowed()
    days: Iterable[datetime.date] = [
        release.library.calendar.publication_date(release.wave),
        *release.deliveries["collection_start"].to_list(),
        *release.deliveries["collection_end"].to_list(),
    ]
    for day in days:
        made.add(day.day, day.month, day.year)
    return made


def heading(release: Release) -> Allowed:
    """The headline of every survey."""
    return Allowed().shares(*(row["estimate"] for name in release.library.surveys for row in release.headline(name)))


def card(release: Release, survey: str) -> Allowed:
    """The large figure: estimate, distance, pace, what is needed, and the verdict."""
    made, goal = Allowed(), release.library.targets[survey]
    contract = release.library.surveys[survey]
    for row in _beside(release, contract):
        made.shares(row["estimate"], row["ci_low"], row["ci_high"])
    rows = release.headline(survey)
    if not rows:
        return made
    [rate] = rows
    estimate, low, high = rate["estimate"], rate["ci_low"], rate["ci_high"]
    made.points(*(100 * (goal.value - share) for share in (estimate, low, high)))
    for progress in release.of_total("progress", survey).to_dicts():
        made.add(progress["baseline_wave"])
        made.points(progress["required_pp_per_year"])
        made.add(progress["progress_ratio"], progress["progress_ratio_low"], progress["progress_ratio_high"], digits=2)
        made = made.both(chance(progress["p_target"]))
        if progress["observed_pp_per_year"] is not None and progress["observed_se_pp"] is not None:
            made = made.both(_pace(release.wave, rate, progress, goal.value, contract.confidence_level))
    return made


def chance(value: float | None) -> Allowed:
    """A probability in whole per cent, with its bounds at the ends."""
    if value is None:
        return Allowed()
    bounded = min(max(value, _LEAST_CHANCE), 1 - _LEAST_CHANCE)
    return Allowed().add(round(bounded, 2), factor=100)


def _beside(release: Release, survey: Survey) -> list[Row]:
    rows = [row for weighting in survey.unit_weightings
            for row in release.headline(survey.survey, unit_weighting=weighting)]  # fmt: skip
    # Totals of a part of the population stand beside the headline
    parts = [domain.type for domain in survey.domains if domain.code is not None]
    return rows + [row for part in parts for row in release.headline(survey.survey, domain_type=part)]


def _pace(wave: int, rate: Row, progress: Row, target: float, level: float) -> Allowed:
    per_year, se = progress["observed_pp_per_year"], progress["observed_se_pp"]
    quantile = float(stats.t.ppf((1 + level) / 2, rate["df"])) if rate["df"] else float(stats.norm.ppf((1 + level) / 2))
    low, high = per_year - quantile * se, per_year + quantile * se
    nearest = min(abs(low), abs(high))
    # A bound that is not 0 must not be printed as 0.0
    digits = 2 if low * high > 0 and nearest < _LEAST_SHOWN else 1
    made = Allowed().points(per_year).points(low, high, digits=digits)
    years = [wave + math.ceil(100 * (target - rate["estimate"]) / pace) for pace in (per_year, low, high) if pace > 0]
    return made.add(*(year for year in years if year <= _LAST_YEAR))


def projection(release: Release, survey: str) -> Allowed:
    """What stands under a series about its projection."""
    made, goal = Allowed(), release.library.targets[survey]
    rows = release.of_total("projection", survey, year=goal.year)
    for row in rows.filter(pl.col("kind").is_in(["projected", "envelope"])).to_dicts():
        if row["kind"] == "envelope" or (row["model"], row["variant"]) == ("logit", "main"):
            made.shares(row["estimate"], row["low"], row["high"])
            made.add(row["points"]).add(row["tau"], digits=2)
        if row["variant"].startswith("tau="):
            made = made.add(row["tau"], digits=2).both(chance(row["p_target"]))
    choice = release.library.surveys[survey].headline
    scored = release.marts["hindcast"].filter(
        survey=survey, wave=release.wave, measure=choice.measure, unit_weighting=choice.unit_weighting, model="logit"
    )
    key = ["survey", "wave", "domain_type", "domain_code", "measure", "unit_weighting"]
    closed = release.marts["adoption_rate"].filter(
        (pl.col("reliability") == _SUPPRESS) | (pl.col("conf_status") != _FREE)
    )
    scored = scored.join(closed, on=key, how="anti")
    if scored.height:
        covered, error = scored["covered"].cast(pl.Float64).mean(), scored["error_pp"].abs().mean()
        assert isinstance(covered, float)
        assert isinstance(error, float)
        made.add(scored.height).add(round(covered, 2), factor=100).points(error)
    for progress in release.of_total("progress", survey).to_dicts():
        made.points(progress["required_pp_per_year"])
    for rate in release.headline(survey):
        made.points(100 * (goal.value - rate["estimate"]))
    return made


def ranking(release: Release, survey: str) -> Allowed:
    """Sentences beside a ranking: the total they compare with, and how many are not shown."""
    contract = release.library.surveys[survey]
    made = Allowed().shares(*(row["estimate"] for row in release.headline(survey)))
    for domain in contract.domains:
        of: dict[str, Any] = {"survey": survey, "wave": release.wave, "domain_type": domain.type}
        counted = release.marts["adoption_rate"].filter(
            **of, measure=contract.headline.measure, base=contract.headline.base,
            unit_weighting=contract.headline.unit_weighting,
        ).to_dicts()  # fmt: skip
        made.add(sum(not is_open(one) for one in counted) or None)
    made.add(*release.of_total("progress", survey)["baseline_wave"].to_list())
    return made


def changes(release: Release, survey: str) -> Allowed:
    """Sentences on the change of the total, its parts and its flows."""
    made = Allowed()
    for row in release.of_total("change", survey).to_dicts():
        made.points(row["change_pp"], row["ci_low_pp"], row["ci_high_pp"]).add(row["wave_before"])
    choice = release.library.surveys[survey].headline
    parts = release.marts["decomposition"].filter(
        survey=survey, wave=release.wave, whole_type=choice.domain_type, domain_code="all", measure=choice.measure,
        unit_weighting=choice.unit_weighting,
    )  # fmt: skip
    made.add(*parts["within_pp"].to_list(), *parts["composition_pp"].to_list(), digits=1)
    flows = release.of_total("flow", survey)
    return made.shares(*flows["share"].to_list()).add(*flows["n"].to_list())


def counts_of_changes(rows: Iterable[Row]) -> Allowed:
    """How many changes of a figure go which way, for its title."""
    shown = [row["direction"] for row in rows if row["reliability"] != _SUPPRESS and row["direction"] is not None]
    return Allowed().add(len(shown), *(shown.count(way) for way in ("rose", "fell")))


def counts_of_areas(rows: Iterable[Row]) -> Allowed:
    """How many model-based intervals are narrower than the direct ones, of how many."""
    both = [
        row for row in rows
        if row["method"] == "model-based" and row["reliability"] != _SUPPRESS
        and row["direct_reliability"] != _SUPPRESS and None not in (row["direct_ci_low"], row["ci_low"])
    ]  # fmt: skip
    narrower = sum(row["ci_high"] - row["ci_low"] < row["direct_ci_high"] - row["direct_ci_low"] for row in both)
    return Allowed().add(narrower, len(both))


def largest_difference(rows: Iterable[Row]) -> Allowed:
    """The largest distance of others' figures from ours, and of how many."""
    found = [abs(row["difference_pp"]) for row in rows if is_open(row) and row["difference_pp"] is not None]
    return Allowed().points(max(found)).add(len(found)) if found else Allowed()


def hidden_counts(release: Release) -> Allowed:
    """How many estimates of the headline measure there are, and how many carry which mark."""
    kept = []
    for survey in release.library.surveys.values():
        kept.append(
            release.marts["adoption_rate"].filter(
                pl.col("survey") == survey.survey, pl.col("wave") == release.wave,
                pl.col("measure") == survey.headline.measure, pl.col("base") == survey.headline.base,
                pl.col("domain_type").is_in([domain.type for domain in survey.domains]),
            )
        )  # fmt: skip
    rows = pl.concat(kept)
    secret = rows.filter(pl.col("conf_status") != _FREE).height
    free = rows.filter(pl.col("conf_status") == _FREE)
    by_mark = [free.filter(pl.col("reliability") == mark).height for mark in (_SUPPRESS, _CAUTION)]
    return Allowed().add(rows.height, secret, *by_mark)


def quality(release: Release) -> Allowed:
    """Quality indicators, weight diagnostics and revisions, in the ways such values are written."""
    made = Allowed()
    for name in ("quality_indicator", "weight_diagnostic"):
        values = [
            value for value in release.marts[name].filter(wave=release.wave)["value"].to_list() if value is not None
        ]
        made.shares(*values).add(*values)
        for digits in (2, 3):
            made.add(*values, digits=digits)
    if "revision" in release.marts:
        revisions = release.marts["revision"]
        made.shares(*revisions["estimate"].to_list(), *revisions["se"].to_list())
        for name in ("change_pp", "change_from_first_pp"):
            made.points(*revisions[name].to_list()).points(*revisions[name].to_list(), digits=2)
        # How often headlines were printed again, and how often with another figure
        again = revisions.filter("is_headline", pl.col("change_pp").is_not_null())
        made.add(again.height, again.filter(pl.col("change_pp") != 0).height)
    return made


def process(release: Release) -> Allowed:
    """Rows in and out of every file."""
    made = Allowed()
    for frame in (release.deliveries, release.row_balance):
        for name, kind in frame.schema.items():
            if kind.is_integer():
                made.add(*frame[name].to_list())
    return made
