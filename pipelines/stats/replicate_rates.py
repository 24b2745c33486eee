"""Adoption rates from replicates, beside the Taylor variance: the second engine.

Belongs here: standard errors of all rates of a wave from its replicates, the rule by which the two engines are
compared, which signs a wave keeps from the one before. Does not belong here: the weights (replicate_weighting), the
rates that are published (rates).

Both engines see the same steps: full-sample classes and response factors, post-stratification (chain 'held'). What item
non-response adds to the published variance (decision 0005) is in neither, since replicates of units know nothing of it.
Imputed values are held in both; where they are drawn anew in each replicate, a standard error of its own says what
imputation adds, and the chain 'rerun' has it too (reimputation).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from scipy import sparse

from pipelines.errors import AxstatError
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray, codes_in, safe_divide
from pipelines.stats.donors import Deck
from pipelines.stats.overlap import Overlap
from pipelines.stats.rates import RateScores, eligible_if_take_all, fractions, listed_as, rank, without_noise
from pipelines.stats.reimputation import Redraw, Reimputation, expected_shares
from pipelines.stats.replicate_draws import keep_probability
from pipelines.stats.replicate_weighting import BLOCK, Chain, ReplicateWeighting
from pipelines.stats.survey_wave import Base, Domain, UnitWeighting, Wave
from pipelines.stats.variance import DomainLayout

REPLICATE_RATE_SCHEMA = {
    "domain_type": pl.String,
    "domain_code": pl.String,
    "measure": pl.String,
    "base": pl.String,
    "unit_weighting": pl.String,
    "n": pl.Int64,
    "estimate": pl.Float64,
    "se_taylor": pl.Float64,
    "se_bootstrap": pl.Float64,
    "se_rerun": pl.Float64,
    "se_imputed": pl.Float64,
    "replicates": pl.Int64,
}
# Standard errors with all values held, and those with imputed values drawn anew
HELD: tuple[tuple[Chain, str], ...] = (("held", "se_bootstrap"), ("rerun", "se_rerun"))
REDRAWN: tuple[tuple[Chain, str], ...] = (("held", "se_imputed"), ("rerun", "se_rerun"))


@dataclass(frozen=True)
class EngineRule:
    """Between which ratios of bootstrap to Taylor SE a figure passes (method.md 3)."""

    headline: tuple[str, ...] = ("total", "ax_total")
    stop_outside: tuple[float, float] = (0.85, 1.18)
    warn_outside: tuple[float, float] = (0.75, 1.33)


@dataclass(frozen=True, eq=False)
class _Ratios:
    """Rates as sums over units. D domains, M measures."""

    top: sparse.csr_array  # (D M, n)
    bottom: sparse.csr_array  # (D K, n), K the distinct denominators
    bottom_row: IntArray  # (D M,) row of bottom

    def made(self, weights: FloatArray) -> FloatArray:
        """The rates ``(D M, r)`` with the weights ``(n, r)``."""
        return safe_divide(self.top @ weights, (self.bottom @ weights)[self.bottom_row])


@dataclass(frozen=True, eq=False)
class _Job:
    """The rates of one domain type, base and weighting, as sums over the carried units.

    ``redrawn``: the same with one column more for each recipient of imputed values and row of values it may get, and
    its own column empty; ``redrawn_centre`` what they are with every donor in place of the one that was drawn.
    """

    held: _Ratios
    redrawn: _Ratios | None
    redrawn_centre: FloatArray  # (D M,)
    imputed: BoolArray  # (D M,) an imputed answer is in the rate
    estimate: FloatArray  # (D M,)
    taylor: FloatArray  # (D M,) variance
    complete: BoolArray  # (D M,) of a census: without error in both engines
    labels: pl.DataFrame

    @classmethod
    def build(
        cls,
        layout: DomainLayout,
        scores: RateScores,
        codes: pl.Series,
        labels: dict[str, str],
        measures: Sequence[str],
        *,
        redrawn: "_Ratios | None",
        centre_weights: FloatArray,
    ) -> "_Job":
        size = len(measures)
        kept: dict[bytes, int] = {}
        column = np.array([kept.setdefault(values.tobytes(), len(kept)) for values in scores.bottom.T])
        distinct = scores.bottom[:, np.unique(column, return_index=True)[1]]
        p = np.nan_to_num(scores.estimate)
        # Without the part of item non-response, which rates adds.
        taylor = without_noise(
            layout.variance(scores.weight * scores.residual, used=scores.used), np.maximum(p, 1.0 - p)
        )
        held = _Ratios(
            top=_sums(layout, scores.top),
            bottom=_sums(layout, distinct),
            bottom_row=(np.arange(len(codes))[:, None] * len(kept) + column).ravel(),
        )
        with_imputed = layout.sums((scores.used & ~scores.observed).astype(np.float64)) > 0
        return cls(
            held=held,
            redrawn=redrawn,
            redrawn_centre=scores.estimate.ravel() if redrawn is None else redrawn.made(centre_weights)[:, 0],
            imputed=with_imputed.ravel(),
            estimate=scores.estimate.ravel(),
            taylor=np.where(np.isfinite(scores.estimate), taylor, np.nan).ravel(),
            complete=scores.complete.ravel(),
            labels=pl.DataFrame(
                {
                    "domain_code": pl.Series(np.repeat(codes.to_numpy(), size), dtype=pl.String),
                    "measure": pl.Series(list(measures) * len(codes), dtype=pl.String),
                    "n": scores.n.astype(np.int64).ravel(),
                }
            ).with_columns(pl.lit(value).alias(name) for name, value in labels.items()),
        )

    def squares(self, weights: FloatArray, *, redrawn: bool) -> FloatArray:
        """Sum of squared deviations ``(D M,)`` over some replicates ``(n, r)``."""
        if redrawn and self.redrawn is not None:
            deviation = self.redrawn.made(weights) - self.redrawn_centre[:, None]
        else:
            deviation = self.held.made(weights) - self.estimate[:, None]
        return np.where(self.complete, 0.0, np.square(deviation).sum(axis=1))


def _sums(layout: DomainLayout, values: FloatArray) -> sparse.csr_array:
    """The matrix that adds up values x weight of the units ``n`` by domain and column, of values ``(m, K)``."""
    return _placed([(values, layout.row_domain, layout.design_row)], (layout.n_domains, layout.design.n_rows))


def _placed(parts: Sequence[tuple[FloatArray, IntArray, IntArray]], shape: tuple[int, int]) -> sparse.csr_array:
    """The same from several parts: values ``(m, K)``, domain and column of the matrix ``(m,)`` each."""
    wide = parts[0][0].shape[1]
    cells = [(values, domain, place, *np.nonzero(values)) for values, domain, place in parts]
    return sparse.csr_array(
        (
            np.concatenate([values[row, column] for values, _, _, row, column in cells]),
            (
                np.concatenate([domain[row] * wide + column for _, domain, _, row, column in cells]),
                np.concatenate([place[row] for _, _, place, row, _ in cells]),
            ),
        ),
        shape=(shape[0] * wide, shape[1]),
    )


@dataclass(frozen=True, eq=False)
class _Redrawn:
    """Imputed values drawn anew, as units of their own. J recipients, N donors, V rows of values.

    Recipient j with row v is unit n + j V + v of the extended weights: its weight is the recipient's times the part of
    v in what it gets.
    """

    redraw: Redraw
    code: IntArray  # (N,)
    waves: tuple[Wave, ...]  # the recipients' answers with each row of values
    recipient: IntArray  # (J,) row of the design
    donor: IntArray  # (N,)
    weight: FloatArray  # (n, 1)

    @classmethod
    def build(cls, wave: Wave, replicates: int, imputed: Reimputation) -> "_Redrawn":
        at = {unit: row for row, unit in enumerate(wave.units["unit_id"].to_list())}
        deck = imputed.deck
        _carried(deck, at)
        recipient, donor = (
            np.array([at[unit] for unit in units.to_list()], dtype=np.int64) for units in (deck.recipient, deck.donor)
        )
        share = wave.units.select(pl.col("stratum_n") / pl.col("stratum_population")).to_series().to_numpy()
        return cls(
            redraw=Redraw.build(
                deck, recipient_sampled=share[recipient], donor_sampled=share[donor], replicates=replicates
            ),
            code=imputed.code,
            waves=tuple(replace(wave, answers=answers) for answers in imputed.answers),
            recipient=recipient,
            donor=donor,
            weight=wave.design.weight[:, None],
        )

    def extended(self, weights: FloatArray, some: slice) -> FloatArray:
        """Weights ``(n + J V, r)`` of some replicates from those of the units ``(n, r)``."""
        factor = weights[self.donor] / self.weight[self.donor]
        return self._with(weights, self.redraw.shares(self.code, len(self.waves), factor, some))

    def centre(self) -> FloatArray:
        """The full sample's weights ``(n + J V, 1)``, each recipient with every donor of its class."""
        share = expected_shares(self.redraw.deck, self.code, len(self.waves))
        return self._with(self.weight, share[:, :, None])

    def _with(self, weights: FloatArray, share: FloatArray) -> FloatArray:
        made = weights[self.recipient][:, None, :] * share
        return np.concatenate([weights, made.reshape(-1, weights.shape[1])])

    def ratios(
        self,
        layout: DomainLayout,
        scores: RateScores,
        codes: pl.Series,
        domain: Domain,
        measures: Sequence[str],
        *,
        base: Base,
        unit_weighting: UnitWeighting,
    ) -> _Ratios:
        """The rates of a layout as sums over the extended units."""
        place = np.full(layout.design.n_rows, -1, dtype=np.int64)
        place[self.recipient] = np.arange(len(self.recipient))
        others = (place[layout.design_row] < 0)[:, None]
        tops = [(np.where(others, scores.top, 0.0), layout.row_domain, layout.design_row)]
        bottoms = [(np.where(others, scores.bottom, 0.0), layout.row_domain, layout.design_row)]
        for number, wave in enumerate(self.waves):
            rows = wave.rows(domain, measures)
            _, _, top, bottom = fractions(rows, base=base, unit_weighting=unit_weighting)
            mine = np.flatnonzero(place[rows.design_row] >= 0)
            where = layout.design.n_rows + place[rows.design_row[mine]] * len(self.waves) + number
            code = codes_in(rows.code, codes)[mine]
            tops.append((top[mine], code, where))
            bottoms.append((bottom[mine], code, where))
        shape = (layout.n_domains, layout.design.n_rows + len(self.recipient) * len(self.waves))
        return _Ratios(
            top=_placed(tops, shape),
            bottom=_placed(bottoms, shape),
            bottom_row=np.arange(layout.n_domains * len(measures)),
        )


