"""Where the rates of a comparability segment go if they go on as they have, and how likely the target then is.

Belongs here: which curves are tried, the tables of mart.projection and mart.hindcast, P(target) and the status it leads
to. Does not belong here: the curves and their fit (growth), the series (rate_series), distance and pace (trend).

Method (method.md 6, decision 0021). The headline is a straight line on the logit scale with an independent process of
tau = 0.10; from six points on tau is that of highest restricted likelihood and quantiles are those of t with n - 2
degrees of freedom. Beside it: other tau, lower ceilings, a random walk, Gompertz's and Bass's curve, and the envelope
of all their middle lines. P(target) is the probability that the true rate, process included, is at or above the target
in its year.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import polars as pl
from scipy import special

from pipelines.stats.arrays import BoolArray, FloatArray
from pipelines.stats.growth import (
    FEWEST_POINTS,
    Points,
    Prediction,
    Process,
    Scale,
    predict,
    predict_bass,
    process_deviation,
)
from pipelines.stats.interval_formulas import t_quantile
from pipelines.stats.rate_series import KEY, RateSeries

# mart.projection without survey, wave and segment
PROJECTION_SCHEMA = {
    "domain_type": pl.String,
    "domain_code": pl.String,
    "measure": pl.String,
    "unit_weighting": pl.String,
    "model": pl.String,
    "variant": pl.String,
    "year": pl.Int64,
    "kind": pl.String,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "points": pl.Int64,
    "tau": pl.Float64,
    "tau_rule": pl.String,
    "df": pl.Float64,
    "ceiling": pl.Float64,
    "target": pl.Float64,
    "target_year": pl.Int64,
    "p_target": pl.Float64,
}
HINDCAST_SCHEMA = {
    "domain_type": pl.String,
    "domain_code": pl.String,
    "measure": pl.String,
    "unit_weighting": pl.String,
    "model": pl.String,
    "origin_wave": pl.Int64,
    "year": pl.Int64,
    "points": pl.Int64,
    "projected": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "observed": pl.Float64,
    "error_pp": pl.Float64,
    "error_in_se": pl.Float64,
    "covered": pl.Boolean,
}

# Process standard deviation of the headline, and those shown beside it (decision 0021)
HEADLINE_TAU = 0.10
OTHER_TAUS = (0.0, 0.05, 0.10, 0.20)
POINTS_FOR_REML = 6
LIKELY, UNLIKELY = 0.8, 0.2
MAIN = "main"


@dataclass(frozen=True)
class Aim:
    """A target: the share ``value`` in ``year``; ``ceilings``: levels at which growth may end, the first is 1."""

    value: float
    year: int
    ceilings: tuple[float, ...] = (1.0,)


LOGIT = Scale()


@dataclass(frozen=True)
class Curve:
    """A curve to be tried; ``tau`` None: the rule of the headline."""

    model: str
    variant: str = MAIN
    scale: Scale = LOGIT
    process: Process = "independent"
    tau: float | None = None

    def deviation(self, points: Points) -> FloatArray:
        """tau of each series ``(D,)``."""
        if self.tau is not None:
            return np.full(len(points.rate), self.tau)
        by_likelihood = points.count >= POINTS_FOR_REML
        tau = np.full(len(points.rate), HEADLINE_TAU)
        if by_likelihood.any():
            chosen = Points(points.years, points.rate[by_likelihood], points.covariance[by_likelihood])
            tau[by_likelihood] = process_deviation(chosen, scale=self.scale, process=self.process)
        return tau

    def predict(self, points: Points, years: FloatArray, tau: FloatArray) -> Prediction:
        """The curve through the points, carried on to the years."""
        if self.model == "bass":
            return predict_bass(points, years, tau=tau, ceiling=self.scale.ceiling)
        return predict(points, years, scale=self.scale, tau=tau, process=self.process)


HEADLINE = Curve("logit")
# Those that hindcasts score
CURVES = (
    HEADLINE,
    Curve("random_walk", process="random_walk"),
    Curve("gompertz", scale=Scale("gompertz")),
    Curve("bass"),
)


def project(
    series: RateSeries, *, aim: Aim, level: float = 0.95, briefly: Sequence[str] = ()
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The projections of every series from its last wave to the year of the target.

    Args:
        level: of the intervals.
        briefly: domain types of which only the headline curve is made, such as crosses.

    Returns:
        PROJECTION_SCHEMA, sorted: ``kind`` 'observed' (rates with their intervals), 'required' (the path from the first
        point to the target that is straight on the logit scale; none where the first point is at or above the
        target), 'projected' (``low``, ``high``: prediction interval; ``p_target`` in the target's year) and 'envelope'
        (lowest and highest middle line of all curves but those with another tau). A series with fewer than three
        points, or without a rate at the last wave, is not projected; a curve that cannot be fitted has no rows.
        And the headline in the target's year, one row a series: KEY, ``points``, ``projected``, ``projected_low``,
        ``projected_high``, ``tau``, ``p_target``, and ``depends_on_assumption``: another curve or tau would lead to
        another status.
    """
    points, waves = series.points, series.points.years
    years = np.arange(waves[-1] + 1, aim.year + 1)
    tables = [_observed(series, aim), _required(series, aim)]
    in_brief = series.keys["domain_type"].is_in(list(briefly)).to_numpy()
    current = points.present[:, -1] & (points.count >= FEWEST_POINTS)
    middles, chances = [], []
    headline = None
    for curve in _curves(aim) if len(years) else ():
        chosen = current & ~(in_brief & (curve != HEADLINE)) & _below(series, curve.scale.ceiling, aim)
        part = series.only(chosen)
        tau = curve.deviation(part.points)
        found = _carried_on(curve, part.points, years, tau, aim=aim, level=level)
        middle, chance = np.full((2, len(chosen), len(years)), np.nan)
        middle[chosen], chance[chosen] = found["estimate"], found["p_target"]
        chances.append(chance[:, -1])
        if curve.tau is None:
            middles.append(middle)
        table = _table(part.keys, years, found, model=curve.model, variant=curve.variant, kind="projected", aim=aim)
        table = table.filter(pl.col("estimate").is_not_null())
        tables.append(table)
        if curve == HEADLINE:
            headline = table
    if middles:
        several = ~in_brief & current
        tables.append(_envelope(series, np.stack(middles), years, aim, chosen=several))
    made = pl.concat(tables).sort(*KEY, "model", "variant", "year")
    depends = _depends(np.stack(chances)) if chances else np.zeros(len(current), dtype=bool)
    return made, _headline(series, headline, aim, depends)


