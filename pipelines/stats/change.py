"""Change between two waves whose samples overlap.

Belongs here: the covariance of two waves' estimates, what may be compared with what. Does not belong here:
the estimates of one wave (rates), distance to target and pace (trend).

Method (method.md 3): V(p2 - p1) = V1 + V2 - 2C with, over the strata h of SELECTION (a panel unit keeps its
stratum although its size class or industry may change),
C = sum_h (1 - n1 n2/(m N)) m/(m - 1) sum over the m common units of (z1 - z1bar)(z2 - z2bar),
z the linearised scores of each wave, residuals where the weights are calibrated. Where the waves merged
strata differently, h is the coarsest merging that both fit into. m < 2 adds 0. The frame changes between
waves: N is the larger of the two counts, exact where the smaller frame is part of the larger one. Item
non-response (decision 0005): n1 n2/(m N) is multiplied by r1 r2/r, the shares of the domain's units that
answered in each wave, and of its common units that answered in both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import polars as pl
from scipy import sparse
from scipy.sparse import csgraph

from pipelines.errors import AxstatError
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray, codes_in, summing
from pipelines.stats.design import SurveyDesign
from pipelines.stats.rates import RateScores, eligible_if_take_all, listed_as, rank
from pipelines.stats.survey_wave import Base, Domain, UnitWeighting, Wave
from pipelines.stats.variance import DomainLayout

CHANGE_SCHEMA = {
    "domain_type": pl.String,
    "domain_code": pl.String,
    "measure": pl.String,
    "base": pl.String,
    "unit_weighting": pl.String,
    "n_before": pl.Int64,
    "n_after": pl.Int64,
    "n_common": pl.Int64,
    "estimate_before": pl.Float64,
    "estimate_after": pl.Float64,
    "variance_before": pl.Float64,
    "variance_after": pl.Float64,
    "df_before": pl.Int64,
    "df_after": pl.Int64,
    "covariance": pl.Float64,
    "covariance_clipped": pl.Boolean,
    "change": pl.Float64,
    "change_se": pl.Float64,
}


@dataclass(frozen=True)
class Segment:
    """What a survey asked: only waves of one segment may be compared."""

    survey: str
    question_version: str
    tech_list_version: str

    @property
    def code(self) -> str:
        """comparability_segment, e.g. 'industry-list-2022-1'."""
        return f"{self.survey}-{self.question_version}-{self.tech_list_version}"

    def definition(self, measure: str) -> str:
        """definition_id with the list version, e.g. 'ai_adoption@list-2022 (technology list 1)'."""
        return f"{measure}@{self.question_version} (technology list {self.tech_list_version})"


class ComparabilityError(AxstatError):
    """Two waves were to be compared whose questions differ."""

    def __init__(self, *, measures: Sequence[str], before: Segment, after: Segment) -> None:
        """Name both definitions of the measures."""
        old = ", ".join(before.definition(measure) for measure in measures)
        new = ", ".join(after.definition(measure) for measure in measures)
        super().__init__(
            "not_comparable",
            where=f"comparability segments {before.code} and {after.code}",
            expected="two waves of one comparability segment",
            got=f"{old} against {new}",
            hint="compare waves inside a segment; a bridge needs a sample asked both ways",
        )


def require_comparable(before: Segment, after: Segment, *, measures: Sequence[str]) -> None:
    """Raise ComparabilityError unless both waves are of one segment."""
    if before != after:
        raise ComparabilityError(measures=measures, before=before, after=after)


def adoption_change(
    before: Wave,
    after: Wave,
    *,
    before_segment: Segment,
    after_segment: Segment,
    domains: Sequence[Domain],
    measures: Sequence[str],
    field_measures: Sequence[str] = (),
    bases: Sequence[Base] = ("answered",),
    unit_weightings: Sequence[UnitWeighting] = ("unit", "employment"),
) -> pl.DataFrame:
    """Both waves' estimates of every domain with their variances and covariance.

    A unit counts in the domain it is in at each wave. Domains are those with a responding row in either wave.

    Returns:
        CHANGE_SCHEMA, sorted by domain type (as given), code, measure, base, weighting. ``n_common``: units
        (units x field for types by field) in the base of the domain in both waves. ``covariance`` is held
        within +-sqrt(V1 V2) (``covariance_clipped`` says where), so that no variance of a change is negative.

    Raises:
        ComparabilityError: the segments differ.
    """
    require_comparable(before_segment, after_segment, measures=[*measures, *field_measures])
    overlap = Overlap.build(before, after)
    tables = []
    for domain in domains:
        chosen = tuple(field_measures if domain.by_field else measures)
        if not chosen:
            continue
        old_rows, new_rows = before.rows(domain, chosen), after.rows(domain, chosen)
        codes = pl.concat([old_rows.code, new_rows.code]).unique().sort()
        old_layout, new_layout = (
            DomainLayout.build(wave.design, codes_in(rows.code, codes), len(codes), rows=rows.design_row)
            for wave, rows in ((before, old_rows), (after, new_rows))
        )
        old_eligible, new_eligible = (
            eligible_if_take_all(listed_as(codes, wave.frame_domains(domain))) for wave in (before, after)
        )
        for base in bases:
            for weighting in unit_weightings:
                old = RateScores.build(old_layout, old_rows, eligible=old_eligible, base=base, unit_weighting=weighting)
                new = RateScores.build(new_layout, new_rows, eligible=new_eligible, base=base, unit_weighting=weighting)
                covariance, n_common = overlap.covariance(old_layout, old, new_layout, new)
                tables.append(
                    _change_table(old, new, covariance, n_common)
                    .with_columns(
                        pl.lit(domain.type).alias("domain_type"),
                        pl.Series("domain_code", np.repeat(codes.to_numpy(), len(chosen)), dtype=pl.String),
                        pl.Series("measure", list(chosen) * len(codes), dtype=pl.String),
                        pl.lit(base).alias("base"),
                        pl.lit(weighting).alias("unit_weighting"),
                    )
                    .select(*CHANGE_SCHEMA)
                )
    if not tables:
        return pl.DataFrame(schema=CHANGE_SCHEMA)
    return pl.concat(tables).sort(
        rank("domain_type", [domain.type for domain in domains]),
        "domain_code",
        rank("measure", [*measures, *field_measures]),
        rank("base", bases),
        rank("unit_weighting", unit_weightings),
    )


def _change_table(old: RateScores, new: RateScores, covariance: FloatArray, n_common: FloatArray) -> pl.DataFrame:
    bound = np.sqrt(old.variance * new.variance)
    with np.errstate(invalid="ignore"):
        clipped = np.abs(covariance) > bound * (1.0 + 1e-12)
    held = np.where(clipped, np.sign(covariance) * bound, covariance)
    held = np.where(np.isfinite(bound), held, np.nan)
    columns = {
        "n_before": old.n.astype(np.int64),
        "n_after": new.n.astype(np.int64),
        "n_common": n_common.astype(np.int64),
        "estimate_before": old.estimate,
        "estimate_after": new.estimate,
        "variance_before": old.variance,
        "variance_after": new.variance,
        "df_before": old.df.astype(np.int64),
        "df_after": new.df.astype(np.int64),
        "covariance": held,
        "covariance_clipped": clipped,
        "change": new.estimate - old.estimate,
        "change_se": np.sqrt(np.maximum(old.variance + new.variance - 2.0 * held, 0.0)),
    }
    table = pl.DataFrame(
        {name: values.ravel() for name, values in columns.items()},
        schema={name: CHANGE_SCHEMA[name] for name in columns},
    )
    return table.with_columns(pl.col(pl.Float64).fill_nan(None))


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
            before.units.select("unit_id", pl.Series("s1", of_old[before.design.stratum]))
            .join(after.units.select("unit_id", pl.Series("s2", of_new[after.design.stratum])), on="unit_id")
            .filter(pl.col("s1") == pl.col("s2"))
            .sort("unit_id")
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

    def covariance(
        self, old_layout: DomainLayout, old: RateScores, new_layout: DomainLayout, new: RateScores
    ) -> tuple[FloatArray, FloatArray]:
        """C and the number of common rows in the base, both ``(D, K)``; the layouts share domain codes."""
        sides = [
            (layout, scores.weight * scores.residual, scores.used)
            for layout, scores in ((old_layout, old), (new_layout, new))
        ]
        return self.covariance_of(sides[0], sides[1])

    def covariance_of(
        self, old: tuple[DomainLayout, FloatArray, BoolArray], new: tuple[DomainLayout, FloatArray, BoolArray]
    ) -> tuple[FloatArray, FloatArray]:
        """:meth:`covariance` of any statistics: of each wave layout, weighted influences ``(m, K)``, rows used."""
        n_units, columns = max(len(self.stratum), 1), old[1].shape[1]
        n_strata = len(self.common)
        sides = []
        for (layout, influence, used), index in ((old, self.before_index), (new, self.after_index)):
            # The PSU codes of a wave's design are the positions of its units.
            unit = index[layout.pair_psu]
            shared = unit >= 0
            sides.append(
                (
                    layout.pair_domain[shared] * n_units + unit[shared],
                    layout.scores(influence)[shared],
                    layout.asked_pairs()[shared],
                    layout.answering_pairs(used)[shared],
                )
            )
        pairs, positions = np.unique(np.concatenate([sides[0][0], sides[1][0]]), return_inverse=True)
        score, asked, answering = np.zeros((3, 2, len(pairs), columns))
        split = np.split(positions, [len(sides[0][0])])
        for side, (at, (_, *values)) in enumerate(zip(split, sides, strict=True)):
            score[side, at], asked[side, at], answering[side, at] = values
        cell_key, pair_cell = np.unique(
            pairs // n_units * n_strata + self.stratum[pairs % n_units], return_inverse=True
        )
        to_cells = sparse.csr_array(
            (np.ones(len(pairs)), (pair_cell, np.arange(len(pairs)))), shape=(len(cell_key), len(pairs))
        )
        to_domains = sparse.csr_array(
            (np.ones(len(cell_key)), (cell_key // n_strata, np.arange(len(cell_key)))),
            shape=(old[0].n_domains, len(cell_key)),
        )
        m = self.common[cell_key % n_strata][:, None]
        mean = [(to_cells @ values) / m for values in score]
        centred = [values - centre[pair_cell] for values, centre in zip(score, mean, strict=True)]
        absent = m - np.bincount(pair_cell, minlength=len(cell_key))[:, None]
        within = to_cells @ (centred[0] * centred[1]) + absent * mean[0] * mean[1]
        stratum = cell_key % n_strata
        share1, share2 = (
            self._answering_share(layout, used, of, cell_key)
            for (layout, _, used), of in zip((old, new), self.strata_of, strict=True)
        )
        both = answering[0] * answering[1]
        share_both = (to_cells @ both) / np.maximum(to_cells @ (asked[0] * asked[1]), 1.0)
        drawn = (self.counts[0] * self.counts[1])[stratum][:, None] / (m * self.population[stratum][:, None])
        # Without a unit that answered twice, what is left are residuals of units outside the base.
        drawn = drawn * np.where(share_both > 0, share1 * share2 / np.where(share_both > 0, share_both, 1.0), 1.0)
        factor = np.where(m >= 2, (1.0 - drawn) * m / np.maximum(m - 1.0, 1.0), 0.0)
        return to_domains @ (factor * within), to_domains @ (to_cells @ both)

    def _answering_share(
        self, layout: DomainLayout, used: BoolArray, strata_of: IntArray, cell_key: IntArray
    ) -> FloatArray:
        """Units of a wave with an answer among those asked, by domain and stratum ``(cells, K)``; 1 if none."""
        key = layout.pair_domain * len(self.common) + strata_of[layout.design.psu_stratum[layout.pair_psu]]
        known = np.flatnonzero(np.isin(key, cell_key))
        collect = sparse.csr_array(
            (np.ones(len(known)), (np.searchsorted(cell_key, key[known]), known)), shape=(len(cell_key), len(key))
        )
        asked = collect @ layout.asked_pairs()
        answering = collect @ layout.answering_pairs(used)
        return cast(FloatArray, np.where(asked > 0, answering / np.maximum(asked, 1.0), 1.0))
