"""Weights of R survey 4.1-1 (tests/golden/calibration.R, calibration_levels.R) through the specification.

R stops at a relative misfit of 1e-13 there.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.unit.weighting.conftest import Weigh

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
SEX = {"F": 1650.0, "M": 1500.0}
REG = {"N": 1600.0, "S": 950.0, "W": 600.0}
AGE = {"mid": 1150.0, "old": 1050.0, "young": 950.0}
CROSS = {"F:N": 850.0, "M:N": 750.0, "F:S": 500.0, "M:S": 450.0, "F:W": 300.0, "M:W": 300.0}
TOTALS = {"1": 3150.0, "sex=M": 1500.0, "reg=S": 950.0, "reg=W": 600.0, "emp": 86000.0}
MIXED = {"margins": {"sex": SEX, "reg": REG}, "totals": {"emp": 86000.0}}
R_TERMS = {
    "(Intercept)": "1",
    "sexM": "sex=M",
    "sexF": "sex=F",
    "regS": "reg=S",
    "regW": "reg=W",
    "ageold": "age=old",
    "ageyoung": "age=young",
    "emp": "emp",
    "share:typeF": "unit_share:type=F",
    "share:typeH": "unit_share:type=H",
}

CASES: dict[str, dict[str, Any]] = {
    "post": {"method": "poststratify", "margins": {"sex": SEX}},
    "post_cross": {"method": "poststratify", "margins": {"sex:reg": CROSS}},
    "rake": {"method": "rake", "margins": {"sex": SEX, "reg": REG, "age": AGE}},
    "linear": {"method": "linear", "totals": TOTALS},
    "linear_interaction": {
        "method": "linear",
        "totals": {"1": 3150.0, "sex=M": 1500.0, "sex=F:emp": 42000.0, "sex=M:emp": 44000.0},
    },
    "linear_negative": {"method": "linear", "totals": {"1": 3150.0, "sex=M": 1500.0, "emp": 150000.0}},
    "linear_bounded": {"method": "truncated", "bounds": [0.82, 1.295], "totals": TOTALS},
    "raking": {"method": "raking", **MIXED},
    "raking_bounded": {"method": "raking", "bounds": [0.8, 1.3], **MIXED},
    "logit": {"method": "logit", "bounds": [0.7, 1.4], **MIXED},
}
# Terms, method, bounds, whether by household
LEVELS: dict[str, tuple[str, str, list[float] | None, bool]] = {
    "mixed_linear": ("mixed", "linear", None, False),
    "mixed_entropy": ("mixed", "entropy", None, False),
    "mixed_logit": ("mixed", "logit", [0.6, 1.8], False),
    "mixed_truncated": ("mixed", "truncated", [0.9, 1.25], False),
    "unit_linear": ("mixed", "linear", None, True),
    "unit_raking": ("mixed", "raking", None, True),
    "unit_logit": ("mixed", "logit", [0.5, 2.0], True),
    "unit_truncated": ("mixed", "truncated", [0.85, 1.35], True),
    "unit_entropy": ("mixed", "entropy", None, True),
    "levels_raking": ("levels", "raking", None, True),
    "levels_linear": ("levels", "linear", None, True),
}


def golden(name: str) -> pl.DataFrame:
    return pl.read_csv(GOLDEN / f"{name}_data.csv").with_row_index("row", offset=1)


@pytest.mark.parametrize("case", CASES)
def test_calibrated_weights(weigh: Weigh, case: str) -> None:
    made = weigh({"sample.csv": golden("calibration")}, unit="row", base={"weight": "w"}, calibration=CASES[case])
    theirs = pl.read_csv(GOLDEN / "calibration_weights.csv")
    assert made.weights["row"].cast(pl.Int64).to_list() == theirs["row"].to_list()
    np.testing.assert_allclose(made.weights["weight"].to_numpy(), theirs[case].to_numpy(), rtol=1e-10, atol=0)


def test_negative_weights_are_told_with_their_rows(weigh: Weigh) -> None:
    theirs = pl.read_csv(GOLDEN / "calibration_weights.csv")
    rows = (np.flatnonzero(theirs["linear_negative"].to_numpy() < 0) + 1).tolist()
    assert rows
    made = weigh(
        {"sample.csv": golden("calibration")},
        unit="row",
        base={"weight": "w"},
        calibration=CASES["linear_negative"],
    )
    assert any("negative" in note and f"rows {rows[0]}" in note for note in made.notes)


@pytest.mark.parametrize("case", LEVELS)
def test_weights_with_levels(weigh: Weigh, case: str) -> None:
    of, method, bounds, by_household = LEVELS[case]
    results = pl.read_csv(GOLDEN / "calibration_levels_results.csv").filter(pl.col("case") == f"totals_{of}")
    plan: dict[str, Any] = {
        "method": method,
        "totals": {R_TERMS[name]: value for name, value in results.select("statistic", "estimate").iter_rows()},
    }
    if bounds is not None:
        plan["bounds"] = bounds
    if by_household:
        plan["cluster"] = "hh"
    made = weigh({"sample.csv": golden("calibration_levels")}, unit="row", base={"weight": "w"}, calibration=plan)
    theirs = pl.read_csv(GOLDEN / "calibration_levels_weights.csv")[case].to_numpy()
    np.testing.assert_allclose(made.weights["weight"].to_numpy(), theirs, rtol=1e-10, atol=0)


def test_trimmed_weights(weigh: Weigh) -> None:
    made = weigh(
        {"sample.csv": golden("calibration_levels")},
        unit="row",
        base={"weight": "w"},
        trimming={"low": 19, "high": 27, "share": "equal"},
    )
    theirs = pl.read_csv(GOLDEN / "calibration_levels_weights.csv")["trimmed"].to_numpy()
    np.testing.assert_allclose(made.weights["weight"].to_numpy(), theirs, rtol=1e-10, atol=0)
    assert (made.weights["calibration_factor"] == 1).all()


def test_raking_to_many_levels(weigh: Weigh) -> None:
    """26 + 10 + 5 levels, whose codes are numbers."""
    rows = golden("calibration_rake")
    margins = {
        name: {
            str(level): total
            for level, total in rows.group_by(name).agg(pl.col("target").sum()).select(name, "target").iter_rows()
        }
        for name in ("a", "b", "c")
    }
    made = weigh(
        {"sample.csv": rows}, unit="row", base={"weight": "w"}, calibration={"method": "rake", "margins": margins}
    )
    # Our own stopping rule, 1e-12 of the sum of weights; R's here is 1e-14.
    np.testing.assert_allclose(made.weights["weight"].to_numpy(), rows["raked"].to_numpy(), rtol=1e-9, atol=0)
