"""The quality indicators there are: coefficient of variation, coverage, response, imputation, edits.

Belongs here: gathering figures that `stats` made into rows of `mart.quality_indicator`. Does not belong here: a
formula. The full list of indicators comes with the release issue.
"""

import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.surveys import Survey
from pipelines.orchestration.inputs import WaveInput
from pipelines.orchestration.plans import domains
from pipelines.stats.nonresponse import response_rates

RATES = ("rr1", "rr2", "rr3", "rr4", "rr5", "rr6")


def quality_indicators(
    read: WaveInput, rates: pl.DataFrame, edits: pl.DataFrame, *, survey: Survey, library: ContractLibrary
) -> pl.DataFrame:
    """Rows of `mart.quality_indicator` without survey and wave: of the total, response rates of each domain too.

    Args:
        edits: one row a cell that was edited, column `why`.
    """
    choice = survey.headline
    [headline] = rates.filter(
        pl.col("domain_type") == choice.domain_type,
        pl.col("measure") == choice.measure,
        pl.col("base") == choice.base,
        pl.col("unit_weighting") == choice.unit_weighting,
    ).to_dicts()
    sample = read.sample.join(
        read.frame.drop("take_all"), on="unit_id", how="left", maintain_order="left"
    ).with_columns((1.0 / pl.col("inclusion_probability")).alias("design_weight"))
    sample = sample.with_columns((pl.col("design_weight") * pl.col("employment").fill_null(0.0)).alias("size_weight"))
    [plain] = response_rates(sample).to_dicts()
    [designed] = response_rates(sample, weight="design_weight").to_dicts()
    [sized] = response_rates(sample, weight="size_weight").to_dicts()
    known = designed["complete"] + designed["partial"] + designed["eligible_nonrespondent"]
    asked = headline["n"] + headline["n_missing"] + headline["n_dont_know"]
    of_total = {
        "A1": headline["cv"],
        "A2": designed["out_of_scope"] / (known + designed["out_of_scope"]),
        "A4_unweighted": 1.0 - plain["rr4"],
        "A4_design_weighted": 1.0 - designed["rr4"],
        "A4_size_weighted": 1.0 - sized["rr4"],
        "A5": (headline["n_missing"] + headline["n_dont_know"]) / asked,
        **_imputation_rates(read, choice.measure),
        **{name.upper(): plain[name] for name in RATES},
        "EDIT": float(edits.height),
        **{
            f"EDIT_{reason}": float(edits.filter(pl.col("why") == reason).height)
            for reason in library.classifications["edit_reasons"].codes
        },
    }
    found = [(code, choice.domain_type, headline["domain_code"], value) for code, value in of_total.items()]
    for domain in domains(survey):
        if domain.type == choice.domain_type or domain.by_field or len(domain.columns) > 1:
            continue
        inside = sample.with_columns(domain.code()).filter(pl.col("domain_code").is_not_null())
        for row in response_rates(inside, by=["domain_code"]).iter_rows(named=True):
            found += [(name.upper(), domain.type, row["domain_code"], row[name]) for name in RATES]
    items = library.classifications["quality_indicators"]
    return pl.DataFrame(
        [
            {
                "indicator": code,
                "domain_type": domain_type,
                "domain_code": domain_code,
                "value": value,
                "label_ko": items.item(code).label_ko,
                "label_en": items.item(code).label_en,
                "reason": None if value is not None else "no selected unit of known or unknown eligibility",
            }
            for code, domain_type, domain_code, value in found
        ],
        schema_overrides={"value": pl.Float64, "reason": pl.String},
    )


def _imputation_rates(read: WaveInput, measure: str) -> dict[str, float | None]:
    """Of the values in use of a measure, the share in which an imputed answer is (A7), by number and by weight."""
    in_use = read.answers.filter(
        pl.col("measure") == measure, pl.col("field") == "", pl.col("answer_status") == "answered"
    ).join(read.units.select("unit_id", "weight"), on="unit_id", how="inner", maintain_order="right")
    found = in_use.select(
        pl.col("imputed").mean().alias("A7_unweighted"),
        (pl.col("weight").filter("imputed").sum() / pl.col("weight").sum()).alias("A7_weighted"),
    )
    return found.row(0, named=True) if in_use.height else dict.fromkeys(found.columns)
