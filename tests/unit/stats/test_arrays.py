"""Columns as arrays whatever their chunks, and work in threads: order, errors, calls within calls."""

import time

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.stats import arrays
from pipelines.stats.arrays import as_floats, code_labels, in_one_piece, in_threads, piece_bounds, run_starts


def chunked(values: list[int], sizes: list[int]) -> pl.Series:
    """A column in chunks of the sizes given, and one of the rest."""
    ends = np.minimum(np.cumsum([0, *sizes]), len(values)).tolist()
    parts = [pl.Series("x", values[a:b], dtype=pl.Int64) for a, b in zip(ends, [*ends[1:], len(values)], strict=True)]
    return pl.concat(parts, rechunk=False)


@given(values=st.lists(st.integers(-3, 40), min_size=1), sizes=st.lists(st.integers(1, 9), max_size=5))
def test_chunks_change_nothing(values: list[int], sizes: list[int]) -> None:
    column = chunked(values, sizes)
    whole = pl.Series("x", values, dtype=pl.Int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "PIECE", 4)
        assert in_one_piece(column).tolist() == values
        assert as_floats(column).tolist() == values
        assert run_starts([column, column]).tolist() == [
            at for at, value in enumerate(values) if at == 0 or value != values[at - 1]
        ]
        codes, known = code_labels(column)
        assert (known.to_list(), codes.tolist()) == (code_labels(whole)[1].to_list(), code_labels(whole)[0].tolist())
        bounds = piece_bounds(column)
        assert (bounds[0], bounds[-1]) == (0, len(values))
        assert bounds == sorted(set(bounds))
        assert set(np.cumsum(column.chunk_lengths()).tolist()) <= {0, *bounds}
        assert max(np.diff(bounds)) <= 4


def test_results_come_in_the_order_of_the_items() -> None:
    def work(at: int) -> int:
        time.sleep(0.002 * (at % 3))
        return at * at

    assert in_threads(work, list(range(20))) == [at * at for at in range(20)]
    assert in_threads(work, []) == []


def test_a_call_within_a_call_ends() -> None:
    """The kept thread is busy with the outer call, or asks itself for help: neither may wait for it."""
    nested = in_threads(lambda outer: in_threads(lambda inner: outer * 10 + inner, [1, 2, 3]), [1, 2, 3, 4])
    assert nested == [[outer * 10 + inner for inner in (1, 2, 3)] for outer in (1, 2, 3, 4)]


@pytest.mark.parametrize("bad", [0, 1, 7])
def test_an_error_of_any_item_is_raised(bad: int) -> None:
    def work(at: int) -> int:
        if at == bad:
            raise ValueError(f"item {at}")
        time.sleep(0.001)
        return at

    with pytest.raises(ValueError, match=f"item {bad}"):
        in_threads(work, list(range(8)))
    assert in_threads(lambda at: at, [1, 2]) == [1, 2]
