"""Array types of the statistics package, and the one way in which labels become codes.

Belongs here: numpy type aliases, dense coding of label columns, columns as numbers, sums by code, division where 0 may
divide, threads over the pieces of a file. Does not belong here: any statistic.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from itertools import pairwise
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

# Rows of a piece of a long file, so that it stays in the processor's cache; pieces are worked on by so many threads.
PIECE = 131_072
THREADS = 2

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Item = TypeVar("Item")
Result = TypeVar("Result")


def dense_codes(labels: pl.Series) -> tuple[IntArray, list[str]]:
    """Code a column of labels without nulls as 0..L-1, in the sorted order of the labels (numbers as numbers).

    Returns:
        codes ``(n,)`` and the ``L`` labels as text, so that ``labels[codes[i]]`` is the label of row i.
    """
    codes, known = code_labels(labels)
    return codes, known.cast(pl.String).to_list()


def code_labels(labels: pl.Series) -> tuple[IntArray, pl.Series]:
    """As :func:`dense_codes`, with the labels in their own type.

    Only the first row of each run of equal labels is looked up: a file in the order of its design, as most are,
    costs little more than a copy. Labels that are such codes already are not copied.
    """
    if isinstance(labels.dtype, pl.Categorical | pl.Enum):
        labels = labels.cast(pl.String)
    head = labels.head(4096)
    if 2 * np.count_nonzero(_changes([head])) > len(head):
        return _look_up(labels)
    start = run_starts([labels])
    codes, known = _look_up(labels.gather(start))
    if labels.dtype == pl.Int64 and len(known) and (known[0], known[-1]) == (0, len(known) - 1):
        return labels.to_numpy(), known  # codes already
    return np.repeat(codes, np.diff(start, append=len(labels))), known


def run_starts(columns: Sequence[pl.Series]) -> IntArray:
    """First row of each run of rows that are equal in all columns ``(R,)``."""
    return np.flatnonzero(_changes(columns)).astype(np.int64)


def _changes(columns: Sequence[pl.Series]) -> BoolArray:
    """Rows ``(n,)`` that differ from the one before in a column; looked at in pieces, so that no column is copied."""
    n = len(columns[0])
    change = np.zeros(n, dtype=np.bool_)
    bounds = piece_bounds(columns[0])

    def look(piece: tuple[int, int]) -> None:
        first, last = piece
        part = change[first + 1 : last]
        for column in columns:
            values = column.slice(first, last - first)
            if column.dtype.is_numeric() and not values.null_count():
                numbers = values.to_numpy()
                part |= numbers[1:] != numbers[:-1]
            else:
                part |= values.ne_missing(values.shift(1)).to_numpy()[1:]

    in_threads(look, list(pairwise(bounds)))
    between = np.array(bounds[1:-1], dtype=np.int64)
    for column in columns:
        change[between] |= column.gather(between).ne_missing(column.gather(between - 1)).to_numpy()
    change[:1] = True
    return change


def code_starts(codes: IntArray) -> IntArray:
    """First position of each run of equal codes ``(R,)``."""
    return np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]])).astype(np.int64)


def pieces(n: int) -> list[slice]:
    """The pieces of n rows, for :func:`in_threads`."""
    return [slice(start, start + PIECE) for start in range(0, n, PIECE)]


def piece_bounds(column: pl.Series | FloatArray) -> list[int]:
    """Where the pieces of a column begin, and its end; none spans two of its chunks, so that its slice is no copy.

    Those of a chunk are of one size: of two threads neither waits for the other's last.
    """
    ends = np.cumsum(column.chunk_lengths() if isinstance(column, pl.Series) else [len(column)]).tolist()
    bounds = [
        first + (last - first) * number // several
        for first, last in pairwise([0, *ends])
        for several in [-(-(last - first) // PIECE)]
        for number in range(several)
    ]
    return [*bounds, len(column)]


def in_threads(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """What the work gives for each item, in their order; numpy lets another thread run while it works on a piece.

    A thread that is done takes the next item, so that items of different sizes are no harm.
    """
    if len(items) < 2:
        return [work(item) for item in items]
    made: dict[int, Result] = {}
    turn = iter(range(len(items)))  # its next is one step of the interpreter: no two threads get the same

    def take() -> None:
        for at in turn:
            made[at] = work(items[at])

    others = [_helpers().submit(take) for _ in range(THREADS - 1)]
    try:
        take()
    finally:
        # One that has not begun has nothing left to do, and might wait for this very call to end
        begun = [other for other in others if not other.cancel()]
        wait(begun)
    for other in begun:
        other.result()
    return [made[at] for at in range(len(items))]


@cache
def _helpers() -> ThreadPoolExecutor:
    """Threads that are kept: a new one starts on its maker's processor, and stays there for some milliseconds."""
    return ThreadPoolExecutor(max_workers=THREADS - 1, thread_name_prefix="axstat")


