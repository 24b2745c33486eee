"""Waves stacked in one file whose samples share units: what the shared units add to a variance.

Belongs here: the covariance between waves of any statistics, given as influences. Does not belong here: the
pipeline's own waves, whose strata were merged and whose units moved (change).

Method (method.md 3): each wave has its own design, so V starts as the sum of the waves' variances; to it comes
for each pair of waves twice
C = sum_h (1 - n1 n2/(m N)) m/(m - 1) sum over the m common units of (t1 - t1bar)(t2 - t2bar),
t the totals of the weighted influences by primary unit. A unit is common to two waves where its label stands in the
same stratum in both; m below 2 adds 0. N is the larger of the two populations.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import cast

import numpy as np
import polars as pl

from pipelines.stats.arrays import BoolArray, FloatArray, IntArray, code_labels, nested_codes
from pipelines.stats.design import SurveyDesign
from pipelines.stats.linearization import summing


@dataclass(frozen=True, eq=False)
class SharedUnits:
    """Primary units over the waves of a stacked file; made by :meth:`from_frame`. n rows, U units, H strata."""

    wave: IntArray  # (n,)
    unit: IntArray  # (n,) unit of each row, whatever its wave
    stratum: IntArray  # (U,)

    @classmethod
    def from_frame(cls, frame: pl.DataFrame, *, wave: str, strata: str | None, unit: str) -> "SharedUnits":
        """From columns without missing values; a label that stands in two strata is a unit in each."""
        waves, _ = code_labels(frame[wave])
        stratum = np.zeros(frame.height, dtype=np.int64) if strata is None else code_labels(frame[strata])[0]
        units, of_unit, _ = nested_codes(stratum, code_labels(frame[unit])[0])
        return cls(wave=waves, unit=units, stratum=of_unit)

    def spanning(self, domain: IntArray, n_domains: int) -> BoolArray:
        """Domains ``(D,)`` that hold rows of several waves; code 0..D-1 of each row ``(n,)``, -1 for none."""
        kept = domain >= 0
        seen = np.zeros((n_domains, int(self.wave.max()) + 1), dtype=np.bool_)
        seen[domain[kept], self.wave[kept]] = True
        return cast(BoolArray, seen.sum(axis=1) > 1)

    def degrees_of_freedom(self, used: BoolArray) -> int:
        """Units, each counted once over the waves, minus strata among the rows used ``(n,)``."""
        units = np.unique(self.unit[used])
        return len(units) - len(np.unique(self.stratum[units]))

    def covariance(self, design: SurveyDesign, influence: FloatArray) -> FloatArray:
        """What to add ``(K, K)`` to the covariance of the sums of weighted influences ``(n, K)``.

        Args:
            design: the stacked file with strata and units taken apart by wave, so that n_h and N_h are a wave's.
        """
        n_strata, columns = int(self.stratum.max()) + 1, influence.shape[1]
        n_waves, n_units = int(self.wave.max()) + 1, len(self.stratum)
        totals = (summing(self.wave * n_units + self.unit, n_waves * n_units) @ influence).reshape(
            n_waves, n_units, columns
        )
        there = np.zeros((n_waves, n_units), dtype=np.bool_)
        there[self.wave, self.unit] = True
        counts = np.array([np.bincount(self.stratum[row], minlength=n_strata) for row in there], dtype=np.float64)
        population = np.zeros((n_waves, n_strata))
        population[self.wave, self.stratum[self.unit]] = design.stratum_population[design.stratum]
        added = np.zeros((columns, columns))
        for first, second in combinations(range(n_waves), 2):
            common = np.flatnonzero(there[first] & there[second])
            stratum = self.stratum[common]
            collect = summing(stratum, n_strata)
            m = np.bincount(stratum, minlength=n_strata).astype(np.float64)
            at_least_one = np.maximum(m, 1.0)
            sides = []
            for wave in (first, second):
                total = totals[wave, common]
                sides.append(total - ((collect @ total) / at_least_one[:, None])[stratum])
            bound = np.maximum(population[first], population[second])
            drawn = counts[first] * counts[second] / (at_least_one * np.where(bound > 0, bound, np.inf))
            factor = np.where(m >= 2, (1.0 - drawn) * m / np.maximum(m - 1.0, 1.0), 0.0)
            part = (sides[0] * factor[stratum][:, None]).T @ sides[1]
            added += part + part.T
        return added
