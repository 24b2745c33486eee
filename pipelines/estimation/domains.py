"""Domains of a specification: which rows `where`, `by` and `between` stand for, and how they are called.

Belongs here: conditions on columns, partitions by columns, labels such as ``sector=2,ind=1``. Does not belong here:
any estimate.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import cast

import numpy as np
import polars as pl

from pipelines.estimation.sections import Label
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray, code_labels, codes_in, distinct_codes
from pipelines.stats.terms import whole_numbers

Conditions = Mapping[str, tuple[Label, ...]]


@dataclass(frozen=True, eq=False)
class Partition:
    """Rows by domain: code 0..D-1 of each row ``(n,)``, -1 for none, and the D names."""

    code: IntArray
    names: tuple[str, ...]

    def member(self, position: int) -> BoolArray:
        """Rows ``(n,)`` of one domain."""
        return cast(BoolArray, self.code == position)

    def within(self, inside: BoolArray) -> "Partition":
        """The same domains without the rows that are not ``inside`` ``(n,)``."""
        return Partition(np.where(inside, self.code, -1), self.names)

    def rows(self, weight: FloatArray | None = None) -> FloatArray:
        """Number, or sum of weights ``(n,)``, of the rows of each domain ``(D,)``."""
        kept = self.code >= 0
        weights = None if weight is None else weight[kept]
        return np.bincount(self.code[kept], weights=weights, minlength=len(self.names)).astype(np.float64)


def rows_where(frame: pl.DataFrame, conditions: Conditions) -> BoolArray:
    """Rows ``(n,)`` that meet every condition: the column holds one of the values. A missing value meets none."""
    inside = np.ones(frame.height, dtype=np.bool_)
    for name, values in conditions.items():
        inside &= _holds(frame[name], values)
    return inside


def partition(frame: pl.DataFrame, conditions: Conditions, by: Sequence[str]) -> Partition:
    """The rows that meet the conditions, by the combinations of values that they have in the columns ``by``.

    Rows that miss one of these columns are in no domain. Without ``by`` there is one domain, which may be empty.
    """
    prefix = [conditions_name(conditions)] if conditions else []
    inside = rows_where(frame, conditions)
    if not by:
        return Partition(np.where(inside, 0, -1), (",".join(prefix) or "all",))
    known: list[pl.Series] = []
    joint = np.zeros(frame.height, dtype=np.int64)
    for name in by:
        codes, labels = _codes(frame[name])
        inside &= codes >= 0
        joint = joint * len(labels) + codes
        known.append(labels)
    chosen = np.flatnonzero(inside)
    combinations, code = distinct_codes(joint[chosen])
    whole = np.full(frame.height, -1, dtype=np.int64)
    whole[chosen] = code
    names = []
    for combination in combinations.tolist():
        parts = []
        for name, labels in zip(reversed(by), reversed(known), strict=True):
            combination, position = divmod(combination, len(labels))
            parts.append(condition_name(name, (labels[position],)))
        names.append(",".join([*prefix, *reversed(parts)]))
    return Partition(whole, tuple(names))


def condition_name(name: str, values: Sequence[Label]) -> str:
    """How a condition is called: ``sector=2``, of several values ``sector=1|2``."""
    return f"{name}={'|'.join(label_text(value) for value in values)}"


def conditions_name(conditions: Conditions) -> str:
    """How the rows that meet the conditions are called."""
    return ",".join(condition_name(name, values) for name, values in conditions.items()) or "all"


def label_text(value: Label) -> str:
    """A label as text: whole numbers without decimals, truth values as true and false."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def at_level(column: pl.Series, level: Label) -> pl.Series:
    """Whether each row of a column is at a level; null where missing."""
    wanted = as_type(column.dtype, level)
    held = column.eq(wanted) if wanted is not None else pl.Series([False]).new_from_index(0, len(column))
    return held.set(column.is_null(), None)


def levels_of(column: pl.Series) -> list[Label]:
    """The values of a column, sorted."""
    return cast(list[Label], whole_numbers(column).drop_nulls().unique().sort().to_list())


def _holds(column: pl.Series, values: Sequence[Label]) -> BoolArray:
    wanted = [made for value in values if (made := as_type(column.dtype, value)) is not None]
    if not wanted:
        return np.zeros(len(column), dtype=np.bool_)
    held = column.eq(wanted[0])
    for value in wanted[1:]:
        held |= column.eq(value)
    return held.fill_null(value=False).to_numpy()


def as_type(dtype: pl.DataType, value: Label) -> Label | None:
    """A value as a column of this type holds it; None where it cannot hold it."""
    if dtype == pl.Boolean:
        return {"true": True, "false": False, "1": True, "0": False}.get(label_text(value).lower())
    if not dtype.is_numeric():
        return label_text(value)
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    if not isfinite(number) or not dtype.is_integer():
        return number if isfinite(number) else None
    if not number.is_integer():
        return None
    # A whole number that a double does not hold is compared as it is written.
    whole = int(value) if re.fullmatch(r"\s*[-+]?[0-9]+\s*", label_text(value)) else int(number)
    kind = cast(type[pl.Int64], dtype)
    low, high = pl.select(low=kind.min(), high=kind.max()).row(0)
    return whole if low <= whole <= high else None


def _codes(column: pl.Series) -> tuple[IntArray, pl.Series]:
    if not column.null_count():
        return code_labels(whole_numbers(column))
    labels = whole_numbers(column)
    known = labels.drop_nulls().unique().sort()
    return codes_in(labels, known), known
