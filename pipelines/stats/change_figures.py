"""What is published of a change: interval, test and direction.

Belongs here: figures made from one row of adoption_change. Does not belong here: estimates and their covariance
(change), the parts of a change (decomposition), distance to a target (trend).
"""

import numpy as np
import polars as pl
from scipy import special

from pipelines.stats.arrays import as_floats
from pipelines.stats.interval_formulas import t_interval

KEY = ("domain_type", "domain_code", "measure", "base", "unit_weighting")
FIGURES_SCHEMA = {
    **dict.fromkeys(KEY, pl.String),
    "n_before": pl.Int64,
    "n_after": pl.Int64,
    "n_common": pl.Int64,
    "estimate_before": pl.Float64,
    "estimate_after": pl.Float64,
    "change_pp": pl.Float64,
    "se_pp": pl.Float64,
    "ci_low_pp": pl.Float64,
    "ci_high_pp": pl.Float64,
    "ci_level": pl.Float64,
    "df": pl.Int64,
    "covariance": pl.Float64,
    "covariance_clipped": pl.Boolean,
    "p_value": pl.Float64,
    "direction": pl.String,
}


def change_figures(change: pl.DataFrame, *, level: float = 0.95) -> pl.DataFrame:
    """Changes with intervals, two-sided p-values and directions, in the order given.

    Args:
        change: rows of adoption_change.

    Returns:
        FIGURES_SCHEMA. Changes, SEs and limits in percentage points; ``df`` the smaller of both waves'; ``direction``
        'rose' or 'fell' where the interval leaves 0 out, else 'about_the_same'. NULL where a wave has no estimate. A
        change between two known values is its own interval and has no p-value. A rate of 0 or 1 that is not known has
        a standard error of 0 by the formula only: its change has no interval, no p-value and no direction.
    """
    points, se = 100.0 * as_floats(change["change"]), 100.0 * as_floats(change["change_se"])
    df = change.select(pl.min_horizontal("df_before", "df_after"))["df_before"]
    exact = (change["known_before"] & change["known_after"]).to_numpy()
    empty = pl.any_horizontal(
        pl.col(f"estimate_{when}").is_in([0.0, 1.0]) & ~pl.col(f"known_{when}") for when in ("before", "after")
    )
    usable = ~change.select(empty.fill_null(False)).to_series().to_numpy() & (as_floats(df) > 0)
    low, high = t_interval(points, np.square(se), as_floats(df), level=level)
    low, high = (np.where(exact, points, np.where(usable, limit, np.nan)) for limit in (low, high))
    with np.errstate(divide="ignore", invalid="ignore"):
        p_value = 2.0 * special.stdtr(as_floats(df), -np.abs(points / se))
    figures = {
        "change_pp": points,
        "se_pp": se,
        "ci_low_pp": low,
        "ci_high_pp": high,
        "p_value": np.where(exact | ~usable, np.nan, p_value),
    }
    return (
        change.with_columns(
            *(pl.Series(name, values).fill_nan(None) for name, values in figures.items()),
            df.alias("df"),
            pl.lit(level).alias("ci_level"),
        )
        .with_columns(
            pl.when(pl.col("ci_low_pp") > 0)
            .then(pl.lit("rose"))
            .when(pl.col("ci_high_pp") < 0)
            .then(pl.lit("fell"))
            .when(pl.col("ci_low_pp").is_not_null())
            .then(pl.lit("about_the_same"))
            .alias("direction")
        )
        .select(pl.col(name).cast(kind) for name, kind in FIGURES_SCHEMA.items())
    )
