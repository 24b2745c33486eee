"""Running the wave job from the command line.

Belongs here: which waves run, what a person sees while they do, and turning Dagster's failures back
into errors to act on. Does not belong here: anything a step does, Dagster's services (services.py).
"""

import ctypes
import gc
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import dagster as dg

from pipelines.errors import AxstatError
from pipelines.intake.manifest import find_deliveries
from pipelines.orchestration.assets.release import HELD
from pipelines.orchestration.build import build_definitions
from pipelines.orchestration.history import BY_COMMAND, WRITER_TAG, opened_instance
from pipelines.orchestration.jobs import WAVE_JOB
from pipelines.orchestration.logs import JSON_LOGGER
from pipelines.settings import Settings
from pipelines.warehouse.database import Warehouse

# From <malloc.h>, and bytes
_M_MMAP_THRESHOLD, _LARGE_BLOCK = -3, 2**24
# Runs of this command carry the tags. One at work holds the warehouse file from its first step to its last. The daemon
# neither queues them nor starts them again: a person sees how they end.
_OF_COMMAND = {WRITER_TAG: BY_COMMAND, "dagster/max_retries": "0"}
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


class Show(Protocol):
    """Receives one line of progress; `finished` lines stay, the others name the step at work."""

    def __call__(self, text: str, *, finished: bool) -> None:
        """Show `text`."""


@dataclass(frozen=True)
class WaveRun:
    """A wave that ran through.

    Attributes:
        release, folder: None where the release is held back until its moment.
        new: False where the content had not changed since the last vintage.
        held: why it is held back; empty: it is published.
    """

    wave: int
    release: str | None
    folder: Path | None
    new: bool
    seconds: float
    held: str = ""

    def __str__(self) -> str:
        if self.held:
            return f"wave {self.wave}: built, not published ({self.seconds:.1f} s)\n{self.held}"
        what = "published" if self.new else "unchanged, still"
        return f"wave {self.wave}: {what} {self.release} ({self.seconds:.1f} s)\n  {self.folder}"


def run_waves(settings: Settings, waves: Sequence[int] | None, *, on_event: Show) -> list[WaveRun]:
    """Run waves in order, oldest first, since later ones read their baseline; stop at the first failure.

    Args:
        waves: reference years; None for every wave that has deliveries.

    Raises:
        AxstatError: with everything that a person must act on.
    """
    # A person is there to mend what cannot be read, also where it does not say which wave it is of
    delivered = sorted({found.wave for found in find_deliveries(settings.deliveries_dir)})
    if waves is None:
        waves = delivered
    if not waves:
        raise AxstatError(
            "no_deliveries",
            where=str(settings.deliveries_dir),
            expected="a folder with a manifest.json for each delivery",
            got="nothing",
            hint="drop deliveries there, or run `axstat synth` for made-up ones",
        )
    definitions = build_definitions(settings, loggers={"progress": _progress_logger(on_event)})
    job = definitions.resolve_job_def(WAVE_JOB)
    warehouse: Warehouse = definitions.resources["warehouse"]
    _return_large_blocks()
    with _little_garbage(), opened_instance(settings) as instance:
        runs = []
        for wave in sorted(waves):
            with warehouse.kept_open():
                _end_killed_runs(instance)
                runs.append(_run_wave(job, instance, wave, None if settings.json_logs else on_event))
        return runs


def _end_killed_runs(instance: dg.DagsterInstance) -> None:
    """Say of runs of this command that were killed that they failed.

    To be called while the warehouse file is held: then no other run of this command is at work.
    """
    for run in instance.get_runs(filters=dg.RunsFilter(tags=_OF_COMMAND, statuses=_UNFINISHED)):
        instance.report_run_failed(run, "This run was killed; the next one found it unfinished.")


def _return_large_blocks() -> None:
    """Give large blocks back to the system when they are freed, where the C library is glibc.

    By default it raises the size from which it does so with each large block that is freed, keeps ever more holes
    between small ones, and five waves in one process end with a sixth more memory.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)


@contextmanager
def _little_garbage() -> Iterator[None]:
    """The garbage collector looks seldom, and not at what was imported and built so far, which stays."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _run_wave(job: dg.JobDefinition, instance: dg.DagsterInstance, wave: int, on_event: Show | None) -> WaveRun:
    """``on_event`` None: nobody watches, the run logs JSON."""
    started = time.perf_counter()
    if on_event is not None:
        on_event(f"wave {wave}", finished=True)
    result = job.execute_in_process(
        partition_key=str(wave),
        instance=instance,
        run_config={"loggers": {JSON_LOGGER if on_event is None else "progress": {}}},
        tags=_OF_COMMAND,
        raise_on_error=False,
    )
    if not result.success:
        raise _failure(result, wave)
    seconds = time.perf_counter() - started
    of_release = dg.AssetKey("release")
    for event in result.all_events:
        if event.is_asset_observation and event.asset_observation_data.asset_observation.asset_key == of_release:
            held = str(event.asset_observation_data.asset_observation.metadata[HELD].value)
            return WaveRun(wave=wave, release=None, folder=None, new=False, seconds=seconds, held=held)
    [released] = [
        event.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.materialization.asset_key == of_release
    ]
    return WaveRun(
        wave=wave,
        release=str(released["release"].value),
        folder=Path(str(released["folder"].value)),
        new=bool(released["new"].value),
        seconds=seconds,
    )


class RunFailedError(AxstatError):
    """A wave's run stopped; the text lists every failed step and check."""

    def __init__(self, wave: int, findings: Sequence[str]) -> None:
        self.findings = tuple(findings)
        super().__init__(
            "run_failed",
            where=f"wave {wave}",
            expected="every step and blocking check to pass",
            got=f"{len(findings)} failure(s)",
            hint="mend the cause below and run the wave again; nothing of it was published",
        )

    def __str__(self) -> str:
        return super().__str__() + "".join(f"\n{finding}" for finding in self.findings)


def _failure(result: dg.ExecuteInProcessResult, wave: int) -> RunFailedError:
    findings = []
    for event in result.all_events:
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            if not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.ERROR:
                findings.append(f"[{evaluation.check_name}] {evaluation.description or ''}")
        elif event.is_step_failure:
            error = event.step_failure_data.error
            # Dagster wraps what a step raised; checks that failed were listed above
            if error is not None and error.cause is not None:
                error = error.cause
                findings.append(error.message.split(": ", 1)[-1].rstrip())
    return RunFailedError(wave, findings)


def _progress_logger(on_event: Show) -> dg.LoggerDefinition:
    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            event = getattr(record, "dagster_event", None)
            if event is None or event.step_key is None:
                return
            if event.event_type == dg.DagsterEventType.STEP_START:
                on_event(f"  {event.step_key} …", finished=False)
            elif event.event_type == dg.DagsterEventType.STEP_SUCCESS:
                seconds = event.step_success_data.duration_ms / 1000
                on_event(f"  {event.step_key}  {seconds:.1f} s", finished=True)

    @dg.logger
    def progress(_context: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("axstat", level=logging.DEBUG)
        logger.addHandler(Handler())
        return logger

    return progress
