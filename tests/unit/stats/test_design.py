"""SurveyDesign: what is read from a frame, and what is refused with the rows named."""

import numpy as np
import polars as pl
import pytest

from pipelines.errors import AxstatError, ViolationsError
from pipelines.stats.design import SingletonStratumError, SurveyDesign
from pipelines.stats.variance import degrees_of_freedom, variance


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


def got(error: pytest.ExceptionInfo[ViolationsError]) -> dict[str, str]:
    return {violation.code: violation.got for violation in error.value.violations}


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


def test_text_in_a_column_of_numbers_or_marks_is_named_by_row() -> None:
    changes: dict[str, list[object]] = {"w": ["5", "5.0", "x", "1", None], "N": ["many", "10", "10", "2", "2"]}
    with pytest.raises(ViolationsError) as error:
        SurveyDesign.from_frame(frame(**changes), weight="w", strata="h", population=["N"], take_all="psu")
    assert [fault.code for fault in error.value.violations] == ["not_a_number", "not_a_number", "not_a_mark"]
    assert [fault.rows for fault in error.value.violations] == [(3,), (1,), (1, 2, 3, 4, 5)]
    assert [fault.where for fault in error.value.violations] == ["column 'w'", "column 'N'", "column 'psu'"]
    assert [fault.got for fault in error.value.violations] == ["'x'", "'many'", "'p1', 'p2', 'p3' …"]


def test_marks_are_truth_values_or_1_and_0() -> None:
    for marks in ([0, 0, 0, 1, 1], [0.0, 0.0, 0.0, 1.0, 1.0], [False, False, False, True, True]):
        design = SurveyDesign.from_frame(frame(t=[*marks]), weight="w", strata="h", take_all="t")
        assert design.stratum_population.tolist() == [np.inf, 2.0]
    with pytest.raises(ViolationsError) as error:
        SurveyDesign.from_frame(frame(t=[0, 0, 0, 2, 2]), weight="w", strata="h", take_all="t")
    assert (rows_at_fault(error), got(error)) == ({"not_a_mark": (4, 5)}, {"not_a_mark": "2"})


def test_a_column_may_be_the_stratum_and_the_wave() -> None:
    design = SurveyDesign.from_frame(frame(), weight="w", strata="h", stages=["psu"], wave="h")
    assert design.stratum_psus.tolist() == [2, 2]


def test_missing_labels_are_named_by_row() -> None:
    with pytest.raises(ViolationsError) as error:
        SurveyDesign.from_frame(frame(h=[1.0, float("nan"), 1.0, 2.0, 2.0]), weight="w", strata="h")
    assert rows_at_fault(error) == {"label_missing": (2,)}
    with pytest.raises(ViolationsError) as error:
        SurveyDesign.from_frame(frame(h=["s1", None, "s1", "s2", "s2"]), weight="w", strata="h")
    assert rows_at_fault(error) == {"label_missing": (2,)}


def test_population_smaller_varying_or_missing() -> None:
    with pytest.raises(ViolationsError) as error:
        SurveyDesign.from_frame(frame(N=[10, 11, 10, 1, 1]), weight="w", strata="h", population=["N"])
    found = rows_at_fault(error)
    assert found["sample_exceeds_population"] == (4, 5)
    assert found["population_varies"] == (1, 2, 3)
    with pytest.raises(ViolationsError) as error:
        SurveyDesign.from_frame(frame(N=[10, 10, 10, 2, None]), weight="w", strata="h", population=["N"])
    assert rows_at_fault(error)["population_missing"] == (5,)


@pytest.mark.parametrize("reverse", [False, True])
def test_more_than_one_value_in_a_stratum_names_it_with_all_of_them_in_any_order(*, reverse: bool) -> None:
    """Which row is the fault cannot be known from two values: the counts show it."""
    sheet = pl.DataFrame(
        {
            "stratum": ["north"] * 4 + ["south"] * 4,
            "psu": [1, 1, 1, 2, 3, 3, 4, 1],
            "N": [40.0, 40.0, 40.0, 41.0, 8.5, 8.5, None, 9.5],
            "all": [True, False, False, False, False, False, False, False],
        }
    )
    rows = (1, 2, 3, 4, 5, 6, 7, 8)
    if reverse:
        sheet = sheet.reverse()
    with pytest.raises(ViolationsError) as error:
        SurveyDesign.from_frame(sheet, weight=None, strata="stratum", stages=["psu"], population=["N"], take_all="all")
    assert got(error) == {
        "psu_in_two_strata": "psu 1: north (3 rows), south (1 row)",
        "population_missing": "missing",
        "population_varies": "stratum north: 40 (3 rows), 41 (1 row); stratum south: 8.5 (2 rows), missing (1 row), "
        "9.5 (1 row)",
        "take_all_varies": "stratum north: false (3 rows), true (1 row)",
    }
    at_fault = {"psu_in_two_strata": (1, 2, 3, 8), "population_varies": rows, "take_all_varies": (1, 2, 3, 4)}
    found = rows_at_fault(error)
    for code, expected in at_fault.items():
        assert found[code] == (tuple(sorted(9 - row for row in expected)) if reverse else expected)


