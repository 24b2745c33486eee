"""The jobs: a wave from its deliveries to its release, a fetch from the sources, a check of what was delivered."""

from datetime import UTC, datetime

import dagster as dg

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.intake.manifest import look_for_deliveries, select_files
from pipelines.intake.sources.fetch import fetch
from pipelines.orchestration.assets.deliveries import read_current
from pipelines.orchestration.history import QUEUED, WRITER_TAG
from pipelines.orchestration.logs import JSON_LOGGER, json_logger
from pipelines.settings import Settings

WAVE_JOB = "wave"
FETCH_JOB = "fetch"
CHECK_JOB = "check_deliveries"


def wave_job(settings: Settings):  # dagster does not export the type it returns
    """Every asset of one wave, in this process, since the warehouse file has one writer at a time."""
    return dg.define_asset_job(
        WAVE_JOB,
        selection=dg.AssetSelection.all(),
        executor_def=dg.in_process_executor,
        # Later waves rest on earlier ones, so that those of a backfill run in order
        tags={WRITER_TAG: QUEUED},
        config=_logging(settings),
        description="One wave of both surveys: deliveries to published release.",
    )


def fetch_job(settings: Settings) -> dg.JobDefinition:
    """What `axstat fetch` does, as a job."""

    @dg.op(description="Takes what is new at the sources of sources.yaml into the deliveries folder.")
    def fetch_deliveries(
        context: dg.OpExecutionContext,
        settings: dg.ResourceParam[Settings],
        library: dg.ResourceParam[ContractLibrary],
    ) -> None:
        seen = fetch(library.sources.sources, settings.deliveries_dir, environment=settings.environment)
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
        logger_defs={JSON_LOGGER: json_logger},
        config=_logging(settings),
        description="Deliveries of the sources into the deliveries folder.",
    )
    def job() -> None:
        fetch_deliveries()

    return job


def check_job(settings: Settings) -> dg.JobDefinition:
    """Reads what was delivered as a run would, and writes nothing."""

    @dg.op(description="Reads every delivery; fails with all that a run would refuse, and with what is due.")
    def look_at_deliveries(
        context: dg.OpExecutionContext,
        settings: dg.ResourceParam[Settings],
        library: dg.ResourceParam[ContractLibrary],
    ) -> None:
        read, violations = check_deliveries(settings, library, now=datetime.now(UTC))
        context.add_output_metadata({"surveys and waves in order": read, "findings": len(violations)})
        for violation in violations:
            context.log.error(str(violation))
        if violations:
            raise ViolationsError("deliveries", violations)

    @dg.job(
        name=CHECK_JOB,
        executor_def=dg.in_process_executor,
        logger_defs={JSON_LOGGER: json_logger},
        config=_logging(settings),
        description="Whether the deliveries can still be read, and whether those that are due are there.",
    )
    def job() -> None:
        look_at_deliveries()

    return job


def check_deliveries(
    settings: Settings, library: ContractLibrary, *, now: datetime
) -> tuple[list[str], list[Violation]]:
    """Surveys and waves whose deliveries can be read, and everything that is wrong with the others.

    A wave is looked at that has a delivery, or that is due: the release calendar has it built by `now`, and not yet
    published.
    """
    found = look_for_deliveries(settings.deliveries_dir)
    calendar = library.calendar
    due = {
        (survey, wave)
        for wave in calendar.publication_dates
        if calendar.preparation_moment(wave) <= now < calendar.release_moment(wave)
        for survey in library.surveys
    }
    there = {(manifest.survey, manifest.wave) for manifest in found.manifests}
    read: list[str] = []
    violations = list(found.unplaced)
    for survey, wave in sorted(due | there, key=lambda one: (one[1], one[0])):
        wrong = found.violations(survey=survey, wave=wave)
        contracts = library.surveys[survey].contracts if survey in library.surveys else None
        if contracts is None:
            wrong.append(_no_such_survey(survey, wave, library))
        else:
            wanted = (contracts.response, contracts.sample, contracts.frame)
            try:
                selected = select_files(found.manifests, survey=survey, wave=wave, contracts=wanted)
                read_current(selected, library, survey=survey, wave=wave)
            except ViolationsError as error:
                wrong += error.violations
        violations += wrong
        if not wrong:
            read.append(f"{survey} {wave}")
    return read, violations


def _no_such_survey(survey: str, wave: int, library: ContractLibrary) -> Violation:
    return Violation(
        code="unknown_survey",
        where=f"deliveries of {survey} {wave}",
        expected=f"one of {', '.join(library.surveys)}",
        got=survey,
        hint="correct 'survey' in the manifest",
    )


def _logging(settings: Settings) -> dict[str, object] | None:
    """Run configuration for logs as the settings ask for them; None: as Dagster does."""
    return {"loggers": {JSON_LOGGER: {}}} if settings.json_logs else None
