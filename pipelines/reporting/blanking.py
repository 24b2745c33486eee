"""What of the marts may not be printed, taken out before anything is made of them.

Belongs here: which figures of a mart an unreliable or a confidential rate takes with it. Does not belong here: which
rates are unreliable (stats.reliability) or confidential (stats.cell_protection), how a mark looks (tables, figures).

Reliability is no secret: a blanked figure may be worked out from others, and nothing further is blanked for it. What is
confidential takes with it every figure from which it could be worked out.
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

# Everything that would tell a suppressed estimate, or let it be worked out
_BLANKED_RATE = (
    "adopters", "adopters_se", "estimate", "se", "ci_low", "ci_high", "deff", "n_effective", "cv",
)  # fmt: skip
# How many units a confidential cell has would help to tell it
_CONFIDENTIAL_RATE = ("n", "n_missing", "n_dont_know", "population", "df")
# The same for a row of mart.progress: where its own estimate is suppressed, and where only its baseline is
_BLANKED_PROGRESS = (
    "estimate", "se", "gap_pp", "gap_se_pp", "required_pp_per_year", "required_se_pp",
    "projected", "projected_low", "projected_high", "p_target",
)  # fmt: skip
_BLANKED_WITH_BASELINE = (
    "baseline", "share_of_distance", "share_se", "observed_pp_per_year", "observed_se_pp",
    "required_from_baseline_pp_per_year", "progress_ratio", "progress_ratio_low", "progress_ratio_high",
    "pace_status",
)  # fmt: skip
_BLANKED_SCENARIO = ("estimate", "pp_per_year", "logit_per_year", "in_target_year", "contribution_pp")

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

# What besides would tell a confidential cell: how many units there are and answered, what a model makes of it
_CONFIDENTIAL_TOO: Mapping[str, Sequence[str]] = {
    "change": ("n_before", "n_after", "n_common", "df"),
    "decomposition": ("share_before", "share_after"),
    "flow": ("n", "population"),
    "benchmark": (),
    "small_area": ("n", "gamma", "residual", "benchmark_weight"),
}

# Rows of these columns add up to a figure that is printed, so that one of them alone cannot be hidden
_ADDING_UP: Mapping[str, Sequence[str]] = {
    "decomposition": ("survey", "wave", "wave_before", "whole_type", "domain_type", "measure", "unit_weighting"),
    "small_area": ("survey", "wave", "domain_type", "measure", "unit_weighting"),
    "flow": ("survey", "wave", "wave_before", "domain_type", "measure", "unit_weighting"),
}
_SCENARIO_ADDING_UP = ("survey", "wave", "measure", "unit_weighting")


def blank(frame: pl.DataFrame, where: pl.Expr, columns: Sequence[str]) -> pl.DataFrame:
    """NULL in the columns of the rows."""
    return frame.with_columns(pl.when(where).then(None).otherwise(pl.col(name)).alias(name) for name in columns)


def printable(marts: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The marts as they may leave the house, marks as the contracts have them; tables without rates as they are.

    mart.adoption_rate says which rates are confidential and keeps their reliability beside it; what is made of them in
    other marts is suppressed.
    """
    made = blanked(marts)
    kept = marts["adoption_rate"].select("reliability", "reliability_reason")
    made["adoption_rate"] = made["adoption_rate"].with_columns(kept.get_columns())
    for name in COMPARISONS:
        made[name] = made[name].with_columns(
            pl.col(mark).replace(CONFIDENTIAL, SUPPRESS) for mark in dict(_BLANKED[name])
        )
    return made


