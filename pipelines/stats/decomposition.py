"""The change of a whole taken apart: rates that moved inside its domains, and weights that moved between them.

Belongs here: shift-share of a change with standard errors. Does not belong here: the change itself (change).

With s_d the domain's share of the base (of units, or of employment) and r_d its rate, R = sum s_d r_d and R2 - R1 = sum
(s1 + s2)/2 (r2 - r1) + sum (s2 - s1) ((r1 + r2)/2 - (R1 + R2)/2): within the domains, and by composition; a domain adds
to composition where it grew and lies above the whole, or shrank and lies below. The two add up exactly, in each domain
and in all. A domain without a respondent in one wave has no rate there: it takes that of the other wave, so that all it
adds is composition.

Standard errors: both parts are functions of the shares and rates of both waves. Their linearised influences go through
the variance of each wave and the covariance of the two (overlap).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from pipelines.errors import AxstatError
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray, codes_in, divide, in_threads, summing
from pipelines.stats.change import Segment, require_comparable
from pipelines.stats.overlap import Overlap, WaveInfluences
from pipelines.stats.rates import RateScores, eligible_if_take_all
from pipelines.stats.survey_wave import Base, Domain, DomainRows, UnitWeighting, Wave
from pipelines.stats.variance import DomainLayout

ALL: Final = "all"
DECOMPOSITION_SCHEMA = {
    "whole_type": pl.String,
    "domain_type": pl.String,
    "domain_code": pl.String,
    "measure": pl.String,
    "base": pl.String,
    "unit_weighting": pl.String,
    "share_before": pl.Float64,
    "share_after": pl.Float64,
    "estimate_before": pl.Float64,
    "estimate_after": pl.Float64,
    "within_pp": pl.Float64,
    "within_se_pp": pl.Float64,
    "composition_pp": pl.Float64,
    "composition_se_pp": pl.Float64,
    "contribution_pp": pl.Float64,
    "contribution_se_pp": pl.Float64,
    "df": pl.Int64,
}


def decompose_change(
    before: Wave,
    after: Wave,
    *,
    before_segment: Segment,
    after_segment: Segment,
    divisions: Sequence[tuple[Domain, Domain]],
    measures: Sequence[str],
    base: Base = "answered",
    unit_weightings: Sequence[UnitWeighting] = ("unit", "employment"),
) -> pl.DataFrame:
    """The change of each whole by the domains that divide it.

    Args:
        divisions: a whole (a type with one domain) and a type whose domains divide it.

    Returns:
        DECOMPOSITION_SCHEMA: for each division, measure and weighting a row a domain and one with domain_code 'all'
        that holds their sums; its contribution is the change of the whole.

    Raises:
        ComparabilityError: the segments differ.
        AxstatError: a division that leaves units of the whole out.
    """
    require_comparable(before_segment, after_segment, measures=measures)
    overlap = Overlap.build(before, after)

    def of_division(division: tuple[Domain, Domain]) -> list[pl.DataFrame]:
        whole, parts = division
        made = []
        sides = [_WholeRows.build(wave, whole, parts, measures) for wave in (before, after)]
        codes = pl.concat([side.part for side in sides]).unique().sort()
        common = overlap.within(sides[0].layout, sides[1].layout)
        scores = [[side.scores(base, weighting) for weighting in unit_weightings] for side in sides]
        for at, measure in enumerate(measures):
            moves = [
                _Move.build(_State.build(sides[0], old, codes, at), _State.build(sides[1], new, codes, at))
                for old, new in zip(*scores, strict=True)
            ]
            # The weightings share the rows in the base
            old, new = (
                WaveInfluences(
                    side.layout,
                    tuple(move.scores[number][0] for move in moves),
                    np.broadcast_to(scores[number][0].used[:, [at]], (len(side.part), 3 * len(codes) + 3)),
                )
                for number, side in enumerate(sides)
            )
            covariances, _ = common.covariances(old, new)
            for weighting, move, covariance in zip(unit_weightings, moves, covariances, strict=True):
                made.append(
                    _table(move, codes, covariance[0]).with_columns(
                        pl.lit(whole.type).alias("whole_type"),
                        pl.lit(parts.type).alias("domain_type"),
                        pl.lit(measure).alias("measure"),
                        pl.lit(base).alias("base"),
                        pl.lit(weighting).alias("unit_weighting"),
                    )
                )
        return made

    tables = [table for made in in_threads(of_division, divisions) for table in made]
    if not tables:
        return pl.DataFrame(schema=DECOMPOSITION_SCHEMA)
    return pl.concat(
        table.select(pl.col(name).cast(kind) for name, kind in DECOMPOSITION_SCHEMA.items()) for table in tables
    )


@dataclass(frozen=True, eq=False)
class _WholeRows:
    """The responding rows of a whole in one wave, m of them, and the domain each is in."""

    layout: DomainLayout
    rows: DomainRows
    part: pl.Series  # (m,)
    eligible: FloatArray  # (1,)

    @classmethod
    def build(cls, wave: Wave, whole: Domain, parts: Domain, measures: Sequence[str]) -> "_WholeRows":
        rows, divided = wave.rows(whole, measures), wave.rows(parts, measures)
        if not np.array_equal(rows.design_row, divided.design_row):
            raise AxstatError(
                "domains_do_not_add_up",
                where=f"change of {whole.type} by {parts.type}",
                expected=f"every responding unit of {whole.type} in one domain of {parts.type}",
                got=f"{len(rows.design_row)} units against {len(divided.design_row)}",
                hint="divide the whole by a type that covers it",
            )
        zeros = np.zeros(len(rows.design_row), dtype=np.int64)
        return cls(
            layout=DomainLayout.build(wave.design, zeros, 1, rows=rows.design_row),
            rows=rows,
            part=divided.code,
            eligible=eligible_if_take_all(wave.frame_domains(whole)),
        )

    def scores(self, base: Base, unit_weighting: UnitWeighting) -> RateScores:
        return RateScores.build(
            self.layout, self.rows, eligible=self.eligible, base=base, unit_weighting=unit_weighting
        )


@dataclass(frozen=True, eq=False)
class _State:
    """One wave's shares and rates of D domains for one measure, and how its m rows move them."""

    layout: DomainLayout
    weight: FloatArray  # (m, 1)
    observed: BoolArray  # (m,)
    part: IntArray  # (m,)
    top: FloatArray  # (m,)
    bottom: FloatArray  # (m,)
    size: float  # sum of weight x bottom
    share: FloatArray  # (D,)
    rate: FloatArray  # (D,) NaN without a respondent
    whole: float
    df: float
    known: bool

    @classmethod
    def build(cls, side: _WholeRows, scores: RateScores, codes: pl.Series, measure: int) -> "_State":
        part = codes_in(side.part, codes)
        top, bottom = scores.top[:, measure], scores.bottom[:, measure]
        collect = summing(part, len(codes))
        acting, adopting = collect @ (scores.weight[:, 0] * bottom), collect @ (scores.weight[:, 0] * top)
        return cls(
            layout=side.layout,
            weight=scores.weight,
            observed=scores.observed[:, measure],
            part=part,
            top=top,
            bottom=bottom,
            size=float(acting.sum()),
            share=acting / acting.sum() if acting.sum() > 0 else np.full(len(codes), np.nan),
            rate=divide(adopting, acting, otherwise=np.nan),
            whole=float(scores.estimate[0, measure]),
            df=float(scores.df[0, measure]),
            known=bool(scores.complete[0, measure]),
        )

    def influence(self, by_share: FloatArray, by_rate: FloatArray, by_whole: FloatArray) -> FloatArray:
        """Weighted influences ``(m, D)`` of a figure of each domain with these derivatives ``(D,)``."""
        rows = np.arange(len(self.part))
        unit = self.bottom[:, None] / self.size
        figures = (
            -unit * (self.share * by_share) + ((self.top - self.whole * self.bottom) / self.size)[:, None] * by_whole
        )
        own = unit[:, 0] * by_share[self.part]
        acting = self.size * self.share[self.part]
        of_rate = divide(self.top - np.nan_to_num(self.rate)[self.part] * self.bottom, acting)
        figures[rows, self.part] += own + of_rate * by_rate[self.part]
        return self.weight * figures * (not self.known)


