"""The sampling design of a file: weights, strata, stages of units, finite populations.

Belongs here: what a variance needs to know about how the rows were drawn, checked once. Does not
belong here: reading the columns (design_sheet), the collapsing of sparse strata (collapse), any estimate
(linearization), any weight adjustment (nonresponse, calibration, weighting).

Stages. At the first stage primary sampling units (PSUs) are drawn within the strata, at each further stage
units within each unit of the stage before. All of it is one structure: a stage has units, and each unit is
in a stratum, which at a later stage is the parent unit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import polars as pl

from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.stats.arrays import (
    BoolArray,
    FloatArray,
    IntArray,
    as_floats,
    code_labels,
)
from pipelines.stats.design_sheet import DesignSheet, label_faults, mark_faults, number_faults, weight_faults
from pipelines.stats.residuals import Residualizer
from pipelines.stats.stages import Stage
from pipelines.stats.terms import unknown_name

LonelyPsu = Literal["fail", "adjust", "average", "certainty", "remove"]


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
            take_all: Boolean column (or 1 and 0), true on the rows of strata that are in the sample whole: N = n at the
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
            ViolationsError: columns and rules that there are not, with the nearest name; naming the rows: weight or N
                that is no number, weight missing, negative or not finite; label missing; N below n, missing, or varying
                within its stratum; counts and fractions mixed; a PSU in two strata.
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
        weights = None
        if weight is not None:
            violations += number_faults(frame[weight])
            if not violations:
                weights = as_floats(frame[weight])
                violations += weight_faults(frame[weight], weights, allow_negative=allow_negative_weights)
        for name in population:
            violations += number_faults(frame[name])
        if take_all is not None:
            violations += mark_faults(frame[take_all])
        labels = [name for name in (strata, *stages, take_all, wave) if name is not None]
        for name in (*labels, *([] if calibration_group is None else [calibration_group])):
            violations += label_faults(frame[name])
        if violations:
            raise ViolationsError("survey design", violations)

        sheet = DesignSheet.build(frame, [*labels, *population], whole=not stages)
        violations += sheet.code_units(strata, stages, nest=nest, wave=wave)
        violations += sheet.read_populations(population, take_all)
        if violations:
            raise ViolationsError("survey design", violations)
        if weights is None:
            weights, found = sheet.weights(population)
            if found:
                raise ViolationsError("survey design", found)
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
    unknown = [
        unknown_name("missing_column", "survey design", "a column", name, frame.columns)
        for name in dict.fromkeys(named)
        if name not in frame.columns
    ]
    if lonely_psu not in get_args(LonelyPsu):
        unknown.append(unknown_name("unknown_lonely_psu", "lonely_psu", "one of", lonely_psu, get_args(LonelyPsu)))
    if unknown:
        raise ViolationsError("survey design", unknown)
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
