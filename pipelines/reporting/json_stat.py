"""A mart as JSON-stat 2.0: a dense cube for each survey and kind of domain, and a collection that lists them.

Belongs here: the layout of cubes, their dimensions, statuses and texts. Does not belong here: which mart and which of
its figures (contract `outputs.yaml`), labels and codes (the marts' contracts).

One cube over everything would be empty for the most part: each survey has domains of its own. A cell's status stands
at the first figure: the codes of the status columns joined by ':'. The status of an ordinary cell, named in
`extension.status.default`, is left out where the cell has a value. A cell without value and without status is no row of
the mart. Labels are English; `extension` has the Korean ones in the same shape.
"""

import datetime
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipelines.contracts.consistency import MEASUREMENT_UNITS
from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.models import Code, TableContract
from pipelines.reporting.code_lists import codes_by_column

FIGURE = "figure"
STATUS_SEPARATOR = ":"
_FIGURE_LABELS = ("Figure", "수치")


@dataclass(frozen=True, kw_only=True)
class _Dimension:
    """A dimension of a cube: its column, and the codes that the cube has of it, in order."""

    id: str
    label_en: str
    label_ko: str
    codes: tuple[Code, ...]


def write_json_stat(
    library: ContractLibrary,
    marts: Mapping[str, pl.DataFrame],
    folder: Path,
    *,
    release: str,
    published: datetime.date,
    remark: str | None = None,
) -> None:
    """Write the cubes, `<table>.<survey>.<domain type>.json`, and the collection `<table>.json` into a folder.

    Args:
        marts: published tables by name without schema.
        published: every file's `updated`.
        remark: stands as the note of every file, e.g. that the data are synthetic.
    """
    form = library.outputs.json_stat
    table = library.marts[form.table]
    name = table.name.partition(".")[2]
    codes = codes_by_column(table, marts)
    common: dict[str, Any] = {
        "version": "2.0",
        "updated": published.isoformat(),
        "source": library.outputs.publisher.label_en,
        **({"note": [remark]} if remark else {}),
    }
    items = []
    for values, rows in marts[name].group_by(form.cubes, maintain_order=True):
        told = [_code(codes[column], str(value)) for column, value in zip(form.cubes, values, strict=True)]
        label_en = f"{table.title_en}: {', '.join(code.label_en for code in told)}"
        label_ko = f"{table.title_ko}: {', '.join(code.label_ko for code in told)}"
        href = f"{name}.{'.'.join(code.value.replace('*', '_by_') for code in told)}.json"
        made = _cube(rows, table, codes, library)
        made["extension"] |= {
            "label_ko": label_ko,
            "release": release,
            **{column: code.value for column, code in zip(form.cubes, told, strict=True)},
        }
        _write(folder / href, {**common, "class": "dataset", "label": label_en, **made})
        items.append({"class": "dataset", "href": href, "label": label_en, "extension": {"label_ko": label_ko}})
    collection = {
        **common,
        "class": "collection",
        "label": table.title_en,
        "extension": {"label_ko": table.title_ko, "release": release},
        "link": {"item": items},
    }
    _write(folder / f"{name}.json", collection)


def _write(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _code(codes: Sequence[Code], value: str) -> Code:
    return next(code for code in codes if code.value == value)


def _cube(
    rows: pl.DataFrame, table: TableContract, codes: Mapping[str, Sequence[Code]], library: ContractLibrary
) -> dict[str, Any]:
    """Dimensions, values and statuses of the rows of one cube."""
    form = library.outputs.json_stat
    dimensions = [_dimension(name, rows, table, codes) for name in table.key if name not in form.cubes]
    figures = [table.column(name) for name in form.figures]
    sizes = [len(dimension.codes) for dimension in dimensions]
    place = np.zeros(rows.height, dtype=np.int64)
    for dimension in dimensions:
        at = {code.value: position for position, code in enumerate(dimension.codes)}
        positions = rows.get_column(dimension.id).cast(pl.String).replace_strict(at, return_dtype=pl.Int64)
        place = place * len(at) + positions.to_numpy()
    values: list[Any] = [None] * (math.prod(sizes) * len(figures))
    for position, figure in enumerate(figures):
        cells = (place * len(figures) + position).tolist()
        for cell, value in zip(cells, rows.get_column(figure.name).to_list(), strict=True):
            values[cell] = value
    default = STATUS_SEPARATOR.join(codes[name][0].value for name in form.status)
    status = rows.select(pl.concat_str(form.status, separator=STATUS_SEPARATOR)).to_series()
    told = (status != default) | rows.get_column(figures[0].name).is_null()
    statuses = {
        str(cell): text
        for cell, text, is_told in zip((place * len(figures)).tolist(), status, told, strict=True)
        if is_told
    }
    metric = _Dimension(
        id=FIGURE,
        label_en=_FIGURE_LABELS[0],
        label_ko=_FIGURE_LABELS[1],
        codes=tuple(Code(value=each.name, label_ko=each.label_ko, label_en=each.label_en) for each in figures),
    )
    units = library.classifications[MEASUREMENT_UNITS]
    described = {dimension.id: _described(dimension) for dimension in (*dimensions, metric)}
    described[FIGURE]["category"]["unit"] = {
        figure.name: {"label": units.item(figure.unit).label_en} for figure in figures if figure.unit is not None
    }
    return {
        "id": [*(dimension.id for dimension in dimensions), FIGURE],
        "size": [*sizes, len(figures)],
        "role": {"time": ["wave"], "metric": [FIGURE]},
        "dimension": described,
        "value": values,
        **({"status": statuses} if statuses else {}),
        "extension": {
            "status": {"default": default, **_status_labels({*statuses.values(), default}, form.status, codes)}
        },
    }


def _dimension(name: str, rows: pl.DataFrame, table: TableContract, codes: Mapping[str, Sequence[Code]]) -> _Dimension:
    column = table.column(name)
    present = set(rows.get_column(name).unique().cast(pl.String))
    listed = (
        tuple(code for code in codes[name] if code.value in present)
        if name in codes
        else tuple(Code(value=value, label_ko=value, label_en=value) for value in sorted(present))
    )
    return _Dimension(id=name, label_en=column.label_en, label_ko=column.label_ko, codes=listed)


def _described(dimension: _Dimension) -> dict[str, Any]:
    return {
        "label": dimension.label_en,
        "category": {
            "index": [code.value for code in dimension.codes],
            "label": {code.value: code.label_en for code in dimension.codes},
        },
        "extension": {
            "label_ko": dimension.label_ko,
            "category_label_ko": {code.value: code.label_ko for code in dimension.codes},
        },
    }


def _status_labels(
    used: set[str], columns: Sequence[str], codes: Mapping[str, Sequence[Code]]
) -> dict[str, dict[str, str]]:
    """Label in both languages of every status used, in the order of the code lists."""
    combined = {
        STATUS_SEPARATOR.join(code.value for code in each): each
        for each in itertools.product(*(codes[column] for column in columns))
    }
    return {
        key: {
            text: ", ".join(code.label_en if key == "label" else code.label_ko for code in each)
            for text, each in combined.items()
            if text in used
        }
        for key in ("label", "label_ko")
    }
