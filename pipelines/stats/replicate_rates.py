"""Adoption rates from replicates, beside the Taylor variance: the second engine.

Belongs here: standard errors of all rates of a wave from its replicates, the rule by which the two engines are
compared, which signs a wave keeps from the one before. Does not belong here: the weights (replicate_weighting), the
rates that are published (rates).

Both engines see the same steps: full-sample classes and response factors, post-stratification (chain 'held'). What item
non-response adds to the published variance (decision 0005) is in neither, since replicates of units know nothing of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse

from pipelines.errors import AxstatError
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray, codes_in, safe_divide
from pipelines.stats.change import Overlap
from pipelines.stats.rates import RateScores, eligible_if_take_all, listed_as, rank, without_noise
from pipelines.stats.replicate_draws import keep_probability
from pipelines.stats.replicate_weighting import Chain, ReplicateWeighting
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
    "replicates": pl.Int64,
}
CHAINS: tuple[tuple[Chain, str], ...] = (("held", "se_bootstrap"), ("rerun", "se_rerun"))


@dataclass(frozen=True)
class EngineRule:
    """Between which ratios of bootstrap to Taylor SE a figure passes (method.md 3)."""

    headline: tuple[str, ...] = ("total", "ax_total")
    stop_outside: tuple[float, float] = (0.85, 1.18)
    warn_outside: tuple[float, float] = (0.75, 1.33)


@dataclass(frozen=True, eq=False)
class _Job:
    """The rates of one domain type, base and weighting, as sums over the carried units. D domains, M measures."""

    top: sparse.csr_array  # (D M, n)
    bottom: sparse.csr_array  # (D K, n), K the distinct denominators
    bottom_row: IntArray  # (D M,) row of bottom
    estimate: FloatArray  # (D M,)
    taylor: FloatArray  # (D M,) variance
    complete: BoolArray  # (D M,) of a census: without error in both engines
    labels: pl.DataFrame

    @classmethod
    def build(
        cls, layout: DomainLayout, scores: RateScores, codes: pl.Series, labels: dict[str, str], measures: Sequence[str]
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
        return cls(
            top=_sums(layout, scores.top),
            bottom=_sums(layout, distinct),
            bottom_row=(np.arange(len(codes))[:, None] * len(kept) + column).ravel(),
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

    def squares(self, weights: FloatArray) -> FloatArray:
        """Sum of squared deviations ``(D M,)`` over some replicates ``(n, r)``."""
        made = safe_divide(self.top @ weights, (self.bottom @ weights)[self.bottom_row])
        return np.where(self.complete, 0.0, np.square(made - self.estimate[:, None]).sum(axis=1))


def _sums(layout: DomainLayout, values: FloatArray) -> sparse.csr_array:
    """The matrix that adds up values x weight of the units ``n`` by domain and column, of values ``(m, K)``."""
    row, column = np.nonzero(values)
    return sparse.csr_array(
        (values[row, column], (layout.row_domain[row] * values.shape[1] + column, layout.design_row[row])),
        shape=(layout.n_domains * values.shape[1], layout.design.n_rows),
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
) -> pl.DataFrame:
    """Standard errors of all rates of a wave by Taylor and by bootstrap.

    Args:
        only: by domain type, the measures made there; all in types that are not named.

    Memory holds the weights of a block of replicates, and one sum of squares a rate.

    Returns:
        REPLICATE_RATE_SCHEMA, sorted as adoption_rates: domains with a responding row. ``se_taylor``: linearised,
        without item non-response; ``se_bootstrap``: chain 'held'; ``se_rerun``: every factor made again.

    Raises:
        AxstatError: wave and replicates are not of the same units or weights.
    """
    _same_units(wave, replicates)
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
                jobs.append(_Job.build(layout, scores, codes, labels, chosen))
    if not jobs:
        return pl.DataFrame(schema=REPLICATE_RATE_SCHEMA)
    squares = {column: [np.zeros(len(job.estimate)) for job in jobs] for _, column in CHAINS}
    for chain, column in CHAINS:
        for weights in replicates.blocks(chain):
            for number, job in enumerate(jobs):
                squares[column][number] += job.squares(weights)
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
                pl.lit(replicates.n_replicates, dtype=pl.Int64).alias("replicates"),
            ).select(pl.col(name).cast(dtype) for name, dtype in REPLICATE_RATE_SCHEMA.items())
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
