"""One wave's release: the marts in every form, the report, and the manifest, published as a whole or not at all.

Belongs here: what a release folder holds, and whether a new one is needed. Does not belong here: how a form is
written (warehouse, reporting), or where the numbers come from (estimates).
"""

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError
from pipelines.release.protection import Leak
from pipelines.release.vintages import (
    MANIFEST,
    Vintage,
    content_sha256,
    last_vintage,
    new_vintage,
    point_latest,
)
from pipelines.reporting.data import ReportData
from pipelines.reporting.html import render_report
from pipelines.reporting.numbers import Language
from pipelines.reporting.pdf import render_pdf
from pipelines.reporting.share import render_share
from pipelines.reporting.texts import Texts
from pipelines.reporting.workbook import write_workbook
from pipelines.settings import Settings
from pipelines.warehouse.published import export_csv, export_parquet, write_published

LANGUAGES: tuple[Language, ...] = ("ko", "en")
# Files beside the report's HTML, a language each; what they are stands in the texts under provenance.printed
_PRINTED = {"report.{language}.pdf": render_pdf, "share.{language}.png": render_share}


@dataclass(frozen=True)
class Published:
    """A release; `new` is False where the content equals that of the last vintage, which then stands."""

    vintage: Vintage
    folder: Path
    new: bool


@dataclass(frozen=True)
class ReleaseInput:
    """All that a release rests on, read from the warehouse in one session.

    Attributes:
        marts: published tables by name without schema, waves up to the release's, without what may not be printed
            (`printable`) and in the form in which they are published (`publishable`).
        deliveries, row_balance: `meta.*` of the same waves.
        leaks: what the audit of confidential cells found in them.
    """

    wave: int
    marts: Mapping[str, pl.DataFrame]
    deliveries: pl.DataFrame
    row_balance: pl.DataFrame
    leaks: Sequence[Leak] = ()

    @property
    def synthetic(self) -> bool:
        """True when any file that counts is synthetic."""
        return bool(self.deliveries["synthetic"].any())


def publish(settings: Settings, library: ContractLibrary, given: ReleaseInput) -> Published:
    """Publish a wave: a new vintage if anything in it changed, and `latest` to the newest wave's.

    Raises:
        AxstatError: if a part cannot be written; nothing is published then.
    """
    # What an earlier vintage tells alone cannot be taken back by withholding a release
    if told := [leak for leak in given.leaks if not leak.before]:
        raise AxstatError(
            "disclosure",
            where=f"release of wave {given.wave}",
            expected="tables that keep every confidential cell open",
            got=f"{len(told)} cell(s) told too closely: " + "; ".join(str(leak) for leak in told[:10]),
            hint="run the wave's estimates again, so that its cells are protected anew",
        )
    published = settings.published_dir
    content = _content(settings, library, given)
    last = last_vintage(published, given.wave)
    if last is not None and content_sha256(published, last) == content:
        point_latest(published)
        return Published(last, published / str(last), new=False)
    vintage = Vintage(given.wave, 1 if last is None else last.number + 1)
    with new_vintage(published, vintage) as folder:
        _write(folder, vintage, settings, library, given)
        manifest = _manifest(folder, vintage, settings, library, given, content)
        text = json.dumps(manifest, ensure_ascii=False, indent=2, sort_keys=True, default=str)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    point_latest(published)
    return Published(vintage, published / str(vintage), new=True)


def _content(settings: Settings, library: ContractLibrary, given: ReleaseInput) -> str:
    """Hash of everything a reader could see change: rows, what they rest on, and the words around them."""
    digest = hashlib.sha256()
    for name, frame in sorted(given.marts.items()):
        digest.update(f"{name}\n{frame.write_csv()}".encode())
    for name, frame in (("deliveries", given.deliveries), ("row_balance", given.row_balance)):
        digest.update(f"{name}\n{frame.write_csv()}".encode())
    digest.update(repr(sorted(library.versions.items())).encode())
    for path in sorted(settings.annual_dir.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(settings.annual_dir).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def _write(folder: Path, vintage: Vintage, settings: Settings, library: ContractLibrary, given: ReleaseInput) -> None:
    data = _report_data(vintage, settings, library, given)
    # The database writes the tables while Python makes the report
    with ThreadPoolExecutor(max_workers=1) as pool:
        tables = pool.submit(_write_tables, folder, library, given)
        write_workbook(data, folder / "axstat.xlsx", template_dir=settings.annual_dir)
        for language in LANGUAGES:
            text = render_report(data, language, template_dir=settings.annual_dir)
            (folder / f"report.{language}.html").write_text(text, encoding="utf-8")
            for name, render in _PRINTED.items():
                printed = render(data, language, template_dir=settings.annual_dir)
                (folder / name.format(language=language)).write_bytes(printed)
        tables.result()


def _write_tables(folder: Path, library: ContractLibrary, given: ReleaseInput) -> None:
    write_published(
        {f"mart.{name}": frame for name, frame in given.marts.items()},
        folder / "axstat.duckdb",
        library,
        synthetic=given.synthetic,
    )
    for form in ("parquet", "csv"):
        (folder / form).mkdir()
    for name, frame in given.marts.items():
        export_parquet(frame, folder / "parquet" / f"{name}.parquet")
        export_csv(frame, folder / "csv" / f"{name}.csv")


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
    )


def _printed_files(settings: Settings) -> dict[str, dict[str, str]]:
    """The printed forms by file name, with what each is in every language."""
    words = {language: Texts(settings.annual_dir, language) for language in LANGUAGES}
    return {
        name.format(language=language): {
            reader: texts(f"provenance.printed.{Path(name).suffix[1:]}", language=texts(f"common.language.{language}"))
            for reader, texts in words.items()
        }
        for name in _PRINTED
        for language in LANGUAGES
    }


def _manifest(
    folder: Path,
    vintage: Vintage,
    settings: Settings,
    library: ContractLibrary,
    given: ReleaseInput,
    content: str,
) -> dict[str, object]:
    """What the release is, what it was made from, and what is in it. Holds no run time and no path."""
    lock = settings.lock_file
    return {
        "release": str(vintage),
        "wave": given.wave,
        "synthetic": given.synthetic,
        "publication_date": library.calendar.publication_date(given.wave).isoformat(),
        "content_sha256": content,
        "made_with": {
            "axstat": version("axstat"),
            "git_revision": git_revision(),
            "lock_sha256": hashlib.sha256(lock.read_bytes()).hexdigest() if lock else None,
            "contracts": dict(library.versions),
        },
        "deliveries": given.deliveries.to_dicts(),
        "rows": {
            "balance": given.row_balance.to_dicts(),
            "marts": {name: frame.height for name, frame in sorted(given.marts.items())},
        },
        "files": {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    }


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
