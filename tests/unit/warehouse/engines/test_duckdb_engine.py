"""Microdata to cells by DuckDB: what the sums are, what an engine refuses, and that memory has a limit."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.errors import AxstatError
from pipelines.settings import Settings, load_settings
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.engines.engine import check_columns, open_cells, parquet_files
from pipelines.warehouse.engines.microdata import Microdata
from tests.cluster.hard_rows import questions, write_rows

ROWS = pl.DataFrame(
    {
        "stratum": ["a", "a", "a", "a", "b", "b"],
        "unit": [1, 1, 2, 2, 1, 2],
        "region": ["x", "x", "x", None, "y", "x"],
        "w": [1.0, 2.0, 4.0, 1.0, 0.0, 3.0],
        "y": [1.0, 0.0, 1.0, 1.0, 1.0, math.nan],
    }
)
ASKED = Microdata(types=dict(ROWS.schema), weight="w", strata="stratum", unit="unit", by=("region",), y="y")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"AXSTAT_HOME": str(tmp_path / "home")})


def cells(settings: Settings, name: str, rows: pl.DataFrame, asked: Microdata = ASKED) -> pl.DataFrame:
    settings.home.mkdir(exist_ok=True)
    file = settings.home / "rows.parquet"
    rows.write_parquet(file)
    with open_cells(settings, SqlCatalogue(settings.sql_dir), [file]) as maker:
        return maker.cells(name, asked)


def test_sums_by_unit_leave_out_what_is_missing_and_count_it(settings: Settings) -> None:
    found = cells(settings, "cells.unit_sums", ROWS).sort("stratum", "unit")
    assert found.select("stratum", "unit", "domain", "used_rows", "n", "n_missing", "weight", "top").rows() == [
        ("a", 1, "x", 2, 2, 0, 3.0, 1.0),
        ("a", 2, "x", 1, 1, 0, 4.0, 4.0),  # the row without a region is in no domain
        ("b", 1, "y", 1, 0, 0, 0.0, 0.0),  # used, of weight 0
        ("b", 2, "x", 0, 0, 1, 0.0, 0.0),  # NaN
    ]


def test_sums_by_value_have_a_row_for_each(settings: Settings) -> None:
    found = cells(settings, "cells.value_sums", ROWS).sort("stratum", "domain", "y")
    assert found.rows() == [
        ("a", "x", 0.0, 1.0, 1, 1, 2.0, 4.0),
        ("a", "x", 1.0, 1.0, 2, 2, 5.0, 17.0),
        ("b", "x", None, None, 1, 1, 3.0, 9.0),
        ("b", "y", 1.0, 1.0, 1, 0, 0.0, 0.0),
    ]


def test_moments_are_about_the_ratio_of_the_domain(settings: Settings) -> None:
    found = cells(settings, "cells.unit_moments", ROWS).filter(pl.col("stratum") == "a").to_dicts()[0]
    # Units of the domain x: sums of w y are 1 and 4, of w 3 and 4, the ratio 5/7
    away = [1 - 5 / 7 * 3, 4 - 5 / 7 * 4]
    assert found["about"] == pytest.approx(5 / 7)
    assert found["top"] == pytest.approx(sum(away), abs=1e-15)
    assert found["top_top"] == pytest.approx(sum(each**2 for each in away))
    assert found["top_bottom"] == pytest.approx(3 * away[0] + 4 * away[1])
    assert (found["bottom_bottom"], found["row_bottom_bottom"]) == (25.0, 21.0)
    assert found["row_top_top"] == pytest.approx(5 * (2 / 7) ** 2 + 2 * (5 / 7) ** 2)
    assert (found["n"], found["units"], found["acting"]) == (3.0, 2.0, 2.0)


def test_nan_is_missing_although_parquet_does_not_say_that_it_is_there(settings: Settings) -> None:
    """The smallest and largest value of a column chunk leave NaN out, which makes DuckDB take isnan() for false."""
    rows = pl.DataFrame({"w": np.ones(2000), "y": [math.nan, *range(1999)]})
    asked = Microdata(types=dict(rows.schema), weight="w", y="y")
    [found] = cells(settings, "cells.value_moments", rows, asked).to_dicts()
    assert (found["n"], found["n_missing"], found["about"]) == (1999.0, 1.0, 999.0)


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ({"w": [1.0, None]}, "weight_missing"),
        ({"w": [1.0, math.nan]}, "weight_missing"),
        ({"w": [1.0, -1.0]}, "weight_negative"),
        ({"w": [1.0, math.inf]}, "weight_infinite"),
        ({"w": [1.0, 1.0], "unit": [1, None]}, "unit_missing"),
    ],
)
def test_rows_at_fault_are_counted(settings: Settings, rows: dict[str, list[object]], fault: str) -> None:
    frame = pl.DataFrame({"unit": [1, 2], **rows})
    asked = Microdata(types=dict(frame.schema), weight="w", unit="unit")
    [found] = cells(settings, "cells.design_strata", frame, asked).to_dicts()
    faults = ("weight_missing", "weight_negative", "weight_infinite", "unit_missing")
    assert [name for name in faults if found[name]] == [fault]


def test_an_infinite_value_is_counted(settings: Settings) -> None:
    rows = pl.DataFrame({"w": [1.0, 1.0], "unit": [1, 2], "y": [1.0, math.inf]})
    asked = Microdata(types=dict(rows.schema), weight="w", unit="unit", y="y")
    for name in ("cells.value_moments", "cells.unit_moments"):
        assert cells(settings, name, rows, asked)["infinite"].sum() > 0


def test_values_that_stand_for_a_missing_one_are_missing(settings: Settings) -> None:
    rows = pl.DataFrame({"w": [1.0] * 4, "region": ["x", "NA", "x", "x"], "y": [1, 0, -9, 0]})
    asked = Microdata(types=dict(rows.schema), weight="w", by=("region",), y="y", missing={"region": ["NA"], "y": [-9]})
    found = cells(settings, "cells.value_moments", rows, asked)
    assert found.select("domain", "n", "n_missing", "about").rows() == [("x", 2.0, 1.0, 0.5)]


def test_the_same_cells_whatever_the_files(settings: Settings, tmp_path: Path) -> None:
    asked = questions()["ratio by code and size"]
    found = []
    for files in (1, 4):
        folder = tmp_path / str(files)
        folder.mkdir()
        with open_cells(settings, SqlCatalogue(settings.sql_dir), write_rows(folder, files=files)) as maker:
            found.append(maker.cells("cells.unit_sums", asked).select("stratum", "unit", "domain", "n", "weight"))
    assert found[0].sort("stratum", "unit", "domain").equals(found[1].sort("stratum", "unit", "domain"))


def test_beyond_its_memory_it_goes_on_on_disk(tmp_path: Path) -> None:
    """A million units of two sums by four domains take some 500 MB, of which 100 may be had."""
    size = 2_000_000
    rows = pl.DataFrame({"unit": np.arange(size) // 2, "region": np.arange(size) % 4, "w": np.ones(size)})
    (tmp_path / "home").mkdir()
    rows.write_parquet(tmp_path / "home" / "rows.parquet")
    settings = load_settings({"AXSTAT_HOME": str(tmp_path / "home"), "AXSTAT_MEMORY_LIMIT": "100MB"})
    asked = Microdata(types=dict(rows.schema), weight="w", unit="unit", by=("region",))
    with open_cells(settings, SqlCatalogue(settings.sql_dir), [tmp_path / "home" / "rows.parquet"]) as maker:
        found = maker.cells("cells.unit_moments", asked)
        assert sum(file.stat().st_size for file in settings.spill_dir.glob("*/*")) > 50e6
    assert found.select("n", "units", "top_top", "bottom_bottom").sort("n").rows() == [(5e5, 5e5, 0.0, 5e5)] * 4
    assert list(settings.spill_dir.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["year=2025/rows.parquet", "a[1].parquet", "_rows.parquet", ".rows.parquet", "a*.parquet"]
)
def test_names_that_engines_read_in_their_own_way_are_refused(settings: Settings, tmp_path: Path, name: str) -> None:
    with (
        pytest.raises(AxstatError) as raised,
        open_cells(settings, SqlCatalogue(settings.sql_dir), [tmp_path / name]),
    ):
        pass
    assert raised.value.code == "path_not_portable"


def test_columns_that_differ_by_case_are_refused() -> None:
    check_columns(["a", "b"], where="file f")
    with pytest.raises(AxstatError, match="Sales and sales"):
        check_columns(["a", "Sales", "sales"], where="file f")


def test_a_folder_holds_files_of_one_layout(tmp_path: Path) -> None:
    with pytest.raises(AxstatError) as raised:
        parquet_files(tmp_path, name="rows")
    assert raised.value.code == "no_parquet"
    ROWS.write_parquet(tmp_path / "2.parquet")
    ROWS.write_parquet(tmp_path / "1.parquet")
    assert [file.name for file in parquet_files(tmp_path, name="rows")] == ["1.parquet", "2.parquet"]
    ROWS.with_columns(pl.col("unit").cast(pl.String)).write_parquet(tmp_path / "3.parquet")
    with pytest.raises(AxstatError, match=r"3\.parquet[\s\S]*unit") as raised:
        parquet_files(tmp_path, name="rows")
    assert raised.value.code == "layouts_differ"


def test_a_broken_file_is_told(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 nothing PAR1")
    with (
        pytest.raises(AxstatError) as raised,
        open_cells(settings, SqlCatalogue(settings.sql_dir), [tmp_path / "rows.parquet"]) as maker,
    ):
        maker.cells("cells.value_sums", ASKED)
    assert raised.value.code == "engine_failed"
