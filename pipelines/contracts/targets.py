"""The published targets, as frozen models of `data_contracts/targets.yaml`.

Belongs here: value, year, definition, denominator and source of a target. Does not belong here: distances and
paces (stats), or how a target is drawn (reporting).
"""

import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Target(BaseModel):
    """A national target for one survey's headline measure.

    Attributes:
        value: share, 0 to 1.
        ceilings: levels at which growth may end, falling from 1 and all above the target; the projection tries each.
        date: when the source was published.
        interpretation_en: how axstat reads the target where the source leaves it open.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    survey: str
    measure: str
    value: float = Field(gt=0.0, lt=1.0)
    year: int
    ceilings: tuple[float, ...] = (1.0,)
    definition_ko: str
    definition_en: str
    denominator_ko: str
    denominator_en: str
    interpretation_ko: str
    interpretation_en: str
    source: str
    source_ko: str
    date: datetime.date

    @model_validator(mode="after")
    def _ceilings_leave_room(self) -> Self:
        falling = sorted(set(self.ceilings), reverse=True) == list(self.ceilings)
        if not (falling and self.ceilings[:1] == (1.0,) and self.ceilings[-1] > self.value):
            raise ValueError(f"ceilings {self.ceilings}: begin with 1, let each be lower, and stay above {self.value}")
        return self

    @property
    def definition(self) -> str:
        """The definition in English."""
        return self.definition_en

    @property
    def denominator(self) -> str:
        """The denominator in English."""
        return self.denominator_en


class TargetFile(BaseModel):
    """`data_contracts/targets.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    version: str
    targets: tuple[Target, ...]