def blanked(marts: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The marts without what may not be printed, a confidential rate marked so in place of its reliability.

    Nothing is projected from a rate that may not be printed, so those rows of mart.projection and mart.hindcast are
    left out, and where one of the waves behind them is confidential.

    Args:
        marts: tables by name; mart.adoption_rate says of all their waves what may be printed.
    """
    rates = _marked_confidential(marts["adoption_rate"])
    hidden = rates.filter(pl.col("reliability").is_in(HIDDEN)).select(_RATE_KEY).unique(maintain_order=True)
    confidential = rates.filter(pl.col("reliability") == CONFIDENTIAL).select(_RATE_KEY).unique(maintain_order=True)
    cleaned = dict(marts)
    shown = blank(rates, pl.col("reliability").is_in(HIDDEN), _BLANKED_RATE)
    cleaned["adoption_rate"] = blank(shown, pl.col("reliability") == CONFIDENTIAL, _CONFIDENTIAL_RATE)
    cleaned["progress"] = _blank_progress(marts["progress"], hidden)
    cleaned["scenario"] = _blank_scenario(marts["scenario"], hidden, confidential)
    series = [name for name in _RATE_KEY if name != "wave"]
    for name in ("projection", "hindcast"):
        free = marts[name].join(confidential, on=series, how="anti", maintain_order="left")
        cleaned[name] = free.join(hidden, on=_RATE_KEY, how="anti", maintain_order="left")
    for name in COMPARISONS:
        cleaned[name] = _blank_comparison(name, marts[name], confidential)
    return cleaned


def _marked_confidential(rates: pl.DataFrame) -> pl.DataFrame:
    is_free = pl.col("conf_status") == FREE
    return rates.with_columns(
        pl.when(is_free).then(pl.col(name)).otherwise(pl.lit(CONFIDENTIAL)).alias(name)
        for name in ("reliability", "reliability_reason")
    )


def _blank_comparison(name: str, frame: pl.DataFrame, confidential: pl.DataFrame) -> pl.DataFrame:
    columns = frame.columns
    frame = _with_confidential(frame, confidential)
    if name in _ADDING_UP:
        frame = frame.with_columns(pl.col("_confidential").any().over(_ADDING_UP[name]))
    for mark, blanked_columns in _BLANKED[name]:
        marked = pl.when("_confidential").then(pl.lit(CONFIDENTIAL)).otherwise(pl.col(mark)).alias(mark)
        frame = blank(frame.with_columns(marked), pl.col(mark).is_in(HIDDEN), blanked_columns)
    return blank(frame, pl.col("_confidential"), _CONFIDENTIAL_TOO[name]).select(columns)


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


def _blank_scenario(scenario: pl.DataFrame, hidden: pl.DataFrame, confidential: pl.DataFrame) -> pl.DataFrame:
    """Blank parts whose estimate may not be printed, and all of them where one is confidential: they add up."""
    marked = scenario.join(
        hidden.with_columns(pl.lit(True).alias("_hidden")), on=_RATE_KEY, how="left", maintain_order="left"
    ).join(confidential.with_columns(pl.lit(True).alias("_secret")), on=_RATE_KEY, how="left", maintain_order="left")
    secret = pl.col("_secret").fill_null(False).any().over(_SCENARIO_ADDING_UP)
    marked = marked.with_columns(secret.alias("_secret"), pl.col("_hidden").fill_null(False))
    shown = blank(marked, pl.col("_hidden") | pl.col("_secret"), _BLANKED_SCENARIO)
    return blank(shown, pl.col("_secret"), ("share",)).select(scenario.columns)


def _blank_progress(progress: pl.DataFrame, hidden: pl.DataFrame) -> pl.DataFrame:
    """Blank rows whose estimate is hidden, and of others what a hidden baseline would tell.

    A rate hidden on either base counts: a row of mart.progress does not say which base it stands on.
    """
    own = hidden.with_columns(pl.lit(True).alias("_own"))
    marked = progress.join(own, on=_RATE_KEY, how="left", maintain_order="left").join(
        own.rename({"wave": "baseline_wave", "_own": "_baseline"}),
        on=["baseline_wave" if name == "wave" else name for name in _RATE_KEY],
        how="left",
        maintain_order="left",
    )
    is_hidden = pl.col("_own").fill_null(False)
    shown = blank(marked, is_hidden, _BLANKED_PROGRESS)
    either = is_hidden | pl.col("_baseline").fill_null(False)
    return blank(shown, either, _BLANKED_WITH_BASELINE).select(progress.columns)
