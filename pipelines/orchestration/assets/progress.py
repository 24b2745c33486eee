"""Distance to the national target and pace, inside a comparability segment, for both surveys."""

import dagster as dg
import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.surveys import Survey
from pipelines.orchestration.inputs import WaveReader
from pipelines.orchestration.metadata import rows_by_table, table_markdown
from pipelines.orchestration.plans import domains, measures, segment
from pipelines.stats.change import adoption_change
from pipelines.stats.trend import Target
from pipelines.stats.trend import progress as distance_and_pace
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.session import Session
from pipelines.warehouse.steps import require_whole


def progress_asset(library: ContractLibrary, waves: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """`estimates.progress` of a wave."""

    @dg.asset(
        key="progress",
        group_name="progress",
        deps=[[survey, "estimates"] for survey in library.surveys],
        partitions_def=waves,
        pool="warehouse",
        kinds={"duckdb", "python"},
        description="Gap, share of the distance covered, observed and required pace, each with its standard error.",
    )
    def progress(
        context: dg.AssetExecutionContext,
        library: dg.ResourceParam[ContractLibrary],
        warehouse: dg.ResourceParam[Warehouse],
        reader: dg.ResourceParam[WaveReader],
    ) -> dg.MaterializeResult:
        wave = int(context.partition_key)
        with warehouse.session() as session:
            tables = [_progress(session, reader, library, survey, wave) for survey in library.surveys.values()]
        rows = pl.concat(tables)
        with warehouse.session() as session:
            session.replace("estimates.progress", rows, where={"wave": wave})
        shown = (
            "survey",
            "unit_weighting",
            "estimate",
            "gap_pp",
            "observed_pp_per_year",
            "required_pp_per_year",
            "pace_status",
        )
        return dg.MaterializeResult(
            metadata={
                **rows_by_table({"estimates.progress": rows.height}),
                "headline": table_markdown(rows.filter(pl.col("domain_type") == "total").select(shown)),
            }
        )

    return progress


def _progress(
    session: Session, reader: WaveReader, library: ContractLibrary, survey: Survey, wave: int
) -> pl.DataFrame:
    baseline = survey.first_wave_of_segment(wave)
    target = library.targets[survey.survey]
    _, of_fields = measures(survey, wave)
    for needed in sorted({baseline, wave}):
        require_whole(session, library, survey=survey.survey, wave=needed, upto="estimates")
    change = None
    if baseline != wave:
        before, after = (reader.state(session, survey, needed) for needed in (baseline, wave))
        change = adoption_change(
            before,
            after,
            before_segment=segment(survey, baseline),
            after_segment=segment(survey, wave),
            domains=domains(survey),
            measures=(target.measure,),
            field_measures=of_fields,
            bases=(survey.headline.base,),
            unit_weightings=survey.unit_weightings,
        )
    rows = distance_and_pace(
        session.table("estimates.adoption_rate", where={"survey": survey.survey, "wave": wave}),
        change,
        wave=wave,
        baseline_wave=baseline,
        segment=segment(survey, wave),
        baseline_segment=segment(survey, baseline),
        target=Target(value=target.value, year=target.year),
        measures=(target.measure, *of_fields),
        level=survey.confidence_level,
    )
    return rows.with_columns(
        pl.lit(survey.survey).alias("survey"),
        pl.lit(wave, dtype=pl.Int32).alias("wave"),
        pl.lit(survey.comparability_segment(wave)).alias("comparability_segment"),
    )
