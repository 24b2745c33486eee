"""The sampling design of a file: weights, strata, stages of units, finite populations.

Belongs here: what a variance needs to know about how the rows were drawn, checked once. Does not
belong here: the collapsing of sparse strata (collapse), any estimate (linearization), any weight
adjustment (nonresponse, calibration, weighting).

Stages. At the first stage primary sampling units (PSUs) are drawn within the strata, at each further stage
units within each unit of the stage before. All of it is one structure: a stage has units, and each unit is
in a stratum, which at a later stage is the parent unit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeVar, cast, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.stats.arrays import (
    BoolArray,
    FloatArray,
    IntArray,
    code_labels,
    dense_codes,
    nested_codes,
    run_starts,
)
from pipelines.stats.residuals import Residualizer

LonelyPsu = Literal["fail", "adjust", "average", "certainty", "remove"]

Scalar = TypeVar("Scalar", bound=np.generic)

# R's survey package treats a stratum as fully enumerated below this value of 1 - n/N.
FULLY_ENUMERATED = 1e-7


class SingletonStratumError(AxstatError):
    """Strata of which one sampling unit is left, so that no variance can be had inside them."""

    def __init__(
        self,
        *,
        strata: Sequence[str],
        hint: str = "collapse them or set lonely_psu to 'adjust', 'average', 'certainty' or 'remove'",
    ) -> None:
        """Name the strata (labels) and say what to do."""
        self.strata = tuple(strata)
        shown = ", ".join(self.strata[:20]) + (" …" if len(self.strata) > 20 else "")
        super().__init__(
            "singleton_stratum",
            where=f"strata {shown}",
            expected="at least two sampling units in each stratum (at later stages: in each parent unit) that is not "
            "fully enumerated",
            got=f"{len(self.strata)} stratum/strata with one",
            hint=hint,
        )


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage of sampling: U units in S strata, which at a later stage are the units of the stage before.

    The units of the n rows are held by runs of rows, so that a long file in the order of its units needs no codes of
    its length unless they are asked for.
    """

    run_unit: IntArray  # (r,) unit of each run, 0..U-1; two runs next to each other may be of one unit
    run_length: IntArray | None  # (r,) rows of each; None: one
    stratum: IntArray  # (U,) stratum of each unit, 0..S-1
    sampled: IntArray  # (S,) units drawn, of the full design
    population: FloatArray  # (S,) units there; inf where drawn with replacement or not given
    share: FloatArray  # (S,) n/N multiplied over the stages above: what the stage's variance counts

    @cached_property
    def unit(self) -> IntArray:
        """Unit ``(n,)`` of each row, 0..U-1."""
        return self.run_unit if self.run_length is None else np.repeat(self.run_unit, self.run_length)

    @property
    def n_units(self) -> int:
        """Units of the full design."""
        return len(self.stratum)

    @property
    def n_strata(self) -> int:
        """Strata of the full design."""
        return len(self.sampled)

    @property
    def unsampled_share(self) -> FloatArray:
        """1 - n/N by stratum ``(S,)``; exactly 0 where the stratum is fully enumerated."""
        share = 1.0 - self.sampled / self.population
        return cast(FloatArray, np.where(share < FULLY_ENUMERATED, 0.0, share))

    @property
    def lonely(self) -> BoolArray:
        """Strata ``(S,)`` with one unit that are not fully enumerated."""
        return cast(BoolArray, (self.sampled == 1) & (self.unsampled_share > 0))

    @property
    def several(self) -> FloatArray:
        """n/(n - 1) by stratum ``(S,)``, 1 where n = 1."""
        n = self.sampled.astype(np.float64)
        return cast(FloatArray, np.where(n > 1, n / np.maximum(n - 1.0, 1.0), 1.0))

    @property
    def variance_factor(self) -> FloatArray:
        """(1 - n/N) n/(n - 1) by stratum ``(S,)``, 1 - n/N where n = 1, times the share of the stages above."""
        return self.share * self.unsampled_share * self.several


