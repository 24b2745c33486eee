"""Sums of a long file by domain: over its rows and units in each stratum, and with replicate weights.

Belongs here: reading the rows a piece at a time in threads, the names of the sums. Does not belong here: the loops over
a piece (kernels, which is imported only where rows are read), what the sums mean (moments, replication).
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
    """The n rows of a file in the order of its P units: D domains.

    A file that is in that order is turned into numbers a piece at a time, so that it is never copied. The pieces are
    dealt out to the threads, each of which adds up its own.
    """

    columns: Mapping[str, pl.Series | FloatArray]
    weight: FloatArray  # (n,)
    domain: IntArray  # (n,) 0..D-1, -1 for none
    n_domains: int
    start: IntArray  # (P + 1,) first row of each unit, and the end
    unit: IntArray  # (P,) its code
    order: IntArray | None  # (n,) rows in the order of the units; None: they are
    shares: Sequence[Sequence[Piece]]  # a thread: its pieces

    @classmethod
    def build(
        cls,
        columns: Mapping[str, pl.Series | FloatArray],
        weight: FloatArray,
        *,
        run_unit: IntArray,
        run_length: IntArray | None = None,
        domain: IntArray,
        n_domains: int,
    ) -> "RowsByUnit":
        """Columns ``(n,)`` and their weight; units are held by runs of rows (:class:`pipelines.stats.stages.Stage`).

        Args:
            domain: code 0..n_domains-1 of each row, -1 for none.

        Raises:
            ValueError: arrays of different lengths, or a domain that is not there: compiled loops look at neither.
        """
        lengths = {len(domain), len(weight), *map(len, columns.values())}
        if len(lengths) > 1:
            raise ValueError(f"columns, weight and domain have {sorted(lengths)} rows")
        if len(domain) and (domain.min() < -1 or domain.max() >= n_domains):
            raise ValueError(f"domain codes {int(domain.min())} to {int(domain.max())} but {n_domains} domains")
        run = code_starts(run_unit)
        unit, order = run_unit[run], None
        start = run if run_length is None else (np.cumsum(run_length) - run_length)[run]
        if np.bincount(unit).max() > 1:  # the rows of a unit are apart
            of_row = run_unit if run_length is None else np.repeat(run_unit, run_length)
            by_unit = summing(of_row, int(unit.max()) + 1)
            unit, start = np.arange(by_unit.shape[0]), by_unit.indptr[:-1]
            order = by_unit.indices.astype(np.int64)
        at = piece_bounds(next(iter(columns.values())))[:-1]
        # A unit that lies across the bound of two pieces is a piece of its own
        bounds = np.unique([*np.searchsorted(start, at), *np.searchsorted(start, at, side="right") - 1, len(start)])
        start = np.append(start, len(weight)).astype(np.int64)
        pieces = sorted(pairwise(bounds.tolist()), key=lambda piece: start[piece[0]] - start[piece[1]])
        return cls(
            columns={
                name: as_floats(column) if isinstance(column, pl.Series) and order is not None else column
                for name, column in columns.items()
            },
            weight=weight,
            domain=domain,
            n_domains=n_domains,
            start=start,
            unit=unit,
            order=order,
            shares=[share for first in range(THREADS) if (share := pieces[first::THREADS])],
        )

    def replicate_sums(self, whole: FloatArray, factor: FloatArray) -> FloatArray:
        """Sums of all columns by domain with the weights of each replicate, last the full sample's ``(R + 1, D, K)``.

        Args:
            whole: what the weights of a unit's rows are multiplied by in the full sample ``(U,)``.
            factor: what they are multiplied by in each replicate ``(U, R)``.
        """
        from pipelines.stats.kernels import LANES, add_replicates

        n = factor.shape[1] + 1

        def add(share: Sequence[Piece]) -> FloatArray:
            totals = np.zeros((-(-n // LANES), self.n_domains, len(self.columns) + len(self.columns) % 2, LANES))
            for piece in share:
                rows, of_rows = self._piece(*piece, self.unit)
                values = [self._numbers(name, rows) for name in self.columns]
                add_replicates(*of_rows, _addresses(values), whole, factor, totals)
            return totals

        totals = np.sum(in_threads(add, self.shares), axis=0)[:, :, : len(self.columns)]
        return cast(FloatArray, np.moveaxis(totals, -1, 1).reshape(len(totals) * LANES, *totals.shape[1:3])[:n])

    def sums(
        self,
        measures: Sequence[str],
        denominators: Mapping[str, str],
        about: FloatArray,
        *,
        stratum: IntArray,
        n_strata: int,
        spread: bool,
    ) -> tuple[IntArray, IntArray, dict[str, FloatArray]]:
        """Domain and stratum of the C groups with a row ``(C,)``, and the SUMS of the K measures.

        These are ``(C, K)``, or ``(C, 1)`` where all measures share them: means without missing values.

        Args:
            about: what is taken off y, times x, in each domain ``(D, K)``.
            stratum: 0..n_strata-1 of each code of a unit ``(U,)``.
            spread: with "row_top_top", which else is 0 for measures without missing values.
        """
        of_unit, groups = stratum[self.unit], (self.n_domains, n_strata)
        means = [k for k, name in enumerate(measures) if name not in denominators]
        names, about_means = [measures[k] for k in means], np.ascontiguousarray(about[:, means])
        shared, own = self._complete(names, about_means, of_unit, groups, spread=spread)
        there = shared[:, :, SHARED.index("units")] > 0
        domain, stratum = np.nonzero(there)
        shared, own = shared[there], own[there]
        sums = {name: shared[:, [position]] for position, name in enumerate(SHARED)}
        sums["bottom"] = sums["weight"]
        sums |= {name: np.ascontiguousarray(own[:, :, position]) for position, name in enumerate(OWN)}
        # A value that is missing or infinite shows in the sum.
        complete = [k for k, top in zip(means, sums["top"].T, strict=True) if np.isfinite(top).all()]
        if len(complete) < len(measures):
            wide = {name: np.zeros((len(domain), len(measures))) for name in SUMS}
            for name, values in sums.items():
                wide[name][:, means] = values
            for k in sorted({*range(len(measures))} - {*complete}):
                over = denominators.get(measures[k])
                alone = self._alone(measures[k], over, about[:, k].copy(), of_unit, groups)[there]
                for position, name in enumerate(SUMS):
                    wide[name][:, k] = alone[:, position]
            sums = wide
        return domain, stratum, sums

    def _complete(
        self,
        measures: Sequence[str],
        about: FloatArray,
        stratum: IntArray,
        groups: tuple[int, int],
        *,
        spread: bool,
    ) -> tuple[FloatArray, FloatArray]:
        """SHARED ``(D, H, 6)`` and OWN ``(D, H, K, 4)`` of means, as if no value were missing."""
        from pipelines.stats.kernels import add_complete

        def add(share: Sequence[Piece]) -> tuple[FloatArray, FloatArray]:
            shared, own = np.zeros((*groups, len(SHARED))), np.zeros((*groups, len(measures), len(OWN)))
            for piece in share:
                rows, of_rows = self._piece(*piece, stratum)
                values = [self._numbers(name, rows) for name in measures]
                add_complete(*of_rows, _addresses(values), about, spread, shared, own)
            return shared, own

        (shared, own), *others = in_threads(add, self.shares)
        for more_shared, more_own in others:
            shared += more_shared
            own += more_own
        return shared, own

    def _alone(
        self, measure: str, over: str | None, about: FloatArray, stratum: IntArray, groups: tuple[int, int]
    ) -> FloatArray:
        """SUMS ``(D, H, 11)`` of a measure with missing values or a denominator."""
        from pipelines.stats.kernels import add_measure

        def add(share: Sequence[Piece]) -> FloatArray:
            sums = np.zeros((*groups, len(SUMS)))
            for piece in share:
                rows, of_rows = self._piece(*piece, stratum)
                x = np.zeros(0) if over is None else self._numbers(over, rows)
                add_measure(*of_rows, self._numbers(measure, rows), x, about, sums)
            return sums

        return cast(FloatArray, np.sum(in_threads(add, self.shares), axis=0))

    def _piece(
        self, first: int, last: int, code: IntArray
    ) -> tuple[slice | IntArray, tuple[IntArray, IntArray, IntArray, FloatArray]]:
        """The rows of the units first..last-1; where each unit starts in them, its code, their domain and weight."""
        begin, end = int(self.start[first]), int(self.start[last])
        rows: slice | IntArray = slice(begin, end) if self.order is None else self.order[begin:end]
        start = self.start[first : last + 1] - begin
        return rows, (start, code[first:last], self.domain[rows], self.weight[rows])

    def _numbers(self, name: str, rows: slice | IntArray) -> FloatArray:
        column = self.columns[name]
        numbers = as_floats(column[rows]) if isinstance(column, pl.Series) else column[rows]
        return np.ascontiguousarray(numbers)


def _addresses(columns: Sequence[FloatArray]) -> IntArray:
    """Where the numbers of each column stand in memory; the caller keeps the columns."""
    return np.array([column.ctypes.data for column in columns], dtype=np.int64)
