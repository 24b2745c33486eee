"""From `raw.*` to `core.*`: types by SQL, rules on rows by the contract, one row a unit and wave."""

from collections.abc import Mapping, Sequence

import dagster as dg
import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.surveys import Survey
from pipelines.errors import Violation, ViolationsError
from pipelines.intake.edits import apply_edits, read_edits
from pipelines.orchestration.imputation import impute_wave
from pipelines.orchestration.metadata import rows_by_table, table_markdown
from pipelines.orchestration.step_records import recorded
from pipelines.quality.findings import Checked
from pipelines.quality.rows import check_rows
from pipelines.settings import Settings
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.reference import load_reference
from pipelines.warehouse.rules import run_rules
from pipelines.warehouse.session import Session
from pipelines.warehouse.steps import record_step

_CORE_TABLES = ("core.frame", "core.frame_field", "core.sample", "core.units")


def staging_assets(survey: Survey, waves: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Staging and core tables of one survey."""
    contracts = (survey.contracts.frame, survey.contracts.sample, survey.contracts.response)

    @dg.asset(
        key=[survey.survey, "staging"],
        group_name="staging",
        deps=[[survey.survey, "deliveries"]],
        partitions_def=waves,
        pool="warehouse",
        kinds={"duckdb", "great_expectations"},
        description="Typed and recoded rows; those that break a rule stand in raw.quarantine with every reason.",
    )
    @recorded
    def staging(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        library: dg.ResourceParam[ContractLibrary],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> dg.MaterializeResult:
        wave = int(context.partition_key)
        scope = {"survey": survey.survey, "wave": wave}
        kept: dict[str, int] = {}
        faults: list[Violation] = []
        try:
            with warehouse.session() as session:
                seen = session.table("raw.edit", where=scope, columns=("edit_file", "edit_sha256"))
                edits = read_edits(
                    settings.edits_dir / f"{survey.survey}-{wave}",
                    contracts=contracts,
                    reasons=library.classifications["edit_reasons"].codes,
                    known=dict(seen.iter_rows()),
                )
                for contract in contracts:
                    kept[f"staging.{contract}"] = _stage(session, library, contract, edits, faults, **scope)
                if faults:
                    raise ViolationsError(f"deliveries of {survey.survey} {wave}", faults)
                quarantined = session.table("raw.quarantine", where=scope, columns=("row_number",)).height
                broken = session.table("meta.rule_count", where=scope).filter(pl.col("rows") > 0)
                log = session.table("raw.edit", where=scope)
        except ViolationsError:
            if faults:
                with warehouse.session() as session:
                    _reject(session, faults, **scope)
            raise
        for refused in log.filter(pl.col("status") != "applied").iter_rows(named=True):
            context.log.warning(f"{refused['edit_file']}, line {refused['line']}: {refused['reason']}")
        by_column = log.group_by("contract", "column_name", "why", "status").len("cells")
        return dg.MaterializeResult(
            metadata={
                **rows_by_table(kept),
                "quarantined": quarantined,
                "rows by broken rule": table_markdown(broken.drop("survey", "wave")),
                "edits": table_markdown(by_column.sort(by_column.columns)),
            }
        )

    @dg.asset(
        key=[survey.survey, "core"],
        group_name="staging",
        deps=[[survey.survey, "staging"]],
        partitions_def=waves,
        pool="warehouse",
        kinds={"duckdb"},
        description="Frame, sample, responding units and their measures, in the same shape for both surveys.",
    )
    @recorded
    def core(
        context: dg.AssetExecutionContext,
        library: dg.ResourceParam[ContractLibrary],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> dg.MaterializeResult:
        wave = int(context.partition_key)
        with warehouse.session() as session:
            load_reference(session, library, last_wave=_last_wave(session, wave))
            counts = {table: session.build(table, survey=survey.survey, wave=wave) for table in _CORE_TABLES}
            imputed = impute_wave(session, library, survey=survey, wave=wave)
            counts["core.unit_measure"] = session.build("core.unit_measure", survey=survey.survey, wave=wave)
            session.build("meta.row_balance", survey=survey.survey, wave=wave)
            balance = session.table("meta.row_balance", where={"survey": survey.survey, "wave": wave})
            record_step(session, library, survey=survey.survey, wave=wave, step="core")
        return dg.MaterializeResult(
            metadata={
                **rows_by_table(counts),
                "row balance": table_markdown(balance.drop("survey", "wave")),
                "imputed": table_markdown(imputed),
            }
        )

    return [staging, core]


def _last_wave(session: Session, wave: int) -> int:
    """The latest wave that was ever delivered: running an older one again must not forget it."""
    known = session.table("meta.delivery_file", columns=("wave",))["wave"].max()
    return max(wave, int(known)) if isinstance(known, int) else wave


def _stage(
    session: Session,
    library: ContractLibrary,
    contract: str,
    edits: pl.DataFrame,
    faults: list[Violation],
    *,
    survey: str,
    wave: int,
) -> int:
    """Apply edits, quarantine the rows that break a rule, put the others into the staging table; returns how many.

    Rules for which the whole file must be refused are added to `faults`.
    """
    scope = {"survey": survey, "wave": wave, "contract": contract}
    session.delete("raw.quarantine", where=scope)
    files = session.table("meta.delivery_file", where=scope)
    current = files.row(by_predicate=pl.col("status") == "current", named=True)
    question_version = current["question_version"]
    raw = session.table(
        f"raw.{contract}", where={"survey": survey, "wave": wave, "file_sha256": current["file_sha256"]}
    )
    edited = apply_edits(
        raw,
        edits,
        library.deliveries[contract],
        current=current["file_sha256"],
        delivered=files["file_sha256"].to_list(),
    )
    session.replace(f"raw.edited_{contract}", edited.changed, where={"survey": survey, "wave": wave})
    session.replace("raw.edit", _with(edited.log, scope), where=scope)
    # Asked, not built: a row that cannot be read has NULLs that the table does not take
    typed = session.query(f"staging.{contract}", survey=survey, wave=wave)
    in_sql = run_rules(session, library, contract, typed, survey=survey, wave=wave, question_version=question_version)
    result = check_rows(
        typed,
        edited.rows,
        library.deliveries[contract],
        question_version=question_version,
        in_sql=Checked.of_contract(in_sql.rules, in_sql.findings),
        file=_file(current),
    )
    faults.extend(result.file_faults)
    of_file = {**scope, **{name: current[name] for name in ("delivery", "file_name", "file_sha256")}}
    for table, rows in (("raw.quarantine", result.quarantine), ("raw.remark", result.warnings)):
        session.replace(table, _with(rows, of_file), where=scope)
    counts = result.counts.select("rule", "severity", "rows")
    session.replace("meta.rule_count", _with(counts, scope), where=scope)
    held = result.quarantine["row_number"].implode()
    # The sent identifier is for the checks of the rows, and for nobody afterwards
    kept = typed.drop("identifier").filter(~pl.col("row_number").is_in(held))
    return session.replace(f"staging.{contract}", kept, where={"survey": survey, "wave": wave})


def _with(rows: pl.DataFrame, values: Mapping[str, object]) -> pl.DataFrame:
    return rows.with_columns(pl.lit(value).alias(name) for name, value in values.items()).with_columns(
        pl.col("wave").cast(pl.Int32)
    )


def _file(registered: Mapping[str, object]) -> str:
    return f"{registered['delivery']}/{registered['file_name']}"


def _reject(session: Session, faults: Sequence[Violation], *, survey: str, wave: int) -> None:
    """Note in the register which current files were refused for their rows, and by which rules."""
    scope = {"survey": survey, "wave": wave}
    known = session.table("meta.delivery_file", where=scope)
    files = known.to_dicts()
    for file in files:
        rules = sorted({fault.code for fault in faults if fault.where == _file(file)})
        if rules and file["status"] == "current":
            file |= {"status": "rejected", "reason": ", ".join(rules)}
    session.replace("meta.delivery_file", pl.DataFrame(files, schema=known.schema), where=scope)
