"""Outside series into `core.benchmark`: every stored reply and every figure copied by hand."""

import dagster as dg
import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.intake.series.observations import benchmark_rows
from pipelines.orchestration.metadata import rows_by_table, table_markdown
from pipelines.orchestration.step_records import recorded
from pipelines.settings import Settings
from pipelines.warehouse.database import Warehouse


def benchmark_asset(waves: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """`core.benchmark`, whole: it has no waves, and is made anew with each."""

    @dg.asset(
        key="benchmarks",
        group_name="deliveries",
        partitions_def=waves,
        pool="warehouse",
        kinds={"duckdb"},
        description="Figures of other offices, every vintage of them: core.benchmark. Fetches nothing.",
    )
    @recorded
    def benchmarks(
        settings: dg.ResourceParam[Settings],
        library: dg.ResourceParam[ContractLibrary],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> dg.MaterializeResult:
        rows = benchmark_rows(library.series, settings.benchmarks_dir)
        with warehouse.session() as session:
            session.replace("core.benchmark", rows, where={})
        counted = rows.group_by("series").agg(pl.col("vintage").n_unique().alias("vintages"), pl.len().alias("rows"))
        return dg.MaterializeResult(
            metadata={
                **rows_by_table({"core.benchmark": rows.height}),
                "series": table_markdown(counted.sort("series")),
            }
        )

    return benchmarks
