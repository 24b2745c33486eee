"""Eligibility sharing, weighting classes, response rates."""

import polars as pl
import pytest

from pipelines.errors import AxstatError
from pipelines.stats.collapse import Coarsening
from pipelines.stats.nonresponse import CollapseRule, adjust_nonresponse, response_rates

R, E, U, O = "respondent", "eligible_nonrespondent", "unknown_eligibility", "out_of_scope"  # noqa: E741


def units(*rows: tuple[str, str, float, str, bool]) -> pl.DataFrame:
    """(class, status, base weight, stratum, take_all) a unit."""
    return pl.DataFrame(
        [(f"u{i:03d}", *row) for i, row in enumerate(rows)],
        schema=["unit_id", "group", "status", "base_weight", "selection_stratum", "take_all"],
        orient="row",
    )


RULE = CollapseRule(parts=("group",), order=(Coarsening("group", "without group"),), min_respondents=2)


def test_factors_by_hand() -> None:
    """Class of base weight R 20, E 10, O 6, U 4: factor for eligibility 1 + 4/36, for non-response 30/20."""
    sample = units(*[("g", s, w, "s", False) for s, w in ((R, 12.0), (R, 8.0), (E, 10.0), (O, 6.0), (U, 4.0))])
    result = adjust_nonresponse(sample, rule=RULE).units
    assert result["eligibility_factor"].to_list() == [pytest.approx(1 + 4 / 36)] * 2 + [
        1.0,
        pytest.approx(1 + 4 / 36),
        1.0,
    ]
    assert result["nonresponse_factor"].to_list() == [1.5, 1.5, 1.0, 1.0, 1.0]
    carried = result.filter(pl.col("status").is_in([R, O]))
    final = carried["base_weight"] * carried["eligibility_factor"] * carried["nonresponse_factor"]
    # The sum of weights of the class is kept, and so is the share of eligible units among the known: 30/36.
    assert final.sum() == pytest.approx(40.0)
    assert final.filter(carried["status"] == R).sum() == pytest.approx(40 * 30 / 36)


def test_classes_collapse_by_respondents_and_by_factor() -> None:
    rows = [("g1", R, 1.0, "s", False)] + [("g2", R, 1.0, "s", False)] * 4 + [("g3", R, 1.0, "s", False)] * 5
    result = adjust_nonresponse(units(*rows), rule=RULE)
    assert result.collapse.log.rows() == [("g1", "g2", "without group", "1 respondent(s), at least 2 needed")]
    heavy = units(
        *[("g1", R, 1.0, "s", False)] * 2,
        *[("g1", E, 1.0, "s", False)] * 3,
        *[("g2", R, 1.0, "s", False)] * 8,
    )
    limited = CollapseRule(parts=RULE.parts, order=RULE.order, min_respondents=2, max_factor=2.0)
    result = adjust_nonresponse(heavy, rule=limited)
    assert result.collapse.log.row(0)[:3] == ("g1", "g2", "without group")
    assert result.units["nonresponse_factor"].max() == pytest.approx(13 / 10)


def test_a_complete_census_stays_unweighted_and_take_all_is_apart() -> None:
    """Take-all stratum t1 answered in full: factor 1 even in a class of one; t2 shares among take-all units."""
    sample = units(
        ("g1", R, 1.0, "t1", True),
        ("g1", R, 1.0, "t2", True),
        ("g1", R, 1.0, "t2", True),
        ("g1", E, 1.0, "t2", True),
        ("g1", R, 5.0, "s", False),
        ("g1", R, 5.0, "s", False),
        ("g1", E, 5.0, "s", False),
    )
    result = adjust_nonresponse(sample, rule=RULE).units
    assert result["nonresponse_class"].to_list() == ["g1#census"] + ["g1#take_all"] * 3 + ["g1"] * 3
    assert result["nonresponse_factor"].to_list() == [1.0, 1.5, 1.5, 1.0, 1.5, 1.5, 1.0]


def test_no_respondent_at_all_is_an_error() -> None:
    with pytest.raises(AxstatError, match="class_without_respondents"):
        adjust_nonresponse(units(("g", E, 1.0, "s", False), ("g", U, 1.0, "s", False)), rule=RULE)


def test_unknown_class_part_is_an_error() -> None:
    sample = units(("g", R, 1.0, "s", False)).with_columns(pl.lit(None, pl.String).alias("group"))
    with pytest.raises(AxstatError, match="class_part_missing"):
        adjust_nonresponse(sample, rule=RULE)


def test_response_rates_by_hand() -> None:
    """I 50, P 10, R+NC+O 20+5+5, unknown 10, out of scope 10: e = 90/100."""
    counts = [
        ("1.1", R, 50),
        ("1.2", R, 10),
        ("2.1", E, 20),
        ("2.2", E, 5),
        ("1.1", E, 5),
        ("3.1", U, 10),
        ("4.1", O, 10),
    ]
    sample = pl.DataFrame(
        [(d, s) for d, s, n in counts for _ in range(n)], schema=["disposition", "status"], orient="row"
    )
    row = response_rates(sample).row(0, named=True)
    assert (row["n"], row["complete"], row["partial"], row["eligible_nonrespondent"]) == (110, 50, 10, 30)
    assert row["e"] == pytest.approx(0.9)
    expected = {
        "rr1": 50 / 100,
        "rr2": 60 / 100,
        "rr3": 50 / (90 + 9),
        "rr4": 60 / (90 + 9),
        "rr5": 50 / 90,
        "rr6": 60 / 90,
    }
    for name, value in expected.items():
        assert row[name] == pytest.approx(value), name


def test_response_rates_by_group_and_weighted() -> None:
    sample = pl.DataFrame(
        {
            "group": ["b", "a", "a", "a"],
            "disposition": ["4.1", "1.1", "2.1", "3.2"],
            "status": [O, R, E, U],
            "w": [2.0, 3.0, 1.0, 1.0],
        }
    )
    table = response_rates(sample, by=["group"], weight="w")
    assert table["group"].to_list() == ["a", "b"]
    a, b = table.rows(named=True)
    # No out-of-scope unit in a: e = 1.
    assert (a["rr1"], a["rr3"], a["rr5"]) == (pytest.approx(3 / 5), pytest.approx(3 / 5), pytest.approx(3 / 4))
    # Only an out-of-scope unit in b: nothing was to be answered.
    assert b["rr1"] is None
    assert b["rr6"] is None
