"""R's reference designs as specifications: every row of ../shared/reference through `axstat estimate`.

The R calls are in designs.json there (survey 4.1-1). Skipped where the folder is absent.
"""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from pipelines.estimation.run import run_specification
from pipelines.estimation.spec import load_specification

REFERENCE = Path(__file__).resolve().parents[4] / "shared" / "reference"
pytestmark = pytest.mark.skipif(
    not (REFERENCE / "results.csv").exists(), reason="reference results are not beside this checkout"
)
SRS = {"population": "fpc"}
STRAT = {"strata": "stype", "weight": "pw", "population": ["fpc"]}
CLUS1 = {"stages": ["dnum"], "weight": "pw", "population": ["fpc"]}
CLUS2 = {"stages": ["dnum", "snum"], "population": ["fpc1", "fpc2"]}
TYPES = {"E": 4421, "H": 755, "M": 1018}
WIDE = {"No": 1072, "Yes": 5122}
TERMS = {"terms": ["1", "stype=H", "stype=M", "api99"], "totals": [6194, 755, 1018, 3914069]}
DESIGNS = {
    "srs": ("apisrs", SRS),
    "srs_nofpc": ("apisrs", {"weight": "pw"}),
    "strat": ("apistrat", STRAT),
    "strat_nofpc": ("apistrat", {"strata": "stype", "weight": "pw"}),
    "clus1": ("apiclus1", CLUS1),
    "clus1_nofpc": ("apiclus1", {"stages": ["dnum"], "weight": "pw"}),
    "clus2": ("apiclus2", CLUS2),
    "clus2_wr": ("apiclus2", {"stages": ["dnum", "snum"], "weight": "pw"}),
    "scd": ("scd", {"strata": "ESA", "stages": "ambulance", "weight": "w"}),
    "clus1_post": ("apiclus1", CLUS1, {"method": "poststratify", "margins": {"stype": TYPES}}),
    "strat_post_sw": ("apistrat", STRAT, {"method": "poststratify", "margins": {"sch.wide": WIDE}}),
    "clus1_rake": ("apiclus1", CLUS1, {"method": "rake", "margins": {"stype": TYPES, "sch.wide": WIDE}}),
    "clus1_cal_linear": ("apiclus1", CLUS1, {"method": "linear", **TERMS}),
    "clus1_cal_linear_bnd": ("apiclus1", CLUS1, {"method": "linear", "bounds": [0.6, 1.6], **TERMS}),
    "clus1_cal_logit": ("apiclus1", CLUS1, {"method": "logit", "bounds": [0.4, 2.5], **TERMS}),
    "clus1_cal_raking": ("apiclus1", CLUS1, {"method": "raking", **TERMS}),
    "strat_cal_linear": ("apistrat", STRAT, {"method": "linear", **TERMS}),
    "strat_cal_raking_marg": (
        "apistrat",
        STRAT,
        {
            "method": "raking",
            "terms": ["1", "stype=H", "stype=M", "sch.wide=Yes"],
            "totals": {"1": 6194, "stype=H": 755, "stype=M": 1018, "sch.wide=Yes": 5122},
        },
    ),
    "clus2_cal_linear": ("apiclus2", CLUS2, {"method": "linear", **TERMS}),
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
# How close limits must be. R finds logit by iteration and reads likelihood off a spline of at most nineteen points,
# up to 1 % from the root
LIMITS = {"xlogit": 1e-9, "beta": 1e-9, "asin": 1e-9, "mean": 1e-9, "logit": 1e-7, "likelihood": 1e-2}
METHODS = [*LIMITS, "t", "z"]


def condition(domain: str) -> dict[str, str]:
    return {} if domain == "all" else dict(part.split("=") for part in domain.split("&"))


def expected(design: str) -> list[dict[str, object]]:
    rows = pl.read_csv(REFERENCE / "results.csv", null_values="NA", infer_schema_length=None).filter(
        pl.col("design_id") == design
    )
    assert rows.height > 0
    return rows.to_dicts()


def asked(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """The estimates of the reference; a mean of a 0/1 column as a proportion, in turn with and without its level."""
    estimates = []
    for index, row in enumerate(rows):
        estimate: dict[str, object] = {"id": f"r{index}", "statistic": row["estimator"], "measure": row["y"]}
        if row["estimator"] == "diff_domains":
            second, first = str(row["contrast"]).split("-")
            estimate |= {"statistic": "difference", "between": [condition(first), condition(second)]}
        else:
            estimate["where"] = condition(str(row["domain"]))
        if row["estimator"] == "ratio":
            estimate["denominator"] = row["x"]
        if row["estimator"] == "mean" and str(row["y"])[-2:] == "01":
            estimate["statistic"] = "proportion"
            if index % 2:
                estimate["level"] = 1
        estimates.append(estimate)
    return estimates


def data_file(name: str, folder: Path, *, extra: pl.DataFrame | None = None) -> str:
    """The data of a design, with a weight column where the file has none."""
    if name != "scd" and extra is None:
        return str(REFERENCE / f"{name}.csv")
    data = pl.read_csv(REFERENCE / f"{name}.csv", infer_schema=False)
    data = data.with_columns(extra["w"].alias("w") if extra is not None else pl.lit("1").alias("w"))
    data.write_csv(folder / "data.csv")
    return "data.csv"


def run(folder: Path, specification: dict[str, object]) -> list[dict[str, object]]:
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(specification), encoding="utf-8")
    return run_specification(load_specification(path)).table.to_dicts()


def close(ours: object, theirs: object, scale: float, within: float = 1e-9) -> bool:
    missing = theirs is None or np.isnan(float(theirs))
    if ours is None or missing:
        return ours is None and missing
    # Structural zeros: R returns rounding noise up to 1e-12 of the estimate.
    return abs(float(ours) - float(theirs)) <= within * abs(float(theirs)) + 1e-12 * scale


def differences(row: dict[str, object], found: dict[str, object], *, calibrated: bool) -> list[tuple[object, ...]]:
    if row["status"] == "empty_domain":
        fine = found["n"] == 0 and found["estimate"] is None and found["status"] == "empty_domain"
        return [] if fine else [("not empty", row["y"], row["domain"])]
    scale = max(abs(float(row["estimate"])), 1.0)
    pairs = {"n": "n_used", "estimate": "estimate", "se": "se", "df": "df"}
    zero = float(row["se"]) <= 1e-12 * scale
    if row["estimator"] != "diff_domains":
        pairs["sum_weights"] = "sum_w"
        # An SRS variance of 0: R divides by noise. R gives no design effect of a ratio.
        if row["estimator"] != "ratio" and not zero and abs(float(row["deff"] or 0)) < 1e12:
            pairs |= {"deff": "deff", "deff_replace": "deff_replace"}
    if int(row["df"]) > 0:
        if row["estimator"] != "mean" or str(row["y"]) in ("api00", "api99", "enroll"):
            pairs |= {"ci_t_low": "ci_t_lo", "ci_t_high": "ci_t_hi", "ci_z_low": "ci_z_lo", "ci_z_high": "ci_z_hi"}
        elif row["ci_xlogit_lo"] is not None and not zero and 0 < float(row["estimate"]) < 1:
            # R's likelihood interval of replicates is one of another fit
            for method in [method for method in LIMITS if row[f"ci_{method}_lo"] is not None]:
                pairs |= {f"ci_{method}_low": f"ci_{method}_lo", f"ci_{method}_high": f"ci_{method}_hi"}
    wrong = []
    for ours, theirs in pairs.items():
        within = LIMITS.get(ours.split("_")[1], 1e-9) if ours.startswith("ci_") else 1e-9
        if not close(found[ours], row[theirs], scale, within):
            wrong.append((row["estimator"], row["y"], row["domain"], row["contrast"], ours, found[ours], row[theirs]))
    return wrong


@pytest.mark.parametrize("name", DESIGNS)
def test_designs(name: str, tmp_path: Path) -> None:
    file, design, *calibration = DESIGNS[name]
    rows = expected(name)
    found = run(
        tmp_path,
        {
            "data": data_file(file, tmp_path),
            "missing": ["NA", ""],
            "design": design,
            **({"calibration": calibration[0]} if calibration else {}),
            "confidence": {"level": 0.95, "methods": METHODS},
            "estimates": asked(rows),
        },
    )
    assert [row["id"] for row in found] == [f"r{index}" for index in range(len(rows))]
    wrong = [
        each
        for row, ours in zip(rows, found, strict=True)
        for each in differences(row, ours, calibrated=bool(calibration))
    ]
    assert wrong == []


@pytest.mark.parametrize("name", REPLICATES)
def test_replicates(name: str, tmp_path: Path) -> None:
    meta = json.loads((REFERENCE / "replicate_meta.json").read_text(encoding="utf-8"))[name]
    path = next(REFERENCE.glob(f"repw_{name}.csv*"))
    rows = expected(name)
    found = run(
        tmp_path,
        {
            "data": data_file(REPLICATES[name], tmp_path, extra=pl.read_csv(path, columns=["w"], infer_schema=False)),
            "design": {"weight": "w"},
            "replicates": {
                "file": str(path),
                "key": "row",
                "columns": "r[0-9]*",
                "scale": meta["scale"],
                "rscales": meta["rscales"],
                "mse": meta["mse"],
            },
            "confidence": {"methods": METHODS},
            "estimates": asked(rows),
        },
    )
    wrong = [each for row, ours in zip(rows, found, strict=True) for each in differences(row, ours, calibrated=False)]
    assert wrong == []


def test_every_design_of_the_reference_is_there() -> None:
    known = pl.read_csv(REFERENCE / "results.csv", infer_schema_length=None)
    assert set(known["design_id"].unique()) == set(DESIGNS) | set(REPLICATES)


@pytest.mark.parametrize("name", ["srs", "strat", "clus1", "clus2", "clus1_cal_linear", "clus1_post"])
def test_quantiles(name: str, tmp_path: Path) -> None:
    rows = pl.read_csv(REFERENCE / "quantiles.csv", null_values="NA", infer_schema_length=None).filter(
        pl.col("design_id") == name
    )
    keys = ("y", "domain", "qrule", "interval_type")
    groups = [(key, group) for key, group in rows.group_by(*keys, maintain_order=True)]
    file, design, *calibration = DESIGNS[name]
    found = run(
        tmp_path,
        {
            "data": data_file(file, tmp_path),
            "design": design,
            **({"calibration": calibration[0]} if calibration else {}),
            "estimates": [
                {
                    "id": f"q{index}",
                    "statistic": "quantile",
                    "measure": y,
                    "where": condition(str(domain)),
                    "probabilities": group["p"].to_list(),
                    "rule": rule,
                    "interval": interval,
                }
                for index, ((y, domain, rule, interval), group) in enumerate(groups)
            ],
        },
    )
    theirs = [(key, row) for key, group in groups for row in group.to_dicts()]
    assert len(found) == len(theirs)
    wrong = []
    for (key, row), ours in zip(theirs, found, strict=True):
        interval = key[3]
        for column, name_ in (
            ("estimate", "quantile"),
            ("se", "se"),
            (f"ci_{interval}_low", "ci_lo"),
            (f"ci_{interval}_high", "ci_hi"),
        ):
            if not close(ours[column], row[name_], 0.0):
                wrong.append((key, row["p"], column, ours[column], row[name_]))
    assert wrong == []


TESTED = ["srs", "strat", "clus1", "clus2", "strat_nofpc", "clus1_post", "strat_jkn"]


@pytest.mark.parametrize("name", TESTED)
def test_tests_and_models(name: str, tmp_path: Path) -> None:
    rows = pl.read_csv(REFERENCE / "tests.csv", null_values="NA", infer_schema_length=None).filter(
        pl.col("design_id") == name
    )
    whole: dict[str, object] = {
        "tests": [
            {
                "id": f"svychisq_{method}",
                "test": "chisq",
                "row": "sch.wide",
                "column": "stype",
                "statistic": method,
            }
            for method in ("F", "Chisq", "Wald", "adjWald", "saddlepoint", "lincom")
        ]
        + [{"id": "svyttest", "test": "ttest", "outcome": "api00", "group": "sch.wide"}],
        "models": [
            {
                "id": f"svyglm_logit:awards01~{'+'.join(terms)}",
                "model": "logistic",
                "outcome": "awards01",
                "terms": terms,
            }
            for terms in (["sch.wide"], ["stype", "api99"])
        ],
    }
    if name in REPLICATES:
        meta = json.loads((REFERENCE / "replicate_meta.json").read_text(encoding="utf-8"))[name]
        [path] = REFERENCE.glob(f"repw_{name}.csv*")
        weight = pl.read_csv(path, columns=["w"], infer_schema=False)
        whole |= {
            "data": data_file(REPLICATES[name], tmp_path, extra=weight),
            "design": {"weight": "w"},
            "replicates": {"file": str(path), "columns": "r[0-9]*"}
            | {key: meta[key] for key in ("scale", "rscales", "mse", "degf")},
        }
    else:
        file, design, *calibration = DESIGNS[name]
        whole |= {"data": data_file(file, tmp_path), "design": design}
        whole |= {"calibration": calibration[0]} if calibration else {}
    found = {(row["id"], row["level"]): row for row in run(tmp_path, whole)}
    assert len(found) == rows.height
    for row in rows.to_dicts():
        ours = found[row["test"], row["term"] if row["test"].startswith("svyglm") else None]
        is_test = row["test"].startswith("svychisq")
        pairs = {"p_value": "p"}
        pairs |= (
            {"test_statistic": "estimate", "df_numerator": "df1", "df_denominator": "df2"}
            if is_test
            else {"estimate": "estimate", "df": "df1"}
        )
        if row["test"] == "svychisq_lincom":
            # The reference was made without the package that R integrates with: its rows hold the saddlepoint's p
            del pairs["p_value"]
        if row["test"].startswith("svyglm"):
            pairs["se"] = "se"
        if row["test"] == "svyglm_logit:awards01~sch.wide":
            # Separated: R's numbers are where its iteration stopped (test_reference_tests)
            assert ours["status"] == "infinite"
            pairs = {"df": "df1"}
        for key, theirs in pairs.items():
            assert close(ours[key], row[theirs], 1.0), (row["test"], row["term"], key, ours[key], row[theirs])
