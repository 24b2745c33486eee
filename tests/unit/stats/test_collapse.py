"""The merging rule on small sets of cells."""

from collections.abc import Mapping

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import AxstatError
from pipelines.stats.collapse import (
    UNRESOLVED,
    Coarsening,
    collapse_cells,
    merge_sparse_strata,
    merge_take_all_strata,
)

ORDER = (
    Coarsening("region", "region_group", {"r1": "north", "r2": "north", "r3": "south", "r4": "south"}),
    Coarsening("region", "without region"),
    Coarsening("size", "without size"),
)


def strata(*rows: tuple[str, str, str, bool, int, int, int]) -> pl.DataFrame:
    return pl.DataFrame(
        list(rows),
        schema=["group", "size", "region", "take_all", "respondents", "observed", "population"],
        orient="row",
    ).with_columns(pl.concat_str(["group", "size", "region"], separator="/").alias("cell"))


def merged(table: pl.DataFrame) -> tuple[dict[str, str], list[tuple[str, ...]], tuple[str, ...]]:
    result = merge_sparse_strata(table, parts=["group", "size", "region"], order=ORDER)
    mapping = dict(zip(result.cells["cell"].to_list(), result.cells["merged_cell"].to_list(), strict=True))
    return mapping, [row[:3] for row in result.log.iter_rows()], result.unresolved


def test_nothing_sparse_nothing_merged() -> None:
    mapping, log, unresolved = merged(strata(("C", "a", "r1", False, 2, 2, 9), ("C", "a", "r2", False, 5, 6, 9)))
    assert mapping == {"C/a/r1": "C/a/r1", "C/a/r2": "C/a/r2"}
    assert log == []
    assert unresolved == ()


def test_the_sparse_cell_joins_the_smallest_in_its_region_group() -> None:
    table = strata(
        ("C", "a", "r1", False, 1, 1, 9),
        ("C", "a", "r2", False, 8, 8, 9),
        ("C", "a", "r3", False, 2, 2, 9),
        ("C", "b", "r1", False, 2, 2, 9),
    )
    mapping, log, _ = merged(table)
    assert mapping["C/a/r1"] == "C/a/r2"
    assert log == [("C/a/r1", "C/a/r2", "region_group")]


def test_levels_are_tried_in_order() -> None:
    """Alone in its region group, then with the smallest of the same group and size over all regions."""
    table = strata(
        ("C", "a", "r1", False, 1, 1, 9),
        ("C", "a", "r3", False, 4, 4, 9),
        ("C", "a", "r4", False, 3, 3, 9),
        ("C", "b", "r2", False, 2, 2, 9),
    )
    _, log, _ = merged(table)
    assert log == [("C/a/r1", "C/a/r4", "without region")]
    only = strata(("C", "a", "r1", False, 1, 1, 9), ("C", "b", "r3", False, 4, 4, 9))
    assert merged(only)[1] == [("C/a/r1", "C/b/r3", "without size")]


def test_merging_repeats_until_sufficient() -> None:
    table = strata(
        ("C", "a", "r1", False, 0, 0, 3),
        ("C", "a", "r2", False, 1, 1, 3),
        ("C", "a", "r3", False, 0, 0, 3),
        ("C", "a", "r4", False, 9, 9, 30),
    )
    mapping, log, _ = merged(table)
    # r1 (0) joins r2 (1): still sparse; r3 joins r4; then the pair joins the other one over all regions.
    assert log == [
        ("C/a/r1", "C/a/r2", "region_group"),
        ("C/a/r3", "C/a/r4", "region_group"),
        ("C/a/r2", "C/a/r4", "without region"),
    ]
    assert set(mapping.values()) == {"C/a/r4"}


def test_take_all_and_sampled_never_meet() -> None:
    table = strata(("C", "a", "r1", True, 1, 1, 3), ("C", "a", "r2", False, 1, 1, 9), ("C", "a", "r3", False, 5, 5, 9))
    mapping, log, unresolved = merged(table)
    assert mapping["C/a/r2"] == "C/a/r3"
    assert mapping["C/a/r1"] == "C/a/r1"
    assert unresolved == ("C/a/r1",)
    assert ("C/a/r1", "C/a/r1", UNRESOLVED) in log


def test_fully_observed_strata_are_left_alone() -> None:
    """One unit of one: no variance to estimate, so no merge; but it may take a sparse cell in."""
    table = strata(("C", "a", "r1", True, 1, 1, 1), ("C", "a", "r2", True, 4, 4, 6))
    assert merged(table)[1] == []


