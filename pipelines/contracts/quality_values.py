"""Quality indicators that are handed in, as the frozen model of `data_contracts/quality_values.yaml`.

Belongs here: supplied values, reasons for having none, and the days on which releases went out. Does not belong here:
an indicator that can be computed (stats, release), or the announced days (calendar).
"""

import datetime
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

# In quotes in YAML, which else reads a number: 2024.10 would become 2024.1
VintageName = Annotated[str, StringConstraints(pattern=r"^\d{4}\.[1-9]\d*$")]


class SuppliedValue(BaseModel):
    """One indicator: a value and its source, or why there is none.

    Attributes:
        survey, wave: what it is about; None: every one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    indicator: str
    survey: str | None = None
    wave: int | None = None
    value: float | None = Field(default=None, allow_inf_nan=False)
    source: str | None = None
    reason_ko: str | None = None
    reason_en: str | None = None

    @model_validator(mode="after")
    def _value_or_reason(self) -> Self:
        has_value = self.value is not None and bool(self.source)
        has_reason = bool(self.reason_ko) and bool(self.reason_en)
        given = [name for name in ("value", "source", "reason_ko", "reason_en") if getattr(self, name) is not None]
        if has_value == has_reason or len(given) != 2:
            raise ValueError("give either value and source, or reason_ko and reason_en")
        return self

    @property
    def scope(self) -> tuple[str, str | None, int | None]:
        """What the entry is about; an entry about less counts before one about more."""
        return self.indicator, self.survey, self.wave


class QualityValues(BaseModel):
    """`data_contracts/quality_values.yaml`.

    Attributes:
        published_on: day on which a release went out, by its name (``2025.1``).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Literal["quality_values"]
    version: str
    values: tuple[SuppliedValue, ...] = ()
    published_on: Mapping[VintageName, datetime.date] = Field(default_factory=dict)

    def supplied(self, indicator: str, *, survey: str, wave: int) -> SuppliedValue | None:
        """The most specific entry for an indicator of a survey and wave; a wave counts more than a survey."""
        fitting = [
            entry
            for entry in self.values
            if entry.indicator == indicator and entry.survey in (None, survey) and entry.wave in (None, wave)
        ]
        return max(fitting, key=lambda entry: (entry.wave is not None, entry.survey is not None), default=None)
