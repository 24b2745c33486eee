"""Calibrated weights and their standard errors against R survey 4.1-1: tests/golden/calibration.R.

R's ``calibrate`` stops at a relative misfit of 1e-13 there and its ``rake`` at 1e-13 of the sum of weights. The cases
``_loose`` stop early by R's rule: the same steps are taken and the same weights come out.
"""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.stats.arrays import FloatArray
from pipelines.stats.calibration import Calibration, calibrate, post_stratify, rake
from pipelines.stats.design import SurveyDesign
from pipelines.stats.linearization import Linearized, evaluate, linearized_mean, linearized_ratio, linearized_total
from pipelines.stats.residuals import ResidualSequence
from pipelines.stats.terms import terms_matrix

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
DATA = pl.read_csv(GOLDEN / "calibration_data.csv")
WEIGHT = DATA["w"].to_numpy()
SEX = {"F": 1650.0, "M": 1500.0}
REG = {"N": 1600.0, "S": 950.0, "W": 600.0}
AGE = {"mid": 1150.0, "old": 1050.0, "young": 950.0}
CROSS = {"F/N": 850.0, "M/N": 750.0, "F/S": 500.0, "M/S": 450.0, "F/W": 300.0, "M/W": 300.0}
TOTALS = {"1": 3150.0, "sex=M": 1500.0, "reg=S": 950.0, "reg=W": 600.0, "emp": 86000.0}


def in_turn(first: Calibration, then: Callable[[FloatArray], Calibration]) -> tuple[FloatArray, ResidualSequence]:
    second = then(first.weight)
    return second.weight, ResidualSequence((first.residualizer, second.residualizer))


def alone(made: Calibration) -> tuple[FloatArray, ResidualSequence]:
    return made.weight, ResidualSequence((made.residualizer,))


def to_totals(
    totals: dict[str, float],
    weight: FloatArray = WEIGHT,
    *,
    distance: str = "linear",
    bounds: tuple[float, float] = (-math.inf, math.inf),
    epsilon: float = 1e-12,
    tolerance: float = 1e-9,
) -> Calibration:
    matrix = terms_matrix(DATA, list(totals))
    return calibrate(weight, matrix, totals, distance=distance, bounds=bounds, epsilon=epsilon, tolerance=tolerance)


def by(column: str, totals: dict[str, float], weight: FloatArray = WEIGHT, *, partial: bool = False) -> Calibration:
    return post_stratify(weight, DATA[column], totals, partial=partial)


CASES: dict[str, Callable[[], tuple[FloatArray, ResidualSequence]]] = {
    "post": lambda: alone(by("sex", SEX)),
    "post_cross": lambda: alone(post_stratify(WEIGHT, DATA["sex"] + "/" + DATA["reg"], CROSS)),
    "post_twice": lambda: in_turn(by("sex", SEX), lambda weight: by("reg", REG, weight)),
    "post_zero_weights": lambda: alone(by("reg", REG, DATA["w0"].to_numpy())),
    "post_partial": lambda: alone(by("sex", {**SEX, "X": 9.0}, partial=True)),
    "rake": lambda: alone(rake(WEIGHT, DATA, {"sex": SEX, "reg": REG, "age": AGE})),
    "rake_loose": lambda: alone(
        rake(WEIGHT, DATA, {"sex": SEX, "reg": REG, "age": AGE}, epsilon=1.0, max_sweeps=10, tolerance=math.inf)
    ),
    "post_rake": lambda: in_turn(by("age", AGE), lambda weight: rake(weight, DATA, {"sex": SEX, "reg": REG})),
    "linear": lambda: alone(to_totals(TOTALS)),
    "linear_categories": lambda: alone(to_totals({term: TOTALS[term] for term in list(TOTALS)[:4]})),
    "linear_interaction": lambda: alone(
        to_totals({"1": 3150.0, "sex=M": 1500.0, "sex=F:emp": 42000.0, "sex=M:emp": 44000.0})
    ),
    "linear_negative": lambda: alone(to_totals({"1": 3150.0, "sex=M": 1500.0, "emp": 150000.0})),
    "linear_unused": lambda: alone(to_totals({"1": 3150.0, "sex=M": 1500.0, "none": 0.0})),
    "linear_bounded": lambda: alone(to_totals(TOTALS, bounds=(0.82, 1.295))),
    "linear_upper": lambda: alone(to_totals(TOTALS, bounds=(-math.inf, 1.2))),
    "raking": lambda: alone(to_totals(TOTALS, distance="raking")),
    "raking_bounded": lambda: alone(to_totals(TOTALS, distance="raking", bounds=(0.8, 1.3))),
    "logit": lambda: alone(to_totals(TOTALS, distance="logit", bounds=(0.7, 1.4))),
    "raking_loose": lambda: alone(to_totals(TOTALS, distance="raking", epsilon=1e-3, tolerance=math.inf)),
    "logit_loose": lambda: alone(
        to_totals(TOTALS, distance="logit", bounds=(0.7, 1.4), epsilon=1e-3, tolerance=math.inf)
    ),
    "logit_rescaled": lambda: alone(to_totals(TOTALS, WEIGHT / 40, distance="logit", bounds=(0.7, 1.4))),
    "raking_rescaled": lambda: alone(to_totals({"emp": 86000.0}, WEIGHT / 40, distance="raking")),
    "linear_raking": lambda: in_turn(
        to_totals({term: TOTALS[term] for term in ("1", "sex=M", "emp")}),
        lambda weight: to_totals({"1": 3150.0, "age=old": 1050.0, "age=young": 950.0}, weight, distance="raking"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_weights(case: str) -> None:
    theirs = pl.read_csv(GOLDEN / "calibration_weights.csv")[case].to_numpy()
    ours, _ = CASES[case]()
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=0)


@pytest.mark.parametrize("case", CASES)
def test_standard_errors(case: str) -> None:
    weight, residualizer = CASES[case]()
    design = SurveyDesign.from_frame(
        DATA.with_columns(pl.Series("final", weight)),
        weight="final",
        strata="h",
        stages=["psu"],
        population=["fpc"],
        calibration=residualizer,
        allow_negative_weights=True,
    )
    y, x = (DATA[column].cast(pl.Float64).to_numpy()[:, None] for column in ("y", "x"))
    inside = (DATA["d"] == 1).to_numpy()
    found: dict[str, Linearized] = {
        "mean": linearized_mean(design, y),
        "total": linearized_total(design, y),
        "ratio": linearized_ratio(design, y, x),
        "domain_mean": linearized_mean(design, y, inside=inside),
        "domain_total": linearized_total(design, x, inside=inside),
    }
    results = pl.read_csv(GOLDEN / "calibration_results.csv").filter(pl.col("case") == case)
    assert results["statistic"].to_list() == list(found)
    for name, estimate, se in results.select("statistic", "estimate", "se").iter_rows():
        ours = evaluate(design, found[name])
        assert ours.estimate[0] == pytest.approx(estimate, rel=1e-9)
        assert ours.se[0] == pytest.approx(se, rel=1e-9)


def test_every_case_of_the_script_is_tested() -> None:
    assert pl.read_csv(GOLDEN / "calibration_weights.csv").columns == ["row", *CASES]


def test_negative_weights_are_flagged() -> None:
    theirs = pl.read_csv(GOLDEN / "calibration_weights.csv")["linear_negative"].to_numpy()
    made = to_totals({"1": 3150.0, "sex=M": 1500.0, "emp": 150000.0})
    assert made.negative_rows == tuple((np.flatnonzero(theirs < 0) + 1).tolist())
    assert made.negative_rows
