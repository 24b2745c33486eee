"""Progress rows: the formulas of method.md 6 by hand, and the cases without an answer."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from pipelines.errors import AxstatError
from pipelines.stats.change import CHANGE_SCHEMA, ComparabilityError, Segment
from pipelines.stats.rates import RATE_SCHEMA
from pipelines.stats.trend import PROGRESS_SCHEMA, Target, progress

LIST = Segment("industry", "list-2022", "1")
TARGET = Target(value=0.70, year=2030)


def rates(
    estimate: float | None, *, se: float | None = 0.01, ci_low: float | None = None, code: str = "total"
) -> pl.DataFrame:
    if ci_low is None and estimate is not None:
        ci_low = estimate - 0.06
    row = dict.fromkeys(RATE_SCHEMA) | {
        "domain_type": "total" if code == "total" else "region",
        "domain_code": code,
        "measure": "ai_adoption",
        "base": "answered",
        "unit_weighting": "unit",
        "estimate": estimate,
        "se": None if estimate is None else se,
        "ci_low": ci_low,
        "ci_high": None if estimate is None else estimate + 0.06,
        "df": 400,
    }
    return pl.DataFrame([row], schema=RATE_SCHEMA)


def moved(
    before: float | None, after: float | None, *, v1: float = 0.0001, cov: float = 0.00004, code: str = "total"
) -> pl.DataFrame:
    row = dict.fromkeys(CHANGE_SCHEMA) | {
        "domain_type": "total" if code == "total" else "region",
        "domain_code": code,
        "measure": "ai_adoption",
        "base": "answered",
        "unit_weighting": "unit",
        "estimate_before": before,
        "estimate_after": after,
        "variance_before": None if before is None else v1,
        "variance_after": 0.0001,
        "covariance": cov,
        "df_before": 300,
        "df_after": 400,
    }
    return pl.DataFrame([row], schema=CHANGE_SCHEMA)


def projected(p_target: float | None, *, points: int = 4, depends: bool = False, code: str = "total") -> pl.DataFrame:
    """The headline of one series, as project() gives it."""
    known = None if p_target is None else 0.6
    row = {
        "domain_type": "total" if code == "total" else "region",
        "domain_code": code,
        "measure": "ai_adoption",
        "unit_weighting": "unit",
        "points": points,
        "depends_on_assumption": depends,
        "projected": known,
        "projected_low": known and 0.4,
        "projected_high": known and 0.8,
        "tau": known and 0.1,
        "p_target": p_target,
    }
    numbers = ("projected", "projected_low", "projected_high", "tau", "p_target")
    return pl.DataFrame([row], schema_overrides=dict.fromkeys(numbers, pl.Float64))


def row(
    table: pl.DataFrame,
    change: pl.DataFrame | None,
    *,
    projection: pl.DataFrame | None = None,
    wave: int = 2025,
    baseline: int = 2022,
    target: Target = TARGET,
) -> dict[str, object]:
    result = progress(
        table,
        change,
        projected(None, points=2) if projection is None else projection,
        wave=wave,
        baseline_wave=baseline,
        segment=LIST,
        baseline_segment=LIST,
        target=target,
        measures=["ai_adoption"],
    )
    assert result.schema == pl.Schema(PROGRESS_SCHEMA)
    assert result.height == table.height
    return result.row(0, named=True)


def test_formulas_by_hand() -> None:
    """From 28 % in 2022 to 34 % in 2025, target 70 % in 2030; SE 1 point each, covariance 0.00004."""
    found = row(rates(0.34), moved(0.28, 0.34))
    assert found["gap_pp"] == pytest.approx(36.0)
    assert found["gap_se_pp"] == pytest.approx(1.0)
    assert found["share_of_distance"] == pytest.approx(0.06 / 0.42)
    d1, d0 = 1 / 0.42, (0.34 - 0.70) / 0.42**2
    assert found["share_se"] == pytest.approx(np.sqrt(d1**2 * 1e-4 + d0**2 * 1e-4 + 2 * d1 * d0 * 4e-5))
    assert found["observed_pp_per_year"] == pytest.approx(2.0)
    assert found["observed_se_pp"] == pytest.approx(100 * np.sqrt(2e-4 - 8e-5) / 3)
    assert found["required_pp_per_year"] == pytest.approx(36 / 5)
    assert found["required_se_pp"] == pytest.approx(1 / 5)
    assert found["required_from_baseline_pp_per_year"] == pytest.approx(42 / 8)
    a, b = (0.34 / 0.28) ** (1 / 3) - 1, (0.70 / 0.28) ** (1 / 8) - 1
    assert found["progress_ratio"] == pytest.approx(a / b)
    assert found["pace_status"] == "limited"
    assert (found["baseline"], found["baseline_wave"], found["estimate"]) == (0.28, 2022, 0.34)
    assert (found["target"], found["target_year"], found["target_scope"]) == (0.70, 2030, "national")
    assert (found["status"], found["status_reason"]) == ("insufficient", "few_points")
    assert [found[name] for name in ("projected", "projected_low", "projected_high", "tau", "p_target")] == [None] * 5
    assert found["comparability_segment"] == "industry-list-2022-1"


def test_fieller_limits_are_the_roots_of_the_test() -> None:
    """At each limit |a - r b| is exactly t_{300} standard errors, by the numerical derivative of (p_t, p_0)."""
    found = row(rates(0.34), moved(0.28, 0.34))
    cov = np.array([[1e-4, 4e-5], [4e-5, 1e-4]])
    quantile = stats.t.ppf(0.975, 300)

    def distance(p_now: float, p_start: float, r: float) -> float:
        return ((p_now / p_start) ** (1 / 3) - 1) - r * ((0.70 / p_start) ** (1 / 8) - 1)

    for limit in (found["progress_ratio_low"], found["progress_ratio_high"]):
        step = 1e-6
        gradient = np.array(
            [
                (distance(0.34 + step, 0.28, limit) - distance(0.34 - step, 0.28, limit)) / (2 * step),
                (distance(0.34, 0.28 + step, limit) - distance(0.34, 0.28 - step, limit)) / (2 * step),
            ]
        )
        assert abs(distance(0.34, 0.28, limit)) == pytest.approx(
            quantile * np.sqrt(gradient @ cov @ gradient), rel=1e-6
        )
    assert found["progress_ratio_low"] < found["progress_ratio"] < found["progress_ratio_high"]


@pytest.mark.parametrize(
    ("now", "status"), [(0.40, "on_track"), (0.36, "acceleration_needed"), (0.30, "limited"), (0.25, "moving_away")]
)
def test_pace_status(now: float, status: str) -> None:
    """Needed growth from 28 % is 12.1 % a year; over three years 95 % of it reads 39.0 %, 60 % reads 34.5 %."""
    assert row(rates(now), moved(0.28, now))["pace_status"] == status


def test_baseline_wave() -> None:
    found = row(rates(0.28), None, wave=2022)
    for name in (
        "share_of_distance",
        "share_se",
        "observed_pp_per_year",
        "observed_se_pp",
        "progress_ratio",
        "pace_status",
    ):
        assert found[name] is None
    assert (found["baseline"], found["baseline_wave"]) == (0.28, 2022)
    assert found["required_pp_per_year"] == pytest.approx(42 / 8)
    assert found["required_from_baseline_pp_per_year"] == pytest.approx(42 / 8)
    assert found["status_reason"] == "baseline_wave;few_points"


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (0.72, 0.75, "baseline_at_or_above_target"),
        (0.70, 0.65, "baseline_at_or_above_target"),
        (0.0, 0.10, "baseline_zero"),
        (None, 0.10, "no_baseline"),
    ],
)
def test_no_pace_can_be_had(before: float | None, after: float, reason: str) -> None:
    found = row(rates(after), moved(before, after))
    assert found["status_reason"] == f"{reason};few_points"
    for name in ("share_of_distance", "observed_pp_per_year", "progress_ratio", "progress_ratio_low", "pace_status"):
        assert found[name] is None
    assert found["gap_pp"] == pytest.approx(100 * (0.70 - after))


def test_a_domain_new_since_the_baseline_has_no_row_in_the_change() -> None:
    found = row(rates(0.3, code="r9"), moved(0.28, 0.3, code="r1"))
    assert found["status_reason"] == "no_baseline;few_points"
    assert found["target_scope"] == "applied to domain"


def test_no_estimate() -> None:
    found = row(rates(None), moved(0.28, None))
    assert found["status_reason"] == "no_estimate;few_points"
    assert found["target"] == 0.70
    assert (found["gap_pp"], found["estimate"], found["progress_ratio"]) == (None, None, None)


def test_reached_needs_the_whole_interval() -> None:
    assert row(rates(0.74, ci_low=0.71), moved(0.28, 0.74))["status"] == "reached"
    assert row(rates(0.74, ci_low=0.71), moved(0.28, 0.74), projection=projected(0.6))["status_reason"] == (
        "interval_above_target"
    )
    assert row(rates(0.74, ci_low=0.69), moved(0.28, 0.74))["status"] == "insufficient"


def test_ratio_without_interval() -> None:
    """A baseline so uncertain that the needed growth may be 0: the interval is unbounded and not given."""
    found = row(rates(0.5), moved(0.6, 0.5, v1=0.01))
    assert found["progress_ratio"] is not None
    assert (found["progress_ratio_low"], found["progress_ratio_high"]) == (None, None)
    assert found["status_reason"] == "ratio_without_interval;few_points"
    zero = row(rates(0.0, se=0.0), moved(0.2, 0.0))
    assert zero["pace_status"] == "moving_away"
    assert zero["status_reason"] == "estimate_zero;few_points"


def test_a_census_has_an_exact_ratio() -> None:
    found = row(rates(0.34, se=0.0), moved(0.28, 0.34, v1=0.0, cov=0.0))
    assert found["progress_ratio_low"] == pytest.approx(found["progress_ratio"])
    assert found["progress_ratio_high"] == pytest.approx(found["progress_ratio"])


def test_after_the_target_year_nothing_is_required_from_now() -> None:
    found = row(rates(0.5), moved(0.28, 0.5), target=Target(0.70, 2025))
    assert (found["required_pp_per_year"], found["required_se_pp"]) == (None, None)
    assert found["required_from_baseline_pp_per_year"] == pytest.approx(14.0)
    assert "target_year_reached" in found["status_reason"]


@pytest.mark.parametrize(
    ("p_target", "status", "reason"),
    [
        (0.93, "likely", "probability_high"),
        (0.5, "uncertain", "probability_middle"),
        (0.03, "unlikely", "probability_low"),
    ],
)
def test_status_by_the_probability_of_reaching_the_target(p_target: float, status: str, reason: str) -> None:
    found = row(rates(0.34), moved(0.28, 0.34), projection=projected(p_target))
    assert (found["status"], found["status_reason"]) == (status, reason)
    assert (found["projected"], found["projected_low"], found["projected_high"]) == (0.6, 0.4, 0.8)
    assert (found["tau"], found["p_target"]) == (0.1, p_target)
    marked = row(rates(0.34), moved(0.28, 0.34), projection=projected(p_target, depends=True))
    assert (marked["status"], marked["status_reason"]) == (status, f"{reason};depends_on_assumption")


def test_no_projection_has_its_reason() -> None:
    """Too few points, or points through which no curve could be laid, or a domain the projection does not know."""
    few = row(rates(0.34), moved(0.28, 0.34), projection=projected(None, points=2))
    assert (few["status"], few["status_reason"]) == ("insufficient", "few_points")
    unsolved = row(rates(0.34), moved(0.28, 0.34), projection=projected(None))
    assert (unsolved["status"], unsolved["status_reason"]) == ("insufficient", "projection_without_solution")
    unknown = row(rates(0.34), moved(0.28, 0.34), projection=projected(0.9, code="r9"))
    assert (unknown["p_target"], unknown["status_reason"]) == (None, "few_points")


def test_from_the_target_year_on_the_estimate_itself_is_judged() -> None:
    goal = Target(0.70, 2025)
    missed = row(rates(0.5), moved(0.28, 0.5), target=goal)
    assert (missed["status"], missed["status_reason"]) == ("unlikely", "target_year_reached;interval_below_target")
    near = row(rates(0.68), moved(0.28, 0.68), target=goal)
    assert (near["status"], near["status_reason"]) == ("uncertain", "target_year_reached;interval_holds_target")
    there = row(rates(0.78), moved(0.28, 0.78), target=goal)
    assert (there["status"], there["status_reason"]) == ("reached", "target_year_reached;interval_above_target")
    nothing = row(rates(None), moved(0.28, None), target=goal)
    assert (nothing["status"], nothing["status_reason"]) == ("insufficient", "no_estimate;target_year_reached")


def test_ratio_of_the_published_series() -> None:
    """28.0 % (2022) to 32.9 % (2024), n = 12,500, deff 2, waves independent: 0.69 with an SE of about 0.11 (issue 6);
    0.47 of the linear pace required from the baseline."""
    p0, p2 = 0.280, 0.329
    v0, v2 = (p * (1 - p) / 6250 for p in (p0, p2))
    table = rates(p2, se=float(np.sqrt(v2))).with_columns(pl.lit(100_000, pl.Int64).alias("df"))
    change = moved(p0, p2, v1=v0, cov=0.0).with_columns(pl.lit(100_000, pl.Int64).alias("df_before"))
    found = row(table, change, wave=2024)
    assert found["progress_ratio"] == pytest.approx(0.69, abs=0.005)
    assert (found["progress_ratio_high"] - found["progress_ratio_low"]) / (2 * 1.96) == pytest.approx(0.11, abs=0.005)
    assert found["observed_pp_per_year"] / found["required_from_baseline_pp_per_year"] == pytest.approx(0.47, abs=0.005)
    assert found["pace_status"] == "acceleration_needed"


def test_never_across_segments() -> None:
    with pytest.raises(ComparabilityError) as error:
        progress(
            rates(0.3),
            moved(0.027, 0.3),
            projected(None),
            wave=2022,
            baseline_wave=2021,
            segment=LIST,
            baseline_segment=Segment("industry", "yn-2019", "none"),
            target=TARGET,
            measures=["ai_adoption"],
        )
    assert "ai_adoption@yn-2019" in str(error.value)
    assert "ai_adoption@list-2022" in str(error.value)


def test_waves_must_fit() -> None:
    with pytest.raises(AxstatError, match="progress_waves"):
        row(rates(0.3), None)
    with pytest.raises(AxstatError, match="progress_waves"):
        row(rates(0.3), moved(0.2, 0.3), wave=2022)
    with pytest.raises(AxstatError, match="progress_waves"):
        row(rates(0.3), moved(0.2, 0.3), target=Target(0.7, 2022))
