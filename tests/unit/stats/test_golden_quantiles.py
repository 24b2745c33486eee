"""Quantiles by every rule and interval against R's svyquantile (tests/golden/quantiles.R, survey 4.1-1).

The file has ties, missing values, rows of weight 0, a domain, second-stage units, a stratum of one cluster under
'average', post-stratified weights, jackknife and bootstrap weights.
"""

from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.stats.calibration import post_stratify
from pipelines.stats.design import SurveyDesign
from pipelines.stats.quantile_rules import quantile_rule
from pipelines.stats.quantiles import QuantileEstimates, domain_quantiles, quantile_interval, replicate_quantiles
from pipelines.stats.replication import ReplicateWeights

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
DATA = pl.read_csv(GOLDEN / "quantiles_data.csv", infer_schema_length=None)
SEVERAL = DATA.filter(pl.col("h") != 4)
RESULTS = pl.read_csv(GOLDEN / "quantiles_results.csv.gz", infer_schema_length=None)
TAYLOR = ("rows", "clusters", "stages", "lonely", "post")
CELLS = {"p": 190.0, "q": 240.0, "r": 210.0}


@cache
def taylor(name: str) -> tuple[pl.DataFrame, SurveyDesign]:
    if name == "rows":
        return SEVERAL, SurveyDesign.from_frame(SEVERAL, weight="w")
    if name == "stages":
        return SEVERAL, SurveyDesign.from_frame(
            SEVERAL, weight="w", strata="h", stages=["psu", "ssu"], population=["N1", "N2"]
        )
    if name == "lonely":
        return DATA, SurveyDesign.from_frame(
            DATA, weight="w", strata="h", stages=["psu"], population=["N1"], lonely_psu="average"
        )
    if name == "clusters":
        return SEVERAL, SurveyDesign.from_frame(SEVERAL, weight="w", strata="h", stages=["psu"], population=["N1"])
    made = post_stratify(SEVERAL["w"].to_numpy(), SEVERAL["cell"], CELLS)
    frame = SEVERAL.with_columns(final=pl.Series(made.weight))
    return frame, SurveyDesign.from_frame(
        frame, weight="final", strata="h", stages=["psu"], population=["N1"], calibration=made.residualizer
    )


@cache
def replicates(name: str) -> ReplicateWeights:
    table = pl.read_csv(GOLDEN / "quantiles_replicates.csv").filter(pl.col("design") == name)
    weights = table.select(pl.selectors.starts_with("row")).to_numpy().T
    return ReplicateWeights.from_columns(
        SEVERAL["w"].to_numpy(), weights, scale=float(table["scale"][0]), rscales=table["rscale"].to_numpy()
    )


def ours(name: str, domain: str, y: str, level: float, interval: str, rule: str, p: list[float]) -> QuantileEstimates:
    frame = taylor(name)[0] if name in TAYLOR else SEVERAL
    value = frame[y].cast(pl.Float64).fill_null(np.nan).to_numpy()
    inside = np.ones(frame.height, dtype=bool) if domain == "all" else (frame["d"] == domain).to_numpy()
    code = np.where(inside, 0, -1).astype(np.int64)
    if name in TAYLOR:
        return domain_quantiles(
            taylor(name)[1],
            value,
            p,
            domain=code,
            n_domains=1,
            rule=quantile_rule(rule),
            interval=quantile_interval(interval, replicates=False),
            level=level,
        )
    return replicate_quantiles(
        replicates(name),
        value,
        p,
        domain=code,
        n_domains=1,
        rule=quantile_rule(rule),
        interval=quantile_interval(interval, replicates=True),
        level=level,
    )


@pytest.mark.parametrize("name", [*TAYLOR, "jkn", "boot"])
def test_every_rule_and_interval(name: str) -> None:
    """All columns within 1e-9, but for limits of a share of 1: R's are NaN where rounding lifts them above 1."""
    rows = RESULTS.filter(pl.col("design") == name)
    assert rows.height >= 400
    assert rows["rule"].n_unique() == 12
    wrong = []
    keys = ("domain", "y", "level", "interval", "rule")
    for key, group in rows.group_by(keys, maintain_order=True):
        domain, y, level, interval, rule = key
        found = ours(name, str(domain), str(y), float(level), str(interval), str(rule), group["p"].to_list())
        for column, value in (
            ("quantile", found.estimate),
            ("low", found.low),
            ("high", found.high),
            ("se", found.se),
        ):
            theirs = group[column].cast(pl.Float64).fill_null(np.nan).to_numpy()
            by_rounding = (found.status[0] == "no_variance") & np.isnan(theirs)
            same = np.isclose(value[0], theirs, rtol=1e-9, atol=1e-12, equal_nan=True)
            for at in np.flatnonzero(~same & ~by_rounding):
                wrong.append((*key, group["p"][int(at)], column, value[0, at], theirs[at]))
    assert wrong == []
