from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import dagster as dg
from dagster._utils.schedules import schedule_execution_time_iterator

from pipelines.contracts.library import ContractLibrary
from pipelines.orchestration.schedules import annual_schedule

SEOUL = ZoneInfo("Asia/Seoul")


def ticks(after: datetime, count: int) -> list[datetime]:
    schedule = annual_schedule(2021)
    found = schedule_execution_time_iterator(after.timestamp(), schedule.cron_schedule, schedule.execution_timezone)
    return [next(found) for _ in range(count)]


def evaluated(definitions: dg.Definitions, at: datetime) -> dg.RunRequest | str:
    """The one run that a tick asks for, or why it asks for none."""
    repository = definitions.get_repository_def()
    with dg.build_schedule_context(scheduled_execution_time=at, repository_def=repository) as context:
        data = repository.get_schedule_def("annual_wave").evaluate_tick(context)
    if data.skip_message:
        return data.skip_message
    [request] = data.run_requests
    return request


def test_it_ticks_once_a_year_by_the_clock_of_seoul() -> None:
    # 1 December 03:00 in Seoul is 18:00 of the day before in UTC: a schedule in UTC would be nine hours late
    found = ticks(datetime(2026, 1, 1, tzinfo=UTC), 3)
    assert [tick.astimezone(UTC) for tick in found] == [
        datetime(year, 11, 30, 18, tzinfo=UTC) for year in (2026, 2027, 2028)
    ]


def test_each_tick_is_before_the_announced_day_of_its_wave(library: ContractLibrary) -> None:
    for wave in library.calendar.publication_dates:
        [tick] = ticks(datetime(wave, 1, 1, tzinfo=SEOUL), 1)
        assert tick.date() < library.calendar.publication_date(wave)


def test_a_tick_asks_for_the_wave_of_its_year(definitions: dg.Definitions) -> None:
    [tick] = ticks(datetime(2026, 6, 1, tzinfo=UTC), 1)
    request = evaluated(definitions, tick)
    assert isinstance(request, dg.RunRequest)
    # The run key keeps a second tick of the same year from running the wave again
    assert (request.partition_key, request.run_key) == ("2026", "2026")


def test_a_tick_before_the_first_wave_asks_for_nothing(definitions: dg.Definitions) -> None:
    assert evaluated(definitions, datetime(2020, 12, 1, 3, tzinfo=SEOUL)) == "the first wave is 2021"


def test_it_is_off_until_a_person_switches_it_on() -> None:
    assert annual_schedule(2021).default_status == dg.DefaultScheduleStatus.STOPPED
