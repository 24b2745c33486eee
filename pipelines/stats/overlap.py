"""The covariance of two waves' estimates through the units that their samples share.

Belongs here: C for rates of two waves, and for any estimates of two waves of a file. Does not belong here: the
estimates, what may be compared with what, the table of changes (change).

Method (method.md 3): over the strata h of SELECTION (a panel unit keeps its stratum although its size class or industry
may change), C = sum_h (1 - n1 n2/(m N)) m/(m - 1) sum over the m common units of (z1 - z1bar)(z2 - z2bar), z the
linearised scores of each wave, residuals where the weights are calibrated. Where the waves merged strata differently, h
is the coarsest merging that both fit into. m < 2 adds 0. The frame changes between waves: N is the larger of the two
counts, exact where the smaller frame is part of the larger one. Item non-response (decision 0005): n1 n2/(m N) is
multiplied by r1 r2/r, the shares of the domain's units that answered in each wave, and of its common units that
answered in both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import polars as pl
from scipy import sparse
from scipy.sparse import csgraph

from pipelines.stats.arrays import BoolArray, FloatArray, IntArray, codes_in, distinct_codes, summing
from pipelines.stats.design import SurveyDesign
from pipelines.stats.draw_id import DRAW_ID
from pipelines.stats.rates import RateScores
from pipelines.stats.survey_wave import Wave
from pipelines.stats.variance import DomainLayout


def overlap_covariance(
    before: SurveyDesign,
    after: SurveyDesign,
    units: tuple[pl.Series, pl.Series],
    influence: tuple[FloatArray, FloatArray],
) -> FloatArray:
    """C ``(K,)`` of two estimates of two waves of any file, by the formula of this module.

    The variance of the difference is V1 + V2 - 2 C, V1 and V2 each from the design of its wave
    (:func:`pipelines.stats.variance.variance`). Of designs of several stages the first one is shared.

    Args:
        before, after: the designs of the two waves, each of its own rows; one stratum label is one stratum of both.
        units: label of the primary unit of each row, ``(n1,)`` and ``(n2,)``. A unit is common where label and stratum
            agree.
        influence: weighted influences ``(n1, K)`` and ``(n2, K)``, 0 outside the domain.
    """
    sides = [
        pl.DataFrame(
            {
                "psu": design.psu,
                "unit": label.cast(pl.String),
                "stratum": np.array(design.stratum_labels)[design.stratum],
            }
        ).unique("psu")
        for design, label in zip((before, after), units, strict=True)
    ]
    common = sides[0].join(sides[1], on=["unit", "stratum"], suffix="_after").sort("stratum", "unit")
    if common.height == 0:
        return np.zeros(influence[0].shape[1])
    labels = common["stratum"].unique(maintain_order=True)
    stratum = codes_in(common["stratum"], labels)
    m = np.bincount(stratum, minlength=len(labels)).astype(np.float64)
    to_strata = summing(stratum, len(labels))
    centred, counts, populations = [], [], []
    for design, values, column in zip((before, after), influence, ("psu", "psu_after"), strict=True):
        layout = DomainLayout.whole(design)
        z = layout.scores(values)[common[column].to_numpy()]
        centred.append(z - ((to_strata @ z) / m[:, None])[stratum])
        at = codes_in(labels, pl.Series(design.stratum_labels))
        counts.append(design.stratum_psus[at].astype(np.float64))
        populations.append(design.stratum_population[at])
    drawn = counts[0] * counts[1] / (m * np.maximum(*populations))
    factor = np.where(m >= 2, (1.0 - drawn) * m / np.maximum(m - 1.0, 1.0), 0.0)
    return cast(FloatArray, factor @ (to_strata @ (centred[0] * centred[1])))


@dataclass(frozen=True, eq=False)
class WaveInfluences:
    """Statistics of one wave whose covariance with others' is asked for; D domains, m rows, Q pairs, K columns."""

    layout: DomainLayout
    scores: tuple[FloatArray, ...]  # of the layout (Q, K), sets of statistics of the same rows
    used: BoolArray  # (m, K) rows in the base

    @classmethod
    def of_rates(cls, layout: DomainLayout, rates: Sequence[RateScores]) -> "WaveInfluences":
        """Rates of one base by several weightings."""
        return cls(layout, tuple(of.scores[0] for of in rates), rates[0].used)

    @cached_property
    def asked(self) -> FloatArray:
        """1 for pairs ``(Q, 1)`` with rows in the domain."""
        return self.layout.asked_pairs()

    @cached_property
    def answering(self) -> FloatArray:
        """1 for pairs ``(Q, K)`` with a row in the base."""
        return self.layout.answering_pairs(self.used)