@dataclass(frozen=True, eq=False)
class SurveyDesign:
    """A stratified design of one or more stages, as the estimators read it. Made by :meth:`from_frame`.

    n rows. ``stages`` holds the first stage and those further ones whose populations are known: only these add
    to a variance. ``calibration`` gives the residuals of calibrated weights; ``calibration_group`` is the
    short form for post-stratified ones, the post-stratum of each row. The weights then are the final ones.
    """

    weight: FloatArray  # (n,)
    stratum_labels: tuple[str, ...]
    stages: tuple[Stage, ...]
    lonely_psu: LonelyPsu
    lonely_psu_in_domain: bool
    calibration: Residualizer | None
    calibration_group: IntArray | None  # (n,)

    @classmethod
    def from_frame(
        cls,
        frame: pl.DataFrame,
        *,
        weight: str | None,
        strata: str | None = None,
        stages: Sequence[str] = (),
        population: Sequence[str] = (),
        take_all: str | None = None,
        nest: bool = False,
        wave: str | None = None,
        lonely_psu: LonelyPsu = "fail",
        lonely_psu_in_domain: bool = False,
        calibration: Residualizer | None = None,
        calibration_group: str | None = None,
        allow_negative_weights: bool = False,
    ) -> "SurveyDesign":
        """Read a design from the columns named.

        Args:
            frame: one row per sampled row (all of the design: a domain never filters it).
            weight: final weights, finite and not negative; rows of weight 0 stay in the design. None: the
                product of N/n over the stages, which needs a population for every stage (R's
                ``svydesign(fpc=)`` without weights).
            strata: stratum labels; None is one stratum.
            stages: one label column a stage, from the primary units down; none makes each row one PSU. Labels of
                later stages are read within their parent unit.
            population: R's fpc, one column a stage: the units in the population of the stratum (at later
                stages: of the parent), repeated on its rows; or, where no value is above 1, sampling
                fractions. inf is sampling with replacement. Stages without a column add no variance.
            take_all: Boolean column, true on the rows of strata that are in the sample whole: N = n at the
                first stage, where the population may be null.
            nest: PSU labels are read within the stratum (R's ``nest=TRUE``), so one label may stand in several.
            wave: column of a stacked file; a PSU may change its stratum from wave to wave, and is then one unit
                in each.
            lonely_psu: what to do with a stratum of one unit that is not fully enumerated, in R's meaning:
                'fail' raises; 'certainty' and 'remove' add nothing; 'adjust' takes the deviation from 0 for
                that from the mean; 'average' takes the mean of the other strata of the stage.
            lonely_psu_in_domain: apply 'adjust' and 'average' also to strata of which one unit of several is in
                the domain (R's ``survey.adjust.domain.lonely``).
            calibration: residuals of calibrated weights, over the rows of this frame.
            calibration_group: post-stratum of each row if the weights are post-stratified.
            allow_negative_weights: keep weights below 0, which linear calibration may give.

        Raises:
            ViolationsError: naming the rows: weight missing, negative or not finite; label missing; N below n,
                missing, or varying within its stratum; counts and fractions mixed; a PSU in two strata.
            SingletonStratumError: strata of one unit (N above 1) under 'fail', at any stage.
        """
        _check_arguments(
            frame,
            [name for name in (weight, strata, *stages, *population, take_all, wave, calibration_group) if name],
            lonely_psu=lonely_psu,
            weighted=weight is not None,
            n_stages=max(len(stages), 1),
            n_populations=len(population),
            calibrated_twice=calibration is not None and calibration_group is not None,
        )
        violations: list[Violation] = []
        if weight is not None:
            violations += _check_weights(frame[weight], allow_negative=allow_negative_weights)
        labels = [name for name in (strata, *stages, take_all, wave) if name is not None]
        for name in (*labels, *([] if calibration_group is None else [calibration_group])):
            if frame[name].null_count():
                violations += _broken(frame[name].is_null(), "label_missing", name, "a label", "missing")
        if violations:
            raise ViolationsError("survey design", violations)

        sheet = _Sheet.build(frame, [*labels, *population], whole=not stages)
        violations += sheet.code_units(strata, stages, nest=nest, wave=wave)
        violations += sheet.read_populations(population, take_all)
        if violations:
            raise ViolationsError("survey design", violations)
        if weight is None:
            weights, found = sheet.weights(population)
            if found:
                raise ViolationsError("survey design", found)
        else:
            weights = frame[weight].cast(pl.Float64).to_numpy()
        design = cls(
            weight=weights,
            stratum_labels=tuple(sheet.labels),
            stages=sheet.stages(),
            lonely_psu=lonely_psu,
            lonely_psu_in_domain=lonely_psu_in_domain,
            calibration=calibration,
            calibration_group=None if calibration_group is None else code_labels(frame[calibration_group])[0],
        )
        if lonely_psu == "fail":
            _refuse_lonely(design, frame, stages)
        return design

    @property
    def n_rows(self) -> int:
        """Rows of the full design."""
        return len(self.weight)

    @property
    def stratum(self) -> IntArray:
        """Stratum ``(n,)`` of each row, codes into ``stratum_labels``."""
        return self.stages[0].stratum[self.stages[0].unit]

    @property
    def psu(self) -> IntArray:
        """Primary sampling unit ``(n,)`` of each row, in the sorted order of the labels."""
        return self.stages[0].unit

    @property
    def psu_stratum(self) -> IntArray:
        """Stratum ``(P,)`` of each PSU."""
        return self.stages[0].stratum

    @property
    def stratum_psus(self) -> IntArray:
        """n_h ``(H,)``: PSUs of the full design in each stratum."""
        return self.stages[0].sampled

    @property
    def stratum_population(self) -> FloatArray:
        """N_h ``(H,)`` in PSUs; inf where sampled with replacement or not given."""
        return self.stages[0].population

    @property
    def unsampled_share(self) -> FloatArray:
        """1 - n_h/N_h ``(H,)`` of the first stage."""
        return self.stages[0].unsampled_share

    @property
    def lonely(self) -> BoolArray:
        """Strata ``(H,)`` with one PSU that are not fully enumerated."""
        return self.stages[0].lonely

    @property
    def n_psus(self) -> int:
        """Primary sampling units of the full design."""
        return self.stages[0].n_units

    @property
    def n_strata(self) -> int:
        """Strata of the full design."""
        return self.stages[0].n_strata

    @property
    def negative_rows(self) -> tuple[int, ...]:
        """1-based rows with a weight below 0, where they were allowed."""
        return tuple(int(row) + 1 for row in np.flatnonzero(self.weight < 0))

    @property
    def calibrated(self) -> bool:
        """Whether the weights are calibrated, so that rows outside a domain stay in it with weight 0."""
        return self.calibration is not None or self.calibration_group is not None


