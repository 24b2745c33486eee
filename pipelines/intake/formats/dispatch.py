"""Which reader a file is for, by the end of its name.

Belongs here: the list of formats, and the limits that hold for all of them. Does not belong here: reading.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import polars as pl

from pipelines.intake.form import FileForm
from pipelines.intake.formats.archive import unpacked
from pipelines.intake.formats.code_lists import read_code_lists
from pipelines.intake.formats.delimited import read_delimited
from pipelines.intake.formats.fixed_width import read_fixed_width
from pipelines.intake.formats.json_lines import read_json_lines
from pipelines.intake.formats.json_stat import read_json_stat
from pipelines.intake.formats.parquet import read_parquet
from pipelines.intake.formats.statistical import PROGRAMS, read_statistical
from pipelines.intake.formats.workbook import read_workbook
from pipelines.intake.limits import LIMITS, Limits, check_shape, too_large
from pipelines.intake.problems import file_error
from pipelines.intake.table import TextTable


class Reader(Protocol):
    """What every format module offers."""

    def __call__(self, path: Path, form: FileForm, *, file: str, limits: Limits = ...) -> TextTable:
        """Read the file at `path` as `form` describes it; `file` is how messages name it."""


READERS: Mapping[str, Reader] = MappingProxyType(
    {
        ".csv": read_delimited,
        ".tsv": read_delimited,
        ".txt": read_delimited,
        ".xlsx": read_workbook,
        ".xls": read_workbook,
        ".xlsb": read_workbook,
        ".ods": read_workbook,
        ".dat": read_fixed_width,
        ".fwf": read_fixed_width,
        ".jsonl": read_json_lines,
        ".ndjson": read_json_lines,
        **dict.fromkeys(PROGRAMS, read_statistical),
        ".parquet": read_parquet,
    }
)
# What is told by a contract alone: the names of these files say no more than that they are JSON.
CONTENTS: Mapping[str, Callable[..., TextTable]] = MappingProxyType(
    {"json-stat": read_json_stat, "code-lists": read_code_lists}
)
_ZIP = ".zip"
_TEXT_READERS = (read_delimited, read_fixed_width, read_json_lines)


def tolerates_damage(path: Path) -> bool:
    """Whether the file's reader is safe on bytes that nobody vouches for.

    Text is read by Python alone. The other readers are native code, which what is known to be damaged is kept from.
    """
    return READERS.get(path.suffix.lower()) in _TEXT_READERS


def read_table(
    path: Path, form: FileForm, *, file: str, content: str | None = None, limits: Limits = LIMITS
) -> TextTable:
    """Read the file at `path` with the reader of its format; `file` is how messages name it.

    Of a zip, the data file in it is read. `content` is a name of CONTENTS; None: the end of the file's name tells.

    Raises:
        ViolationsError: a format without reader, more than the limits, or what the reader found.
    """
    ending = path.suffix.lower()
    if content is None and ending != _ZIP and ending not in READERS:
        raise file_error(
            file,
            "unknown_format",
            expected=f"a file that ends in {', '.join((*READERS, _ZIP))}",
            got=path.suffix or "no ending",
            hint="send the file in one of these formats",
        )
    size = path.stat().st_size
    if size > limits.file_bytes:
        raise too_large(file, expected=f"at most {limits.file_bytes:,} bytes", got=f"{size:,} bytes")
    if content is None and ending == _ZIP:
        with unpacked(path, form, file=file, endings=READERS, limits=limits) as (inside, name):
            return read_table(inside, form, file=name, limits=limits)
    if content is None:
        table = READERS[ending](path, form, file=file, limits=limits)
    else:
        table = CONTENTS[content](path, form, file=file)
    check_shape(table.frame.height, table.frame.width, limits, file=file)
    _check_cells(table, limits, file=file)
    return table


def _check_cells(table: TextTable, limits: Limits, *, file: str) -> None:
    # A text has no more characters than bytes, which need no counting
    in_bytes = table.frame.select(pl.all().str.len_bytes().max())
    for name, header in zip(in_bytes.columns, table.headers, strict=True):
        if (in_bytes[name].item() or 0) <= limits.cell_characters:
            continue
        characters = table.frame[name].str.len_chars()
        row = characters.arg_max()
        longest = characters[row or 0] or 0
        if longest > limits.cell_characters:
            raise too_large(
                f"{file}, column {header}",
                expected=f"cells of at most {limits.cell_characters:,} characters",
                got=f"{longest:,} characters in row {(row or 0) + 1}",
                hint="shorten the cell, or ask for larger limits",
            )
