"""Model-based rates of small domains, for the surveys whose contract asks for them."""

import dagster as dg
import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.surveys import SmallAreaRule, Survey
from pipelines.orchestration.inputs import WaveReader
from pipelines.orchestration.metadata import rows_by_table, table_markdown
from pipelines.orchestration.plans import area_covariates, domains
from pipelines.orchestration.step_records import recorded
from pipelines.stats.small_area import small_areas
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.session import Session
from pipelines.warehouse.steps import require_whole

_TABLE = "mart.small_area"
_KEY = ["domain_type", "domain_code", "measure", "base", "unit_weighting"]


def small_area_asset(library: ContractLibrary, waves: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """`mart.small_area` of a wave."""

    @dg.asset(
        key="small_areas",
        group_name="progress",
        deps=[[survey, "estimates"] for survey in library.surveys],
        partitions_def=waves,
        pool="warehouse",
        kinds={"duckdb", "python"},
        description="Rates of small domains by a Fay-Herriot model, beside the direct ones.",
    )
    @recorded
    def small_area(
        context: dg.AssetExecutionContext,
        library: dg.ResourceParam[ContractLibrary],
        warehouse: dg.ResourceParam[Warehouse],
        reader: dg.ResourceParam[WaveReader],
    ) -> dg.MaterializeResult:
        wave = int(context.partition_key)
        tables = []
        for survey in library.surveys.values():
            rule = survey.small_area
            if rule is not None and set(rule.measures) & set(survey.measures(wave)):
                with warehouse.session() as session:
                    tables.append(_modelled(session, reader, library, survey, rule, wave))
        with warehouse.session() as session:
            rows = pl.concat(tables) if tables else session.table(_TABLE, where={"wave": wave}).clear()
            session.replace(_TABLE, rows, where={"wave": wave})
        models = rows.group_by("survey", "measure", "unit_weighting").agg(
            pl.col("areas").first(),
            pl.col("gamma").mean().alias("mean_gamma"),
            (pl.col("rmse") / pl.col("direct_se")).median().alias("median_rmse_over_se"),
            pl.col("sigma2_v", "sigma2_v_zero", "benchmark_factor").drop_nulls().first(),
        )
        return dg.MaterializeResult(
            metadata={
                **rows_by_table({_TABLE: rows.height}),
                "models": table_markdown(models.sort("survey", "measure", "unit_weighting")),
            }
        )

    return small_area


def _modelled(
    session: Session, reader: WaveReader, library: ContractLibrary, survey: Survey, rule: SmallAreaRule, wave: int
) -> pl.DataFrame:
    has_before = wave > survey.first_wave_of_segment(wave)
    for needed in (*([wave - 1] if has_before else []), wave):
        require_whole(session, library, survey=survey.survey, wave=needed, upto="estimates")
    asked = survey.measures(wave)
    found = small_areas(
        reader.state(session, survey, wave),
        before=reader.state(session, survey, wave - 1) if has_before else None,
        domain=next(domain for domain in domains(survey) if domain.type == rule.domain_type),
        measures=[measure for measure in rule.measures if measure in asked],
        covariates=area_covariates(rule),
        key=(survey.survey, str(wave)),
        base=survey.headline.base,
        unit_weightings=survey.unit_weightings,
        level=survey.confidence_level,
    )
    direct = session.table(
        "estimates.adoption_rate",
        where={"survey": survey.survey, "wave": wave, "domain_type": rule.domain_type},
        columns=(*_KEY, "ci_low", "ci_high", "reliability"),
    ).rename({"ci_low": "direct_ci_low", "ci_high": "direct_ci_high", "reliability": "direct_reliability"})
    return found.join(direct, on=_KEY, how="left", maintain_order="left").select(
        pl.lit(survey.survey).alias("survey"),
        pl.lit(wave, dtype=pl.Int32).alias("wave"),
        pl.exclude("reliability"),
        pl.coalesce("reliability", "direct_reliability").alias("reliability"),
    )
