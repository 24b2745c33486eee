"""One wave's release: the marts in every form, the report, and the manifest, published as a whole or not at all.

Belongs here: what a release folder holds, and whether a new one is needed. Does not belong here: how a form is
written (warehouse, reporting), or where the numbers come from (estimates).
"""

import datetime
import hashlib
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.signed import Override
from pipelines.release.candidate import Candidate, FailedCheck, WrittenFiles
from pipelines.release.causes import Cause, causes
from pipelines.release.completion import with_history, with_own_indicators
from pipelines.release.forms import write_forms
from pipelines.release.gate import RefusedError, Verdict, judge_files, judge_rows, notices, overrides_of
from pipelines.release.history import ORDER, past_releases
from pipelines.release.packages import needed_by
from pipelines.release.printing import PRINTED, printing
from pipelines.release.protection import Leak
from pipelines.release.provenance import PROVENANCE, provenance
from pipelines.release.revision_causes import survey_settings
from pipelines.release.sbom import SBOM, write_sbom
from pipelines.release.vintages import (
    MANIFEST,
    Vintage,
    candidate_folder,
    content_sha256,
    file_sha256,
    folder_sha256,
    last_vintage,
    new_vintage,
    point_latest,
    publishing,
    read_manifest,
    vintages,
)
from pipelines.reporting.data import ReportData
from pipelines.reporting.html import render_report
from pipelines.reporting.notices import Notice
from pipelines.reporting.numbers import Language
from pipelines.reporting.revisions import correction_notice
from pipelines.reporting.texts import Texts
from pipelines.reporting.workbook import write_workbook
from pipelines.settings import Settings
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.published import export_csv, export_parquet, write_published

LANGUAGES: tuple[Language, ...] = ("ko", "en")


@dataclass(frozen=True)
class Published:
    """A release; `new` is False where the content equals that of the last vintage, which then stands."""

    vintage: Vintage
    folder: Path
    new: bool


@dataclass(frozen=True, kw_only=True)
class ReleaseInput:
    """All that a release rests on, read from the warehouse in one session (`reading.read_release`).

    Attributes:
        marts: published tables by name without schema, waves up to the release's, without what may not be printed
            (`printable`) and in the form in which they are published (`publishable`).
        deliveries, row_balance: `meta.*` of the same waves.
        leaks: what the audit of confidential cells found in them.
        edit_files: survey, wave, edit_sha256 of the same waves.
        rests_on: fingerprint of what each wave rests on, by survey and wave.
        failed_checks: blocking checks of the wave that found something.
        notices: what persons answer for in this release; made when it is judged.
    """

    wave: int
    marts: Mapping[str, pl.DataFrame]
    deliveries: pl.DataFrame
    row_balance: pl.DataFrame
    leaks: Sequence[Leak]
    edit_files: pl.DataFrame
    rests_on: Mapping[str, Mapping[int, str]]
    failed_checks: Sequence[FailedCheck]
    notices: Sequence[Notice] = ()

    @property
    def synthetic(self) -> bool:
        """True when any file that counts is synthetic."""
        return bool(self.deliveries["synthetic"].any())


def publish(
    settings: Settings,
    library: ContractLibrary,
    given: ReleaseInput,
    *,
    now: datetime.datetime,
    overrides: Sequence[Override] = (),
) -> Published:
    """Publish a wave: a new vintage if it changed and the gate lets it out, and `latest` to the newest wave's.

    Args:
        now: the moment of asking (`gate.utc_now`); decides whether the calendar lets it out, and is written nowhere.
        overrides: told on the command line, beside those of the contract file.

    Raises:
        RefusedError: the gate refuses; nothing is published then, as with every other error.
        AxstatError: a part cannot be written; an override of a rule that cannot be overridden.
    """
    published = settings.published_dir
    with publishing(published, settings.pre_access_dir):
        candidate, by_rows, given, content = _prepared(settings, library, given, now=now, overrides=overrides)
        last = last_vintage(published, given.wave)
        if last is not None and content_sha256(published, last) == content:
            point_latest(published)
            return Published(last, published / str(last), new=False)
        vintage = next_vintage(published, given.wave)
        _require_a_date(library, by_rows, given.wave)
        with new_vintage(published, vintage) as folder:
            verdict = _build(folder, vintage, settings, given, candidate, by_rows)
            verdict.require_passed()
            _write_manifest(folder, vintage, settings, library, given, content, verdict)
        point_latest(published)
        return Published(vintage, published / str(vintage), new=True)


