"""Calibration variables of a frame as arrays: labels, joint cells, the matrix of terms.

Belongs here: reading a term such as "sex=B" and saying what is wrong with it, coding several columns jointly, sums
by code. Does not belong here: totals and weights (calibration).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import cast

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray, dense_codes, in_threads, nested_codes, pieces


@dataclass(frozen=True, eq=False)
class TermsMatrix:
    """The calibration variables, row i being ``patterns[pattern[i]]``.

    ``terms`` the p names; ``patterns`` ``(C, p)`` the distinct rows; ``pattern`` ``(n,)``, or None where each row is
    its own pattern (a numeric term).
    """

    terms: tuple[str, ...]
    patterns: FloatArray
    pattern: IntArray | None

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.patterns) if self.pattern is None else len(self.pattern)

    def row_counts(self) -> FloatArray:
        """Number of rows of each pattern ``(C,)``."""
        if self.pattern is None:
            return np.ones(len(self.patterns))
        return np.bincount(self.pattern, minlength=len(self.patterns)).astype(np.float64)

    def sums(self, values: FloatArray) -> FloatArray:
        """Sums of ``values`` ``(n, K)`` by pattern ``(C, K)``."""
        return values if self.pattern is None else column_sums(self.pattern, values, len(self.patterns))

    def spread(self, values: FloatArray) -> FloatArray:
        """Values ``(C, ...)`` of the patterns as values ``(n, ...)`` of the rows."""
        return values if self.pattern is None else values[self.pattern]


def terms_matrix(frame: pl.DataFrame, terms: Sequence[str]) -> TermsMatrix:
    """The matrix of calibration terms of a frame.

    Args:
        frame: n rows.
        terms: ``"1"`` (every row), ``"sex=B"`` (1 where column sex is B, else 0), ``"emp"`` (a numeric column), and
            products of these, ``"sex=B:emp"``.

    Raises:
        ViolationsError: naming each term that is repeated or has an unknown column, an unknown level or a text column
            without a level, with the nearest valid name; and the rows in which a variable is missing or infinite.
    """
    reader = _TermReader(frame)
    faults = [] if terms else [Violation("no_term", "terms", "at least one term", "none", "name the terms")]
    parsed: list[tuple[_Factor, ...]] = []
    for position, term in enumerate(terms):
        if term in terms[:position]:
            faults.append(Violation("term_repeated", f"term {term}", "each term once", "several", "drop one"))
        elif (product := reader.read(term)) is not None:
            parsed.append(product)
        else:
            faults.append(reader.fault(term))
    used = sorted({factor.column for product in parsed for factor in product}, key=frame.columns.index)
    for column in used:
        faults += missing_faults(frame[column])
    raise_faults("calibration terms", faults)

    numeric = any(factor.level is None for product in parsed for factor in product)
    levels = {c: sorted({f.level for p in parsed for f in p if f.column == c and f.level is not None}) for c in used}
    coded = {column: _level_codes(frame[column], known) for column, known in levels.items() if known}
    pattern: IntArray | None = None
    if not numeric:
        # A level that no term names is code 0, all of them together.
        pattern, parts = cross_codes(
            [code + 1 for code in coded.values()] or [np.zeros(frame.height, dtype=np.int64)],
            [len(levels[column]) + 1 for column in coded] or [1],
        )
        coded = {column: part - 1 for column, part in zip(coded, parts, strict=False)}
    size = frame.height if pattern is None else len(parts[0])
    values = np.ones((size, len(parsed)), dtype=np.float64)
    for j, product in enumerate(parsed):
        for factor in product:
            if factor.level is None:
                values[:, j] *= frame[factor.column].cast(pl.Float64).to_numpy()
            else:
                values[:, j] *= coded[factor.column] == levels[factor.column].index(factor.level)
    return TermsMatrix(terms=tuple(terms), patterns=values, pattern=pattern)


def split_by_weight(matrix: TermsMatrix, weight: FloatArray) -> TermsMatrix:
    """The matrix with patterns of one weight each, for bounds that are bounds of the weight."""
    if matrix.pattern is None:
        return matrix
    codes, labels = dense_codes(pl.Series(weight))
    pattern, outer, _ = nested_codes(matrix.pattern, codes)
    return TermsMatrix(matrix.terms, matrix.patterns[outer], pattern) if len(labels) > 1 else matrix


def unit_means(matrix: TermsMatrix, unit: pl.Series, weight: FloatArray) -> TermsMatrix:
    """The matrix for one g-weight in each unit of several rows, such as a household and its members.

    Every row gets the mean of its unit in each term, so that totals are those of the rows, and a unit counts with the
    number of its rows: R's ``calibrate(aggregate.stage=)``. Totals of units stand beside totals of rows by way of a
    column 1/(rows in the unit), `unit_shares`, and its products with labels.

    Args:
        matrix: the terms of the rows, from `terms_matrix`.
        unit: label of the unit of each row.
        weight: ``(n,)`` weights before, one in each unit.

    Raises:
        ViolationsError: rows without a unit; the rows of units within which the weights differ.
    """
    raise_faults("calibration by unit", missing_faults(unit))
    codes, labels = dense_codes(whole_numbers(unit))
    size, count = len(labels), np.bincount(codes, minlength=len(labels)).astype(np.float64)
    mean = code_sums(codes, weight, size) / count
    differs = np.abs(weight - mean[codes]) > 1e-9 * mean[codes]
    if differs.any():
        raise_faults(
            "calibration by unit",
            [
                Violation(
                    "weights_differ_in_unit",
                    where=f"unit {unit.name or 'without a name'}",
                    expected="one weight in all rows of a unit",
                    got=f"{len(np.unique(codes[differs]))} unit(s) with several, first {labels[codes[differs][0]]}",
                    hint="give each unit one weight first, for instance the mean of its rows",
                    rows=row_numbers(differs),
                )
            ],
        )
    sums = column_sums(codes, matrix.spread(matrix.patterns), size)
    return TermsMatrix(terms=matrix.terms, patterns=sums / count[:, None], pattern=codes)


def unit_shares(unit: pl.Series) -> pl.Series:
    """1/(rows in the unit) for each row, named "unit_share": its sum over rows counts units."""
    codes, labels = dense_codes(unit)
    return pl.Series("unit_share", 1.0 / np.bincount(codes, minlength=len(labels))[codes])


@dataclass(frozen=True)
class _Factor:
    """One factor of a term: a column's value, or whether it is at a level."""

    column: str
    level: str | None


