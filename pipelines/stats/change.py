"""Change between two waves whose samples overlap.

Belongs here: what may be compared with what, rates of two waves with their variances and covariance. Does not belong
here: the estimates of one wave (rates), the covariance itself (overlap), figures made of a row (change_figures),
distance to target and pace (trend).

Method (method.md 3): V(p2 - p1) = V1 + V2 - 2C, V1 and V2 those of the rates (rates), C from the units common to both
samples (overlap).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import polars as pl

from pipelines.errors import AxstatError
from pipelines.stats.arrays import BoolArray, FloatArray, codes_in, in_threads
from pipelines.stats.overlap import Overlap, WaveInfluences
from pipelines.stats.rates import RateScores, eligible_if_take_all, listed_as, rank
from pipelines.stats.survey_wave import Base, Domain, DomainRows, UnitWeighting, Wave
from pipelines.stats.variance import DomainLayout

# Scores of a domain type may be many times the rows: a unit has one in every domain that its post-stratum touches
MEASURES_AT_ONCE = 8

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
    "known_before": pl.Boolean,
    "known_after": pl.Boolean,
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
    """:func:`adoption_changes` of two waves, without the columns that name them."""
    return adoption_changes(
        {0: before, 1: after},
        segments={0: before_segment, 1: after_segment},
        pairs=[(0, 1)],
        domains=domains,
        measures=measures,
        field_measures=field_measures,
        bases=bases,
        unit_weightings=unit_weightings,
    ).select(*CHANGE_SCHEMA)


def adoption_changes(
    waves: Mapping[int, Wave],
    *,
    segments: Mapping[int, Segment],
    pairs: Sequence[tuple[int, int]],
    domains: Sequence[Domain],
    measures: Sequence[str],
    field_measures: Sequence[str] = (),
    bases: Sequence[Base] = ("answered",),
    unit_weightings: Sequence[UnitWeighting] = ("unit", "employment"),
) -> pl.DataFrame:
    """Both waves' estimates of every domain with their variances and covariance, for pairs of waves.

    A unit counts in the domain it is in at each wave. Domains are those with a responding row in either wave.

    Args:
        waves, segments: by reference year.
        pairs: earlier and later wave.

    Returns:
        ``wave_before`` and ``wave`` with CHANGE_SCHEMA, sorted by pair (as given), domain type (as given), code,
        measure, base, weighting. ``known_*``: every eligible unit answered, so that the rate has no error.
        ``n_common``: units (units x field for types by field) in the base of the domain in both waves. ``covariance``
        is held within +-sqrt(V1 V2) (``covariance_clipped`` says where), so that no variance of a change is negative.

    Raises:
        ComparabilityError: the segments of a pair differ.
    """
    for earlier, later in pairs:
        require_comparable(segments[earlier], segments[later], measures=[*measures, *field_measures])
    overlaps = {(earlier, later): Overlap.build(waves[earlier], waves[later]) for earlier, later in pairs}

    def of_domain(domain: Domain) -> list[pl.DataFrame]:
        chosen = tuple(field_measures if domain.by_field else measures)
        if not chosen:
            return []
        years = list(waves)
        rows = {year: wave.rows(domain, chosen) for year, wave in waves.items()}
        codes = pl.concat([of.code for of in rows.values()]).unique().sort()
        sides = in_threads(lambda year: _Placed.build(waves[year], domain, rows[year], codes), years)
        placed = dict(zip(years, sides, strict=True))
        common = in_threads(lambda pair: overlaps[pair].within(*(placed[year].layout for year in pair)), pairs)

        def of_some(part: slice, base: Base) -> Iterator[pl.DataFrame]:
            made = in_threads(lambda side: side.rates(part, base, unit_weightings), sides)
            rates = dict(zip(years, made, strict=True))
            influences = {year: WaveInfluences.of_rates(placed[year].layout, rates[year]) for year in years}
            covariances = in_threads(
                lambda at: common[at].covariances(*(influences[year] for year in pairs[at])), range(len(pairs))
            )
            names = {
                "domain_code": pl.Series(np.repeat(codes.to_numpy(), len(chosen[part])), dtype=pl.String),
                "measure": pl.Series(list(chosen[part]) * len(codes), dtype=pl.String),
            }
            for (earlier, later), (by_weighting, n_common) in zip(pairs, covariances, strict=True):
                there = pl.Series(np.repeat(placed[earlier].there | placed[later].there, len(chosen[part])))
                for weighting, old, new, covariance in zip(
                    unit_weightings, rates[earlier], rates[later], by_weighting, strict=True
                ):
                    yield (
                        _change_table(old, new, covariance, n_common)
                        .with_columns(
                            pl.lit(earlier).alias("wave_before"),
                            pl.lit(later).alias("wave"),
                            pl.lit(domain.type).alias("domain_type"),
                            pl.lit(base).alias("base"),
                            pl.lit(weighting).alias("unit_weighting"),
                            **names,
                        )
                        .filter(there)
                    )

        parts = [slice(start, start + MEASURES_AT_ONCE) for start in range(0, len(chosen), MEASURES_AT_ONCE)]
        return [table for part, base in product(parts, bases) for table in of_some(part, base)]

    columns = {"wave_before": pl.Int64, "wave": pl.Int64} | CHANGE_SCHEMA
    tables = [table for domain in domains for table in of_domain(domain)]
    if not tables:
        return pl.DataFrame(schema=columns)
    order = pl.DataFrame(
        {"wave_before": [pair[0] for pair in pairs], "wave": [pair[1] for pair in pairs], "pair": range(len(pairs))},
        schema={"wave_before": pl.Int64, "wave": pl.Int64, "pair": pl.Int64},
    )
    return (
        pl.concat(tables)
        .select(pl.col(name).cast(kind) for name, kind in columns.items())
        .join(order, on=["wave_before", "wave"], how="left")
        .sort(
            "pair",
            rank("domain_type", [domain.type for domain in domains]),
            "domain_code",
            rank("measure", [*measures, *field_measures]),
            rank("base", bases),
            rank("unit_weighting", unit_weightings),
        )
        .drop("pair")
    )


@dataclass(frozen=True, eq=False)
class _Placed:
    """One wave's rows of a domain type with D codes."""

    rows: DomainRows
    layout: DomainLayout
    there: BoolArray  # (D,) with a responding row
    eligible: FloatArray  # (D,) see RateScores.build

    @classmethod
    def build(cls, wave: Wave, domain: Domain, rows: DomainRows, codes: pl.Series) -> "_Placed":
        coded = codes_in(rows.code, codes)
        return cls(
            rows=rows,
            layout=DomainLayout.build(wave.design, coded, len(codes), rows=rows.design_row),
            there=np.bincount(coded, minlength=len(codes)) > 0,
            eligible=eligible_if_take_all(listed_as(codes, wave.frame_domains(domain))),
        )

    def rates(self, measures: slice, base: Base, unit_weightings: Sequence[UnitWeighting]) -> list[RateScores]:
        """Those of some measures, one a weighting."""
        rows = self.rows.of(measures)
        return [
            RateScores.build(self.layout, rows, eligible=self.eligible, base=base, unit_weighting=weighting)
            for weighting in unit_weightings
        ]


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
        "known_before": old.complete,
        "known_after": new.complete,
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
