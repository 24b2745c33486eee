"""Implausible changes: figures worked out by hand, and Holm's adjustment after its definition."""

import math

import numpy as np
import polars as pl
import pytest
from scipy import stats

from pipelines.stats.plausibility import LEVEL, departures, holm, turned_gradients

NO_PROJECTION = pl.DataFrame(
    schema={
        **dict.fromkeys(("domain_type", "domain_code", "unit_weighting"), pl.String),
        **dict.fromkeys(("estimate", "low", "high", "df"), pl.Float64),
    }
)
MANY = 10**9


def changes(*rows: tuple[str, str, float, float, int]) -> pl.DataFrame:
    """Domain type and code, change and SE in points, df; all from a rate of 0.3."""
    return pl.DataFrame(
        [
            {
                "domain_type": kind, "domain_code": code, "unit_weighting": "unit", "estimate_before": 0.3,
                "change_pp": change, "se_pp": se, "df": df,
            }
            for kind, code, change, se, df in rows
        ]
    )  # fmt: skip


def rates(population: dict[str, float], *, estimate: float = 0.32, se: float = 0.01) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "domain_type": "total" if code == "total" else "ax_industry", "domain_code": code,
                "unit_weighting": "unit", "population": size, "estimate": estimate, "se": se, "df": MANY,
                "n_effective": 400.0,
            }
            for code, size in population.items()
        ]
    )  # fmt: skip


def judged(given: pl.DataFrame, population: dict[str, float], projections: pl.DataFrame = NO_PROJECTION, **how):
    return departures(given, rates(population, **how), projections, whole="total", level=0.95)


def test_the_difference_from_the_mean_takes_the_domain_s_part_in_the_mean_out() -> None:
    """V = 4 + 1 - 2 * 0.25 * 4 = 3; the difference is 8 - 2 = 6 points."""
    given = changes(("total", "total", 2.0, 1.0, MANY), ("ax_industry", "AX1", 8.0, 2.0, MANY))
    [row] = judged(given, {"total": 100.0, "AX1": 25.0}).to_dicts()
    assert (row["reference"], row["expected_pp"], row["difference_pp"]) == ("mean_change", 2.0, 6.0)
    assert row["standard_errors"] == pytest.approx(6 / math.sqrt(3))
    assert row["p_value"] == pytest.approx(2 * stats.norm.sf(6 / math.sqrt(3)), rel=1e-6)


def test_the_variance_is_never_below_the_domain_s_own_part() -> None:
    """A domain of nine tenths that carries all of the variance: 4 + 1 - 2 * 0.9 * 4 < 0; (1 - 0.9)^2 * 4 = 0.04."""
    given = changes(("total", "total", 2.0, 1.0, MANY), ("ax_industry", "AX1", 2.5, 2.0, MANY))
    [row] = judged(given, {"total": 100.0, "AX1": 90.0}).to_dicts()
    assert row["standard_errors"] == pytest.approx(0.5 / 0.2)


def test_one_difference_alone_is_implausible_beyond_three_and_a_half_standard_errors() -> None:
    for ratio, implausible in ((3.49, False), (3.51, True)):
        given = changes(
            ("total", "total", 2.0, 1.0, MANY), ("ax_industry", "AX1", 2.0 + ratio * math.sqrt(3), 2.0, MANY)
        )
        [row] = judged(given, {"total": 100.0, "AX1": 25.0}).to_dicts()
        assert row["implausible"] is implausible, ratio


def test_among_many_differences_holm_asks_for_more() -> None:
    """3.6 standard errors: p = 3.2e-4, times 20 beyond the level of 3.5 standard errors (4.7e-4)."""
    others = [("ax_industry", f"AX{number}", 2.0, 2.0, MANY) for number in range(2, 21)]
    population = {"total": 100.0, **{f"AX{number}": 25.0 for number in range(1, 21)}}
    for ratio, implausible in ((3.6, False), (4.4, True)):
        odd = ("ax_industry", "AX1", 2.0 - ratio * math.sqrt(3), 2.0, MANY)
        found = judged(changes(("total", "total", 2.0, 1.0, MANY), odd, *others), population)
        assert found.height == 20
        assert found["domain_code"][0] == "AX1"
        assert found["p_adjusted"][0] == pytest.approx(20 * found["p_value"][0])
        assert found["implausible"].to_list() == [implausible, *[False] * 19]


def test_few_degrees_of_freedom_make_the_test_more_careful() -> None:
    given = changes(("total", "total", 2.0, 1.0, 4), ("ax_industry", "AX1", 10.0, 2.0, 4))
    [row] = judged(given, {"total": 100.0, "AX1": 25.0}).to_dicts()
    assert row["p_value"] == pytest.approx(2 * stats.t.sf(8 / math.sqrt(3), 4), rel=1e-6)
    assert not row["implausible"]


