"""Blocking checks at each boundary: the statements of `sql/checks/`, which return offending rows.

Belongs here: which check stands behind which asset, and how its finding reads. Does not belong here: a rule.
"""

from collections.abc import Iterator, Sequence

import dagster as dg
import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError
from pipelines.orchestration.metadata import table_markdown
from pipelines.orchestration.step_records import another_try, is_transient
from pipelines.warehouse.catalogue import SqlCatalogue, Statement
from pipelines.warehouse.database import Warehouse

# Schema of the tables a check reads -> the step after which they are there; the last one in this order counts
_STEPS = ("core", "weights", "replicates", "marts")
_SHOWN = 5
_SEVERITY = {"error": dg.AssetCheckSeverity.ERROR, "warning": dg.AssetCheckSeverity.WARN}


def boundary_checks(library: ContractLibrary, catalogue: SqlCatalogue) -> list[dg.AssetChecksDefinition]:
    """One step an asset that has checks, blocking what comes after."""
    by_step: dict[str, list[Statement]] = {step: [] for step in _STEPS}
    for statement in catalogue.layer("checks"):
        by_step[max((_step_of(table) for table in statement.reads), key=_STEPS.index)].append(statement)
    checks = [
        _checks(dg.AssetKey([survey, step]), by_step[step], survey)
        for survey in library.surveys
        for step in ("core", "weights", "replicates")
    ]
    return [*checks, _checks(dg.AssetKey(["mart", "adoption_rate"]), by_step["marts"], None)]


def _step_of(table: str) -> str:
    if table == "core.weights":
        return "weights"
    if table == "estimates.replicate_rate":
        return "replicates"
    return "marts" if table.startswith("mart.") else "core"


def _checks(asset: dg.AssetKey, statements: Sequence[Statement], survey: str | None) -> dg.AssetChecksDefinition:
    @dg.multi_asset_check(
        name="_".join((*asset.path, "checks")),
        specs=[
            dg.AssetCheckSpec(
                statement.table,
                asset=asset,
                blocking=statement.severity == "error",
                description=statement.description,
            )
            for statement in statements
        ],
        pool="warehouse",
    )
    def run(
        context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse]
    ) -> Iterator[dg.AssetCheckResult]:
        wave = _wave(context)
        # Results are handed over when the session is closed: who takes them may fail, and would leave it open
        try:
            with warehouse.session() as session:
                every = [(one, session.check(one.table, survey=survey, wave=wave)) for one in statements]
        except AxstatError as error:
            if is_transient(error):
                raise another_try(context.op_execution_context.retry_number) from error
            raise
        for statement, found in every:
            yield dg.AssetCheckResult(
                check_name=statement.table,
                asset_key=asset,
                passed=found.is_empty(),
                severity=_SEVERITY[statement.severity or "error"],
                description=_finding(survey, wave, found),
                metadata={"offending rows": found.height}
                | ({} if found.is_empty() else {"first rows": table_markdown(found)}),
            )

    return run


def _wave(context: dg.AssetCheckExecutionContext) -> int:
    # Checks with partitions of their own are still a preview feature; the run they belong to knows its wave
    wave = context.run.tags.get("dagster/partition")
    if wave is None:
        raise AxstatError(
            "check_without_wave",
            where=context.run.run_id,
            expected="a run of one wave",
            got="a check started by itself",
            hint="materialise the asset for a wave: its checks run with it",
        )
    return int(wave)


def _finding(survey: str | None, wave: int, found: pl.DataFrame) -> str:
    if found.is_empty():
        return "no offending rows"
    rows = "\n".join(
        "  " + ", ".join(f"{key}={value}" for key, value in row.items()) for row in found.head(_SHOWN).to_dicts()
    )
    more = f"\n  and {found.height - _SHOWN} more" if found.height > _SHOWN else ""
    return f"{survey or 'both surveys'} {wave}: {found.height} offending row(s)\n{rows}{more}"
