"""Word of runs that failed: what a notice says, and the sensor that sees to it that each gets through.

Belongs here: which runs are told of, and how a notice reads. Does not belong here: what of a failure may leave the
machine (failures.py), mail and HTTP (senders.py), addresses (settings).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import dagster as dg

from pipelines.orchestration.failures import findings
from pipelines.orchestration.senders import Notice, NotSentError, post, send_mail
from pipelines.settings import Settings

SENSOR = "failure_notices"
_OF_INTEREST = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.ASSET_CHECK_EVALUATION}
_SHOWN = 20
_A_TICK = 3
_KEEP_TRYING = timedelta(days=3)
_REMEMBERED = 500

_Send = Callable[[Notice], None]


def failure_sensor(settings: Settings) -> dg.SensorDefinition:
    """Tells of each failed run by every way that the settings name, until it got through.

    It is on where they name one: who sets it up has asked for it.
    """
    ways: dict[str, _Send] = {}
    mail, webhook = settings.notices.mail, settings.notices.webhook
    if mail is not None:
        ways["mail"] = lambda notice: send_mail(mail, notice)
    if webhook is not None:
        ways["webhook"] = lambda notice: post(webhook, notice)

    @dg.sensor(
        name=SENSOR,
        minimum_interval_seconds=30,
        description="Sends word of failed runs by mail or webhook (AXSTAT_NOTICE_TO, AXSTAT_WEBHOOK_URL).",
        default_status=dg.DefaultSensorStatus.RUNNING if ways else dg.DefaultSensorStatus.STOPPED,
    )
    def failure_notices(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if not ways:
            return dg.SkipReason("neither AXSTAT_NOTICE_TO nor AXSTAT_WEBHOOK_URL is set")
        cursor = _Cursor.read(context.cursor)
        told = _tell(context, cursor, ways)
        context.update_cursor(cursor.written())
        return dg.SkipReason("\n".join(told) or "no run failed")

    return failure_notices


class _Cursor:
    """Since when failures are looked for, and which were told already, as `<way> <run id>`."""

    def __init__(self, since: datetime, told: list[str]) -> None:
        self.since = since
        self.told = told

    @classmethod
    def read(cls, text: str | None) -> "_Cursor":
        """Without a cursor: from now on."""
        if text is None:
            return cls(datetime.now(UTC), [])
        stored = json.loads(text)
        return cls(datetime.fromisoformat(stored["since"]), list(stored["told"]))

    def written(self) -> str:
        """For the next tick."""
        return json.dumps({"since": self.since.isoformat(), "told": self.told[-_REMEMBERED:]})


def _tell(context: dg.SensorEvaluationContext, cursor: _Cursor, ways: Mapping[str, _Send]) -> list[str]:
    """Send what is to be sent, note it in the cursor; a line for each notice."""
    # A run's record also changes after it failed, so that some are seen again: `told` knows them
    records = context.instance.get_run_records(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=cursor.since - timedelta(seconds=1)),
        order_by="update_timestamp",
        ascending=True,
    )
    lines = []
    tries = 0
    held_back = False
    for record in records:
        run = record.dagster_run
        waiting = [way for way in ways if f"{way} {run.run_id}" not in cursor.told]
        failed_at = record.update_timestamp.replace(tzinfo=UTC)
        if waiting and tries < _A_TICK:
            tries += 1
            for way in list(waiting):
                try:
                    ways[way](failure_notice(context.instance, run))
                except NotSentError as error:
                    context.log.error(f"no notice of run {run.run_id}: {error}")
                    lines.append(f"run {run.run_id}: {error}; it is tried again")
                else:
                    waiting.remove(way)
                    cursor.told.append(f"{way} {run.run_id}")
                    lines.append(f"run {run.run_id}: sent by {way}")
        held_back = held_back or (bool(waiting) and datetime.now(UTC) - failed_at < _KEEP_TRYING)
        if not held_back:
            cursor.since = max(cursor.since, failed_at)
    return lines


def failure_notice(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Notice:
    """What is told of a failed run: run, wave, the steps and checks that failed, by code and place."""
    wave = run.tags.get("dagster/partition")
    what = f"{run.job_name} of wave {wave}" if wave else run.job_name
    failures = [
        finding
        for entry in instance.all_logs(run.run_id, of_type=_OF_INTEREST)
        if entry.dagster_event is not None
        for finding in findings(entry.dagster_event)
    ]
    lines = [f"Run {run.run_id} ({what}) failed.", *(f"- {one}" for one in failures[:_SHOWN])]
    if len(failures) > _SHOWN:
        lines.append(f"- and {len(failures) - _SHOWN} more")
    if not failures:
        lines.append("No step of it failed: its process ended, or it could not be started.")
    lines += ["", "What was found, and what to do about it, stands in Dagster's UI (`axstat ui`) under this id.", ""]
    return Notice(
        subject=f"[axstat] {what} failed",
        text="\n".join(lines),
        facts={
            "run": run.run_id,
            "job": run.job_name,
            "wave": int(wave) if wave else None,
            "failures": [asdict(one) for one in failures],
        },
    )
