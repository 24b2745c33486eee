"""Intervals for proportions against R's ``svyciprop`` (tests/golden/intervals.R, R 4.2.2, survey 4.1-1)."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import special, stats
from scipy.interpolate import make_interp_spline

from pipelines.stats.interval_formulas import GLM_EPSILON, replicate_logits
from pipelines.stats.intervals import Evidence, IntervalMethod, Intervals, confidence_intervals

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
RESULTS = pl.read_csv(GOLDEN / "intervals_results.csv", infer_schema_length=None)
REPLICATES = pl.read_csv(GOLDEN / "intervals_replicates.csv", infer_schema_length=None)
LEVELS = sorted(RESULTS["level"].unique().to_list())


def logit_variances(table: pl.DataFrame) -> np.ndarray:
    """Variance of the replicate logits of each row, scale sum rscale (b_r - mean)^2; V/(pq)^2 for Taylor designs."""
    p = table["p"].to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = table["var"].to_numpy() / np.square(p * (1 - p))
    for at, row in enumerate(table.select("design", "domain", "y", "p").iter_rows(named=True)):
        found = REPLICATES.filter(
            (pl.col("design") == row["design"]) & (pl.col("domain") == row["domain"]) & (pl.col("y") == row["y"])
        )
        if found.height:
            b = replicate_logits(found["share"].to_numpy()[:, None], np.array([row["p"]]))[:, 0]
            scale = found["scale"].to_numpy() * found["rscale"].to_numpy()
            variance[at] = np.sum(scale * np.square(b - b.mean()))
    return variance


def ours(table: pl.DataFrame, method: IntervalMethod, level: float) -> Intervals:
    column = {name: table[name].cast(pl.Float64).to_numpy() for name in ("p", "var", "df", "n", "rows", "kish")}
    seen = Evidence(
        estimate=column["p"],
        variance=column["var"],
        df=column["df"],
        n=column["n"],
        kish_deff=column["kish"],
        design_rows=column["rows"],
        logit_variance=logit_variances(table),
    )
    return confidence_intervals(seen, method=method, level=level)


def inside(level: float) -> pl.DataFrame:
    """Rows where R's formulas apply: 0 < p < 1 and degrees of freedom."""
    rows = RESULTS.filter((pl.col("level") == level) & pl.col("p").is_between(1e-9, 1 - 1e-9) & (pl.col("df") > 0))
    assert rows.height >= 50
    return rows


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("method", ["xlogit", "beta", "asin", "mean"])
def test_methods_with_a_formula(method: IntervalMethod, level: float) -> None:
    rows = inside(level)
    found = ours(rows, method, level)
    for side, value in (("low", found.low), ("high", found.high)):
        assert value == pytest.approx(rows[f"{method}_{side}"].to_numpy(), rel=1e-11, abs=1e-13)
    assert set(found.rule.tolist()) <= {"as_asked", "angle_folded"}


@pytest.mark.parametrize("level", LEVELS)
def test_logit_within_the_tolerance_of_glm(level: float) -> None:
    """R's fit stops at a relative change of the deviance of 1e-8, which leaves 1e-8 in the SE at most."""
    rows = inside(level)
    assert rows["logit_low"].null_count() == 0
    found = ours(rows, "logit", level)
    for side, value in (("low", found.low), ("high", found.high)):
        theirs = rows[f"logit_{side}"].to_numpy()
        half = np.abs(special.logit(theirs) - special.logit(rows["p"].to_numpy()))
        assert np.all(np.abs(special.logit(value) - special.logit(theirs)) <= 10 * GLM_EPSILON * np.maximum(half, 1.0))


