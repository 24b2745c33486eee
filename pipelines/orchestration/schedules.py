"""When the wave job runs by itself."""

import dagster as dg

from pipelines.orchestration.jobs import WAVE_JOB


def annual_schedule(first_wave: int) -> dg.ScheduleDefinition:
    """A run each 1 December, after the autumn's field work, for the wave of that year (off until switched on)."""

    def evaluate(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        year = context.scheduled_execution_time.year
        if year < first_wave:
            return dg.SkipReason(f"the first wave is {first_wave}")
        return dg.RunRequest(run_key=str(year), partition_key=str(year))

    return dg.ScheduleDefinition(
        name="annual_wave",
        job_name=WAVE_JOB,
        description="The wave of the year, each 1 December at 03:00 in Seoul, after the autumn's field work.",
        cron_schedule="0 3 1 12 *",
        execution_timezone="Asia/Seoul",
        execution_fn=evaluate,
    )
