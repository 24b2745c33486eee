"""Public fields (rows institution x field, PSU = institution) against R: see tests/golden/field_adoption.R."""

from pathlib import Path

import polars as pl
import pytest

from pipelines.stats.calibration import post_stratify
from pipelines.stats.rates import adoption_rates
from pipelines.stats.survey_wave import Domain

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
TOTALS = {"P1": 52.0, "P2": 38.0, "P3": 6.0}
STATUS = {1: "answered", 2: "answered", 8: "dont_know"}


def institutions() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """units, answers, frame and frame_fields as the warehouse would hand them over."""
    data = pl.read_csv(GOLDEN / "field_data.csv", schema_overrides={"unit_id": pl.String})
    base = data["base"].cast(pl.Float64).to_numpy()
    units = data.select(
        "unit_id",
        pl.when(pl.col("out") == 1).then(pl.lit("out_of_scope")).otherwise(pl.lit("respondent")).alias("status"),
        pl.col("stratum").alias("variance_stratum"),
        pl.len().over("stratum").alias("stratum_n"),
        pl.col("N").alias("stratum_population"),
        pl.Series("weight", base * post_stratify(base, data["sector"], TOTALS).factor),
        pl.col("sector").alias("post_stratum"),
        "employment",
    )
    long = data.unpivot(["F1", "F2", "F3"], index="unit_id", variable_name="field", value_name="answer").drop_nulls()
    answers = long.select(
        "unit_id",
        "field",
        pl.lit("field_adoption").alias("measure"),
        pl.when(pl.col("answer") == 1).then(1.0).when(pl.col("answer") == 2).then(0.0).alias("value"),
        pl.col("answer").replace_strict(STATUS, return_dtype=pl.String).alias("answer_status"),
    )
    frame = data.select("unit_id", (pl.col("stratum") == "s3").alias("take_all"), "employment")
    return units, answers, frame, long.select("unit_id", "field")


def test_field_rates_and_adopters_equal_r() -> None:
    units, answers, frame, fields = institutions()
    rates = adoption_rates(
        units,
        answers,
        frame=frame,
        frame_fields=fields,
        domains=[Domain("public_field", ("field",))],
        measures=["ai_adoption"],
        field_measures=["field_adoption"],
        bases=["answered"],
    )
    expected = pl.read_csv(GOLDEN / "field_results.csv")
    assert rates.height == expected.height == 6
    for row in expected.iter_rows(named=True):
        ours = rates.filter(
            (pl.col("domain_code") == row["field"]) & (pl.col("unit_weighting") == row["unit_weighting"])
        ).row(0, named=True)
        for column in ("estimate", "se", "population", "adopters", "adopters_se", "df"):
            assert ours[column] == pytest.approx(row[column], rel=1e-9), (row["field"], column)
        assert ours["variance_method"] == "taylor_residual"