def test_ties_are_broken_by_label() -> None:
    table = strata(("C", "a", "r2", False, 1, 1, 9), ("C", "a", "r1", False, 1, 1, 9))
    mapping, log, _ = merged(table)
    assert log == [("C/a/r1", "C/a/r2", "region_group")]
    assert set(mapping.values()) == {"C/a/r2"}


def test_mistakes_are_named() -> None:
    table = strata(("C", "a", "r9", False, 1, 1, 9))
    with pytest.raises(AxstatError, match="'r9'"):
        merged(table)
    with pytest.raises(AxstatError, match="cell_not_distinct"):
        merged(pl.concat([table, table]))
    with pytest.raises(AxstatError, match="unknown_part"):
        merge_sparse_strata(table, parts=["group", "size"], order=ORDER)


cells = st.lists(
    st.tuples(st.sampled_from("CDE"), st.sampled_from("ab"), st.sampled_from(["r1", "r2", "r3", "r4"]), st.booleans()),
    unique=True,
    min_size=1,
    max_size=40,
)


@given(keys=cells, data=st.data())
@settings(max_examples=80, deadline=None)
def test_order_of_the_cells_does_not_matter_and_counts_are_kept(
    keys: list[tuple[str, str, str, bool]], data: st.DataObject
) -> None:
    rows = [(*key, data.draw(st.integers(0, 4)), 50) for key in keys]
    table = pl.DataFrame(
        rows, schema=["group", "size", "region", "take_all", "respondents", "population"], orient="row"
    ).with_columns(
        pl.concat_str([pl.col("group", "size", "region"), pl.col("take_all").cast(pl.String)], separator="/").alias(
            "cell"
        )
    )

    def sufficient(counts: Mapping[str, float]) -> str | None:
        return None if counts["respondents"] >= 3 else "too few"

    def run(frame: pl.DataFrame) -> tuple[dict[str, str], list[tuple[str, ...]]]:
        result = collapse_cells(
            frame,
            parts=["group", "size", "region"],
            order=(*ORDER, Coarsening("group", "without group")),
            counts=["respondents", "population"],
            size="respondents",
            sufficient=sufficient,
            block=["take_all"],
        )
        pairs = zip(result.cells["cell"].to_list(), result.cells["merged_cell"].to_list(), strict=True)
        return dict(pairs), result.log.rows()

    mapping, log = run(table)
    assert (mapping, log) == run(table.sample(fraction=1.0, shuffle=True, seed=1))
    summed = (
        table.with_columns(pl.col("cell").replace_strict(mapping).alias("merged"))
        .group_by("merged", "take_all")
        .agg(pl.col("respondents").sum())
    )
    # One take_all value a merged cell, and everything sufficient unless its whole block is too small.
    assert summed["merged"].is_unique().all()
    for block in (True, False):
        of_block = summed.filter(pl.col("take_all") == block)
        if of_block.height > 1:
            assert (of_block["respondents"] >= 3).all()


def test_take_all_strata_lose_the_parts_by_which_response_is_not_modelled() -> None:
    """Sampled strata, fully observed ones and other sizes stay; what is left of each group is logged once."""
    table = strata(
        ("C", "a", "r1", False, 5, 5, 90),
        ("C", "c", "r1", True, 5, 5, 9),
        ("C", "c", "r2", True, 6, 6, 9),
        ("C", "c", "r3", True, 7, 7, 7),
        ("C", "b", "r1", True, 8, 8, 9),
        ("D", "c", "r1", True, 9, 9, 10),
        ("D", "c", "r4", True, 4, 5, 10),
    )
    result = merge_take_all_strata(table, parts=["group", "size", "region"], modelled=["group", "size"])
    mapping = dict(zip(result.cells["cell"].to_list(), result.cells["merged_cell"].to_list(), strict=True))
    assert {cell: into for cell, into in mapping.items() if cell != into} == {"C/c/r1": "C/c/r2", "D/c/r4": "D/c/r1"}
    assert result.log.rows() == [
        ("C/c/r1", "C/c/r2", "without region", "take-all: response is modelled by group, size"),
        ("D/c/r4", "D/c/r1", "without region", "take-all: response is modelled by group, size"),
    ]
    assert result.cells.drop("merged_cell").equals(table)


def test_take_all_strata_stay_where_response_is_modelled_by_all_parts() -> None:
    table = strata(("C", "c", "r1", True, 5, 5, 9), ("C", "c", "r2", True, 6, 6, 9))
    result = merge_take_all_strata(table, parts=["group", "size", "region"], modelled=["size", "region", "group"])
    assert result.cells["merged_cell"].to_list() == ["C/c/r1", "C/c/r2"]
    assert result.log.height == 0
