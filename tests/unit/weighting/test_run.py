"""From specification to weights: factors by hand, what is refused, and the figures told of the steps."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipelines.errors import AxstatError, ViolationsError
from pipelines.stats.calibration import rake
from pipelines.weighting import run
from pipelines.weighting.diagnostics import DIAGNOSTIC_COLUMNS, STEPS
from pipelines.weighting.rows import WEIGHT_COLUMNS
from tests.unit.weighting.conftest import CODES, Weigh

FACTORS = ("base_weight", "eligibility_factor", "nonresponse_factor", "calibration_factor", "trimming_factor")
KEYS: dict[str, Any] = {
    "unit": "id",
    "base": {"probability": "pi"},
    "status": {"column": "disposition"} | CODES,
    "response": {"classes": ["region"], "min_respondents": 3},
}


def value(diagnostics: pl.DataFrame, name: str, step: str, cell: str | None = None) -> float:
    rows = diagnostics.filter(
        (pl.col("diagnostic") == name) & (pl.col("step") == step) & pl.col("cell").eq_missing(pl.lit(cell, pl.String))
    )
    assert rows.height == 1
    return float(rows["value"][0])


def test_factors_by_hand(weigh: Weigh, firms: pl.DataFrame) -> None:
    """Region 01: R 20 + 3 x 10, E 10, U 10, O 10; 1 + 10/70, then 60/50. Region 02: R 30, E 20; 50/30."""
    made = weigh({"sample.csv": firms}, **KEYS, keep=["employees", "id", "employees"])
    weights = made.weights
    assert weights.columns == ["id", *WEIGHT_COLUMNS, "employees"]
    assert weights["id"].to_list() == firms["id"].to_list()
    shared, north, south = 8 / 7, 6 / 5, 5 / 3
    expected = {
        "base_weight": [20.0] + [10.0] * 11,
        # A unit of unknown eligibility gives its weight to all others, an eligible one that is silent to respondents.
        "eligibility_factor": [shared] * 5 + [0.0, shared] + [1.0] * 5,
        "nonresponse_factor": [north] * 4 + [0.0, 1.0, 1.0] + [south] * 3 + [0.0] * 2,
        "calibration_factor": [1.0] * 12,
        "trimming_factor": [1.0] * 12,
    }
    for name, values in expected.items():
        np.testing.assert_allclose(weights[name].to_numpy(), values, rtol=1e-14, err_msg=name)
    np.testing.assert_allclose(weights["weight"].to_numpy(), np.prod(list(expected.values()), axis=0), rtol=1e-14)
    assert weights["nonresponse_class"].to_list() == ["01"] * 7 + ["02"] * 5
    assert weights["post_stratum"].null_count() == 12
    for step in STEPS:
        assert value(made.diagnostics, "sum", step) == pytest.approx(130.0, rel=1e-14)
    assert [value(made.diagnostics, "n", step) for step in STEPS] == [12, 11, 8, 8, 8]
    assert made.notes == ()


def test_response_rates_by_hand(weigh: Weigh, firms: pl.DataFrame) -> None:
    """I 6, P 1, R 3, U 1, O 1: RR1 = 6/11, RR2 = 7/11, e = 10/11, RR3 = 6/(10 + e), RR5 = 6/10; weights of class 01."""
    told = weigh({"sample.csv": firms}, **KEYS).diagnostics
    assert tuple(told.columns) == DIAGNOSTIC_COLUMNS
    e = 10 / 11
    expected = {"e": e, "rr1": 6 / 11, "rr2": 7 / 11, "rr3": 6 / (10 + e), "rr4": 7 / (10 + e), "rr5": 0.6, "rr6": 0.7}
    for name, rate in expected.items():
        assert value(told, name, "response") == pytest.approx(rate, rel=1e-14)
    assert value(told, "rr1", "response", "01") == pytest.approx(3 / 6)
    assert value(told, "weighted_rr2", "response") == pytest.approx(80 / 120)
    assert value(told, "out_of_scope", "sample") == 1


def test_distribution_by_hand(weigh: Weigh, firms: pl.DataFrame) -> None:
    told = weigh({"sample.csv": firms}, **KEYS).diagnostics
    weights = np.array([20.0] + [10.0] * 11)
    cv = np.sqrt((weights**2).mean() / weights.mean() ** 2 - 1)
    assert value(told, "cv", "base") == pytest.approx(cv, rel=1e-12)
    assert value(told, "kish_deff", "base") == pytest.approx(1 + cv**2, rel=1e-12)
    assert (value(told, "min", "base"), value(told, "q50", "base"), value(told, "max", "base")) == (10, 10, 20)


def test_all_rows_respond_without_status(weigh: Weigh, firms: pl.DataFrame) -> None:
    made = weigh({"sample.csv": firms}, unit="id", base={"probability": "pi"})
    assert made.weights["status"].unique().to_list() == ["respondent"]
    assert made.weights["weight"].to_list() == (1 / firms["pi"]).to_list()
    assert made.diagnostics.filter(pl.col("step") == "response").is_empty()


def test_without_response_the_weight_lost_is_told(weigh: Weigh, firms: pl.DataFrame) -> None:
    keys = {key: item for key, item in KEYS.items() if key != "response"}
    made = weigh({"sample.csv": firms}, **keys)
    assert made.weights["weight"].sum() == pytest.approx(90)
    # 40 of 130: three eligible and one unknown
    assert "4 units without an answer, 30.8 % of the base weight" in made.notes[0]


@pytest.mark.parametrize("out_of_scope", [True, False])
def test_units_out_of_scope_are_calibrated_or_not(weigh: Weigh, firms: pl.DataFrame, out_of_scope: bool) -> None:
    plan = {"method": "rake", "margins": {"region": {"01": 90.0, "02": 60.0}}, "out_of_scope": out_of_scope}
    weights = weigh({"sample.csv": firms}, **KEYS, calibration=plan).weights
    counted = weights if out_of_scope else weights.filter(pl.col("status") == "respondent")
    sums = dict(counted.group_by("nonresponse_class").agg(pl.col("weight").sum()).iter_rows())
    assert sums == {"01": pytest.approx(90, rel=1e-12), "02": pytest.approx(60, rel=1e-12)}
    outside = weights.filter(pl.col("status") == "out_of_scope")["calibration_factor"][0]
    assert (outside == 1) is not out_of_scope


def test_margins_and_totals_are_counted_on_the_frame(weigh: Weigh, firms: pl.DataFrame) -> None:
    """A frame of 60 units in region 01 and 40 in 02; the codes keep their zero."""
    each = pl.DataFrame({"region": ["01"] * 30 + ["02"] * 20, "employees": [*range(1, 31), *range(21, 61, 2)]})
    frame = pl.concat([each, each])
    made = weigh(
        {"sample.csv": firms, "frame.csv": frame},
        **KEYS,
        frame={"file": "frame.csv"},
        calibration={"method": "raking", "margins": ["region"], "totals": ["employees"], "bounds": "narrowest"},
    )
    joined = made.weights.with_columns(firms["region"], firms["employees"])
    assert dict(joined.group_by("region").agg(pl.col("weight").sum()).iter_rows()) == {
        "01": pytest.approx(60, rel=1e-9),
        "02": pytest.approx(40, rel=1e-9),
    }
    total = (joined["weight"] * joined["employees"]).sum()
    assert total == pytest.approx(frame["employees"].sum(), rel=1e-9)
    told = made.diagnostics
    assert value(told, "margin_total", "calibration", "region=01") == 60
    assert value(told, "margin_before", "calibration", "region=01") == pytest.approx(80)
    assert value(told, "distance_before", "calibration", "region=01") == pytest.approx(20 / 60)
    assert abs(value(told, "distance_after", "calibration", "employees")) <= 1e-9
    low, high = value(told, "bound_low", "calibration"), value(told, "bound_high", "calibration")
    carried = made.weights.filter(pl.col("weight") > 0)["calibration_factor"]
    assert low <= carried.min() <= carried.max() <= high
    assert any("narrowest" in note for note in made.notes)


def test_narrowest_bounds_by_hand(weigh: Weigh, firms: pl.DataFrame) -> None:
    """Sums before are 80 and 50: factors 60/80 and 60/50, the bounds wider by a tenth of 0.45 in all."""
    plan = {"method": "logit", "margins": {"region": {"01": 60.0, "02": 60.0}}, "bounds": "narrowest"}
    told = weigh({"sample.csv": firms}, **KEYS, calibration=plan).diagnostics
    assert value(told, "bound_low", "calibration") == pytest.approx(0.75 - 0.0225, rel=1e-6)
    assert value(told, "bound_high", "calibration") == pytest.approx(1.2 + 0.0225, rel=1e-6)


@pytest.mark.parametrize("method", ["poststratify", "rake", "linear", "logit"])
def test_trimming_keeps_limits_and_totals(weigh: Weigh, firms: pl.DataFrame, method: str) -> None:
    plan: dict[str, Any] = {"method": method, "margins": {"region": {"01": 90.0, "02": 60.0}}}
    if method == "logit":
        plan["bounds"] = [0.5, 2]
    made = weigh({"sample.csv": firms}, **KEYS, calibration=plan, trimming={"high": 26})
    weights = made.weights.with_columns(firms["region"])
    untrimmed = np.prod([weights[name].to_numpy() for name in FACTORS[:4]], axis=0)
    # Firm f01 would get 20 x 8/7 x 6/5 x 9/8 = 30.86.
    assert untrimmed.max() == pytest.approx(20 * 8 / 7 * 6 / 5 * 9 / 8, rel=1e-9)
    assert weights["weight"].max() == 26
    assert weights.filter(pl.col("region") == "01")["weight"].sum() == pytest.approx(90, rel=1e-9)
    told = made.diagnostics
    assert value(told, "n_cut", "trimming") == 1
    assert value(told, "n_at_high", "trimming") == 1
    assert value(told, "trimmed_share", "trimming") == pytest.approx((untrimmed.max() - 26) / 150, rel=1e-9)


def test_interquartile_limits(weigh: Weigh, firms: pl.DataFrame) -> None:
    """The median plus two interquartile ranges, by R's quartiles of type 7."""
    table = firms.with_columns(pl.Series("w", [30.0, 8, 9, 10, 11, 12, 8, 9, 10, 11, 12, 10]))
    made = weigh({"sample.csv": table}, unit="id", base={"weight": "w"}, trimming={"iqr": 2})
    # Sorted 8 8 9 9 10 10 10 11 11 12 12 30: quartiles 9 and 11.25, median 10, limit 10 + 2 x 2.25.
    assert value(made.diagnostics, "limit_high", "trimming") == pytest.approx(14.5)
    assert made.weights["weight"].max() == pytest.approx(14.5)
    assert made.weights["weight"].sum() == pytest.approx(140)


