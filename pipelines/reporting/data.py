"""What a report is made of, and how its parts are picked out of the marts.

Belongs here: the frozen input of every output (HTML, workbook) and selections of estimates from it. Does
not belong here: reading a database (warehouse), words or number formats, or any estimation.

An estimate that the reliability rule suppresses, or that is confidential, is blanked once, here, when `ReportData` is
made. Nothing further down can print what it does not get.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import polars as pl

from pipelines.contracts.classifications import Classification, QuestionVersion
from pipelines.contracts.surveys import Survey
from pipelines.contracts.targets import Target
from pipelines.errors import AxstatError
from pipelines.reporting.addresses import cell_address, row_address
from pipelines.reporting.blanking import COMPARISONS, blanked
from pipelines.reporting.notices import Notice

MARTS = (
    "adoption_rate", "progress", "projection", "hindcast", "scenario", "domain", "measure", "quality_indicator",
    "revision", "weight_diagnostic", *COMPARISONS,
)  # fmt: skip

PUBLISH = "publish"
CAUTION = "caution"
# Reason code of stats.reliability
_CENSUS = "census_full_response"

_TAKEN_AS_THEY_ARE = (
    "survey", "wave", "domain_type", "domain_code", "measure", "base", "unit_weighting", "n", "n_dont_know",
    "population", "adopters", "estimate", "se", "ci_low", "ci_high", "df", "deff", "reliability",
    "question_version",
)  # fmt: skip
_OTHER_RATE_COLUMNS = (
    "domain_code", "n", "n_dont_know", "population", "adopters", "estimate", "se", "ci_low", "ci_high", "df",
    "deff", "reliability", "reliability_reason", "question_version", "comparability_segment", "obs_status",
)  # fmt: skip

_RATE_KEY = ("survey", "wave", "domain_type", "domain_code", "measure", "base", "unit_weighting")
PROGRESS_KEY = ("survey", "wave", "domain_type", "domain_code", "measure", "unit_weighting")

Weighting = Literal["unit", "employment"]


@dataclass(frozen=True)
class Rate:
    """One estimated share with everything it must travel with. Shares are 0 to 1.

    Attributes:
        estimate, se, ci_low, ci_high, adopters: None when suppressed or confidential, or where the mart has none.
        n, n_dont_know, population: None when confidential.
        reliability: ``publish``, ``caution``, ``suppress`` or, over all of them, ``confidential``.
        is_break: first point of a new comparability segment.
        is_census: every unit of the domain answered, so there is no sampling error.
    """

    survey: str
    wave: int
    domain_type: str
    domain_code: str
    measure: str
    base: str
    unit_weighting: str
    labels: Mapping[str, str]
    n: int | None
    n_dont_know: int | None
    population: float | None
    adopters: float | None
    estimate: float | None
    se: float | None
    ci_low: float | None
    ci_high: float | None
    df: float | None
    deff: float | None
    reliability: str
    reliability_reason: str
    segment: str
    question_version: str
    is_break: bool
    is_census: bool

    @property
    def is_shown(self) -> bool:
        """False when there is no number that may be printed."""
        return self.estimate is not None

    @property
    def row_address(self) -> str:
        """Where this estimate stands in the marts."""
        return row_address("adoption_rate", vars(self), _RATE_KEY)

    def address(self, column: str) -> str:
        """Where a column of this estimate stands in the marts."""
        return cell_address(self.row_address, column)

    def value(self) -> tuple[float, float, float]:
        """Estimate, lower and upper bound.

        Raises:
            AxstatError: the estimate is suppressed; ask `is_shown` first.
        """
        if self.estimate is None or self.ci_low is None or self.ci_high is None:
            raise AxstatError(
                "suppressed_estimate",
                where=f"{self.survey} {self.wave} {self.domain_type} {self.domain_code} {self.measure}",
                expected="an estimate that may be printed",
                got=self.reliability,
                hint="leave it out and say why",
            )
        return self.estimate, self.ci_low, self.ci_high


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportData:
    """Everything one release prints; two are the same only if they are one.

    Attributes:
        wave: reference year.
        release: id of the vintage, such as ``2025.1``.
        synthetic: True when any input is synthetic: banner everywhere.
        publication_date: given by the publisher, never taken from the clock.
        marts: frames of `mart.*` by name (`MARTS`), all waves up to `wave`; further marts are ignored.
        deliveries: `meta.delivery_file`. row_balance: `meta.row_balance`.
        surveys, question_versions, targets, classifications: from the contracts, by their code.
        versions: what the release was made with, shown as it is: ``{"git revision": …}``.
        collection: first and last day of data collection of `wave` by survey.
        files: file names of this release beside the report, with a description a language
            (``{"axstat.duckdb": {"ko": …, "en": …}}``); shown as relative links.
        sibling: file name of the report in the other language, by language; empty: no link.
        notices: what persons answer for by name in this release.
    """

    wave: int
    release: str
    synthetic: bool
    publication_date: datetime.date
    marts: Mapping[str, pl.DataFrame]
    deliveries: pl.DataFrame
    row_balance: pl.DataFrame
    surveys: Mapping[str, Survey]
    question_versions: Mapping[str, QuestionVersion]
    targets: Mapping[str, Target]
    classifications: Mapping[str, Classification]
    versions: Mapping[str, str]
    collection: Mapping[str, tuple[datetime.date, datetime.date]]
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    sibling: Mapping[str, str] = field(default_factory=dict)
    notices: Sequence[Notice] = ()

    def __post_init__(self) -> None:
        """Blank what may not be printed.

        Raises:
            AxstatError: a mart is missing.
        """
        missing = [name for name in MARTS if name not in self.marts]
        if missing:
            raise AxstatError(
                "missing_mart",
                where="ReportData.marts",
                expected=", ".join(MARTS),
                got=f"no {', '.join(missing)}",
                hint="hand over every mart the report reads",
            )
        of_report = {name: _upto(self.marts[name], self.wave) for name in MARTS}
        for name in ("projection", "hindcast", "scenario"):
            of_report[name] = of_report[name].filter(pl.col("wave") == self.wave)
        object.__setattr__(self, "marts", blanked(of_report))

    def survey(self, survey: str) -> Survey:
        """The survey's contract."""
        return self.surveys[survey]

    def headline(self, survey: str, *, wave: int | None = None) -> Rate:
        """The figure on page one.

        Raises:
            AxstatError: the mart has no such row.
        """
        choice = self.surveys[survey].headline
        found = self.rates(
            survey,
            choice.domain_type,
            measure=choice.measure,
            base=choice.base,
            weighting=choice.unit_weighting,
            wave=wave,
        )
        if len(found) != 1:
            raise AxstatError(
                "headline",
                where=f"mart.adoption_rate, {survey}, wave {wave or self.wave}, {choice.domain_type}",
                expected="one row for the headline",
                got=f"{len(found)} rows",
                hint="run the wave again; the release cannot be printed without its headline",
            )
        return found[0]

    def rates(
        self,
        survey: str,
        domain_type: str,
        *,
        measure: str | None = None,
        base: str | None = None,
        weighting: str | None = None,
        wave: int | None = None,
    ) -> list[Rate]:
        """Estimates of one domain type in the order of `mart.domain`; defaults are the survey's headline."""
        choice = self.surveys[survey].headline
        rows = self._rates_by_key.get(
            (
                survey,
                self.wave if wave is None else wave,
                domain_type,
                measure or choice.measure,
                base or choice.base,
                weighting or choice.unit_weighting,
            ),
            (),
        )
        made = [self._rate(row) for row in rows]
        return sorted(made, key=lambda rate: self._domain_order[(survey, domain_type, rate.domain_code)])

    def series(self, survey: str) -> list[Rate]:
        """The headline's estimates of all waves, oldest first."""
        choice = self.surveys[survey].headline
        waves = sorted(
            wave
            for name, wave, domain_type, measure, base, weighting in self._rates_by_key
            if (name, domain_type, measure, base, weighting)
            == (survey, choice.domain_type, choice.measure, choice.base, choice.unit_weighting)
        )
        return [self.headline(survey, wave=wave) for wave in waves]

    def previous(self, rate: Rate) -> Rate | None:
        """The same estimate one wave earlier; None when there is none that may be printed or compared."""
        choice = self.surveys[rate.survey].headline
        earlier = self.rates(
            rate.survey,
            rate.domain_type,
            measure=rate.measure,
            base=choice.base,
            weighting=rate.unit_weighting,
            wave=rate.wave - 1,
        )
        for candidate in earlier:
            if candidate.domain_code == rate.domain_code and candidate.is_shown:
                return candidate if candidate.segment == rate.segment else None
        return None

    def domain_types(self, survey: str) -> list[str]:
        """Domain types of the survey's contract that have estimates in this wave, in the contract's order."""
        present = {key[2] for key in self._rates_by_key if key[0] == survey and key[1] == self.wave}
        return [domain.type for domain in self.surveys[survey].domains if domain.type in present]

    def measures(self, *, prefix: str = "") -> list[str]:
        """Measures whose name starts with `prefix`, in the order of `mart.measure`."""
        frame = self.marts["measure"].filter(pl.col("measure").str.starts_with(prefix)).sort("sort_order")
        return frame["measure"].to_list()

    def measure_text(self, measure: str, what: Literal["label", "definition"], language: str) -> str:
        """Label or definition of a measure."""
        return str(self._measures[measure][f"{what}_{language}"])

    def domain_row(self, survey: str, domain_type: str, domain_code: str) -> Mapping[str, object]:
        """The row of `mart.domain`.

        Raises:
            AxstatError: the mart has no such domain.
        """
        try:
            return self._domains[(survey, domain_type, domain_code)]
        except KeyError as error:
            raise AxstatError(
                "unlabelled_domain",
                where=f"mart.domain, {survey}, {domain_type}",
                expected="a row for every domain of mart.adoption_rate",
                got=f"none for {domain_code}",
                hint="add the code to its classification and run the wave again",
            ) from error

    def progress(self, rate: Rate) -> Mapping[str, Any] | None:
        """The row of `mart.progress` that belongs to an estimate, or None."""
        return self._progress.get(
            (rate.survey, rate.wave, rate.domain_type, rate.domain_code, rate.measure, rate.unit_weighting)
        )

    def projection(self, rate: Rate) -> pl.DataFrame:
        """The rows of `mart.projection` that belong to an estimate of this wave; none where it is suppressed."""
        return self.marts["projection"].filter(
            survey=rate.survey,
            domain_type=rate.domain_type,
            domain_code=rate.domain_code,
            measure=rate.measure,
            unit_weighting=rate.unit_weighting,
        )

    @cached_property
    def _domains(self) -> dict[tuple[str, str, str], Mapping[str, object]]:
        rows = self.marts["domain"].iter_rows(named=True)
        return {(row["survey"], row["domain_type"], row["domain_code"]): row for row in rows}

    @cached_property
    def _domain_order(self) -> dict[tuple[str, str, str], int]:
        ordered = self.marts["domain"].sort("survey", "domain_type", "sort_order", "domain_code")
        keys = ordered.select("survey", "domain_type", "domain_code").iter_rows()
        return {key: number for number, key in enumerate(keys)}

    @cached_property
    def _measures(self) -> dict[str, Mapping[str, object]]:
        return {row["measure"]: row for row in self.marts["measure"].iter_rows(named=True)}

    @cached_property
    def _progress(self) -> dict[tuple[object, ...], Mapping[str, Any]]:
        return {tuple(row[name] for name in PROGRESS_KEY): row for row in self.marts["progress"].iter_rows(named=True)}

    @cached_property
    def _rates_by_key(self) -> dict[tuple[Any, ...], list[Mapping[str, Any]]]:
        key = ("survey", "wave", "domain_type", "measure", "base", "unit_weighting")
        found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
        for row in self.marts["adoption_rate"].select(*key, *_OTHER_RATE_COLUMNS).iter_rows(named=True):
            found.setdefault(tuple(row[name] for name in key), []).append(row)
        return found

    def _rate(self, row: Mapping[str, object]) -> Rate:
        domain = self.domain_row(str(row["survey"]), str(row["domain_type"]), str(row["domain_code"]))
        return Rate(
            **{name: row[name] for name in _TAKEN_AS_THEY_ARE},  # type: ignore[arg-type]
            labels={"ko": str(domain["label_ko"]), "en": str(domain["label_en"])},
            reliability_reason=str(row["reliability_reason"] or ""),
            segment=str(row["comparability_segment"]),
            is_break=row["obs_status"] == "b",
            is_census=_CENSUS in str(row["reliability_reason"] or "").split(";"),
        )


def _upto(frame: pl.DataFrame, wave: int) -> pl.DataFrame:
    return frame.filter(pl.col("wave") <= wave) if "wave" in frame.columns else frame
