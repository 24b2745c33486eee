"""Ids of published cells: the table and the key of the row, in the order of the contract.

Belongs here: writing and reading an id, such as ``adoption_rate/industry/2025/total/total/ai_adoption/answered/unit``.
Does not belong here: finding the cell and what it rests on (release.explain).

A vintage before it (``2025.1/…``) makes it the id of one release; without one it is the same in all.
"""

from collections.abc import Sequence
from urllib.parse import quote, unquote

SEPARATOR = "/"
# Of what codes are made of; the separator and spaces are written as %2F and %20
_SAFE = "*+,;:=@()<>"


def cell_id(table: str, key: Sequence[object]) -> str:
    """The id of the row of a mart, given by its name without schema, that has this key."""
    return SEPARATOR.join([table, *(quote(str(value), safe=_SAFE) for value in key)])


def parse_cell_id(text: str) -> tuple[str, tuple[str, ...]]:
    """Table and key of an id, every value as text; the key is empty where only a table is named."""
    table, *key = text.split(SEPARATOR)
    return table, tuple(map(unquote, key))