def _look_up(labels: pl.Series) -> tuple[IntArray, pl.Series]:
    if labels.dtype.is_integer() and len(labels):
        low, high = cast(int, labels.min()), cast(int, labels.max())
        if high - low <= 4 * len(labels) and high <= np.iinfo(np.int64).max:
            values = in_one_piece(labels.cast(pl.Int64))
            values = values - low if low else values
            seen = np.zeros(high - low + 1, dtype=np.bool_)
            seen[values] = True
            known = pl.Series(np.flatnonzero(seen) + low).cast(labels.dtype)
            return cast(IntArray, values if seen.all() else (np.cumsum(seen) - 1)[values]), known
    known = labels.unique().sort()
    return codes_in(labels, known), known


def codes_in(labels: pl.Series, known: pl.Series) -> IntArray:
    """Position of each label in ``known`` (distinct labels); -1 where it is not there or null."""
    lookup = pl.DataFrame({"label": known, "code": np.arange(len(known), dtype=np.int64)})
    coded = pl.DataFrame({"label": labels}).join(lookup, on="label", how="left", maintain_order="left")
    return coded["code"].fill_null(-1).to_numpy().astype(np.int64)


def nested_codes(outer: IntArray, inner: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Code the distinct pairs (outer, inner) as 0..U-1, in the order of outer, then inner.

    Returns:
        codes ``(n,)``, and the outer and the inner code of each ``(U,)``.
    """
    size = int(inner.max()) + 1
    known, codes = distinct_codes(outer * size + inner)
    return codes, known // size, known % size


def distinct_codes(key: IntArray) -> tuple[IntArray, IntArray]:
    """The distinct keys, sorted ``(U,)``, and the position of each key among them ``(n,)``; quick where sorted."""
    new = key[1:] != key[:-1]
    if len(key) and not (key[1:] < key[:-1]).any():
        codes = np.zeros(len(key), dtype=np.int64)
        np.cumsum(new, out=codes[1:])
        return key[np.concatenate([[True], new])], codes
    known, codes = np.unique(key, return_inverse=True)
    return known, codes.astype(np.int64)


def ranked_codes(key: IntArray, size: int) -> tuple[IntArray, IntArray]:
    """The distinct keys of 0..size-1, sorted ``(U,)``, and the rank of each key ``(n,)``; -1 stays -1."""
    if size > 4 * len(key):
        known, code = distinct_codes(key)
        outside = int(len(known) > 0 and known[0] == -1)
        return known[outside:], code - outside
    seen = np.zeros(size + 1, dtype=np.bool_)
    seen[key] = True  # -1 marks the last place
    seen[-1] = False
    rank = np.cumsum(seen) - 1
    rank[-1] = -1
    return np.flatnonzero(seen), rank[key]


def as_floats(column: pl.Series) -> FloatArray:
    """A column as numbers ``(n,)``, null as NaN; without a copy where it is of floats."""
    numbers = column.cast(pl.Float64)
    return in_one_piece(numbers.fill_null(np.nan) if numbers.null_count() else numbers)


def in_one_piece(column: pl.Series) -> npt.NDArray[Any]:
    """A column of numbers without nulls as an array ``(n,)``; copied where it is in several chunks."""
    if column.n_chunks() == 1:
        return column.to_numpy()
    bounds = piece_bounds(column)
    whole = np.empty(len(column), dtype=column.head(0).to_numpy().dtype)

    def copy(piece: tuple[int, int]) -> None:
        whole[slice(*piece)] = column.slice(piece[0], piece[1] - piece[0]).to_numpy()

    in_threads(copy, list(pairwise(bounds)))
    whole.flags.writeable = False
    return whole


def divide(a: FloatArray, b: FloatArray, *, otherwise: float = 0.0) -> FloatArray:
    """``a / b``, and ``otherwise`` where b is 0."""
    out = np.full(np.broadcast_shapes(a.shape, b.shape), otherwise)
    np.divide(a, b, out=out, where=b != 0)
    return out


def summing(codes: IntArray, size: int) -> sparse.csr_array:
    """The matrix ``(size, len(codes))`` that adds up rows by code."""
    ones, position = np.ones(len(codes)), np.arange(len(codes))
    if np.all(codes[1:] >= codes[:-1]):
        return sparse.csr_array((ones, position, np.searchsorted(codes, np.arange(size + 1))), shape=(size, len(codes)))
    return sparse.csr_array((ones, (codes, position)), shape=(size, len(codes)))


def safe_divide(top: FloatArray, bottom: FloatArray) -> FloatArray:
    """top/bottom, NaN where the bottom is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return cast(FloatArray, np.where(bottom == 0, np.nan, top / np.where(bottom == 0, 1.0, bottom)))
