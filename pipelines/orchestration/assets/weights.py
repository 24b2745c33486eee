"""Weights of one survey and wave, with every factor and every merged cell."""

import dagster as dg
import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.surveys import Survey
from pipelines.orchestration.metadata import rows_by_table, table_markdown
from pipelines.orchestration.plans import weighting_plan
from pipelines.orchestration.step_records import recorded
from pipelines.settings import Settings
from pipelines.stats.draw_id import in_draw_order
from pipelines.stats.frame_changes import frame_changes
from pipelines.stats.nonresponse import response_rates
from pipelines.stats.weighting import weight_sample
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.steps import record_step, require_whole
from pipelines.weighting.report import weight_report
from pipelines.weighting.waves import wave_weights


def weight_assets(survey: Survey, waves: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The weights of one survey."""

    @dg.asset(
        key=[survey.survey, "weights"],
        group_name="weights",
        deps=[[survey.survey, "core"]],
        partitions_def=waves,
        pool="warehouse",
        kinds={"duckdb", "python"},
        description="Base weight, eligibility, non-response and calibration factors; their product is the weight.",
    )
    @recorded
    def weights(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        library: dg.ResourceParam[ContractLibrary],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> dg.MaterializeResult:
        scope = {"survey": survey.survey, "wave": int(context.partition_key)}
        with warehouse.session() as session:
            require_whole(session, library, **scope, upto="core")
            sample = in_draw_order(session.table("core.sample", where=scope))
            frame = session.table("core.frame", where=scope)
            before = session.table(
                "core.frame",
                where={**scope, "wave": scope["wave"] - 1},
                columns=("unit_id", *survey.stratum.parts),
            )
            files = session.table("meta.delivery_file", where={**scope, "status": "current"}, columns=("synthetic",))
        result = weight_sample(sample, frame, plan=weighting_plan(survey, library))
        changes = frame_changes(
            frame,
            sample["unit_id"],
            parts=survey.stratum.parts,
            previous=None if before.is_empty() else before,
        )
        diagnostics = pl.concat(
            [
                result.diagnostics,
                pl.DataFrame(
                    [(name, "sample", float(count)) for name, count in changes.items()],
                    schema=result.diagnostics.schema,
                    orient="row",
                ),
            ]
        )
        responded = response_rates(sample, by=["selection_stratum"])
        placed = [
            pl.lit(scope["survey"]).alias("survey"),
            pl.lit(scope["wave"], dtype=pl.Int32).alias("wave"),
        ]
        with warehouse.session() as session:
            session.replace("core.weights", result.weights.with_columns(placed), where=scope)
            session.replace("core.stratum_response", responded.with_columns(placed), where=scope)
            session.replace("core.collapse_log", result.collapse_log.with_columns(placed), where=scope)
            session.replace("mart.weight_diagnostic", diagnostics.with_columns(placed), where=scope)
            record_step(session, library, **scope, step="weights")
        page = settings.weight_reports_dir / f"{survey.survey}-{scope['wave']}.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        name, synthetic = f"{survey.label_en}, {scope['wave']}", bool(files["synthetic"].any())
        made = wave_weights(result, sample, name=name, synthetic=synthetic, changes=changes)
        page.write_text(weight_report(made, template_dir=settings.annual_dir), encoding="utf-8")
        summary = diagnostics.filter(~pl.col("diagnostic").str.contains(":"))
        merged = result.collapse_log.group_by("purpose", "step").len("merged").sort("purpose", "step")
        return dg.MaterializeResult(
            metadata={
                **rows_by_table({"core.weights": result.weights.height}),
                "weight report": dg.MetadataValue.path(str(page)),
                "diagnostics": table_markdown(summary.pivot(on="step", index="diagnostic", values="value")),
                "merged cells": table_markdown(merged),
            }
        )

    return [weights]
