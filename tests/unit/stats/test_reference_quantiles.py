"""Quantiles against R's svyquantile on the California schools examples (../shared/reference, survey 4.1-1).

The calls are in designs.json there; R: ``svyquantile(~api00, subset(D, stype=="H"), p, qrule=, interval.type=)``.
Skipped where the folder is absent.
"""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.stats.calibration import calibrate, post_stratify
from pipelines.stats.design import SurveyDesign
from pipelines.stats.quantile_rules import quantile_rule
from pipelines.stats.quantiles import domain_quantiles, quantile_interval
from pipelines.stats.terms import terms_matrix

REFERENCE = Path(__file__).resolve().parents[4] / "shared" / "reference"
pytestmark = pytest.mark.skipif(
    not (REFERENCE / "quantiles.csv").exists(), reason="reference results are not beside this checkout"
)
TYPES = {"E": 4421.0, "H": 755.0, "M": 1018.0}
DESIGNS = ("srs", "strat", "strat_nofpc", "clus1", "clus2", "clus1_cal_linear", "clus1_post")


def load(name: str) -> tuple[pl.DataFrame, SurveyDesign]:
    kind = name.split("_")[0]
    data = pl.read_csv(REFERENCE / f"api{kind}.csv", null_values="NA", infer_schema_length=None)
    if kind == "srs":
        return data, SurveyDesign.from_frame(data, weight=None, population=["fpc"])
    if kind == "strat":
        population = [] if name.endswith("nofpc") else ["fpc"]
        return data, SurveyDesign.from_frame(data, weight="pw", strata="stype", population=population)
    if kind == "clus2":
        return data, SurveyDesign.from_frame(data, weight=None, stages=["dnum", "snum"], population=["fpc1", "fpc2"])
    weight = data["pw"].to_numpy()
    if name == "clus1":
        return data, SurveyDesign.from_frame(data, weight="pw", stages=["dnum"], population=["fpc"])
    if name == "clus1_post":
        made = post_stratify(weight, data["stype"], TYPES)
    else:
        matrix = terms_matrix(data, ["1", "stype=H", "stype=M", "api99"])
        totals = {"1": 6194.0, "stype=H": TYPES["H"], "stype=M": TYPES["M"], "api99": 3914069.0}
        made = calibrate(weight, matrix, totals)
    data = data.with_columns(final=pl.Series(made.weight))
    return data, SurveyDesign.from_frame(
        data, weight="final", stages=["dnum"], population=["fpc"], calibration=made.residualizer
    )


@pytest.mark.parametrize("name", DESIGNS)
def test_every_rule_and_interval(name: str) -> None:
    """Step rules give values of the data, so agreement is exact or off by a whole value; all within 1e-9.

    Score limits too: R's root search and scipy's are one algorithm, started alike.
    """
    data, design = load(name)
    rows = pl.read_csv(REFERENCE / "quantiles.csv", null_values="NA", infer_schema_length=None).filter(
        pl.col("design_id") == name
    )
    assert rows.height >= 220
    wrong = []
    for (y, where, rule, interval), group in rows.group_by("y", "domain", "qrule", "interval_type"):
        inside = np.ones(data.height, dtype=bool) if where == "all" else (data["stype"] == "H").to_numpy()
        found = domain_quantiles(
            design,
            data[str(y)].cast(pl.Float64).to_numpy(),
            group["p"].to_list(),
            domain=np.where(inside, 0, -1),
            n_domains=1,
            rule=quantile_rule(str(rule)),
            interval=quantile_interval(str(interval), replicates=False),
        )
        for column, ours in (
            ("quantile", found.estimate),
            ("ci_lo", found.low),
            ("ci_hi", found.high),
            ("se", found.se),
        ):
            theirs = group[column].to_numpy()
            for at in np.flatnonzero(~np.isclose(ours[0], theirs, rtol=1e-9, atol=0, equal_nan=True)):
                wrong.append((y, where, rule, interval, group["p"][int(at)], column, ours[0, at], theirs[at]))
    assert wrong == []
