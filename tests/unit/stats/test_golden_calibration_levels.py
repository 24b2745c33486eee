"""Calibration by unit, minimum entropy, mixed margins, trimming and wide raking against R survey 4.1-1.

All values are from tests/golden/calibration_levels.R; R's ``calibrate`` stops at a relative misfit of 1e-13 there, its
``rake`` at 1e-14 of the sum of weights.
"""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.stats.calibration import Calibration, calibrate, rake
from pipelines.stats.design import SurveyDesign
from pipelines.stats.linearization import Linearized, evaluate, linearized_mean, linearized_total
from pipelines.stats.mixed_margins import margin_terms
from pipelines.stats.terms import terms_matrix, unit_means, unit_shares
from pipelines.stats.trimming import WeightLimits, trim

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
DATA = pl.read_csv(GOLDEN / "calibration_levels_data.csv")
FRAME = DATA.with_columns(unit_shares(DATA["hh"]))
WEIGHT = DATA["w"].to_numpy()
RESULTS = pl.read_csv(GOLDEN / "calibration_levels_results.csv")
WEIGHTS = pl.read_csv(GOLDEN / "calibration_levels_weights.csv")
WIDE = (-math.inf, math.inf)
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


def totals(of: str) -> dict[str, float]:
    rows = RESULTS.filter(pl.col("case") == f"totals_{of}").select("statistic", "estimate").iter_rows()
    return {R_TERMS[name]: value for name, value in rows}


def made(case: str) -> Calibration:
    of, distance, bounds, by_unit = CASES[case]
    wanted = totals(of)
    matrix = terms_matrix(FRAME, list(wanted))
    if by_unit:
        matrix = unit_means(matrix, DATA["hh"], WEIGHT)
    if case.startswith("const"):
        return calibrate(WEIGHT, matrix, wanted, distance=distance, weight_bounds=bounds)
    return calibrate(WEIGHT, matrix, wanted, distance=distance, bounds=bounds)


CASES = {
    "mixed_linear": ("mixed", "linear", WIDE, False),
    "mixed_raking": ("mixed", "raking", WIDE, False),
    "mixed_entropy": ("mixed", "entropy", WIDE, False),
    "mixed_logit": ("mixed", "logit", (0.6, 1.8), False),
    "mixed_truncated": ("mixed", "linear", (0.9, 1.25), False),
    "unit_linear": ("mixed", "linear", WIDE, True),
    "unit_raking": ("mixed", "raking", WIDE, True),
    "unit_logit": ("mixed", "logit", (0.5, 2.0), True),
    "unit_truncated": ("mixed", "linear", (0.85, 1.35), True),
    "unit_entropy": ("mixed", "entropy", WIDE, True),
    "levels_raking": ("levels", "raking", WIDE, True),
    "levels_linear": ("levels", "linear", WIDE, True),
    "const_linear": ("mixed", "linear", (16.5, 30.0), False),
    "const_raking": ("mixed", "raking", (16.5, 30.0), False),
}


def test_every_case_of_the_script_is_tested() -> None:
    assert WEIGHTS.columns == ["row", *CASES, "trimmed"]


@pytest.mark.parametrize("case", CASES)
def test_weights(case: str) -> None:
    np.testing.assert_allclose(made(case).weight, WEIGHTS[case].to_numpy(), rtol=1e-10, atol=0)


@pytest.mark.parametrize("case", CASES)
def test_standard_errors(case: str) -> None:
    calibration = made(case)
    design = SurveyDesign.from_frame(
        DATA.with_columns(pl.Series("final", calibration.weight)),
        weight="final",
        strata="h",
        stages=["hh"],
        population=["fpc"],
        calibration=calibration.residualizer,
    )
    y, inside = DATA["y"].cast(pl.Float64).to_numpy()[:, None], (DATA["reg"] == "S").to_numpy()
    found: dict[str, Linearized] = {
        "mean": linearized_mean(design, y),
        "total": linearized_total(design, y),
        "domain_mean": linearized_mean(design, y, inside=inside),
    }
    theirs = RESULTS.filter(pl.col("case") == case).select("statistic", "estimate", "se")
    assert theirs["statistic"].to_list() == list(found)
    for name, estimate, se in theirs.iter_rows():
        ours = evaluate(design, found[name])
        assert ours.estimate[0] == pytest.approx(estimate, rel=1e-9)
        assert ours.se[0] == pytest.approx(float(se), rel=1e-9)


def test_units_keep_one_weight() -> None:
    """R's aggregate.stage: every member of a household has its factor."""
    weights = DATA.select("hh", pl.Series("made", made("unit_raking").weight))
    spread = weights.group_by("hh").agg(pl.col("made").max() - pl.col("made").min())["made"]
    assert spread.max() == 0


@pytest.mark.parametrize(("case", "distance"), [("mixed_linear", "linear"), ("mixed_entropy", "entropy")])
def test_margins_with_a_continuous_total(case: str, distance: str) -> None:
    """The levels that R's contrasts leave out, given as margins: the same weights."""
    wanted = totals("mixed")
    persons = wanted["1"]
    margins = {
        column: {level: wanted[f"{column}={level}"] for level in levels}
        for column, levels in {"sex": ["M"], "reg": ["S", "W"], "age": ["old", "young"]}.items()
    }
    for column, reference in {"sex": "F", "reg": "N", "age": "mid"}.items():
        margins[column][reference] = persons - sum(margins[column].values())
    terms = margin_terms(WEIGHT, FRAME, margins, {"emp": wanted["emp"]})
    calibration = calibrate(WEIGHT, terms.matrix, terms.totals, distance=distance, drop_redundant=True)
    np.testing.assert_allclose(calibration.weight, WEIGHTS[case].to_numpy(), rtol=1e-10, atol=0)
    # Those that were left out of the equations are reported and met too: 2 + 3 + 3 levels and employment.
    assert calibration.margins.height == 9
    assert calibration.largest_distance_after <= 1e-9


def test_trimming_is_that_of_trim_weights() -> None:
    """R gives each round's excess to those at the cap too and cuts again, until what is left is below rounding."""
    ours = trim(WEIGHT, WeightLimits(19, 27), share="equal")
    np.testing.assert_allclose(ours, WEIGHTS["trimmed"].to_numpy(), rtol=1e-10, atol=0)


def test_raking_to_many_levels() -> None:
    rows = pl.read_csv(GOLDEN / "calibration_rake_data.csv")
    target = rows["target"].to_numpy()
    margins = {
        name: {
            str(level): float(total)
            for level, total in rows.group_by(name).agg(pl.col("target").sum()).select(name, "target").iter_rows()
        }
        for name in ("a", "b", "c")
    }
    assert [len(levels) for levels in margins.values()] == [26, 10, 5]
    raked = rake(rows["w"].to_numpy(), rows, margins, epsilon=1e-14)
    np.testing.assert_allclose(raked.weight, rows["raked"].to_numpy(), rtol=1e-10, atol=0)
    assert raked.weight.sum() == pytest.approx(target.sum(), rel=1e-12)