class _TermReader:
    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame
        self._levels: dict[str, list[str]] = {}

    def levels(self, column: str) -> list[str]:
        if column not in self._levels:
            known = whole_numbers(self._frame[column]).drop_nulls().unique().sort()
            self._levels[column] = known.cast(pl.String).to_list()
        return self._levels[column]

    def read(self, term: str) -> tuple[_Factor, ...] | None:
        """The factors of a term, or None; names may hold "=" and ":" themselves, so every split is tried."""
        if term == "1":
            return ()
        if term in self._frame.columns and _is_number(self._frame[term]):
            return (_Factor(term, None),)
        for left, right in _splits(term, "="):
            if left in self._frame.columns and right in self.levels(left):
                return (_Factor(left, right),)
        for left, right in _splits(term, ":"):
            first = self.read(left)
            second = None if first is None else self.read(right)
            if first is not None and second is not None:
                return first + second
        return None

    def fault(self, term: str) -> Violation:
        """Why a term cannot be read."""
        for part in term.split(":"):
            if self.read(part) is not None:
                continue
            column, _, level = part.partition("=")
            if column not in self._frame.columns:
                return unknown_name("unknown_column", f"term {term}", "a column", column, self._frame.columns)
            if not level:
                return Violation(
                    "level_missing",
                    where=f"term {term}",
                    expected="a numeric column, or a column and its level",
                    got=f"column {column} of type {self._frame.schema[column]}",
                    hint=f"write {column}={self.levels(column)[0] if self.levels(column) else 'LEVEL'}",
                )
            return unknown_name("unknown_level", f"term {term}", f"a level of {column}", level, self.levels(column))
        return unknown_name("unknown_column", f"term {term}", "a column", term, self._frame.columns)


