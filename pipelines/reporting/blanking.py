"""What of the marts may not be printed, taken out before anything is made of them.

Belongs here: blanking rows of mart.change, mart.decomposition, mart.flow, mart.small_area and mart.benchmark by their
reliability, and by the confidentiality of the rates they are made of. Does not belong here: the rules
(stats.reliability), rows of rates and of progress (data).

Reliability is no secret: a blanked figure may be worked out from others, and nothing further is blanked for it. What is
confidential comes blanked in the marts; it is blanked here again, and marked, so that no form can tell it by mistake.
"""

from collections.abc import Mapping, Sequence

import polars as pl

SUPPRESS = "suppress"
# Not a reliability, but it stands in its place where an estimate is confidential: one mark a cell, the weightier one
CONFIDENTIAL = "confidential"
HIDDEN = (SUPPRESS, CONFIDENTIAL)
FREE = "F"
_RATE_KEY = ("survey", "wave", "domain_type", "domain_code", "measure", "unit_weighting")
COMPARISONS = ("change", "decomposition", "flow", "small_area", "benchmark")

# By mart: column of the mark, and what it blanks. A rate of a change stands in mart.adoption_rate with its own mark.
_BLANKED: Mapping[str, Sequence[tuple[str, Sequence[str]]]] = {
    "change": [
        (
            "reliability",
            (
                "estimate_before", "estimate_after", "change_pp", "se_pp", "ci_low_pp", "ci_high_pp", "covariance",
                "p_value", "direction",
            ),
        ),
    ],
    "decomposition": [
        (
            "reliability",
            (
                "estimate_before", "estimate_after", "within_pp", "within_se_pp", "composition_pp",
                "composition_se_pp", "contribution_pp", "contribution_se_pp",
            ),
        ),
    ],
    "flow": [("reliability", ("share", "se", "ci_low", "ci_high"))],
    "benchmark": [("reliability", ("estimate", "se", "ci_low", "ci_high", "difference_pp"))],
    "small_area": [
        ("direct_reliability", ("direct", "direct_se", "direct_ci_low", "direct_ci_high")),
        ("reliability", ("estimate", "rmse", "ci_low", "ci_high", "smoothed_se")),
    ],
}  # fmt: skip


# What besides would tell a confidential cell: how many units there are and answered
_CONFIDENTIAL_TOO: Mapping[str, Sequence[str]] = {
    "change": ("n_common",),
    "decomposition": ("share_before", "share_after"),
    "flow": ("n", "population"),
    "benchmark": (),
    "small_area": ("n", "gamma", "residual", "benchmark_weight"),
}


def blank(frame: pl.DataFrame, where: pl.Expr, columns: Sequence[str]) -> pl.DataFrame:
    """NULL in the columns of the rows."""
    return frame.with_columns(pl.when(where).then(None).otherwise(pl.col(name)).alias(name) for name in columns)


def marked_confidential(rates: pl.DataFrame) -> pl.DataFrame:
    """Rows of mart.adoption_rate whose reliability says so where they are confidential."""
    is_free = pl.col("conf_status") == FREE
    return rates.with_columns(
        pl.when(is_free).then(pl.col(name)).otherwise(pl.lit(CONFIDENTIAL)).alias(name)
        for name in ("reliability", "reliability_reason")
    )


def blanked_comparisons(marts: Mapping[str, pl.DataFrame], rates: pl.DataFrame, wave: int) -> dict[str, pl.DataFrame]:
    """Those marts up to a wave, without what may not be printed.

    Args:
        marts: tables by name.
        rates: mart.adoption_rate, marked by :func:`marked_confidential`.
        wave: the release's.
    """
    confidential = rates.filter(pl.col("reliability") == CONFIDENTIAL).select(_RATE_KEY).unique(maintain_order=True)
    cleaned = {}
    for name in COMPARISONS:
        frame = marts[name].filter(pl.col("wave") <= wave)
        columns = frame.columns
        frame = _with_confidential(frame, confidential)
        for mark, blanked in _BLANKED[name]:
            marked = pl.when("_confidential").then(pl.lit(CONFIDENTIAL)).otherwise(pl.col(mark)).alias(mark)
            frame = blank(frame.with_columns(marked), pl.col(mark).is_in(HIDDEN), blanked)
        cleaned[name] = blank(frame, pl.col("_confidential"), _CONFIDENTIAL_TOO[name]).select(columns)
    return cleaned


def _with_confidential(frame: pl.DataFrame, confidential: pl.DataFrame) -> pl.DataFrame:
    """A column `_confidential`: the rate of this wave or of the one it is compared with is."""
    if "ref_year" in frame.columns:
        # mart.benchmark has our rates by unit, of the other's year
        confidential = confidential.filter(unit_weighting="unit").drop("unit_weighting").rename({"wave": "ref_year"})
    key = confidential.columns
    own = confidential.with_columns(pl.lit(True).alias("_own"))
    joined = frame.join(own, on=key, how="left", maintain_order="left")
    found = pl.col("_own").fill_null(False)
    if "wave_before" in frame.columns:
        earlier = confidential.rename({"wave": "wave_before"}).with_columns(pl.lit(True).alias("_earlier"))
        joined = joined.join(earlier, on=earlier.columns[:-1], how="left", maintain_order="left")
        found = found | pl.col("_earlier").fill_null(False)
    return joined.with_columns(found.alias("_confidential"))