def test_propensities(weigh: Weigh, firms: pl.DataFrame) -> None:
    """With a factor by region alone, inverse propensities are the inverse response rates, by weight."""
    keys = KEYS | {
        "response": {"min_respondents": 1, "model": {"terms": ["region"], "use": "inverse", "categorical": ["region"]}}
    }
    made = weigh({"sample.csv": firms}, **keys)
    factor = made.weights.filter(pl.col("nonresponse_factor") > 0).filter(pl.col("status") == "respondent")
    # Region 01: 50 of 60 responded; 02: 30 of 50. Over all 110 x 130/120 is kept, as is the ratio of the two.
    by_unit = dict(factor.select("id", "nonresponse_factor").iter_rows())
    assert by_unit["f08"] / by_unit["f01"] == pytest.approx((50 / 30) / (60 / 50), rel=1e-6)
    assert value(made.diagnostics, "sum", "nonresponse") == pytest.approx(130, rel=1e-12)
    log_odds = value(made.diagnostics, "coefficient", "response", "region02")
    assert log_odds == pytest.approx(np.log((30 / 20) / (50 / 10)), rel=1e-6)


def test_numbers_are_labels_where_the_model_says_so(weigh: Weigh, firms: pl.DataFrame) -> None:
    table = firms.with_columns(pl.Series("code", [1, 2] * 6))
    response = {"min_respondents": 1, "model": {"terms": ["code"], "use": "inverse", "categorical": ["code"]}}
    told = weigh({"sample.csv": table}, **KEYS | {"response": response}).diagnostics
    assert told.filter(pl.col("diagnostic") == "coefficient")["cell"].to_list() == ["(Intercept)", "code2"]


