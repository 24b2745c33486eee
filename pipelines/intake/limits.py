"""How large a file may be that nobody vouches for.

Belongs here: the limits of every reader and the words for what exceeds them. Does not belong here: how a reader keeps
to them.
"""

from dataclasses import dataclass

from pipelines.errors import ViolationsError
from pipelines.intake.problems import file_error


@dataclass(frozen=True)
class Limits:
    """Far above any survey, far below what ends a machine.

    Attributes:
        file_bytes: of a file as sent. rows, columns, cells: of its table. cell_characters: of one cell.
        members: of a zip, and of a workbook that is one. unpacked_bytes: of all of them together. unpack_ratio: of
            one of them, unpacked to packed, from `ratio_from_bytes` on (a small table of blanks packs very well).
        memory_bytes, seconds: of the process of a native reader; seconds_per_mib are added by the file's size.
    """

    file_bytes: int = 2 * 2**30
    rows: int = 5_000_000
    columns: int = 16_384
    cells: int = 500_000_000
    cell_characters: int = 131_072
    members: int = 2_000
    unpacked_bytes: int = 4 * 2**30
    unpack_ratio: int = 250
    ratio_from_bytes: int = 16 * 2**20
    memory_bytes: int = 6 * 2**30
    seconds: int = 60
    seconds_per_mib: int = 10


LIMITS = Limits()


def too_large(
    file: str, *, expected: str, got: str, hint: str = "send it in parts, or ask for larger limits"
) -> ViolationsError:
    """The error for what exceeds a limit."""
    return file_error(file, "too_large", expected=expected, got=got, hint=hint)


def check_shape(rows: int, columns: int, limits: Limits, *, file: str) -> None:
    """Refuse a table that is larger than the limits.

    Raises:
        ViolationsError: too many rows, columns or cells.
    """
    for what, found, most in (
        ("rows", rows, limits.rows),
        ("columns", columns, limits.columns),
        ("cells", rows * columns, limits.cells),
    ):
        if found > most:
            raise too_large(file, expected=f"at most {most:,} {what}", got=f"{found:,} {what}")
