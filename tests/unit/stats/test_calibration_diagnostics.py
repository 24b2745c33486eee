"""Diagnostics of a calibration, by hand."""

import numpy as np
import polars as pl
import pytest

from pipelines.errors import ViolationsError
from pipelines.stats.calibration import calibrate, post_stratify
from pipelines.stats.calibration_diagnostics import diagnose, kish_deff
from pipelines.stats.terms import terms_matrix


def test_by_hand() -> None:
    before = np.array([2.0, 3.0, 5.0, 0.0])
    made = post_stratify(before, pl.Series("cell", [*"xxyy"]), {"x": 10.0, "y": 4.0})
    found = diagnose(made, before, standard_errors={("cell", "x"): 2.5}, n_largest=2)
    value = dict(found.factors.iter_rows())
    # Factors 2, 2, 0.8 of the three rows with a weight.
    assert (value["n"], value["factor_min"], value["factor_q50"], value["factor_max"]) == (3, 0.8, 2, 2)
    assert value["factor_cv"] == pytest.approx(np.sqrt(0.32) / 1.6)
    # n sum(w^2)/sum(w)^2: 3 x 38/100 before; weights 4, 6, 4 after: 3 x 68/196.
    assert value["kish_deff_before"] == pytest.approx(1.14)
    assert value["kish_deff_after"] == pytest.approx(204 / 196)
    assert value["effective_n_after"] == pytest.approx(3 / (204 / 196))
    assert (value["sum_before"], value["sum_after"]) == (10, 14)
    assert (value["share_at_low"], value["share_at_high"], value["share_negative"]) == (0, 0, 0)
    x, y = found.margins.rows(named=True)
    # 5 of 10, two standard errors of 2.5 below; 5 of 4, with none known.
    assert (x["absolute_before"], x["relative_before"], x["se_before"]) == (-5, -0.5, -2)
    assert (y["absolute_before"], y["relative_before"], y["se_before"]) == (1, 0.25, None)
    assert (x["absolute_after"], y["relative_after"]) == (0, 0)
    assert found.largest.rows() == [(2, 3.0, 2.0, 6.0), (1, 2.0, 2.0, 4.0)]


def test_shares_at_the_bounds() -> None:
    """x = -1, 0, 0, 1: one unit is pushed to each bound, g2 - g1 = 0.4 x 2, the middle stays."""
    frame = pl.DataFrame({"x": [-1.0, 0.0, 0.0, 1.0]})
    bounds = (0.6, 1.4)
    made = calibrate(np.ones(4), terms_matrix(frame, ["1", "x"]), {"1": 4.0, "x": 0.8}, bounds=bounds)
    value = dict(diagnose(made, np.ones(4), bounds=bounds).factors.iter_rows())
    assert (value["share_at_low"], value["share_at_high"]) == (0.25, 0.25)


def test_bounds_are_those_after_rescaling() -> None:
    frame = pl.DataFrame({"x": [-1.0, 0.0, 0.0, 1.0], "one": 1.0})
    bounds = (0.6, 1.4)
    made = calibrate(np.ones(4), terms_matrix(frame, ["one"]), {"one": 400.0}, distance="logit", bounds=bounds)
    assert made.rescaled == 100
    value = dict(diagnose(made, np.ones(4), bounds=bounds).factors.iter_rows())
    assert (value["factor_min"], value["share_at_high"]) == (pytest.approx(100), 0)


def test_a_standard_error_of_nothing_calibrated_on_is_refused() -> None:
    made = post_stratify(np.ones(2), pl.Series("cell", [*"xy"]), {"x": 10.0, "y": 4.0})
    with pytest.raises(ViolationsError) as error:
        diagnose(made, np.ones(2), standard_errors={("cell", "z"): 1.0})
    assert error.value.violations[0].where == "standard error of cell=z"


def test_kish_deff_is_one_plus_squared_cv() -> None:
    w = np.random.default_rng(1).lognormal(1, 1, 500)
    assert kish_deff(w) == pytest.approx(1 + (w.std() / w.mean()) ** 2, rel=1e-12)
