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
from typing import Literal, cast, get_args

import numpy as np
import polars as pl

from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray, code_labels, dense_codes, nested_codes
from pipelines.stats.calibration import Residualizer

LonelyPsu = Literal["fail", "adjust", "average", "certainty", "remove"]

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
    """One stage of sampling: U units in S strata, which at a later stage are the units of the stage before."""

    unit: IntArray  # (n,) unit of each row, 0..U-1
    stratum: IntArray  # (U,) stratum of each unit, 0..S-1
    sampled: IntArray  # (S,) units drawn, of the full design
    population: FloatArray  # (S,) units there; inf where drawn with replacement or not given
    share: FloatArray  # (S,) n/N multiplied over the stages above: what the stage's variance counts

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
    stratum: IntArray  # (n,) codes into stratum_labels
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
        for name in (strata, *stages, take_all, wave, calibration_group):
            if name is not None:
                violations += _broken(frame[name].is_null().to_numpy(), "label_missing", name, "a label", "missing")
        if violations:
            raise ViolationsError("survey design", violations)

        n = frame.height
        if strata is None:
            stratum, labels = np.zeros(n, dtype=np.int64), ["all"]
        else:
            stratum, labels = dense_codes(frame[strata])
        first, psu_stratum, found = _primary_units(frame, stratum, stages, strata, nest=nest, wave=wave)
        violations += found
        units, parents = [first], [psu_stratum]
        for name in stages[1:]:
            unit, parent, _ = nested_codes(units[-1], code_labels(frame[name])[0])
            units.append(unit)
            parents.append(parent)

        above = [stratum, *units]
        sizes = [len(labels), *(len(parent) for parent in parents)]
        sampled = [
            np.bincount(parent, minlength=size).astype(np.int64) for parent, size in zip(parents, sizes, strict=False)
        ]
        fractions = _are_fractions(frame, population)
        violations += fractions[1]
        populations = []
        for level, name in enumerate(population):
            counts, found = _population(
                frame,
                name,
                above[level],
                sampled[level],
                as_fraction=fractions[0],
                take_all=take_all if level == 0 else None,
            )
            violations += found
            populations.append(counts)
        if take_all is not None:
            marked = frame[take_all].cast(pl.Boolean).to_numpy()
            whole = np.zeros(len(labels), dtype=np.bool_)
            whole[stratum] = marked
            violations += _broken(
                whole[stratum] != marked,
                "take_all_varies",
                take_all,
                "one value in each stratum",
                "another value than on other rows of the stratum",
            )
            if not populations:
                populations.append(np.full(len(labels), np.inf))
            violations += _broken(
                (whole & np.isfinite(populations[0]) & (populations[0] != sampled[0]))[stratum],
                "take_all_not_complete",
                take_all,
                "all units of a take-all stratum in the file",
                "a population other than the units in the file",
            )
            populations[0] = np.where(whole, sampled[0].astype(np.float64), populations[0])
        if violations:
            raise ViolationsError("survey design", violations)

        made = []
        share = np.ones(len(labels))
        for level in range(max(len(populations), 1)):
            there = populations[level] if populations else np.full(len(labels), np.inf)
            made.append(
                Stage(
                    unit=units[level],
                    stratum=parents[level],
                    sampled=sampled[level],
                    population=there,
                    share=share,
                )
            )
            share = (share * sampled[level] / there)[parents[level]]
        if weight is None:
            weights = np.ones(n)
            for level, stage in enumerate(made):
                weights *= (stage.population / stage.sampled)[above[level]]
            violations += _broken(
                ~np.isfinite(weights), "weight_not_finite", population[0], "a finite population", "inf, and no weight"
            )
            if violations:
                raise ViolationsError("survey design", violations)
        else:
            weights = frame[weight].cast(pl.Float64).to_numpy()
        design = cls(
            weight=weights,
            stratum=stratum,
            stratum_labels=tuple(labels),
            stages=tuple(made),
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
    weights = column.cast(pl.Float64).to_numpy()
    missing = column.is_null().to_numpy()
    found = _broken(~missing & ~np.isfinite(weights), "weight_not_finite", column.name, "a finite number", "NaN or inf")
    found += _broken(missing, "weight_missing", column.name, "a number", "missing")
    if not allow_negative:
        with np.errstate(invalid="ignore"):
            found += _broken(weights < 0, "weight_negative", column.name, "0 or more", "below 0")
    return found


def _primary_units(
    frame: pl.DataFrame,
    stratum: IntArray,
    stages: Sequence[str],
    strata: str | None,
    *,
    nest: bool,
    wave: str | None,
) -> tuple[IntArray, IntArray, list[Violation]]:
    """PSU of each row ``(n,)``, stratum of each PSU ``(P,)``, PSUs that stand in two strata."""
    if not stages:
        return np.arange(frame.height, dtype=np.int64), stratum, []
    label, known = code_labels(frame[stages[0]])
    if strata is None:
        return label, np.zeros(len(known), dtype=np.int64), []
    found: list[Violation] = []
    if not nest:
        unit, n_units = label, len(known)
        if wave is not None:
            unit, in_wave, _ = nested_codes(label, code_labels(frame[wave])[0])
            n_units = len(in_wave)
        of_unit = np.full(n_units, -1, dtype=np.int64)
        of_unit[unit] = stratum
        found = _broken(
            of_unit[unit] != stratum,
            "psu_in_two_strata",
            stages[0],
            "each primary sampling unit in one stratum" + ("" if wave is None else " within one wave"),
            "a unit that stands in another stratum too",
        )
        if wave is None:
            return label, of_unit, found
    psu, _, psu_stratum = nested_codes(label, stratum)
    return psu, psu_stratum, found


def _are_fractions(frame: pl.DataFrame, population: Sequence[str]) -> tuple[bool, list[Violation]]:
    """Whether the population columns are sampling fractions (R: no value above 1), and rows that mix the two."""
    if not population:
        return False, []
    columns = [frame[name].cast(pl.Float64) for name in population]
    largest = max(float(cast(float, column.fill_nan(None).max() or 0.0)) for column in columns)
    smallest = min(float(cast(float, column.fill_nan(None).min() or 0.0)) for column in columns)
    if largest <= 1 and smallest < 1:
        return True, []
    found: list[Violation] = []
    for name, column in zip(population, columns, strict=True):
        below = (column.fill_null(np.nan) < 1).to_numpy()
        found += _broken(below, "population_below_one", name, "counts, 1 or more, on every row", "a fraction")
    return False, found


def _population(
    frame: pl.DataFrame,
    name: str,
    above: IntArray,
    sampled: IntArray,
    *,
    as_fraction: bool,
    take_all: str | None,
) -> tuple[FloatArray, list[Violation]]:
    """Units in the population of each stratum of a stage ``(S,)``, with what is wrong."""
    value = frame[name].cast(pl.Float64).to_numpy()
    absent = frame[name].is_null().to_numpy() | np.isnan(value)
    known = ~absent if take_all is None else ~absent | frame[take_all].cast(pl.Boolean).fill_null(False).to_numpy()
    found = _broken(~known, "population_missing", name, "a count", "missing")
    per_stratum = np.full(len(sampled), np.inf)
    per_stratum[above[~absent]] = value[~absent]
    found += _broken(
        ~absent & (per_stratum[above] != value),
        "population_varies",
        name,
        "one population in each stratum (at later stages: in each parent unit)",
        "another one than on other rows of the stratum",
    )
    if as_fraction:
        found += _broken(~absent & (value <= 0), "fraction_not_positive", name, "a sampling fraction above 0", "0")
        per_stratum = sampled / np.where(per_stratum > 0, per_stratum, np.inf)
        per_stratum = np.where(per_stratum > 0, per_stratum, np.inf)
    found += _broken(
        ~absent & (sampled > per_stratum)[above],
        "sample_exceeds_population",
        name,
        "at least as many units in the population as in the sample of the stratum",
        "fewer",
    )
    return per_stratum, found


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


def _broken(rows: BoolArray, code: str, column: str, expected: str, got: str) -> list[Violation]:
    at = np.flatnonzero(rows)
    if len(at) == 0:
        return []
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
