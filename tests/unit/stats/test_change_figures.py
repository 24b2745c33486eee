"""Interval, p-value and direction of a change."""

import polars as pl
import pytest
from scipy import stats

from pipelines.stats.change import CHANGE_SCHEMA
from pipelines.stats.change_figures import FIGURES_SCHEMA, change_figures


def figures(
    before: float | None,
    after: float | None,
    se: float | None,
    *,
    df: tuple[int, int] = (40, 60),
    known: tuple[bool, bool] = (False, False),
) -> dict:
    row = dict.fromkeys(CHANGE_SCHEMA) | {
        "domain_type": "total",
        "domain_code": "total",
        "measure": "ai_adoption",
        "base": "answered",
        "unit_weighting": "unit",
        "n_before": 50,
        "n_after": 70,
        "n_common": 30,
        "estimate_before": before,
        "estimate_after": after,
        "change": None if before is None or after is None else after - before,
        "change_se": se,
        "df_before": df[0],
        "df_after": df[1],
        "known_before": known[0],
        "known_after": known[1],
        "covariance": 0.0001,
        "covariance_clipped": False,
    }
    found = change_figures(pl.DataFrame([row], schema=CHANGE_SCHEMA))
    assert dict(found.schema) == FIGURES_SCHEMA
    return found.row(0, named=True)


def test_t_interval_and_test_with_the_smaller_df() -> None:
    row = figures(0.30, 0.33, 0.01)
    half = stats.t.ppf(0.975, 40)
    assert row["df"] == 40
    assert row["change_pp"] == pytest.approx(3.0)
    assert row["se_pp"] == pytest.approx(1.0)
    assert (row["ci_low_pp"], row["ci_high_pp"]) == pytest.approx((3 - half, 3 + half))
    assert row["p_value"] == pytest.approx(2 * stats.t.sf(3.0, 40))
    assert row["direction"] == "rose"
    assert row["n_common"] == 30


@pytest.mark.parametrize(
    ("after", "direction"), [(0.25, "fell"), (0.319, "about_the_same"), (0.281, "about_the_same"), (0.321, "rose")]
)
def test_direction_is_what_the_interval_supports(after: float, direction: str) -> None:
    row = figures(0.30, after, 0.01)
    assert row["direction"] == direction
    assert (row["p_value"] < 0.05) == (direction != "about_the_same")


def test_a_known_change_is_its_own_interval() -> None:
    row = figures(0.5, 0.75, 0.0, known=(True, True))
    assert (row["ci_low_pp"], row["ci_high_pp"], row["p_value"], row["direction"]) == (25.0, 25.0, None, "rose")
    assert figures(1.0, 1.0, 0.0, known=(True, True))["direction"] == "about_the_same"


@pytest.mark.parametrize(("before", "after", "se"), [(1.0, 1.0, 0.0), (0.4, 1.0, 0.05), (0.0, 0.2, 0.04)])
def test_a_rate_of_zero_or_one_makes_no_change_certain(before: float, after: float, se: float) -> None:
    row = figures(before, after, se)
    assert row["change_pp"] == pytest.approx(100 * (after - before))
    assert [row[name] for name in ("ci_low_pp", "ci_high_pp", "p_value", "direction")] == [None] * 4


def test_without_an_estimate_or_degrees_of_freedom_nothing_is_said() -> None:
    for row in (figures(None, 0.3, None), figures(0.2, 0.3, 0.05, df=(0, 40))):
        assert [row[name] for name in ("ci_low_pp", "ci_high_pp", "p_value", "direction")] == [None] * 4
    assert figures(None, 0.3, None)["change_pp"] is None
