"""What became of the frame: units that left the class they were selected in, and units that came and went.

Belongs here: counts of them. Does not belong here: what is done about them. A unit keeps its stratum of selection for
life and is reported where it is today (method.md 2), so that nothing here changes a weight.
"""

from collections.abc import Sequence

import polars as pl

from pipelines.stats.weighting import STRATUM_SEPARATOR


def frame_changes(
    frame: pl.DataFrame, selected: pl.Series, *, parts: Sequence[str], previous: pl.DataFrame | None
) -> dict[str, int]:
    """Counts of units by what became of them.

    Args:
        frame: unit_id, selection_stratum and the columns ``parts``, today's values of what strata are made of.
        selected: unit_id of the sample.
        previous: unit_id and ``parts`` of the last wave's frame; None: there is none.

    Returns:
        ``frame_units``; ``stratum_jumper``: selected units that are in another class than that of their stratum, or in
        none; and with a previous frame ``frame_new``, ``frame_gone`` and ``frame_moved``: in both, in another class.
    """
    today = frame.select("unit_id", "selection_stratum", _class(parts))
    jumped = pl.col("class").ne_missing(pl.col("selection_stratum"))
    found = {
        "frame_units": frame.height,
        "stratum_jumper": today.filter(jumped & pl.col("unit_id").is_in(selected.implode())).height,
    }
    if previous is None:
        return found
    both = previous.select("unit_id", _class(parts).alias("before")).join(today, on="unit_id", how="inner")
    return found | {
        "frame_new": frame.height - both.height,
        "frame_gone": previous.height - both.height,
        "frame_moved": both.filter(pl.col("before").ne_missing(pl.col("class"))).height,
    }


def _class(parts: Sequence[str]) -> pl.Expr:
    return pl.concat_str([pl.col(name).cast(pl.String) for name in parts], separator=STRATUM_SEPARATOR).alias("class")