def status_of(p_target: FloatArray) -> list[str]:
    """'likely' from 0.8 on, 'unlikely' below 0.2, 'uncertain' between, 'insufficient' without a probability."""
    with np.errstate(invalid="ignore"):
        named = np.select(
            [np.isnan(p_target), p_target >= LIKELY, p_target < UNLIKELY],
            ["insufficient", "likely", "unlikely"],
            "uncertain",
        )
    return [str(name) for name in named]


def hindcast(series: RateSeries, *, level: float = 0.95) -> pl.DataFrame:
    """What each wave would have projected for the waves after it, against what these then found.

    Returns:
        HINDCAST_SCHEMA: one row a series, curve of CURVES, origin (third point or later) and later wave that can be
        scored. ``low`` and ``high`` hold the later *estimate* in ``level`` of the cases: sampling error of that wave
        included, with its covariance with the earlier ones. ``error_in_se``: on the scale of the curve, in standard
        errors of the difference.
    """
    points = series.points
    waves = points.years
    tables = [pl.DataFrame(schema=HINDCAST_SCHEMA)]
    for position in range(FEWEST_POINTS - 1, len(waves) - 1):
        known = points.upto(int(waves[position]))
        chosen = known.present[:, -1] & (known.count >= FEWEST_POINTS)
        part = series.only(chosen)
        past = part.points.upto(int(waves[position]))
        later = slice(position + 1, len(waves))
        for curve in CURVES:
            tau = curve.deviation(past)
            prediction = curve.predict(past, waves[later], tau)
            z, sampling = part.points.sampling(prediction.scale)
            shared = sampling[:, : position + 1, later]
            own = np.diagonal(sampling, axis1=1, axis2=2)[:, later]
            weighed = np.sum(prediction.weights * shared, axis=1)
            spread = np.sqrt(np.maximum(prediction.variance + own - 2.0 * weighed, 0.0))
            there = part.points.present[:, later]
            away = np.where(there, z[:, later] - prediction.centre, np.nan)
            half = t_quantile(level, _df(past.count))[:, None] * spread
            projected = prediction.scale.inverse(prediction.centre)
            observed = part.observed[:, later]
            with np.errstate(divide="ignore", invalid="ignore"):
                columns = {
                    "projected": projected,
                    "low": prediction.scale.inverse(prediction.centre - half),
                    "high": prediction.scale.inverse(prediction.centre + half),
                    "observed": observed,
                    "error_pp": 100.0 * (observed - projected),
                    "error_in_se": np.where(spread > 0, away / spread, np.nan),
                    "covered": np.abs(away) <= half,
                }
            table = _laid_down(part.keys, waves[later], columns).with_columns(
                pl.lit(curve.model).alias("model"),
                pl.lit(int(waves[position])).alias("origin_wave"),
                pl.Series("points", np.repeat(past.count, there.shape[1])),
            )
            # Without a spread there is nothing to score by: covariances put together pair by pair can leave none.
            table = table.filter(pl.Series((np.isfinite(away) & (spread > 0)).ravel()))
            tables.append(table.select(pl.col(name).cast(kind) for name, kind in HINDCAST_SCHEMA.items()))
    return pl.concat(tables).sort(*KEY, "model", "origin_wave", "year")