def _splits(text: str, mark: str) -> list[tuple[str, str]]:
    pieces = text.split(mark)
    return [(mark.join(pieces[:i]), mark.join(pieces[i:])) for i in range(1, len(pieces))]


def _is_number(column: pl.Series) -> bool:
    return column.dtype.is_numeric() or column.dtype == pl.Boolean


def _level_codes(column: pl.Series, named: Sequence[str]) -> IntArray:
    """Position of each row's level among the named ones, -1 where it is another."""
    codes, known = dense_codes(whole_numbers(column))
    return np.array([named.index(level) if level in named else -1 for level in known], dtype=np.int64)[codes]


def whole_numbers(column: pl.Series) -> pl.Series:
    """A column of labels; whole numbers stored as floats become integers, so that their label is "1", not "1.0"."""
    if not column.dtype.is_float():
        return column
    values = column.drop_nulls()
    return column.cast(pl.Int64) if bool(((values % 1 == 0) & (values.abs() < 2**53)).all()) else column


def row_numbers(rows: BoolArray) -> tuple[int, ...]:
    """1-based numbers of the rows marked."""
    return tuple((np.flatnonzero(rows) + 1).tolist())


def code_sums(cell: IntArray, values: FloatArray | IntArray, size: int) -> FloatArray:
    """Sums of ``values`` ``(n,)`` by cell ``(size,)``."""
    return cast(FloatArray, np.bincount(cell, weights=values, minlength=size))


def column_sums(cell: IntArray, values: FloatArray, size: int) -> FloatArray:
    """Sums of ``values`` ``(n, K)`` by cell ``(size, K)``."""
    sums = np.empty((size, values.shape[1]))
    for k in range(values.shape[1]):
        sums[:, k] = code_sums(cell, values[:, k], size)
    return sums