def rehearse(
    settings: Settings,
    library: ContractLibrary,
    given: ReleaseInput,
    *,
    now: datetime.datetime,
    overrides: Sequence[Override] = (),
) -> Verdict:
    """What `publish` would be told by the gate: the candidate is written, judged and thrown away.

    Raises:
        AxstatError: as `publish`, but for the refusal, which is the result.
    """
    with publishing(settings.published_dir, settings.pre_access_dir):
        candidate, by_rows, given, _ = _prepared(settings, library, given, now=now, overrides=overrides)
        if given.wave not in library.calendar.publication_dates:
            return by_rows
        vintage = next_vintage(settings.published_dir, given.wave)
        with candidate_folder(settings.published_dir, vintage) as folder:
            return _build(folder, vintage, settings, given, candidate, by_rows)


@contextmanager
def write_candidate(
    settings: Settings,
    library: ContractLibrary,
    given: ReleaseInput,
    *,
    now: datetime.datetime,
    overrides: Sequence[Override] = (),
) -> Iterator[Path]:
    """The next release, whole and judged, in a folder of `settings.pre_access_dir` that is gone at the block's end.

    Raises:
        RefusedError: for another reason than that its moment has not come.
        AxstatError: as `publish`.
    """
    with publishing(settings.published_dir, settings.pre_access_dir):
        candidate, by_rows, given, content = _prepared(settings, library, given, now=now, overrides=overrides)
        vintage = next_vintage(settings.published_dir, given.wave)
        with candidate_folder(settings.pre_access_dir, vintage) as folder:
            verdict = _build(folder, vintage, settings, given, candidate, by_rows)
            refusal = RefusedError(verdict)
            if not refusal.held:
                raise refusal
            _write_manifest(folder, vintage, settings, library, given, content, verdict)
            yield folder


def next_vintage(published: Path, wave: int) -> Vintage:
    """The vintage that the wave's next release would be."""
    last = last_vintage(published, wave)
    return Vintage(wave, 1 if last is None else last.number + 1)


def _prepared(
    settings: Settings,
    library: ContractLibrary,
    given: ReleaseInput,
    *,
    now: datetime.datetime,
    overrides: Sequence[Override],
) -> tuple[Candidate, Verdict, ReleaseInput, str]:
    """The candidate before its files, what the gate says of its rows, the input with its notices, and its content.

    An override is no content: it is for one vintage, and with it gone the release that it let out still stands.
    """
    vintage = next_vintage(settings.published_dir, given.wave)
    release = str(vintage)
    statements = SqlCatalogue(settings.sql_dir)
    given = replace(given, marts=with_own_indicators(given.marts, library=library, statements=statements))
    whole = with_history(
        given.marts,
        given.deliveries,
        past_releases(settings.published_dir),
        vintage=vintage,
        basis=_basis(settings, library, given),
        library=library,
        statements=statements,
    )
    candidate = Candidate(
        release=release,
        wave=given.wave,
        library=library,
        marts=whole,
        failed_checks=given.failed_checks,
        leaks=given.leaks,
        now=now,
        overrides=overrides_of(library, release, overrides),
    )
    by_rows = judge_rows(candidate)
    given = replace(given, notices=notices(by_rows, candidate, LANGUAGES))
    # Without what is taken from the releases that stand already: they alone are no reason for a new one
    content = _content(settings, library, given)
    return candidate, by_rows, replace(given, marts=whole), content


