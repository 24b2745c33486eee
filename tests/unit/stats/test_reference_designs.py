"""The engine against R's survey package on the California schools examples (../shared/reference, made by R 4.2.2).

The calls are in designs.json there, e.g. ``svydesign(id=~dnum, weights=~pw, data=apiclus1, fpc=~fpc)`` and
``svymean(~api00, subset(D, stype=="H"), na.rm=TRUE, deff=TRUE)``. Skipped where the folder is absent.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.stats.calibration import post_stratify
from pipelines.stats.design import SurveyDesign
from pipelines.stats.intervals import korn_graubard_interval, logit_interval
from pipelines.stats.linearization import DomainEstimates, domain_means, domain_ratios, domain_totals

REFERENCE = Path(__file__).resolve().parents[4] / "shared" / "reference"
pytestmark = pytest.mark.skipif(
    not (REFERENCE / "results.csv").exists(), reason="reference results are not beside this checkout"
)
DOMAINS = (
    "all",
    "stype=E",
    "stype=H",
    "stype=M",
    "sch.wide=Yes",
    "sch.wide=No",
    "stype=H&sch.wide=No",
    "stype=X",
)


@dataclass(frozen=True)
class Case:
    file: str
    columns: dict[str, str]
    equal_probability: bool = False  # no weight column: w = N/n
    post_strata: str | None = None
    totals: dict[str, float] | None = None


TYPES = {"E": 4421.0, "H": 755.0, "M": 1018.0}
CASES = {
    "srs": Case("apisrs", {"population": "fpc"}, equal_probability=True),
    "srs_nofpc": Case("apisrs", {"weight": "pw"}),
    "strat": Case("apistrat", {"weight": "pw", "strata": "stype", "population": "fpc"}),
    "strat_nofpc": Case("apistrat", {"weight": "pw", "strata": "stype"}),
    "clus1": Case("apiclus1", {"weight": "pw", "psu": "dnum", "population": "fpc"}),
    "clus1_nofpc": Case("apiclus1", {"weight": "pw", "psu": "dnum"}),
    # With replacement at the first stage: the second stage adds nothing.
    "clus2_wr": Case("apiclus2", {"weight": "pw", "psu": "dnum"}),
    "clus1_post": Case(
        "apiclus1",
        {"weight": "pw", "psu": "dnum", "population": "fpc"},
        post_strata="stype",
        totals=TYPES,
    ),
    "strat_post_sw": Case(
        "apistrat",
        {"weight": "pw", "strata": "stype", "population": "fpc"},
        post_strata="sch.wide",
        totals={"No": 1072.0, "Yes": 5122.0},
    ),
    "scd": Case("scd", {"weight": "w", "strata": "ESA", "psu": "psu"}),
}


def load(case: Case) -> tuple[pl.DataFrame, SurveyDesign]:
    data = pl.read_csv(REFERENCE / f"{case.file}.csv", null_values="NA", infer_schema_length=None)
    if case.file == "scd":
        # R's call has nest=TRUE: PSU ids are within the stratum, all weights 1.
        data = data.with_columns(pl.lit(1.0).alias("w"), pl.format("{}/{}", "ESA", "ambulance").alias("psu"))
    columns = dict(case.columns)
    if case.equal_probability:
        data = data.with_columns((pl.col("fpc") / pl.len()).alias("w"))
        columns["weight"] = "w"
    if case.post_strata and case.totals:
        adjusted = post_stratify(data[columns["weight"]].to_numpy(), data[case.post_strata], case.totals)
        data = data.with_columns(pl.Series("final", data[columns["weight"]].to_numpy() * adjusted.factor))
        columns |= {"weight": "final", "calibration_group": case.post_strata}
    return data, SurveyDesign.from_frame(data, **columns)


def member(data: pl.DataFrame, domain: str) -> np.ndarray:
    inside = pl.lit(True)
    if domain != "all":
        for condition in domain.split("&"):
            name, value = condition.split("=")
            inside = inside & (pl.col(name) == value)
    return data.select(inside.alias("d").and_(pl.int_range(pl.len()) >= 0))["d"].to_numpy()


def close(ours: float, theirs: float, scale: float) -> bool:
    if np.isnan(theirs):
        return bool(np.isnan(ours))
    if ours > 1e12 and theirs > 1e12:
        return True  # a design effect over an SRS variance of 0 (constant in the domain): R divides by noise
    # Structural zeros: R returns rounding noise up to 1e-12 of the estimate.
    return bool(abs(ours - theirs) <= 1e-9 * abs(theirs) + 1e-12 * scale)


def results(design: str) -> pl.DataFrame:
    return pl.read_csv(REFERENCE / "results.csv", null_values="NA", infer_schema_length=None).filter(
        (pl.col("design_id") == design) & pl.col("estimator").is_in(["mean", "total", "ratio"])
    )


def estimates(data: pl.DataFrame, design: SurveyDesign, row: dict[str, object]) -> DomainEstimates:
    domain = np.where(member(data, str(row["domain"])), 0, -1).astype(np.int64)
    y = data[str(row["y"])].cast(pl.Float64).fill_null(np.nan).to_numpy()[:, None]
    if row["estimator"] == "ratio":
        x = data[str(row["x"])].cast(pl.Float64).fill_null(np.nan).to_numpy()[:, None]
        return domain_ratios(design, y, x, domain=domain, n_domains=1)
    estimator = domain_means if row["estimator"] == "mean" else domain_totals
    return estimator(design, y, domain=domain, n_domains=1)


@pytest.mark.parametrize("name", CASES)
def test_means_totals_and_ratios_with_se_df_and_deff(name: str) -> None:
    data, design = load(CASES[name])
    expected = results(name)
    assert expected.height > 0
    wrong = []
    for row in expected.iter_rows(named=True):
        ours = estimates(data, design, row)
        if row["status"] == "empty_domain":
            assert ours.n[0, 0] == 0
            assert np.isnan(ours.estimate[0, 0])
            continue
        assert row["status"] == "ok"
        scale = max(abs(float(row["estimate"])), 1.0)
        found = {
            "n_used": ours.n,
            "sum_w": ours.sum_weights,
            "estimate": ours.estimate,
            "se": ours.se,
            "df": ours.df,
        }
        if row["estimator"] != "ratio":
            found |= {"deff": ours.deff, "deff_replace": ours.deff_replace}
        for column, value in found.items():
            theirs = float("nan") if row[column] is None else float(row[column])
            ok = close(float(value[0, 0]), theirs, scale)
            structural = column.startswith("deff") and float(row["se"]) <= 1e-12 * scale
            if not ok and not structural:
                wrong.append((row["estimator"], row["y"], row["domain"], column, float(value[0, 0]), theirs))
    assert wrong == []


@pytest.mark.parametrize("name", CASES)
def test_xlogit_and_beta_intervals_of_svyciprop(name: str) -> None:
    data, design = load(CASES[name])
    rows = results(name).filter(pl.col("ci_xlogit_lo").is_not_null() & (pl.col("estimator") == "mean"))
    if name == "scd":
        assert rows.height == 0
    wrong = []
    for row in rows.iter_rows(named=True):
        ours = estimates(data, design, row)
        logit = logit_interval(ours.estimate, ours.variance, ours.df)
        # R takes nrow(design) for n: on a calibrated design that is the whole file, not the subset.
        n = np.full((1, 1), float(design.n_rows)) if design.calibration_group is not None else ours.n
        beta = korn_graubard_interval(ours.estimate, ours.variance, df=ours.df, n=n, kish_deff=ours.kish_deff)
        for method, (low, high) in {"xlogit": logit, "beta": beta}.items():
            for side, value in (("lo", low), ("hi", high)):
                theirs = float(row[f"ci_{method}_{side}"])
                if np.isnan(theirs) or float(row["se"]) < 1e-12:
                    continue  # p = 0 or 1: R has no interval there, ours is tested in test_intervals
                if not close(float(value[0, 0]), theirs, 1.0):
                    wrong.append((row["y"], row["domain"], method, side, float(value[0, 0]), theirs))
    assert wrong == []
