"""The engine against R's survey package on the California schools examples (../shared/reference, made by R 4.2.2).

The calls are in designs.json there, e.g. ``svydesign(id=~dnum, weights=~pw, data=apiclus1, fpc=~fpc)`` and
``svymean(~api00, subset(D, stype=="H"), na.rm=TRUE, deff=TRUE)``. Skipped where the folder is absent.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.stats.calibration import Calibration, calibrate, post_stratify, rake
from pipelines.stats.design import SurveyDesign
from pipelines.stats.interval_formulas import korn_graubard_interval, logit_interval
from pipelines.stats.linearization import (
    DomainEstimates,
    Linearized,
    domain_means,
    domain_ratios,
    domain_totals,
    evaluate,
    linearized_mean,
    linearized_ratio,
    linearized_total,
)
from pipelines.stats.replication import ReplicateWeights, replicate_means, replicate_ratios, replicate_totals
from pipelines.stats.terms import terms_matrix

REFERENCE = Path(__file__).resolve().parents[4] / "shared" / "reference"
pytestmark = pytest.mark.skipif(
    not (REFERENCE / "results.csv").exists(), reason="reference results are not beside this checkout"
)
TYPES = {"E": 4421.0, "H": 755.0, "M": 1018.0}
WIDE = {"No": 1072.0, "Yes": 5122.0}
TERMS = {"1": 6194.0, "stype=H": 755.0, "stype=M": 1018.0, "api99": 3914069.0}

Adjust = Callable[[np.ndarray, pl.DataFrame], Calibration]


def by_terms(totals: Mapping[str, float], distance: str, bounds: tuple[float, float] = (-np.inf, np.inf)) -> Adjust:
    return lambda weight, data: calibrate(
        weight, terms_matrix(data, list(totals)), totals, distance=distance, bounds=bounds
    )


@dataclass(frozen=True)
class Case:
    file: str
    columns: dict[str, object] = field(default_factory=dict)
    adjust: Adjust | None = None


SRS = {"weight": None, "population": ["fpc"]}
STRAT = {"weight": "pw", "strata": "stype", "population": ["fpc"]}
CLUS1 = {"weight": "pw", "stages": ["dnum"], "population": ["fpc"]}
CLUS2 = {"weight": None, "stages": ["dnum", "snum"], "population": ["fpc1", "fpc2"]}
CASES = {
    "srs": Case("apisrs", SRS),
    "srs_nofpc": Case("apisrs", {"weight": "pw"}),
    "strat": Case("apistrat", STRAT),
    "strat_nofpc": Case("apistrat", {"weight": "pw", "strata": "stype"}),
    "clus1": Case("apiclus1", CLUS1),
    "clus1_nofpc": Case("apiclus1", {"weight": "pw", "stages": ["dnum"]}),
    "clus2": Case("apiclus2", CLUS2),
    # With replacement at the first stage: the second stage adds nothing.
    "clus2_wr": Case("apiclus2", {"weight": "pw", "stages": ["dnum", "snum"]}),
    "clus1_post": Case("apiclus1", CLUS1, lambda w, data: post_stratify(w, data["stype"], TYPES)),
    "strat_post_sw": Case("apistrat", STRAT, lambda w, data: post_stratify(w, data["sch.wide"], WIDE)),
    "clus1_rake": Case("apiclus1", CLUS1, lambda w, data: rake(w, data, {"stype": TYPES, "sch.wide": WIDE})),
    "clus1_cal_linear": Case("apiclus1", CLUS1, by_terms(TERMS, "linear")),
    "clus1_cal_linear_bnd": Case("apiclus1", CLUS1, by_terms(TERMS, "linear", (0.6, 1.6))),
    "clus1_cal_logit": Case("apiclus1", CLUS1, by_terms(TERMS, "logit", (0.4, 2.5))),
    "clus1_cal_raking": Case("apiclus1", CLUS1, by_terms(TERMS, "raking")),
    "strat_cal_linear": Case("apistrat", STRAT, by_terms(TERMS, "linear")),
    "strat_cal_raking_marg": Case(
        "apistrat",
        STRAT,
        by_terms({"1": 6194.0, "stype=H": 755.0, "stype=M": 1018.0, "sch.wide=Yes": 5122.0}, "raking"),
    ),
    "clus2_cal_linear": Case("apiclus2", CLUS2, by_terms(TERMS, "linear")),
    "scd": Case("scd", {"weight": "w", "strata": "ESA", "stages": ["ambulance"], "nest": True}),
}
REPLICATES = {
    "strat_jkn": "apistrat",
    "strat_nofpc_jkn": "apistrat",
    "strat_subboot": "apistrat",
    "strat_mrb": "apistrat",
    "clus1_jk1": "apiclus1",
    "clus1_nofpc_jk1": "apiclus1",
    "clus1_boot": "apiclus1",
    "clus1_boot_mse": "apiclus1",
    "clus1_jk1_post": "apiclus1",
    "clus1_jk1_cal": "apiclus1",
    "clus1_boot_rake": "apiclus1",
    "scd_brr": "scd",
    "scd_fay": "scd",
    "scd_jkn": "scd",
}
# One post-stratum of each row, or a partition into domains: the sparse path of the pipeline.
PARTITIONED = ("srs_nofpc", "strat", "clus1", "clus2", "clus1_post", "strat_post_sw", "clus2_cal_linear")
CALIBRATION_GROUPS = {"clus1_post": "stype", "strat_post_sw": "sch.wide"}


def read(file: str) -> pl.DataFrame:
    data = pl.read_csv(REFERENCE / f"{file}.csv", null_values="NA", infer_schema_length=None)
    return data.with_columns(pl.lit(1.0).alias("w")) if file == "scd" else data


def load(name: str, *, grouped: bool = False) -> tuple[pl.DataFrame, SurveyDesign]:
    case = CASES[name]
    data = read(case.file)
    design = SurveyDesign.from_frame(data, **case.columns)
    if case.adjust is None:
        return data, design
    made = case.adjust(design.weight, data)
    data = data.with_columns(pl.Series("final", made.weight))
    columns = case.columns | {"weight": "final"}
    if grouped and name in CALIBRATION_GROUPS:
        return data, SurveyDesign.from_frame(data, **columns, calibration_group=CALIBRATION_GROUPS[name])
    return data, SurveyDesign.from_frame(data, **columns, calibration=made.residualizer)


def member(data: pl.DataFrame, domain: str) -> np.ndarray:
    inside = np.ones(data.height, dtype=np.bool_)
    if domain != "all":
        for condition in domain.split("&"):
            name, value = condition.split("=")
            inside &= (data[name] == value).fill_null(False).to_numpy()
    return inside


def column(data: pl.DataFrame, name: str) -> np.ndarray:
    return data[name].cast(pl.Float64).fill_null(np.nan).to_numpy()


def results(design: str, estimators: tuple[str, ...] = ("mean", "total", "ratio")) -> list[dict[str, object]]:
    rows = pl.read_csv(REFERENCE / "results.csv", null_values="NA", infer_schema_length=None).filter(
        (pl.col("design_id") == design) & pl.col("estimator").is_in(estimators)
    )
    assert rows.height > 0
    return rows.to_dicts()


def close(ours: float, theirs: float, scale: float) -> bool:
    if np.isnan(theirs):
        return bool(np.isnan(ours))
    if ours > 1e12 and theirs > 1e12:
        return True  # a design effect over an SRS variance of 0 (constant in the domain): R divides by noise
    # Structural zeros: R returns rounding noise up to 1e-12 of the estimate.
    return bool(abs(ours - theirs) <= 1e-9 * abs(theirs) + 1e-12 * scale)


def compare(row: dict[str, object], found: Mapping[str, float]) -> list[tuple[object, ...]]:
    """The values that differ from R's: of an empty domain, only that nothing was estimated."""
    if row["status"] == "empty_domain":
        return [] if found["n_used"] == 0 and np.isnan(found["estimate"]) else [("not empty", row["domain"])]
    assert row["status"] == "ok"
    scale = max(abs(float(row["estimate"])), 1.0)
    wrong = []
    for name, ours in found.items():
        theirs = float("nan") if row[name] is None else float(row[name])
        if name.startswith("deff") and float(row["se"]) <= 1e-12 * scale:
            continue
        if not close(ours, theirs, scale):
            wrong.append((row["estimator"], row["y"], row["domain"], row["contrast"], name, ours, theirs))
    return wrong


