"""When jobs run by themselves: a wave before its publication, its release at its moment, a check each night.

Belongs here: turning the release calendar into ticks. Does not belong here: any date (contracts), what a job does
(jobs). All of them are off until a person switches them on.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import dagster as dg

from pipelines.contracts.calendar import ReleaseCalendar
from pipelines.orchestration.jobs import CHECK_JOB, WAVE_JOB


def calendar_schedules(calendar: ReleaseCalendar) -> list[dg.ScheduleDefinition]:
    """The annual cycle: each wave is built in good time, and what was built goes out at its moment."""
    built = {calendar.preparation_moment(wave): wave for wave in calendar.publication_dates}
    released = {calendar.release_moment(wave): wave for wave in calendar.publication_dates}
    return [
        _of_moments(
            "annual_wave",
            built,
            f"The wave of the year, {calendar.preparation_days} days before publication; its release waits until then.",
            lambda wave, _at: dg.RunRequest(run_key=str(wave), partition_key=str(wave)),
        ),
        _of_moments(
            "publication",
            released,
            "The release of the wave as it was built and looked at, at the moment of the release calendar.",
            # A delivery that came since then is not taken in unseen: the gate refuses, and a person decides
            lambda wave, at: dg.RunRequest(
                run_key=f"{wave} {at.isoformat()}",
                partition_key=str(wave),
                asset_selection=[dg.AssetKey("release")],
            ),
        ),
    ]


def nightly_check() -> dg.ScheduleDefinition:
    """Looks at the deliveries each night, when nobody uploads any."""
    return dg.ScheduleDefinition(
        name="nightly_check",
        job_name=CHECK_JOB,
        description="Reads all deliveries each night at 02:00 in Seoul; fails where a run would, or where one is due.",
        cron_schedule="0 2 * * *",
        execution_timezone="Asia/Seoul",
    )


def _of_moments(
    name: str,
    moments: Mapping[datetime, int],
    description: str,
    request: Callable[[int, datetime], dg.RunRequest],
) -> dg.ScheduleDefinition:
    """A schedule that asks for a run at each moment; its ticks of other years ask for none."""
    in_utc = {moment.astimezone(UTC): wave for moment, wave in moments.items()}

    def evaluate(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        at = context.scheduled_execution_time.astimezone(UTC)
        wave = in_utc.get(at)
        if wave is None:
            return dg.SkipReason(f"the release calendar has nothing for {at:%Y-%m-%d %H:%M} UTC")
        return request(wave, at)

    return dg.ScheduleDefinition(
        name=name,
        job_name=WAVE_JOB,
        description=description,
        cron_schedule=sorted({f"{at.minute} {at.hour} {at.day} {at.month} *" for at in in_utc}),
        execution_timezone="UTC",
        execution_fn=evaluate,
    )
