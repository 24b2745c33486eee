"""How a file is to be read, where its name and bytes do not say it.

Belongs here: what a sender declares of a file's form (a manifest, a command, a contract). Does not belong here: what is
in the file (contracts), how a format is read (formats/).
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1)]


class FileForm(BaseModel):
    """The form of one file; each reader takes from it what concerns its format.

    `encoding`, `delimiter` and `sheet` may be left out: the encoding is then found out strictly (encoding.py), the
    delimiter is the comma (tab for .tsv), the sheet the first one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    encoding: Literal["utf-8", "utf-8-sig", "cp949"] | None = None
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    header_rows: int = Field(default=1, ge=1, le=10)
    sheet: Text | None = None
