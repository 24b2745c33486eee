"""From `raw.*` to `core.*`: types by SQL, rules on rows by the contract, one row a unit and wave."""

import dagster as dg
import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.surveys import Survey
from pipelines.orchestration.imputation import impute_wave
from pipelines.orchestration.metadata import rows_by_table, table_markdown
from pipelines.quality.rows import check_rows
from pipelines.warehouse.database import Session, Warehouse
from pipelines.warehouse.reference import load_reference
from pipelines.warehouse.steps import record_step

_FINDING_SCHEMA = {
    "row_number": pl.Int64,
    "unit_id": pl.String,
    "rules": pl.List(pl.String),
    "reasons": pl.List(pl.String),
}
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
    def staging(
        context: dg.AssetExecutionContext,
        library: dg.ResourceParam[ContractLibrary],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> dg.MaterializeResult:
        wave = int(context.partition_key)
        kept: dict[str, int] = {}
        with warehouse.session() as session:
            for contract in contracts:
                kept[f"staging.{contract}"] = _stage(session, library, contract, survey=survey.survey, wave=wave)
            quarantine = session.table("raw.quarantine", where={"survey": survey.survey, "wave": wave})
        reasons = (
            quarantine.explode("rules")
            .group_by("contract", "rules")
            .agg(pl.len().alias("rows"))
            .sort("contract", "rules")
        )
        return dg.MaterializeResult(
            metadata={
                **rows_by_table(kept),
                "quarantined": quarantine.height,
                "quarantined by rule": table_markdown(reasons),
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


def _strangers(session: Session, survey: Survey, contract: str, typed: pl.DataFrame, wave: int) -> pl.DataFrame:
    """Answers of units that were not selected or are not on the frame: they have no weight, so they are set aside."""
    empty = pl.DataFrame(schema=_FINDING_SCHEMA)
    if contract != survey.contracts.response:
        return empty
    found = [empty]
    for other, rule in ((survey.contracts.sample, "not_selected"), (survey.contracts.frame, "not_on_frame")):
        known = session.table(f"staging.{other}", where={"survey": survey.survey, "wave": wave}, columns=("unit_id",))
        strangers = typed.filter(pl.col("unit_id").is_not_null()).join(known, on="unit_id", how="anti")
        found.append(
            strangers.select(
                pl.col("row_number").cast(pl.Int64),
                "unit_id",
                pl.lit([rule]).alias("rules"),
                pl.lit([f"the unit is not in the current {other}: correct the number, or send that file again"]).alias(
                    "reasons"
                ),
            )
        )
    return pl.concat(found)


def _last_wave(session: Session, wave: int) -> int:
    """The latest wave that was ever delivered: running an older one again must not forget it."""
    known = session.table("meta.delivery_file", columns=("wave",))["wave"].max()
    return max(wave, int(known)) if isinstance(known, int) else wave


def _stage(session: Session, library: ContractLibrary, contract: str, *, survey: str, wave: int) -> int:
    """Quarantine the rows that break a rule, and build the staging table of the others; returns how many."""
    scope = {"survey": survey, "wave": wave, "contract": contract}
    session.delete("raw.quarantine", where=scope)
    current = session.table("meta.delivery_file", where={**scope, "status": "current"}).row(0, named=True)
    raw = session.table(
        f"raw.{contract}", where={"survey": survey, "wave": wave, "file_sha256": current["file_sha256"]}
    )
    # asked, not built: a row that cannot be read has NULLs that the table does not take
    typed = session.query(f"staging.{contract}", survey=survey, wave=wave)
    result = check_rows(typed, raw, library.deliveries[contract], question_version=current["question_version"])
    found = pl.concat([result.quarantine, _strangers(session, library.surveys[survey], contract, typed, wave)])
    found = found.group_by("row_number", "unit_id", maintain_order=True).agg(
        pl.col("rules").explode(), pl.col("reasons").explode()
    )
    rows = found.with_columns(
        *(pl.lit(value).alias(name) for name, value in scope.items()),
        *(pl.lit(current[name]).alias(name) for name in ("delivery", "file_name", "file_sha256")),
    ).with_columns(pl.col("wave").cast(pl.Int32))
    session.replace("raw.quarantine", rows, where=scope)
    return session.build(f"staging.{contract}", survey=survey, wave=wave)
