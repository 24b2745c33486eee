"""Many estimates of a large file, whatever its domains: rows are added up to sums of squares by stratum and domain.

Belongs here: the reduction of rows to moments, estimates by domain from them, moments as a table that can be stored,
the choice between moments and cells. Does not belong here: sums by unit (cells), what a stratum's sum of squares is
multiplied by (variance).

With A = sum w y and B = sum w x of a unit in a domain (x = 1 for a mean), an influence of a row is y - d x, with d the
ratio R for a mean or a ratio and 0 for a total, and that of the unit t = A - d B. A stratum of n units adds
sum (t - tbar)^2 = sum A^2 - 2 d sum AB + d^2 sum B^2 - (sum A - d sum B)^2/n
to the variance: all of it sums over the units of the stratum, which need not be kept. Units cut by D domains are nearly
as many as the rows; the strata are few.

These are differences of sums, so their rounding is measured: where it can reach 1e-11 of a variance, the rows are read
once more with y - R x in place of y, which leaves d next to 0, and if that is not enough, cells are made. ``about`` is
the R that was taken off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import cast

import numpy as np
import polars as pl
from scipy import sparse

from pipelines.stats.arrays import (
    PIECE,
    BoolArray,
    FloatArray,
    IntArray,
    as_floats,
    distinct_codes,
    in_threads,
    ranked_codes,
    safe_divide,
    summing,
)
from pipelines.stats.cells import Cells, reduce_to_cells
from pipelines.stats.design import LonelyPsu, Stage, SurveyDesign
from pipelines.stats.linearization import DomainEstimates, design_effects
from pipelines.stats.variance import stratum_rules

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
# A variance may lose this share to rounding; so may a standard error, of its estimate, where there is no variance.
TOLERANCE, NOISE = 1e-11, 1e-13
# Rounding of a sum, as a share of its terms' magnitude.
ROUNDING = 1e-15
# Moments are worth it where they are this many times fewer than the rows.
ROWS_A_GROUP = 4


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums by stratum and domain, sorted by domain, then stratum; made by :func:`reduce_to_moments`.

    Shapes: C groups of a stratum and a domain, D domains, K measures.
    """

    stage: Stage  # the first; of a stored table without its units
    lonely_psu: LonelyPsu
    lonely_psu_in_domain: bool
    measures: tuple[str, ...]
    n_domains: int
    stratum: IntArray  # (C,)
    domain: IntArray  # (C,)
    about: FloatArray  # (D, K)
    sums: Mapping[str, FloatArray]  # the names of SUMS: (C, K); row_top_top where design effects are wanted

    @cached_property
    def by_domain(self) -> sparse.csr_array:
        """Adds the groups up by domain ``(D, C)``."""
        return summing(self.domain, self.n_domains)

    @cached_property
    def added(self) -> Mapping[str, FloatArray]:
        """The sums by domain ``(D, K)``."""
        together = self.by_domain @ np.hstack(list(self.sums.values()))
        return dict(zip(self.sums, np.hsplit(together, len(self.sums)), strict=True))

    def to_frame(self) -> pl.DataFrame:
        """The moments as a table, all that :meth:`from_frame` needs but the lonely-PSU rules."""
        columns: dict[str, IntArray | FloatArray] = {
            "domain": self.domain,
            "stratum": self.stratum,
            "sampled": self.stage.sampled[self.stratum],
            "population": self.stage.population[self.stratum],
        }
        for k, measure in enumerate(self.measures):
            columns[f"about:{measure}"] = self.about[self.domain, k]
            columns |= {f"{name}:{measure}": values[:, k] for name, values in self.sums.items()}
        return pl.DataFrame(columns)

    @classmethod
    def from_frame(
        cls,
        table: pl.DataFrame,
        *,
        n_domains: int,
        lonely_psu: LonelyPsu,
        lonely_psu_in_domain: bool = False,
    ) -> "Moments":
        """Moments from the table of :meth:`to_frame`; the rules are those of the design they came from."""
        measures = [name.partition(":")[2] for name in table.columns if name.startswith("top:")]
        domain, stratum = table["domain"].to_numpy(), table["stratum"].to_numpy()
        size = int(stratum.max()) + 1
        sampled, population = np.zeros(size, dtype=np.int64), np.full(size, np.inf)
        sampled[stratum], population[stratum] = table["sampled"].to_numpy(), table["population"].to_numpy()
        none = np.zeros(0, dtype=np.int64)

        def columns(name: str) -> FloatArray:
            return np.column_stack([table[f"{name}:{measure}"].to_numpy() for measure in measures])

        about = np.zeros((n_domains, len(measures)))
        about[domain] = columns("about")
        return cls(
            stage=Stage(none, None, none, sampled, population, np.ones(size)),
            lonely_psu=lonely_psu,
            lonely_psu_in_domain=lonely_psu_in_domain,
            measures=tuple(measures),
            n_domains=n_domains,
            stratum=stratum,
            domain=domain,
            about=about,
            sums={name: columns(name) for name in SUMS if f"{name}:{measures[0]}" in table.columns},
        )

    @cached_property
    def ratio(self) -> FloatArray:
        """Means, or ratios where denominators were given, by domain ``(D, K)``."""
        return self.about + safe_divide(self.added["top"], self.added["bottom"])

    def estimates(self) -> DomainEstimates:
        """Means, or ratios where denominators were given, by domain ``(D, K)``.

        ``deff`` and ``deff_replace`` are NaN unless the moments were made ``with_design_effects``.
        """
        return self._finish(self.ratio, self._ratio_variance[0], self.added["bottom"])

    def totals(self) -> DomainEstimates:
        """Totals of y by domain ``(D, K)``."""
        total = self.added["top"] + self.about * self.added["bottom"]
        total = np.where(self.added["n"] > 0, total, np.nan)
        return self._finish(total, self._total_variance[0], np.ones_like(total))

    def precise(self, *, totals: bool = False) -> bool:
        """Whether rounding leaves the variances of :meth:`estimates`, or those of the totals, what they are."""
        size, base = np.abs(np.nan_to_num(self.ratio)), np.abs(self.added["bottom"])
        enough = _enough(*(self._total_variance if totals else self._ratio_variance), size * base)
        if "row_top_top" in self.sums:
            enough = enough & _enough(*self._squares(), size * np.sqrt(base))
        return bool(enough.all())

    @cached_property
    def _ratio_variance(self) -> tuple[FloatArray, FloatArray]:
        return self._variance(np.nan_to_num(self.ratio - self.about))

    @cached_property
    def _total_variance(self) -> tuple[FloatArray, FloatArray]:
        return self._variance(-self.about)

    def _variance(self, shift: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Variance of the sum of A - d B by domain ``(D, K)``, and the magnitude of the terms it is a difference of."""
        d = shift[self.domain]
        sums = self.sums
        factor, uncentred = stratum_rules(
            self.stage,
            stratum=self.stratum,
            cell_sum=self.by_domain,
            units=sums["units"],
            lonely_psu=self.lonely_psu,
            lonely_psu_in_domain=self.lonely_psu_in_domain,
        )
        cross, square = 2.0 * d * sums["top_bottom"], np.square(d) * sums["bottom_bottom"]
        about_zero = sums["top_top"] - cross + square
        about_mean = (
            about_zero - np.square(sums["top"] - d * sums["bottom"]) / self.stage.sampled[self.stratum][:, None]
        )
        squares = about_mean if uncentred is None else np.where(uncentred, about_zero, about_mean)
        size = sums["top_top"] + np.abs(cross) + square
        return self.by_domain @ (factor * np.maximum(squares, 0.0)), self.by_domain @ (factor * size)

    def _squares(self) -> tuple[FloatArray, FloatArray]:
        """Sum of w (y - mean)^2 by domain ``(D, K)``, of measures without denominators, and its terms' magnitude."""
        d = np.nan_to_num(self.ratio - self.about)
        whole, less = self.added["row_top_top"], np.square(d) * self.added["weight"]
        return np.maximum(whole - less, 0.0), whole + less

    def _finish(self, estimate: FloatArray, variance: FloatArray, scale: FloatArray) -> DomainEstimates:
        variance = np.where(np.isfinite(estimate), safe_divide(variance, np.square(scale)), np.nan)
        n, sum_weights = self.added["n"], self.added["weight"]
        acting = self.sums["acting"]
        deff = deff_replace = np.full(estimate.shape, np.nan)
        if "row_top_top" in self.sums:
            squares = safe_divide(self._squares()[0], np.square(scale))
            deff, deff_replace = design_effects(variance, squares=squares, n=n, sum_weights=sum_weights)
        return DomainEstimates(
            estimate=estimate,
            variance=variance,
            n=n,
            df=self.by_domain @ (acting - (acting > 0)),
            sum_weights=sum_weights,
            deff=deff,
            deff_replace=deff_replace,
            kish_deff=safe_divide(n * self.added["row_bottom_bottom"], np.square(self.added["bottom"])),
        )


def _enough(value: FloatArray, magnitude: FloatArray, size: FloatArray) -> BoolArray:
    return ROUNDING * magnitude <= np.maximum(TOLERANCE * value, np.square(NOISE * size))


def summarise(
    frame: pl.DataFrame,
    design: SurveyDesign,
    *,
    measures: Sequence[str],
    denominators: Mapping[str, str] | None = None,
    domain: IntArray,
    n_domains: int,
    totals: bool = False,
    with_design_effects: bool = False,
) -> Moments | Cells:
    """The rows added up for estimates by domain: as moments where these serve, else as cells.

    Moments serve a design of one stage with uncalibrated weights in a file of many rows a stratum and domain, unless
    rounding would show; few cells are quicker where their rows are apart. See
    :func:`pipelines.stats.cells.reduce_to_cells` for arguments and errors.

    Args:
        totals: for totals, not for means.
    """
    few = design.n_strata * n_domains * ROWS_A_GROUP <= design.n_rows
    one_stage = len(design.stages) == 1 and not design.calibrated
    if few and one_stage and not _quicker_as_cells(design.stages[0], domain, n_domains):
        about = None
        for _ in range(2):
            moments = reduce_to_moments(
                frame,
                design,
                measures=measures,
                denominators=denominators,
                domain=domain,
                n_domains=n_domains,
                with_design_effects=with_design_effects,
                about=about,
            )
            if moments.precise(totals=totals):
                return moments
            about = np.nan_to_num(moments.ratio)
    return reduce_to_cells(
        frame,
        design,
        measures=measures,
        denominators=denominators,
        domain=domain,
        n_domains=n_domains,
        with_design_effects=with_design_effects,
    )


def _quicker_as_cells(stage: Stage, domain: IntArray, n_domains: int) -> bool:
    """Whether units' rows are apart and their cells few: rows are then added up sooner than read in another order."""
    runs, cells = _starts(stage.run_unit), n_domains * stage.n_units
    if len(runs) == stage.n_units or cells > ROWS_A_GROUP * len(domain):
        return False
    there = np.zeros(cells, dtype=np.bool_)
    there[domain * stage.n_units + stage.unit] = True  # -1 marks cells of the last domain: a few too many
    return bool(ROWS_A_GROUP * np.count_nonzero(there) <= len(domain))


def reduce_to_moments(
    frame: pl.DataFrame,
    design: SurveyDesign,
    *,
    measures: Sequence[str],
    denominators: Mapping[str, str] | None = None,
    domain: IntArray,
    n_domains: int,
    with_design_effects: bool = False,
    about: FloatArray | None = None,
) -> Moments:
    """Add the rows up by stratum and domain, a piece of the file at a time.

    Of the design only the first stage counts. A file in which a unit's rows are apart is read through an order of them.

    Args:
        frame: the n rows of the design, with the measures; null and NaN are missing, and dropped for that measure.
        measures: numeric or Boolean columns, K of them.
        denominators: the denominator of a measure that is a ratio; a row counts where both are present.
        domain: code 0..n_domains-1 of each row, -1 for none.
        with_design_effects: keep what design effects of means need; not with denominators.
        about: what is taken off each ratio ``(D, K)``; None: nothing.
    """
    denominators = denominators or {}
    stage = design.stages[0]
    run = _starts(stage.run_unit)
    unit, order = stage.run_unit[run], None
    start = run if stage.run_length is None else (np.cumsum(stage.run_length) - stage.run_length)[run]
    if len(unit) > stage.n_units:
        by_unit = summing(stage.unit, stage.n_units)
        unit, start, order = np.arange(stage.n_units), by_unit.indptr[:-1], by_unit.indices.astype(np.int64)
    bounds = np.unique(np.searchsorted(start, [*range(0, design.n_rows, PIECE), design.n_rows]))
    start = np.append(start, design.n_rows)
    # A file in the order of its units is turned into numbers a piece at a time, so that it is never copied.
    columns = {
        name: frame[name] if order is None else as_floats(frame[name])
        for name in dict.fromkeys((*measures, *denominators.values()))
    }

    def read(piece: tuple[int, int]) -> tuple[IntArray, FloatArray]:
        first, last = piece
        begin, end = int(start[first]), int(start[last])
        rows: slice | IntArray = slice(begin, end) if order is None else order[begin:end]
        units = start[first : last + 1] - begin
        stratum = stage.stratum[unit[first:last]]
        layout = _Layout.build(units, stratum, domain[rows], n_strata=stage.n_strata, n_domains=n_domains)
        weight = design.weight[rows]

        def numbers(name: str) -> FloatArray:
            column = columns[name]
            return as_floats(column[rows]) if isinstance(column, pl.Series) else column[rows]

        shared = _Shared.build(layout, weight)
        found = []
        for k, name in enumerate(measures):
            over = denominators.get(name)
            y, x = numbers(name), None if over is None else numbers(over)
            if about is not None and about[:, k].any():
                off = np.append(about[:, k], 0.0)[domain[rows]]  # -1 takes the last
                y = y - (off if x is None else off * x)
            found.append(_measure(layout, weight, shared, y, x, with_design_effects=with_design_effects))
        there = (layout.key >= stage.n_strata) & (shared.units > 0)  # the domain in front is outside
        return layout.key[there] - stage.n_strata, np.array(found)[:, :, there].transpose(2, 0, 1)

    parts = in_threads(read, list(pairwise(bounds.tolist())))
    known, code = distinct_codes(np.concatenate([key for key, _ in parts]))
    table = np.concatenate([sums for _, sums in parts])  # (groups of all pieces, K, S)
    flat = table.reshape(len(table), table.shape[1] * table.shape[2])
    added = (summing(code, len(known)) @ flat).reshape(len(known), *table.shape[1:])
    return Moments(
        stage=stage,
        lonely_psu=design.lonely_psu,
        lonely_psu_in_domain=design.lonely_psu_in_domain,
        measures=tuple(measures),
        n_domains=n_domains,
        stratum=known % stage.n_strata,
        domain=known // stage.n_strata,
        about=np.zeros((n_domains, len(measures))) if about is None else about,
        sums={name: added[:, :, position] for position, name in enumerate(SUMS[: added.shape[2]])},
    )


def _starts(codes: IntArray) -> IntArray:
    """First position of each run of equal codes."""
    return np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]])).astype(np.int64)


