"""The jobs: a wave from its deliveries to its release, and a fetch from the sources."""

import os

import dagster as dg

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError
from pipelines.intake.sources.fetch import fetch
from pipelines.settings import Settings

WAVE_JOB = "wave"
FETCH_JOB = "fetch"


def wave_job():  # dagster does not export the type it returns
    """Every asset of one wave, in this process, since the warehouse file has one writer at a time."""
    return dg.define_asset_job(
        WAVE_JOB,
        selection=dg.AssetSelection.all(),
        executor_def=dg.in_process_executor,
        description="One wave of both surveys: deliveries to published release.",
    )


def fetch_job() -> dg.JobDefinition:
    """What `axstat fetch` does, as a job."""

    @dg.op(description="Takes what is new at the sources of sources.yaml into the deliveries folder.")
    def fetch_deliveries(
        context: dg.OpExecutionContext,
        settings: dg.ResourceParam[Settings],
        library: dg.ResourceParam[ContractLibrary],
    ) -> None:
        seen = fetch(library.sources.sources, settings.deliveries_dir, environment=os.environ)
        for one in seen:
            if one.state in ("taken", "had"):
                context.log.info(str(one))
            else:
                context.log.warning(str(one))
        failed = [str(one) for one in seen if one.state == "failed"]
        if failed:
            raise AxstatError(
                "fetch_failed",
                where="sources.yaml",
                expected="every delivery that is new at a source",
                got="\n".join(failed),
                hint="see each; what came already is kept, and the next fetch goes on with it",
            )

    @dg.job(
        name=FETCH_JOB,
        executor_def=dg.in_process_executor,
        description="Deliveries of the sources into the deliveries folder.",
    )
    def job() -> None:
        fetch_deliveries()

    return job
