"""Adoption rates of one survey and wave, what of them is confidential, and quality indicators."""

import dagster as dg
import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.surveys import Survey
from pipelines.orchestration.inputs import WaveReader
from pipelines.orchestration.metadata import rows_by_table, table_markdown
from pipelines.orchestration.plans import disclosure_rules, domains, measures
from pipelines.orchestration.quality_indicators import quality_indicators
from pipelines.orchestration.step_records import recorded
from pipelines.release.protection import cell_ties, published_cells
from pipelines.settings import Settings
from pipelines.stats.cell_protection import protected_cells
from pipelines.stats.contributions import cell_contributions
from pipelines.stats.rates import adoption_rates
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.steps import record_step, require_whole


def estimate_assets(survey: Survey, waves: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The rates of one survey."""

    @dg.asset(
        key=[survey.survey, "estimates"],
        group_name="estimates",
        deps=[[survey.survey, "weights"]],
        partitions_def=waves,
        pool="warehouse",
        kinds={"duckdb", "python"},
        description="Rates with standard errors and intervals, for every domain, measure, base and weighting.",
    )
    @recorded
    def estimates(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        library: dg.ResourceParam[ContractLibrary],
        warehouse: dg.ResourceParam[Warehouse],
        reader: dg.ResourceParam[WaveReader],
    ) -> dg.MaterializeResult:
        wave = int(context.partition_key)
        scope = {"survey": survey.survey, "wave": wave}
        with warehouse.session() as session:
            require_whole(session, library, **scope, upto="weights")
            read = reader.read(session, survey=survey.survey, wave=wave)
            state = reader.state(session, survey, wave)
            edits = session.table("raw.edit", where={**scope, "status": "applied"}, columns=("why",))
        of_units, of_fields = measures(survey, wave)
        rates = adoption_rates(
            read.units,
            read.answers,
            frame=read.frame,
            frame_fields=read.frame_fields,
            domains=domains(survey),
            measures=of_units,
            field_measures=of_fields,
            bases=survey.bases,
            unit_weightings=survey.unit_weightings,
            ci_level=survey.confidence_level,
            ci_method=survey.interval_method,
            lonely_psu=survey.lonely_psu,
        )
        placed = [pl.lit(survey.survey).alias("survey"), pl.lit(wave, dtype=pl.Int32).alias("wave")]
        cells = protected_cells(
            pl.concat(
                cell_contributions(
                    state,
                    domains=[domain for domain in domains(survey) if domain.by_field == by_field],
                    measures=asked,
                    unit_weightings=survey.unit_weightings,
                )
                for by_field, asked in ((False, of_units), (True, of_fields))
            ),
            rates,
            rules=disclosure_rules(survey),
            ties=cell_ties(survey, library),
            before=published_cells(settings.published_dir, rates.with_columns(placed)),
        )
        indicators = quality_indicators(
            read, edits, survey=survey, wave=wave, library=library, statements=warehouse.catalogue
        )
        with warehouse.session() as session:
            session.replace("estimates.adoption_rate", rates.with_columns(placed), where=scope)
            session.replace("estimates.disclosure", cells.with_columns(placed), where=scope)
            session.replace("mart.quality_indicator", indicators, where=scope)
            record_step(session, library, **scope, step="estimates")
        headline = rates.filter(
            pl.col("domain_type").is_in(["total", "ax_total"]),
            pl.col("measure") == survey.headline.measure,
            pl.col("base") == survey.headline.base,
        )
        shown = ("domain_type", "unit_weighting", "n", "estimate", "se", "ci_low", "ci_high", "df", "deff")
        statuses = rates.group_by("reliability").len("estimates").sort("reliability")
        withheld = cells.group_by("unit_weighting", "conf_status").len("cells").sort("unit_weighting", "conf_status")
        return dg.MaterializeResult(
            metadata={
                **rows_by_table({"estimates.adoption_rate": rates.height}),
                "headline": table_markdown(headline.select(shown)),
                "reliability": table_markdown(statuses),
                "confidentiality": table_markdown(withheld),
            }
        )

    return [estimates]
