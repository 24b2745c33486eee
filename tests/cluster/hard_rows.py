"""Rows on which engines could differ without a word, and what must be equal of their cells.

Belongs here: one data set for every engine, and the comparison of two tables of cells. Does not belong here: starting
engines (the tests), what the cells mean (`tests/unit/estimation/test_cells.py`).
"""

from pathlib import Path

import numpy as np
import polars as pl

from pipelines.warehouse.engines.engine import CellMaker
from pipelines.warehouse.engines.microdata import Microdata

# Two forms of one Korean syllable, marks that quote or escape, texts that look like numbers or like nothing
CODES = ["\uc11c\uc6b8", "\u1109\u1165\u110b\u116e\u11af", "부산'구", 'a"b', "a\\b", "🚀", "01", "1", "", " x", "NA"]
STATEMENTS = (
    *("cells.design_strata", "cells.unit_sums", "cells.unit_moments"),
    *("cells.value_sums", "cells.value_moments"),
)
KEYS = ("stratum", "unit", "domain", "y", "x")
COUNTS = ("rows_there", "units_there", "used_rows", "n", "n_missing", "units", "acting", "infinite", "take_all")


def hard_rows(n: int = 6000) -> pl.DataFrame:
    """NULL, NaN, weights of 0, huge next to tiny weights, strata and domains with nothing in them, Unicode codes."""
    rng = np.random.default_rng(20261130)
    unit = np.arange(n) // 4
    stratum = unit % 9
    y = np.round(rng.normal(3.0, 2.0, n), 1)
    y[rng.random(n) < 0.1] = np.nan
    y[stratum == 4] = np.nan  # a stratum with no value at all
    weight = rng.uniform(1.0, 9.0, n) * np.where(rng.random(n) < 0.02, 1e9, np.where(rng.random(n) < 0.02, 1e-9, 1.0))
    weight[rng.random(n) < 0.05] = 0.0
    missing = rng.random(n) < 0.1
    return pl.DataFrame(
        {
            "stratum": pl.Series(stratum).cast(pl.String) + " 층",
            "unit": unit,
            "code": rng.choice(CODES, n),
            "size": pl.Series(rng.integers(1, 4, n)).set(pl.Series(rng.random(n) < 0.03), None),
            "weight": weight,
            "there": 500.0 + stratum,
            "y": pl.Series(y).set(pl.Series(missing), None),
            "x": pl.Series(rng.uniform(0.5, 2.0, n)).set(pl.Series(rng.random(n) < 0.05), None),
            "flag": rng.random(n) < 0.4,
            "level": pl.Series(["none", "pilot", "deployed", None]).gather(rng.integers(0, 4, n)),
        }
    )


def write_rows(folder: Path, *, files: int = 3) -> list[Path]:
    """The rows in several Parquet files."""
    frame, made = hard_rows(), []
    size = -(-frame.height // files)
    for number in range(files):
        made.append(folder / f"rows-{number}.parquet")
        frame[number * size : (number + 1) * size].write_parquet(made[-1])
    return made


def questions() -> dict[str, Microdata]:
    """What is asked of the rows."""
    base = Microdata(
        types=dict(hard_rows(8).schema),
        weight="weight",
        strata="stratum",
        unit="unit",
        population="there",
        missing={"code": ["", "NA"], "level": ["", "NA"]},
    )
    return {
        "mean by code": base.asked(where={}, by=["code"], y="y"),
        "ratio by code and size": base.asked(where={"level": ["pilot", "none"]}, by=["code", "size"], y="y", x="x"),
        "level": base.asked(where={"code": CODES[:5]}, by=["size"], y="level", level="pilot"),
        "flag": base.asked(where={}, by=[], y="flag"),
        "nobody": base.asked(where={"size": [99]}, by=["code"], y="y"),
    }


def all_cells(maker: CellMaker) -> dict[tuple[str, str], pl.DataFrame]:
    """The rows of every statement on every question."""
    return {
        (name, statement): maker.cells(statement, asked)
        for name, asked in questions().items()
        for statement in STATEMENTS
    }


def differences(one: pl.DataFrame, other: pl.DataFrame) -> list[str]:
    """What is not equal: keys, counts and NULLs exactly, sums to 1e-9 of their size or that of their terms."""
    if one.columns != other.columns:
        return [f"columns {one.columns} and {other.columns}"]
    keys = [name for name in KEYS if name in one.columns]
    one, other = (_flat(table, keys) for table in (one, other))
    if one.height != other.height:
        return [f"{one.height} rows and {other.height}"]
    found = []
    for name in one.columns:
        a, b = one[name], other[name]
        if name.split(".")[0] in keys or name in COUNTS or not a.dtype.is_float():
            if not (a.equals(b) if a.dtype.is_float() else a.cast(pl.String).equals(b.cast(pl.String))):
                found.append(f"{name}: {a.to_list()[:20]} and {b.to_list()[:20]}")
            continue
        if not a.is_null().equals(b.is_null()):
            found.append(f"NULLs of {name}")
            continue
        numbers = a.fill_null(0.0).to_numpy(), b.fill_null(0.0).to_numpy()
        scale = np.abs(_scale(one, name))
        away = np.abs(numbers[0] - numbers[1]) > 1e-9 * np.maximum(np.maximum(np.abs(numbers[0]), scale), 1e-300)
        if away.any():
            found.append(f"{name}: {numbers[0][away][:5]} and {numbers[1][away][:5]}")
    return found


def _scale(table: pl.DataFrame, name: str) -> np.ndarray:
    """The size of the terms of sums of deviations from the ratio, which cancel where a unit of huge weight makes it."""
    if "row_size" not in table.columns:
        return np.zeros(table.height)
    away, size, weight, bottoms = (
        table[column].to_numpy() for column in ("top_top", "row_size", "weight", "bottom_bottom")
    )
    tops = np.square(table["about"].to_numpy()) * bottoms
    terms = {
        "top": size * weight,
        "top_top": away * tops,
        "top_bottom": np.maximum(away, tops) * bottoms,
        "row_top_top": size * size,
    }
    return np.sqrt(terms[name]) if name in terms else np.zeros(table.height)


def _flat(table: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Domains of several columns as columns, rows in the order of their keys."""
    if "domain" in table.columns and isinstance(table.schema["domain"], pl.Struct):
        parts = table["domain"].struct.unnest()
        table = table.drop("domain").with_columns(parts.rename({name: f"domain.{name}" for name in parts.columns}))
    order = [name for name in table.columns if name.split(".")[0] in keys]
    return table.sort(order, nulls_last=True)