@dataclass(frozen=True, eq=False)
class Overlap:
    """The units two waves share, by stratum of selection; made by :meth:`build`. U common units, H strata."""

    before_index: IntArray  # (units before,) number of the common unit, -1 for others
    after_index: IntArray  # (units after,)
    stratum: IntArray  # (U,)
    common: FloatArray  # (H,) m
    counts: FloatArray  # (2, H) n1, n2
    strata_of: tuple[IntArray, IntArray]  # the stratum here of each stratum of the two designs
    population: FloatArray  # (H,) N

    @classmethod
    def build(cls, before: Wave, after: Wave) -> "Overlap":
        """Match units by unit_id and strata by the selection strata they were merged from.

        A unit whose selection strata of the two waves do not meet in one merged stratum (drawn anew
        elsewhere) is not common.
        """
        key = ["selection_stratum", "take_all"]
        merges = (
            before.units.select(*key, pl.Series("old", before.design.stratum))
            .unique()
            .join(after.units.select(*key, pl.Series("new", after.design.stratum)).unique(), on=key)
        )
        n_old, n_new = before.design.n_strata, after.design.n_strata
        old, new = merges["old"].to_numpy(), merges["new"].to_numpy()
        n_strata, component = csgraph.connected_components(
            sparse.coo_array((np.ones(len(old)), (old, new + n_old)), shape=(n_old + n_new, n_old + n_new)),
            directed=False,
        )
        of_old, of_new = component[:n_old], component[n_old:]

        def total(design: SurveyDesign, of: IntArray) -> tuple[FloatArray, FloatArray]:
            counts = (design.stratum_psus.astype(np.float64), design.stratum_population)
            sums = [np.bincount(of, weights=count, minlength=n_strata).astype(np.float64) for count in counts]
            return sums[0], sums[1]

        n1, population1 = total(before.design, of_old)
        n2, population2 = total(after.design, of_new)
        units = (
            before.units.select("unit_id", DRAW_ID, pl.Series("s1", of_old[before.design.stratum]))
            .join(after.units.select("unit_id", pl.Series("s2", of_new[after.design.stratum])), on="unit_id")
            .filter(pl.col("s1") == pl.col("s2"))
            .sort(DRAW_ID)
        )
        stratum = units["s1"].to_numpy().astype(np.int64)
        m = np.bincount(stratum, minlength=n_strata).astype(np.float64)
        return cls(
            before_index=codes_in(before.units["unit_id"], units["unit_id"]),
            after_index=codes_in(after.units["unit_id"], units["unit_id"]),
            stratum=stratum,
            common=m,
            counts=np.array([n1, n2]),
            strata_of=(of_old, of_new),
            population=np.maximum(population1, population2),
        )

    def within(self, old: DomainLayout, new: DomainLayout) -> "CommonPairs":
        """The common units in the domains of two layouts, which are the same domains."""
        n_units, n_strata = max(len(self.stratum), 1), len(self.common)
        keys, shared = [], []
        for layout, index in ((old, self.before_index), (new, self.after_index)):
            # The PSU codes of a wave's design are the positions of its units.
            unit = index[layout.pair_psu]
            shared.append(unit >= 0)
            keys.append(layout.pair_domain[shared[-1]] * n_units + unit[shared[-1]])
        if np.array_equal(keys[0], keys[1]):
            pairs, places = keys[0], [np.arange(len(keys[0]))] * 2
        else:
            pairs, positions = np.unique(np.concatenate(keys), return_inverse=True)
            places = np.split(positions, [len(keys[0])])
        cell_key, pair_cell = distinct_codes(pairs // n_units * n_strata + self.stratum[pairs % n_units])
        stratum = cell_key % n_strata
        m = self.common[stratum][:, None]
        return CommonPairs(
            places=(places[0], places[1]),
            shared=(shared[0], shared[1]),
            to_cells=summing(pair_cell, len(cell_key)),
            pair_cell=pair_cell,
            to_domains=summing(cell_key // n_strata, old.n_domains),
            to_cells_of_wave=tuple(
                self._collecting(layout, strata_of, cell_key)
                for layout, strata_of in zip((old, new), self.strata_of, strict=True)
            ),
            common=m,
            drawn=(self.counts[0] * self.counts[1])[stratum][:, None] / (m * self.population[stratum][:, None]),
        )

    def _collecting(self, layout: DomainLayout, strata_of: IntArray, cell_key: IntArray) -> sparse.csr_array:
        """Adds all pairs of a wave up by cell ``(C, Q)``."""
        key = layout.pair_domain * len(self.common) + strata_of[layout.design.psu_stratum[layout.pair_psu]]
        known = np.flatnonzero(np.isin(key, cell_key))
        return sparse.csr_array(
            (np.ones(len(known)), (np.searchsorted(cell_key, key[known]), known)), shape=(len(cell_key), len(key))
        )


@dataclass(frozen=True, eq=False)
class CommonPairs:
    """The pairs of a common unit and a domain it counts in, P of them in C cells of a domain and a stratum.

    Made by :meth:`Overlap.within`; what does not depend on the statistics is here, so that many share it. The pairs of
    a wave are Q (:class:`DomainLayout`).
    """

    places: tuple[IntArray, IntArray]  # a wave: where its common pairs stand among the P
    shared: tuple[BoolArray, BoolArray]  # (Q,) a wave: which of its pairs are of common units
    to_cells: sparse.csr_array  # (C, P)
    pair_cell: IntArray  # (P,)
    to_domains: sparse.csr_array  # (D, C)
    to_cells_of_wave: tuple[sparse.csr_array, ...]  # (C, Q) a wave
    common: FloatArray  # (C, 1) m of the stratum
    drawn: FloatArray  # (C, 1) n1 n2/(m N)

    def covariances(self, old: "WaveInfluences", new: "WaveInfluences") -> tuple[list[FloatArray], FloatArray]:
        """C of each set of statistics, and the number of common rows in the base, all ``(D, K)``."""
        m, sides = self.common, (old, new)
        asked = [self._placed(side.asked, at) for at, side in enumerate(sides)]
        answering = [self._placed(side.answering, at) for at, side in enumerate(sides)]
        share1, share2 = (
            _answering_share(side, collect) for side, collect in zip(sides, self.to_cells_of_wave, strict=True)
        )
        both = self.to_cells @ (answering[0] * answering[1])
        share_both = both / np.maximum(self.to_cells @ (asked[0] * asked[1]), 1.0)
        # Without a unit that answered twice, what is left are residuals of units outside the base.
        drawn = self.drawn * np.where(share_both > 0, share1 * share2 / np.where(share_both > 0, share_both, 1.0), 1.0)
        factor = np.where(m >= 2, (1.0 - drawn) * m / np.maximum(m - 1.0, 1.0), 0.0)
        absent = m - np.bincount(self.pair_cell, minlength=len(m))[:, None]
        found = []
        for scores in zip(old.scores, new.scores, strict=True):
            score = [self._placed(values, at) for at, values in enumerate(scores)]
            mean = [(self.to_cells @ values) / m for values in score]
            for values, centre in zip(score, mean, strict=True):
                values -= centre[self.pair_cell]
            within = self.to_cells @ (score[0] * score[1]) + absent * mean[0] * mean[1]
            found.append(self.to_domains @ (factor * within))
        return found, self.to_domains @ both

    def _placed(self, values: FloatArray, wave: int) -> FloatArray:
        """Values of a wave's pairs ``(Q, K)`` at the common pairs ``(P, K)``, 0 where it has none."""
        found = np.zeros((len(self.pair_cell), values.shape[1]))
        found[self.places[wave]] = values[self.shared[wave]]
        return found


def _answering_share(side: WaveInfluences, collect: sparse.csr_array) -> FloatArray:
    """Units of a wave with an answer among those asked, by cell ``(C, K)``; 1 if none."""
    asked, answering = collect @ side.asked, collect @ side.answering
    return cast(FloatArray, np.where(asked > 0, answering / np.maximum(asked, 1.0), 1.0))
