"""The quality indicators that the spine has: coefficient of variation, coverage, response.

Belongs here: gathering figures that `stats` made into rows of `mart.quality_indicator`. Does not belong here: a
formula. The full list of indicators comes with the release issue.
"""

import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.surveys import Survey
from pipelines.orchestration.inputs import WaveInput
from pipelines.stats.nonresponse import response_rates


def quality_indicators(
    read: WaveInput, rates: pl.DataFrame, *, survey: Survey, library: ContractLibrary
) -> pl.DataFrame:
    """Rows of `mart.quality_indicator` without survey and wave, all of them for the survey's total."""
    choice = survey.headline
    [headline] = rates.filter(
        pl.col("domain_type") == choice.domain_type,
        pl.col("measure") == choice.measure,
        pl.col("base") == choice.base,
        pl.col("unit_weighting") == choice.unit_weighting,
    ).to_dicts()
    sample = read.sample.join(read.frame.select("unit_id", "employment"), on="unit_id", how="left").with_columns(
        (1.0 / pl.col("inclusion_probability")).alias("design_weight")
    )
    sample = sample.with_columns((pl.col("design_weight") * pl.col("employment").fill_null(0.0)).alias("size_weight"))
    [plain] = response_rates(sample).to_dicts()
    [designed] = response_rates(sample, weight="design_weight").to_dicts()
    [sized] = response_rates(sample, weight="size_weight").to_dicts()
    known = designed["complete"] + designed["partial"] + designed["eligible_nonrespondent"]
    asked = headline["n"] + headline["n_missing"] + headline["n_dont_know"]
    values = {
        "A1": headline["cv"],
        "A2": designed["out_of_scope"] / (known + designed["out_of_scope"]),
        "A4_unweighted": 1.0 - plain["rr4"],
        "A4_design_weighted": 1.0 - designed["rr4"],
        "A4_size_weighted": 1.0 - sized["rr4"],
        "A5": (headline["n_missing"] + headline["n_dont_know"]) / asked,
        **{name.upper(): plain[name] for name in ("rr1", "rr2", "rr3", "rr4", "rr5", "rr6")},
    }
    items = library.classifications["quality_indicators"]
    return pl.DataFrame(
        [
            {
                "indicator": code,
                "domain_type": choice.domain_type,
                "domain_code": headline["domain_code"],
                "value": value,
                "label_ko": items.item(code).label_ko,
                "label_en": items.item(code).label_en,
                "reason": None,
            }
            for code, value in values.items()
        ],
        schema_overrides={"value": pl.Float64, "reason": pl.String},
    )
