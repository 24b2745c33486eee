"""Where a printed number stands in the marts: the address that travels with it to the page.

Belongs here: writing and reading addresses. Does not belong here: looking a number up (release.text_check), or which
number is printed (tables, figures).

An address names a table of `mart`, a row by column and value, and the column of the number:
``adoption_rate;survey=industry;wave=2025;domain_type=total;…;estimate``. Names are spelled out, so that no second list
of keys is kept, and so that a reader of the page's source can look the cell up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_BETWEEN = ";"


@dataclass(frozen=True)
class Address:
    """A cell of a mart: values of the key are text, as they are written."""

    mart: str
    key: tuple[tuple[str, str], ...]
    column: str


def row_address(mart: str, row: Mapping[str, object], columns: Sequence[str]) -> str:
    """The address of a row, by the columns that name it; :func:`cell_address` adds a column."""
    return _BETWEEN.join([mart, *(f"{name}={row[name]}" for name in columns)])


def cell_address(row: str, column: str) -> str:
    """The address of a cell; empty for a row without address."""
    return f"{row}{_BETWEEN}{column}" if row else ""


def parse_address(text: str) -> Address:
    """Read a cell's address.

    Raises:
        ValueError: it is none.
    """
    parts = text.split(_BETWEEN)
    pairs = [part.partition("=") for part in parts[1:-1]]
    if not pairs or not all(sign for _, sign, _ in pairs) or "=" in parts[-1]:
        raise ValueError(f"no address of a cell: {text!r}")
    return Address(parts[0], tuple((name, value) for name, _, value in pairs), parts[-1])


def common_start(addresses: Sequence[str]) -> str:
    """What addresses begin with, up to a border between parts: said once for a row of cells."""
    parts = [address.split(_BETWEEN)[:-1] for address in addresses]
    if not parts:
        return ""
    shared = []
    for found in zip(*parts, strict=False):
        if len(set(found)) > 1:
            break
        shared.append(found[0])
    return _BETWEEN.join(shared)
