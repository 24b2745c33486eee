"""How the text of a column's cells becomes values, where it is not plain.

Belongs here: what a contract declares of a column's cells (`reading`) and of a table's shape (`unpivot`), and which of
it goes together. Does not belong here: the conversion (intake.typed), the form of a whole file (intake.form).
"""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

Text = Annotated[str, Field(min_length=1)]


def _with_meaning(value: object) -> object:
    """A list of marks is a mapping in which each stands for itself; a mark such as -9 need not be in quotes."""
    if isinstance(value, list):
        value = {entry: str(entry) for entry in value}
    if isinstance(value, dict):
        return {str(mark) if type(mark) is int else mark: meaning for mark, meaning in value.items()}
    return value


Marks = Annotated[Mapping[Text, Text], BeforeValidator(_with_meaning)]


class CellForm(BaseModel):
    """The form of a column's cells; what is left out is plain: 1234.5, 2025-12-31, Y and N, text as it stands.

    Attributes:
        decimal, thousands: the marks in numbers. Without `thousands` a grouped number is not one.
        percent: numbers are in per cent and each ends in the sign ('sign') or none does ('implied'). The column's unit
            says what becomes of 9.4 %: unit share 0.094, unit percent 9.4.
        missing: text that stands for no value -> why there is none; a list where the text says it itself.
        flags: letters that may stand beside a value -> what the flag column is to say.
        flagged: where they stand: after the value in one text ('suffix': ``12.3 b``) or as the second of two texts
            ('pair': ``['12.3', 'b']``).
        html: entities such as ``&#8211;`` stand for characters.
        trim: white space around text is not part of it.
        dates: formats of dates and times, tried in order, in the notation of strftime.
        truth: text -> truth value, upper and lower case alike.
        items: how a list is written in one cell: 'json', 'python', or the character between two items.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    decimal: Literal[".", ","] = "."
    thousands: Literal[",", ".", " ", "'"] | None = None
    percent: Literal["sign", "implied"] | None = None
    missing: Marks = Field(default_factory=dict)
    flags: Marks = Field(default_factory=dict)
    flagged: Literal["suffix", "pair"] | None = None
    html: bool = False
    trim: bool = False
    dates: Annotated[
        tuple[Text, ...], BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
    ] = ()
    truth: Mapping[Text, bool] = Field(default_factory=dict)
    items: Text | None = None

    @property
    def has_flags(self) -> bool:
        """Whether the typed table has a flag column beside this one."""
        return bool(self.missing or self.flags)

    @field_validator("items")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        if value is not None and value not in ("json", "python") and len(value) != 1:
            raise ValueError("'json', 'python' or one character")
        return value

    @model_validator(mode="after")
    def _agreeing(self) -> "CellForm":
        if self.decimal == self.thousands:
            raise ValueError("a decimal mark other than the thousands mark")
        if bool(self.flags) != (self.flagged is not None):
            raise ValueError("flags and flagged together, or neither")
        return self


PLAIN = CellForm()


class Unpivot(BaseModel):
    """A table with a column a period (or a group), to be read as a row for each of them.

    Attributes:
        pattern: which headers are such columns. Named groups in it give columns of these names; without any, `name`
            is the column that takes the header.
        name: as said above.
        value: the column that takes the cells.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    pattern: Text
    value: Text
    name: Text | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns made of the headers."""
        groups = re.compile(self.pattern).groupindex
        return tuple(groups) if groups else (self.name or "",)

    @model_validator(mode="after")
    def _whole(self) -> "Unpivot":
        try:
            groups = re.compile(self.pattern).groupindex
        except re.error as error:
            raise ValueError(f"a regular expression as pattern; {error}") from error
        if bool(groups) == (self.name is not None):
            raise ValueError("either named groups in pattern or a name")
        return self
