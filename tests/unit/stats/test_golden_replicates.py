"""The chain of weighting made again in JKn, BRR and Fay replicates, against R: see tests/golden/replicates.R."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.stats.design import SurveyDesign
from pipelines.stats.replicate_weighting import rerun_weights
from pipelines.stats.replication import ReplicateWeights, balanced, jackknife, replicate_ratios, replicate_totals

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
DATA = pl.read_csv(GOLDEN / "replicates_data.csv").sort("unit_id")
RESULTS = pl.read_csv(GOLDEN / "replicates_results.csv")
WHOLE = np.zeros(DATA.height, dtype=np.int64)


def design(*, populations: bool) -> SurveyDesign:
    return SurveyDesign.from_frame(
        DATA, weight="base", strata="stratum", stages=["psu"], population=["N"] if populations else ()
    )


def made_here(kind: str) -> ReplicateWeights:
    if kind == "JKn":
        return jackknife(design(populations=True))
    return balanced(design(populations=False), fay=0.3 if kind == "Fay" else 0.0)


def units() -> pl.DataFrame:
    return DATA.select(
        "unit_id",
        "status",
        pl.col("stratum").alias("variance_stratum"),
        (pl.col("N") * 4).alias("stratum_population"),
        pl.col("class").alias("nonresponse_class"),
        pl.when(pl.col("weight").is_not_null()).then(pl.col("cell")).alias("post_stratum"),
        pl.col("base").alias("base_weight"),
        pl.lit(1.0).alias("inverse_propensity"),
        pl.col("before").alias("before_calibration"),
        "weight",
    )


def expected(kind: str, statistic: str) -> dict[str, float]:
    return RESULTS.filter((pl.col("type") == kind) & (pl.col("statistic") == statistic)).row(0, named=True)


@pytest.mark.parametrize("kind", ["JKn", "BRR", "Fay"])
def test_the_variance_of_a_total_equals_r(kind: str) -> None:
    """Whatever the Hadamard matrix, a total has one balanced variance."""
    size = DATA["size"].cast(pl.Float64).to_numpy()[:, None]
    made = replicate_totals(made_here(kind), size, domain=WHOLE, n_domains=1)
    assert made.estimate[0, 0] == pytest.approx(expected(kind, "total_size")["estimate"], rel=1e-12)
    assert made.se[0, 0] == pytest.approx(expected(kind, "total_size")["se"], rel=1e-9)


@pytest.mark.parametrize("kind", ["JKn", "BRR", "Fay"])
def test_rates_after_the_whole_chain_in_each_replicate_equal_r(kind: str) -> None:
    """R's own factors go in, since ratios depend on the Hadamard matrix; the jackknife's are also made here."""
    row = expected(kind, "mean")
    table = pl.read_csv(GOLDEN / "replicates_factors.csv").filter(pl.col("type") == kind).sort("unit_id")
    factor = np.array([text.split(";") for text in table["factors"].to_list()], dtype=np.float64)
    kept = DATA.filter(pl.col("weight").is_not_null())
    weight, respondent = kept["weight"].to_numpy(), (kept["status"] == "respondent").to_numpy()
    sources = {"R": (factor, np.array([float(text) for text in row["rscales"].split(";")]), row["scale"])}
    if kind == "JKn":
        ours = made_here(kind)
        sources["here"] = (ours.factor[ours.unit], ours.rscales, ours.scale)
    y, size = (kept[name].cast(pl.Float64).to_numpy() for name in ("y", "size"))
    for factors, rscales, scale in sources.values():
        made = ReplicateWeights.from_columns(weight, rerun_weights(units(), factors), scale=scale, rscales=rscales)
        for statistic, inside, top, bottom in (
            ("mean", respondent, y, np.ones_like(y)),
            ("mean_d1", respondent & (kept["domain"] == "d1").to_numpy(), y, np.ones_like(y)),
            ("mean_d2", respondent & (kept["domain"] == "d2").to_numpy(), y, np.ones_like(y)),
            ("by_size", respondent, y * size, size),
        ):
            found = replicate_ratios(
                made, top[:, None], bottom[:, None], domain=np.where(inside, 0, -1).astype(np.int64), n_domains=1
            )
            assert found.estimate[0, 0] == pytest.approx(expected(kind, statistic)["estimate"], rel=1e-9), statistic
            assert found.se[0, 0] == pytest.approx(expected(kind, statistic)["se"], rel=1e-9), statistic
