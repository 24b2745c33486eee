"""Changes that nobody would believe without an explanation (method.md 10).

Belongs here: how far a change lies from what was to be expected, and whether a gradient over classes of size turned
over. Does not belong here: whether a release is refused for it, or what explains it (release), the change and its
standard error (change), the projection (projection).

A change is held against two expectations, where they are there: the change of the whole survey in the same time, and
what the wave before projected for this one. The differences of all domains and of the headline are one family of
tests; Holm's adjustment (Holm 1979) keeps the chance that any of them is called implausible without cause at that of
one difference of more than 3.5 standard errors.
"""

import itertools
from typing import Final

import numpy as np
import polars as pl
from scipy import special

from pipelines.stats.arrays import FloatArray, as_floats
from pipelines.stats.interval_formulas import t_quantile

KEY: Final = ("domain_type", "domain_code", "unit_weighting")
STANDARD_ERRORS: Final = 3.5
# Two-sided chance of a difference of so many standard errors
LEVEL: Final = float(2.0 * special.ndtr(-STANDARD_ERRORS))
MEAN, PROJECTION = "mean_change", "projection"

_DEPARTURES = {
    **dict.fromkeys(KEY, pl.String),
    "reference": pl.String,
    "change_pp": pl.Float64,
    "expected_pp": pl.Float64,
    "difference_pp": pl.Float64,
    "standard_errors": pl.Float64,
    "p_value": pl.Float64,
    "p_adjusted": pl.Float64,
    "implausible": pl.Boolean,
}


def departures(
    changes: pl.DataFrame, rates: pl.DataFrame, projections: pl.DataFrame, *, whole: str, level: float
) -> pl.DataFrame:
    """How far each change lies from what was to be expected.

    From the change of the whole survey: c_d - c, with V = V_d + V - 2 w V_d. The domain and the rest are taken as
    independent, so that the covariance of c_d with c, in which it has the share w, is w V_d; V is never taken as less
    than (1 - w)^2 V_d, its part from the domain alone. From the projection: on the logit scale, where it was made, with
    the variance of the prediction (from its interval) and that of the rate. Both are one sample's, which makes the
    difference smaller than that; the test is the more careful.

    Args:
        changes: KEY, estimate_before, change_pp, se_pp, df: of one survey, measure, wave and wave before.
        rates: KEY, population, estimate, se, df, n_effective: of the wave, same measure.
        projections: KEY, estimate, low, high, df: what the wave before projected for this one; may be empty. ``df`` is
            NULL where the interval is the normal distribution's.
        whole: domain type of the survey's total.
        level: confidence level of the projections' intervals.

    Returns:
        One row a change and reference ('mean_change', 'projection'), largest first: ``change_pp`` and what was
        expected, the difference in points and in standard errors, the two-sided p-value and Holm's, ``implausible``
        where the latter is below that of 3.5 standard errors. Left out: changes without a standard error above 0, all
        of a weighting whose total has none, and the total against itself.
    """
    known = changes.filter(pl.col("change_pp").is_not_null(), pl.col("se_pp") > 0)
    found = pl.concat([_from_mean(known, rates, whole=whole), _from_projection(changes, rates, projections, level)])
    adjusted = holm(found["p_value"].to_numpy())
    return (
        found.with_columns(pl.Series("p_adjusted", adjusted, dtype=pl.Float64))
        .with_columns((pl.col("p_adjusted") < LEVEL).alias("implausible"))
        .sort(pl.col("standard_errors").abs(), *KEY, "reference", descending=[True, *[False] * (len(KEY) + 1)])
        .select(pl.col(name).cast(kind) for name, kind in _DEPARTURES.items())
    )


def _from_mean(known: pl.DataFrame, rates: pl.DataFrame, *, whole: str) -> pl.DataFrame:
    shares = rates.select(*KEY, "population").join(
        rates.filter(pl.col("domain_type") == whole).select("unit_weighting", pl.col("population").alias("everyone")),
        on="unit_weighting",
        how="left",
    )
    total = known.filter(pl.col("domain_type") == whole).select(
        "unit_weighting", pl.col("change_pp").alias("expected_pp"), pl.col("se_pp").alias("total_se")
    )
    others = known.filter(pl.col("domain_type") != whole)
    rows = others.join(total, on="unit_weighting").join(shares, on=list(KEY), how="left")
    share = as_floats(rows["population"]) / as_floats(rows["everyone"])
    of_domain, of_total = np.square(as_floats(rows["se_pp"])), np.square(as_floats(rows["total_se"]))
    variance = np.maximum(of_domain + of_total - 2.0 * share * of_domain, np.square(1.0 - share) * of_domain)
    difference = as_floats(rows["change_pp"]) - as_floats(rows["expected_pp"])
    return _tested(rows, MEAN, difference / np.sqrt(variance), as_floats(rows["df"]))


