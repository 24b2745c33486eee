"""What can be wrong with a file as a whole, as the frozen model of `data_contracts/file_faults.yaml`.

Belongs here: the shape of the texts. Does not belong here: finding a fault (intake), telling it (precheck), the texts
of rules on rows, which stand beside the rules.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class FileFault(BaseModel):
    """What a fault's code means, in both languages.

    Attributes:
        message_ko, message_en: what is wrong. action_ko, action_en: what the person who receives it does next.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str = Field(min_length=1)
    message_ko: str = Field(min_length=1)
    message_en: str = Field(min_length=1)
    action_ko: str = Field(min_length=1)
    action_en: str = Field(min_length=1)


class FileFaults(BaseModel):
    """`file_faults.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Literal["file_faults"]
    version: str
    faults: tuple[FileFault, ...] = Field(min_length=1)
