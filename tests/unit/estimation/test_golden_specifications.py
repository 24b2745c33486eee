"""The 120 random designs of tests/golden/random_designs.R (R's survey 4.1-1) as specifications.

The script holds the calls; domains go through `by` and `where`, replicate weights through a file of their own.
"""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from pipelines.estimation.run import run_specification
from pipelines.estimation.spec import load_specification

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
DESIGNS = pl.read_csv(GOLDEN / "random_designs.csv", infer_schema_length=None)
DATA = pl.read_csv(GOLDEN / "random_data.csv", infer_schema=False)
RESULTS = pl.read_csv(GOLDEN / "random_results.csv", infer_schema_length=None)
REPLICATES = pl.read_csv(GOLDEN / "random_replicates.csv", infer_schema=False)


def calibration(row: dict[str, object]) -> dict[str, object]:
    """The calibration of a line of random_designs.csv, whose totals read ``g=u:12;g=v:30`` or ``1:42;x:7``."""
    if row["calibration"] == "none" or row["replicates"] is not None:
        return {}
    totals = {key: float(value) for key, _, value in (part.rpartition(":") for part in str(row["totals"]).split(";"))}
    plan: dict[str, object] = {"method": row["calibration"]}
    if row["calibration"] in ("poststratify", "rake"):
        margins: dict[str, dict[str, float]] = {}
        for key, value in totals.items():
            margin, _, level = key.partition("=")
            margins.setdefault(margin, {})[level] = value
        plan["margins"] = margins
    else:
        plan |= {"terms": list(totals), "totals": list(totals.values())}
    if row["calibration"] == "logit":
        plan["bounds"] = [0.2, 4.0]
    return {"calibration": plan}


def specification(number: int, folder: Path) -> Path:
    row = DESIGNS.row(number - 1, named=True)
    data = DATA.filter(pl.col("design") == str(number)).drop("design")
    data.write_csv(folder / "data.csv")
    design: dict[str, object] = {
        "stages": [f"p{stage + 1}" for stage in range(row["stages"])],
        "population": [f"N{stage + 1}" for stage in range(int(row["populations"]))],
        "lonely_psu": row["lonely_psu"],
        "lonely_psu_in_domain": row["lonely_psu_in_domain"],
    }
    if row["strata"]:
        design["strata"] = "h"
    if row["weighted"]:
        design["weight"] = "w"
    replicates = {}
    if row["replicates"] is not None:
        table = REPLICATES.filter(pl.col("design") == str(number))
        values = np.array([[float(value) for value in text.split(";")] for text in table["replicates"]])
        combined = row["calibration"] != "none"
        sheet = pl.DataFrame(values, schema=[f"rep{index}" for index in range(values.shape[1])])
        sheet.insert_column(0, pl.Series("unit", np.arange(1, len(values) + 1)))
        # The weight of a calibrated design stands with its replicates only.
        sheet.with_columns(calibrated=table["weight"].cast(pl.Float64)).reverse().write_csv(folder / "sets.csv")
        data.with_columns(unit=pl.Series(np.arange(1, len(values) + 1))).write_csv(folder / "data.csv")
        design = {"weight": "calibrated" if combined else "w"}
        rscales = str(row["rscales"]).split(";")
        replicates = {
            "replicates": {
                "file": "sets.csv",
                "key": "unit",
                "columns": "rep*",
                "combined": combined,
                "scale": row["scale"],
                "rscales": [float(value) for value in rscales] if len(rscales) > 1 else float(rscales[0]),
                "mse": row["mse"],
            }
        }
    estimates: list[dict[str, object]] = []
    for measure in ("y", "z"):
        for statistic in ("mean", "total", "ratio"):
            common = {"statistic": statistic, "measure": measure}
            if statistic == "ratio":
                common["denominator"] = "x"
            estimates.append({"id": f"{statistic} {measure} all", **common})
            estimates.append({"id": f"{statistic} {measure} d", **common, "by": ["d"]})
            estimates.append({"id": f"{statistic} {measure} wave", **common, "by": "wave"})
        for first, second in (({"d": "B"}, {"d": "A"}), ({"wave": 2}, {"wave": 1})):
            sides = "-".join(f"{key}={value}" for side in (second, first) for key, value in side.items())
            estimates.append(
                {
                    "id": f"difference {measure} {sides}",
                    "statistic": "difference",
                    "measure": measure,
                    "between": [first, second],
                }
            )
    path = folder / "spec.yaml"
    whole = {"data": "data.csv", "design": design, **calibration(row), **replicates, "estimates": estimates}
    path.write_text(yaml.safe_dump(whole), encoding="utf-8")
    return path


def place(row: dict[str, object]) -> tuple[str, str, str]:
    """Statistic, measure and domain of a line of random_results.csv in our words."""
    domain = str(row["domain"])
    if row["statistic"] == "difference":
        names = [f"wave={side[4:]}" if side.startswith("wave") else f"d={side}" for side in domain.split("-")]
        return "difference", str(row["measure"]), " - ".join(names)
    ours = "all" if domain == "all" else f"wave={domain[4:]}" if domain.startswith("wave") else f"d={domain}"
    return str(row["statistic"]), str(row["measure"]), ours


@pytest.mark.parametrize("number", DESIGNS["design"].to_list())
def test_random_designs(number: int, tmp_path: Path) -> None:
    table = run_specification(load_specification(specification(number, tmp_path))).table
    found = {(row["statistic"], row["measure"], row["domain"]): row for row in table.to_dicts()}
    options = DESIGNS.row(number - 1, named=True)
    rows = RESULTS.filter(pl.col("design") == number).to_dicts()
    assert len(rows) >= 6
    wrong = []
    for row in rows:
        ours = found[place(row)]
        scale = max(abs(float(row["estimate"])), 1.0)
        se = float("nan") if row["se"] is None else float(row["se"])
        for name, theirs_name in (
            ("n", "n"),
            ("sum_weights", "sum_w"),
            ("estimate", "estimate"),
            ("df", "df"),
            ("se", "se"),
            ("deff", "deff"),
            ("deff_replace", "deff_replace"),
        ):
            theirs = float("nan") if row[theirs_name] is None else float(row[theirs_name])
            # 'average' inside a parent with one unit of several at a later stage: R has no number, we do.
            later = options["lonely_psu"] == "average" and options["populations"] > 1
            if name == "se" and np.isnan(theirs) and later:
                continue
            if name.startswith("deff") and (np.isnan(theirs) or not se > 1e-10 * scale or abs(theirs) > 1e12):
                continue
            if name.startswith("deff") and theirs < 0:
                assert ours[name] is None  # weights that add up to less than the rows
                continue
            value = float("nan") if ours[name] is None else float(ours[name])
            if (
                not (np.isnan(value) and np.isnan(theirs))
                and not abs(value - theirs) <= 1e-9 * abs(theirs) + 1e-12 * scale
            ):
                wrong.append((*place(row), name, value, theirs))
    assert wrong == []
