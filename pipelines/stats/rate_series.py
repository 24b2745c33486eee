"""The rates of a comparability segment as series, with the covariances of all their waves.

Belongs here: laying rates and covariances out, and what stands in for a rate of 0 or 1. Does not belong here: the
covariance of two waves (change), curves through the series (growth), projections (projection).

A rate of 0 or 1 is taken as (n* p + 1/2)/(n* + 1) with variance p(1 - p)/n*, n* the effective sample size, and without
covariance (method.md 6).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.errors import AxstatError
from pipelines.stats.arrays import BoolArray, FloatArray
from pipelines.stats.change import Segment, require_comparable
from pipelines.stats.growth import Points

KEY = ("domain_type", "domain_code", "measure", "unit_weighting")


@dataclass(frozen=True, eq=False)
class RateSeries:
    """The series of one segment, made by :meth:`build`. D series, T waves."""

    keys: pl.DataFrame  # (D,) KEY
    points: Points
    observed: FloatArray  # (D, T) as estimated
    low: FloatArray  # (D, T) limits of their intervals
    high: FloatArray

    @classmethod
    def build(
        cls,
        rates: pl.DataFrame,
        covariances: pl.DataFrame,
        *,
        segments: Mapping[int, Segment],
        measures: Sequence[str],
    ) -> "RateSeries":
        """Series of every domain, measure and weighting, in the order of their keys.

        Args:
            rates: KEY, wave, base, estimate, se, ci_low, ci_high, n_effective; rows of base 'answered' are used.
            covariances: KEY, wave_before, wave_after, covariance: of the rates of any two waves; a pair that is not
                there has covariance 0.
            segments: what each wave asked.

        Raises:
            ComparabilityError: the waves are of more than one segment; names both definitions.
            AxstatError: a wave of ``rates`` without a segment.
        """
        used = rates.filter(pl.col("measure").is_in(list(measures)) & (pl.col("base") == "answered"))
        waves = sorted(used["wave"].unique().to_list())
        if unknown := [str(wave) for wave in waves if wave not in segments]:
            raise AxstatError(
                "unknown_segment",
                where=f"rates of {', '.join(unknown)}",
                expected="a comparability segment for every wave",
                got="none",
                hint="say what each wave asked",
            )
        for wave in waves[:-1]:
            require_comparable(segments[wave], segments[waves[-1]], measures=measures)
        keys = used.select(*KEY).unique().sort(*KEY)
        place = keys.with_row_index("row")
        shape = (keys.height, len(waves))
        at = used.join(place, on=list(KEY)).with_columns(
            pl.col("wave").replace_strict(waves, range(len(waves)), return_dtype=pl.Int64).alias("column")
        )
        cells = (at["row"].to_numpy(), at["column"].to_numpy())

        def laid_out(name: str) -> FloatArray:
            table = np.full(shape, np.nan)
            table[cells] = at[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
            return table

        observed, se, effective = laid_out("estimate"), laid_out("se"), laid_out("n_effective")
        covariance = np.zeros((*shape, shape[1]))
        known = covariances.filter(pl.col("wave_before").is_in(waves) & pl.col("wave_after").is_in(waves)).join(
            place, on=list(KEY)
        )
        row = known["row"].to_numpy()
        first, second = (np.searchsorted(waves, known[name].to_numpy()) for name in ("wave_before", "wave_after"))
        values = known["covariance"].cast(pl.Float64).fill_null(0.0).fill_nan(0.0).to_numpy()
        covariance[row, first, second] = covariance[row, second, first] = values
        with np.errstate(invalid="ignore"):
            edge = (observed <= 0.0) | (observed >= 1.0)
            rate = np.where(edge, (effective * observed + 0.5) / (effective + 1.0), observed)
            variance = np.where(edge, rate * (1.0 - rate) / effective, np.square(se))
        covariance = np.where(edge[:, :, None] | edge[:, None, :], 0.0, covariance)
        rate = np.where(np.isfinite(variance), rate, np.nan)
        column = np.arange(len(waves))
        covariance[:, column, column] = variance
        return cls(
            keys=keys,
            points=Points(np.array(waves, dtype=np.float64), rate, covariance),
            observed=observed,
            low=laid_out("ci_low"),
            high=laid_out("ci_high"),
        )

    def only(self, chosen: BoolArray) -> "RateSeries":
        """Some of the series ``(D,)``."""
        points = Points(self.points.years, self.points.rate[chosen], self.points.covariance[chosen])
        return RateSeries(self.keys.filter(chosen), points, self.observed[chosen], self.low[chosen], self.high[chosen])
