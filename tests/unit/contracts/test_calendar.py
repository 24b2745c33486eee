"""Announced dates of publication."""

import datetime

import pytest
from pydantic import ValidationError

from pipelines.contracts.calendar import ReleaseCalendar
from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError


def test_every_wave_until_the_target_year_has_a_date(library: ContractLibrary) -> None:
    last = max(target.year for target in library.targets.values())
    for wave in range(2021, last + 1):
        date = library.calendar.publication_date(wave)
        # The rule in the file's note: the third Wednesday of December
        assert (date.year, date.month, date.isoweekday()) == (wave, 12, 3)
        assert 15 <= date.day <= 21
    assert library.calendar.publication_date(2025) == datetime.date(2025, 12, 17)


def test_a_wave_without_a_date_is_refused(library: ContractLibrary) -> None:
    with pytest.raises(AxstatError) as caught:
        library.calendar.publication_date(2050)
    assert caught.value.code == "no_publication_date"
    assert "2050" in caught.value.expected


def test_a_wave_is_published_at_noon_in_seoul(library: ContractLibrary) -> None:
    moment = library.calendar.publication_moment(2025)
    assert moment.astimezone(datetime.UTC) == datetime.datetime(2025, 12, 17, 3, tzinfo=datetime.UTC)
    assert library.calendar.embargoes == ()


def test_a_time_without_its_offset_is_refused(library: ContractLibrary) -> None:
    content = library.calendar.model_dump()
    with pytest.raises(ValidationError, match="offset from UTC"):
        ReleaseCalendar.model_validate({**content, "publication_time": "12:00"})
    held = {"wave": 2025, "until": "2025-12-18T12:00", "why_ko": "사유", "why_en": "reason"}
    with pytest.raises(ValidationError, match="timezone"):
        ReleaseCalendar.model_validate({**content, "embargoes": [held]})
