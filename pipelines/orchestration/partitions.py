"""The wave as Dagster's partition: one key a survey year."""

import dagster as dg


def wave_partitions(first_wave: int) -> dg.TimeWindowPartitionsDefinition:
    """Yearly partitions from the first wave to the current year.

    Args:
        first_wave: reference year of the first wave of any survey.
    """
    # end_offset: a wave is delivered during its own year, before Dagster would call that year complete
    return dg.TimeWindowPartitionsDefinition(start=str(first_wave), cron_schedule="0 0 1 1 *", fmt="%Y", end_offset=1)
