"""What is there and what ran, as `axstat status` shows it. Reads only.

Belongs here: recent runs and the checks of each wave's last run, out of Dagster's history, put beside waves, deliveries
and releases. Does not belong here: how far a wave is built (release.overview), printing (terminal).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import dagster as dg
import polars as pl

from pipelines.contracts.calendar import ReleaseCalendar
from pipelines.contracts.library import load_library
from pipelines.errors import AxstatError
from pipelines.orchestration.failures import findings
from pipelines.orchestration.history import BY_COMMAND, WRITER_TAG, opened_instance
from pipelines.orchestration.jobs import WAVE_JOB
from pipelines.release.overview import delivery_states, overview, releases
from pipelines.settings import Settings

_RUNS = 8
# Runs that are looked through for the last one of each wave
_LOOKED_THROUGH = 200
_OF_INTEREST = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.ASSET_CHECK_EVALUATION}
_RUN_COLUMNS = {
    "started": pl.String, "job": pl.String, "wave": pl.Int32, "by": pl.String, "status": pl.String,
    "seconds": pl.Float64, "why": pl.String, "run": pl.String,
}  # fmt: skip
_CHECK_COLUMNS = {
    "wave": pl.Int32, "passed": pl.UInt32, "warned": pl.UInt32, "failed": pl.UInt32, "not passed": pl.String
}  # fmt: skip


@dataclass(frozen=True)
class Situation:
    """Tables by their title, in the order in which they are read, and what else a person should know."""

    tables: Mapping[str, pl.DataFrame]
    notes: tuple[str, ...]

    def as_json(self) -> str:
        """One object: a list of rows a table, and the notes."""
        rows = {title: table.to_dicts() for title, table in self.tables.items()}
        return json.dumps({**rows, "notes": self.notes}, ensure_ascii=False, indent=2)


def situation(settings: Settings, *, now: datetime) -> Situation:
    """Waves, deliveries, runs, checks and releases.

    While a run has the warehouse, waves and deliveries are left out, and a note says so.

    Raises:
        AxstatError: contracts, warehouse, history or a release that cannot be read.
    """
    notes = [_next(load_library(settings.contracts_dir).calendar, now)]
    tables: dict[str, pl.DataFrame] = {}
    try:
        tables |= {"waves": overview(settings), "deliveries": delivery_states(settings)}
    except AxstatError as error:
        if error.code != "warehouse_locked":
            raise
        notes.append("a run is at work in the warehouse: its waves and deliveries are shown when it has ended")
    runs, checks = _history(settings)
    tables |= {"runs": runs, "checks": checks, "releases": releases(settings)}
    return Situation(tables, tuple(notes))


def _next(calendar: ReleaseCalendar, now: datetime) -> str:
    coming = sorted(
        (moment, wave) for wave in calendar.publication_dates if (moment := calendar.release_moment(wave)) > now
    )
    if not coming:
        return "the release calendar has no publication to come"
    moment, wave = coming[0]
    built = calendar.preparation_moment(wave)
    return (
        f"next publication: wave {wave}, {moment:%Y-%m-%d %H:%M %z}; it is to be built from {built:%Y-%m-%d %H:%M %z}"
    )


def _history(settings: Settings) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The last runs, newest first, and the checks of the last run that ended of each wave."""
    if settings.postgres_url is None and not settings.dagster_home.exists():
        return pl.DataFrame(schema=_RUN_COLUMNS), pl.DataFrame(schema=_CHECK_COLUMNS)
    with opened_instance(settings) as instance:
        records = instance.get_run_records(limit=_LOOKED_THROUGH)
        runs = [_run(instance, record) for record in records[:_RUNS]]
        last: dict[int, dg.DagsterRun] = {}
        for run in (record.dagster_run for record in records):
            wave = _wave(run)
            if wave is not None and run.job_name == WAVE_JOB and run.is_finished:
                last.setdefault(wave, run)
        checks = [_checks(instance, wave, run) for wave, run in sorted(last.items())]
    return pl.DataFrame(runs, schema=_RUN_COLUMNS), pl.DataFrame(checks, schema=_CHECK_COLUMNS)


def _run(instance: dg.DagsterInstance, record: dg.RunRecord) -> dict[str, object]:
    run = record.dagster_run
    started, ended = record.start_time, record.end_time
    return {
        "started": None if started is None else datetime.fromtimestamp(started).strftime("%Y-%m-%d %H:%M"),
        "job": run.job_name,
        "wave": _wave(run),
        "by": _started_by(run),
        "status": run.status.value.lower(),
        "seconds": None if started is None or ended is None else round(ended - started, 1),
        "why": _why(instance, run),
        "run": run.run_id[:8],
    }


def _why(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    if run.status is not dg.DagsterRunStatus.FAILURE:
        return None
    events = (entry.dagster_event for entry in instance.all_logs(run.run_id, of_type=_OF_INTEREST))
    found = [one for event in events if event is not None for one in findings(event)]
    if not found:
        return "its process ended, or it could not be started"
    return str(found[0]) + (f" (and {len(found) - 1} more)" if len(found) > 1 else "")


def _checks(instance: dg.DagsterInstance, wave: int, run: dg.DagsterRun) -> dict[str, object]:
    counts = {"passed": 0, "warned": 0, "failed": 0}
    named = []
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        assert entry.dagster_event is not None
        check = entry.dagster_event.asset_check_evaluation_data
        if check.passed:
            counts["passed"] += 1
            continue
        counts["failed" if check.severity == dg.AssetCheckSeverity.ERROR else "warned"] += 1
        named.append(f"{check.check_name} ({check.asset_key.to_user_string()})")
    return {"wave": wave, **counts, "not passed": ", ".join(named) or None}


def _wave(run: dg.DagsterRun) -> int | None:
    key = run.tags.get("dagster/partition")
    return None if key is None else int(key)


def _started_by(run: dg.DagsterRun) -> str:
    if run.tags.get(WRITER_TAG) == BY_COMMAND:
        return "axstat run"
    if "dagster/backfill" in run.tags:
        return "backfill"
    for kind in ("schedule", "sensor"):
        if (name := run.tags.get(f"dagster/{kind}_name")) is not None:
            return f"{kind} {name}"
    return "a person"