def test_the_headline_is_held_against_its_projection_on_the_logit_scale() -> None:
    """Projected 0.5 with logit limits ±0.98, that is a spread of 0.5; found 0.8 with a logit SE of 0.04/0.16."""
    limit = 0.5 * stats.norm.ppf(0.975)
    projections = pl.DataFrame(
        {
            "domain_type": ["total"], "domain_code": ["total"], "unit_weighting": ["unit"], "estimate": [0.5],
            "low": [1 / (1 + math.exp(limit))], "high": [1 / (1 + math.exp(-limit))], "df": [None],
        },
        schema_overrides={"df": pl.Float64},
    )  # fmt: skip
    given = changes(("total", "total", 50.0, 1.0, MANY))
    [row] = judged(given, {"total": 100.0}, projections, estimate=0.8, se=0.04).to_dicts()
    assert (row["reference"], row["expected_pp"]) == ("projection", pytest.approx(20.0))
    assert row["standard_errors"] == pytest.approx(math.log(4) / math.sqrt(0.5**2 + 0.25**2))


def test_a_rate_of_one_is_moved_inside_before_it_is_compared() -> None:
    """(400 * 1 + 1/2) / 401, with the variance p (1 - p) / 400 of method.md 6."""
    limit = 0.5 * stats.norm.ppf(0.975)
    projections = pl.DataFrame(
        {
            "domain_type": ["total"], "domain_code": ["total"], "unit_weighting": ["unit"], "estimate": [0.5],
            "low": [1 / (1 + math.exp(limit))], "high": [1 / (1 + math.exp(-limit))], "df": [None],
        },
        schema_overrides={"df": pl.Float64},
    )  # fmt: skip
    [row] = judged(
        changes(("total", "total", 70.0, 0.0, MANY)), {"total": 100.0}, projections, estimate=1.0, se=0.0
    ).to_dicts()
    inside = 400.5 / 401
    logit_se = math.sqrt(1 / (400 * inside * (1 - inside)))
    expected = math.log(inside / (1 - inside)) / math.sqrt(0.5**2 + logit_se**2)
    assert row["standard_errors"] == pytest.approx(expected)


def test_what_has_no_standard_error_is_not_held_against_the_mean() -> None:
    given = changes(
        ("total", "total", 2.0, 1.0, MANY),
        ("ax_industry", "AX1", 40.0, 0.0, MANY),
        ("ax_industry", "AX2", 2.0, 1.0, MANY),
    )
    assert judged(given, {"total": 100.0, "AX1": 25.0, "AX2": 25.0})["domain_code"].to_list() == ["AX2"]
    assert judged(given.filter(pl.col("domain_type") != "total"), {"total": 100.0}).is_empty()


def test_holm_is_the_step_down_adjustment() -> None:
    """0.01 * 4, 0.02 * 3, max(0.06, 0.03 * 2), max(0.06, 0.04): in the order in which they were given."""
    assert holm(np.array([0.04, 0.01, 0.03, 0.02])) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm(np.array([0.5, 0.9])) == pytest.approx([1.0, 1.0])
    assert holm(np.array([])).size == 0
    assert pytest.approx(4.652e-4, rel=1e-3) == LEVEL


def classes(small: float, large: float, *, se: float = 0.02, df: int = MANY) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"domain_code": code, "unit_weighting": "unit", "estimate": rate, "se": se, "df": df}
            for code, rate in (("small", small), ("large", large))
        ]
    )


@pytest.mark.parametrize(
    ("before", "after", "turned"),
    [
        # SE of a difference sqrt(2) * 2 = 2.83 points, so it is clear beyond 5.54
        (classes(0.2, 0.3), classes(0.3, 0.2), True),
        (classes(0.2, 0.3), classes(0.3, 0.25), False),
        (classes(0.2, 0.25), classes(0.3, 0.2), False),
        (classes(0.2, 0.3), classes(0.2, 0.26), False),
        (classes(0.2, 0.3), classes(0.3, 0.2, df=1), False),
    ],
)
def test_a_gradient_turned_over_when_both_orders_are_clear(
    before: pl.DataFrame, after: pl.DataFrame, turned: bool
) -> None:
    found = turned_gradients(before, after, classes=["small", "large"], level=0.95)
    assert found.height == int(turned)
    if turned:
        assert found.row(0)[:3] == ("small", "large", "unit")
        assert found.row(0)[3:] == pytest.approx((10.0, -10.0))


def test_only_neighbours_that_both_waves_have_are_compared() -> None:
    before = classes(0.2, 0.3)
    lone = classes(0.3, 0.2).filter(pl.col("domain_code") == "large")
    assert turned_gradients(before, lone, classes=["small", "large"], level=0.95).is_empty()
    assert turned_gradients(before, classes(0.3, 0.2), classes=["small", "middle", "large"], level=0.95).is_empty()
