"""Means, totals, ratios and intervals against R: tests/golden/taylor_designs.R holds the calls.

Random unequal weights, clusters, a fully enumerated stratum, a lonely PSU under each rule, missing values,
post-stratification by postStratify() and by calibrate(), by domain.
"""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.stats.calibration import post_stratify
from pipelines.stats.design import SurveyDesign
from pipelines.stats.interval_formulas import korn_graubard_interval, logit_interval
from pipelines.stats.linearization import DomainEstimates, domain_means, domain_ratios, domain_totals

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
TOTALS = {"p": 130.0, "q": 110.0, "r": 120.0}
DOMAINS = ("A", "B", "C")
RESULTS = pl.read_csv(GOLDEN / "taylor_results.csv")


def load(name: str, lonely: str) -> tuple[pl.DataFrame, SurveyDesign]:
    data = pl.read_csv(GOLDEN / "taylor_data.csv").with_columns(pl.col("y").cast(pl.Float64))
    if lonely == "fail":
        data = data.filter(pl.col("h") != "h5")
    by_unit = name.startswith("units")
    data = data.with_columns((pl.col("N") * (8 if by_unit else 1)).alias("N"))
    group = None
    if "post" in name or "calibrate" in name:
        weight = data["w"].to_numpy()
        data = data.with_columns(pl.Series("w", weight * post_stratify(weight, data["g"], TOTALS).factor))
        group = "g"
    design = SurveyDesign.from_frame(
        data,
        weight="w",
        strata="h",
        stages=["id" if by_unit else "psu"],
        population=() if name.endswith("nofpc") else ["N"],
        calibration_group=group,
        lonely_psu=lonely,
    )
    return data, design


@pytest.mark.parametrize("name", RESULTS["design"].unique(maintain_order=True).to_list())
def test_statistics_equal_r(name: str) -> None:
    expected = RESULTS.filter(pl.col("design") == name)
    data, design = load(name, expected["lonely"][0])
    y = data["y"].fill_null(np.nan).to_numpy()[:, None]
    x = data["x"].cast(pl.Float64).to_numpy()[:, None]
    everything = np.zeros(data.height, dtype=np.int64)
    by_domain = data["d"].replace_strict({code: i for i, code in enumerate(DOMAINS)}).to_numpy().astype(np.int64)
    for domain, n_domains, codes in ((everything, 1, ["all"]), (by_domain, 3, list(DOMAINS))):
        mean = domain_means(design, y, domain=domain, n_domains=n_domains)
        total = domain_totals(design, y, domain=domain, n_domains=n_domains)
        ratio = domain_ratios(design, y * x, x + 0 * y, domain=domain, n_domains=n_domains)
        for index, code in enumerate(codes):
            row = expected.filter(pl.col("domain") == code).row(0, named=True)
            found = {"df": mean.df[index, 0]}
            for label, result in (("mean", mean), ("total", total), ("ratio", ratio)):
                found |= {label: result.estimate[index, 0], f"{label}_se": result.se[index, 0]}
            found |= {"mean_deff": mean.deff[index, 0], "total_deff": total.deff[index, 0]}
            found |= intervals(mean, index, row["nrow_design"])
            for column, value in found.items():
                assert value == pytest.approx(row[column], rel=1e-9), (code, column)


def intervals(mean: DomainEstimates, index: int, nrow: int) -> dict[str, float]:
    def one(values: np.ndarray) -> np.ndarray:
        return values[index : index + 1, 0]

    logit = logit_interval(one(mean.estimate), one(mean.variance), one(mean.df))
    # R takes n = nrow(design), which for a subset of a calibrated design is the whole file.
    beta = korn_graubard_interval(
        one(mean.estimate),
        one(mean.variance),
        df=one(mean.df),
        n=np.array([float(nrow)]),
        kish_deff=one(mean.kish_deff),
    )
    return {
        "logit_low": logit[0][0],
        "logit_high": logit[1][0],
        "beta_low": beta[0][0],
        "beta_high": beta[1][0],
    }


def test_post_stratification_and_calibration_give_one_residual() -> None:
    """R's postStratify() and calibrate(~g - 1) agree, as the module's docstring derives."""
    by_name = {
        name: RESULTS.filter(pl.col("design") == name).drop("design") for name in ("units_post", "units_calibrate")
    }
    for column in ("mean_se", "total_se", "ratio_se"):
        left, right = (table[column].to_numpy() for table in by_name.values())
        assert left == pytest.approx(right, rel=1e-12)