def _build(
    folder: Path, vintage: Vintage, settings: Settings, given: ReleaseInput, candidate: Candidate, by_rows: Verdict
) -> Verdict:
    """Write every file but the manifest, and judge the whole."""
    library = candidate.library
    data = _report_data(vintage, settings, library, given)
    # The database writes the tables while Python makes the pages
    with ThreadPoolExecutor(max_workers=1) as pool:
        tables = pool.submit(_write_tables, folder, data, settings, library, given)
        with printing(folder, data, template_dir=settings.annual_dir):
            _write_pages(folder, data, settings, library)
            tables.result()
            written = WrittenFiles(folder=folder, data=data, template_dir=settings.annual_dir)
            return judge_files(replace(candidate, written=written), by_rows)


def _require_a_date(library: ContractLibrary, by_rows: Verdict, wave: int) -> None:
    """Without a date of publication nothing can be printed, and the files cannot be judged.

    Raises:
        RefusedError: with what was found so far, the missing date among it.
    """
    if wave not in library.calendar.publication_dates:
        raise RefusedError(by_rows)


def _content(settings: Settings, library: ContractLibrary, given: ReleaseInput) -> str:
    """Hash of everything a reader could see change: rows, what they rest on, and the words around them."""
    digest = hashlib.sha256()
    for name, frame in sorted(given.marts.items()):
        digest.update(f"{name}\n{frame.write_csv()}".encode())
    for name, frame in (("deliveries", given.deliveries), ("row_balance", given.row_balance)):
        digest.update(f"{name}\n{frame.write_csv()}".encode())
    digest.update(repr(sorted(library.versions.items())).encode())
    digest.update(library.outputs.model_dump_json().encode())
    digest.update(repr([notice for notice in given.notices if notice.kind == "explanation"]).encode())
    digest.update(_words_sha256(settings).encode())
    return digest.hexdigest()


