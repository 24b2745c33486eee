"""Projections: the published figures, statsmodels, what is refused, what does not matter, and the edges.

The Korean enterprise series (kr_ai_rate_benchmarks): 28.0 % in 2022, 30.3 % in 2023, 32.9 % in 2024, n = 12,500; design
effect 2, waves taken as independent. Figures of its projection to 2030 as issue 6 states them.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from pipelines.errors import AxstatError
from pipelines.stats.change import ComparabilityError, Segment
from pipelines.stats.growth import Points, Scale, predict, process_deviation
from pipelines.stats.projection import (
    HINDCAST_SCHEMA,
    PROJECTION_SCHEMA,
    Aim,
    hindcast,
    project,
    status_of,
)
from pipelines.stats.rate_series import KEY, RateSeries

LIST = Segment("industry", "list-2022", "1")
YES_NO = Segment("industry", "yn-2019", "none")
AIM = Aim(value=0.70, year=2030, ceilings=(1.0, 0.9, 0.8))
KOREA = {2022: 0.280, 2023: 0.303, 2024: 0.329}
N_EFFECTIVE = 12_500 / 2


def rates(
    values: dict[int, float | None],
    *,
    n: float = N_EFFECTIVE,
    code: str = "total",
    domain_type: str = "total",
    half: float = 0.012,
) -> pl.DataFrame:
    """Rows of estimates.adoption_rate with the SE of a simple random sample of n."""
    rows = []
    for wave, p in values.items():
        rows.append(
            {
                "domain_type": domain_type,
                "domain_code": code,
                "measure": "ai_adoption",
                "unit_weighting": "unit",
                "wave": wave,
                "base": "answered",
                "estimate": p,
                "se": None if p is None else float(np.sqrt(p * (1 - p) / n)),
                "ci_low": None if p is None else max(p - half, 0.0),
                "ci_high": None if p is None else min(p + half, 1.0),
                "n_effective": None if p is None else n,
            }
        )
    return pl.DataFrame(
        rows,
        schema_overrides=dict.fromkeys(("estimate", "se", "ci_low", "ci_high", "n_effective"), pl.Float64),
    )


def pairs(values: dict[tuple[int, int], float], *, code: str = "total", domain_type: str = "total") -> pl.DataFrame:
    return pl.DataFrame(
        [(domain_type, code, "ai_adoption", "unit", *waves, value) for waves, value in values.items()],
        schema=[*((name, pl.String) for name in KEY), ("wave_before", pl.Int64), ("wave_after", pl.Int64),
                ("covariance", pl.Float64)],
        orient="row",
    )  # fmt: skip


def series(table: pl.DataFrame, covariances: pl.DataFrame | None = None, **segments: Segment) -> RateSeries:
    return RateSeries.build(
        table,
        pairs({}) if covariances is None else covariances,
        segments={wave: segments.get(f"w{wave}", LIST) for wave in table["wave"].unique()},
        measures=["ai_adoption"],
    )


def in_2030(made: pl.DataFrame, model: str, variant: str = "main") -> dict[str, object]:
    return made.filter(year=2030, model=model, variant=variant).row(0, named=True)


@pytest.mark.parametrize(
    ("tau", "low", "high"), [(0.0, 0.429, 0.562), (0.05, 0.358, 0.633), (0.10, 0.259, 0.734), (0.20, 0.116, 0.880)]
)
def test_published_series_to_2030(tau: float, low: float, high: float) -> None:
    made, _ = project(series(rates(KOREA)), aim=AIM)
    found = in_2030(made, "logit", f"tau={tau:g}")
    assert found["estimate"] == pytest.approx(0.495, abs=0.0006)
    assert (found["low"], found["high"]) == (pytest.approx(low, abs=0.0006), pytest.approx(high, abs=0.0006))
    chance = {0.0: (0.0, 1e-4), 0.05: (0.001, 0.002), 0.10: (0.045, 0.055), 0.20: (0.195, 0.205)}[tau]
    assert chance[0] <= found["p_target"] <= chance[1]


def test_headline_of_the_published_series() -> None:
    """tau = 0.10: unlikely, and so under every other assumption, if barely at tau = 0.20."""
    made, headline = project(series(rates(KOREA)), aim=AIM)
    assert made.schema == pl.Schema(PROJECTION_SCHEMA)
    row = headline.row(0, named=True)
    main = in_2030(made, "logit")
    assert (row["points"], row["tau"], main["tau_rule"], main["df"]) == (3, 0.10, "fixed", None)
    assert (row["projected"], row["projected_low"], row["projected_high"], row["p_target"]) == tuple(
        main[name] for name in ("estimate", "low", "high", "p_target")
    )
    assert status_of(np.array([row["p_target"]])) == ["unlikely"]
    assert main["p_target"] == in_2030(made, "logit", "tau=0.1")["p_target"]
    assert made.filter(pl.col("p_target").is_not_null())["year"].unique().to_list() == [2030]
    assert made.filter(model="logit", variant="main")["year"].to_list() == list(range(2025, 2031))
    # Every curve is there, and the ceilings that are above target and intervals.
    tried = set(made.filter(kind="projected").select("model", "variant").unique().iter_rows())
    assert tried == {
        *((model, "main") for model in ("logit", "random_walk", "gompertz", "bass")),
        *(("logit", f"tau={tau}") for tau in ("0", "0.05", "0.1", "0.2")),
        ("logit", "ceiling=0.9"),
        ("logit", "ceiling=0.8"),
    }


def test_observed_and_required_rows() -> None:
    made, _ = project(series(rates(KOREA)), aim=AIM)
    seen = made.filter(kind="observed")
    assert seen.select("year", "estimate").rows() == list(KOREA.items())
    assert seen["high"].to_list() == pytest.approx([p + 0.012 for p in KOREA.values()])
    path = made.filter(kind="required")
    assert path["year"].to_list() == list(range(2022, 2031))
    assert path["estimate"][0] == pytest.approx(0.28)
    assert path["estimate"][-1] == pytest.approx(0.70)
    assert np.diff(special.logit(path["estimate"].to_numpy())) == pytest.approx(
        (special.logit(0.7) - special.logit(0.28)) / 8
    )


def test_ratio_of_logit_and_linear_pace_of_the_published_series() -> None:
    """Issue 6: 0.52 on the logit scale, 0.47 in points (the ratio itself: test_trend)."""
    z = special.logit(np.array([*KOREA.values(), 0.70]))
    assert (z[2] - z[0]) / 2 / ((z[3] - z[0]) / 8) == pytest.approx(0.52, abs=0.005)
    made, _ = project(series(rates(KOREA)), aim=AIM)
    path = dict(made.filter(kind="required").select("year", "estimate").iter_rows())
    # The path has covered in its first two years what the series has covered at 0.52 of its pace.
    gone = special.logit(path[2024]) - special.logit(path[2022])
    assert (special.logit(KOREA[2024]) - special.logit(KOREA[2022])) / gone == pytest.approx(0.52, abs=0.005)


def test_across_the_break_is_refused_naming_both_definitions() -> None:
    with pytest.raises(ComparabilityError) as caught:
        series(rates({2021: 0.027, **KOREA}), w2021=YES_NO)
    assert "ai_adoption@yn-2019 (technology list none)" in str(caught.value)
    assert "ai_adoption@list-2022 (technology list 1)" in str(caught.value)


def test_a_wave_without_a_segment_is_an_error() -> None:
    with pytest.raises(AxstatError, match="rates of 2024"):
        RateSeries.build(rates(KOREA), pairs({}), segments=dict.fromkeys((2022, 2023), LIST), measures=["ai_adoption"])


OVERLAP = {(2022, 2023): 2.1e-5, (2022, 2024): 1.4e-5, (2023, 2024): 2.3e-5}


@pytest.mark.parametrize("tau", [0.0, 0.05, 0.10, 0.20])
def test_equal_to_statsmodels_gls(tau: float) -> None:
    """Coefficients carried on to 2030, and their covariance with the scale of the errors known (1)."""
    made, _ = project(series(rates(KOREA), pairs(OVERLAP)), aim=AIM)
    p = np.array(list(KOREA.values()))
    v = np.diag(p * (1 - p) / N_EFFECTIVE)
    for (first, second), value in OVERLAP.items():
        v[first - 2022, second - 2022] = v[second - 2022, first - 2022] = value
    slope = 1 / (p * (1 - p))
    omega = slope[:, None] * v * slope + tau**2 * np.eye(3)
    fit = sm.GLS(special.logit(p), sm.add_constant(np.arange(3.0)), sigma=omega).fit(cov_type="fixed scale")
    x = np.array([1.0, 8.0])
    centre, spread = x @ fit.params, np.sqrt(x @ fit.cov_params() @ x + tau**2)
    found = in_2030(made, "logit", f"tau={tau:g}")
    assert found["estimate"] == pytest.approx(special.expit(centre), rel=1e-10)
    assert found["low"] == pytest.approx(special.expit(centre - stats.norm.ppf(0.975) * spread), rel=1e-10)
    assert found["high"] == pytest.approx(special.expit(centre + stats.norm.ppf(0.975) * spread), rel=1e-10)
    assert found["p_target"] == pytest.approx(stats.norm.sf((special.logit(0.7) - centre) / spread), rel=1e-8)


def test_covariance_of_the_panel_narrows_the_projection() -> None:
    """Errors that move together leave the slope better known."""
    alone, _ = project(series(rates(KOREA)), aim=AIM)
    together, _ = project(series(rates(KOREA), pairs(OVERLAP)), aim=AIM)
    width = [in_2030(made, "logit", "tau=0") for made in (alone, together)]
    assert width[1]["high"] - width[1]["low"] < 0.9 * (width[0]["high"] - width[0]["low"])


def test_from_six_points_the_process_variance_is_estimated_with_t() -> None:
    p = special.expit(-1.0 + 0.2 * np.arange(6) + np.array([0.10, -0.14, 0.12, -0.05, -0.11, 0.08]))
    made, headline = project(series(rates(dict(zip(range(2022, 2028), p, strict=True)))), aim=AIM)
    main = in_2030(made, "logit")
    assert (main["tau_rule"], main["df"], main["points"]) == ("reml", 4.0, 6)
    assert headline["tau"].item() == main["tau"]
    assert main["tau"] not in (0.0, 0.10)
    low, high = special.logit([main["low"], main["high"]])
    centre = special.logit(main["estimate"])
    spread = (high - low) / 2 / stats.t.ppf(0.975, 4)
    assert main["p_target"] == pytest.approx(stats.t.sf((special.logit(0.7) - centre) / spread, 4))
    # Where the points lie on a line, no process is left; with less than their errors explain, neither.
    straight = dict(zip(range(2022, 2028), special.expit(-1.0 + 0.2 * np.arange(6)), strict=True))
    assert in_2030(project(series(rates(straight)), aim=AIM)[0], "logit")["tau"] == 0.0
    # The table of other deviations stays that of given ones.
    assert in_2030(made, "logit", "tau=0.2")["tau_rule"] == "fixed"


@pytest.mark.parametrize("values", [{2023: 0.3, 2024: 0.33}, {2022: 0.28, 2023: None, 2024: 0.33}])
def test_fewer_than_three_points_are_not_projected(values: dict[int, float | None]) -> None:
    made, headline = project(series(rates(values)), aim=AIM)
    assert set(made["kind"]) == {"observed", "required"}
    row = headline.row(0, named=True)
    assert (row["points"], row["projected"], row["p_target"]) == (2, None, None)
    assert status_of(np.array([np.nan])) == ["insufficient"]


def test_a_series_without_its_last_wave_is_not_projected() -> None:
    table = pl.concat([
        rates({2022: 0.2, 2023: 0.25, 2024: 0.28, 2025: None}),
        rates({2022: 0.2, 2023: 0.25, 2024: 0.28, 2025: 0.3}, code="C", domain_type="region"),
    ])  # fmt: skip
    made, headline = project(series(table), aim=AIM)
    assert dict(headline.select("domain_code", pl.col("projected").is_not_null()).iter_rows()) == {
        "C": True,
        "total": False,
    }
    assert "projected" not in made.filter(domain_code="total")["kind"]


def test_a_missing_wave_counts_for_nothing() -> None:
    whole = {2022: 0.20, 2024: 0.27, 2025: 0.30, 2026: 0.33}
    gap = pl.concat([rates({**whole, 2023: None}), rates({**whole, 2023: 0.23}, code="C", domain_type="region")])
    with_gap, _ = project(series(gap), aim=AIM)
    alone, _ = project(series(rates(whole)), aim=AIM)
    mine = with_gap.filter(domain_code="total", kind="projected")
    for name in ("estimate", "low", "high"):
        np.testing.assert_allclose(mine[name], alone.filter(kind="projected")[name], rtol=1e-9)


def test_zeros_and_ones_are_moved_in() -> None:
    """(n p + 1/2)/(n + 1) for n = 40: 0 becomes 0.5/41, 1 becomes 40.5/41; the published points stay as they are."""
    table = pl.concat([
        rates({2022: 0.0, 2023: 0.05, 2024: 0.1}, n=40.0),
        rates({2022: 0.9, 2023: 1.0, 2024: 1.0}, n=40.0, code="C", domain_type="region"),
    ])  # fmt: skip
    both = series(table, pairs({(2022, 2023): 1e-4, (2023, 2024): 2e-4}))
    rate = dict(zip(both.keys["domain_code"], both.points.rate, strict=True))
    assert rate["total"][0] == pytest.approx(0.5 / 41)
    assert rate["C"][1:] == pytest.approx(40.5 / 41)
    total = both.keys["domain_code"].to_list().index("total")
    assert both.points.covariance[total, 0, 0] == pytest.approx(0.5 / 41 * 40.5 / 41 / 40)
    assert both.points.covariance[total, 0, 1] == 0.0
    assert both.points.covariance[total, 1, 2] == 2e-4
    made, _ = project(both, aim=AIM)
    assert made.filter(kind="observed", domain_code="total")["estimate"][0] == 0.0
    assert made.filter(kind="projected")["estimate"].is_between(0.0, 1.0).all()
    assert made.filter(kind="required", domain_code="total")["estimate"][0] == pytest.approx(0.5 / 41)


def test_ceilings_only_above_target_and_intervals() -> None:
    high = series(rates({2022: 0.70, 2023: 0.78, 2024: 0.83}, half=0.03))
    made, _ = project(high, aim=AIM)
    assert set(made.filter(model="logit")["variant"]) >= {"main", "ceiling=0.9"}
    assert "ceiling=0.8" not in made["variant"]
    target_high, _ = project(series(rates(KOREA)), aim=Aim(value=0.85, year=2030, ceilings=(1.0, 0.9, 0.8)))
    assert "ceiling=0.9" in target_high["variant"]
    assert "ceiling=0.8" not in target_high["variant"]
    # A ceiling slows the growth that is left, and no interval passes it.
    capped = in_2030(made, "logit", "ceiling=0.9")
    assert capped["estimate"] < in_2030(made, "logit")["estimate"]
    assert capped["high"] < 0.9


def test_ceiling_of_one_is_the_logit_and_gompertz_is_straight_on_its_scale() -> None:
    """A series that is straight on a scale is carried on straight, whatever its errors."""
    years = np.arange(2022, 2026)
    curve = 0.9 * special.expit(-1.0 + 0.25 * (years - 2022))
    made, _ = project(series(rates(dict(zip(years.tolist(), curve, strict=True)))), aim=AIM)
    found = in_2030(made, "logit", "ceiling=0.9")["estimate"]
    assert found == pytest.approx(0.9 * special.expit(-1.0 + 0.25 * 8), rel=1e-9)
    bent = np.exp(-np.exp(0.3 - 0.15 * (years - 2022)))
    made, _ = project(series(rates(dict(zip(years.tolist(), bent, strict=True)))), aim=AIM)
    assert in_2030(made, "gompertz")["estimate"] == pytest.approx(np.exp(-np.exp(0.3 - 0.15 * 8)), rel=1e-9)


def test_bass_follows_its_own_curve() -> None:
    """Points of dF/dt = (0.03 + 0.4 F)(1 - F) from F = 0.15, solved by small steps."""
    f, found = 0.15, {2022: 0.15}
    steps = 20_000
    for year in range(2023, 2031):
        for _ in range(steps):
            slope = (0.03 + 0.4 * f) * (1 - f)
            middle = f + slope / steps / 2
            f += (0.03 + 0.4 * middle) * (1 - middle) / steps
        found[year] = f
    made, _ = project(series(rates({year: found[year] for year in range(2022, 2026)})), aim=AIM)
    assert in_2030(made, "bass")["estimate"] == pytest.approx(found[2030], rel=1e-6)


def test_envelope_holds_every_middle_line_but_other_deviations() -> None:
    made, _ = project(series(rates(KOREA)), aim=AIM)
    envelope = made.filter(kind="envelope").sort("year")
    assert envelope["estimate"].null_count() == envelope.height == 6
    middle = made.filter(pl.col("kind") == "projected", ~pl.col("variant").str.starts_with("tau"))
    span = middle.group_by("year").agg(pl.col("estimate").min().alias("low"), pl.col("estimate").max().alias("high"))
    assert envelope.select("year", "low", "high").equals(span.sort("year"))


def test_brief_domain_types_have_the_headline_only() -> None:
    table = pl.concat([rates(KOREA), rates(KOREA, code="AX1*10-49", domain_type="ax_industry*size_class")])
    made, headline = project(series(table), aim=AIM, briefly=["ax_industry*size_class"])
    brief = made.filter(domain_code="AX1*10-49")
    assert set(brief.select("model", "variant").iter_rows()) == {
        ("observed", "main"), ("required_path", "main"), ("logit", "main")
    }  # fmt: skip
    assert headline["p_target"].n_unique() == 1


def test_target_already_passed_at_the_start_has_no_path() -> None:
    made, headline = project(series(rates({2022: 0.72, 2023: 0.74, 2024: 0.75})), aim=AIM)
    assert "required" not in made["kind"]
    assert headline["p_target"].item() > 0.8


def test_in_and_after_the_target_year_nothing_is_projected() -> None:
    made, headline = project(series(rates({2028: 0.5, 2029: 0.55, 2030: 0.6})), aim=AIM)
    assert set(made["kind"]) == {"observed", "required"}
    assert headline["projected"].item() is None


def test_status_that_depends_on_an_assumption_is_marked() -> None:
    """Near the target all curves agree; where tau = 0 says unlikely and tau = 0.2 says uncertain, it is marked."""
    marked = {}
    for name, values in {
        "sure": {2022: 0.5, 2023: 0.6, 2024: 0.7},
        "open": {2022: 0.30, 2023: 0.34, 2024: 0.385},
    }.items():
        _, headline = project(series(rates(values)), aim=AIM)
        marked[name] = headline["depends_on_assumption"].item()
    assert marked == {"sure": False, "open": True}


@pytest.mark.parametrize(
    ("p", "status"),
    [(0.8, "likely"), (0.79, "uncertain"), (0.2, "uncertain"), (0.199, "unlikely"), (np.nan, "insufficient")],
)
def test_status(p: float, status: str) -> None:
    assert status_of(np.array([p])) == [status]


def test_a_covariance_that_cannot_be_is_not_projected_over() -> None:
    """Three errors each pair of which has correlation -0.9 do not exist; with tau = 0.10 they drown."""
    sd = {wave: float(np.sqrt(p * (1 - p) / N_EFFECTIVE)) for wave, p in KOREA.items()}
    impossible = {pair: -0.9 * sd[pair[0]] * sd[pair[1]] for pair in OVERLAP}
    made, _ = project(series(rates(KOREA), pairs(impossible)), aim=AIM)
    assert made.filter(variant="tau=0").is_empty()
    assert in_2030(made, "logit")["estimate"] == pytest.approx(0.495, abs=0.01)


def test_hindcast_by_hand() -> None:
    """Origin 2024, seen 2025: the error in points, and its size in standard errors of the difference."""
    values = {**KOREA, 2025: 0.40}
    covariance = {**OVERLAP, (2024, 2025): 1.9e-5}
    table = hindcast(series(rates(values), pairs(covariance)))
    assert table.schema == pl.Schema(HINDCAST_SCHEMA)
    assert table.select("model", "origin_wave", "year", "points").rows() == [
        (model, 2024, 2025, 3) for model in ("bass", "gompertz", "logit", "random_walk")
    ]
    found = table.filter(model="logit").row(0, named=True)
    p = np.array(list(values.values()))
    v = np.diag(p * (1 - p) / N_EFFECTIVE)
    for (first, second), value in covariance.items():
        v[first - 2022, second - 2022] = v[second - 2022, first - 2022] = value
    d = 1 / (p * (1 - p))
    v = d[:, None] * v * d
    omega = v[:3, :3] + 0.01 * np.eye(3)
    x, ahead = np.column_stack([np.ones(3), np.arange(3.0)]), np.array([1.0, 3.0])
    inverse = np.linalg.inv(omega)
    weights = inverse @ x @ np.linalg.inv(x.T @ inverse @ x) @ ahead
    centre = weights @ special.logit(p[:3])
    variance = weights @ omega @ weights + 0.01 + v[3, 3] - 2 * weights @ v[:3, 3]
    assert found["projected"] == pytest.approx(special.expit(centre))
    assert found["error_pp"] == pytest.approx(100 * (0.40 - special.expit(centre)))
    assert found["error_in_se"] == pytest.approx((special.logit(0.40) - centre) / np.sqrt(variance))
    assert found["high"] == pytest.approx(special.expit(centre + stats.norm.ppf(0.975) * np.sqrt(variance)))
    assert found["covered"] == (found["low"] <= 0.40 <= found["high"])


def test_hindcast_has_every_origin_and_leaves_gaps_out() -> None:
    values = {2022: 0.2, 2023: 0.22, 2024: 0.26, 2025: 0.3, 2026: None, 2027: 0.37}
    found = hindcast(series(rates(values))).filter(model="logit").select("origin_wave", "year")
    assert found.rows() == [(2024, 2025), (2024, 2027), (2025, 2027)]
    assert hindcast(series(rates(KOREA))).is_empty()


def test_a_hindcast_without_a_spread_is_left_out() -> None:
    """A covariance with the later wave that exceeds what both errors allow leaves a variance below 0: no row."""
    impossible = {**OVERLAP, **{(wave, 2025): 0.02 for wave in (2022, 2023, 2024)}}
    table = hindcast(series(rates({**KOREA, 2025: 0.36}), pairs(impossible)))
    assert table["error_in_se"].is_finite().all()
    assert "logit" not in table["model"]


def test_a_hindcast_rests_on_the_past_alone() -> None:
    calm = hindcast(series(rates({**KOREA, 2025: 0.36, 2026: 0.39})))
    wild = hindcast(series(rates({**KOREA, 2025: 0.36, 2026: 0.90})))
    assert calm.filter(origin_wave=2024)["projected"].equals(wild.filter(origin_wave=2024)["projected"])
    assert wild.filter(model="logit", year=2026)["covered"].to_list() == [False, False]


several = st.lists(st.floats(0.05, 0.9), min_size=3, max_size=8)


@settings(deadline=None, max_examples=15)
@given(several, st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(values: list[float], random: object) -> None:
    table = rates(dict(enumerate(values, start=2022)), n=500.0)
    order = list(range(table.height))
    random.shuffle(order)
    aim = Aim(value=0.70, year=2032)
    assert project(series(table), aim=aim)[0].equals(project(series(table[order]), aim=aim)[0])


@settings(deadline=None, max_examples=15)
@given(several, st.floats(1.5, 20.0))
def test_scaling_the_variance(values: list[float], factor: float) -> None:
    """tau = 0: variances k times as large leave the middle, and widen the interval by sqrt(k) on the scale."""
    waves = dict(enumerate(values, start=2022))
    found = [
        project(series(rates(waves, n=n)), aim=Aim(value=0.7, year=2032))[0].filter(variant="tau=0", year=2032)
        for n in (400.0, 400.0 / factor)
    ]
    middle, wider = (
        special.logit(np.clip(table.select("estimate", "high").row(0), 1e-15, 1 - 1e-15)) for table in found
    )
    assert wider[0] == pytest.approx(middle[0], abs=1e-7)
    if wider[1] < 20:
        assert wider[1] - wider[0] == pytest.approx(np.sqrt(factor) * (middle[1] - middle[0]), rel=1e-5)


@settings(deadline=None, max_examples=15)
@given(several, st.floats(0.3, 0.6), st.floats(0.01, 0.3))
def test_a_higher_target_is_never_more_likely(values: list[float], target: float, more: float) -> None:
    table = series(rates(dict(enumerate(values[:5], start=2022)), n=500.0))
    chances = []
    for value in (target, target + more):
        made, _ = project(table, aim=Aim(value=value, year=2032))
        chances.append(made.filter(pl.col("p_target").is_not_null()).sort("model", "variant")["p_target"].to_numpy())
    assert (chances[0] >= chances[1]).all()


@settings(deadline=None, max_examples=15)
@given(several)
def test_a_higher_last_point_makes_the_target_more_likely(values: list[float]) -> None:
    values = values[:5]

    def chance(last: float) -> float:
        table = rates(dict(enumerate([*values[:-1], last], start=2022)), n=500.0)
        # The same errors, so that only the level moves.
        table = table.with_columns(pl.lit(0.02).alias("se") * pl.col("estimate") * (1 - pl.col("estimate")) / 0.25)
        return in_year(project(series(table), aim=Aim(value=0.7, year=2032))[0])

    def in_year(made: pl.DataFrame) -> float:
        return made.filter(model="logit", variant="main", year=2032)["p_target"].item()

    assert chance(values[-1] + 0.05) >= chance(values[-1])


def test_tau_to_its_limits() -> None:
    """tau -> 0 comes to tau = 0; a large tau gives ordinary least squares."""
    points = series(rates({**KOREA, 2025: 0.41}), pairs(OVERLAP)).points
    year = np.array([2030.0])
    found = [predict(points, year, scale=Scale(), tau=np.array([tau])) for tau in (0.0, 1e-7, 1e4)]
    assert found[1].centre == pytest.approx(found[0].centre, rel=1e-9)
    assert found[1].variance == pytest.approx(found[0].variance, rel=1e-6)
    line = np.polyfit(np.arange(4.0), special.logit(np.array([*KOREA.values(), 0.41])), 1)
    assert found[2].centre[0, 0] == pytest.approx(np.polyval(line, 8.0), rel=1e-6)


def many(number: int, waves: Sequence[int]) -> tuple[pl.DataFrame, pl.DataFrame]:
    draw = np.random.default_rng(4)
    tables, covariances = [], []
    for one in range(number):
        values = special.expit(-1.2 + 0.2 * np.arange(len(waves)) + draw.normal(0, 0.1, len(waves)))
        tables.append(rates(dict(zip(waves, values, strict=True)), n=300.0, code=f"D{one}", domain_type="region"))
        covariances.append(pairs({(waves[0], waves[1]): 2e-4}, code=f"D{one}", domain_type="region"))
    return pl.concat(tables), pl.concat(covariances)


def test_series_do_not_disturb_each_other() -> None:
    """Fitted together or alone: the same rows."""
    table, covariances = many(12, range(2022, 2029))
    together, _ = project(series(table, covariances), aim=AIM)
    for code in ("D0", "D7"):
        alone, _ = project(series(table.filter(domain_code=code), covariances.filter(domain_code=code)), aim=AIM)
        mine = together.filter(domain_code=code)
        assert mine.select("model", "variant", "year").equals(alone.select("model", "variant", "year"))
        np.testing.assert_allclose(mine["estimate"].fill_null(0), alone["estimate"].fill_null(0), rtol=1e-8)
        np.testing.assert_allclose(mine["high"].fill_null(0), alone["high"].fill_null(0), rtol=1e-6)


def test_where_points_scatter_no_more_than_their_errors_there_is_no_process() -> None:
    """Half of such series have their restricted likelihood highest at 0, and then exactly 0 is said, not 1e-8."""
    rng = np.random.default_rng(1)
    count, waves = 200, 8
    rate = np.clip(0.2 + 0.03 * np.arange(waves) + rng.normal(0.0, 0.01, (count, waves)), 0.02, 0.98)
    points = Points(np.arange(2022.0, 2022.0 + waves), rate, np.stack([np.eye(waves) * 1e-4] * count))
    tau = process_deviation(points, scale=Scale())
    assert 0.3 < np.mean(tau == 0) < 0.7
    assert tau[tau > 0].min() > 1e-3