def linearized(data: pl.DataFrame, design: SurveyDesign, rows: list[dict[str, object]], estimator: str) -> Linearized:
    y = np.column_stack([column(data, str(row["y"])) for row in rows])
    inside = np.column_stack([member(data, str(row["domain"])) for row in rows])
    if estimator == "ratio":
        x = np.column_stack([column(data, str(row["x"])) for row in rows])
        return linearized_ratio(design, y, x, inside=inside)
    return (linearized_mean if estimator == "mean" else linearized_total)(design, y, inside=inside)


@pytest.mark.parametrize("estimator", ["mean", "total", "ratio"])
@pytest.mark.parametrize("name", CASES)
def test_means_totals_and_ratios_with_se_df_and_deff(name: str, estimator: str) -> None:
    data, design = load(name)
    rows = results(name, (estimator,))
    ours = evaluate(design, linearized(data, design, rows, estimator))
    wrong = []
    for index, row in enumerate(rows):
        found = {
            "n_used": ours.n[index],
            "sum_w": ours.sum_weights[index],
            "estimate": ours.estimate[index],
            "se": ours.se[index],
            "df": ours.df[index],
        }
        if estimator != "ratio":  # R gives no design effect of a ratio
            found |= {"deff": ours.deff[index], "deff_replace": ours.deff_replace[index]}
        wrong += compare(row, found)
    assert wrong == []


