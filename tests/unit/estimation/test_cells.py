"""Estimates from cells are those from rows, and what needs rows is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from pipelines.errors import AxstatError, ViolationsError
from pipelines.estimation.run import EstimateTable, run_specification
from pipelines.estimation.spec import load_specification
from pipelines.settings import load_settings
from tests.cluster.hard_rows import CODES, hard_rows

DESIGNS: dict[str, dict[str, Any]] = {
    "clusters": {"strata": "stratum", "stages": ["unit"], "weight": "weight", "population": "there"},
    "elements": {"strata": "stratum", "weight": "weight"},
    "clusters without strata": {"stages": "unit", "weight": "weight"},
    "elements of a finite population": {"strata": "stratum", "weight": "weight", "population": "share"},
}
ESTIMATES: list[dict[str, Any]] = [
    {"id": "mean", "statistic": "mean", "measure": "y"},
    {"id": "mean by code", "statistic": "mean", "measure": "y", "by": "code"},
    {"id": "share", "statistic": "proportion", "measure": "flag", "by": ["size", "code"]},
    {"id": "levels", "statistic": "proportion", "measure": "level", "by": "size"},
    {"id": "level", "statistic": "total", "measure": "level", "level": "pilot", "where": {"code": CODES[:6]}},
    {"id": "total", "statistic": "total", "measure": "y", "where": {"size": [1, 3]}, "by": "code"},
    {"id": "ratio", "statistic": "ratio", "measure": "y", "denominator": "x", "by": "size"},
    {"id": "nobody", "statistic": "mean", "measure": "y", "where": {"size": 99}},
    {"id": "nobody by", "statistic": "mean", "measure": "y", "where": {"code": "no such"}, "by": "size"},
    {"id": "whole", "statistic": "proportion", "measure": "whole"},
]

Estimated = Callable[..., EstimateTable]


@pytest.fixture
def estimated(tmp_path: Path) -> Estimated:
    """Estimates of a file beside the specification; with an engine, from cells."""

    def made(data: str, engine: str | None = None, **keys: Any) -> EstimateTable:
        path = tmp_path / "spec.yaml"
        path.write_text(yaml.safe_dump({"data": data, **keys}, allow_unicode=True, sort_keys=False), encoding="utf-8")
        settings = load_settings({"AXSTAT_HOME": str(tmp_path / "home"), "AXSTAT_ENGINE": engine or ""})
        return run_specification(load_specification(path), settings)

    return made


def rows() -> pl.DataFrame:
    """Weights that are not too far apart: how far, the engines' own tests see to."""
    frame = hard_rows(2400)
    moderate = pl.col("weight").clip(0.0, 9.0)
    return frame.with_columns(
        moderate.alias("weight"),
        pl.lit(0.25).alias("share"),
        pl.Series("whole", np.arange(frame.height) % 2, dtype=pl.Float64),
    )


def assert_equal(one: pl.DataFrame, other: pl.DataFrame) -> None:
    """Texts, counts and NULLs exactly, numbers to 1e-9."""
    assert one.schema == other.schema
    numbers = [name for name, dtype in one.schema.items() if dtype == pl.Float64]
    assert one.drop(numbers).equals(other.drop(numbers))
    for name in numbers:
        assert one[name].is_null().equals(other[name].is_null()), name
        np.testing.assert_allclose(
            one[name].drop_nulls().to_numpy(), other[name].drop_nulls().to_numpy(), rtol=1e-9, atol=1e-12, err_msg=name
        )


@pytest.mark.parametrize("design", DESIGNS)
def test_estimates_from_cells_are_those_from_rows(estimated: Estimated, tmp_path: Path, design: str) -> None:
    frame = rows()
    frame.write_parquet(tmp_path / "rows.parquet")
    folder = tmp_path / "many"
    folder.mkdir()
    frame[:1000].write_parquet(folder / "2025-1.parquet")
    frame[1000:].write_parquet(folder / "2025-2.parquet")
    keys = {"design": DESIGNS[design], "estimates": ESTIMATES, "confidence": {"methods": ["xlogit", "beta", "t"]}}
    from_rows = estimated("rows.parquet", **keys)
    assert from_rows.table["status"].unique().to_list() != ["empty_domain"]
    assert from_rows.table.filter(pl.col("id") == "mean by code").height == 9
    for data, engine in (("rows.parquet", "duckdb"), ("many", None)):
        from_cells = estimated(data, engine, **keys)
        assert from_cells.notes == ()
        assert_equal(from_cells.table, from_rows.table)