def _words_sha256(settings: Settings) -> str:
    """Hash of the report's words, templates and styles."""
    digest = hashlib.sha256()
    for path in sorted(settings.annual_dir.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(settings.annual_dir).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def _write_pages(folder: Path, data: ReportData, settings: Settings, library: ContractLibrary) -> None:
    """Workbook, report, where each table is from, and what all was made with."""
    write_workbook(data, folder / "axstat.xlsx", template_dir=settings.annual_dir)
    for language in LANGUAGES:
        text = render_report(data, language, template_dir=settings.annual_dir)
        (folder / f"report.{language}.html").write_text(text, encoding="utf-8")
    made_by = provenance(library, SqlCatalogue(settings.sql_dir))
    text = json.dumps(made_by, ensure_ascii=False, indent=1, sort_keys=True)
    (folder / PROVENANCE).write_text(text + "\n", encoding="utf-8")
    write_sbom(
        needed_by("axstat"),
        folder / SBOM,
        root="axstat",
        published=library.calendar.publication_moment(data.wave),
        lock_sha256=_lock_sha256(settings),
    )


def _write_tables(
    folder: Path, data: ReportData, settings: Settings, library: ContractLibrary, given: ReleaseInput
) -> None:
    write_published(
        {f"mart.{name}": frame for name, frame in given.marts.items()},
        folder / "axstat.duckdb",
        library,
        synthetic=given.synthetic,
        macros=SqlCatalogue(settings.sql_dir).layer("published"),
    )
    for form in ("parquet", "csv"):
        (folder / form).mkdir()
    for name, frame in given.marts.items():
        export_parquet(frame, folder / "parquet" / f"{name}.parquet")
        export_csv(frame, folder / "csv" / f"{name}.csv")
    write_forms(folder, library, given.marts, data)


def _report_data(vintage: Vintage, settings: Settings, library: ContractLibrary, given: ReleaseInput) -> ReportData:
    current = given.deliveries.filter((pl.col("wave") == given.wave) & (pl.col("status") == "current"))
    collection = {
        survey: (start, end)
        for survey, start, end in current.group_by("survey")
        .agg(pl.col("collection_start").min(), pl.col("collection_end").max())
        .iter_rows()
    }
    return ReportData(
        wave=given.wave,
        release=str(vintage),
        synthetic=given.synthetic,
        publication_date=library.calendar.publication_date(given.wave),
        marts=given.marts,
        deliveries=given.deliveries,
        row_balance=given.row_balance,
        surveys=library.surveys,
        question_versions=library.question_versions,
        targets=library.targets,
        classifications=library.classifications,
        versions={"git revision": git_revision() or f"axstat {version('axstat')}", **library.versions},
        collection=collection,
        files=_printed_files(settings),
        sibling={language: f"report.{language}.html" for language in LANGUAGES},
        notices=given.notices,
    )


def _write_manifest(
    folder: Path,
    vintage: Vintage,
    settings: Settings,
    library: ContractLibrary,
    given: ReleaseInput,
    content: str,
    verdict: Verdict,
) -> None:
    manifest = _manifest(folder, vintage, settings, library, given, content)
    manifest["gate"] = {
        "judged": verdict.judged,
        "overrides": [override.model_dump() for override in verdict.overrides],
        "answered_for": [str(finding) for finding in verdict.findings if not finding.refuses],
    }
    manifest[ORDER] = len(past_releases(settings.published_dir)) + 1
    data = _report_data(vintage, settings, library, given)
    manifest["corrections"] = {
        language: correction_notice(data, Texts(settings.annual_dir, language)) for language in LANGUAGES
    }
    manifest["because"] = [asdict(cause) for cause in _because(settings, vintage, manifest)]
    text = json.dumps(manifest, ensure_ascii=False, indent=2, sort_keys=True, default=str)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _because(settings: Settings, vintage: Vintage, manifest: Mapping[str, Any]) -> list[Cause]:
    """Why there is a new vintage; empty for the first of a wave."""
    if vintage.number == 1:
        return []
    before = read_manifest(settings.published_dir, Vintage(vintage.wave, vintage.number - 1))
    # As it will be read: dates as text, numbers of waves as keys in quotes
    return causes(before, json.loads(json.dumps(manifest, default=str)))


def _printed_files(settings: Settings) -> dict[str, dict[str, str]]:
    """The printed forms by file name, with what each is in every language."""
    words = {language: Texts(settings.annual_dir, language) for language in LANGUAGES}
    return {
        name: {
            reader: texts(f"provenance.printed.{Path(name).suffix[1:]}", language=texts(f"common.language.{language}"))
            for reader, texts in words.items()
        }
        for name, (language, _) in PRINTED.items()
    }


def _manifest(
    folder: Path,
    vintage: Vintage,
    settings: Settings,
    library: ContractLibrary,
    given: ReleaseInput,
    content: str,
) -> dict[str, Any]:
    """What the release is, what it was made from, and what is in it. Holds no run time and no path."""
    return {
        "release": str(vintage),
        "wave": given.wave,
        "synthetic": given.synthetic,
        "publication_date": library.calendar.publication_date(given.wave).isoformat(),
        "content_sha256": content,
        **_basis(settings, library, given),
        "rests_on": given.rests_on,
        "outside_series": folder_sha256(settings.benchmarks_dir),
        "vintages_before": {
            str(before): file_sha256(settings.published_dir / str(before) / MANIFEST)
            for before in vintages(settings.published_dir)
        },
        "rows": {
            "balance": given.row_balance.to_dicts(),
            "marts": {name: frame.height for name, frame in sorted(given.marts.items())},
        },
        "files": folder_sha256(folder),
    }


def _basis(settings: Settings, library: ContractLibrary, given: ReleaseInput) -> dict[str, Any]:
    """What the numbers rest on: the part of the manifest by which a change between two releases is explained."""
    return {
        "made_with": {
            "axstat": version("axstat"),
            "git_revision": git_revision(),
            "lock_sha256": _lock_sha256(settings),
            "contracts": dict(library.versions),
            "settings": survey_settings(library),
            "words_sha256": _words_sha256(settings),
        },
        "deliveries": given.deliveries.to_dicts(),
        "edit_files": given.edit_files.sort("survey", "wave", "edit_sha256").to_dicts(),
    }


def _lock_sha256(settings: Settings) -> str | None:
    return None if settings.lock_file is None else file_sha256(settings.lock_file)


def git_revision() -> str | None:
    """Revision of the checkout, with `-dirty` if files were changed; None outside a checkout or without git."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()
