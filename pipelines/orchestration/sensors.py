"""What starts by itself when something arrives: a fetch from the sources, and the run of a wave.

Belongs here: when a job is asked for, and what is told when it is not. Does not belong here: fetching or reading a
delivery (intake).
"""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import dagster as dg

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.sources import Source
from pipelines.errors import AxstatError, ViolationsError
from pipelines.intake.arrivals import WaveArrivals, wave_arrivals
from pipelines.intake.manifest import FoundDeliveries, look_for_deliveries, select_files
from pipelines.intake.sources.download import Patience
from pipelines.intake.sources.faults import Deadline
from pipelines.intake.sources.kinds import open_source
from pipelines.intake.sources.look import SeenDelivery, look
from pipelines.orchestration.jobs import FETCH_JOB, WAVE_JOB
from pipelines.settings import Settings
from pipelines.warehouse.steps import OWN_STEPS

# Assets of one survey that need no other survey
SURVEY_STEPS = ("deliveries", "staging", *OWN_STEPS)

_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
# Dagster gives a tick a minute
_TICK_SECONDS = 40.0


def delivery_sensor(library: ContractLibrary, waves: dg.PartitionsDefinition) -> dg.SensorDefinition:
    """Asks for the run of a wave whose deliveries are new or corrected, the oldest first, one at a time.

    A wave is run as a whole when all surveys are there; a survey alone goes as far as it needs no other.
    """

    @dg.sensor(
        name="new_deliveries",
        job_name=WAVE_JOB,
        minimum_interval_seconds=60,
        description="Runs a wave when its deliveries are new or corrected and their upload is over.",
    )
    def new_deliveries(context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]) -> dg.SensorResult:
        found = look_for_deliveries(settings.deliveries_dir)
        arrived = wave_arrivals(found.manifests, settle_seconds=library.sources.settle_seconds, now=time.time())
        told = [str(violation) for problem in found.problems for violation in problem.violations]
        asked: dict[str, str] = json.loads(context.cursor or "{}")
        requests: list[dg.RunRequest] = []
        for wave in sorted({one.wave for one in arrived}):
            of_wave = [one for one in arrived if one.wave == wave]
            ready, waiting = _ready(library, found, of_wave)
            told += waiting
            whole = {one.survey for one in ready} == set(library.surveys)
            if not whole:
                # What is being uploaded may complete the wave; what is not there, or wrong, may take weeks
                uploading = any(one.unfinished for one in of_wave)
                ready = [] if uploading else [one for one in ready if asked.get(_name(one)) != one.fingerprint]
            key = ", ".join(f"{_name(one)} {one.fingerprint}" for one in ready)
            if not ready or asked.get(str(wave)) == key:
                continue
            if not waves.has_partition_key(str(wave)):
                told.append(f"wave {wave} lies in the future")
            elif requests or _at_work(context, WAVE_JOB):
                told.append(f"{key}: waits for the run of another wave")
            else:
                asked |= {_name(one): one.fingerprint for one in ready}
                asked |= {str(wave): key} if whole else {}
                selection = (
                    None if whole else [dg.AssetKey([one.survey, step]) for one in ready for step in SURVEY_STEPS]
                )
                requests.append(dg.RunRequest(run_key=key, partition_key=str(wave), asset_selection=selection))
        return _result(context, requests, told, cursor=json.dumps(asked))

    return new_deliveries


def source_sensor(library: ContractLibrary) -> dg.SensorDefinition:
    """Asks for a fetch when a source holds a delivery that was not taken yet."""

    @dg.sensor(
        name="new_at_sources",
        job_name=FETCH_JOB,
        minimum_interval_seconds=300,
        description="Fetches deliveries that are new at a source of sources.yaml into the deliveries folder.",
    )
    def new_at_sources(context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]) -> dg.SensorResult:
        sources = library.sources.sources
        if not sources:
            return _result(context, [], ["sources.yaml names no source: only the deliveries folder is read"])
        told: list[str] = []
        new: list[SeenDelivery] = []
        for source in sources:
            try:
                seen = _look(source, settings, settings.environment, seconds=_TICK_SECONDS / len(sources))
            except AxstatError as error:
                told.append(str(error))
                continue
            new += [one for one in seen if one.state == "new"]
            told += [str(one) for one in seen if one.state not in ("new", "had")]
        requests = []
        if new and _at_work(context, FETCH_JOB):
            told.append("a fetch is at work")
        elif new:
            digest = hashlib.sha256()
            for one in new:
                digest.update(f"{one.source}/{one.name}\0".encode() + one.content)
            # A fetch that failed is tried again an hour later at the earliest
            hour = datetime.now(UTC).strftime("%Y-%m-%dT%H")
            requests = [dg.RunRequest(run_key=f"{digest.hexdigest()[:16]} {hour}")]
        return _result(context, requests, told)

    return new_at_sources


def _ready(
    library: ContractLibrary, found: FoundDeliveries, arrived: Sequence[WaveArrivals]
) -> tuple[list[WaveArrivals], list[str]]:
    """Surveys of one wave that can run, and why others cannot."""
    ready, waiting = [], []
    for one in arrived:
        survey = library.surveys.get(one.survey)
        place = _name(one)
        if survey is None:
            waiting.append(f"{place}: no such survey; there are {', '.join(library.surveys)}")
            continue
        waiting += [f"{place}: {line}" for line in one.unfinished]
        contracts = (survey.contracts.response, survey.contracts.sample, survey.contracts.frame)
        try:
            select_files(one.manifests, survey=one.survey, wave=one.wave, contracts=contracts)
            survey.question_version(one.wave)
        except ViolationsError as error:
            waiting += [str(violation) for violation in error.violations]
            continue
        except AxstatError as error:
            waiting.append(str(error))
            continue
        if not one.unfinished and not found.violations(survey=one.survey, wave=one.wave):
            ready.append(one)
    return ready, waiting


def _name(arrived: WaveArrivals) -> str:
    return f"{arrived.survey} {arrived.wave}"


def _look(source: Source, settings: Settings, environment: Mapping[str, str], *, seconds: float) -> list[SeenDelivery]:
    """A look short enough for a tick: one try, and no longer than `seconds`."""
    short = max(1, int(min(seconds, source.limits.stall_seconds)))
    limits = source.limits.model_copy(update={"attempts": 1, "stall_seconds": short})
    hurried = source.model_copy(update={"limits": limits})
    remote = open_source(hurried, environment)
    try:
        patience = Patience(hurried, Deadline(hurried, min(seconds, limits.seconds)))
        return look(remote, settings.deliveries_dir, patience=patience)
    finally:
        remote.close()


def _at_work(context: dg.SensorEvaluationContext, job: str) -> bool:
    return bool(context.instance.get_runs(filters=dg.RunsFilter(job_name=job, statuses=_UNFINISHED), limit=1))


def _result(
    context: dg.SensorEvaluationContext,
    requests: list[dg.RunRequest],
    told: Sequence[str],
    *,
    cursor: str | None = None,
) -> dg.SensorResult:
    for line in told:
        context.log.warning(line)
    reason = None if requests else dg.SkipReason("\n".join(told) or "nothing new")
    return dg.SensorResult(run_requests=requests, skip_reason=reason, cursor=cursor)
