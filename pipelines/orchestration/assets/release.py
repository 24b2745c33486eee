"""The marts of a wave, and its release."""

import dagster as dg
import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.orchestration.metadata import column_schema, table_markdown
from pipelines.orchestration.plans import cell_ties
from pipelines.release.protection import leaks, published_cells
from pipelines.release.publish import ReleaseInput, publish
from pipelines.reporting.blanking import printable
from pipelines.settings import Settings
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.published import publishable
from pipelines.warehouse.steps import require_whole

# Marts made by a statement from estimates; the others are written by the step that makes their figures
_BUILT = ("mart.adoption_rate", "mart.progress", "mart.domain", "mart.benchmark")


def mart_assets(library: ContractLibrary, waves: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The published tables, as one step."""

    @dg.multi_asset(
        name="marts",
        specs=[
            dg.AssetSpec(
                key=name.split("."),
                group_name="marts",
                deps=[
                    "progress",
                    "changes",
                    "small_areas",
                    "benchmarks",
                    *([survey, "replicates"] for survey in library.surveys),
                ],
                description=table.description,
                kinds={"duckdb"},
                metadata={"dagster/column_schema": column_schema(table)},
                partitions_def=waves,
            )
            for name, table in library.marts.items()
        ],
        partitions_def=waves,
        pool="warehouse",
    )
    def marts(
        context: dg.AssetExecutionContext,
        library: dg.ResourceParam[ContractLibrary],
        warehouse: dg.ResourceParam[Warehouse],
    ):  # no annotation: dagster reads a generator's type as that of its outputs
        wave = int(context.partition_key)
        with warehouse.session() as session:
            for survey in library.surveys:
                for table in _BUILT:
                    session.build(table, survey=survey, wave=wave)
            rows = {
                name: session.table(name, where={"wave": wave} if "wave" in table.column_names else {})
                for name, table in library.marts.items()
            }
        for name, frame in rows.items():
            yield dg.MaterializeResult(
                asset_key=name.split("."),
                metadata={
                    "dagster/partition_row_count": frame.height,
                    "first rows": table_markdown(frame.head(5)),
                },
            )

    return marts


def release_asset(library: ContractLibrary, waves: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The release folder of a wave."""

    @dg.asset(
        key="release",
        group_name="release",
        deps=[name.split(".") for name in library.marts],
        partitions_def=waves,
        pool="warehouse",
        kinds={"duckdb", "parquet", "csv", "excel"},
        description="DuckDB, Parquet, CSV, workbook and report in both languages, published as a whole.",
    )
    def release(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        library: dg.ResourceParam[ContractLibrary],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> dg.MaterializeResult:
        wave = int(context.partition_key)
        with warehouse.session() as session:
            for survey in library.surveys:
                require_whole(session, library, survey=survey, wave=wave, upto="estimates")
            marts = printable({name.split(".")[1]: _upto(session.table(name), wave) for name in library.marts})
            rates = _upto(session.table("estimates.adoption_rate"), wave)
            given = ReleaseInput(
                wave=wave,
                marts={
                    name.split(".")[1]: publishable(marts[name.split(".")[1]], table)
                    for name, table in library.marts.items()
                },
                deliveries=_upto(session.table("meta.delivery_file"), wave),
                row_balance=_upto(session.table("meta.row_balance"), wave),
                leaks=leaks(
                    _upto(session.table("estimates.disclosure"), wave),
                    marts,
                    published_cells(settings.published_dir, rates),
                    ties={name: cell_ties(survey, library) for name, survey in library.surveys.items()},
                ),
            )
        published = publish(settings, library, given)
        files = sorted(path.relative_to(published.folder).as_posix() for path in published.folder.rglob("*.*"))
        return dg.MaterializeResult(
            metadata={
                "release": str(published.vintage),
                "new": published.new,
                "folder": dg.MetadataValue.path(published.folder),
                "synthetic": given.synthetic,
                "files": table_markdown(pl.DataFrame({"file": files})),
            }
        )

    return release


def _upto(frame: pl.DataFrame, wave: int) -> pl.DataFrame:
    return frame.filter(pl.col("wave") <= wave) if "wave" in frame.columns else frame