def test_of_many_strata_at_fault_the_first_are_told() -> None:
    sheet = pl.DataFrame({"stratum": [f"s{h:02}" for h in range(17)] * 2, "N": [1] * 34, "w": [1.0] * 34})
    with pytest.raises(ViolationsError) as error:
        SurveyDesign.from_frame(sheet, weight="w", strata="stratum", population=["N"])
    told = got(error)["sample_exceeds_population"]
    assert told.startswith("stratum s00: n = 2, N = 1; stratum s01: ")
    assert told.endswith("stratum s04: n = 2, N = 1; and 12 more")


def test_a_unit_in_two_strata_of_one_wave_is_told_with_the_wave() -> None:
    sheet = pl.DataFrame({"h": ["a", "b", "b"], "id": [7, 7, 7], "wave": [1, 2, 1], "w": [1.0] * 3})
    with pytest.raises(ViolationsError) as error:
        SurveyDesign.from_frame(sheet, weight="w", strata="h", stages=["id"], wave="wave")
    assert got(error) == {"psu_in_two_strata": "wave 1, id 7: a (1 row), b (1 row)"}


@pytest.mark.parametrize("wrong", [0, -40])
def test_a_population_of_nothing_is_told_as_it_is(wrong: int) -> None:
    for other, code in ((10, "population_below_one"), (wrong, "fraction_not_positive")):
        with pytest.raises(ViolationsError) as error:
            SurveyDesign.from_frame(
                frame(N=[other] * 3 + [wrong] * 2), weight="w", strata="h", population=["N"], lonely_psu="remove"
            )
        assert f"h s2: {wrong} (2 rows)" in got(error)[code]
        assert "counts, 1 or more" in str(error.value) or "a count of 1 or more" in str(error.value)


def test_psu_in_two_strata() -> None:
    with pytest.raises(ViolationsError) as error:
        SurveyDesign.from_frame(frame(psu=["p1", "p1", "p2", "p2", "p4"]), weight="w", strata="h", stages=["psu"])
    assert rows_at_fault(error) == {"psu_in_two_strata": (3, 4)}


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
    with pytest.raises(ViolationsError) as error:
        SurveyDesign.from_frame(frame(), weight="w", strata="H", stages=["psus"], lonely_psu="ajust")  # type: ignore[arg-type]
    assert [(fault.code, fault.got, fault.hint) for fault in error.value.violations] == [
        ("missing_column", "H", "use one of them"),
        ("missing_column", "psus", "did you mean psu?"),
        ("unknown_lonely_psu", "ajust", "did you mean adjust?"),
    ]
    with pytest.raises(AxstatError, match="empty_design"):
        SurveyDesign.from_frame(frame().head(0), weight="w")


def two_stages(**changes: list[object]) -> pl.DataFrame:
    columns: dict[str, list[object]] = {
        "h": ["s1"] * 4 + ["s2"] * 4,
        "psu": ["a", "a", "b", "b", "c", "c", "d", "d"],
        "ssu": [1, 2, 1, 2, 1, 2, 1, 2],
        "N": [8] * 4 + [2] * 4,
        "M": [4, 4, 2, 2, 6, 6, 2, 2],
    }
    return pl.DataFrame(columns | changes, strict=False)


STAGES = {"strata": "h", "stages": ["psu", "ssu"], "population": ["N", "M"]}


