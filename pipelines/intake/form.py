"""How a file is to be read, where its name and bytes do not say it.

Belongs here: what a sender declares of a file's form (a manifest, a command, a contract). Does not belong here: what is
in the file (contracts), how a format is read (formats/).
"""

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal
from unicodedata import category

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pipelines.errors import Violation, ViolationsError


def _below(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or "\\" in value:
        raise ValueError("must be a path below the folder it is in, with forward slashes")
    # Messages show the name, and a terminal obeys some of them
    if any(category(sign) == "Cc" for sign in value):
        raise ValueError("must hold no control characters")
    return value


def leads_out(path: Path, folder: Path) -> bool:
    """Whether a path below `folder` leads out of it, by symbolic links, though its name does not."""
    # Path.resolve raises on links in a circle
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


Text = Annotated[str, Field(min_length=1)]
PathBelow = Annotated[Text, AfterValidator(_below)]
Encoding = Literal[
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "cp949",
    "euc-kr",
    "windows-1252",
    "latin-1",
    "shift_jis",
]


class FileForm(BaseModel):
    """The form of one file; each reader takes from it what concerns its format. What is left out is found out.

    Attributes:
        encoding: of text. Left out: found out strictly (encoding.py).
        delimiter: of delimited text. Left out: the one that splits all records alike; in .tsv the tab.
        header_rows: rows of the header.
        skip_rows: rows above the header, blank ones counted, as a spreadsheet counts them. Left out: titles are told
            by their form (notes.py).
        notes_below: rows below the last data row, blank ones not counted. Left out: notes are told by their form.
        sheet: of a workbook. Left out: the first.
        layout: the layout file of fixed-width text, beside the data file or below its folder.
        unit: in what the layout counts positions.
        member: the file of a zip that is meant. Left out: the only one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    encoding: Encoding | None = None
    delimiter: str | None = Field(default=None, pattern=r'^[^"\r\n]$', max_length=1)
    header_rows: int = Field(default=1, ge=1, le=10)
    skip_rows: int | None = Field(default=None, ge=0, le=1000)
    notes_below: int | None = Field(default=None, ge=0, le=1000)
    sheet: Text | None = None
    layout: PathBelow | None = None
    unit: Literal["bytes", "characters"] = "bytes"
    member: PathBelow | None = None


def parse_form(pairs: Sequence[str], *, where: str) -> FileForm:
    """A form from texts ``key=value``, as a command has them; `where` names the option.

    Raises:
        ViolationsError: every pair that is none, repeated, or no key and value of a form.
    """
    given: dict[str, str] = {}
    violations: list[Violation] = []
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or key in given:
            violations.append(_pair_violation(where, "key=value, each key once", repr(pair)))
        given[key] = value
    try:
        # Keys of pairs that are none are told already.
        form = FileForm.model_validate_strings(given if not violations else {})
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            key = str(problem["loc"][0])
            known = f"one of {', '.join(FileForm.model_fields)}" if key not in FileForm.model_fields else problem["msg"]
            violations.append(_pair_violation(where, known, f"{key}={problem['input']}"))
    if violations:
        raise ViolationsError(where, violations)
    return form


def _pair_violation(where: str, expected: str, got: str) -> Violation:
    hint = "correct the option; its keys and their meaning stand in manifest.schema.json"
    return Violation(code="form_invalid", where=where, expected=expected, got=got, hint=hint)