def _check_arguments(
    frame: pl.DataFrame,
    named: Sequence[str],
    *,
    lonely_psu: str,
    weighted: bool,
    n_stages: int,
    n_populations: int,
    calibrated_twice: bool,
) -> None:
    if lonely_psu not in get_args(LonelyPsu):
        raise AxstatError(
            "unknown_lonely_psu",
            where="lonely_psu",
            expected=", ".join(get_args(LonelyPsu)),
            got=str(lonely_psu),
            hint="choose one of the rules named",
        )
    absent = [name for name in named if name not in frame.columns]
    if absent:
        raise AxstatError(
            "missing_column",
            where="survey design",
            expected=f"columns {', '.join(named)}",
            got=f"no {', '.join(absent)}",
            hint="name columns that the frame has",
        )
    if n_populations > n_stages:
        raise AxstatError(
            "too_many_populations",
            where="survey design",
            expected=f"at most one population column a stage ({n_stages})",
            got=f"{n_populations}",
            hint="name the units of every stage, or leave the further populations out",
        )
    if not weighted and n_populations < n_stages:
        raise AxstatError(
            "no_weight",
            where="survey design",
            expected="a weight column, or a population column for every stage to make the weights from",
            got=f"no weight and {n_populations} population column(s) for {n_stages} stage(s)",
            hint="name the weight column",
        )
    if calibrated_twice:
        raise AxstatError(
            "calibrated_twice",
            where="survey design",
            expected="calibration or calibration_group",
            got="both",
            hint="give the residuals of the last calibration only",
        )
    if frame.height == 0:
        raise AxstatError(
            "empty_design",
            where="survey design",
            expected="at least one row",
            got="none",
            hint="check that the wave has responding units",
        )


def _check_weights(column: pl.Series, *, allow_negative: bool) -> list[Violation]:
    numbers = column.cast(pl.Float64)
    low, total = numbers.to_frame().select(pl.all().min().alias("low"), pl.all().sum().alias("total")).row(0)
    if not numbers.null_count() and np.isfinite(cast(float, total)) and (allow_negative or cast(float, low) >= 0):
        return []
    missing, numbers = numbers.is_null(), numbers.fill_null(0.0)
    found = _broken(~numbers.is_finite(), "weight_not_finite", column.name, "a finite number", "NaN or inf")
    found += _broken(missing, "weight_missing", column.name, "a number", "missing")
    if not allow_negative:
        found += _broken(numbers < 0, "weight_negative", column.name, "0 or more", "below 0")
    return found


