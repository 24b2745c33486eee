"""The quality indicators that need microdata: coverage, response, imputation, edits.

Belongs here: gathering figures that `stats` made into rows of `mart.quality_indicator` in the run of a wave. Does not
belong here: a formula, or an indicator that published tables or earlier releases give (release).
"""

import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.surveys import Survey
from pipelines.orchestration.inputs import WaveInput
from pipelines.orchestration.plans import domains
from pipelines.release.indicators import FOUND, INDICATORS, indicator_rows
from pipelines.stats.nonresponse import response_rates
from pipelines.warehouse.catalogue import SqlCatalogue

RATES = ("rr1", "rr2", "rr3", "rr4", "rr5", "rr6")


def quality_indicators(
    read: WaveInput,
    edits: pl.DataFrame,
    *,
    survey: Survey,
    wave: int,
    library: ContractLibrary,
    statements: SqlCatalogue,
) -> pl.DataFrame:
    """Rows of `mart.quality_indicator`: of the survey as a whole, response rates of each domain of one column too.

    Args:
        edits: one row a cell that was edited, column `why`.
    """
    choice = survey.headline
    [whole] = [domain.code for domain in survey.domains if domain.type == choice.domain_type]
    sample = read.sample.join(
        read.frame.drop("take_all"), on="unit_id", how="left", maintain_order="left"
    ).with_columns((1.0 / pl.col("inclusion_probability")).alias("design_weight"))
    sample = sample.with_columns((pl.col("design_weight") * pl.col("employment").fill_null(0.0)).alias("size_weight"))
    [plain] = response_rates(sample).to_dicts()
    [designed] = response_rates(sample, weight="design_weight").to_dicts()
    [sized] = response_rates(sample, weight="size_weight").to_dicts()
    of_total = {
        # e is the share of eligible units among those known, also assumed of the others
        "A2": _rest(designed["e"]),
        "A3": sample.filter(status="respondent")["on_frame"].mean(),
        "A4_unweighted": _rest(plain["rr4"]),
        "A4_design_weighted": _rest(designed["rr4"]),
        "A4_size_weighted": _rest(sized["rr4"]),
        **_imputation_rates(read, choice.measure),
        **{name.upper(): plain[name] for name in RATES},
        "EDIT": float(edits.height),
        **{
            f"EDIT_{reason}": float(edits.filter(pl.col("why") == reason).height)
            for reason in library.classifications["edit_reasons"].codes
        },
    }
    found = [(code, choice.domain_type, whole, value) for code, value in of_total.items()]
    for domain in domains(survey):
        if domain.type == choice.domain_type or domain.by_field or len(domain.columns) > 1:
            continue
        inside = sample.with_columns(domain.code()).filter(pl.col("domain_code").is_not_null())
        for row in response_rates(inside, by=["domain_code"]).iter_rows(named=True):
            found += [(name.upper(), domain.type, row["domain_code"], row[name]) for name in RATES]
    items = library.classifications[INDICATORS]
    rows = pl.DataFrame(
        [
            (
                survey.survey,
                wave,
                code,
                domain_type,
                domain_code,
                value,
                items.item(code).properties["no_value"] if value is None else None,
            )
            for code, domain_type, domain_code, value in found
        ],
        schema=FOUND,
        orient="row",
    )
    return indicator_rows(rows, library=library, statements=statements)


def _rest(share: float | None) -> float | None:
    return None if share is None else 1.0 - share


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
