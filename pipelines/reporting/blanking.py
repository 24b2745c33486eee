"""What of the marts may not be printed, taken out before anything is made of them.

Belongs here: blanking rows of mart.change, mart.decomposition, mart.flow, mart.small_area and mart.benchmark by their
reliability. Does not belong here: the rule (stats.reliability), rows of rates and of progress (data).

Reliability is no secret: a blanked figure may be worked out from others, and nothing further is blanked for it.
"""

from collections.abc import Mapping, Sequence

import polars as pl

SUPPRESS = "suppress"
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


def blank(frame: pl.DataFrame, where: pl.Expr, columns: Sequence[str]) -> pl.DataFrame:
    """NULL in the columns of the rows."""
    return frame.with_columns(pl.when(where).then(None).otherwise(pl.col(name)).alias(name) for name in columns)


def blanked_comparisons(marts: Mapping[str, pl.DataFrame], wave: int) -> dict[str, pl.DataFrame]:
    """Those marts up to a wave, without what may not be printed."""
    cleaned = {}
    for name in COMPARISONS:
        frame = marts[name].filter(pl.col("wave") <= wave)
        for mark, columns in _BLANKED[name]:
            frame = blank(frame, pl.col(mark) == SUPPRESS, columns)
        cleaned[name] = frame
    return cleaned
