"""Declared changes of published figures, as the frozen model of `data_contracts/revisions.yaml`.

Belongs here: what a person says about a change. Does not belong here: which figures changed (stats, release), or how
a change is told (reporting).
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines.contracts.quality_values import VintageName

Kind = Literal["correction", "revision"]


class DeclaredRevision(BaseModel):
    """Why figures change: an error is mended (``correction``) or it was planned (``revision``).

    Attributes:
        vintage: the release in which they change; None: whichever.
        wave: reference year of the figures that change; None: all.
        survey: whose figures; None: both surveys'.
        cause: code of `revision_causes`.
        who: the person or office that declares it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    vintage: VintageName | None = None
    wave: int | None = None
    survey: str | None = None
    kind: Kind
    cause: str
    reason_ko: str = Field(min_length=1)
    reason_en: str = Field(min_length=1)
    who: str = Field(min_length=1)

    @model_validator(mode="after")
    def _about_something(self) -> Self:
        if self.vintage is None and self.wave is None:
            raise ValueError("name the release (vintage) or the reference year (wave) that changes, or both")
        return self

    @property
    def scope(self) -> tuple[str | None, int | None, str | None]:
        """What the entry is about."""
        return self.vintage, self.wave, self.survey


class Revisions(BaseModel):
    """`data_contracts/revisions.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Literal["revisions"]
    version: str
    revisions: tuple[DeclaredRevision, ...] = ()

    def declared(self, *, vintage: str, survey: str, wave: int) -> DeclaredRevision | None:
        """The most specific entry about a figure that changes in a release: release before year before survey."""
        fitting = [
            entry
            for entry in self.revisions
            if entry.vintage in (None, vintage) and entry.wave in (None, wave) and entry.survey in (None, survey)
        ]
        return max(fitting, key=lambda entry: tuple(part is not None for part in entry.scope), default=None)
