"""A release that may go out, as the gate sees it, and what a rule says of it.

Belongs here: the two types between the gate, its rules and publishing. Does not belong here: any rule (rules), the
order in which they are asked (gate).
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.signed import Override
from pipelines.errors import AxstatError, Violation
from pipelines.reporting.data import ReportData
from pipelines.reporting.numbers import Language


@dataclass(frozen=True)
class FailedCheck:
    """A blocking check that found rows; `survey` is None where it looks at all."""

    check: str
    survey: str | None
    rows: pl.DataFrame


@dataclass(frozen=True)
class Reason:
    """Why a rule refuses. `subject`: survey, domain type and domain code that an explanation can be given for."""

    rule: str
    violation: Violation
    subject: tuple[str, str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class WrittenFiles:
    """The candidate's folder, what was printed into it, and the folder of the templates it was printed by."""

    folder: Path
    data: ReportData
    template_dir: Path


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What the gate judges.

    Attributes:
        release: the vintage it would become.
        marts: by name without schema, waves up to `wave`, as they are published.
        failed_checks: of the wave's blocking checks, those that found something.
        now: the moment of asking, with its offset from UTC.
        written: its files; None before they are written.
        overrides: all that were given for this release.
    """

    release: str
    wave: int
    library: ContractLibrary
    marts: Mapping[str, pl.DataFrame]
    failed_checks: Sequence[FailedCheck]
    now: datetime.datetime
    overrides: Sequence[Override] = ()
    written: WrittenFiles | None = None

    @property
    def files(self) -> WrittenFiles:
        """Its files.

        Raises:
            AxstatError: they are not written yet.
        """
        if self.written is None:
            raise AxstatError(
                "no_files",
                where=f"release {self.release}",
                expected="the candidate's files",
                got="a candidate that is not written yet",
                hint="judge by files after writing them",
            )
        return self.written

    def domain_labels(
        self, survey: str, domain_type: str, domain_code: str, languages: Sequence[Language]
    ) -> dict[Language, str]:
        """Names of a domain with its survey's; its code where `mart.domain` has none."""
        contract = self.library.surveys[survey]
        named = self.marts["domain"].filter(survey=survey, domain_type=domain_type, domain_code=domain_code)
        found = {}
        for language in languages:
            label = named[f"label_{language}"][0] if named.height else domain_code
            found[language] = f"{getattr(contract, f'short_label_{language}')}, {label}"
        return found
