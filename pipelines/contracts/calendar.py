"""When each wave is published, as the frozen model of `data_contracts/release_calendar.yaml`.

Belongs here: the dates that were announced. Does not belong here: holding back a release until its date
(release).
"""

import datetime
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pipelines.errors import AxstatError


class ReleaseCalendar(BaseModel):
    """`data_contracts/release_calendar.yaml`: the day of publication by wave, the same for both surveys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Literal["release_calendar"]
    version: str
    note_ko: str
    note_en: str
    proposal: bool
    publication_dates: Mapping[int, datetime.date]

    def publication_date(self, wave: int) -> datetime.date:
        """The day on which the wave is published.

        Raises:
            AxstatError: the calendar has no date for the wave.
        """
        date = self.publication_dates.get(wave)
        if date is None:
            raise AxstatError(
                "no_publication_date",
                where="data_contracts/release_calendar.yaml",
                expected=f"a date for wave {wave}",
                got=f"dates for {', '.join(str(known) for known in sorted(self.publication_dates))}",
                hint="add the announced date under publication_dates",
            )
        return date
