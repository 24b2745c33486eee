"""Intervals, design effects, levels and quantiles of a specification against tests/golden/specification.R.

The calls there are ``svyciprop(~y, subset(D, g == "u" & !is.na(y)), method=)``, ``svyratio(deff=TRUE)``,
``svyquantile(qrule="hf7", interval.type="xlogit")`` and ``svymean(~t, deff=TRUE)``, R's survey 4.1-1.
"""

from pathlib import Path

import polars as pl
import pytest
import yaml

from pipelines.estimation.run import run_specification
from pipelines.estimation.spec import load_specification

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
CALIBRATION = {"method": "raking", "terms": ["1", "g=v", "x"], "totals": [300, 140, 930]}
COMMON = {"where": {"g": "u"}}


@pytest.mark.parametrize("design", ["plain", "calibrated"])
def test_a_domain_with_zero_weights_and_missing_values(design: str, tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    weight = "w" if design == "plain" else "v"
    whole = {
        "data": str(GOLDEN / "specification_data.csv"),
        "design": {"strata": "h", "stages": ["p", "k"], "population": ["N", "N2"], "weight": weight},
        **({} if design == "plain" else {"calibration": CALIBRATION}),
        "confidence": {"methods": ["xlogit", "beta", "asin", "mean"]},
        "estimates": [
            {"id": "y", "statistic": "proportion", "measure": "y", **COMMON},
            {"id": "t", "statistic": "proportion", "measure": "t", **COMMON},
            {"id": "ratio", "statistic": "ratio", "measure": "z", "denominator": "x", **COMMON},
            {
                "id": "q",
                "statistic": "quantile",
                "measure": "z",
                "probabilities": [0.25, 0.5],
                "rule": "hf7",
                "interval": "xlogit",
                **COMMON,
            },
        ],
    }
    path.write_text(yaml.safe_dump(whole), encoding="utf-8")
    rows = run_specification(load_specification(path)).table.to_dicts()
    found = {row["id"]: row for row in rows if row["id"] in ("y", "ratio")}
    found |= {row["level"]: row for row in rows if row["id"] == "t"}
    found |= {f"q{100 * row['probability']:.0f}": row for row in rows if row["id"] == "q"}
    expected = pl.read_csv(GOLDEN / "specification_results.csv").filter(pl.col("design") == design)
    assert expected.height == 29
    wrong = [
        (row, found[row["statistic"]][row["name"]])
        for row in expected.to_dicts()
        if found[row["statistic"]][row["name"]] != pytest.approx(row["value"], rel=1e-9)
    ]
    assert wrong == []
