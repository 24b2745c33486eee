"""The marts of a wave, and its release."""

from datetime import UTC, timedelta

import dagster as dg
import polars as pl

from pipelines.contracts.calendar import ReleaseCalendar
from pipelines.contracts.library import ContractLibrary
from pipelines.orchestration.metadata import column_schema, table_markdown
from pipelines.orchestration.step_records import recorded
from pipelines.release.gate import RefusedError, utc_now
from pipelines.release.publish import publish
from pipelines.release.reading import read_release
from pipelines.settings import Settings
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.steps import MARTS, record_step

# Metadata of the observation that stands where a release would, before its moment
HELD = "held"
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
    @recorded
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
                record_step(session, library, survey=survey, wave=wave, step=MARTS)
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
        description="All forms of the tables, workbook and report in both languages; judged and published as a whole.",
        # A release whose moment has not come is none, and no failure
        output_required=False,
        freshness_policy=_yearly(library.calendar),
    )
    @recorded
    def release(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        library: dg.ResourceParam[ContractLibrary],
        warehouse: dg.ResourceParam[Warehouse],
    ):  # no annotation: dagster reads a generator's type as that of its outputs
        given = read_release(warehouse, int(context.partition_key), published=settings.published_dir)
        try:
            published = publish(settings, library, given, now=utc_now())
        except RefusedError as error:
            if not error.held:
                raise
            yield dg.AssetObservation("release", partition=context.partition_key, metadata={HELD: str(error)})
            return
        files = sorted(path.relative_to(published.folder).as_posix() for path in published.folder.rglob("*.*"))
        yield dg.MaterializeResult(
            metadata={
                "release": str(published.vintage),
                "new": published.new,
                "folder": dg.MetadataValue.path(published.folder),
                "synthetic": given.synthetic,
                "files": table_markdown(pl.DataFrame({"file": files})),
            }
        )

    return release


def _yearly(calendar: ReleaseCalendar) -> dg.FreshnessPolicy:
    """A release each year between the earliest and the latest day that the calendar has, and a day of grace."""
    moments = sorted(
        calendar.publication_moment(wave).astimezone(UTC).replace(year=2000) for wave in calendar.publication_dates
    )
    deadline = moments[-1] + timedelta(days=1)
    return dg.FreshnessPolicy.cron(
        deadline_cron=f"{deadline.minute} {deadline.hour} {deadline.day} {deadline.month} *",
        lower_bound_delta=deadline - moments[0],
    )
