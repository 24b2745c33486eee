"""Which reader a file is for, by the end of its name.

Belongs here: the list of formats. Does not belong here: reading.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from pipelines.intake.form import FileForm
from pipelines.intake.formats.delimited import read_delimited
from pipelines.intake.formats.parquet import read_parquet
from pipelines.intake.formats.statistical import PROGRAMS, read_statistical
from pipelines.intake.formats.xlsx import read_xlsx
from pipelines.intake.problems import file_error
from pipelines.intake.table import TextTable


class Reader(Protocol):
    """What every format module offers."""

    def __call__(self, path: Path, form: FileForm, *, file: str) -> TextTable:
        """Read the file at `path` as `form` describes it; `file` is how messages name it."""


READERS: Mapping[str, Reader] = MappingProxyType(
    {
        ".csv": read_delimited,
        ".tsv": read_delimited,
        ".txt": read_delimited,
        ".xlsx": read_xlsx,
        **dict.fromkeys(PROGRAMS, read_statistical),
        ".parquet": read_parquet,
    }
)


def tolerates_damage(path: Path) -> bool:
    """Whether the file's reader is safe on bytes that nobody vouches for.

    Text is read by Python alone. The other readers are native code, which what is known to be damaged is kept from.
    """
    return READERS.get(path.suffix.lower()) is read_delimited


def read_table(path: Path, form: FileForm, *, file: str) -> TextTable:
    """Read the file at `path` with the reader of its format; `file` is how messages name it.

    Raises:
        ViolationsError: a format without reader, or what the reader found.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise file_error(
            file,
            "unknown_format",
            expected=f"a file that ends in {', '.join(READERS)}",
            got=path.suffix or "no ending",
            hint="send the file in one of these formats",
        )
    return reader(path, form, file=file)
