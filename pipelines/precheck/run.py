"""One file, checked as a delivery of it would be, before it is one.

Belongs here: the order of the checks, the verdict. Does not belong here: any rule (contracts, intake, quality), how
findings are told (letter).

The file is read, typed and checked by the code that a run uses, in a warehouse of its own that is thrown away, beside
a copy of what the data home knows.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from pipelines.contracts.file_faults import FileFault
from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.models import RuleInput
from pipelines.contracts.surveys import Survey
from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.intake.codebook.contractor import delivered_codebook
from pipelines.intake.delivery import RawTable, read_delivery_file
from pipelines.intake.form import FileForm
from pipelines.intake.formats.dispatch import read_table
from pipelines.intake.manifest import MANIFEST_NAME, Manifest, ManifestFile, SelectedFile, read_manifest
from pipelines.intake.register import file_register
from pipelines.precheck.codebook import compare_codebooks
from pipelines.precheck.codebook_told import difference_texts, remarks
from pipelines.precheck.fault_texts import EXAMPLES, Verdict, fault_texts, rule_texts
from pipelines.precheck.known import Known, known_rows
from pipelines.quality.findings import Checked
from pipelines.quality.rows import KEEPS_OUT, QualityResult, check_rows
from pipelines.settings import Settings
from pipelines.stats.terms import unknown_name
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.reference import load_reference
from pipelines.warehouse.rules import RuleRun, run_rules


@dataclass(frozen=True)
class NotChecked:
    """A rule that was not run, and what it needs that is not there: ``frame``, ``sample``, ``previous``."""

    rule: str
    message_ko: str
    message_en: str
    missing: tuple[RuleInput, ...]


@dataclass(frozen=True)
class FileCheck:
    """What was found in a file.

    Attributes:
        rows: data rows; None where the file could not be read.
        violations: file rules that are broken: the delivery would be refused. warnings: what to look at though the
            file would be taken. texts: what their codes mean, by code.
        rules: one row a broken rule on rows: rule, severity ('error', 'fail_file': these rows would be kept out),
            column, rows, message_ko, message_en, action_ko, action_en, examples (the first row numbers, from 1 without
            header rows).
        rows_kept_out: rows with at least one error. synthetic: the manifest says that the data are made up.
        not_checked: rules that need a file or wave which the data home does not have.
        home_problem: why the data home's warehouse could not be asked; None where it could, or there is none.
    """

    file: str
    survey: str
    wave: int
    contract: str
    rows: int | None
    violations: tuple[Violation, ...]
    warnings: tuple[Violation, ...]
    texts: Mapping[str, FileFault]
    rules: pl.DataFrame
    rows_kept_out: int
    synthetic: bool
    not_checked: tuple[NotChecked, ...] = ()
    home_problem: str | None = None

    @property
    def verdict(self) -> Verdict:
        """'reject' where a file rule is broken, 'remarks' where rows or the person who sent them need a look."""
        if self.violations:
            return "reject"
        return "remarks" if self.warnings or self.rules.height else "accept"


@dataclass(frozen=True)
class SentAs:
    """A file's manifest and entry; where they were not `announced` but made up, the entry's rows are not counted."""

    manifest: Manifest
    entry: ManifestFile
    announced: bool


def check_file(
    path: Path,
    settings: Settings,
    library: ContractLibrary,
    *,
    survey: str,
    wave: int,
    contract: str | None = None,
    form: FileForm | None = None,
) -> FileCheck:
    """Check a file against a delivery contract.

    Args:
        path: the file. Where a manifest beside it names it, the file is held to that; else its hash and number of
            rows are taken as they are.
        contract: its contract; None: what the manifest says, else the survey's answers.
        form: how to read it; None: as the manifest says, else by its name and content.

    Raises:
        AxstatError: no such file, survey, wave or contract; a manifest that cannot be read.
    """
    sent = as_delivered(path, library, survey=survey, wave=wave, contract=contract, form=form)
    entry = sent.entry
    if not sent.announced:
        entry = entry.model_copy(update={"rows": _rows_in(path, entry)})
    return _check(sent.manifest, entry, settings, library, survey=survey, wave=wave)


def as_delivered(
    path: Path,
    library: ContractLibrary,
    *,
    survey: str,
    wave: int,
    contract: str | None = None,
    form: FileForm | None = None,
) -> SentAs:
    """A file's manifest and its entry there: those beside it where they name it, else made up.

    Raises:
        AxstatError: no such file, survey, wave or contract; a manifest that cannot be read.
    """
    if not path.is_file():
        raise AxstatError(
            "no_such_file", where=str(path), expected="a file", got="none", hint="check the path that is asked for"
        )
    _require(survey, library.surveys, "unknown_survey", "--survey")
    asked = library.surveys[survey]
    if wave < asked.first_wave:
        raise AxstatError(
            "wave_before_the_first",
            where="--wave",
            expected=f"{asked.first_wave} or later",
            got=str(wave),
            hint="check the survey's reference year",
        )
    manifest, entry = _manifest(path, form) or (None, None)
    names = (asked.contracts.frame, asked.contracts.sample, asked.contracts.response)
    chosen = contract or (entry.contract if entry is not None else asked.contracts.response)
    _require(chosen, names, "unknown_contract", "--contract")
    if manifest is None or entry is None or entry.contract != chosen:
        return _made_up(path, asked, wave, chosen, form or FileForm())
    return SentAs(manifest, entry, announced=True)


def _require(name: str, known: Collection[str], code: str, option: str) -> None:
    if name not in known:
        fault = unknown_name(code, option, "one of the contracts' names", name, list(known))
        raise ViolationsError("axstat check", [fault])


def _manifest(path: Path, form: FileForm | None) -> tuple[Manifest, ManifestFile] | None:
    """The manifest beside the file and its entry, if it names the file and nothing else is asked for."""
    if form is not None or not (path.parent / MANIFEST_NAME).is_file():
        return None
    manifest = read_manifest(path.parent)
    return next(((manifest, entry) for entry in manifest.files if entry.file == path.name), None)


def _made_up(path: Path, survey: Survey, wave: int, contract: str, form: FileForm) -> SentAs:
    """A manifest that says of the file what is so, but for the number of rows."""
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    entry = ManifestFile(
        file=path.name,
        contract=contract,
        sha256=sha256,
        rows=0,
        **form.model_dump(),
    )
    manifest = Manifest(
        delivery="check",
        survey=survey.survey,
        wave=wave,
        sequence=1,
        question_version=survey.question_version(wave),
        tech_list_version=survey.tech_list_version(wave),
        collection_start=date(wave, 1, 1),
        collection_end=date(wave, 12, 31),
        sender="axstat check",
        synthetic=False,
        files=(entry,),
        folder=path.parent.absolute(),
    )
    return SentAs(manifest, entry, announced=False)


def _rows_in(path: Path, entry: ManifestFile) -> int:
    try:
        return read_table(path, entry, file=path.name).frame.height
    except ViolationsError:
        return 0  # what is wrong is said when the file is read as a delivery


def _check(
    manifest: Manifest, entry: ManifestFile, settings: Settings, library: ContractLibrary, *, survey: str, wave: int
) -> FileCheck:
    contract = library.deliveries[entry.contract]
    try:
        table = read_delivery_file(manifest, entry, contract, survey=survey, wave=wave)
        sent = delivered_codebook(manifest, entry, library.codebooks, contract)
    except ViolationsError as error:
        return FileCheck(
            file=entry.file,
            survey=survey,
            wave=wave,
            contract=contract.name,
            rows=None,
            violations=error.violations,
            warnings=(),
            texts=fault_texts(error.violations, library.file_faults),
            rules=_rules(None),
            rows_kept_out=0,
            synthetic=manifest.synthetic,
        )
    catalogue = SqlCatalogue(settings.sql_dir)
    known = known_rows(settings, catalogue, library, contract.name, survey=survey, wave=wave)
    compared = compare_codebooks(
        table.labels, sent, contract, file=entry.file, manifest=manifest, previous=known.codebook
    )
    typed, in_sql = _typed(table, manifest, entry, catalogue, library, known)
    result = check_rows(
        typed,
        table.frame,
        contract,
        question_version=manifest.question_version,
        in_sql=Checked.of_contract(in_sql.rules, in_sql.findings),
        file=entry.file,
    )
    warnings = (*table.warnings, *remarks(compared))
    meanings = {**library.file_faults, **difference_texts(), **rule_texts(contract)}
    return FileCheck(
        file=entry.file,
        survey=survey,
        wave=wave,
        contract=contract.name,
        rows=table.frame.height,
        violations=result.file_faults,
        warnings=warnings,
        texts=fault_texts((*result.file_faults, *warnings), meanings),
        rules=_rules(result),
        rows_kept_out=result.quarantine.height,
        synthetic=manifest.synthetic,
        not_checked=tuple(
            NotChecked(rule.id, rule.message_ko, rule.message_en, missing) for rule, missing in in_sql.skipped
        ),
        home_problem=known.problem,
    )


def _typed(
    table: RawTable,
    manifest: Manifest,
    entry: ManifestFile,
    catalogue: SqlCatalogue,
    library: ContractLibrary,
    known: Known,
) -> tuple[pl.DataFrame, RuleRun]:
    """The rows as staging types them, and what the SQL rules find in them."""
    survey, wave = manifest.survey, manifest.wave
    with TemporaryDirectory(prefix="axstat-check-") as folder:
        warehouse = Warehouse(Path(folder) / "check.duckdb", catalogue, library, key_file=known.key_file)
        with warehouse.session() as session:
            load_reference(session, library, last_wave=wave)
            file = SelectedFile(manifest, entry, status="current", reason=None)
            session.append("meta.delivery_file", file_register([file]))
            session.append(f"raw.{table.contract}", table.frame)
            for name, rows in known.tables.items():
                session.append(name, rows)
            typed = session.query(f"staging.{table.contract}", survey=survey, wave=wave)
            version = manifest.question_version
            return typed, run_rules(
                session, library, table.contract, typed, survey=survey, wave=wave, question_version=version
            )


def _rules(result: QualityResult | None) -> pl.DataFrame:
    """The broken rules of a result, errors first, most rows first."""
    if result is None:
        texts = ("rule", "severity", "column", "message_ko", "message_en", "action_ko", "action_en")
        return pl.DataFrame(
            schema=dict.fromkeys(texts, pl.String()) | {"rows": pl.Int64(), "examples": pl.List(pl.Int64)}
        )
    kept_out = result.quarantine.select("row_number", pl.col("rules").alias("rule")).explode("rule")
    where = (
        pl.concat([kept_out, result.warnings.select("row_number", "rule")])
        .sort("row_number")
        .group_by("rule")
        .agg(pl.col("row_number").head(EXAMPLES).cast(pl.Int64).alias("examples"))
    )
    return (
        result.counts.filter(pl.col("rows") > 0)
        .join(where, on="rule", how="left")
        .sort(pl.col("severity").is_in(list(KEEPS_OUT)), "rows", descending=True, maintain_order=True)
    )
