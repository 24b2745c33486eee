"""svychisq, svyglm and svyttest against R on the California schools examples (../shared/reference/tests.csv).

The calls: ``svychisq(~sch.wide + stype, D, statistic = …)``, ``svyglm(awards01 ~ …, D, family = quasibinomial())`` with
a tight ``glm.control``, ``svyttest(api00 ~ sch.wide, D)``. Skipped where the folder is absent.
"""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.stats.calibration import post_stratify
from pipelines.stats.design import SurveyDesign
from pipelines.stats.hypothesis_tests import association_test, difference_test
from pipelines.stats.models import fit_model
from pipelines.stats.replication import ReplicateWeights

REFERENCE = Path(__file__).resolve().parents[4] / "shared" / "reference"
pytestmark = pytest.mark.skipif(
    not (REFERENCE / "tests.csv").exists(), reason="reference results are not beside this checkout"
)
CASES = {
    "srs": ("apisrs", {"weight": None, "population": ["fpc"]}),
    "strat": ("apistrat", {"weight": "pw", "strata": "stype", "population": ["fpc"]}),
    "clus1": ("apiclus1", {"weight": "pw", "stages": ["dnum"], "population": ["fpc"]}),
    "clus2": ("apiclus2", {"weight": None, "stages": ["dnum", "snum"], "population": ["fpc1", "fpc2"]}),
    "strat_nofpc": ("apistrat", {"weight": "pw", "strata": "stype"}),
    "clus1_post": (
        "apiclus1",
        {"weight": "final", "stages": ["dnum"], "population": ["fpc"], "calibration_group": "stype"},
    ),
    "strat_jkn": ("apistrat", {"weight": "pw"}),
}
TYPES = {"E": 4421.0, "H": 755.0, "M": 1018.0}


@dataclass(frozen=True)
class Loaded:
    data: pl.DataFrame
    design: SurveyDesign
    replicates: ReplicateWeights | None


def load(name: str) -> Loaded:
    file, columns = CASES[name]
    data = pl.read_csv(REFERENCE / f"{file}.csv", null_values="NA", infer_schema_length=None)
    if name == "clus1_post":
        factor = post_stratify(data["pw"].to_numpy(), data["stype"], TYPES).factor
        data = data.with_columns(pl.Series("final", data["pw"].to_numpy() * factor))
    replicates = None
    if name == "strat_jkn":
        meta = json.loads((REFERENCE / "replicate_meta.json").read_text())[name]
        table = pl.read_csv(gzip.decompress((REFERENCE / f"repw_{name}.csv.gz").read_bytes()), infer_schema_length=None)
        weights = table.select(pl.col("^r[0-9]+$")).to_numpy()
        assert weights.shape == (data.height, meta["n_reps"])
        replicates = ReplicateWeights.from_columns(
            data["pw"].to_numpy(),
            weights,
            scale=meta["scale"],
            rscales=np.array(meta["rscales"]),
            mse=meta["mse"],
            degf=meta["degf"],
        )
    return Loaded(data, SurveyDesign.from_frame(data, **columns), replicates)


def expected(name: str, test: str) -> pl.DataFrame:
    table = pl.read_csv(REFERENCE / "tests.csv", null_values="NA", infer_schema_length=None)
    return table.filter((pl.col("design_id") == name) & pl.col("test").str.starts_with(test))


@pytest.mark.parametrize("name", CASES)
def test_association(name: str) -> None:
    case = load(name)
    rows = expected(name, "svychisq_")
    assert rows.height == 6
    for row in rows.iter_rows(named=True):
        method = row["test"].removeprefix("svychisq_")
        # The file was made without R's package CompQuadForm, where lincom falls back on the saddlepoint.
        found = association_test(
            case.data,
            case.design,
            row="sch.wide",
            column="stype",
            method=method,
            replicates=case.replicates,
            mixture="saddlepoint",
        )
        assert found.status == "ok"
        assert found.statistic == pytest.approx(row["estimate"], rel=1e-9), method
        assert found.p_value == pytest.approx(row["p"], rel=1e-9), method
        for ours, theirs in ((found.df1, row["df1"]), (found.df2, row["df2"])):
            if theirs is None:
                assert np.isnan(ours)
            else:
                assert ours == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_logistic_model(name: str) -> None:
    case = load(name)
    rows = expected(name, "svyglm_logit:awards01~stype+api99")
    fit = fit_model(
        case.data,
        case.design,
        outcome="awards01",
        terms=["stype", "api99"],
        family="binomial",
        replicates=case.replicates,
    )
    assert fit.status == "ok"
    assert list(fit.names) == rows["term"].to_list()
    assert set(rows["df1"].to_list()) == {fit.df}
    assert fit.estimate == pytest.approx(rows["estimate"].to_numpy(), rel=1e-9)
    assert fit.se == pytest.approx(rows["se"].to_numpy(), rel=1e-9)
    assert fit.p_value == pytest.approx(rows["p"].to_numpy(), rel=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_separated_model_is_called_separated(name: str) -> None:
    """No school without sch.wide has an award. R's numbers for that group are rounding noise of its last
    rounds: with the rows of apistrat in another order the same call gives an intercept of -31.27 or -32.05 and a
    standard error of 0.22 or 0.54 in place of -34.22 and 1.46. What R's numbers hold is the log odds of the other
    group (the sum of the two), and the degrees of freedom.
    """
    case = load(name)
    rows = expected(name, "svyglm_logit:awards01~sch.wide")
    fit = fit_model(
        case.data, case.design, outcome="awards01", terms=["sch.wide"], family="binomial", replicates=case.replicates
    )
    assert fit.status == "separated"
    assert fit.infinite == ("(Intercept)", "sch.wideYes")
    assert "infinite" in fit.notes[0]
    assert list(fit.names) == rows["term"].to_list()
    assert set(rows["df1"].to_list()) == {fit.df}
    assert fit.estimate.sum() == pytest.approx(rows["estimate"].sum(), rel=1e-9)
    assert fit.estimate[0] < -15
    assert rows["estimate"][0] < -15


@pytest.mark.parametrize("name", CASES)
def test_difference_of_means(name: str) -> None:
    case = load(name)
    row = expected(name, "svyttest").row(0, named=True)
    found = difference_test(case.data, case.design, outcome="api00", group="sch.wide", replicates=case.replicates)
    assert found.groups == ("No", "Yes")
    assert found.estimate == pytest.approx(row["estimate"], rel=1e-9)
    assert found.df == row["df1"]
    assert found.p_value == pytest.approx(row["p"], rel=1e-9)