def test_weights_from_populations_and_shares_of_the_stages_above() -> None:
    """w = (N/n)(M/m): s1 8/2 times 4/2 and 2/2; the second stage counts n/N of the first: 1/4 and 1."""
    design = SurveyDesign.from_frame(two_stages(), weight=None, **STAGES)
    assert design.weight.tolist() == [8, 8, 4, 4, 3, 3, 1, 1]
    assert [stage.share.tolist() for stage in design.stages] == [[1.0, 1.0], [0.25, 0.25, 1.0, 1.0]]
    assert design.stages[1].stratum.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    # Second stage, PSUs a and c: share (1 - m/M) m/(m - 1).
    assert design.stages[1].variance_factor.tolist() == pytest.approx([0.25 * 0.5 * 2, 0.0, (1 - 2 / 6) * 2, 0.0])


def test_sampling_fractions_are_read_as_r_reads_them() -> None:
    """No value above 1: N = n / fraction; counts and fractions mixed are refused by row."""
    fractions = two_stages(N=[0.25] * 4 + [1.0] * 4, M=[0.5, 0.5, 1, 1, 1 / 3, 1 / 3, 1, 1])
    one, two = (SurveyDesign.from_frame(each, weight=None, **STAGES) for each in (fractions, two_stages()))
    assert one.weight == pytest.approx(two.weight)
    for ours, theirs in zip(one.stages, two.stages, strict=True):
        assert ours.population == pytest.approx(theirs.population)
    with pytest.raises(ViolationsError) as error:
        SurveyDesign.from_frame(two_stages(N=[8] * 4 + [0.5] * 4), weight=None, **STAGES)
    assert rows_at_fault(error)["population_below_one"] == (5, 6, 7, 8)


def test_populations_of_later_stages_are_checked_in_their_parent() -> None:
    with pytest.raises(ViolationsError) as error:
        SurveyDesign.from_frame(two_stages(M=[4, 5, 2, 2, 1, 1, 2, 2]), weight=None, **STAGES)
    assert rows_at_fault(error) == {"population_varies": (1, 2), "sample_exceeds_population": (5, 6)}
    assert got(error) == {
        "population_varies": "h s1, psu a: 4 (1 row), 5 (1 row)",
        "sample_exceeds_population": "h s2, psu c: n = 2, N = 1",
    }


def test_labels_of_later_stages_are_read_within_their_parent() -> None:
    design = SurveyDesign.from_frame(two_stages().with_columns(pl.lit(1.0).alias("w")), weight="w", **STAGES)
    assert design.stages[1].n_units == 8
    assert design.stages[1].sampled.tolist() == [2, 2, 2, 2]


def test_lonely_unit_of_a_later_stage_is_named_with_its_parent() -> None:
    frame = two_stages(ssu=[1, 1, 1, 2, 1, 2, 1, 2])
    with pytest.raises(SingletonStratumError) as error:
        SurveyDesign.from_frame(frame, weight=None, **STAGES)
    assert error.value.strata == ("a",)


def test_average_inside_a_parent_with_one_unit_takes_the_mean_of_the_other_parents() -> None:
    """R: not a number. Four parents of which a has one unit: the sum over b, c, d times 4/3.

    u = 1 in each row but 0 in the first of c. Stage 1: s1 t = 2, 2 adds 0; s2 is whole. Stage 2: c, (1 - 2/6) 2 times
    (0, 1) about 1/2: 2/3 (1/2 2) = 2/3; b and d are whole. V = 4/3 2/3.
    """
    frame = two_stages(ssu=[1, 1, 1, 2, 1, 2, 1, 2])
    design = SurveyDesign.from_frame(frame, weight=None, lonely_psu="average", **STAGES)
    influence = np.ones((8, 1))
    influence[4] = 0.0
    assert variance(design, influence)[0] == pytest.approx(4 / 3 * 2 / 3)


def test_psu_in_two_strata_may_be_nested_or_move_between_waves() -> None:
    labels = frame(psu=["p1", "p1", "p2", "p1", "p2"], w=[1.0] * 5)
    with pytest.raises(ViolationsError):
        SurveyDesign.from_frame(labels, weight="w", strata="h", stages=["psu"])
    nested = SurveyDesign.from_frame(labels, weight="w", strata="h", stages=["psu"], nest=True)
    assert (nested.n_psus, nested.stratum_psus.tolist()) == (4, [2, 2])
    waves = labels.with_columns(pl.Series("wave", [1, 1, 1, 2, 2]))
    moved = SurveyDesign.from_frame(waves, weight="w", strata="h", stages=["psu"], wave="wave")
    assert moved.n_psus == 4
    within = labels.with_columns(pl.Series("wave", [1, 1, 1, 1, 2]))
    with pytest.raises(ViolationsError, match="within one wave"):
        SurveyDesign.from_frame(within, weight="w", strata="h", stages=["psu"], wave="wave")


