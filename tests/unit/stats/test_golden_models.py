"""Models and tests against R: tests/golden/models.R holds the calls.

Six models, their term tests, three t-tests and two tables by five statistics, over eleven designs (clusters with
and without populations, single units, two stages, rows and a PSU of weight 0, a lonely PSU under 'average' and, within
domains too, 'adjust', post-stratified and calibrated weights, JKn and bootstrap replicates) and domains, with values
missing in outcome and terms.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipelines.stats.arrays import BoolArray
from pipelines.stats.calibration import calibrate, post_stratify
from pipelines.stats.design import SurveyDesign
from pipelines.stats.hypothesis_tests import association_test, difference_test, mean_test, term_test
from pipelines.stats.models import fit_model
from pipelines.stats.replication import ReplicateWeights
from pipelines.stats.terms import terms_matrix

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
RESULTS = pl.read_csv(GOLDEN / "models_results.csv", infer_schema_length=None)
GROUPS = RESULTS.select("design", "domain").unique(maintain_order=True).rows()
REPLICATED = ("jkn", "bootstrap")
MODELS: dict[str, dict[str, Any]] = {
    "logit": {"outcome": "ai", "terms": ["it", "logemp", "grp"], "family": "binomial"},
    "logit_cross": {"outcome": "ai", "terms": ["it", "logemp", "it:logemp"], "family": "binomial"},
    "logit_reference": {
        "outcome": "ai",
        "terms": ["size", "logemp"],
        "family": "binomial",
        "reference": {"size": "small"},
    },
    "linear": {"outcome": "z", "terms": ["size", "emp", "it"]},
    "linear_cells": {"outcome": "z", "terms": ["grp"], "intercept": False},
    "poisson_offset": {"outcome": "k", "terms": ["it", "grp"], "family": "poisson", "offset": "logemp"},
}
TERMS = {
    "logit": ["grp"],
    "logit_cross": ["it", "it:logemp"],
    "linear": ["size"],
    "poisson_offset": ["it", "grp"],
}


def load(name: str) -> tuple[pl.DataFrame, SurveyDesign, ReplicateWeights | None]:
    data = pl.read_csv(GOLDEN / "models_data.csv", null_values="").with_columns(
        pl.col("it").cast(pl.String).str.to_lowercase() == "true"
    )
    if name not in ("average", "adjust"):
        data = data.filter(pl.col("h") != "h5")
    columns: dict[str, Any] = {"weight": "w", "strata": "h", "stages": ["psu"], "population": ["N"]}
    if name in ("clusters_nofpc", "bootstrap"):
        columns |= {"population": []}
    elif name == "units":
        columns = {"weight": "w"}
    elif name == "two_stage":
        columns |= {"stages": ["psu", "ssu"], "population": ["N", "M"]}
    elif name == "zero":
        columns |= {"weight": "w0"}
    elif name == "average":
        columns |= {"lonely_psu": "average"}
    elif name == "adjust":
        columns |= {"lonely_psu": "adjust", "lonely_psu_in_domain": True}
    elif name == "post":
        weight = data["w"].to_numpy()
        factor = post_stratify(weight, data["grp"], {"p": 260.0, "q": 240.0, "r": 250.0}).factor
        data = data.with_columns(pl.Series("w", weight * factor))
        columns |= {"calibration_group": "grp"}
    elif name == "cal":
        made = calibrate(data["w"].to_numpy(), terms_matrix(data, ["1", "emp"]), {"1": 1150.0, "emp": 36000.0})
        data = data.with_columns(pl.Series("w", made.weight))
        columns |= {"calibration": made.residualizer}
    design = SurveyDesign.from_frame(data, **columns)
    return data, design, replicates_of(name, data) if name in REPLICATED else None


def replicates_of(name: str, data: pl.DataFrame) -> ReplicateWeights:
    scales = pl.read_csv(GOLDEN / "models_scales.csv").filter(pl.col("design") == name)
    psus = data["psu"].unique().sort()
    position = {label: index for index, label in enumerate(psus)}
    factor = np.ones((len(psus), scales.height))
    for _, psu, replicate, value in pl.read_csv(GOLDEN / "models_factors.csv").filter(pl.col("design") == name).rows():
        factor[position[psu], replicate - 1] = value
    return ReplicateWeights.from_factors(
        data["w"].to_numpy(),
        np.array([position[label] for label in data["psu"]], dtype=np.int64),
        factor,
        scale=float(scales["scale"][0]),
        rscales=scales["rscales"].to_numpy(),
        mse=name == "bootstrap",
    )


def member(data: pl.DataFrame, domain: str) -> BoolArray | None:
    if domain == "all":
        return None
    if domain == "few":
        few = pl.col("h").is_in(["h1", "h2", "h5"]) | (pl.col("psu") == "h4-1")
        return data.select((pl.col("d") != "C") & few)["d"].to_numpy()
    return (data["d"] == domain).to_numpy()


def same(ours: float, theirs: float | None) -> bool:
    if theirs is None:
        return bool(np.isnan(ours))
    return bool(ours == pytest.approx(theirs, rel=1e-9))


@pytest.mark.parametrize(("name", "domain"), GROUPS)
def test_models_and_their_terms(name: str, domain: str) -> None:
    data, design, replicates = load(name)
    inside = member(data, domain)
    expected = RESULTS.filter((pl.col("design") == name) & (pl.col("domain") == domain))
    wrong = []
    for case, call in MODELS.items():
        fit = fit_model(data, design, **call, domain=inside, replicates=replicates)
        rows = expected.filter(pl.col("case") == case)
        table = fit.table()
        assert table["name"].to_list() == rows["term"].to_list()
        pairs = {"estimate": "estimate", "se": "se", "statistic": "statistic", "p_value": "p", "low": "low"}
        for ours, theirs in ({"df": "df2", "high": "high"} | pairs).items():
            for term, a, b in zip(rows["term"], table[ours], rows[theirs], strict=True):
                if not same(a, b):
                    wrong.append((case, term, ours, a, b))
        if case in TERMS:
            test = term_test(fit, TERMS[case])
            row = expected.filter(pl.col("case") == f"{case}_terms").row(0, named=True)
            for a, b in ((test.statistic, "statistic"), (test.df1, "df1"), (test.df2, "df2"), (test.p_value, "p")):
                if not same(a, row[b]):
                    wrong.append((case, "terms", b, a, row[b]))
    assert wrong == []


@pytest.mark.parametrize(("name", "domain"), GROUPS)
def test_t_tests(name: str, domain: str) -> None:
    data, design, replicates = load(name)
    inside = member(data, domain)
    found = {
        "t_two": difference_test(data, design, outcome="z", group="it", domain=inside, replicates=replicates),
        "t_one": mean_test(data, design, outcome="z", domain=inside, replicates=replicates),
        "t_paired": mean_test(data, design, outcome="z", minus="z0", domain=inside, replicates=replicates),
    }
    for case, test in found.items():
        row = RESULTS.filter((pl.col("design") == name) & (pl.col("domain") == domain) & (pl.col("case") == case)).row(
            0, named=True
        )
        values = {"estimate": test.estimate, "statistic": test.statistic, "df2": test.df, "p": test.p_value}
        for column, value in (values | {"low": test.low, "high": test.high}).items():
            assert same(value, row[column]), (case, column, value, row[column])


@pytest.mark.parametrize(("name", "domain"), GROUPS)
def test_tables(name: str, domain: str) -> None:
    data, design, replicates = load(name)
    inside = member(data, domain)
    expected = RESULTS.filter(
        (pl.col("design") == name) & (pl.col("domain") == domain) & pl.col("case").str.starts_with("chisq_")
    )
    assert expected.height == 10
    for row in expected.iter_rows(named=True):
        first, second = row["term"].split(":")
        test = association_test(
            data,
            design,
            row=first,
            column=second,
            method=row["case"].removeprefix("chisq_"),
            domain=inside,
            replicates=replicates,
        )
        values = {"statistic": test.statistic, "df1": test.df1, "df2": test.df2, "p": test.p_value}
        for column, value in values.items():
            assert same(value, row[column]), (row["case"], row["term"], column, value, row[column])


def test_separated_model_stops_where_r_stops() -> None:
    """By R's default ``glm.control``: no unit of group q has AI, its log odds are infinite in truth."""
    data, design, _ = load("clusters")
    forced = data.with_columns(pl.when(pl.col("grp") == "q").then(0).otherwise(pl.col("ai")).alias("ai"))
    fit = fit_model(forced, design, outcome="ai", terms=["grp"], family="binomial")
    expected = RESULTS.filter(pl.col("case") == "separated")
    assert fit.status == "separated"
    assert fit.infinite == ("grpq",)
    assert list(fit.names) == expected["term"].to_list()
    assert fit.estimate == pytest.approx(expected["estimate"].to_numpy(), rel=1e-9)
    assert fit.se == pytest.approx(expected["se"].to_numpy(), rel=1e-9)


def test_aliased_column_is_left_without_estimate() -> None:
    data, design, _ = load("clusters")
    fit = fit_model(
        data.with_columns((2 * pl.col("emp")).alias("emp2")), design, outcome="z", terms=["emp", "emp2", "it"]
    )
    expected = RESULTS.filter(pl.col("case") == "aliased")
    assert fit.status == "aliased"
    assert np.isnan(fit.estimate[fit.names.index("emp2")])
    kept = fit.table().filter(pl.col("estimate").is_not_nan())
    assert kept["name"].to_list() == expected["term"].to_list()
    assert kept["estimate"].to_numpy() == pytest.approx(expected["estimate"].to_numpy(), rel=1e-9)
    assert kept["se"].to_numpy() == pytest.approx(expected["se"].to_numpy(), rel=1e-9)
    assert {fit.df} == set(expected["df2"].to_list())