@dataclass(frozen=True, eq=False)
class _Layout:
    """Where the rows of a piece stand: m rows in runs of one unit and domain, in cells, in groups.

    Domains are counted from 1 here; 0 takes the rows outside. Groups are runs of cells of one key, which may come back;
    or one for each key, where there would be too many.
    """

    run: IntArray | None  # (E,) first row of each run; None: each row is a run
    length: FloatArray | None  # (E,)
    cell: IntArray | None  # (E,) cell of each run; None: each run is a cell
    n_cells: int
    start: IntArray | None  # (G,) first cell of each group
    group: IntArray | None  # (C,) group of each cell, where they are not runs
    key: IntArray  # (G,) domain x H + stratum, H strata

    @classmethod
    def build(cls, units: IntArray, stratum: IntArray, domain: IntArray, *, n_strata: int, n_domains: int) -> "_Layout":
        """Lay out a piece: ``units`` are the first rows of its P units and the end, ``stratum`` is theirs ``(P,)``."""
        n_units, m = len(stratum), int(units[-1])
        change = np.empty(m, dtype=np.bool_)
        np.not_equal(domain[1:], domain[:-1], out=change[1:])
        change[units[:-1]] = True
        run: IntArray | None = None
        length = None
        count = np.diff(units)
        if 2 * np.count_nonzero(change) <= m:
            run = np.flatnonzero(change).astype(np.int64)
            length = np.diff(run, append=m).astype(np.float64)
            count = np.diff(np.searchsorted(run, units))
            domain = domain[run]
        cell, n_cells = None, n_units
        if len(domain) == n_units:
            key = (domain + 1) * n_strata + stratum
        else:
            # Units in the order of their strata.
            by_stratum = np.argsort(stratum, kind="stable")
            place = np.empty(n_units, dtype=np.int64)
            place[by_stratum] = np.arange(n_units)
            stratum = stratum[by_stratum]
            cell = domain + 1
            cell *= n_units
            cell += np.repeat(place, count)
            n_cells = (n_domains + 1) * n_units
            if n_cells <= 4 * len(domain):
                first = _starts(stratum)
                of_domain = np.arange(n_domains + 1)[:, None]
                start, key = of_domain * n_units + first, of_domain * n_strata + stratum[first]
                return cls(run, length, cell, n_cells, start.ravel(), None, key.ravel())
            known, cell = ranked_codes(cell, n_cells)
            n_cells = len(known)
            key = known // n_units * n_strata + stratum[known % n_units]
        start = _starts(key)
        if 2 * len(start) <= n_cells:
            return cls(run, length, cell, n_cells, start, None, key[start])
        known, group = ranked_codes(key, n_strata * (n_domains + 1))
        return cls(run, length, cell, n_cells, None, group, known)

    def cells(self, by_row: FloatArray | None) -> FloatArray:
        """Sum of a value of the rows ``(m,)``, or their number for None, in each cell ``(C,)``."""
        values = self.length
        if by_row is not None:
            values = by_row if self.run is None else np.add.reduceat(by_row, self.run)
        if self.cell is None:
            return np.ones(self.n_cells) if values is None else values
        if values is None:
            return np.bincount(self.cell, minlength=self.n_cells).astype(np.float64)
        return cast(FloatArray, np.bincount(self.cell, weights=values, minlength=self.n_cells))

    def groups(self, by_cell: FloatArray) -> FloatArray:
        """Sum of a value of the cells in each group ``(G,)``."""
        if self.start is not None:
            return cast(FloatArray, np.add.reduceat(by_cell, self.start))
        added = np.bincount(cast(IntArray, self.group), weights=by_cell, minlength=len(self.key))
        return cast(FloatArray, added)

    def units(self, by_cell: FloatArray) -> FloatArray:
        """Cells of a value above 0 in each group ``(G,)``."""
        return self.groups((by_cell > 0).astype(np.float64))


