"""What the order of units, and the random numbers that belong to them, come from.

Belongs here: the column ``draw_id`` of units and samples. Does not belong here: the numbers (replicate_draws, donors),
who a unit is, which only ``unit_id`` says.

Units of two waves are matched by ``unit_id``. Where that is a hash with a secret, two warehouses know one unit by two
names; were order and numbers of units to come from the name, sums would differ in their last digit and draws altogether
although the deliveries are the same. They come from ``draw_id``, which the sample file decides; a frame without that
column has identifiers of its own, and they come from those.
"""

import polars as pl

DRAW_ID = "draw_id"


def with_draw_id(units: pl.DataFrame) -> pl.DataFrame:
    """The units ``(n,)`` with ``draw_id``, that of the frame or, where it has none, ``unit_id``."""
    if DRAW_ID in units.columns:
        return units
    return units.with_columns(pl.col("unit_id").cast(pl.String).alias(DRAW_ID))


def in_draw_order(units: pl.DataFrame) -> pl.DataFrame:
    """The units in the order of ``draw_id``, which they have afterwards."""
    return with_draw_id(units).sort(DRAW_ID)
