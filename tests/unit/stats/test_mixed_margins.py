"""Margins and continuous totals together: terms, faults, sums."""

import math

import numpy as np
import polars as pl
import pytest

from pipelines.errors import ViolationsError
from pipelines.stats.calibration import calibrate, rake
from pipelines.stats.mixed_margins import margin_terms

FRAME = pl.DataFrame({"sex": [*"ABABA"], "code": [1.0, 2.0, 2.0, 1.0, 1.0], "emp": [1.0, 5.0, 2.0, 8.0, 4.0]})
SEX, CODE = {"A": 6.0, "B": 4.0}, {"1": 7.0, "2": 3.0}


def codes(error: pytest.ExceptionInfo[ViolationsError]) -> dict[str, str]:
    return {violation.code: violation.where for violation in error.value.violations}


def test_terms_of_all_levels_and_totals() -> None:
    terms = margin_terms(np.ones(5), FRAME, {"sex": SEX, "code": CODE}, {"emp": 40.0, "sex=A:emp": 15.0})
    assert terms.totals == {
        "sex=A": 6.0,
        "sex=B": 4.0,
        "code=1": 7.0,
        "code=2": 3.0,
        "emp": 40.0,
        "sex=A:emp": 15.0,
    }
    assert terms.matrix.terms == tuple(terms.totals)


def test_margins_alone_are_raking() -> None:
    weight = np.array([1.0, 2.0, 1.5, 1.0, 3.0])
    terms = margin_terms(weight, FRAME, {"sex": SEX, "code": CODE})
    made = calibrate(weight, terms.matrix, terms.totals, distance="raking", drop_redundant=True)
    raked = rake(weight, FRAME, {"sex": SEX, "code": CODE})
    np.testing.assert_allclose(made.weight, raked.weight, rtol=1e-9)


def test_a_level_of_total_zero_without_units_is_nothing() -> None:
    terms = margin_terms(np.ones(5), FRAME, {"sex": {**SEX, "X": 0.0}})
    assert terms.matrix.terms == ("sex=A", "sex=B")


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(ViolationsError) as error:
        margin_terms(np.ones(5), FRAME, {"sex": {"A": 6.0, "C": 4.0}, "code": {"1": 7.0, "2": -3.0}})
    assert codes(error) == {
        "empty_post_stratum": "margin sex, level C",
        "post_stratum_without_total": "margin sex, level B",
        "total_not_valid": "margin code, level 2",
    }


def test_names_sums_and_numbers_are_checked() -> None:
    with pytest.raises(ViolationsError) as error:
        margin_terms(np.ones(5), FRAME, {"sexx": SEX})
    assert error.value.violations[0].hint == "did you mean sex?"
    with pytest.raises(ViolationsError) as error:
        margin_terms(np.ones(5), FRAME, {"sex": SEX, "code": {"1": 7.0, "2": 3.5}})
    assert codes(error) == {"margins_disagree": "margin code"}
    with pytest.raises(ViolationsError) as error:
        margin_terms(np.ones(5), FRAME, {"sex": SEX}, {"emp": math.nan})
    assert codes(error) == {"total_not_valid": "term emp"}
    with pytest.raises(ViolationsError) as error:
        margin_terms(np.ones(5), FRAME, {})
    assert codes(error) == {"no_margin": "totals"}
    with pytest.raises(ViolationsError) as error:
        margin_terms(np.array([1.0, -1.0, 1.0, 1.0, 1.0]), FRAME, {"sex": SEX})
    assert error.value.violations[0].rows == (2,)