@dataclass(eq=False)
class _Sheet:
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

    @classmethod
    def build(cls, frame: pl.DataFrame, columns: Sequence[str], *, whole: bool) -> "_Sheet":
        n = frame.height
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
        )

    def spread(self, by_run: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
        """A value of each run ``(r,)`` on its rows ``(n,)``."""
        return np.repeat(by_run, self.length)

    def broken(self, runs: BoolArray, code: str, column: str, expected: str, got: str) -> list[Violation]:
        return _broken(pl.Series(self.spread(runs)), code, column, expected, got) if runs.any() else []

    def code_units(self, strata: str | None, stages: Sequence[str], *, nest: bool, wave: str | None) -> list[Violation]:
        """Code the units of every stage; PSUs that stand in two strata are at fault."""
        stratum = np.zeros(len(self.length), dtype=np.int64)
        if strata is not None:
            stratum, self.labels = dense_codes(self.short[strata])
        self.above.append(stratum)
        if self.whole:
            self.parents.append(self.spread(stratum))
            return []
        label, known = code_labels(self.short[stages[0]])
        found: list[Violation] = []
        if strata is None:
            unit, parent = label, np.zeros(len(known), dtype=np.int64)
        else:
            if not nest:
                found = self._in_two_strata(label, stratum, stages[0], wave)
            unit, _, parent = nested_codes(label, stratum)
        self.units.append(unit)
        self.parents.append(parent)
        for name in stages[1:]:
            unit, parent, _ = nested_codes(self.units[-1], code_labels(self.short[name])[0])
            self.units.append(unit)
            self.parents.append(parent)
        self.above += self.units
        return found

    def _in_two_strata(self, label: IntArray, stratum: IntArray, column: str, wave: str | None) -> list[Violation]:
        unit = label if wave is None else nested_codes(label, code_labels(self.short[wave])[0])[0]
        of_unit = np.zeros(int(unit.max()) + 1, dtype=np.int64)
        of_unit[unit] = stratum
        return self.broken(
            of_unit[unit] != stratum,
            "psu_in_two_strata",
            column,
            "each primary sampling unit in one stratum" + ("" if wave is None else " within one wave"),
            "a unit that stands in another stratum too",
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
        found += self.broken(
            whole[stratum] != marked,
            "take_all_varies",
            take_all,
            "one value in each stratum",
            "another value than on other rows of the stratum",
        )
        there = self.populations[0]
        found += self.broken(
            (whole & np.isfinite(there) & (there != sampled))[stratum],
            "take_all_not_complete",
            take_all,
            "all units of a take-all stratum in the file",
            "a population other than the units in the file",
        )
        self.populations[0] = np.where(whole, sampled.astype(np.float64), there)
        return found

    def _are_fractions(self, columns: Sequence[str]) -> tuple[bool, list[Violation]]:
        """Whether the populations are sampling fractions (R: no value above 1), and rows that mix the two."""
        if not columns:
            return False, []
        table = self.short.select(pl.col(columns).cast(pl.Float64).fill_nan(None))
        below = table.select(pl.any_horizontal(pl.all() < 1).fill_null(False)).to_series()
        if not table.select(pl.any_horizontal((pl.all() > 1).any())).item():
            return bool(below.any()), []
        found: list[Violation] = []
        for name in columns:
            found += self.broken(
                (table[name] < 1).fill_null(False).to_numpy(),
                "population_below_one",
                name,
                "counts, 1 or more, on every row",
                "a fraction",
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
        found += self.broken(
            ~absent & (there[above] != value),
            "population_varies",
            name,
            "one population in each stratum (at later stages: in each parent unit)",
            "another one than on other rows of the stratum",
        )
        if fractions:
            found += self.broken(value <= 0, "fraction_not_positive", name, "a sampling fraction above 0", "0 or less")
            there = sampled / np.where(np.isfinite(there) & (there > 0), there, np.nan)
            there = np.where(np.isnan(there), np.inf, there)
        found += self.broken(
            ~absent & (sampled > there)[above],
            "sample_exceeds_population",
            name,
            "at least as many units in the population as in the sample of the stratum",
            "fewer",
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


def _refuse_lonely(design: SurveyDesign, frame: pl.DataFrame, stages: Sequence[str]) -> None:
    names: list[str] = []
    for level, stage in enumerate(design.stages):
        for code in np.flatnonzero(stage.lonely):
            if level == 0:
                names.append(design.stratum_labels[code])
            else:
                row = int(np.argmax(design.stages[level - 1].unit == code))
                names.append("/".join(str(frame[name][row]) for name in stages[:level]))
    if names:
        raise SingletonStratumError(strata=names)


def _broken(rows: pl.Series, code: str, column: str, expected: str, got: str) -> list[Violation]:
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