def _carried(deck: Deck, at: Mapping[str, int]) -> None:
    lost = [unit for unit in (*deck.recipient, *deck.donor) if unit not in at]
    if lost:
        raise AxstatError(
            "imputed_unit_without_weight",
            where=f"units {', '.join(sorted(lost)[:10])}",
            expected="recipients and donors to be units of the wave",
            got=f"{len(lost)} other(s)",
            hint="impute from the responding units that are weighted",
        )


def replicate_rates(
    wave: Wave,
    replicates: ReplicateWeighting,
    *,
    domains: Sequence[Domain],
    measures: Sequence[str],
    field_measures: Sequence[str] = (),
    bases: Sequence[Base] = ("answered", "incl_dont_know"),
    unit_weightings: Sequence[UnitWeighting] = ("unit", "employment"),
    only: Mapping[str, Sequence[str]] | None = None,
    imputed: Reimputation | None = None,
) -> pl.DataFrame:
    """Standard errors of all rates of a wave by Taylor and by bootstrap.

    Args:
        only: by domain type, the measures made there; all in types that are not named.
        imputed: what imputed values are drawn from; None where none were drawn from donors.

    Memory holds the weights of a block of replicates, and one sum of squares a rate.

    Returns:
        REPLICATE_RATE_SCHEMA, sorted as adoption_rates: domains with a responding row. ``se_taylor``: linearised,
        without item non-response; ``se_bootstrap``: chain 'held'; ``se_rerun``: every factor made again, and imputed
        values drawn anew; ``se_imputed``: chain 'held' with imputed values drawn anew (the same
        where none is from a donor), null where none is in the rate.

    Raises:
        AxstatError: wave and replicates are not of the same units or weights; a class without a donor in a replicate.
    """
    _same_units(wave, replicates)
    redrawn = None if imputed is None else _Redrawn.build(wave, replicates.n_replicates, imputed)
    centre = wave.design.weight[:, None] if redrawn is None else redrawn.centre()
    jobs = []
    for domain in domains:
        chosen = tuple((only or {}).get(domain.type, field_measures if domain.by_field else measures))
        if not chosen:
            continue
        rows = wave.rows(domain, chosen)
        codes = rows.code.unique().sort()
        layout = DomainLayout.build(wave.design, codes_in(rows.code, codes), len(codes), rows=rows.design_row)
        eligible = eligible_if_take_all(listed_as(codes, wave.frame_domains(domain)))
        for base in bases:
            for weighting in unit_weightings:
                labels = {"domain_type": domain.type, "base": base, "unit_weighting": weighting}
                scores = RateScores.build(layout, rows, eligible=eligible, base=base, unit_weighting=weighting)
                ratios = (
                    None
                    if redrawn is None
                    else redrawn.ratios(layout, scores, codes, domain, chosen, base=base, unit_weighting=weighting)
                )
                jobs.append(_Job.build(layout, scores, codes, labels, chosen, redrawn=ratios, centre_weights=centre))
    if not jobs:
        return pl.DataFrame(schema=REPLICATE_RATE_SCHEMA)
    squares = {column: [np.zeros(len(job.estimate)) for job in jobs] for _, column in (*HELD, *REDRAWN)}
    for chain, column in HELD if redrawn is None else (HELD[0], *REDRAWN):
        for block, weights in enumerate(replicates.blocks(chain)):
            anew = redrawn is not None and (chain, column) in REDRAWN
            if redrawn is not None and anew:
                weights = redrawn.extended(weights, slice(block * BLOCK, (block + 1) * BLOCK))
            for number, job in enumerate(jobs):
                squares[column][number] += job.squares(weights, redrawn=anew)
    tables = []
    for number, job in enumerate(jobs):
        p = np.nan_to_num(job.estimate)
        errors = {
            column: np.sqrt(without_noise(replicates.scale * values[number], np.maximum(p, 1.0 - p)))
            for column, values in squares.items()
        }
        tables.append(
            job.labels.with_columns(
                pl.Series("estimate", job.estimate),
                pl.Series("se_taylor", np.sqrt(job.taylor)),
                *[pl.Series(column, values) for column, values in errors.items()],
                pl.Series("imputed", job.imputed),
                pl.lit(replicates.n_replicates, dtype=pl.Int64).alias("replicates"),
            )
            .with_columns(
                pl.when("imputed").then("se_bootstrap" if redrawn is None else "se_imputed").alias("se_imputed")
            )
            .select(pl.col(name).cast(dtype) for name, dtype in REPLICATE_RATE_SCHEMA.items())
        )
    return (
        pl.concat(tables)
        .with_columns(pl.col(pl.Float64).fill_nan(None))
        .sort(
            rank("domain_type", [domain.type for domain in domains]),
            "domain_code",
            rank("measure", [*measures, *field_measures]),
            rank("base", bases),
            rank("unit_weighting", unit_weightings),
        )
    )


