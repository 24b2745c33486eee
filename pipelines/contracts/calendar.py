"""When each wave is published, as the frozen model of `data_contracts/release_calendar.yaml`.

Belongs here: the dates that were announced, the time of day, embargoes. Does not belong here: holding back a release
until its moment (release), any clock.
"""

import datetime
from collections.abc import Mapping
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from pipelines.errors import AxstatError


class Embargo(BaseModel):
    """Holds a wave back beyond its announced moment, `until` another one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    wave: int
    until: AwareDatetime
    why_ko: str = Field(min_length=1)
    why_en: str = Field(min_length=1)


class ReleaseCalendar(BaseModel):
    """`data_contracts/release_calendar.yaml`: the moment of publication by wave, the same for both surveys.

    Attributes:
        publication_time: time of day, with its offset from UTC.
        preparation_days: so long before its publication a wave is built, for people to look at.
        embargoes: waves that are held back for longer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Literal["release_calendar"]
    version: str
    note_ko: str
    note_en: str
    proposal: bool
    publication_time: datetime.time
    preparation_days: int = Field(ge=1, le=180)
    publication_dates: Mapping[int, datetime.date]
    embargoes: tuple[Embargo, ...] = ()

    @field_validator("publication_time")
    @classmethod
    def _has_an_offset(cls, value: datetime.time) -> datetime.time:
        if value.utcoffset() is None:
            raise ValueError("must have its offset from UTC, such as '12:00:00+09:00'")
        return value

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

    def publication_moment(self, wave: int) -> datetime.datetime:
        """Day and time at which the wave is published, with the offset of the calendar.

        Raises:
            AxstatError: as `publication_date`.
        """
        return datetime.datetime.combine(self.publication_date(wave), self.publication_time)

    def release_moment(self, wave: int) -> datetime.datetime:
        """When the wave may go out: its announced moment, or the end of an embargo after it.

        Raises:
            AxstatError: as `publication_date`.
        """
        until = [embargo.until for embargo in self.embargoes if embargo.wave == wave]
        return max([self.publication_moment(wave), *until])

    def preparation_moment(self, wave: int) -> datetime.datetime:
        """When the wave is built for the first time: at night, `preparation_days` before its publication.

        Raises:
            AxstatError: as `publication_date`.
        """
        day = self.publication_date(wave) - datetime.timedelta(days=self.preparation_days)
        return datetime.datetime.combine(day, datetime.time(3, tzinfo=self.publication_time.tzinfo))
