"""Sums of a long file by stratum and domain, over its rows and over its units: what moments are made of.

Belongs here: reading the rows a piece at a time in threads, the names of the sums. Does not belong here: the loops over
a piece (kernels, which is imported only where rows are read), what the sums mean (moments).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
import polars as pl

from pipelines.stats.arrays import (
    THREADS,
    FloatArray,
    IntArray,
    as_floats,
    code_starts,
    in_threads,
    piece_bounds,
    summing,
)
from pipelines.stats.design import SurveyDesign

# With A = sum w y and B = sum w x of a unit in a domain; in the order in which kernels add them up.
SUMS = (
    "n",  # rows used of a weight other than 0
    "weight",  # sum of the weights of the rows used
    "units",  # units with a row used
    "acting",  # those with one of a weight other than 0
    "top",  # sum of A
    "bottom",  # sum of B
    "top_top",  # sum over the units of A^2
    "top_bottom",  # of A B
    "bottom_bottom",  # of B^2
    "row_bottom_bottom",  # sum over the rows of (w x)^2
    "row_top_top",  # of w y^2
)
# Those that means without missing values share, and those that each has; "bottom" is then "weight".
SHARED = ("n", "weight", "units", "acting", "bottom_bottom", "row_bottom_bottom")
OWN = ("top", "top_top", "top_bottom", "row_top_top")

Piece = tuple[int, int]  # first unit and the end


@dataclass(frozen=True, eq=False)
class RowsByUnit:
    """The n rows of a file in the order of its P first-stage units: D domains, H strata.

    A file that is in that order is turned into numbers a piece at a time, so that it is never copied. The pieces are
    dealt out to the threads, each of which adds up its own.
    """

    columns: Mapping[str, pl.Series | FloatArray]
    weight: FloatArray  # (n,)
    domain: IntArray  # (n,) 0..D-1, -1 for none
    n_domains: int
    n_strata: int
    start: IntArray  # (P + 1,) first row of each unit, and the end
    stratum: IntArray  # (P,)
    order: IntArray | None  # (n,) rows in the order of the units; None: they are
    shares: Sequence[Sequence[Piece]]  # a thread: its pieces

    @classmethod
    def build(
        cls, frame: pl.DataFrame, design: SurveyDesign, columns: Sequence[str], *, domain: IntArray, n_domains: int
    ) -> "RowsByUnit":
        """Rows of the columns named; see :func:`pipelines.stats.moments.reduce_to_moments`."""
        stage = design.stages[0]
        run = code_starts(stage.run_unit)
        unit, order = stage.run_unit[run], None
        start = run if stage.run_length is None else (np.cumsum(stage.run_length) - stage.run_length)[run]
        if len(unit) > stage.n_units:
            by_unit = summing(stage.unit, stage.n_units)
            unit, start, order = np.arange(stage.n_units), by_unit.indptr[:-1], by_unit.indices.astype(np.int64)
        at = piece_bounds(frame[columns[0]])[:-1]
        # A unit that lies across the bound of two pieces is a piece of its own
        bounds = np.unique([*np.searchsorted(start, at), *np.searchsorted(start, at, side="right") - 1, len(start)])
        start = np.append(start, design.n_rows).astype(np.int64)
        pieces = sorted(pairwise(bounds.tolist()), key=lambda piece: start[piece[0]] - start[piece[1]])
        return cls(
            columns={name: frame[name] if order is None else as_floats(frame[name]) for name in dict.fromkeys(columns)},
            weight=design.weight,
            domain=domain,
            n_domains=n_domains,
            n_strata=stage.n_strata,
            start=start,
            stratum=stage.stratum[unit],
            order=order,
            shares=[share for first in range(THREADS) if (share := pieces[first::THREADS])],
        )

    def sums(
        self, measures: Sequence[str], denominators: Mapping[str, str], about: FloatArray, *, spread: bool
    ) -> tuple[IntArray, IntArray, dict[str, FloatArray]]:
        """Domain and stratum of the C groups with a row ``(C,)``, and the SUMS of the K measures ``(C, K)``.

        Args:
            about: what is taken off y, times x, in each domain ``(D, K)``.
            spread: with "row_top_top", which else is 0 for measures without missing values.
        """
        means = [k for k, name in enumerate(measures) if name not in denominators]
        shared, own = self._complete([measures[k] for k in means], np.ascontiguousarray(about[:, means]), spread=spread)
        there = shared[:, :, SHARED.index("units")] > 0
        sums = {name: np.zeros((np.count_nonzero(there), len(measures))) for name in SUMS}
        shared, own = shared[there], own[there]
        for position, name in enumerate(SHARED):
            sums[name][:] = shared[:, position, None]
        sums["bottom"][:] = sums["weight"]
        for position, name in enumerate(OWN):
            sums[name][:, means] = own[:, :, position]
        for k, measure in enumerate(measures):
            # A value that is missing or infinite shows in the sum.
            if measure in denominators or not np.isfinite(sums["top"][:, k]).all():
                alone = self._alone(measure, denominators.get(measure), about[:, k].copy())[there]
                for position, name in enumerate(SUMS):
                    sums[name][:, k] = alone[:, position]
        domain, stratum = np.nonzero(there)
        return domain, stratum, sums

    def _complete(self, measures: Sequence[str], about: FloatArray, *, spread: bool) -> tuple[FloatArray, FloatArray]:
        """SHARED ``(D, H, 6)`` and OWN ``(D, H, K, 4)`` of means, as if no value were missing."""
        from pipelines.stats.kernels import add_complete

        groups = (self.n_domains, self.n_strata)

        def add(share: Sequence[Piece]) -> tuple[FloatArray, FloatArray]:
            shared, own = np.zeros((*groups, len(SHARED))), np.zeros((*groups, len(measures), len(OWN)))
            for piece in share:
                rows, of_rows = self._piece(*piece)
                values = [self._numbers(name, rows) for name in measures]
                at = np.array([column.ctypes.data for column in values], dtype=np.int64)
                add_complete(*of_rows, at, about, spread, shared, own)
            return shared, own

        (shared, own), *others = in_threads(add, self.shares)
        for more_shared, more_own in others:
            shared += more_shared
            own += more_own
        return shared, own

    def _alone(self, measure: str, over: str | None, about: FloatArray) -> FloatArray:
        """SUMS ``(D, H, 11)`` of a measure with missing values or a denominator."""
        from pipelines.stats.kernels import add_measure

        def add(share: Sequence[Piece]) -> FloatArray:
            sums = np.zeros((self.n_domains, self.n_strata, len(SUMS)))
            for piece in share:
                rows, of_rows = self._piece(*piece)
                x = np.zeros(0) if over is None else self._numbers(over, rows)
                add_measure(*of_rows, self._numbers(measure, rows), x, about, sums)
            return sums

        return cast(FloatArray, np.sum(in_threads(add, self.shares), axis=0))

    def _piece(self, first: int, last: int) -> tuple[slice | IntArray, tuple[IntArray, IntArray, IntArray, FloatArray]]:
        """The rows of the units first..last-1; where each unit starts in them, its stratum, their domain and weight."""
        begin, end = int(self.start[first]), int(self.start[last])
        rows: slice | IntArray = slice(begin, end) if self.order is None else self.order[begin:end]
        start = self.start[first : last + 1] - begin
        return rows, (start, self.stratum[first:last], self.domain[rows], self.weight[rows])

    def _numbers(self, name: str, rows: slice | IntArray) -> FloatArray:
        column = self.columns[name]
        numbers = as_floats(column[rows]) if isinstance(column, pl.Series) else column[rows]
        return np.ascontiguousarray(numbers)
