"""The design columns of a file, read: which rows are in which unit and stratum, and what is wrong with them.

Belongs here: the coding of labels, populations and weights, with violations that name the rows. Does not belong here:
what a design is (design, stages).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.errors import Violation
from pipelines.stats.arrays import (
    BoolArray,
    FloatArray,
    IntArray,
    code_labels,
    dense_codes,
    in_threads,
    nested_codes,
    pieces,
    run_starts,
)
from pipelines.stats.stages import Stage
from pipelines.stats.terms import whole_numbers

Scalar = TypeVar("Scalar", bound=np.generic)
# Strata or units of a fault, and values of each, that are written out
SHOWN = 5


@dataclass(eq=False)
class DesignSheet:
    """The design columns of a frame, read once for each run of rows that are equal in all of them.

    r runs. With ``whole``, for a design without unit labels, the runs are the rows' strata and the rows the units.
    """

    short: pl.DataFrame  # (r,) the first row of each run
    length: IntArray  # (r,)
    whole: bool
    labels: list[str]
    units: list[IntArray]  # a stage: unit of each run (r,)
    parents: list[IntArray]  # a stage: stratum of each unit (U,)
    populations: list[FloatArray]  # a stage: units in each stratum (S,)
    above: list[IntArray]  # strata, then units of each stage: what the units of a stage are drawn in (r,)
    named_by: list[tuple[str, ...]]  # the columns that name those

    @classmethod
    def build(cls, frame: pl.DataFrame, columns: Sequence[str], *, whole: bool) -> "DesignSheet":
        """The sheet of some columns, nothing of it coded yet."""
        n = frame.height
        columns = list(dict.fromkeys(columns))  # one may be the stratum and the wave
        start = run_starts([frame[name] for name in columns]) if columns else np.arange(1 if whole else n)
        return cls(
            short=frame.select(columns)[start] if columns else frame.select([])[:0],
            length=np.diff(start, append=n).astype(np.int64),
            whole=whole,
            labels=["all"],
            units=[],
            parents=[],
            populations=[],
            above=[],
            named_by=[],
        )

    def spread(self, by_run: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
        """A value of each run ``(r,)`` on its rows ``(n,)``."""
        return np.repeat(by_run, self.length)

    def broken(
        self, runs: BoolArray, code: str, column: str, expected: str, got: str | Callable[[BoolArray], str]
    ) -> list[Violation]:
        """A violation that names the rows of the runs ``(r,)`` marked, if there are any; ``got`` is told only then."""
        if not runs.any():
            return []
        told = got if isinstance(got, str) else got(runs)
        return broken_rows(pl.Series(self.spread(runs)), code, column, expected, told)

    def _values(self, runs: BoolArray, *, group: IntArray, by: Sequence[str], value: pl.Series) -> str:
        """The values that the groups of the runs marked have there: "stratum north: 40 (3 rows), 41 (1 row)"."""

        def told(of: IntArray) -> str:
            rows = pl.DataFrame({"value": whole_numbers(_known(value[of])), "rows": self.length[of]})
            counts = rows.group_by("value").agg(pl.col("rows").sum()).sort("rows", "value", descending=[True, False])
            shown = counts.head(SHOWN).select(pl.col("value").cast(pl.String).fill_null("missing"), "rows")
            parts = [f"{text} ({n} row{'s' if n > 1 else ''})" for text, n in shown.iter_rows()]
            return _first(parts, ", ", of=counts.height)

        return self._groups(runs, group, by, told)

    def _by_stratum(self, level: int, column: str) -> Callable[[BoolArray], str]:
        return partial(self._values, group=self.above[level], by=self.named_by[level], value=self.short[column])

    def _sizes(self, runs: BoolArray, *, level: int, there: FloatArray) -> str:
        """Sample and population of the strata of the runs marked: "stratum north: n = 4, N = 3"."""
        above, sampled = self.above[level], self.sampled(level)
        return self._groups(
            runs,
            above,
            self.named_by[level],
            lambda of: f"n = {sampled[above[of[0]]]}, N = {there[above[of[0]]]:.15g}",
        )

    def _groups(self, runs: BoolArray, group: IntArray, by: Sequence[str], told: Callable[[IntArray], str]) -> str:
        """The groups of the runs marked, each with what is told of these runs."""
        at = np.flatnonzero(runs)
        groups = np.unique(group[at])
        parts = []
        for each in groups[:SHOWN]:
            of = at[group[at] == each]
            labels = (f"{name} {whole_numbers(self.short[name][of[:1]]).item()}" for name in by)
            parts.append(f"{', '.join(labels) or 'all rows'}: {told(of)}")
        return _first(parts, "; ", of=len(groups))

    def code_units(self, strata: str | None, stages: Sequence[str], *, nest: bool, wave: str | None) -> list[Violation]:
        """Code the units of every stage; PSUs that stand in two strata are at fault."""
        stratum = np.zeros(len(self.length), dtype=np.int64)
        if strata is not None:
            stratum, self.labels = dense_codes(self.short[strata])
        self.above.append(stratum)
        outer = () if strata is None else (strata,)
        self.named_by = [(*outer, *stages[:level]) for level in range(len(stages) + 1)]
        if self.whole:
            self.parents.append(self.spread(stratum))
            return []
        label, known = code_labels(self.short[stages[0]])
        found: list[Violation] = []
        if strata is None:
            unit, parent = label, np.zeros(len(known), dtype=np.int64)
        else:
            if not nest:
                found = self._in_two_strata(label, stratum, strata, stages[0], wave)
            unit, _, parent = nested_codes(label, stratum)
        self.units.append(unit)
        self.parents.append(parent)
        for name in stages[1:]:
            unit, parent, _ = nested_codes(self.units[-1], code_labels(self.short[name])[0])
            self.units.append(unit)
            self.parents.append(parent)
        self.above += self.units
        return found

    def _in_two_strata(
        self, label: IntArray, stratum: IntArray, strata: str, column: str, wave: str | None
    ) -> list[Violation]:
        unit = label if wave is None else nested_codes(label, code_labels(self.short[wave])[0])[0]
        of_unit = np.zeros(int(unit.max()) + 1, dtype=np.int64)
        of_unit[unit] = stratum
        return self.broken(
            _whole_groups(of_unit[unit] != stratum, unit),
            "psu_in_two_strata",
            column,
            "each primary sampling unit in one stratum" + ("" if wave is None else " within one wave"),
            partial(
                self._values, group=unit, by=[column] if wave is None else [wave, column], value=self.short[strata]
            ),
        )

    def sampled(self, level: int) -> IntArray:
        """Units drawn in each stratum ``(S,)`` of a stage."""
        size = len(self.labels) if level == 0 else len(self.parents[level - 1])
        return np.bincount(self.parents[level], minlength=size).astype(np.int64)

    def read_populations(self, columns: Sequence[str], take_all: str | None) -> list[Violation]:
        """Read the populations, and those that take-all strata give; what is wrong with them."""
        fractions, found = self._are_fractions(columns)
        marked = None if take_all is None else self.short[take_all].cast(pl.Boolean).to_numpy()
        for level, name in enumerate(columns):
            counts, wrong = self._population(name, level, fractions=fractions, optional=marked if level == 0 else None)
            self.populations.append(counts)
            found += wrong
        if take_all is None or marked is None:
            return found
        if not self.populations:
            self.populations.append(np.full(len(self.labels), np.inf))
        stratum, sampled = self.above[0], self.sampled(0)
        whole = np.zeros(len(sampled), dtype=np.bool_)
        whole[stratum] = marked
        differs = whole[stratum] != marked
        found += self.broken(
            _whole_groups(differs, stratum),
            "take_all_varies",
            take_all,
            "one value in each stratum",
            self._by_stratum(0, take_all),
        )
        whole[stratum[differs]] = False  # which of its values holds is not known
        there = self.populations[0]
        found += self.broken(
            (whole & np.isfinite(there) & (there != sampled))[stratum],
            "take_all_not_complete",
            take_all,
            "all units of a take-all stratum in the file",
            partial(self._sizes, level=0, there=there),
        )
        self.populations[0] = np.where(whole, sampled.astype(np.float64), there)
        return found

    def _are_fractions(self, columns: Sequence[str]) -> tuple[bool, list[Violation]]:
        """Whether the populations are sampling fractions (R: no value above 1), and rows that mix the two."""
        if not columns:
            return False, []
        table = self.short.select(pl.col(list(dict.fromkeys(columns))).cast(pl.Float64).fill_nan(None))
        below = table.select(pl.any_horizontal(pl.all() < 1).fill_null(False)).to_series()
        if not table.select(pl.any_horizontal((pl.all() > 1).any())).item():
            return bool(below.any()), []
        found: list[Violation] = []
        for level, name in enumerate(columns):
            found += self.broken(
                (table[name] < 1).fill_null(False).to_numpy(),
                "population_below_one",
                name,
                "counts, 1 or more, on every row; or sampling fractions, not above 1, on every row",
                self._by_stratum(level, name),
            )
        return False, found

    def _population(
        self, name: str, level: int, *, fractions: bool, optional: BoolArray | None
    ) -> tuple[FloatArray, list[Violation]]:
        """Units in the population of each stratum of a stage ``(S,)``, with what is wrong."""
        above, sampled = self.above[level], self.sampled(level)
        value = self.short[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        absent = np.isnan(value)
        found = self.broken(
            absent if optional is None else absent & ~optional, "population_missing", name, "a count", "missing"
        )
        there = np.full(len(sampled), np.inf)
        there[above[~absent]] = value[~absent]
        differs = ~absent & (there[above] != value)
        found += self.broken(
            _whole_groups(differs, above),
            "population_varies",
            name,
            "one population in each stratum (at later stages: in each parent unit)",
            self._by_stratum(level, name),
        )
        there[above[differs]] = np.inf  # which of its values holds is not known
        if fractions:
            found += self.broken(
                value <= 0,
                "fraction_not_positive",
                name,
                "a count of 1 or more, or a sampling fraction above 0",
                self._by_stratum(level, name),
            )
            there = sampled / np.where(np.isfinite(there) & (there > 0), there, np.nan)
            there = np.where(np.isnan(there), np.inf, there)
        found += self.broken(
            ~absent & (sampled > there)[above],
            "sample_exceeds_population",
            name,
            "at least as many units in the population as in the sample of the stratum",
            partial(self._sizes, level=level, there=there),
        )
        return there, found

    def weights(self, columns: Sequence[str]) -> tuple[FloatArray, list[Violation]]:
        """The product of N/n over the stages ``(n,)``."""
        weights = np.ones(len(self.length))
        for level, there in enumerate(self.populations):
            weights *= (there / self.sampled(level))[self.above[level]]
        found = self.broken(
            ~np.isfinite(weights),
            "weight_not_finite",
            columns[0],
            "a finite population, where no weight is given",
            "inf",
        )
        return self.spread(weights), found

    def stages(self) -> tuple[Stage, ...]:
        """The first stage and those with a population."""
        made = []
        share = np.ones(len(self.labels))
        for level in range(max(len(self.populations), 1)):
            sampled, parent = self.sampled(level), self.parents[level]
            there = self.populations[level] if self.populations else np.full(len(sampled), np.inf)
            made.append(
                Stage(
                    run_unit=np.arange(len(parent), dtype=np.int64) if self.whole else self.units[level],
                    run_length=None if self.whole else self.length,
                    stratum=parent,
                    sampled=sampled,
                    population=there,
                    share=share,
                )
            )
            share = (share * sampled / there)[parent]
        return tuple(made)


def number_faults(column: pl.Series) -> list[Violation]:
    """The rows of a column of weights or populations that hold something other than a number."""
    if column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null):
        return []
    wrong = column.is_not_null()
    if column.dtype == pl.String:
        wrong &= column.cast(pl.Float64, strict=False).is_null()
    return broken_rows(wrong, "not_a_number", column.name, "numbers", _some(column, wrong))


def mark_faults(column: pl.Series) -> list[Violation]:
    """The rows of a column that hold no mark."""
    if column.dtype in (pl.Boolean, pl.Null):
        return []
    wrong = _known(column).is_not_null()
    if column.dtype.is_numeric():
        wrong &= (column != 0) & (column != 1)
    return broken_rows(wrong, "not_a_mark", column.name, "true and false, or 1 and 0", _some(column, wrong))


def label_faults(column: pl.Series) -> list[Violation]:
    """The rows of a column that have no label: null or NaN."""
    known = _known(column)
    if not known.null_count():
        return []
    return broken_rows(known.is_null(), "label_missing", column.name, "a label", "missing")


def _known(column: pl.Series) -> pl.Series:
    """The column with null for NaN."""
    return column.fill_nan(None) if column.dtype.is_float() else column


def _some(column: pl.Series, rows: pl.Series) -> str:
    held = column.filter(rows).unique(maintain_order=True)
    return ", ".join(repr(each) for each in held.head(3)) + (" …" if len(held) > 3 else "")


def weight_faults(column: pl.Series, weight: FloatArray, *, allow_negative: bool) -> list[Violation]:
    """What is wrong with a column of weights: missing, not finite, and below 0 unless that is allowed.

    Args:
        weight: the column as numbers, NaN where it is null.
    """

    def sound(piece: slice) -> bool:
        part = weight[piece]
        return bool(np.isfinite(part.sum()) and (allow_negative or part.min() >= 0))

    if all(in_threads(sound, pieces(len(weight)))):
        return []
    missing, numbers = column.is_null(), pl.Series(weight)
    found = broken_rows(
        ~numbers.is_finite() & ~missing, "weight_not_finite", column.name, "a finite number", "NaN or inf"
    )
    found += broken_rows(missing, "weight_missing", column.name, "a number", "missing")
    if not allow_negative:
        found += broken_rows(numbers < 0, "weight_negative", column.name, "0 or more", "below 0")
    return found


def broken_rows(rows: pl.Series, code: str, column: str, expected: str, got: str) -> list[Violation]:
    """A violation of a column that names the rows marked ``(n,)``, if there are any."""
    if not rows.any():
        return []
    at = np.flatnonzero(rows.to_numpy())
    return [
        Violation(
            code,
            where=f"column {column!r}",
            expected=expected,
            got=got,
            hint="mend or remove these rows before estimating",
            rows=tuple(int(row) + 1 for row in at),
        )
    ]


def _whole_groups(some: BoolArray, group: IntArray) -> BoolArray:
    """All runs ``(r,)`` of the groups of which some are marked."""
    return np.isin(group, group[some]) if some.any() else some


def _first(parts: Sequence[str], between: str, *, of: int) -> str:
    """The first of a number of parts, and how many more there are."""
    return between.join([*parts, f"and {of - len(parts)} more"] if of > len(parts) else parts)