def test_collapses_are_told(weigh: Weigh, firms: pl.DataFrame) -> None:
    table = firms.with_columns(pl.Series("size", ["s", "s", "m", "m", "s", "m", "s", "s", "m", "m", "s", "m"]))
    response = {
        "classes": ["region", "size"],
        "collapse": [{"column": "size", "groups": {"s": "sm", "m": "sm"}}, "region"],
        "min_respondents": 4,
    }
    made = weigh({"sample.csv": table}, **KEYS | {"response": response})
    log = made.diagnostics.filter(pl.col("diagnostic") == "collapse").select("step", "cell", "value", "text").rows()
    # Buckets in the order of their labels, the smallest cell first, ties by label.
    assert log == [
        ("nonresponse", "01/m", 1.0, "joins 01/s, groups of size: 2 respondent(s), at least 4 needed"),
        ("nonresponse", "02/s", 2.0, "joins 02/m, groups of size: 1 respondent(s), at least 4 needed"),
        ("nonresponse", "02/m", 3.0, "joins 01/s, without region: 3 respondent(s), at least 4 needed"),
    ]
    assert made.notes == ("3 weighting classes collapsed; the diagnostics list them",)
    response["min_respondents"] = 9
    made = weigh({"sample.csv": table}, **KEYS | {"response": response})
    assert "weighting classes that do not keep to the rule after all levels" in made.notes[1]
    assert (made.diagnostics["diagnostic"] == "unresolved").sum() == 1