@pytest.mark.parametrize("name", [name for name in CASES if name != "scd"])
def test_differences_of_domains_are_contrasts_of_influences(name: str) -> None:
    data, design = load(name)
    wrong = []
    for row in results(name, ("diff_domains",)):
        sides = [
            linearized_mean(design, column(data, str(row["y"]))[:, None], inside=member(data, side))
            for side in str(row["contrast"]).split("-")
        ]
        both = Linearized(
            estimate=np.concatenate([side.estimate for side in sides]),
            influence=np.hstack([side.influence for side in sides]),
            used=np.hstack([side.used for side in sides]),
            residual=None,
        )
        difference = evaluate(design, both.contrast(np.array([[1.0, -1.0]])))
        wrong += compare(
            row,
            {
                "n_used": difference.n[0],
                "estimate": difference.estimate[0],
                "se": difference.se[0],
                "df": difference.df[0],
            },
        )
        # The same from the covariance of the two means.
        contrast = np.array([1.0, -1.0])
        together = evaluate(design, both)
        assert contrast @ together.covariance @ contrast == pytest.approx(float(row["se"]) ** 2, rel=1e-9)
    assert wrong == []


def partitioned(data: pl.DataFrame, design: SurveyDesign, row: dict[str, object]) -> DomainEstimates:
    domain = np.where(member(data, str(row["domain"])), 0, -1).astype(np.int64)
    y = column(data, str(row["y"]))[:, None]
    if row["estimator"] == "ratio":
        return domain_ratios(design, y, column(data, str(row["x"]))[:, None], domain=domain, n_domains=1)
    estimator = domain_means if row["estimator"] == "mean" else domain_totals
    return estimator(design, y, domain=domain, n_domains=1)


