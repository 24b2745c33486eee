"""The engine against R on 120 made-up designs: tests/golden/random_designs.R holds the calls.

Strata or none, one to three stages, populations as counts or fractions or none, weights or none, the rules for lonely
units with and without R's option for domains, calibrated weights, replicates, missing values, weights of 0, two waves.
"""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.stats.calibration import Calibration, calibrate, post_stratify, rake
from pipelines.stats.design import SurveyDesign
from pipelines.stats.linearization import (
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

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
DESIGNS = pl.read_csv(GOLDEN / "random_designs.csv", infer_schema_length=None)
DATA = pl.read_csv(GOLDEN / "random_data.csv", infer_schema_length=None)
RESULTS = pl.read_csv(GOLDEN / "random_results.csv", infer_schema_length=None)
REPLICATES = pl.read_csv(GOLDEN / "random_replicates.csv")
LINEARIZED = {"mean": linearized_mean, "total": linearized_total}
DOMAINS = ("A", "B", "C")


def totals_of(text: str) -> dict[str, float]:
    return {key: float(value) for key, _, value in (part.rpartition(":") for part in text.split(";"))}


def calibrated(row: dict[str, object], weight: np.ndarray, data: pl.DataFrame) -> Calibration:
    method, totals = str(row["calibration"]), totals_of(str(row["totals"]))
    if method in ("poststratify", "rake"):
        margins: dict[str, dict[str, float]] = {}
        for key, value in totals.items():
            margin, _, level = key.partition("=")
            margins.setdefault(margin, {})[level] = value
        if method == "rake":
            return rake(weight, data, margins)
        return post_stratify(weight, data["g"], margins["g"])
    bounds = (0.2, 4.0) if method == "logit" else (-np.inf, np.inf)
    return calibrate(weight, terms_matrix(data, list(totals)), totals, distance=method, bounds=bounds)


def load(number: int) -> tuple[pl.DataFrame, SurveyDesign]:
    row = DESIGNS.row(number - 1, named=True)
    data = DATA.filter(pl.col("design") == number)
    columns = {
        "strata": "h" if row["strata"] else None,
        "stages": [f"p{stage + 1}" for stage in range(row["stages"])],
        "population": [f"N{stage + 1}" for stage in range(int(row["populations"]))],
        "lonely_psu": row["lonely_psu"],
        "lonely_psu_in_domain": row["lonely_psu_in_domain"],
    }
    design = SurveyDesign.from_frame(data, weight="w" if row["weighted"] else None, **columns)
    if row["calibration"] == "none":
        return data, design
    made = calibrated(row, design.weight, data)
    data = data.with_columns(pl.Series("final", made.weight))
    # R's linear calibration may give weights below 0, and R goes on with them.
    return data, SurveyDesign.from_frame(
        data, weight="final", **columns, calibration=made.residualizer, allow_negative_weights=True
    )


def inside(data: pl.DataFrame, domain: str) -> np.ndarray:
    if domain == "all":
        return np.ones(data.height, dtype=np.bool_)
    if domain.startswith("wave"):
        return (data["wave"] == int(domain[4:])).to_numpy()
    return (data["d"] == domain).to_numpy()


def column(data: pl.DataFrame, name: str) -> np.ndarray:
    return data[name].cast(pl.Float64).fill_null(np.nan).to_numpy()[:, None]


def estimated(data: pl.DataFrame, design: SurveyDesign, row: dict[str, object]) -> Linearized:
    y, domain = column(data, str(row["measure"])), str(row["domain"])
    if row["statistic"] == "ratio":
        return linearized_ratio(design, y, column(data, "x"), inside=inside(data, domain))
    if row["statistic"] in LINEARIZED:
        return LINEARIZED[str(row["statistic"])](design, y, inside=inside(data, domain))
    sides = [linearized_mean(design, y, inside=inside(data, side)) for side in domain.split("-")]
    return Linearized(
        estimate=np.concatenate([side.estimate for side in sides]),
        influence=np.hstack([side.influence for side in sides]),
        used=np.hstack([side.used for side in sides]),
        residual=None,
    ).contrast(np.array([[1.0, -1.0]]))


def differences(row: dict[str, object], found: dict[str, float]) -> list[tuple[object, ...]]:
    scale = max(abs(float(row["estimate"])), 1.0)
    wrong = []
    for name, ours in found.items():
        theirs = float("nan") if row[name] is None else float(row[name])
        if name.startswith("deff"):
            if row[name] is None or float(row["se"]) <= 1e-10 * scale or abs(theirs) > 1e12:
                continue
            if np.isnan(ours) and theirs < 0:
                continue  # R's design effect of a total where the weights add up to less than the rows
        if not (np.isnan(ours) and np.isnan(theirs)) and not abs(ours - theirs) <= 1e-9 * abs(theirs) + 1e-12 * scale:
            wrong.append((row["statistic"], row["measure"], row["domain"], name, ours, theirs))
    return wrong


def expected(number: int) -> list[dict[str, object]]:
    rows = RESULTS.filter(pl.col("design") == number).to_dicts()
    assert rows
    return rows


def beyond_r(row: dict[str, object], number: int) -> bool:
    """Whether R gives no number: 'average' inside a parent with one unit of several at a later stage."""
    options = DESIGNS.row(number - 1, named=True)
    later = options["lonely_psu"] == "average" and options["populations"] > 1
    return bool(later and np.isnan(float(row["se"])))


@pytest.mark.parametrize("number", DESIGNS.filter(pl.col("replicates").is_null())["design"].to_list())
def test_linearized_statistics_equal_r(number: int) -> None:
    data, design = load(number)
    wrong = []
    for row in expected(number):
        ours = evaluate(design, estimated(data, design, row))
        found = {
            "n": ours.n[0],
            "sum_w": ours.sum_weights[0],
            "estimate": ours.estimate[0],
            "se": ours.se[0],
            "df": ours.df[0],
            "deff": ours.deff[0],
            "deff_replace": ours.deff_replace[0],
        }
        if beyond_r(row, number):
            found = {name: value for name, value in found.items() if name in ("n", "sum_w", "estimate", "df")}
        wrong += differences(row, found)
    assert wrong == []


@pytest.mark.parametrize("number", DESIGNS.filter(pl.col("replicates").is_null())["design"].to_list())
def test_a_partition_into_domains_equals_r(number: int) -> None:
    data, design = load(number)
    code = data["d"].replace_strict({name: index for index, name in enumerate(DOMAINS)}).to_numpy().astype(np.int64)
    y, x = np.hstack([column(data, "y"), column(data, "z")]), np.repeat(column(data, "x"), 2, axis=1)
    made = {
        "mean": domain_means(design, y, domain=code, n_domains=3),
        "total": domain_totals(design, y, domain=code, n_domains=3),
        "ratio": domain_ratios(design, y, x, domain=code, n_domains=3),
    }
    wrong, seen = [], 0
    for row in expected(number):
        if row["domain"] not in DOMAINS or row["statistic"] not in made:
            continue
        at = (DOMAINS.index(str(row["domain"])), ("y", "z").index(str(row["measure"])))
        ours = made[str(row["statistic"])]
        found = {"n": ours.n, "sum_w": ours.sum_weights, "estimate": ours.estimate, "df": ours.df}
        if not beyond_r(row, number):
            found |= {"se": ours.se, "deff": ours.deff, "deff_replace": ours.deff_replace}
        wrong += differences(row, {name: float(value[at]) for name, value in found.items()})
        seen += 1
    assert seen >= 6
    assert wrong == []


def numbers(text: str) -> np.ndarray:
    return np.array([float(value) for value in text.split(";")])


def load_replicates(number: int, *, as_factors: bool) -> tuple[pl.DataFrame, ReplicateWeights, dict[str, object]]:
    row = DESIGNS.row(number - 1, named=True)
    data, table = (each.filter(pl.col("design") == number) for each in (DATA, REPLICATES))
    values = np.vstack([numbers(text) for text in table["replicates"]])
    weight = table["weight"].cast(pl.Float64).to_numpy()
    options = {
        "scale": row["scale"],
        "rscales": numbers(row["rscales"]) if ";" in row["rscales"] else float(row["rscales"]),
        "mse": row["mse"],
    }
    if row["calibration"] != "none":
        return data, ReplicateWeights.from_columns(weight, values, **options), row
    if not as_factors:
        return data, ReplicateWeights.from_columns(weight, weight[:, None] * values, **options), row
    ids = data["p1"].to_list()
    units = sorted(set(ids))
    unit = np.array([units.index(name) for name in ids])
    factor = np.zeros((len(units), values.shape[1]))
    factor[unit] = values
    assert np.array_equal(factor[unit], values)
    return data, ReplicateWeights.from_factors(weight, unit, factor, **options), row


@pytest.mark.parametrize("as_factors", [False, True])
@pytest.mark.parametrize("number", DESIGNS.filter(pl.col("replicates").is_not_null())["design"].to_list())
def test_replicate_statistics_equal_r(number: int, as_factors: bool) -> None:
    data, weights, options = load_replicates(number, as_factors=as_factors)
    assert weights.degrees_of_freedom() == options["degf"]
    wrong = []
    for row in expected(number):
        domain = np.where(inside(data, str(row["domain"])), 0, -1)
        y = column(data, str(row["measure"]))
        if row["statistic"] == "ratio":
            ours = replicate_ratios(weights, y, column(data, "x"), domain=domain, n_domains=1)
        else:
            estimator = replicate_means if row["statistic"] == "mean" else replicate_totals
            ours = estimator(weights, y, domain=domain, n_domains=1)
        found = {"n": ours.n, "sum_w": ours.sum_weights, "estimate": ours.estimate, "se": ours.se, "df": ours.df}
        found |= {"deff": ours.deff, "deff_replace": ours.deff_replace}
        wrong += differences(row, {name: float(value[0, 0]) for name, value in found.items()})
    assert wrong == []


def test_the_designs_hold_every_option() -> None:
    assert DESIGNS.height >= 60
    assert set(DESIGNS["stages"]) == {0, 1, 2, 3}
    assert set(DESIGNS["lonely_psu"]) == {"fail", "adjust", "average", "certainty", "remove"}
    assert set(DESIGNS["calibration"]) == {"none", "poststratify", "rake", "linear", "raking", "logit"}
    kinds = {"JK1", "JKn", "BRR", "Fay", "bootstrap", "subbootstrap", "mrbbootstrap"}
    assert set(DESIGNS["replicates"].drop_nulls()) == kinds
    both = DESIGNS.filter(pl.col("replicates").is_null()).group_by("lonely_psu").agg(pl.col("lonely_psu_in_domain"))
    assert all({True, False} == set(seen) for seen in both["lonely_psu_in_domain"].to_list())
    assert DATA.filter(pl.col("w") == 0)["design"].n_unique() >= 3
    assert DATA.filter(pl.col("wave") == 2)["design"].n_unique() >= 10
    assert DATA.filter(pl.col("y").is_null())["design"].n_unique() >= 40
    assert DATA.filter(pl.col("N1") < 1)["design"].n_unique() >= 5
    assert not DESIGNS["weighted"].all()