@dataclass(frozen=True, eq=False)
class _Shared:
    """What does not depend on y: sums by group ``(G,)`` that all means without missing values share."""

    n: FloatArray
    weight: FloatArray
    units: FloatArray
    acting: FloatArray
    bottom_cells: FloatArray  # (C,)
    bottom: FloatArray
    bottom_bottom: FloatArray
    row_bottom_bottom: FloatArray

    @classmethod
    def build(
        cls, layout: _Layout, weight: FloatArray, over: FloatArray | None = None, present: BoolArray | None = None
    ) -> "_Shared":
        """Of rows of a weight, 0 where they are not ``present``; ``over`` is w x, None for a mean."""
        rows = layout.cells(None if present is None else present.astype(np.float64))
        n, units = layout.groups(rows), layout.units(rows)
        acting, used = units, weight != 0
        if present is not None or not used.all():
            rows = layout.cells(used.astype(np.float64))
            n, acting = layout.groups(rows), layout.units(rows)
        cells = layout.cells(weight)
        total = bottom = layout.groups(cells)
        if over is not None and over is not weight:
            cells = layout.cells(over)
            bottom = layout.groups(cells)
        return cls(
            n=n,
            weight=total,
            units=units,
            acting=acting,
            bottom_cells=cells,
            bottom=bottom,
            bottom_bottom=layout.groups(np.square(cells)),
            row_bottom_bottom=layout.groups(layout.cells(np.square(weight if over is None else over))),
        )