def test_post_strata_collapse_with_their_totals(weigh: Weigh, firms: pl.DataFrame) -> None:
    """Size m of region 02 has no units: its total goes to size s of region 02."""
    table = firms.with_columns(pl.Series("size", ["s", "m"] * 3 + ["s"] * 6))
    plan = {
        "method": "poststratify",
        "margins": {"region:size": {"01:s": 50.0, "01:m": 40.0, "02:s": 45.0, "02:m": 15.0}},
        "collapse": ["size"],
    }
    made = weigh({"sample.csv": table}, **KEYS, calibration=plan)
    assert value(made.diagnostics, "margin_total", "calibration", "region:size=02:s") == 60
    assert made.diagnostics.filter(pl.col("diagnostic") == "collapse")["cell"].to_list() == ["02:m"]
    sums = dict(
        made.weights.drop_nulls("post_stratum").group_by("post_stratum").agg(pl.col("weight").sum()).iter_rows()
    )
    assert sums == {name: pytest.approx(total) for name, total in {"01:s": 50, "01:m": 40, "02:s": 60}.items()}
    with pytest.raises(ViolationsError) as raised:
        weigh({"sample.csv": table}, **KEYS, calibration={key: plan[key] for key in ("method", "margins")})
    assert [fault.code for fault in raised.value.violations] == ["empty_post_stratum"]


def test_row_order_does_not_matter(weigh: Weigh, firms: pl.DataFrame) -> None:
    plan = {"method": "rake", "margins": {"region": {"01": 90.0, "02": 60.0}}}
    first = weigh({"sample.csv": firms}, **KEYS, calibration=plan).weights
    second = weigh({"sample.csv": firms.reverse()}, **KEYS, calibration=plan).weights
    np.testing.assert_allclose(second.reverse()["weight"].to_numpy(), first["weight"].to_numpy(), rtol=1e-13)


