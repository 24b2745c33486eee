"""Layout files of fixed-width text: which positions of a record hold which column.

Belongs here: reading a layout and what can be wrong with it. Does not belong here: the records (fixed_width.py).
"""

from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import Violation, ViolationsError
from pipelines.intake.form import FileForm, leads_out
from pipelines.intake.formats.delimited import read_delimited
from pipelines.intake.limits import Limits
from pipelines.intake.problems import file_error
from pipelines.intake.table import TextTable

_NEEDED = ("name", "start", "width")
_LABEL = "label"


@dataclass(frozen=True)
class Field:
    """One column: `width` positions from `start` on, counted from 0."""

    name: str
    start: int
    width: int
    label: str | None

    @property
    def end(self) -> int:
        """The first position after the field."""
        return self.start + self.width


def read_layout(folder: Path, layout: str, *, file: str, limits: Limits) -> list[Field]:
    """The fields of the layout file `layout` in or below `folder`, a CSV of name, start (from 1), width and, if wanted,
    label.

    Raises:
        ViolationsError: no such file there, columns missing, or rows that are no field; all of them at once.
    """
    path = folder / layout
    where = f"{file}, layout {layout}"
    if leads_out(path, folder) or not path.is_file():
        raise file_error(
            file,
            "missing_layout",
            expected=f"the layout file {layout} in the data file's folder or below",
            got="no such file there",
            hint="send the layout with the data, or correct 'layout' in the manifest",
        )
    table = read_delimited(path, FileForm(), file=where, limits=limits)
    at = {header.strip().lower(): position for position, header in enumerate(table.headers)}
    missing = [name for name in _NEEDED if name not in at]
    if missing:
        raise file_error(
            where,
            "layout_invalid",
            part="header",
            expected="the columns name, start, width and, if wanted, label",
            got=", ".join(table.headers),
            hint=f"add {', '.join(missing)}",
        )
    return _fields(table, at, where=where)


def _fields(table: TextTable, at: dict[str, int], *, where: str) -> list[Field]:
    fields: list[Field] = []
    violations: list[Violation] = []
    for row, cells in enumerate(table.frame.rows(), 1):
        name, start, width = ((cells[at[column]] or "").strip() for column in _NEEDED)
        if name and _is_position(start) and _is_position(width):
            label = cells[at[_LABEL]] if _LABEL in at else None
            fields.append(Field(name=name, start=int(start) - 1, width=int(width), label=label))
            continue
        violations.append(
            Violation(
                code="layout_invalid",
                where=where,
                expected="a name, and start and width as whole numbers from 1",
                got=f"name {name!r}, start {start!r}, width {width!r}",
                hint="correct the layout file",
                rows=(row,),
            )
        )
    if violations:
        raise ViolationsError(where, violations)
    return fields


def _is_position(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 6 and int(text) >= 1