def _from_projection(
    changes: pl.DataFrame, rates: pl.DataFrame, projections: pl.DataFrame, level: float
) -> pl.DataFrame:
    before = changes.filter(pl.col("change_pp").is_not_null()).select(*KEY, "change_pp", "estimate_before")
    projected = projections.select(
        *KEY, pl.col("estimate").alias("projected"), "low", "high", pl.col("df").alias("projected_df")
    )
    rows = (
        before.join(rates.select(*KEY, "estimate", "se", "df", "n_effective"), on=list(KEY))
        .join(projected, on=list(KEY))
        .filter(
            pl.col("projected").is_between(0.0, 1.0, closed="none"),
            pl.col("low") > 0.0,
            pl.col("high") < 1.0,
            pl.col("high") > pl.col("low"),
        )
        .with_columns((100.0 * (pl.col("projected") - pl.col("estimate_before"))).alias("expected_pp"))
    )
    rate, se = _inside(as_floats(rows["estimate"]), as_floats(rows["se"]), as_floats(rows["n_effective"]))
    df = as_floats(rows["projected_df"])
    # The interval is centre ± t s on the logit scale
    quantile = t_quantile(level, np.where(np.isnan(df), np.inf, df))
    spread = (special.logit(as_floats(rows["high"])) - special.logit(as_floats(rows["low"]))) / (2.0 * quantile)
    variance = np.square(spread) + np.square(se / (rate * (1.0 - rate)))
    ratio = (special.logit(rate) - special.logit(as_floats(rows["projected"]))) / np.sqrt(variance)
    return _tested(rows, PROJECTION, ratio, np.fmin(as_floats(rows["df"]), df))


def _inside(rate: FloatArray, se: FloatArray, effective: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A rate of 0 or 1 as (n* p + 1/2)/(n* + 1), with the standard error of that (method.md 6)."""
    edge = (rate <= 0.0) | (rate >= 1.0)
    moved = (effective * rate + 0.5) / (effective + 1.0)
    return np.where(edge, moved, rate), np.where(edge, np.sqrt(moved * (1.0 - moved) / effective), se)


def _tested(rows: pl.DataFrame, reference: str, ratio: FloatArray, df: FloatArray) -> pl.DataFrame:
    with np.errstate(invalid="ignore"):
        p_value = 2.0 * np.where(df > 0, special.stdtr(df, -np.abs(ratio)), special.ndtr(-np.abs(ratio)))
    return rows.select(
        *KEY,
        pl.lit(reference).alias("reference"),
        "change_pp",
        "expected_pp",
        (pl.col("change_pp") - pl.col("expected_pp")).alias("difference_pp"),
        pl.Series("standard_errors", ratio, dtype=pl.Float64),
        pl.Series("p_value", p_value, dtype=pl.Float64),
    ).filter(pl.col("p_value").is_not_nan())


def holm(p_values: FloatArray) -> FloatArray:
    """Holm's step-down adjustment ``(m,)``: the largest so far of (m - i + 1) p_(i), at most 1 (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1, dtype=np.float64))
    adjusted = np.empty_like(p_values, dtype=np.float64)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def turned_gradients(before: pl.DataFrame, after: pl.DataFrame, *, classes: list[str], level: float) -> pl.DataFrame:
    """Neighbouring classes of which the one that clearly led in the wave before clearly trails now.

    Clearly: the interval of the difference of the two rates, taken as independent, leaves 0 out in both waves.

    Args:
        before, after: domain_code, unit_weighting, estimate, se, df: rates of the classes in two waves that may be
            compared.
        classes: codes in their order.
        level: confidence level of the differences.

    Returns:
        lower, upper (codes), unit_weighting, before_pp, after_pp: upper less lower, in points.
    """
    found = []
    for weighting in sorted(set(before["unit_weighting"]) & set(after["unit_weighting"])):
        waves = []
        for frame in (before, after):
            rows = frame.filter(pl.col("unit_weighting") == weighting, pl.col("estimate").is_not_null())
            waves.append({row["domain_code"]: row for row in rows.iter_rows(named=True)})
        for lower, upper in itertools.pairwise(classes):
            if not all(code in wave for wave in waves for code in (lower, upper)):
                continue
            steps = [_step(wave[lower], wave[upper], level) for wave in waves]
            (was, clearly_was), (now, clearly_now) = steps
            if was * now < 0.0 and clearly_was and clearly_now:
                found.append((lower, upper, weighting, 100.0 * was, 100.0 * now))
    schema = {"lower": pl.String, "upper": pl.String, "unit_weighting": pl.String, "before_pp": pl.Float64}
    return pl.DataFrame(found, schema={**schema, "after_pp": pl.Float64}, orient="row")


def _step(lower: dict[str, float], upper: dict[str, float], level: float) -> tuple[float, bool]:
    step = upper["estimate"] - lower["estimate"]
    se = float(np.hypot(lower["se"], upper["se"]))
    df = min(lower["df"], upper["df"])
    half = float(t_quantile(level, np.array([df if df > 0 else np.inf], dtype=np.float64))[0]) * se
    return step, abs(step) > half
