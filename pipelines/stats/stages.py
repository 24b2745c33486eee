"""One stage of a design: its units, the strata in which they are drawn, and the finite populations.

Belongs here: what a variance needs of a stage. Does not belong here: reading it from a file (design_sheet).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np

from pipelines.stats.arrays import BoolArray, FloatArray, IntArray

# R's survey package treats a stratum as fully enumerated below this value of 1 - n/N.
FULLY_ENUMERATED = 1e-7


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