def _measure(
    layout: _Layout,
    weight: FloatArray,
    shared: _Shared,
    y: FloatArray,
    x: FloatArray | None,
    *,
    with_design_effects: bool,
) -> list[FloatArray]:
    """The sums of one measure by group ``(G,)``, in the order of SUMS."""
    with np.errstate(invalid="ignore", over="ignore"):
        weighted = weight * y
        top = layout.cells(weighted)
        top_sum = layout.groups(top)
    if x is not None or not np.isfinite(top_sum).all():  # a value that is missing or infinite shows in the sum
        present = np.isfinite(y) if x is None else np.isfinite(y) & np.isfinite(x)
        y = np.where(present, y, 0.0)
        acting = np.where(present, weight, 0.0)
        over = acting if x is None else acting * np.where(present, x, 0.0)
        shared = _Shared.build(layout, acting, over, present)
        weighted = acting * y
        top = layout.cells(weighted)
        top_sum = layout.groups(top)
    return [
        shared.n,
        shared.weight,
        shared.units,
        shared.acting,
        top_sum,
        shared.bottom,
        layout.groups(np.square(top)),
        layout.groups(top * shared.bottom_cells),
        shared.bottom_bottom,
        shared.row_bottom_bottom,
        *([layout.groups(layout.cells(weighted * y))] if with_design_effects else []),
    ]