def compare_engines(table: pl.DataFrame, *, rule: EngineRule | None = None) -> pl.DataFrame:
    """Hold the bootstrap standard errors to the Taylor ones (method.md 3).

    Args:
        table: what :func:`replicate_rates` gives.

    Returns:
        the table with ``se_ratio`` (bootstrap / Taylor; null where the Taylor SE is 0 or missing), ``rerun_ratio``
        (whole chain / bootstrap) and ``status``: 'stop' and 'warn' outside the limits of the rule, also where one SE
        is 0 and the other is not; 'pass', both 0 included; 'none' without an estimate.
    """
    rule = rule or EngineRule()
    taylor, bootstrap = pl.col("se_taylor"), pl.col("se_bootstrap")
    headline = pl.col("domain_type").is_in(list(rule.headline))
    low, high = (
        pl.when(headline).then(pl.lit(rule.stop_outside[side])).otherwise(pl.lit(rule.warn_outside[side]))
        for side in (0, 1)
    )
    passed = (taylor == 0) & (bootstrap == 0) | pl.col("se_ratio").is_between(low, high).fill_null(False)
    return table.with_columns(
        pl.when(taylor > 0).then(bootstrap / taylor).alias("se_ratio"),
        pl.when(bootstrap > 0).then(pl.col("se_rerun") / bootstrap).alias("rerun_ratio"),
    ).with_columns(
        pl.when(taylor.is_null() | bootstrap.is_null())
        .then(pl.lit("none"))
        .when(passed)
        .then(pl.lit("pass"))
        .when(headline)
        .then(pl.lit("stop"))
        .otherwise(pl.lit("warn"))
        .alias("status")
    )


def kept_signs(before: Wave, after: Wave) -> pl.DataFrame:
    """With which probability each variance stratum of a wave keeps the signs of the wave before.

    Counts are those of the covariance of the two waves (:class:`pipelines.stats.change.Overlap`).

    Returns:
        variance_stratum, keep (below 0: turned).
    """
    overlap = Overlap.build(before, after)
    keep = keep_probability(overlap.counts[0], overlap.counts[1], overlap.common, overlap.population)
    return pl.DataFrame(
        {
            "variance_stratum": pl.Series(after.design.stratum_labels, dtype=pl.String),
            "keep": keep[overlap.strata_of[1]],
        }
    )


def _same_units(wave: Wave, replicates: ReplicateWeighting) -> None:
    same = wave.units["unit_id"].equals(replicates.unit_id)
    if not same or not np.allclose(wave.design.weight, replicates.layout.weight, rtol=1e-12, atol=0.0):
        raise AxstatError(
            "replicates_of_other_weights",
            where="replicates",
            expected="the units and weights of the wave",
            got="other units" if not same else "other weights",
            hint="draw the replicates from the weights that are in use",
        )