@pytest.mark.parametrize("name", PARTITIONED)
def test_the_partition_into_domains_gives_the_same(name: str) -> None:
    data, design = load(name, grouped=True)
    wrong = []
    for row in results(name):
        ours = partitioned(data, design, row)
        found = {"n_used": ours.n, "sum_w": ours.sum_weights, "estimate": ours.estimate, "se": ours.se, "df": ours.df}
        if row["estimator"] != "ratio":
            found |= {"deff": ours.deff, "deff_replace": ours.deff_replace}
        wrong += compare(row, {key: float(value[0, 0]) for key, value in found.items()})
    assert wrong == []


@pytest.mark.parametrize("name", [name for name in CASES if name != "scd"])
def test_xlogit_and_beta_intervals_of_svyciprop(name: str) -> None:
    data, design = load(name)
    rows = [row for row in results(name, ("mean",)) if row["ci_xlogit_lo"] is not None and float(row["se"]) >= 1e-12]
    assert rows
    ours = evaluate(design, linearized(data, design, rows, "mean"))
    logit = logit_interval(ours.estimate, ours.variance, ours.df)
    # R takes nrow(design) for n: on a calibrated design that is the whole file, not the subset.
    n = np.full(len(rows), float(design.n_rows)) if design.calibrated else ours.n
    beta = korn_graubard_interval(ours.estimate, ours.variance, df=ours.df, n=n, kish_deff=np.ones(len(rows)))
    wrong = []
    for index, row in enumerate(rows):
        for method, limits in (("xlogit", logit), ("beta", beta)):
            for side, value in zip(("lo", "hi"), limits, strict=True):
                theirs = float(row[f"ci_{method}_{side}"])
                # At p = 0 or 1 R has no interval; ours is tested in test_intervals.
                if not np.isnan(theirs) and not close(float(value[index]), theirs, 1.0):
                    wrong.append((row["y"], row["domain"], method, side, float(value[index]), theirs))
    assert wrong == []


def load_replicates(name: str) -> tuple[pl.DataFrame, ReplicateWeights, dict[str, object]]:
    meta = json.loads((REFERENCE / "replicate_meta.json").read_text(encoding="utf-8"))[name]
    path = next(REFERENCE.glob(f"repw_{name}.csv*"))
    table = pl.read_csv(path)
    weights = ReplicateWeights.from_columns(
        table["w"].cast(pl.Float64).to_numpy(),
        table.select(pl.exclude("row", "w").cast(pl.Float64)).to_numpy(),
        scale=meta["scale"],
        rscales=np.asarray(meta["rscales"], dtype=np.float64),
        mse=meta["mse"],
    )
    return read(REPLICATES[name]), weights, meta


@pytest.mark.parametrize("name", REPLICATES)
def test_replicates_give_rs_variances_and_degrees_of_freedom(name: str) -> None:
    data, weights, meta = load_replicates(name)
    assert weights.degrees_of_freedom() == meta["degf"]
    wrong = []
    for row in results(name):
        domain = np.where(member(data, str(row["domain"])), 0, -1).astype(np.int64)
        y = column(data, str(row["y"]))[:, None]
        if row["estimator"] == "ratio":
            x = column(data, str(row["x"]))[:, None]
            ours = replicate_ratios(weights, y, x, domain=domain, n_domains=1)
        else:
            estimator = replicate_means if row["estimator"] == "mean" else replicate_totals
            ours = estimator(weights, y, domain=domain, n_domains=1)
        found = {"n_used": ours.n, "sum_w": ours.sum_weights, "estimate": ours.estimate, "se": ours.se, "df": ours.df}
        if row["estimator"] != "ratio":
            found |= {"deff": ours.deff, "deff_replace": ours.deff_replace}
        wrong += compare(row, {key: float(value[0, 0]) for key, value in found.items()})
    assert wrong == []


def test_every_row_of_the_reference_is_covered() -> None:
    known = pl.read_csv(REFERENCE / "results.csv", infer_schema_length=None)
    assert set(known["design_id"].unique()) == set(CASES) | set(REPLICATES)
    assert set(known["estimator"].unique()) == {"mean", "total", "ratio", "diff_domains"}