def test_a_file_that_is_no_parquet_is_read_by_the_same_rules(estimated: Estimated, tmp_path: Path) -> None:
    lines = ["h,w,y,code", "a,1,1,01", "a,2,0,1", "a,1,NA,1.0", "b,1,1,", "b,3,0,01"]
    (tmp_path / "rows.csv").write_text("\n".join(lines), encoding="cp949")
    keys = {
        "design": {"strata": "h", "weight": "w"},
        "estimates": [{"id": "p", "statistic": "proportion", "measure": "y", "by": "code"}],
    }
    assert_equal(estimated("rows.csv", "duckdb", **keys).table, estimated("rows.csv", **keys).table)
    assert list((tmp_path / "home" / "cells").iterdir()) == [tmp_path / "home" / "cells" / "spill"]


@pytest.mark.parametrize("rule", ["adjust", "average", "certainty", "remove"])
@pytest.mark.parametrize("inside", [False, True])
def test_lonely_units_are_treated_alike(estimated: Estimated, tmp_path: Path, rule: str, inside: bool) -> None:
    frame = pl.DataFrame(
        {
            "h": ["a"] * 4 + ["b"] * 2 + ["c"] * 3,
            "u": [1, 1, 2, 3, 1, 1, 1, 2, 2],
            "w": [2.0, 3.0, 1.0, 4.0, 2.5, 1.5, 3.0, 2.0, 2.0],
            "d": ["x", "y", "x", "y", "x", "y", "x", "y", "y"],
            "y": [3.0, 1.0, 2.0, 8.0, 5.0, 1.0, 2.0, 4.0, 7.0],
        }
    )
    frame.write_parquet(tmp_path / "rows.parquet")
    keys = {
        "design": {
            "strata": "h",
            "stages": "u",
            "weight": "w",
            "lonely_psu": rule,
            "lonely_psu_in_domain": inside,
        },
        "estimates": [
            {"id": "m", "statistic": "mean", "measure": "y", "by": "d"},
            {"id": "t", "statistic": "total", "measure": "y", "by": "d"},
        ],
    }
    assert_equal(estimated("rows.parquet", "duckdb", **keys).table, estimated("rows.parquet", **keys).table)


def test_take_all_strata_add_no_variance(estimated: Estimated, tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"h": ["a", "a", "b", "b"], "w": [1.0, 1.0, 3.0, 3.0], "all": [True, True, False, False], "y": [1, 9, 2, 4]}
    )
    frame.write_parquet(tmp_path / "rows.parquet")
    design = {"strata": "h", "weight": "w", "take_all": "all"}
    asked = [{"id": "t", "statistic": "total", "measure": "y"}]
    made = estimated("rows.parquet", "duckdb", design=design, estimates=asked).table.to_dicts()[0]
    # Stratum b: n/(n - 1) sum of (w y - mean)^2 = 2 (9 + 9)
    assert (made["estimate"], made["se"]) == (28.0, pytest.approx(6.0))


def test_take_all_strata_are_marked_by_0_and_1(estimated: Estimated, tmp_path: Path) -> None:
    pl.DataFrame({"w": [1.0, 1.0], "all": [1, 2], "y": [1, 9]}).write_parquet(tmp_path / "rows.parquet")
    for engine in ("duckdb", None):
        with pytest.raises(ViolationsError, match="not_a_mark"):
            estimated(
                "rows.parquet",
                engine,
                design={"weight": "w", "take_all": "all"},
                estimates=[{"id": "t", "statistic": "total", "measure": "y"}],
            )


