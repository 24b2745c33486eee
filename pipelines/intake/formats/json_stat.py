"""JSON-stat 2.0 datasets -> TextTable.

Belongs here: the cube of a dataset laid out as rows. Does not belong here: what dimensions and flags mean (the contract
of the series).
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipelines.errors import ViolationsError
from pipelines.intake.form import FileForm
from pipelines.intake.formats.json_text import read_json
from pipelines.intake.problems import file_error
from pipelines.intake.table import Provenance, TextTable, text_table

VALUE, STATUS = "value", "status"
_CELL = re.compile("[0-9]{1,19}")
_MOST_CELLS = 2**62


def read_json_stat(path: Path, form: FileForm, *, file: str) -> TextTable:
    """One row a cell that has a value or a status: a column a dimension with its codes, then `value` and `status`.

    Values and statuses may be lists in the order of the cube or objects by the cell's number, as the standard allows;
    labels of the dimensions are the columns' labels, labels of their codes the value labels.

    Raises:
        ViolationsError: not JSON, not a dataset of version 2.0, or a cube that does not agree with itself.
    """
    found = read_json(path, file=file)
    if not isinstance(found, dict) or found.get("class") != "dataset" or found.get("version") != "2.0":
        said = (
            {key: found[key] for key in ("version", "class", "error", "warning") if key in found}
            if isinstance(found, dict)
            else type(found).__name__
        )
        raise _wrong(file, "a JSON-stat dataset of version 2.0", f"{said or 'an object of another kind'}"[:500])
    names, codes, labels, value_labels = _dimensions(found, file=file)
    sizes = [len(each) for each in codes]
    cells = math.prod(sizes)
    if cells > _MOST_CELLS:
        raise _wrong(file, f"a cube of at most {_MOST_CELLS} cells", f"{cells} cells")
    values = _by_cell(found.get("value"), cells, VALUE, file=file)
    status = found.get("status") or {}
    # One text is the status of every value
    statuses = dict.fromkeys(values, status) if isinstance(status, str) else _by_cell(status, cells, STATUS, file=file)
    at = np.array(sorted(values.keys() | statuses.keys()), dtype=np.int64)
    columns = []
    for place, name in enumerate(names):
        stride = math.prod(sizes[place + 1 :])
        columns.append(pl.Series(name, codes[place], dtype=pl.String).gather(at // stride % sizes[place]))
    listed = at.tolist()
    columns.append(pl.Series(VALUE, [values.get(cell) for cell in listed], dtype=pl.String))
    columns.append(pl.Series(STATUS, [statuses.get(cell) for cell in listed], dtype=pl.String))
    return text_table(
        pl.DataFrame(columns),
        (*names, VALUE, STATUS),
        Provenance(file=file, format="json-stat", encoding="utf-8"),
        labels=(*labels, None, None),
        value_labels=value_labels,
    )


def _dimensions(
    found: Mapping[str, Any], *, file: str
) -> tuple[list[str], list[list[str]], list[str | None], dict[str, dict[str, str]]]:
    """Names, codes and label of the dimensions, and the labels of the codes by dimension."""
    try:
        names = [str(name) for name in found["id"]]
        sizes = [int(size) for size in found["size"]]
        entries = [found["dimension"][name] for name in names]
        codes = [_codes(entry["category"]) for entry in entries]
        value_labels = {
            name: {code: str(label) for code, label in entry["category"].get("label", {}).items()}
            for name, entry in zip(names, entries, strict=True)
        }
        labels = [None if entry.get("label") is None else str(entry["label"]) for entry in entries]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        got = f"{type(error).__name__}: {error}"[:200]
        raise _wrong(file, "id, size and a category for each dimension", got) from error
    if {VALUE, STATUS}.intersection(names) or len(set(names)) < len(names):
        raise _wrong(file, f"dimensions with names of their own, none called {VALUE} or {STATUS}", ", ".join(names))
    if sizes != [len(each) for each in codes] or 0 in sizes or not sizes:
        got = f"{[len(each) for each in codes]} codes of {', '.join(names)}"
        raise _wrong(file, f"as many codes as size says: {sizes}", got)
    return names, codes, labels, value_labels


def _codes(category: Mapping[str, Any]) -> list[str]:
    """The codes of a dimension in order: a list, an object of positions, or the only label."""
    index = category.get("index")
    if index is None:
        (code,) = category["label"]
        return [code]
    if isinstance(index, list):
        return [str(code) for code in index]
    ordered = sorted(index, key=lambda code: int(index[code]))
    if [int(index[code]) for code in ordered] != list(range(len(ordered))):
        raise ValueError("positions that do not run from 0 without a gap")
    return ordered


def _by_cell(sent: object, cells: int, what: str, *, file: str) -> dict[int, str]:
    """Cell number -> text, without those that have none."""
    if isinstance(sent, list) and len(sent) == cells:
        pairs = dict(enumerate(sent))
    elif isinstance(sent, dict) and all(_CELL.fullmatch(cell) and int(cell) < cells for cell in sent):
        pairs = {int(cell): text for cell, text in sent.items()}
    else:
        got = f"{len(sent)} in a {type(sent).__name__}" if isinstance(sent, list | dict) else repr(sent)[:80]
        raise _wrong(file, f"{what}: a list of {cells}, or an object by cell number below {cells}", got)
    if odd := [cell for cell, text in pairs.items() if text is not None and not isinstance(text, str)]:
        raise _wrong(file, f"{what}: a number or text in each cell", f"{pairs[odd[0]]!r}"[:80] + f" in cell {odd[0]}")
    return {cell: text for cell, text in pairs.items() if text is not None}


def _wrong(file: str, expected: str, got: str) -> ViolationsError:
    return file_error(
        file, "not_json_stat", expected=expected, got=got, hint="fetch the file again, or name its real format"
    )
