"""Intervals against all of R's in ../shared/reference/results.csv: confint() and every method of svyciprop().

What goes in are R's estimate, variance and degrees of freedom, so that a formula is held to 1e-9 by itself; only the
logits of replicate shares are made here, from R's replicate weights. Skipped where the folder is absent.
"""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import special

from pipelines.stats.interval_formulas import replicate_logits
from pipelines.stats.intervals import Evidence, IntervalMethod, Intervals, confidence_intervals
from pipelines.stats.replication import ReplicateWeights

REFERENCE = Path(__file__).resolve().parents[4] / "shared" / "reference"
pytestmark = pytest.mark.skipif(
    not (REFERENCE / "results.csv").exists(), reason="reference results are not beside this checkout"
)


def results() -> pl.DataFrame:
    rows = pl.read_csv(REFERENCE / "results.csv", null_values="NA", infer_schema_length=None)
    designs = json.loads((REFERENCE / "designs.json").read_text())["designs"]
    calibrated = {name: design["n"] for name, design in designs.items() if design["calibrated"]}
    return rows.with_columns(
        rows=pl.col("design_id").replace_strict(calibrated, default=None, return_dtype=pl.Float64)
    ).with_columns(rows=pl.coalesce("rows", pl.col("n_used").cast(pl.Float64)))


def ours(rows: pl.DataFrame, method: IntervalMethod, logit_variance: np.ndarray | None = None) -> Intervals:
    column = {name: rows[name].cast(pl.Float64).to_numpy() for name in ("estimate", "var", "df", "n_used", "rows")}
    return confidence_intervals(
        Evidence(
            estimate=column["estimate"],
            variance=column["var"],
            df=column["df"],
            n=column["n_used"],
            kish_deff=np.ones(rows.height),
            design_rows=column["rows"],
            logit_variance=logit_variance,
        ),
        method=method,
    )


def shares(method: str) -> pl.DataFrame:
    """Rows with an interval of the method where it has a formula: 0 < p < 1 and a variance above rounding."""
    return results().filter(
        pl.col(f"ci_{method}_lo").is_finite()
        & pl.col(f"ci_{method}_hi").is_finite()
        & pl.col("estimate").is_between(1e-9, 1 - 1e-9)
        & (pl.col("se") > 1e-12)
    )


def test_t_and_z() -> None:
    rows = results().filter(pl.col("estimate").is_finite())
    assert rows.height > 2500
    for method in ("t", "z"):
        found = ours(rows, method)
        for side, value in (("lo", found.low), ("hi", found.high)):
            theirs = rows[f"ci_{method}_{side}"].to_numpy()
            scale = np.maximum(np.abs(theirs), np.abs(rows["estimate"].to_numpy()))
            assert np.all(np.abs(value - theirs) <= 1e-9 * scale)


@pytest.mark.parametrize("method", ["xlogit", "beta", "asin", "mean"])
def test_methods_with_a_formula(method: IntervalMethod) -> None:
    rows = shares(method)
    assert rows.height > 350
    assert rows["design_id"].n_unique() >= 29
    found = ours(rows, method)
    for side, value in (("lo", found.low), ("hi", found.high)):
        # asin: a limit next to 0 is the square of a small difference of angles, 1e-16 of them is left of it.
        assert value == pytest.approx(rows[f"ci_{method}_{side}"].to_numpy(), rel=1e-9, abs=1e-15)


def test_logit_of_linearised_designs() -> None:
    """R's fit stops at a relative change of the deviance of 1e-8: 1e-8 of the limits."""
    rows = shares("logit").filter(~pl.col("design_id").str.contains("jk|boot|mrb|brr|fay"))
    assert rows["design_id"].n_unique() == 18
    found = ours(rows, "logit")
    for side, value in (("lo", found.low), ("hi", found.high)):
        assert value == pytest.approx(rows[f"ci_logit_{side}"].to_numpy(), rel=1e-8)


def replicate_logit_variance(design: str, rows: pl.DataFrame) -> np.ndarray:
    """scale sum rscales (b_r - centre)^2 of the logits of the replicate shares of each row."""
    meta = json.loads((REFERENCE / "replicate_meta.json").read_text())[design]
    path = next(REFERENCE.glob(f"repw_{design}.csv*"))
    weights = pl.read_csv(path).drop("row", "w").to_numpy().astype(float)
    data = pl.read_csv(REFERENCE / f"api{design.split('_')[0]}.csv", null_values="NA", infer_schema_length=None)
    replicates = ReplicateWeights.from_columns(
        np.ones(data.height),
        weights,
        scale=meta["scale"],
        rscales=np.array(meta["rscales"], dtype=float),
        mse=meta["mse"],
    )
    found = np.empty(rows.height)
    for at, row in enumerate(rows.iter_rows(named=True)):
        y = data[row["y"]].cast(pl.Float64).fill_null(np.nan).to_numpy()
        inside = np.isfinite(y)
        if row["domain"] != "all":
            for condition in row["domain"].split("&"):
                name, value = condition.split("=")
                inside &= (data[name] == value).fill_null(False).to_numpy()
        top = replicates.totals(np.where(inside, y, 0.0)[:, None])
        bottom = replicates.totals(inside.astype(float)[:, None])
        share = np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)
        estimate = np.array([row["estimate"]])
        logits = replicate_logits(share, estimate)
        found[at] = replicates.variance(logits, special.logit(estimate))[0]
    return found


@pytest.mark.parametrize(
    "design",
    [
        "strat_jkn",
        "strat_nofpc_jkn",
        "clus1_jk1",
        "clus1_nofpc_jk1",
        "clus1_boot",
        "strat_subboot",
        "strat_mrb",
        "clus1_boot_mse",
        "clus1_jk1_post",
        "clus1_jk1_cal",
        "clus1_boot_rake",
    ],
)
def test_logit_of_replicate_designs(design: str) -> None:
    """The variance of replicate logits, with R's stopping point for shares of 0 and 1.

    The sum of squared deviations is as good as R's fits: those stop at 1e-8 of the deviance, near the optimum.
    """
    rows = shares("logit").filter(pl.col("design_id") == design)
    assert rows.height >= 10
    found = ours(rows, "logit", replicate_logit_variance(design, rows))
    for side, value in (("lo", found.low), ("hi", found.high)):
        assert value == pytest.approx(rows[f"ci_logit_{side}"].to_numpy(), rel=1e-7)


def test_likelihood() -> None:
    """R reads its limits off a spline of at most nineteen points, up to 1 % from the root (test_golden_intervals)."""
    rows = shares("likelihood").filter(~pl.col("design_id").str.contains("jk|boot|mrb|brr|fay"))
    assert rows.height > 200
    found = ours(rows, "likelihood")
    for side, value in (("lo", found.low), ("hi", found.high)):
        distance = np.abs(value / rows[f"ci_likelihood_{side}"].to_numpy() - 1)
        assert distance.max() < 1e-2
        assert np.median(distance) < 1e-5


def test_where_r_has_no_interval_ours_has_a_width() -> None:
    rows = results().filter(
        pl.col("ci_xlogit_lo").is_nan() & pl.col("estimate").is_finite() & pl.col("df").is_not_null()
    )
    assert rows.height > 100
    for method in ("logit", "xlogit", "beta", "wilson", "asin", "mean", "likelihood"):
        found = ours(rows, method)
        assert np.all(found.high - found.low > 0)
        assert set(found.rule.tolist()) <= {"zero_or_one", "no_df"}
