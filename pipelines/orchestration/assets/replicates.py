"""Replicate weights of one survey and wave, and the standard errors they give beside the linearised ones."""

import dagster as dg
import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.surveys import Survey
from pipelines.orchestration.imputation import reimputation
from pipelines.orchestration.inputs import WaveReader
from pipelines.orchestration.metadata import rows_by_table, table_markdown
from pipelines.orchestration.plans import domains, measures, weighting_plan
from pipelines.orchestration.step_records import recorded
from pipelines.stats.replicate_draws import SignDraws
from pipelines.stats.replicate_rates import compare_engines, kept_signs, replicate_rates
from pipelines.stats.replicate_weighting import draw_replicates
from pipelines.stats.survey_wave import Wave
from pipelines.stats.weighting import weight_sample
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.session import Session
from pipelines.warehouse.steps import record_step, require_whole

# Where the parts of a ReplicateWeighting are kept
_PARTS = {
    "units": "core.replicate_unit",
    "class_factors": "core.replicate_class_factor",
    "calibration_factors": "core.replicate_calibration",
}


def replicate_assets(survey: Survey, waves: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The replicates of one survey."""

    @dg.asset(
        key=[survey.survey, "replicates"],
        group_name="weights",
        deps=[[survey.survey, "estimates"]],
        partitions_def=waves,
        pool="warehouse",
        kinds={"duckdb", "python"},
        description="500 bootstrap replicates, coordinated with the wave before; standard errors by both engines.",
    )
    @recorded
    def replicates(
        context: dg.AssetExecutionContext,
        library: dg.ResourceParam[ContractLibrary],
        warehouse: dg.ResourceParam[Warehouse],
        reader: dg.ResourceParam[WaveReader],
    ) -> dg.MaterializeResult:
        scope = {"survey": survey.survey, "wave": int(context.partition_key)}
        with warehouse.session() as session:
            require_whole(session, library, **scope, upto="estimates")
            wave = reader.state(session, survey, scope["wave"])
            sample = reader.read(session, **scope).sample
            before = _before(session, reader, library, survey, scope["wave"])
            imputed = reimputation(session, library, survey=survey, wave=scope["wave"])
        weighted = weight_sample(sample, wave.frame, plan=weighting_plan(survey, library))
        made = draw_replicates(
            weighted,
            **scope,
            previous=None if before is None else before[0],
            keep=None if before is None else kept_signs(before[1], wave),
        )
        of_units, of_fields = measures(survey, scope["wave"])
        # Crosses follow from the same scores; they are many, and small.
        compared_in = [domain for domain in domains(survey) if len(domain.columns) <= 1]
        compared = compare_engines(
            replicate_rates(
                wave,
                made,
                domains=compared_in,
                measures=of_units,
                field_measures=of_fields,
                bases=(survey.headline.base,),
                unit_weightings=survey.unit_weightings,
                only={
                    domain.type: (survey.headline.measure,)
                    for domain in compared_in
                    if domain.columns and not domain.by_field
                },
                imputed=imputed,
            )
        )
        placed = [pl.lit(scope["survey"]).alias("survey"), pl.lit(scope["wave"], dtype=pl.Int32).alias("wave")]
        with warehouse.session() as session:
            for part, frame in made.to_frames().items():
                session.replace(_PARTS[part], frame.with_columns(placed), where=scope)
            session.replace("estimates.replicate_rate", compared.with_columns(placed), where=scope)
            record_step(session, library, **scope, step="replicates")
        shown = (
            "domain_type",
            "measure",
            "unit_weighting",
            "n",
            "se_taylor",
            "se_bootstrap",
            "se_rerun",
            "se_imputed",
            "se_ratio",
        )
        headline = compared.filter(
            pl.col("domain_type").is_in(["total", "ax_total"]), pl.col("measure") == survey.headline.measure
        )
        return dg.MaterializeResult(
            metadata={
                **rows_by_table({"estimates.replicate_rate": compared.height}),
                "headline": table_markdown(headline.select(shown)),
                "statuses": table_markdown(compared.group_by("status").len("rates").sort("status")),
                "coordinated with": "no earlier wave" if before is None else str(scope["wave"] - 1),
            }
        )

    return [replicates]


def _before(
    session: Session, reader: WaveReader, library: ContractLibrary, survey: Survey, wave: int
) -> tuple[SignDraws, Wave] | None:
    """The draws of the wave before, and that wave; None where it was never run."""
    scope = {"survey": survey.survey, "wave": wave - 1}
    drawn = session.table(_PARTS["units"], where=scope, columns=("unit_id", "sampling_draw")).sort("unit_id")
    if drawn.is_empty():
        return None
    require_whole(session, library, **scope, upto="replicates")
    numbers = session.table(_PARTS["class_factors"], where=scope, columns=("replicate",))["replicate"]
    draws = SignDraws.from_bits(drawn["unit_id"], drawn["sampling_draw"], replicates=numbers.n_unique())
    return draws, reader.state(session, survey, wave - 1)
