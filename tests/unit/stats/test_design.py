"""SurveyDesign: what is read from a frame, and what is refused with the rows named."""

import numpy as np
import polars as pl
import pytest

from pipelines.errors import AxstatError, ViolationsError
from pipelines.stats.design import SingletonStratumError, SurveyDesign
from pipelines.stats.linearization import variance


def frame(**changes: list[object]) -> pl.DataFrame:
    columns: dict[str, list[object]] = {
        "id": ["a", "b", "c", "d", "e"],
        "h": ["s1", "s1", "s1", "s2", "s2"],
        "psu": ["p1", "p1", "p2", "p3", "p4"],
        "N": [10, 10, 10, 2, 2],
        "w": [5.0, 5.0, 5.0, 1.0, 1.0],
        "g": ["x", "y", "x", "y", "x"],
    }
    return pl.DataFrame(columns | changes, strict=False)


def rows_at_fault(error: pytest.ExceptionInfo[ViolationsError]) -> dict[str, tuple[int, ...]]:
    return {violation.code: violation.rows for violation in error.value.violations}


def test_counts_factors_and_populations() -> None:
    design = SurveyDesign.from_frame(
        frame(), weight="w", strata="h", stages=["psu"], population=["N"], calibration_group="g"
    )
    assert design.stratum_labels == ("s1", "s2")
    assert design.stratum_psus.tolist() == [2, 2]
    assert design.psu_stratum.tolist() == [0, 0, 1, 1]
    # s1: (1 - 2/10) 2/1; s2 is fully enumerated.
    assert design.stages[0].variance_factor.tolist() == [pytest.approx(1.6), 0.0]
    assert design.unsampled_share[1] == 0.0
    assert design.calibration_group is not None
    assert design.calibration_group.tolist() == [0, 1, 0, 1, 0]
    assert (design.n_rows, design.n_psus, design.n_strata) == (5, 4, 2)


def test_without_population_nothing_is_fully_enumerated() -> None:
    design = SurveyDesign.from_frame(frame(), weight="w", strata="h")
    assert np.isinf(design.stratum_population).all()
    assert design.stages[0].variance_factor.tolist() == [pytest.approx(1.5), pytest.approx(2.0)]


def test_bad_weights_are_named_by_row() -> None:
    with pytest.raises(ViolationsError) as error:
        SurveyDesign.from_frame(frame(w=[None, -1.0, float("inf"), 1.0, float("nan")]), weight="w", strata="h")
    assert rows_at_fault(error) == {
        "weight_not_finite": (3, 5),
        "weight_missing": (1,),
        "weight_negative": (2,),
    }


def test_missing_labels_are_named_by_row() -> None:
    with pytest.raises(ViolationsError) as error:
        SurveyDesign.from_frame(frame(h=["s1", None, "s1", "s2", "s2"]), weight="w", strata="h")
    assert rows_at_fault(error) == {"label_missing": (2,)}


def test_population_smaller_varying_or_missing() -> None:
    with pytest.raises(ViolationsError) as error:
        SurveyDesign.from_frame(frame(N=[10, 11, 10, 1, 1]), weight="w", strata="h", population=["N"])
    found = rows_at_fault(error)
    assert found["sample_exceeds_population"] == (4, 5)
    assert found["population_varies"] == (2,)
    with pytest.raises(ViolationsError) as error:
        SurveyDesign.from_frame(frame(N=[10, 10, 10, 2, None]), weight="w", strata="h", population=["N"])
    assert rows_at_fault(error)["population_missing"] == (5,)


def test_psu_in_two_strata() -> None:
    with pytest.raises(ViolationsError) as error:
        SurveyDesign.from_frame(frame(psu=["p1", "p1", "p2", "p2", "p4"]), weight="w", strata="h", stages=["psu"])
    assert rows_at_fault(error) == {"psu_in_two_strata": (3,)}


def test_lonely_psu_fails_by_default_and_names_the_strata() -> None:
    lonely = frame(psu=["p1", "p1", "p1", "p3", "p4"])
    with pytest.raises(SingletonStratumError) as error:
        SurveyDesign.from_frame(lonely, weight="w", strata="h", stages=["psu"], population=["N"])
    assert error.value.strata == ("s1",)
    assert "lonely_psu" in error.value.hint


def test_lonely_psu_adds_what_its_rule_says() -> None:
    """s1 has one PSU of ten, t = 3, and s2 is a census: V = (1 - 1/10) 3^2 under 'adjust', 0 where it is dropped.

    'average': the mean of the strata with a variance, of which s2 adds 0.
    """
    lonely = frame(psu=["p1", "p1", "p1", "p3", "p4"])
    influence = np.array([[1.0], [1.0], [1.0], [2.0], [0.0]])
    for rule, expected in (("adjust", 0.9 * 9.0), ("certainty", 0.0), ("remove", 0.0), ("average", 0.0)):
        design = SurveyDesign.from_frame(
            lonely, weight="w", strata="h", stages=["psu"], population=["N"], lonely_psu=rule
        )
        assert variance(design, influence)[0] == pytest.approx(expected, rel=1e-12)


def test_one_unit_of_one_is_not_lonely() -> None:
    single = pl.DataFrame({"h": ["s1", "s1", "s2"], "N": [4, 4, 1], "w": [2.0, 2.0, 1.0]})
    design = SurveyDesign.from_frame(single, weight="w", strata="h", population=["N"])
    assert not design.lonely.any()


def test_unknown_rule_column_and_empty_frame() -> None:
    with pytest.raises(AxstatError, match="unknown_lonely_psu"):
        SurveyDesign.from_frame(frame(), weight="w", lonely_psu="centre")  # type: ignore[arg-type]
    with pytest.raises(AxstatError, match="missing_column"):
        SurveyDesign.from_frame(frame(), weight="weight")
    with pytest.raises(AxstatError, match="empty_design"):
        SurveyDesign.from_frame(frame().head(0), weight="w")
