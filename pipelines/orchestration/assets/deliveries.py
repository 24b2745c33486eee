"""Deliveries into `raw.*`: which files count, their rows as sent, what they mean, and a register of every file."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.surveys import Survey
from pipelines.errors import ViolationsError
from pipelines.intake.codebook.contractor import delivered_codebook
from pipelines.intake.codebook.made import codebook_rows
from pipelines.intake.codebook.model import Codebook
from pipelines.intake.delivery import RawTable, read_delivery_file
from pipelines.intake.manifest import SelectedFile, look_for_deliveries, select_files
from pipelines.intake.register import file_register
from pipelines.orchestration.metadata import rows_by_table, table_markdown
from pipelines.orchestration.step_records import recorded
from pipelines.precheck.codebook import CodebookReport, compare_codebooks
from pipelines.precheck.codebook_told import as_page, remarks
from pipelines.precheck.known import last_codebook
from pipelines.reporting.numbers import Language
from pipelines.settings import Settings
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.session import Session

_CHECK = "codebook"
_READ_AT_ONCE = 2
_LANGUAGES: tuple[Language, ...] = ("en", "ko")


@dataclass(frozen=True)
class CurrentFile:
    """A file that counts: its rows, and the contractor's codebook of it, None where none was sent."""

    file: SelectedFile
    table: RawTable
    codebook: Codebook | None


def delivery_assets(survey: Survey, waves: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The raw files of one survey."""
    key = dg.AssetKey([survey.survey, "deliveries"])

    @dg.asset(
        key=key,
        check_specs=[
            dg.AssetCheckSpec(
                _CHECK,
                asset=key,
                blocking=False,
                description="No question was reworded under its old version, and no code has another meaning.",
            )
        ],
        group_name="deliveries",
        partitions_def=waves,
        pool="warehouse",
        kinds={"duckdb"},
        description=f"Files of the {survey.label_en}, as sent: raw.* and meta.delivery_file.",
    )
    @recorded
    def deliveries(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        library: dg.ResourceParam[ContractLibrary],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> dg.MaterializeResult:
        wave = int(context.partition_key)
        contracts = survey.contracts
        found = look_for_deliveries(settings.deliveries_dir)
        if violations := found.violations(survey=survey.survey, wave=wave):
            raise ViolationsError(f"deliveries of {survey.survey} {wave}", violations)
        for violation in found.unplaced:
            context.log.warning(f"not taken for a delivery of this wave: {violation}")
        selected = select_files(
            found.manifests,
            survey=survey.survey,
            wave=wave,
            contracts=(contracts.response, contracts.sample, contracts.frame),
        )
        try:
            current = read_current(selected, library, survey=survey.survey, wave=wave)
        except ViolationsError as error:
            with warehouse.session() as session:
                register = file_register(selected, rejected=error)
                session.replace("meta.delivery_file", register, where={"survey": survey.survey, "wave": wave})
            raise
        with warehouse.session() as session:
            register = file_register(selected)
            session.replace("meta.delivery_file", register, where={"survey": survey.survey, "wave": wave})
            for one in current:
                session.replace(
                    f"raw.{one.table.contract}",
                    one.table.frame,
                    where={"survey": survey.survey, "wave": wave, "file_sha256": one.file.entry.sha256},
                )
            reports = [_compare(session, one, library) for one in current]
        for one, report in zip(current, reports, strict=True):
            for warning in (*one.table.warnings, *remarks(report)):
                context.log.warning(str(warning))
        pages = _write_pages(settings, reports, survey=survey.survey, wave=wave)
        return dg.MaterializeResult(
            metadata={
                **rows_by_table({f"raw.{one.table.contract}": one.table.frame.height for one in current}),
                "files": table_markdown(register.select("contract", "delivery", "file_name", "rows_in", "status")),
                "codebooks": table_markdown(_differences(reports)),
                **{f"codebook comparison ({page.suffixes[0][1:]})": dg.MetadataValue.path(str(page)) for page in pages},
            },
            check_results=[_checked(key, reports)],
        )

    return [deliveries]


def read_current(
    selected: Sequence[SelectedFile], library: ContractLibrary, *, survey: str, wave: int
) -> list[CurrentFile]:
    """Every current file of a survey and wave.

    Raises:
        ViolationsError: what is wrong with all of them, at once.
    """

    def read(file: SelectedFile) -> CurrentFile | ViolationsError:
        contract = library.deliveries[file.entry.contract]
        try:
            table = read_delivery_file(file.manifest, file.entry, contract, survey=survey, wave=wave)
            return CurrentFile(file, table, delivered_codebook(file.manifest, file.entry, library.codebooks, contract))
        except ViolationsError as error:
            return error

    # Most readers wait for a process of their own
    with ThreadPoolExecutor(max_workers=_READ_AT_ONCE) as pool:
        found = list(pool.map(read, [file for file in selected if file.status == "current"]))
    violations = [fault for one in found if isinstance(one, ViolationsError) for fault in one.violations]
    if violations:
        raise ViolationsError(f"deliveries of {survey} {wave}", violations)
    return [one for one in found if isinstance(one, CurrentFile)]


def _compare(session: Session, one: CurrentFile, library: ContractLibrary) -> CodebookReport:
    """Hold a file's variables against all that is known of them, and store them for the next wave."""
    manifest, contract = one.file.manifest, library.deliveries[one.table.contract]
    scope = {"survey": manifest.survey, "wave": manifest.wave, "contract": contract.name}
    report = compare_codebooks(
        one.table.labels,
        one.codebook,
        contract,
        file=manifest.where(one.file.entry),
        manifest=manifest,
        previous=last_codebook(session, contract.name, survey=manifest.survey, wave=manifest.wave),
    )
    rows = codebook_rows(report.whole).with_columns(
        pl.lit(manifest.survey).alias("survey"),
        pl.lit(manifest.wave, dtype=pl.Int32).alias("wave"),
        pl.lit(contract.name).alias("contract"),
        pl.lit(one.file.entry.sha256).alias("file_sha256"),
    )
    session.replace("raw.codebook", rows, where=scope)
    return report


def _write_pages(settings: Settings, reports: Sequence[CodebookReport], *, survey: str, wave: int) -> list[Path]:
    settings.codebook_reports_dir.mkdir(parents=True, exist_ok=True)
    pages = []
    for language in _LANGUAGES:
        page = settings.codebook_reports_dir / f"{survey}-{wave}.{language}.html"
        page.write_text(as_page(reports, language, template_dir=settings.annual_dir), encoding="utf-8")
        pages.append(page)
    return pages


def _differences(reports: Sequence[CodebookReport]) -> pl.DataFrame:
    """How many differences there are: contract, against, gravity, difference, count."""
    rows = [
        (report.contract, comparison.old.source, one.gravity, one.kind)
        for report in reports
        for comparison in report.comparisons
        for one in comparison.differences
    ]
    names = ("contract", "against", "gravity", "difference")
    return (
        pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
        .group_by(names)
        .len("count")
        .sort(names)
    )


def _checked(asset: dg.AssetKey, reports: Sequence[CodebookReport]) -> dg.AssetCheckResult:
    grave = [
        violation
        for report in reports
        for violation in remarks(report)
        if violation.code in ("question_changed", "code_reused")
    ]
    return dg.AssetCheckResult(
        check_name=_CHECK,
        asset_key=asset,
        passed=not grave,
        severity=dg.AssetCheckSeverity.WARN,
        description="\n".join(map(str, grave)) or "no reworded question, no code with another meaning",
        metadata={"differences": len(grave)},
    )