def cross_codes(codes: Sequence[IntArray], sizes: Sequence[int]) -> tuple[IntArray, list[IntArray]]:
    """Joint cells of several codings: the cell of each row ``(n,)``, and each coding's code of the C cells in use."""
    occupied, cell = _in_use(codes[0], sizes[0])
    parts = [occupied]
    for code, size in zip(codes[1:], sizes[1:], strict=True):
        occupied, cell = _in_use(cell * size + code, len(occupied) * size)
        parts = [part[occupied // size] for part in parts] + [occupied % size]
    return cell, parts


@dataclass(frozen=True, eq=False)
class JointCells:
    """Joint cells of several columns of labels.

    ``cell`` ``(n,)`` the cell of each row and ``rows`` ``(C,)`` the number of rows of each; of every column ``labels``,
    sorted, as text, and ``levels`` ``(C,)`` the position in them of each cell's label.
    """

    cell: IntArray
    rows: IntArray
    labels: list[list[str]]
    levels: list[IntArray]


def joint_cells(columns: Sequence[pl.Series]) -> JointCells:
    """Code columns without nulls jointly; few labels, as whole numbers or categories, in one pass for each column."""
    values, lows, sizes = zip(*[_small_codes(column) for column in columns], strict=True)
    if any(size == 0 for size in sizes) or math.prod(sizes) > 65536:
        coded = [dense_codes(column) for column in columns]
        cell, parts = cross_codes([code for code, _ in coded], [len(known) for _, known in coded])
        return JointCells(cell, np.bincount(cell), [known for _, known in coded], parts)
    joint = np.empty(len(columns[0]), dtype=np.int64)

    def cross(piece: slice) -> IntArray:
        part = joint[piece]
        part[:] = values[0][piece]
        for value, low, size in zip(values[1:], lows[:-1], sizes[1:], strict=True):
            if low:
                part -= low
            part *= size
            part += value[piece]
        part -= lows[-1]
        return np.bincount(part, minlength=math.prod(sizes))

    counts = np.sum(in_threads(cross, pieces(len(joint))), axis=0)
    occupied = left = np.flatnonzero(counts)
    labels: list[list[str]] = []
    levels: list[IntArray] = []
    for column, low, size in zip(reversed(columns), reversed(lows), reversed(sizes), strict=True):
        used, level = np.unique(left % size, return_inverse=True)
        left = left // size
        known = _labels_of_codes(column, used + low)
        order = known.arg_sort().to_numpy()
        labels.insert(0, known.gather(order).cast(pl.String).to_list())
        levels.insert(0, np.argsort(order)[level])
    # Polars numbers categories as it meets them: the order of the cells, and with it every sum, is that of the labels.
    order = np.lexsort(levels[::-1])
    if len(occupied) < len(counts) or np.any(np.diff(order) < 0):
        position = np.zeros(len(counts), dtype=np.int64)
        position[occupied[order]] = np.arange(len(order))
        joint = position[joint]
    return JointCells(joint, counts[occupied[order]], labels, [level[order] for level in levels])


def _small_codes(column: pl.Series) -> tuple[npt.NDArray[np.integer], int, int]:
    """Whole numbers or categories as they are stored, the smallest, and how many there may be; 0: it is neither."""
    if isinstance(column.dtype, pl.Categorical | pl.Enum):
        column = column.to_physical()
    if not len(column) or column.null_count() or not column.dtype.is_integer():
        return np.zeros(0, dtype=np.int64), 0, 0
    values = column.to_numpy()
    ends = in_threads(lambda piece: (int(values[piece].min()), int(values[piece].max())), pieces(len(values)))
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    return values, low, high - low + 1


def _labels_of_codes(column: pl.Series, codes: IntArray) -> pl.Series:
    made = pl.Series(column.name, codes)
    if isinstance(column.dtype, pl.Categorical | pl.Enum):
        return made.cast(column.to_physical().dtype).cat.to(column.dtype).cast(pl.String)
    return made


def _in_use(code: IntArray, size: int) -> tuple[IntArray, IntArray]:
    """The codes that occur, in order, and the position of each row's code among them."""
    if size > max(4 * len(code), 65536):
        occupied, position = np.unique(code, return_inverse=True)
        return occupied, position
    present = np.bincount(code, minlength=size) > 0
    return np.flatnonzero(present), code if present.all() else (np.cumsum(present) - 1)[code]


def unknown_name(code: str, where: str, what: str, got: str, known: Sequence[str]) -> Violation:
    """A name that is not known, with the known ones and the nearest of them."""
    near = get_close_matches(got, known, n=1, cutoff=0.5)
    shown = ", ".join(map(_written, known[:10])) + (f" and {len(known) - 10} more" if len(known) > 10 else "")
    return Violation(
        code,
        where=where,
        expected=f"{what}: {shown}",
        got=_written(got),
        hint=f"did you mean {_written(near[0])}?" if near else "use one of them",
    )


def _written(name: str) -> str:
    """A name as text, in quotes where its blanks would not be seen."""
    return name if name and name == name.strip() else repr(name)


def known_name(name: str, valid: tuple[str, ...], what: str, *, elsewhere: tuple[str, ...] = ()) -> str:
    """The name, where it is one of those that are valid; `elsewhere`: names that are so for other designs.

    Raises:
        AxstatError: ``unknown_...``, naming the valid ones and the nearest.
    """
    if name in valid:
        return name
    near = get_close_matches(name.lower(), valid, n=1, cutoff=0.5)
    raise AxstatError(
        f"unknown_{what.replace(' ', '_')}",
        where=f"{what} {name!r}",
        expected=f"one of {', '.join(valid)}",
        got="none of them for this design" if name in elsewhere else "no such name",
        hint=f"did you mean {near[0]!r}?" if near else "choose one of the names given",
    )


def missing_faults(column: pl.Series) -> list[Violation]:
    """The rows without a usable value, as one violation or none."""
    if not column.dtype.is_float() and not column.null_count():
        return []
    missing = column.is_null()
    if column.dtype.is_float():
        missing = missing | ~column.is_finite().fill_null(value=False)
    rows = missing.to_numpy()
    if not np.any(rows):
        return []
    return [
        Violation(
            "calibration_variable_missing",
            where=f"calibration variable {column.name or 'without a name'}",
            expected="a value in every row",
            got=f"{int(rows.sum())} missing or infinite",
            hint="impute it, or give these rows a level of their own with its total",
            rows=row_numbers(rows),
        )
    ]


def raise_faults(where: str, faults: Sequence[Violation]) -> None:
    """Raise all faults at once, if there are any."""
    if faults:
        raise ViolationsError(where, faults)