def test_what_needs_rows_is_named_all_at_once(estimated: Estimated, tmp_path: Path) -> None:
    rows().write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(ViolationsError) as raised:
        estimated(
            "rows.parquet",
            "duckdb",
            design={"strata": "stratum", "stages": "unit", "weight": "weight", "nest": False},
            estimates=[
                {"id": "m", "statistic": "mean", "measure": "y"},
                {"id": "q", "statistic": "quantile", "measure": "y", "probabilities": [0.5]},
                {"id": "d", "statistic": "difference", "measure": "y", "between": [{"size": 1}, {"size": 2}]},
            ],
            tests=[{"id": "c", "test": "chisq", "row": "size", "column": "code"}],
            calibration={"method": "poststratify", "margins": {"size": {"1": 5, "2": 5, "3": 5}}},
        )
    assert {fault.code for fault in raised.value.violations} == {"needs_rows"}
    assert [fault.where for fault in raised.value.violations] == [
        "tests",
        "calibration",
        "design.nest: false",
        "estimates[1].statistic: quantile",
        "estimates[2].statistic: difference",
    ]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"estimates": [{"id": "m", "statistic": "mean", "measure": "z"}]}, "unknown_column"),
        ({"estimates": [{"id": "m", "statistic": "mean", "measure": "code"}]}, "not_a_number"),
        (
            {"estimates": [{"id": "m", "statistic": "ratio", "measure": "y", "denominator": "code"}]},
            "not_a_number",
        ),
        (
            {"estimates": [{"id": "m", "statistic": "proportion", "measure": "level", "level": "pilots"}]},
            "unknown_level",
        ),
        ({"design": {"weight": "code"}}, "not_a_number"),
        ({"design": {"weight": "y"}}, "weight_missing"),
        ({"design": {"strata": "code", "weight": "weight"}}, "label_missing"),
    ],
)
def test_columns_that_do_not_serve_are_refused(
    estimated: Estimated, tmp_path: Path, change: dict[str, Any], code: str
) -> None:
    rows().write_parquet(tmp_path / "rows.parquet")
    keys = {"design": {"weight": "weight"}, "estimates": ESTIMATES[:1], **change}
    with pytest.raises(ViolationsError) as raised:
        estimated("rows.parquet", "duckdb", **keys)
    assert code in {fault.code for fault in raised.value.violations}


def test_infinite_values_are_refused(estimated: Estimated, tmp_path: Path) -> None:
    pl.DataFrame({"w": [1.0, 1.0], "y": [1.0, np.inf]}).write_parquet(tmp_path / "rows.parquet")
    asked = [{"id": "m", "statistic": "mean", "measure": "y"}]
    with pytest.raises(AxstatError, match="infinite"):
        estimated("rows.parquet", "duckdb", design={"weight": "w"}, estimates=asked)


def test_no_rows_are_refused(estimated: Estimated, tmp_path: Path) -> None:
    pl.DataFrame(schema={"w": pl.Float64, "y": pl.Float64}).write_parquet(tmp_path / "rows.parquet")
    asked = [{"id": "m", "statistic": "mean", "measure": "y"}]
    with pytest.raises(AxstatError) as raised:
        estimated("rows.parquet", "duckdb", design={"weight": "w"}, estimates=asked)
    assert raised.value.code == "no_rows"


def test_values_that_differ_less_than_rounding_are_noted(estimated: Estimated, tmp_path: Path) -> None:
    """Units of three rows whose values are a million times further from 0 than from each other."""
    rng = np.random.default_rng(1)
    frame = pl.DataFrame({"u": np.arange(600) // 3, "w": np.ones(600), "y": 1e9 + rng.normal(0.0, 1.0, 600)})
    frame.write_parquet(tmp_path / "rows.parquet")
    keys = {"design": {"stages": "u", "weight": "w"}, "estimates": [{"id": "m", "statistic": "mean", "measure": "y"}]}
    from_cells, from_rows = estimated("rows.parquet", "duckdb", **keys), estimated("rows.parquet", **keys)
    assert from_cells.table["estimate"].item() == pytest.approx(from_rows.table["estimate"].item(), rel=1e-12)
    assert (from_cells.table["deff"].item(), from_rows.table["deff"].item() is None) == (None, False)