def _curves(aim: Aim) -> Iterator[Curve]:
    yield from CURVES
    yield from (Curve("logit", f"tau={tau:g}", tau=tau) for tau in OTHER_TAUS)
    for ceiling in aim.ceilings:
        if ceiling < 1.0:
            yield replace(HEADLINE, variant=f"ceiling={ceiling:g}", scale=Scale("logit", ceiling))


def _below(series: RateSeries, ceiling: float, aim: Aim) -> BoolArray:
    """Series that a ceiling is above: the target and every interval so far are below it. 1 is always one."""
    if ceiling >= 1.0:
        return np.ones(len(series.observed), dtype=bool)
    highest = np.max(np.where(np.isnan(series.high), 0.0, series.high), axis=1)
    return cast(BoolArray, np.maximum(aim.value, highest) < ceiling)


def _df(count: FloatArray) -> FloatArray:
    return np.where(count >= POINTS_FOR_REML, count - 2.0, np.inf)


def _carried_on(
    curve: Curve, points: Points, years: FloatArray, tau: FloatArray, *, aim: Aim, level: float
) -> dict[str, FloatArray]:
    """Middle, interval and P(target) ``(D, Y)``, with what they rest on."""
    prediction = curve.predict(points, years, tau)
    df = _df(points.count) if curve.tau is None else np.full(len(tau), np.inf)
    spread = np.sqrt(prediction.variance)
    half = t_quantile(level, df)[:, None] * spread
    goal = prediction.scale.forward(np.array([aim.value]))[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        chance = special.stdtr(df[:, None], (prediction.centre - goal) / spread)
    wide = np.ones_like(prediction.centre)
    return {
        "estimate": prediction.scale.inverse(prediction.centre),
        "low": prediction.scale.inverse(prediction.centre - half),
        "high": prediction.scale.inverse(prediction.centre + half),
        "p_target": np.where(years == aim.year, chance, np.nan),
        "points": points.count[:, None] * wide,
        "tau": tau[:, None] * wide,
        "df": np.where(np.isfinite(df), df, np.nan)[:, None] * wide,
        "ceiling": curve.scale.ceiling * wide,
    }


def _observed(series: RateSeries, aim: Aim) -> pl.DataFrame:
    columns = {"estimate": series.observed, "low": series.low, "high": series.high}
    columns["points"] = np.repeat(series.points.count[:, None], len(series.points.years), axis=1)
    table = _table(series.keys, series.points.years, columns, model="observed", variant=MAIN, kind="observed", aim=aim)
    return table.filter(pl.col("estimate").is_not_null())


def _required(series: RateSeries, aim: Aim) -> pl.DataFrame:
    """expit[logit p_0 + (t - t_0)/(T - t_0)(logit p_T - logit p_0)] from each series' first point on."""
    points = series.points
    years = np.arange(points.years[0], aim.year + 1)
    begin = np.argmax(points.present, axis=1)
    row = np.arange(len(begin))
    first = points.rate[row, begin]
    elapsed = points.elapsed(years)
    scale = Scale()
    start, goal = scale.forward(first), scale.forward(np.array([aim.value]))[0]
    span = np.where(points.years[begin] < aim.year, aim.year - points.years[begin], np.nan)
    path = scale.inverse(start[:, None] + elapsed / span[:, None] * (goal - start)[:, None])
    with np.errstate(invalid="ignore"):
        wanted = (elapsed >= 0) & (first < aim.value)[:, None]
    columns = {"estimate": np.where(wanted, path, np.nan)}
    table = _table(series.keys, years, columns, model="required_path", variant=MAIN, kind="required", aim=aim)
    return table.filter(pl.col("estimate").is_not_null())


def _envelope(
    series: RateSeries, middles: FloatArray, years: FloatArray, aim: Aim, *, chosen: BoolArray
) -> pl.DataFrame:
    known = np.isfinite(middles)
    columns = {
        "low": np.min(np.where(known, middles, np.inf), axis=0),
        "high": np.max(np.where(known, middles, -np.inf), axis=0),
    }
    columns = {name: np.where(np.isfinite(values), values, np.nan)[chosen] for name, values in columns.items()}
    keys = series.keys.filter(chosen)
    table = _table(keys, years, columns, model="envelope", variant=MAIN, kind="envelope", aim=aim)
    return table.filter(pl.col("low").is_not_null())


def _headline(series: RateSeries, table: pl.DataFrame | None, aim: Aim, depends: BoolArray) -> pl.DataFrame:
    every = series.keys.with_columns(
        pl.Series("points", series.points.count, dtype=pl.Float64).cast(pl.Int64),
        pl.Series("depends_on_assumption", depends),
    )
    found = pl.DataFrame(schema=PROJECTION_SCHEMA) if table is None else table.filter(pl.col("year") == aim.year)
    figures = found.select(
        *KEY,
        pl.col("estimate").alias("projected"),
        pl.col("low").alias("projected_low"),
        pl.col("high").alias("projected_high"),
        "tau",
        "p_target",
    )
    return every.join(figures, on=list(KEY), how="left", maintain_order="left")


def _depends(chances: FloatArray) -> BoolArray:
    """Series whose status is not the same under all curves ``(D,)``; those not tried count for nothing."""
    with np.errstate(invalid="ignore"):
        group = np.where(chances >= LIKELY, 2.0, np.where(chances < UNLIKELY, 0.0, 1.0))
    group = np.where(np.isnan(chances), np.nan, group)
    known = np.isfinite(group)
    lowest = np.min(np.where(known, group, np.inf), axis=0)
    return cast(BoolArray, np.max(np.where(known, group, -np.inf), axis=0) > lowest)


def _table(
    keys: pl.DataFrame,
    years: FloatArray,
    columns: Mapping[str, FloatArray],
    *,
    model: str,
    variant: str,
    kind: str,
    aim: Aim,
) -> pl.DataFrame:
    """PROJECTION_SCHEMA from arrays ``(D, Y)``; columns that are not given are NULL."""
    table = _laid_down(keys, years, columns).with_columns(
        pl.lit(model).alias("model"),
        pl.lit(variant).alias("variant"),
        pl.lit(kind).alias("kind"),
        pl.lit(aim.value).alias("target"),
        pl.lit(aim.year, pl.Int64).alias("target_year"),
    )
    rule = pl.when(pl.col("df").is_not_null()).then(pl.lit("reml")).otherwise(pl.lit("fixed"))
    if "tau" in columns:
        table = table.with_columns(rule.alias("tau_rule"))
    missing = [name for name in PROJECTION_SCHEMA if name not in table.columns]
    return table.with_columns(pl.lit(None).alias(name) for name in missing).select(
        pl.col(name).cast(dtype) for name, dtype in PROJECTION_SCHEMA.items()
    )


def _laid_down(keys: pl.DataFrame, years: FloatArray, columns: Mapping[str, FloatArray]) -> pl.DataFrame:
    """One row a series and year; NaN becomes NULL."""
    row = np.repeat(np.arange(keys.height), len(years))
    return (
        keys[row]
        .with_columns(
            pl.Series("year", np.tile(years, keys.height)).cast(pl.Int64),
            *[pl.Series(name, np.ascontiguousarray(values).ravel()) for name, values in columns.items()],
        )
        .with_columns(pl.col(pl.Float64).fill_nan(None))
    )