def refused(weigh: Weigh, sample: pl.DataFrame, **keys: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Code -> place and rows."""
    with pytest.raises(ViolationsError) as raised:
        weigh({"sample.csv": sample}, **KEYS | keys)
    return {fault.code: (fault.where, fault.rows) for fault in raised.value.violations}


def test_rows_of_the_sample_are_named(weigh: Weigh, firms: pl.DataFrame) -> None:
    broken = firms.with_columns(
        pl.Series("id", ["f02", *firms["id"].to_list()[1:]]),
        pl.Series("pi", [0.05, 0, 1.2, *firms["pi"].to_list()[3:]]),
        pl.Series("disposition", [*firms["disposition"].to_list()[:10], "2.10", "9"]),
    )
    assert refused(weigh, broken) == {
        "unit_repeated": ("sample sample.csv, column 'id'", (1, 2)),
        "base_weight_not_valid": ("sample sample.csv, column 'pi'", (2, 3)),
        "unknown_code": ("sample sample.csv, column 'disposition'", (11, 12)),
    }
    missing = firms.with_columns(pl.Series("region", [None, *firms["region"].to_list()[1:]]))
    assert refused(weigh, missing) == {"value_missing": ("file sample.csv, column 'region'", (1,))}


def test_columns_are_named_with_their_place(weigh: Weigh, firms: pl.DataFrame) -> None:
    assert refused(weigh, firms, keep=["regio"])["unknown_column"][0] == "keep"
    assert refused(weigh, firms, keep=["weight"])["name_taken"][0] == "keep weight"
    named = firms.rename({"region": "status"})
    assert refused(weigh, named, response={"classes": ["status"]})["name_taken"][0] == "response status"
    plan = {"method": "linear", "margins": {"region": {"01": 1}}, "totals": {"region": 9}}
    assert refused(weigh, firms, calibration=plan)["two_kinds"][0] == "calibration.totals, column 'region'"


def test_rows_without_a_calibration_value_are_rows_of_the_file(weigh: Weigh, firms: pl.DataFrame) -> None:
    """Rows 5, 6, 11 and 12 do not respond: theirs may be missing."""
    lacks = pl.col("id").is_in(["f05", "f07", "f10", "f12"])
    broken = firms.with_columns(pl.when(~lacks).then(pl.col("employees")).alias("employees"))
    plan = {"method": "linear", "margins": {"region": {"01": 90, "02": 60}}, "totals": {"employees": 4000}}
    found = refused(weigh, broken, calibration=plan)
    assert found == {"calibration_variable_missing": ("calibration variable employees", (7, 10))}


def test_cells_at_fault_are_named(weigh: Weigh, firms: pl.DataFrame) -> None:
    plan = {"method": "rake", "margins": {"region": {"01": 90, "20": 60}}}
    found = refused(weigh, firms, calibration=plan)
    assert found["empty_post_stratum"][0] == "margin region, level 20"
    assert found["post_stratum_without_total"][0] == "margin region, level 02"
    far = {"method": "logit", "margins": {"region": {"01": 900, "02": 60}}, "bounds": [0.5, 2]}
    assert refused(weigh, firms, calibration=far)["bounds_infeasible"][0] == "term region=01"
    silent = firms.with_columns(pl.Series("disposition", [*firms["disposition"].to_list()[:7], *["2.1"] * 5]))
    with pytest.raises(AxstatError, match="weighting classes 02"):
        weigh({"sample.csv": silent}, **KEYS)
    nobody = firms.with_columns(pl.lit("2.1").alias("disposition"))
    with pytest.raises(AxstatError, match="no_respondents"):
        weigh({"sample.csv": nobody}, **{key: item for key, item in KEYS.items() if key != "response"})
    cells = {"method": "poststratify", "margins": {"region:id": {"01": 90}}, "collapse": ["id"]}
    with pytest.raises(AxstatError, match="cell_without_parts"):
        weigh({"sample.csv": firms}, **KEYS, calibration=cells)


def test_rows_of_the_frame_are_named(weigh: Weigh, firms: pl.DataFrame) -> None:
    frame = pl.DataFrame({"region": ["01", None, "02"], "employees": ["1", "2", "many"]})
    with pytest.raises(ViolationsError) as raised:
        weigh(
            {"sample.csv": firms, "frame.csv": frame},
            **KEYS,
            frame={"file": "frame.csv"},
            calibration={"method": "linear", "margins": ["region"], "totals": ["employees"]},
        )
    assert {fault.code: (fault.where, fault.rows) for fault in raised.value.violations} == {
        "not_a_number": ("file frame.csv, column 'employees'", (3,)),
        "value_missing": ("file frame.csv, column 'region'", (2,)),
    }


def test_the_result_is_held_to_its_promise(weigh: Weigh, firms: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that misses a total by 1e-8, or reports a factor that is not its own, is found out."""
    keys = KEYS | {"calibration": {"method": "rake", "margins": {"region": {"01": 90.0, "02": 60.0}}}}

    def near(weight: Any, margins: Any, totals: Any) -> Any:
        made = rake(weight, margins, totals)
        return replace(made, weight=made.weight * (1 + 1e-8))

    monkeypatch.setattr(run, "rake", near)
    with pytest.raises(AxstatError, match="region=01, region=02"):
        weigh({"sample.csv": firms}, **keys)
    monkeypatch.undo()
    monkeypatch.setattr(run, "divide", lambda a, b, otherwise: np.ones_like(a))
    with pytest.raises(AxstatError, match="rows 1, 2, 3, 4, 7, 8, 9, 10"):
        weigh({"sample.csv": firms}, **keys)


def test_rows_of_a_frame_are_counted_by_1(weigh: Weigh, firms: pl.DataFrame) -> None:
    made = weigh(
        {"sample.csv": firms, "frame.csv": pl.DataFrame({"any": range(70)})},
        **KEYS,
        frame={"file": "frame.csv"},
        calibration={"method": "linear", "totals": ["1"]},
    )
    assert made.weights["weight"].sum() == pytest.approx(70, rel=1e-12)