@dataclass(frozen=True, eq=False)
class _Move:
    """What moved between two states of D domains, and how the units of both waves move it.

    The 3 D + 3 scores are of each domain's within, composition and their sum, then of the sums over the domains.
    """

    old: _State
    new: _State
    within: FloatArray  # (D,)
    composition: FloatArray  # (D,)
    scores: tuple[Sequence[FloatArray], Sequence[FloatArray]]  # a wave, by level: (Q, 3 D + 3)

    @classmethod
    def build(cls, old: _State, new: _State) -> "_Move":
        r1, r2 = np.where(np.isnan(old.rate), new.rate, old.rate), np.where(np.isnan(new.rate), old.rate, new.rate)
        both = np.isfinite(old.rate) & np.isfinite(new.rate)
        share, rate, whole = (old.share + new.share) / 2.0, (r1 + r2) / 2.0, (old.whole + new.whole) / 2.0
        moved, grown = r2 - r1, new.share - old.share
        none = np.zeros(len(share))
        scores = []
        for side, sign in ((old, -1.0), (new, 1.0)):
            inside = side.influence(moved / 2.0, np.where(both, sign * share, 0.0), none)
            # Without the other wave's rate this one stands in for it, and counts whole
            of_rate = np.where(both, grown / 2.0, np.where(np.isfinite(side.rate), grown, 0.0))
            between = side.influence(sign * (rate - whole), of_rate, -grown / 2.0)
            parts = [inside, between, inside + between]
            influence = np.column_stack([*parts, *(part.sum(axis=1) for part in parts)])
            scores.append(side.layout.scores_by_level(influence))
        return cls(
            old=old,
            new=new,
            within=share * moved,
            composition=grown * (rate - whole),
            scores=(scores[0], scores[1]),
        )

    def variance(self) -> FloatArray:
        """V1 + V2 of the figures ``(3 D + 3,)``, as if no unit were common."""
        size = 3 * len(self.within) + 3
        total = np.zeros(size)
        for side, scores in zip((self.old, self.new), self.scores, strict=True):
            used = np.broadcast_to(side.observed[:, None], (len(side.observed), size))
            sampling, item = side.layout.variance_parts(scores, used=used)
            total += (sampling + item)[0]
        return total


def _table(move: _Move, codes: pl.Series, covariance: FloatArray) -> pl.DataFrame:
    old, new, size = move.old, move.new, len(codes)
    within, composition = move.within, move.composition
    se = 100.0 * np.sqrt(np.maximum(move.variance() + 2.0 * covariance, 0.0))
    figures = {
        "share_before": (old.share, 1.0),
        "share_after": (new.share, 1.0),
        "estimate_before": (old.rate, old.whole),
        "estimate_after": (new.rate, new.whole),
        "within_pp": (100.0 * within, 100.0 * within.sum()),
        "within_se_pp": (se[:size], se[3 * size]),
        "composition_pp": (100.0 * composition, 100.0 * composition.sum()),
        "composition_se_pp": (se[size : 2 * size], se[3 * size + 1]),
        "contribution_pp": (100.0 * (within + composition), 100.0 * (within + composition).sum()),
        "contribution_se_pp": (se[2 * size : 3 * size], se[3 * size + 2]),
    }
    return pl.DataFrame(
        {"domain_code": [*codes, ALL], **{name: np.append(parts, total) for name, (parts, total) in figures.items()}}
    ).with_columns(pl.col(pl.Float64).fill_nan(None), pl.lit(min(old.df, new.df)).alias("df"))
