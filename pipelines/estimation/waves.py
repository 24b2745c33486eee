"""Waves stacked in one file whose samples share units: what the shared units add to a variance.

Belongs here: which rows are of which wave, pairs of waves, units counted once. Does not belong here: the covariance of
two waves (stats.change), whether a specification asks for it (run).

Each wave has its own design (method.md 3), so V starts as the sum of the waves' variances, from a design with strata
and units taken apart by wave; to it comes twice the covariance of each pair of waves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import cast

import numpy as np
import polars as pl

from pipelines.stats.arrays import BoolArray, FloatArray, IntArray, code_labels, nested_codes
from pipelines.stats.design import SurveyDesign
from pipelines.stats.overlap import overlap_covariance
from pipelines.stats.residuals import Residualizer


@dataclass(frozen=True, eq=False)
class Waves:
    """The waves of a stacked file; made by :meth:`from_frame`. n rows, U units, W waves."""

    wave: IntArray  # (n,)
    unit: IntArray  # (n,) unit of each row, whatever its wave
    stratum: IntArray  # (U,)
    label: pl.Series  # (n,) of the unit
    designs: tuple[SurveyDesign, ...]  # (W,) of the rows of each wave
    calibration: Residualizer | None = None  # of the file's rows

    @classmethod
    def from_frame(
        cls, frame: pl.DataFrame, *, wave: str, strata: str | None, unit: str, designs: Sequence[SurveyDesign]
    ) -> "Waves":
        """From columns without missing values; a label that stands in two strata is a unit in each.

        Args:
            designs: of each wave, in the sorted order of the column.
        """
        waves, _ = code_labels(frame[wave])
        stratum = np.zeros(frame.height, dtype=np.int64) if strata is None else code_labels(frame[strata])[0]
        units, of_unit, _ = nested_codes(stratum, code_labels(frame[unit])[0])
        return cls(wave=waves, unit=units, stratum=of_unit, label=frame[unit], designs=tuple(designs))

    def spanning(self, domain: IntArray, n_domains: int) -> BoolArray:
        """Domains ``(D,)`` that hold rows of several waves; code 0..D-1 of each row ``(n,)``, -1 for none.

        A calibration of the file leaves residuals in rows of any wave: all domains count.
        """
        if self.calibration is not None:
            return np.ones(n_domains, dtype=np.bool_)
        kept = domain >= 0
        seen = np.zeros((n_domains, len(self.designs)), dtype=np.bool_)
        seen[domain[kept], self.wave[kept]] = True
        return cast(BoolArray, seen.sum(axis=1) > 1)

    def degrees_of_freedom(self, used: BoolArray) -> int:
        """Units, each counted once over the waves, minus strata among the rows used ``(n,)``."""
        units = np.unique(self.unit[used])
        return len(units) - len(np.unique(self.stratum[units]))

    def covariance(self, influence: FloatArray) -> FloatArray:
        """What the variances of the sums of weighted influences ``(n, K)`` gain by shared units ``(K,)``."""
        if self.calibration is not None:
            influence = self.calibration.residuals(influence)
        added = np.zeros(influence.shape[1])
        rows = [np.flatnonzero(self.wave == wave) for wave in range(len(self.designs))]
        for first, second in combinations(range(len(self.designs)), 2):
            added += 2.0 * overlap_covariance(
                self.designs[first],
                self.designs[second],
                units=(self.label.gather(rows[first]), self.label.gather(rows[second])),
                influence=(influence[rows[first]], influence[rows[second]]),
            )
        return added
