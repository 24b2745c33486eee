"""Ticks against the release calendar: expected moments are worked out by hand from its dates and its time in Seoul."""

from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from pipelines.contracts.calendar import ReleaseCalendar
from pipelines.contracts.library import ContractLibrary
from pipelines.orchestration.schedules import calendar_schedules, nightly_check

SEOUL = ZoneInfo("Asia/Seoul")


def by_name(calendar: ReleaseCalendar) -> Mapping[str, dg.ScheduleDefinition]:
    return {schedule.name: schedule for schedule in calendar_schedules(calendar)}


def ticks(schedule: dg.ScheduleDefinition, after: datetime, count: int) -> list[datetime]:
    found = schedule_execution_time_iterator(after.timestamp(), schedule.cron_schedule, schedule.execution_timezone)
    return [next(found) for _ in range(count)]


def evaluated(
    definitions: dg.Definitions, name: str, at: datetime, *, schedule: dg.ScheduleDefinition | None = None
) -> dg.RunRequest | str:
    """The one run that a tick asks for, or why it asks for none; by default of the definitions' own schedule."""
    repository = definitions.get_repository_def()
    asked = schedule or repository.get_schedule_def(name)
    with dg.build_schedule_context(scheduled_execution_time=at, repository_def=repository) as context:
        data = asked.evaluate_tick(context)
    if data.skip_message:
        return data.skip_message
    [request] = data.run_requests
    return request


def test_a_wave_is_built_at_night_so_many_days_before_its_publication(
    library: ContractLibrary, definitions: dg.Definitions
) -> None:
    # Published on 16 December 2026; 16 days before, at 03:00 in Seoul, it is still 29 November in UTC
    at = datetime(2026, 11, 29, 18, tzinfo=UTC)
    schedule = by_name(library.calendar)["annual_wave"]
    assert library.calendar.preparation_days == 16
    assert at in [tick.astimezone(UTC) for tick in ticks(schedule, datetime(2026, 1, 1, tzinfo=UTC), 10)]
    request = evaluated(definitions, "annual_wave", at)
    assert isinstance(request, dg.RunRequest)
    # The run key keeps a second tick of the same year from running the wave again
    assert (request.partition_key, request.run_key, request.asset_selection) == ("2026", "2026", None)


def test_what_was_built_goes_out_at_the_announced_moment(library: ContractLibrary, definitions: dg.Definitions) -> None:
    noon = datetime(2026, 12, 16, 12, tzinfo=SEOUL)
    schedule = by_name(library.calendar)["publication"]
    assert noon in ticks(schedule, datetime(2026, 1, 1, tzinfo=UTC), 10)
    request = evaluated(definitions, "publication", noon)
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == "2026"
    assert request.asset_selection == [dg.AssetKey("release")]


def test_an_embargo_moves_the_publication_to_its_end(library: ContractLibrary, definitions: dg.Definitions) -> None:
    embargo = {"wave": 2026, "until": "2026-12-17T09:30:00+09:00", "why_ko": "연기", "why_en": "postponed"}
    calendar = ReleaseCalendar.model_validate({**library.calendar.model_dump(), "embargoes": [embargo]})
    schedule = by_name(calendar)["publication"]
    announced, later = datetime(2026, 12, 16, 3, tzinfo=UTC), datetime(2026, 12, 17, 0, 30, tzinfo=UTC)
    assert isinstance(evaluated(definitions, "publication", announced, schedule=schedule), str)
    request = evaluated(definitions, "publication", later, schedule=schedule)
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == "2026"


@pytest.mark.parametrize("name", ["annual_wave", "publication"])
def test_each_wave_of_the_calendar_has_one_tick_and_other_years_none(
    library: ContractLibrary, definitions: dg.Definitions, name: str
) -> None:
    """Days of one year are also days of the others: their ticks come, and ask for nothing."""
    schedule = by_name(library.calendar)[name]
    waves: list[str] = []
    for year in library.calendar.publication_dates:
        for tick in ticks(schedule, datetime(year, 1, 1, tzinfo=UTC), 20):
            if tick.year == year:
                found = evaluated(definitions, name, tick)
                waves += [str(found.partition_key)] if isinstance(found, dg.RunRequest) else []
    assert waves == [str(wave) for wave in sorted(library.calendar.publication_dates)]


def test_a_tick_of_no_wave_says_so(definitions: dg.Definitions) -> None:
    said = evaluated(definitions, "annual_wave", datetime(2020, 11, 30, 18, tzinfo=UTC))
    assert said == "the release calendar has nothing for 2020-11-30 18:00 UTC"


def test_deliveries_are_looked_at_each_night_by_the_clock_of_seoul() -> None:
    found = ticks(nightly_check(), datetime(2026, 1, 1, tzinfo=UTC), 3)
    assert [tick.astimezone(UTC) for tick in found] == [datetime(2026, 1, day, 17, tzinfo=UTC) for day in (1, 2, 3)]


def test_they_are_off_until_a_person_switches_them_on(definitions: dg.Definitions) -> None:
    schedules = definitions.get_repository_def().schedule_defs
    assert {schedule.name for schedule in schedules} == {"annual_wave", "publication", "nightly_check"}
    assert {schedule.default_status for schedule in schedules} == {dg.DefaultScheduleStatus.STOPPED}
