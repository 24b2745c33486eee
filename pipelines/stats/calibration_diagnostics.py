"""What a calibration did to the weights, as tables.

Belongs here: the distribution of the g-weights, distances from the margins, design effect of the weights, the largest
weights. Does not belong here: whether that is acceptable (a survey's contract), the calibration itself (calibration).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from pipelines.errors import AxstatError
from pipelines.stats.arrays import FloatArray
from pipelines.stats.calibration import Calibration
from pipelines.stats.terms import raise_faults, unknown_name

QUANTILES: Final = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

AT_BOUND: Final = 1e-6
"""A g-weight is at its bound within this share of the width between the bounds."""


@dataclass(frozen=True, eq=False)
class CalibrationDiagnostics:
    """Three tables.

    ``factors``: diagnostic, value. Of the rows with a weight before: n, factor_min, factor_q01 to factor_q99,
    factor_max, factor_mean, factor_cv, share_at_low, share_at_high, share_negative (shares of rows), sum_before,
    sum_after, kish_deff_before, kish_deff_after (n sum(w^2)/sum(w)^2 = 1 + CV^2), effective_n_after (n over it).
    ``margins``: margin, level, n, before, after, total, absolute_before, absolute_after (the sum minus the total),
    relative_before, relative_after (of the total; null where it is 0), se_before (absolute_before in standard
    errors of the sum before calibration; null where none is known).
    ``largest``: row (1-based), before, factor, after: the rows with the largest weights after.
    """

    factors: pl.DataFrame
    margins: pl.DataFrame
    largest: pl.DataFrame


def diagnose(
    calibration: Calibration,
    before: FloatArray,
    *,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    standard_errors: Mapping[tuple[str, str | None], float] | None = None,
    n_largest: int = 10,
) -> CalibrationDiagnostics:
    """Describe a calibration of the weights ``before`` ``(n,)``.

    Args:
        bounds: those the calibration was given.
        standard_errors: of the sums before calibration, by margin and level (None for a term).
        n_largest: number of rows in ``largest``.

    Raises:
        ViolationsError: standard errors of levels that were not calibrated on.
        AxstatError: no row with a weight.
    """
    known = standard_errors or {}
    keys = list(zip(calibration.margins["margin"].to_list(), calibration.margins["level"].to_list(), strict=True))
    names = [_named(*key) for key in keys]
    raise_faults(
        "diagnostics",
        [
            unknown_name("unknown_margin", f"standard error of {_named(*key)}", "a level or term", _named(*key), names)
            for key in known
            if key not in keys
        ],
    )
    acting = before > 0
    if not acting.any():
        raise AxstatError(
            "no_weight",
            where="diagnostics",
            expected="rows with a weight above 0 before calibration",
            got="none",
            hint="check the weights that went into the calibration",
        )
    factor, after = calibration.factor[acting], calibration.weight
    kept = factor / calibration.rescaled
    room = AT_BOUND * (bounds[1] - bounds[0]) if math.isfinite(bounds[1] - bounds[0]) else AT_BOUND
    deff = kish_deff(after[acting])
    rows: list[tuple[str, float]] = [
        ("n", float(acting.sum())),
        ("factor_min", float(factor.min())),
        *[(f"factor_q{round(100 * q):02d}", float(np.quantile(factor, q))) for q in QUANTILES],
        ("factor_max", float(factor.max())),
        ("factor_mean", float(factor.mean())),
        ("factor_cv", float(factor.std() / factor.mean())),
        ("share_at_low", float((kept <= bounds[0] + room).mean())),
        ("share_at_high", float((kept >= bounds[1] - room).mean())),
        ("share_negative", float((after[acting] < 0).mean())),
        ("sum_before", float(before.sum())),
        ("sum_after", float(after.sum())),
        ("kish_deff_before", kish_deff(before[acting])),
        ("kish_deff_after", deff),
        ("effective_n_after", float(acting.sum()) / deff),
    ]
    total = pl.when(pl.col("total") != 0).then(pl.col("total").abs())
    margins = calibration.margins.select(
        "margin",
        "level",
        "n",
        "before",
        "after",
        "total",
        (pl.col("before") - pl.col("total")).alias("absolute_before"),
        (pl.col("after") - pl.col("total")).alias("absolute_after"),
        ((pl.col("before") - pl.col("total")) / total).alias("relative_before"),
        ((pl.col("after") - pl.col("total")) / total).alias("relative_after"),
        pl.Series("se", [known.get(key) for key in keys], dtype=pl.Float64),
    ).with_columns((pl.col("absolute_before") / pl.when(pl.col("se") > 0).then(pl.col("se"))).alias("se_before"))
    top = np.argsort(-after, kind="stable")[:n_largest]
    return CalibrationDiagnostics(
        factors=pl.DataFrame(rows, schema={"diagnostic": pl.String, "value": pl.Float64}, orient="row"),
        margins=margins.drop("se"),
        largest=pl.DataFrame(
            {"row": top + 1, "before": before[top], "factor": calibration.factor[top], "after": after[top]}
        ),
    )


def kish_deff(weight: FloatArray) -> float:
    """Kish's design effect of unequal weights, n sum(w^2)/sum(w)^2."""
    return float(len(weight) * np.square(weight).sum() / weight.sum() ** 2)


def _named(margin: str, level: str | None) -> str:
    return margin if level is None else f"{margin}={level}"
