"""How contractors head the tables of their codebooks, as the frozen model of `data_contracts/codebooks.yaml`.

Belongs here: which headers and words stand for what. Does not belong here: reading a codebook (intake.codebook).
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

VariableType = Literal["number", "text", "date"]
_STRICT = ConfigDict(frozen=True, extra="forbid")


class CodebookHeaders(BaseModel):
    """Headers by what stands below them.

    Attributes:
        name: name of the variable. text: its label, a few words on what it is. question: what was asked.
        label: headers that say nothing by themselves: text left of the codes, label of a code right of them.
        code, code_label: a code and what it stands for. type: number, text or date.
    """

    model_config = _STRICT

    name: tuple[str, ...] = Field(min_length=1)
    text: tuple[str, ...] = Field(min_length=1)
    question: tuple[str, ...] = Field(min_length=1)
    label: tuple[str, ...]
    code: tuple[str, ...] = Field(min_length=1)
    code_label: tuple[str, ...] = Field(min_length=1)
    type: tuple[str, ...]


class CodebookForm(BaseModel):
    """Headers of a codebook, and the words that name types."""

    model_config = _STRICT

    id: Literal["codebooks"]
    version: str
    headers: CodebookHeaders
    types: dict[VariableType, tuple[str, ...]]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for what, words in (("header", self.headers.model_dump().values()), ("type", self.types.values())):
            plain = ["".join(word.casefold().split()) for listed in words for word in listed]
            repeated = sorted({word for word in plain if plain.count(word) > 1})
            if repeated:
                raise ValueError(f"{what} {', '.join(repeated)} stands more than once")
        return self