def test_a_panel_unit_of_two_waves_is_one_psu() -> None:
    stacked = pl.DataFrame({"h": ["s"] * 4, "id": ["a", "b", "a", "c"], "w": [1.0] * 4, "wave": [1, 1, 2, 2]})
    design = SurveyDesign.from_frame(stacked, weight="w", strata="h", stages=["id"], wave="wave")
    assert (design.n_psus, design.psu.tolist()) == (3, [0, 1, 0, 2])


def test_take_all_strata() -> None:
    marked = frame(w=[5.0, 5.0, 5.0, 1.0, 1.0]).with_columns(pl.Series("all", [False, False, False, True, True]))
    design = SurveyDesign.from_frame(marked, weight="w", strata="h", take_all="all")
    assert design.unsampled_share.tolist() == [1.0, 0.0]
    gaps = marked.with_columns(pl.Series("N", [10, 10, 10, None, None]))
    design = SurveyDesign.from_frame(gaps, weight="w", strata="h", population=["N"], take_all="all")
    assert design.stratum_population.tolist() == [10.0, 2.0]
    wrong = marked.with_columns(pl.Series("N", [10, 10, 10, 4, 4]), pl.Series("all", [True, False, False, True, True]))
    with pytest.raises(ViolationsError) as error:
        SurveyDesign.from_frame(wrong, weight="w", strata="h", population=["N"], take_all="all")
    assert rows_at_fault(error) == {"take_all_varies": (1, 2, 3), "take_all_not_complete": (4, 5)}
    assert got(error) == {
        "take_all_varies": "h s1: false (2 rows), true (1 row)",
        "take_all_not_complete": "h s2: n = 2, N = 4",
    }


def test_negative_weights_only_where_allowed_and_zero_is_kept() -> None:
    weights = frame(w=[5.0, 0.0, -2.0, 1.0, 1.0])
    with pytest.raises(ViolationsError) as error:
        SurveyDesign.from_frame(weights, weight="w", strata="h")
    assert rows_at_fault(error) == {"weight_negative": (3,)}
    design = SurveyDesign.from_frame(weights, weight="w", strata="h", allow_negative_weights=True)
    assert design.weight.tolist() == [5.0, 0.0, -2.0, 1.0, 1.0]
    assert design.negative_rows == (3,)
    # R's degf: the row of weight 0 is no PSU of the sample, but n_h = 3 in the variance.
    assert degrees_of_freedom(design) == 4 - 2
    assert design.stratum_psus.tolist() == [3, 2]


def test_arguments_that_do_not_fit_together() -> None:
    for code, options in {
        "too_many_populations": {"weight": "w", "population": ["N", "w"]},
        "no_weight": {"weight": None, "stages": ["psu", "id"], "population": ["N"]},
        "missing_column": {"weight": "w", "stages": ["cluster"]},
    }.items():
        with pytest.raises(AxstatError, match=code):
            SurveyDesign.from_frame(frame(), **options)
    with pytest.raises(ViolationsError) as error:
        SurveyDesign.from_frame(frame(N=[float("inf")] * 5), weight=None, population=["N"])
    assert rows_at_fault(error) == {"weight_not_finite": (1, 2, 3, 4, 5)}


def test_labels_of_any_type() -> None:
    """Numbers sort as numbers, text as text, and neither changes the estimates."""
    numbers = pl.DataFrame({"h": [10, 10, 9, 9], "psu": [3, 20, 100000, -5], "w": [1.0] * 4})
    design = SurveyDesign.from_frame(numbers, weight="w", strata="h", stages=["psu"])
    assert design.stratum_labels == ("9", "10")
    assert design.psu.tolist() == [1, 2, 3, 0]
    text = numbers.with_columns(pl.col("h", "psu").cast(pl.String).cast(pl.Categorical))
    same = SurveyDesign.from_frame(text, weight="w", strata="h", stages=["psu"])
    influence = np.array([[1.0], [2.0], [4.0], [3.0]])
    assert variance(same, influence) == pytest.approx(variance(design, influence))
