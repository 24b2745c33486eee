"""Many estimates of a large file: rows are added up once by sampling unit and domain, the rest is done from there.

Belongs here: the reduction of rows to cells, estimates by domain from cells, cells as a table that can be stored.
Does not belong here: the variance formula (variance, which takes a cell for a row), other domains than a
partition, calibrated weights (linearization, variance).

A cell is a unit of the deepest stage whose population is known (in a design of one stage the PSU) and a domain. Its
sums B = sum w x and A = sum w y (x = 1 for a mean) are all that an estimate and its variance need: R = sum A / sum B,
and the cell's influence is (A - R B)/sum B.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import cast

import numpy as np
import polars as pl

from pipelines.errors import AxstatError
from pipelines.stats.arrays import (
    PIECE,
    BoolArray,
    FloatArray,
    IntArray,
    as_floats,
    in_threads,
    ranked_codes,
    safe_divide,
)
from pipelines.stats.design import LonelyPsu, SurveyDesign
from pipelines.stats.linearization import DomainEstimates, design_effects
from pipelines.stats.stages import Stage
from pipelines.stats.variance import DomainLayout

SUMS = ("rows", "n", "weight", "top", "bottom", "bottom_squares", "spread")


@dataclass(frozen=True, eq=False)
class Cells:
    """Sums by unit and domain, sorted by domain, then unit; made by :func:`reduce_to_cells`.

    ``design`` has one row a cell, its weight 1. Shapes: C cells, D domains, K measures; arrays that are the same for
    all measures, as without missing values, are ``(C, 1)``.
    """

    design: SurveyDesign
    measures: tuple[str, ...]
    domain: IntArray  # (C,)
    n_domains: int
    rows: FloatArray  # (C, K) rows with the measure present
    n: FloatArray  # (C, K) those of a weight other than 0
    weight: FloatArray  # (C, K) sum of their weights
    top: FloatArray  # (C, K) sum of w y
    bottom: FloatArray  # (C, K) sum of w x
    bottom_squares: FloatArray  # (C, K) sum of (w x)^2
    spread: FloatArray | None  # (C, K) sum of w (y - the cell's mean)^2, where design effects are wanted

    @cached_property
    def layout(self) -> DomainLayout:
        """The cells as the rows of a partition."""
        return DomainLayout.build(self.design, self.domain, self.n_domains)

    def to_frame(self) -> pl.DataFrame:
        """The cells as a table, all that :meth:`from_frame` needs but the lonely-PSU rules.

        Stages are numbered from 1: ``unit_1``, ``stratum_1``, ``sampled_1``, ``population_1``, ``share_1``.
        """
        columns: dict[str, IntArray | FloatArray] = {"domain": self.domain}
        for number, stage in enumerate(self.design.stages, start=1):
            stratum = stage.stratum[stage.unit]
            columns |= {
                f"unit_{number}": stage.unit,
                f"stratum_{number}": stratum,
                f"sampled_{number}": stage.sampled[stratum],
                f"population_{number}": stage.population[stratum],
                f"share_{number}": stage.share[stratum],
            }
        for name in SUMS:
            values = cast(FloatArray | None, getattr(self, name))
            if values is not None:
                shared = values.shape[1] == 1 and len(self.measures) > 1
                names = ["*"] if shared else self.measures
                columns |= {f"{name}:{measure}": values[:, k] for k, measure in enumerate(names)}
        return pl.DataFrame(columns)

    @classmethod
    def from_frame(
        cls,
        table: pl.DataFrame,
        *,
        n_domains: int,
        stratum_labels: Sequence[str] = (),
        lonely_psu: LonelyPsu,
        lonely_psu_in_domain: bool = False,
    ) -> "Cells":
        """Cells from the table of :meth:`to_frame`; the rules are those of the design they came from."""
        stages = []
        number = 1
        while f"unit_{number}" in table.columns:
            unit, stratum, sampled, population, share = (
                table[f"{name}_{number}"].to_numpy() for name in ("unit", "stratum", "sampled", "population", "share")
            )
            size = int(stratum.max()) + 1
            of_unit = np.zeros(int(unit.max()) + 1, dtype=np.int64)
            of_unit[unit] = stratum
            by_stratum = [np.zeros(size, dtype=np.int64), np.full(size, np.inf), np.zeros(size)]
            for into, values in zip(by_stratum, (sampled, population, share), strict=True):
                into[stratum] = values
            stages.append(Stage(unit, None, of_unit, by_stratum[0], by_stratum[1], by_stratum[2]))
            number += 1
        measures = [name.partition(":")[2] for name in table.columns if name.startswith("top:")]

        def sums(name: str) -> FloatArray:
            named = [column for column in table.columns if column.partition(":")[0] == name]
            return table.select(named).to_numpy().astype(np.float64)

        spread = sums("spread")
        return cls(
            design=SurveyDesign(
                weight=np.ones(table.height),
                stratum_labels=tuple(stratum_labels),
                stages=tuple(stages),
                lonely_psu=lonely_psu,
                lonely_psu_in_domain=lonely_psu_in_domain,
                calibration=None,
                calibration_group=None,
            ),
            measures=tuple(measures),
            domain=table["domain"].to_numpy(),
            n_domains=n_domains,
            rows=sums("rows"),
            n=sums("n"),
            weight=sums("weight"),
            top=sums("top"),
            bottom=sums("bottom"),
            bottom_squares=sums("bottom_squares"),
            spread=spread if spread.shape[1] else None,
        )

    def estimates(self) -> DomainEstimates:
        """Means, or ratios where denominators were given, by domain ``(D, K)``.

        ``deff`` and ``deff_replace`` are NaN unless the cells were made ``with_design_effects`` and are of means.
        """
        base = self.layout.sums(self.bottom)
        ratio = safe_divide(self.layout.sums(self.top), base)
        influence = self.layout.spread(np.nan_to_num(ratio)) * self.bottom
        np.subtract(self.top, influence, out=influence)
        influence *= self.layout.spread(np.where(base == 0, 0.0, 1.0 / np.where(base == 0, 1.0, base)))
        return self._finish(ratio, influence, base)

    def totals(self) -> DomainEstimates:
        """Totals of y by domain ``(D, K)``."""
        n = np.broadcast_to(self.layout.sums(self.n), (self.n_domains, self.top.shape[1]))
        total = np.where(n > 0, self.layout.sums(self.top), np.nan)
        return self._finish(total, self.top, np.ones((self.n_domains, 1)))

    def _finish(self, estimate: FloatArray, influence: FloatArray, scale: FloatArray) -> DomainEstimates:
        layout, shape = self.layout, estimate.shape
        present = self.rows > 0
        variance = layout.variance(influence, used=None if present.all() else np.broadcast_to(present, influence.shape))
        variance = np.where(np.isfinite(estimate), variance, np.nan)
        psus, strata = layout.present(self.n > 0)
        n, sum_weights = layout.sums(self.n), layout.sums(self.weight)
        deff = deff_replace = np.full(shape, np.nan)
        if self.spread is not None:
            own_mean = np.nan_to_num(safe_divide(self.top, np.broadcast_to(self.weight, self.top.shape)))
            mean = np.nan_to_num(safe_divide(layout.sums(self.top), np.broadcast_to(sum_weights, shape)))
            squares = layout.sums(self.spread + self.weight * np.square(own_mean - layout.spread(mean)))
            deff, deff_replace = design_effects(
                variance,
                squares=safe_divide(squares, np.broadcast_to(np.square(scale), shape)),
                n=n,
                sum_weights=sum_weights,
            )
        return DomainEstimates(
            estimate=estimate,
            variance=variance,
            n=np.broadcast_to(n, shape),
            df=np.broadcast_to(psus - strata, shape),
            sum_weights=np.broadcast_to(sum_weights, shape),
            deff=deff,
            deff_replace=deff_replace,
            kish_deff=np.broadcast_to(
                safe_divide(n * layout.sums(self.bottom_squares), np.square(layout.sums(self.bottom))), shape
            ),
        )


def reduce_to_cells(
    frame: pl.DataFrame,
    design: SurveyDesign,
    *,
    measures: Sequence[str],
    denominators: Mapping[str, str] | None = None,
    domain: IntArray,
    n_domains: int,
    with_design_effects: bool = False,
) -> Cells:
    """Add the rows up by unit and domain.

    Files in the order of their units are added up run by run; others cost a little more.

    Args:
        frame: the n rows of the design, with the measures; null and NaN are missing, and dropped for that measure.
        measures: numeric or Boolean columns, K of them.
        denominators: the denominator of a measure that is a ratio; a row counts where both are present.
        domain: code 0..n_domains-1 of each row, -1 for none.
        with_design_effects: keep what design effects of means need, at the cost of a second pass.

    Raises:
        AxstatError: a calibrated design: its residuals reach beyond the cell.
    """
    if design.calibrated:
        raise AxstatError(
            "cells_calibrated",
            where="cells",
            expected="a design without calibrated weights",
            got="calibrated weights",
            hint="use domain_means, domain_totals or domain_ratios",
        )
    stage = design.stages[-1]
    groups = _Groups.build(stage.unit, stage.n_units, domain, n_domains)
    weight = design.weight
    denominators = denominators or {}
    read = tuple(dict.fromkeys((*measures, *denominators.values())))
    sum_weights, squares, *products = groups.products(weight, [None, weight, *(frame[name] for name in read)])
    sum_of = dict(zip(read, products, strict=True))
    every_row = groups.counts()
    whole = _Sums(
        rows=every_row,
        n=every_row if weight.all() else groups.counts(weight != 0),
        weight=sum_weights,
        top=sum_weights,
        bottom=sum_weights,
        bottom_squares=squares,
    )
    columns: list[tuple[FloatArray, ...]] = []
    spreads = []
    for name in measures:
        over = denominators.get(name)
        sums = replace(whole, top=sum_of[name], bottom=whole.bottom if over is None else sum_of[over])
        # A value that is missing or infinite shows in the sum of its cell.
        complete = np.isfinite(sums.top).all() and np.isfinite(sums.bottom).all()
        if not complete or over is not None or with_design_effects:
            sums, spread = _read_again(
                groups,
                weight,
                sums,
                as_floats(frame[name]),
                None if over is None else as_floats(frame[over]),
                complete=bool(complete),
                with_spread=with_design_effects,
            )
            spreads += spread
        columns.append((sums.rows, sums.n, sums.weight, sums.top, sums.bottom, sums.bottom_squares))
    stacked = [_stack([column[position] for column in columns], shared=position != 3) for position in range(6)]
    return Cells(
        design=replace(
            design,
            weight=np.ones(len(groups.unit)),
            stages=tuple(replace(each, run_unit=each.unit[groups.first], run_length=None) for each in design.stages),
        ),
        measures=tuple(measures),
        domain=groups.domain,
        n_domains=n_domains,
        rows=stacked[0],
        n=stacked[1],
        weight=stacked[2],
        top=stacked[3],
        bottom=stacked[4],
        bottom_squares=stacked[5],
        spread=np.column_stack(spreads) if with_design_effects and not denominators else None,
    )


def _stack(columns: list[FloatArray], *, shared: bool) -> FloatArray:
    if shared and all(column is columns[0] for column in columns):
        return columns[0][:, None]
    return np.column_stack(columns)


@dataclass(frozen=True, eq=False)
class _Sums:
    """The columns ``(C,)`` of one measure, as in :class:`Cells`."""

    rows: FloatArray
    n: FloatArray
    weight: FloatArray
    top: FloatArray
    bottom: FloatArray
    bottom_squares: FloatArray


def _read_again(
    groups: "_Groups",
    weight: FloatArray,
    sums: _Sums,
    y: FloatArray,
    x: FloatArray | None,
    *,
    complete: bool,
    with_spread: bool,
) -> tuple[_Sums, list[FloatArray]]:
    """The sums of a measure with missing values or a denominator; the spread within the cells where it is wanted."""
    acting = weight
    if not complete:
        present = np.isfinite(y) if x is None else np.isfinite(y) & np.isfinite(x)
        acting, y = np.where(present, weight, 0.0), np.where(present, y, 0.0)
        x = None if x is None else np.where(present, x, 0.0)
        total, squares, top, *over = groups.products(acting, [None, acting, y, *([] if x is None else [x])])
        sums = _Sums(
            rows=groups.counts(present),
            n=groups.counts(present & (weight != 0)),
            weight=total,
            top=top,
            bottom=over[0] if over else total,
            bottom_squares=squares,
        )
    if x is not None:
        acting_x = acting * x
        sums = replace(sums, bottom_squares=groups.products(acting_x, [acting_x])[0])
    if not with_spread:
        return sums, []
    mean = np.nan_to_num(safe_divide(sums.top, sums.weight))
    return sums, groups.products(acting, [np.square(y - groups.spread(mean))])


Column = pl.Series | FloatArray | None


def _product(weight: FloatArray, column: Column, rows: slice) -> FloatArray:
    if column is None:
        return weight[rows]
    with np.errstate(invalid="ignore"):
        return weight[rows] * (as_floats(column[rows]) if isinstance(column, pl.Series) else column[rows])


@dataclass(frozen=True, eq=False)
class _Groups:
    """Rows by cell: as runs of rows that are next to each other, or by the code of each row."""

    unit: IntArray  # (C,)
    domain: IntArray  # (C,)
    first: IntArray  # (C,) a row of each
    size: int  # C
    start: IntArray | None  # (R,) first row of each run, where rows are in runs
    code: IntArray  # 1 + cell of each run (R,), or of each row (n,); 0 outside the domains
    n_rows: int

    @classmethod
    def build(cls, unit: IntArray, n_units: int, domain: IntArray, n_domains: int) -> "_Groups":
        n = len(unit)
        change = np.ones(n, dtype=np.bool_)
        np.not_equal(unit[1:], unit[:-1], out=change[1:])
        change[1:] |= domain[1:] != domain[:-1]
        start: IntArray | None = np.flatnonzero(change).astype(np.int64)
        assert start is not None
        at = start
        if len(start) > n // 2:
            start, at = None, np.arange(n, dtype=np.int64)
        key = np.where(domain[at] >= 0, domain[at] * n_units + unit[at], -1) if start is not None else domain * n_units
        if start is None:
            key += unit
            key[domain < 0] = -1
        known, code = ranked_codes(key, n_domains * n_units)
        first = np.empty(len(known), dtype=np.int64)
        first[code[code >= 0]] = at[code >= 0]
        cell_domain, cell_unit = np.divmod(known, n_units)
        return cls(
            unit=cell_unit, domain=cell_domain, first=first, size=len(known), start=start, code=code + 1, n_rows=n
        )

    def products(self, weight: FloatArray, columns: Sequence[Column]) -> list[FloatArray]:
        """Sum of weight times each column ``(n,)``, or of the weight alone for None, in each cell ``(C,)``.

        A series is turned into numbers a piece at a time, so that a long file is never copied.
        """
        if self.start is None:
            everything = slice(0, self.n_rows)
            return in_threads(lambda column: self._by_code(_product(weight, column, everything)), columns)
        runs = np.empty((len(columns), len(self.start)))
        # Pieces stay in the processor's cache while all columns are added up.
        bounds = np.unique(np.searchsorted(self.start, [*range(0, self.n_rows, PIECE), self.n_rows]))
        in_threads(
            lambda piece: self._add_piece(weight, columns, piece[0], piece[1], runs), list(pairwise(bounds.tolist()))
        )
        return in_threads(self._by_code, list(runs))

    def _add_piece(
        self, weight: FloatArray, columns: Sequence[Column], first: int, last: int, runs: FloatArray
    ) -> None:
        """Write the sums of the runs first..last-1 into ``runs``."""
        assert self.start is not None
        begin, end = int(self.start[first]), self.n_rows if last == len(self.start) else int(self.start[last])
        start = self.start[first:last] - begin
        with np.errstate(invalid="ignore"):  # infinite values are found in the sums
            for into, column in zip(runs, columns, strict=True):
                np.add.reduceat(_product(weight, column, slice(begin, end)), start, out=into[first:last])

    def _by_code(self, values: FloatArray) -> FloatArray:
        # One bin in front takes the rows outside the domains.
        return cast(FloatArray, np.bincount(self.code, weights=values, minlength=self.size + 1)[1:])

    def counts(self, marked: BoolArray | None = None) -> FloatArray:
        """Rows, or marked rows ``(n,)``, in each cell ``(C,)``."""
        if marked is not None:
            return self.products(marked.astype(np.float64), [None])[0]
        if self.start is None:
            return np.bincount(self.code, minlength=self.size + 1)[1:].astype(np.float64)
        return self._by_code(np.diff(self.start, append=self.n_rows).astype(np.float64))

    def spread(self, by_cell: FloatArray) -> FloatArray:
        """The cell's value ``(C,)`` on each of its rows ``(n,)``; of no meaning outside the domains."""
        by_code = np.append(0.0, by_cell)[self.code]
        return by_code if self.start is None else np.repeat(by_code, np.diff(self.start, append=self.n_rows))
