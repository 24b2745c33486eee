"""What persons answer for by name in a release: explanations, overrides, and who sees it beforehand.

Belongs here: the frozen models of `explanations.yaml`, `overrides.yaml` and `pre_access.yaml`. Does not belong here:
what they explain or override (release), the calendar (calendar).
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_STRICT = ConfigDict(frozen=True, extra="forbid")


class Explanation(BaseModel):
    """Why a change that the gate calls implausible is right; it counts for that survey, wave, rule and domain only."""

    model_config = _STRICT

    survey: str
    wave: int
    rule: Literal["implausible_change", "size_gradient"]
    domain_type: str
    domain_code: str
    who: str = Field(min_length=1)
    why_ko: str = Field(min_length=1)
    why_en: str = Field(min_length=1)


class ExplanationFile(BaseModel):
    """`data_contracts/explanations.yaml`."""

    model_config = _STRICT

    id: Literal["explanations"]
    version: str
    explanations: tuple[Explanation, ...] = ()


class Override(BaseModel):
    """A rule that does not hold one release back, by whom and why.

    Attributes:
        release: the vintage, such as ``2025.2``; no other one is let through.
        rule: a code of gate_rules.yaml.
    """

    model_config = _STRICT

    release: str = Field(pattern=r"^\d{4}\.\d+$")
    rule: str
    name: str = Field(min_length=1)
    reason_ko: str = Field(min_length=1)
    reason_en: str = Field(min_length=1)


class OverrideFile(BaseModel):
    """`data_contracts/overrides.yaml`."""

    model_config = _STRICT

    id: Literal["overrides"]
    version: str
    overrides: tuple[Override, ...] = ()


class PreAccess(BaseModel):
    """One person who may see a release so many hours before its publication."""

    model_config = _STRICT

    who: str = Field(min_length=1)
    role_ko: str = Field(min_length=1)
    role_en: str = Field(min_length=1)
    hours_before: float = Field(gt=0)
    why_ko: str = Field(min_length=1)
    why_en: str = Field(min_length=1)


class PreAccessFile(BaseModel):
    """`data_contracts/pre_access.yaml`; nobody may see a release earlier than `longest_hours` before."""

    model_config = _STRICT

    id: Literal["pre_access"]
    version: str
    proposal: bool
    note_ko: str
    note_en: str
    longest_hours: float = Field(gt=0)
    people: tuple[PreAccess, ...] = ()

    @model_validator(mode="after")
    def _nobody_earlier(self) -> Self:
        early = [person.who for person in self.people if person.hours_before > self.longest_hours]
        if early:
            raise ValueError(f"hours_before above longest_hours ({self.longest_hours:g}): {', '.join(early)}")
        return self
