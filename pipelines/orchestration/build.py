"""Puts settings, contracts, warehouse, assets, checks, jobs, schedules and sensors together, once a process."""

from collections.abc import Mapping

import dagster as dg

from pipelines.contracts.library import load_library
from pipelines.orchestration.assets.benchmarks import benchmark_asset
from pipelines.orchestration.assets.changes import change_asset
from pipelines.orchestration.assets.deliveries import delivery_assets
from pipelines.orchestration.assets.estimates import estimate_assets
from pipelines.orchestration.assets.progress import progress_asset
from pipelines.orchestration.assets.release import mart_assets, release_asset
from pipelines.orchestration.assets.replicates import replicate_assets
from pipelines.orchestration.assets.small_areas import small_area_asset
from pipelines.orchestration.assets.staging import staging_assets
from pipelines.orchestration.assets.weights import weight_assets
from pipelines.orchestration.checks import boundary_checks
from pipelines.orchestration.inputs import WaveReader
from pipelines.orchestration.jobs import check_job, fetch_job, wave_job
from pipelines.orchestration.logs import JSON_LOGGER, json_logger
from pipelines.orchestration.notices import failure_sensor
from pipelines.orchestration.partitions import wave_partitions
from pipelines.orchestration.schedules import calendar_schedules, nightly_check
from pipelines.orchestration.sensors import delivery_sensor, source_sensor
from pipelines.private_folders import keep_private
from pipelines.settings import Settings
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse


def build_definitions(settings: Settings, loggers: Mapping[str, dg.LoggerDefinition] | None = None) -> dg.Definitions:
    """All of axstat as Dagster sees it.

    Raises:
        ViolationsError: if the contracts are not in order.
        AxstatError: a folder with microdata that cannot be made private.
    """
    library = load_library(settings.contracts_dir)
    keep_private(settings)
    catalogue = SqlCatalogue(settings.sql_dir)
    first_wave = min(survey.first_wave for survey in library.surveys.values())
    waves = wave_partitions(first_wave)
    assets = [
        asset
        for survey in library.surveys.values()
        for asset in (
            *delivery_assets(survey, waves),
            *staging_assets(survey, waves),
            *weight_assets(survey, waves),
            *estimate_assets(survey, waves),
            *replicate_assets(survey, waves),
        )
    ]
    assets += [benchmark_asset(waves), progress_asset(library, waves)]
    assets += [change_asset(library, waves), small_area_asset(library, waves)]
    assets += [mart_assets(library, waves), release_asset(library, waves)]
    return dg.Definitions(
        assets=assets,
        asset_checks=boundary_checks(library, catalogue),
        jobs=[wave_job(settings), fetch_job(settings), check_job(settings)],
        schedules=[*calendar_schedules(library.calendar), nightly_check()],
        sensors=[delivery_sensor(library, waves), source_sensor(library), failure_sensor(settings)],
        resources={
            "settings": settings,
            "library": library,
            "reader": WaveReader(library),
            "warehouse": Warehouse(settings.warehouse_file, catalogue, library),
        },
        loggers={JSON_LOGGER: json_logger, **(loggers or {})},
    )
