"""Samples from files: columns, panel, overlap from wave to wave, contract, faults."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from pipelines.contracts.library import load_library
from pipelines.errors import ViolationsError
from pipelines.planning.draw import STRATA_COLUMNS, DrawnSample, contract_named, run_draw
from pipelines.planning.spec import load_draw
from pipelines.stats.selection import permanent_random_numbers

CONTRACTS = Path(__file__).resolve().parents[3] / "data_contracts"
SIZES = {"01": 400, "02": 60, "03": 5}
DRAWN = {"01": 80, "02": 45, "03": 5}
KEYS = {
    "survey": "firms",
    "wave": 2026,
    "frame": {"file": "frame.csv", "unit": "firm", "strata": "group", "random_number": "number"},
    "allocation": {"file": "allocation.csv"},
}

Draw = Callable[..., DrawnSample]


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """Draw by keys from tables, each written under its name."""

    def made(tables: dict[str, pl.DataFrame], **keys: object) -> DrawnSample:
        for name, table in tables.items():
            table.write_csv(tmp_path / name)
        path = tmp_path / "draw.yaml"
        path.write_text(yaml.safe_dump(KEYS | keys, sort_keys=False), encoding="utf-8")
        return run_draw(load_draw(path))

    return made


def frame(first: int = 0, seed: int = 1) -> pl.DataFrame:
    """Firms whose numbers begin with zeros; ``first``: so many of each group have left, and as many are born."""
    rows = [
        (f"{group}{unit:05d}", group)
        for group, size in SIZES.items()
        for unit in range(min(first, size - 1), size + min(first, size - 1))
    ]
    firms, groups = (list(column) for column in zip(*rows, strict=True))
    number = permanent_random_numbers(str(seed), firms)
    return pl.DataFrame({"firm": firms, "group": groups, "number": number})


def allocation(drawn: dict[str, int] = DRAWN) -> pl.DataFrame:
    return pl.DataFrame({"group": list(drawn), "drawn": list(drawn.values())})


def test_the_file_has_what_weighting_needs(draw: Draw) -> None:
    made = draw({"frame.csv": frame(), "allocation.csv": allocation()})
    sample = made.sample
    assert sample.columns == ["firm", "group", "inclusion_probability", "panel_since", "permanent_random_number"]
    assert made.strata.columns == ["group", *STRATA_COLUMNS]
    counts = sample.group_by("group").len().sort("group")
    assert dict(counts.iter_rows()) == DRAWN
    # Base weights give the frame back.
    weights = sample.group_by("group").agg((1 / pl.col("inclusion_probability")).sum().alias("n")).sort("group")
    assert weights["n"].to_list() == pytest.approx(list(SIZES.values()))
    assert sample["panel_since"].unique().to_list() == [2026]
    numbers = dict(frame().select("firm", "number").iter_rows())
    assert all(numbers[firm] == number for firm, number in sample.select("firm", "permanent_random_number").iter_rows())
    # Without a last sample strata start at 0: the lowest numbers are drawn.
    lowest = frame().filter(pl.col("group") == "01").sort("number").head(80)["firm"].sort()
    assert sample.filter(pl.col("group") == "01")["firm"].to_list() == lowest.to_list()


def test_rows_in_another_order_give_the_same_file(draw: Draw) -> None:
    tables = {"frame.csv": frame(), "allocation.csv": allocation()}
    first = draw(tables).sample
    again = draw({**tables, "frame.csv": frame().sample(fraction=1.0, shuffle=True, seed=3)}).sample
    assert first.equals(again)


def test_units_without_a_number_get_one_that_stays(draw: Draw) -> None:
    without = frame().with_columns(pl.when(pl.col("firm") < "02").then(None).otherwise("number").alias("number"))
    made = draw({"frame.csv": without, "allocation.csv": allocation()}).sample
    new = made.filter(pl.col("group") == "01")
    expected = permanent_random_numbers("firms", new["firm"].to_list())
    assert new["permanent_random_number"].to_list() == expected.tolist()
    given = made.filter(pl.col("group") == "02").join(frame(), on="firm")
    assert (given["permanent_random_number"] == given["number"]).all()


@pytest.mark.parametrize("starts", [True, False])
@pytest.mark.parametrize("overlap", [1.0, 0.7, 0.0])
def test_the_share_of_the_last_sample_that_is_asked_for_is_kept(draw: Draw, overlap: float, starts: bool) -> None:
    kept = []
    for seed in range(12):
        first = draw({"frame.csv": frame(seed=seed), "allocation.csv": allocation()}, wave=2025, start=0.3)
        last = {"file": "last.csv"} | ({"starts": "starts.csv"} if starts else {})
        second = draw(
            {
                "frame.csv": frame(first=20, seed=seed),
                "allocation.csv": allocation(),
                "last.csv": first.sample,
                "starts.csv": first.strata,
            },
            last=last,
            overlap=overlap,
        )
        rows = {row["group"]: row for row in second.strata.to_dicts()}
        kept.append(rows["01"]["kept"] / rows["01"]["last"])
        # Three quarters of group 02 are drawn: what two samples share at least is a half of the group.
        assert rows["02"]["kept"] >= 0.5 * rows["02"]["last"]
        assert rows["03"]["kept"] == rows["03"]["last"]
        both = set(first.sample["firm"]) & set(second.sample["firm"])
        since = dict(second.sample.select("firm", "panel_since").iter_rows())
        assert {firm for firm, year in since.items() if year == 2025} == both
        assert set(since.values()) == {2025, 2026}
        assert sum(row["kept"] for row in rows.values()) == len(both)
    # A deviation of chance: births and deaths of 5 % shift the end of the arc, and a found start is one of 400 off.
    assert np.mean(kept) == pytest.approx(overlap, abs=0.03)


def test_starts_move_on_from_wave_to_wave(draw: Draw) -> None:
    tables = {"frame.csv": frame(), "allocation.csv": allocation()}
    first = draw(tables, start=0.95)
    more = {**tables, "last.csv": first.sample, "starts.csv": first.strata}
    second = draw(more, last={"file": "last.csv", "starts": "starts.csv"}, overlap=0.5)
    # 0.95 + 0.5 x 80/400, 0.5 x 45/60, 0.5 x 1, round the circle.
    assert second.strata["start"].to_list() == pytest.approx([0.05, 0.325, 0.45])


def test_the_columns_of_the_contract(tmp_path: Path) -> None:
    """A draw for the enterprise survey: what is not the frame's or the draw's is what field work finds out."""
    library = load_library(CONTRACTS)
    contract = contract_named("industry_sample", dict(library.deliveries))
    units = pl.DataFrame(
        {
            "business_number": [f"{number:010d}" for number in range(40)],
            "selection_ksic_group": ["C"] * 40,
            "selection_size_class": ["10-49"] * 40,
            "selection_region": ["11"] * 20 + ["26"] * 20,
            "employees": list(range(40)),
        }
    )
    parts = ["selection_ksic_group", "selection_size_class", "selection_region"]
    units.write_csv(tmp_path / "frame.csv")
    pl.DataFrame({"g": ["C", "C"], "s": ["10-49"] * 2, "r": ["11", "26"], "n": [5, 8]}).write_csv(tmp_path / "a.csv")
    path = tmp_path / "draw.yaml"
    keys = {
        "survey": "industry",
        "wave": 2026,
        "contract": "industry_sample",
        "frame": {"file": "frame.csv", "unit": "business_number", "strata": parts},
        "allocation": {"file": "a.csv", "strata": ["g", "s", "r"], "drawn": "n"},
    }
    path.write_text(yaml.safe_dump(keys), encoding="utf-8")
    made = run_draw(load_draw(path), contract).sample
    assert tuple(made.columns) == contract.column_names
    assert made["disposition"].null_count() == made.height == 13
    assert made["business_number"].str.len_chars().unique().to_list() == [10]
    assert made.filter(pl.col("selection_region") == "26")["inclusion_probability"].unique().to_list() == [8 / 20]
    units.drop("selection_region").write_csv(tmp_path / "frame.csv")
    with pytest.raises(ViolationsError, match="unknown_column"):
        run_draw(load_draw(path), contract)
    with pytest.raises(ViolationsError, match="did you mean industry_sample"):
        contract_named("industry_sampl", dict(library.deliveries))
    with pytest.raises(ViolationsError, match="industry_sample, public_sample"):
        contract_named("business_frame", dict(library.deliveries))


def test_frame_allocation_and_last_sample_are_held_against_each_other(draw: Draw) -> None:
    good = {"frame.csv": frame(), "allocation.csv": allocation()}

    def codes(tables: dict[str, pl.DataFrame], **keys: object) -> dict[str, str]:
        with pytest.raises(ViolationsError) as raised:
            draw(good | tables, **keys)
        return {fault.code: fault.where for fault in raised.value.violations}

    found = codes({"allocation.csv": allocation({"01": 401, "02": 4, "04": 3})})
    assert found == {
        "stratum_without_allocation": "file allocation.csv, strata 03",
        "stratum_not_on_frame": "file allocation.csv, strata 04",
        "more_than_there_are": "file allocation.csv, strata 01",
    }
    twice = pl.concat([frame(), frame().head(2)])
    assert codes({"frame.csv": twice}) == {"repeated": "file frame.csv, column 'firm'"}
    assert "number_not_valid" in codes({"frame.csv": frame().with_columns(number=pl.lit(1.0))})
    last = {"file": "last.csv"}
    sample = draw(good).sample
    changed = sample.with_columns((pl.col("permanent_random_number") * 0.5).alias("permanent_random_number"))
    assert "number_changed" in codes({"last.csv": changed}, last=last)
    weights = sample.with_columns((1 / pl.col("inclusion_probability")).alias("inclusion_probability"))
    assert "probability_not_valid" in codes({"last.csv": weights}, last=last)
    assert "unknown_column" in codes({"last.csv": sample.rename({"panel_since": "since"})}, last=last)
