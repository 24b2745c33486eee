"""The variance by hand, against a plain dense formula, and its invariances."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.stats.calibration import calibrate
from pipelines.stats.design import SurveyDesign
from pipelines.stats.linearization import design_effects, domain_means, domain_ratios, domain_totals
from pipelines.stats.terms import terms_matrix
from pipelines.stats.variance import DomainLayout, covariance


def random_survey(seed: int, *, calibrated: bool, clustered: bool) -> tuple[pl.DataFrame, SurveyDesign]:
    rng = np.random.default_rng(seed)
    n_strata = int(rng.integers(1, 5))
    rows = []
    for h in range(n_strata):
        n_psu = int(rng.integers(2, 7))
        population = n_psu + int(rng.integers(0, 20))
        for j in range(n_psu):
            for _ in range(int(rng.integers(1, 4)) if clustered else 1):
                rows.append((f"h{h}", f"h{h}-{j}", population, float(rng.uniform(0.5, 9))))
    frame = pl.DataFrame(rows, schema=["h", "psu", "N", "w"], orient="row").with_columns(
        pl.Series("d", rng.integers(-1, 3, len(rows))),
        pl.Series("g", rng.choice(["x", "y", "z"], len(rows))),
        pl.Series("y", np.where(rng.random(len(rows)) < 0.15, np.nan, rng.integers(0, 2, len(rows)).astype(float))),
        pl.Series("x", rng.uniform(0.1, 5, len(rows))),
    )
    return frame, design_of(frame, calibrated=calibrated)


def design_of(frame: pl.DataFrame, *, calibrated: bool) -> SurveyDesign:
    return SurveyDesign.from_frame(
        frame,
        weight="w",
        strata="h",
        stages=["psu"],
        population=["N"],
        calibration_group="g" if calibrated else None,
    )


def dense_ratio(frame: pl.DataFrame, d: int, *, calibrated: bool) -> tuple[float, float]:
    """The formulas as method.md writes them, on the whole file, one domain."""
    w, y, x = (frame[name].to_numpy() for name in ("w", "y", "x"))
    inside = (frame["d"].to_numpy() == d) & np.isfinite(y)
    filled = np.where(inside, y, 0.0)
    total = float((w * inside * x).sum())
    if total == 0:
        return float("nan"), float("nan")
    ratio = float((w * filled * x).sum()) / total
    u = w * inside * x * (filled - ratio) / total
    if calibrated:
        for g in frame["g"].unique().to_list():
            cell = (frame["g"] == g).to_numpy()
            u = np.where(cell, u - w * u[cell].sum() / w[cell].sum(), u)
    variance = 0.0
    for h in frame["h"].unique().to_list():
        part = frame.with_columns(pl.Series("u", u)).filter(pl.col("h") == h)
        t = part.group_by("psu").agg(pl.col("u").sum())["u"].to_numpy()
        n, population = len(t), part["N"][0]
        variance += (1 - n / population) * n / (n - 1) * float(np.square(t - t.mean()).sum())
    return ratio, variance


@given(seed=st.integers(0, 10**6), calibrated=st.booleans(), clustered=st.booleans())
@settings(max_examples=150, deadline=None)
def test_sparse_algebra_equals_the_formula_written_out(seed: int, calibrated: bool, clustered: bool) -> None:
    frame, design = random_survey(seed, calibrated=calibrated, clustered=clustered)
    y, x = frame["y"].to_numpy()[:, None], frame["x"].to_numpy()[:, None]
    result = domain_ratios(design, y * x, x + 0 * y, domain=frame["d"].to_numpy(), n_domains=3)
    for d in range(3):
        ratio, variance = dense_ratio(frame, d, calibrated=calibrated)
        assert result.estimate[d, 0] == pytest.approx(ratio, rel=1e-12, nan_ok=True)
        assert result.variance[d, 0] == pytest.approx(variance, rel=1e-9, abs=1e-24, nan_ok=True)


@given(seed=st.integers(0, 10**6), calibrated=st.booleans())
@settings(max_examples=40, deadline=None)
def test_order_of_rows_does_not_matter(seed: int, calibrated: bool) -> None:
    frame, design = random_survey(seed, calibrated=calibrated, clustered=True)
    mixed = frame.sample(fraction=1.0, shuffle=True, seed=seed)
    for estimator in (domain_means, domain_totals):
        one = estimator(design, frame["y"].to_numpy()[:, None], domain=frame["d"].to_numpy(), n_domains=3)
        two = estimator(
            design_of(mixed, calibrated=calibrated),
            mixed["y"].to_numpy()[:, None],
            domain=mixed["d"].to_numpy(),
            n_domains=3,
        )
        for name in ("estimate", "variance", "n", "df", "sum_weights", "kish_deff"):
            left, right = getattr(one, name), getattr(two, name)
            assert left == pytest.approx(right, rel=1e-10, abs=1e-20, nan_ok=True)


@given(seed=st.integers(0, 10**6), factor=st.floats(0.01, 100), calibrated=st.booleans())
@settings(max_examples=40, deadline=None)
def test_scale_of_weights(seed: int, factor: float, calibrated: bool) -> None:
    frame, design = random_survey(seed, calibrated=calibrated, clustered=False)
    scaled = design_of(frame.with_columns(pl.col("w") * factor), calibrated=calibrated)
    y, d = frame["y"].to_numpy()[:, None], frame["d"].to_numpy()
    mean, mean_scaled = (domain_means(each, y, domain=d, n_domains=3) for each in (design, scaled))
    assert mean_scaled.estimate == pytest.approx(mean.estimate, rel=1e-12, nan_ok=True)
    assert mean_scaled.variance == pytest.approx(mean.variance, rel=1e-9, abs=1e-24, nan_ok=True)
    total, total_scaled = (domain_totals(each, y, domain=d, n_domains=3) for each in (design, scaled))
    assert total_scaled.estimate == pytest.approx(factor * total.estimate, rel=1e-12, nan_ok=True)
    assert total_scaled.se == pytest.approx(factor * total.se, rel=1e-7, abs=1e-10, nan_ok=True)


@given(seed=st.integers(0, 10**6), calibrated=st.booleans())
@settings(max_examples=40, deadline=None)
def test_totals_add_up_over_domains_and_measures(seed: int, calibrated: bool) -> None:
    """The total of a union is the sum of the totals; the scores add up too, so does the total of y + x."""
    frame, design = random_survey(seed, calibrated=calibrated, clustered=True)
    y = frame["y"].fill_nan(0.0).to_numpy()
    x = frame["x"].to_numpy()
    d = np.where(frame["d"].to_numpy() < 0, 0, frame["d"].to_numpy())
    columns = np.column_stack([y, x, y + x])
    parts = domain_totals(design, columns, domain=d, n_domains=3)
    whole = domain_totals(design, columns, domain=np.zeros_like(d), n_domains=1)
    assert np.nansum(parts.estimate, axis=0) == pytest.approx(whole.estimate[0], rel=1e-12)
    assert whole.estimate[0, 2] == pytest.approx(whole.estimate[0, 0] + whole.estimate[0, 1], rel=1e-12)
    layouts = (DomainLayout.build(design, d, 3), DomainLayout.build(design, np.zeros_like(d), 1))
    by_psu = [
        np.bincount(layout.pair_psu, weights=layout.scores(layout.weight * x[:, None])[:, 0], minlength=design.n_psus)
        for layout in layouts
    ]
    assert by_psu[0] == pytest.approx(by_psu[1], rel=1e-9, abs=1e-9)


@given(seed=st.integers(0, 10**6), calibrated=st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_census_has_no_variance(seed: int, calibrated: bool) -> None:
    frame, _ = random_survey(seed, calibrated=False, clustered=False)
    full = frame.with_columns(pl.len().over("h").alias("N"), pl.lit(1.0).alias("w"))
    result = domain_means(
        design_of(full, calibrated=calibrated),
        full["y"].to_numpy()[:, None],
        domain=full["d"].to_numpy(),
        n_domains=3,
    )
    known = np.isfinite(result.estimate)
    assert (result.variance[known] == 0.0).all()


def test_stratified_mean_by_hand() -> None:
    """Two strata, N = 100 and 50, n = 2 and 2, y = (0, 1) and (1, 1): p = (100/2 + 50)/150 = 2/3.

    V = (100/150)^2 (1 - 2/100) s^2/2 + 0 with s^2 = 1/2.
    """
    frame = pl.DataFrame(
        {
            "h": ["a", "a", "b", "b"],
            "psu": ["1", "2", "3", "4"],
            "N": [100, 100, 50, 50],
            "w": [50.0, 50, 25, 25],
        }
    )
    design = SurveyDesign.from_frame(frame, weight="w", strata="h", stages=["psu"], population=["N"])
    result = domain_means(design, np.array([[0.0], [1], [1], [1]]), domain=np.zeros(4, dtype=np.int64), n_domains=1)
    assert result.estimate[0, 0] == pytest.approx(2 / 3)
    assert result.variance[0, 0] == pytest.approx((2 / 3) ** 2 * 0.98 * 0.5 / 2)
    assert result.df[0, 0] == 2
    assert result.n[0, 0] == 4
    # Kish: 4 (2 50^2 + 2 25^2)/150^2.
    assert result.kish_deff[0, 0] == pytest.approx(4 * (2 * 2500 + 2 * 625) / 150**2)


def test_post_stratified_total_of_the_cells_is_known_without_error() -> None:
    """The total of a post-stratum's indicator is the frame's count: its residual is 0."""
    rng = np.random.default_rng(5)
    frame = pl.DataFrame(
        {
            "h": ["a"] * 10 + ["b"] * 10,
            "N": [200] * 10 + [80] * 10,
            "g": rng.choice(["x", "y"], 20),
            "w": rng.uniform(5, 20, 20),
        }
    )
    design = SurveyDesign.from_frame(frame, weight="w", strata="h", population=["N"], calibration_group="g")
    y = (frame["g"] == "x").to_numpy().astype(float)[:, None]
    result = domain_totals(design, y, domain=np.zeros(20, dtype=np.int64), n_domains=1)
    assert result.se[0, 0] <= 1e-12 * result.estimate[0, 0]


def test_a_psu_with_several_rows_in_a_domain_counts_once() -> None:
    """Rows institution x field: three rows of two units; weight and post-stratum come from the unit."""
    units = pl.DataFrame({"id": ["a", "b", "c"], "w": [2.0, 2.0, 2.0], "N": [6, 6, 6], "g": ["x", "x", "x"]})
    design = SurveyDesign.from_frame(units, weight="w", stages=["id"], population=["N"], calibration_group="g")
    rows = np.array([0, 0, 2], dtype=np.int64)
    result = domain_means(
        design, np.array([[1.0], [0.0], [1.0]]), domain=np.zeros(3, dtype=np.int64), n_domains=1, rows=rows
    )
    assert result.n[0, 0] == 3
    assert result.df[0, 0] == 1
    assert result.sum_weights[0, 0] == 6.0
    # z by unit = 2 (sum of y - 2/3)/6: a: 2 (1 - 4/3)/6 = -1/9, c: 2 (1/3)/6 = 1/9; they sum to 0, so residual = z.
    assert result.variance[0, 0] == pytest.approx((1 - 3 / 6) * 3 / 2 * (2 / 81))


def test_empty_domains_and_measures_are_nan() -> None:
    frame = pl.DataFrame({"w": [1.0, 2.0, 3.0]})
    design = SurveyDesign.from_frame(frame, weight="w")
    y = np.array([[np.nan, 1.0], [np.nan, 0.0], [1.0, 1.0]])
    for estimator in (domain_means, domain_totals):
        result = estimator(design, y, domain=np.array([0, 0, -1]), n_domains=2)
        assert np.isnan(result.estimate[0, 0])
        assert np.isnan(result.variance[0, 0])
        assert result.n[:, 0].tolist() == [0, 0]
        assert np.isfinite(result.estimate[0, 1])
        assert np.isnan(result.estimate[1]).all()


def test_rows_of_weight_zero_are_not_counted() -> None:
    frame = pl.DataFrame({"w": [1.0, 2.0, 0.0]})
    result = domain_means(
        SurveyDesign.from_frame(frame, weight="w"),
        np.array([[1.0], [0.0], [1.0]]),
        domain=np.zeros(3, dtype=np.int64),
        n_domains=1,
    )
    assert (result.n[0, 0], result.df[0, 0]) == (2, 1)
    assert result.estimate[0, 0] == pytest.approx(1 / 3)


def test_design_effect_of_a_census_is_not_a_number() -> None:
    zero, ten = np.zeros((1, 1)), np.full((1, 1), 10.0)
    without, _ = design_effects(zero, squares=np.ones((1, 1)), n=ten, sum_weights=ten * (1 + 1e-12))
    assert np.isnan(without[0, 0])
    smaller, _ = design_effects(np.ones((1, 1)), squares=np.ones((1, 1)), n=ten, sum_weights=ten / 2)
    assert np.isnan(smaller[0, 0])


def test_calibrated_domains_are_summed_one_at_a_time_with_the_same_result() -> None:
    """A variance is that of the residuals over the file, and their covariances add up; rows in any order of units."""
    rng = np.random.default_rng(5)
    n, d = 60, rng.integers(-1, 4, 60)
    frame = pl.DataFrame({"h": rng.integers(0, 3, n), "u": rng.integers(0, 6, n), "x": rng.normal(size=n)})
    made = calibrate(rng.uniform(1, 3, n), terms_matrix(frame, ["1", "x"]), {"1": 150.0, "x": 4.0})
    uncalibrated = SurveyDesign.from_frame(
        frame.with_columns(w=made.weight), weight="w", strata="h", stages=["u"], nest=True, allow_negative_weights=True
    )
    design = replace(uncalibrated, calibration=made.residualizer)
    influence = design.weight[:, None] * rng.normal(size=(n, 2))
    layout = DomainLayout.build(design, d, 5)
    residuals = [made.residualizer.residuals(np.where((d == code)[:, None], influence, 0.0)) for code in range(5)]
    by_hand = [covariance(uncalibrated, residual) for residual in residuals]
    found = layout.variance(influence[layout.kept])
    assert found == pytest.approx(np.array([np.diagonal(each) for each in by_hand]), rel=1e-10)
    assert (found > 0).all(axis=1).tolist() == [True] * 4 + [False]
    assert layout.covariance(influence[layout.kept]) == pytest.approx(np.sum(by_hand, axis=0), rel=1e-10)
    with pytest.raises(ValueError, match="every unit has a residual"):
        layout.scores(influence[layout.kept])


def test_codes_that_do_not_fit_are_refused() -> None:
    design = SurveyDesign.from_frame(pl.DataFrame({"w": [1.0, 2.0]}), weight="w")
    with pytest.raises(ValueError, match="domain codes"):
        DomainLayout.build(design, np.array([0]), 1)
    with pytest.raises(ValueError, match="domain code 3"):
        DomainLayout.build(design, np.array([0, 3]), 2)
