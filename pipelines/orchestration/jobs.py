"""The one job: a wave from its deliveries to its release."""

import dagster as dg

WAVE_JOB = "wave"


def wave_job():  # dagster does not export the type it returns
    """Every asset of one wave, in this process, since the warehouse file has one writer at a time."""
    return dg.define_asset_job(
        WAVE_JOB,
        selection=dg.AssetSelection.all(),
        executor_def=dg.in_process_executor,
        description="One wave of both surveys: deliveries to published release.",
    )
