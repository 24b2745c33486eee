"""Counts of units that left their class, came and went, by hand."""

import polars as pl

from pipelines.stats.frame_changes import frame_changes

PARTS = ("group", "size")
TODAY = pl.DataFrame(
    {
        "unit_id": ["a", "b", "c", "d", "e"],
        "selection_stratum": ["g/1", "g/1", "g/2", "h/1", "h/1"],
        "group": ["g", "g", "g", "h", None],
        "size": ["1", "2", "2", "1", "1"],
    }
)
BEFORE = pl.DataFrame({"unit_id": ["a", "b", "d", "z"], "group": ["g", "g", "g", "h"], "size": ["1", "2", "1", "1"]})


def test_units_that_left_their_class() -> None:
    """b is of another size than its stratum, e of no group; d moved with its stratum's label."""
    found = frame_changes(TODAY, pl.Series(["b", "c", "e", "gone"]), parts=PARTS, previous=BEFORE)
    assert found == {"frame_units": 5, "stratum_jumper": 2, "frame_new": 2, "frame_gone": 1, "frame_moved": 1}


def test_the_first_wave_has_nothing_before() -> None:
    found = frame_changes(TODAY, pl.Series(["a"]), parts=PARTS, previous=None)
    assert found == {"frame_units": 5, "stratum_jumper": 0}


def test_the_order_of_rows_does_not_matter() -> None:
    ways = [frame_changes(frame, pl.Series(["b"]), parts=PARTS, previous=BEFORE) for frame in (TODAY, TODAY.reverse())]
    assert ways[0] == ways[1]
