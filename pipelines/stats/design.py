"""The sampling design of a file: weights, strata, primary sampling units, finite populations.

Belongs here: what a variance needs to know about how the rows were drawn, checked once. Does not
belong here: the collapsing of sparse strata (collapse), any estimate (linearization), any weight
adjustment (nonresponse, calibration, weighting).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
import polars as pl

from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray, dense_codes

LonelyPsu = Literal["fail", "adjust", "average", "certainty", "remove"]

# R's survey package treats a stratum as fully enumerated below this value of 1 - n/N.
FULLY_ENUMERATED = 1e-7


class SingletonStratumError(AxstatError):
    """Strata of which one primary sampling unit is left, so that no variance can be had inside them."""

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
            expected="at least two primary sampling units in each stratum that is not fully enumerated",
            got=f"{len(self.strata)} stratum/strata with one",
            hint=hint,
        )


@dataclass(frozen=True, eq=False)
class SurveyDesign:
    """A one-stage stratified design, as the estimators read it. Made by :meth:`from_frame`.

    Shapes: n rows, P primary sampling units (PSUs), H strata. ``calibration_group`` holds, for
    post-stratified weights, the post-stratum of each row; the weights then are the final ones.
    """

    weight: FloatArray  # (n,)
    stratum: IntArray  # (n,) codes into stratum_labels
    psu: IntArray  # (n,) codes 0..P-1, in the sorted order of the ids as text
    stratum_labels: tuple[str, ...]  # (H,)
    psu_stratum: IntArray  # (P,)
    stratum_psus: IntArray  # (H,) n_h of the full design
    stratum_population: FloatArray  # (H,) N_h in PSUs; inf where sampled with replacement or not given
    lonely_psu: LonelyPsu
    calibration_group: IntArray | None  # (n,)

    @classmethod
    def from_frame(
        cls,
        frame: pl.DataFrame,
        *,
        weight: str,
        strata: str | None = None,
        psu: str | None = None,
        population: str | None = None,
        calibration_group: str | None = None,
        lonely_psu: LonelyPsu = "fail",
    ) -> "SurveyDesign":
        """Read a design from the columns named.

        Args:
            frame: one row per sampled row (all of the design: a domain never filters it).
            weight: final weights, finite and not negative.
            strata: stratum labels; None is one stratum.
            psu: labels of the primary sampling units; None makes each row one.
            population: N_h, the PSUs of the stratum in the population, repeated on its rows.
            calibration_group: post-stratum of each row if the weights are post-stratified.
            lonely_psu: what to do with a stratum of one PSU, in R's meaning. 'fail' raises.

        Raises:
            ViolationsError: naming the rows: weight missing, negative or not finite; label missing; N
                below n, missing, or varying within its stratum; a PSU in two strata.
            SingletonStratumError: strata of one PSU (N above 1) under 'fail'.
        """
        if lonely_psu not in get_args(LonelyPsu):
            raise AxstatError(
                "unknown_lonely_psu",
                where="lonely_psu",
                expected=", ".join(get_args(LonelyPsu)),
                got=str(lonely_psu),
                hint="choose one of the rules named",
            )
        named = [name for name in (weight, strata, psu, population, calibration_group) if name is not None]
        absent = [name for name in named if name not in frame.columns]
        if absent:
            raise AxstatError(
                "missing_column",
                where="survey design",
                expected=f"columns {', '.join(named)}",
                got=f"no {', '.join(absent)}",
                hint="name columns that the frame has",
            )
        if frame.height == 0:
            raise AxstatError(
                "empty_design",
                where="survey design",
                expected="at least one row",
                got="none",
                hint="check that the wave has responding units",
            )
        violations: list[Violation] = []
        weights = frame[weight].cast(pl.Float64).to_numpy()
        missing = frame[weight].is_null().to_numpy()
        violations += _broken(
            ~missing & ~np.isfinite(weights), "weight_not_finite", weight, "a finite number", "NaN or inf"
        )
        violations += _broken(missing, "weight_missing", weight, "a number", "missing")
        with np.errstate(invalid="ignore"):
            violations += _broken(weights < 0, "weight_negative", weight, "0 or more", "below 0")
        for name in (strata, psu, calibration_group):
            if name is not None:
                violations += _broken(frame[name].is_null().to_numpy(), "label_missing", name, "a label", "missing")
        if violations:
            raise ViolationsError("survey design", violations)

        n = frame.height
        if strata is None:
            stratum, labels = np.zeros(n, dtype=np.int64), ["all"]
        else:
            stratum, labels = dense_codes(frame[strata])
        if psu is None:
            unit, n_psu = np.arange(n, dtype=np.int64), n
        else:
            unit, names = dense_codes(frame[psu])
            n_psu = len(names)
        psu_stratum = np.full(n_psu, -1, dtype=np.int64)
        psu_stratum[unit] = stratum
        violations += _broken(
            psu_stratum[unit] != stratum,
            "psu_in_two_strata",
            psu or "row",
            "each primary sampling unit in one stratum",
            "a unit that stands in another stratum too",
        )
        stratum_psus = np.bincount(psu_stratum, minlength=len(labels)).astype(np.int64)
        stratum_population = np.full(len(labels), np.inf)
        if population is not None:
            counts = frame[population].cast(pl.Float64).to_numpy()
            absent_count = frame[population].is_null().to_numpy() | np.isnan(counts)
            violations += _broken(absent_count, "population_missing", population, "a count", "missing")
            stratum_population[stratum] = counts
            violations += _broken(
                ~absent_count & (stratum_population[stratum] != counts),
                "population_varies",
                population,
                "one population count in each stratum",
                "another count than on other rows of the stratum",
            )
            with np.errstate(invalid="ignore"):
                violations += _broken(
                    stratum_psus[stratum] > stratum_population[stratum],
                    "sample_exceeds_population",
                    population,
                    "at least as many units in the population as in the sample of the stratum",
                    "fewer",
                )
        if violations:
            raise ViolationsError("survey design", violations)
        group = None if calibration_group is None else dense_codes(frame[calibration_group])[0]
        design = cls(
            weight=weights.astype(np.float64),
            stratum=stratum,
            psu=unit,
            stratum_labels=tuple(labels),
            psu_stratum=psu_stratum,
            stratum_psus=stratum_psus,
            stratum_population=stratum_population,
            lonely_psu=lonely_psu,
            calibration_group=group,
        )
        if lonely_psu == "fail" and design.lonely.any():
            raise SingletonStratumError(strata=[labels[code] for code in np.flatnonzero(design.lonely)])
        return design

    @property
    def n_rows(self) -> int:
        """Rows of the full design."""
        return len(self.weight)

    @property
    def n_psus(self) -> int:
        """Primary sampling units of the full design."""
        return len(self.psu_stratum)

    @property
    def n_strata(self) -> int:
        """Strata of the full design."""
        return len(self.stratum_psus)

    @property
    def unsampled_share(self) -> FloatArray:
        """1 - n_h/N_h by stratum ``(H,)``; exactly 0 where the stratum is fully enumerated."""
        share = 1.0 - self.stratum_psus / self.stratum_population
        return cast(FloatArray, np.where(share < FULLY_ENUMERATED, 0.0, share))

    @property
    def lonely(self) -> BoolArray:
        """Strata ``(H,)`` with one PSU that are not fully enumerated."""
        return cast(BoolArray, (self.stratum_psus == 1) & (self.unsampled_share > 0))

    @property
    def variance_factor(self) -> FloatArray:
        """(1 - f_h) n_h/(n_h - 1) by stratum ``(H,)``; for a lonely one 1 - f_h under 'adjust', else 0."""
        n = self.stratum_psus.astype(np.float64)
        several = self.unsampled_share * n / np.maximum(n - 1.0, 1.0)
        single = self.unsampled_share if self.lonely_psu == "adjust" else np.zeros(self.n_strata)
        return cast(FloatArray, np.where(n > 1, several, single))


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