def fmm_spline(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R's spline(x, y): 3 n points of the cubic whose end thirds match the cubics through four end points."""

    def third(at: slice) -> float:
        return float(6 * np.polyfit(x[at] - x[at].mean(), y[at], 3)[0])

    curve = make_interp_spline(x, y, k=3, bc_type=([(3, third(slice(0, 4)))], [(3, third(slice(-4, None)))]))
    grid = np.linspace(x[0], x[-1], 3 * len(x))
    return grid, curve(grid)


def read_off_as_r(row: dict[str, float]) -> tuple[float, float]:
    """R's numerical route to the limits: MASS's profile in steps of zmax/5 SE, a spline, linear interpolation.

    z(b)^2 = 2 rows KL(p, expit b) (n-1)/n and the cut-off t SE(b) sqrt(rows p(1-p)) are the exact quantities.
    """
    p, n, rows = row["p"], row["n"], row["rows"]
    se = np.sqrt(row["var"]) / (p * (1 - p))
    cutoff = stats.t.ppf(0.5 + row["level"] / 2, row["df"]) * se * np.sqrt(rows * p * (1 - p))
    zmax = np.sqrt(stats.f.isf(stats.norm.sf(cutoff) / 2, 1, rows - 1))
    if np.isinf(zmax):  # the tail probability is below the smallest number: R has no finite step
        return np.nan, np.nan
    b0 = special.logit(p)
    points = [(b0, 0.0)]
    for sign in (-1.0, 1.0):
        z = 0.0
        for step in range(1, 10):
            if abs(z) >= zmax:
                break
            b = b0 + sign * step * zmax / 5 * se
            kl = np.logaddexp(0, b) - p * b - stats.bernoulli.entropy(p)
            z = sign * np.sqrt(2 * rows * kl * (n - 1) / n)
            points.append((b, z))
    points.sort()
    grid, z_grid = fmm_spline(np.array([b for b, _ in points]), np.array([z for _, z in points]))
    low, high = np.interp([-cutoff, cutoff], z_grid, grid, left=np.nan, right=np.nan)
    return float(special.expit(low)), float(special.expit(high))


@pytest.mark.parametrize("level", LEVELS)
def test_likelihood_is_r_without_its_interpolation(level: float) -> None:
    """The quantities are R's: put through R's interpolation they give R's limits. Ours solve the equation itself.

    R's p(1-p) in the cut-off is that of the last step but one of its IRLS, which stopped when the deviance, 2 rows
    H(p), changed by less than 1e-8 of itself (+ 0.1). Near its minimum it changes by rows p(1-p) step^2, so the step
    in b is below sqrt(1e-8 (2 rows H(p) + 0.1)/(rows p(1-p))), and so is the relative change of p(1-p).
    Where p is near 0 or 1 R's interpolation alone moves its limits by up to 1 %.
    """
    rows = inside(level).filter(
        pl.col("likelihood_low").is_not_null() & pl.col("design").is_in(["clusters", "rows", "post"])
    )
    assert rows.height >= 25
    found = ours(rows, "likelihood", level)
    compared = 0
    for at, row in enumerate(rows.iter_rows(named=True)):
        t2 = stats.t.ppf(0.5 + level / 2, row["df"]) ** 2
        route = read_off_as_r(row)
        entropy, rows_pq = stats.bernoulli.entropy(row["p"]), row["rows"] * row["p"] * (1 - row["p"])
        step = np.sqrt(GLM_EPSILON * (2 * row["rows"] * entropy + 0.1) / rows_pq)
        for side, read_off, exact in zip(("low", "high"), route, (found.low[at], found.high[at]), strict=True):
            kl = special.rel_entr(row["p"], exact) + special.rel_entr(1 - row["p"], 1 - exact)
            scaled = 2 * kl * (row["n"] - 1) / row["n"] * row["p"] * (1 - row["p"]) / row["var"]
            assert scaled == pytest.approx(t2, rel=1e-9)
            theirs = row[f"likelihood_{side}"]
            if theirs is not None and np.isfinite(read_off):
                compared += 1
                distance = abs(special.logit(read_off) - special.logit(theirs))
                assert distance <= step * abs(special.logit(theirs) - special.logit(row["p"]))
                assert exact == pytest.approx(theirs, rel=1e-2)
    assert compared >= 50
