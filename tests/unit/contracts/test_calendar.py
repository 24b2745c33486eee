"""Announced dates of publication."""

import datetime

import pytest

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
