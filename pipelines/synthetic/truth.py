"""The true rates, from the whole population, for every domain of a survey's contract.

Belongs here: true values that tests hold estimates against. Does not belong here: any estimate or sample.
"""

import polars as pl

from pipelines.contracts.surveys import Domain, Survey
from pipelines.synthetic.adoption import DEPLOYED
from pipelines.synthetic.population import Population

TRUTH_SCHEMA = {
    "survey": pl.String,
    "wave": pl.Int64,
    "domain_type": pl.String,
    "domain_code": pl.String,
    "measure": pl.String,
    "unit_weighting": pl.String,
    "population": pl.Int64,
    "adopters": pl.Int64,
    "rate": pl.Float64,
}


def true_rates(population: Population, survey: Survey, stages: tuple[str, ...]) -> pl.DataFrame:
    """True rates of one wave (columns of `TRUTH_SCHEMA`), among units in scope.

    ``population`` and ``adopters`` count units, or their register employment; domains without a unit in scope
    are left out. Don't-knows do not exist here: the rates are what base ``answered`` estimates.

    Args:
        stages: codes of the ladder, from none up.
    """
    units = population.units.filter("in_scope").with_columns(_measures(population, stages))
    fields = _field_rows(units, population) if population.fields else units.clear()
    rows: list[pl.DataFrame] = []
    for domain in survey.domains:
        source = fields if domain.rows == "field" else units
        measures = [
            name
            for name in domain.measures or survey.measures(population.wave)
            if name in survey.measures(population.wave) and name in source.columns
        ]
        if measures:
            rows.extend(_domain_rates(source, domain, measures, survey))
    frame = pl.concat(rows).with_columns(
        pl.lit(population.survey).alias("survey"), pl.lit(population.wave).alias("wave")
    )
    return frame.select(pl.col(name).cast(kind) for name, kind in TRUTH_SCHEMA.items()).sort(
        "domain_type", "domain_code", "measure", "unit_weighting"
    )


def _measures(population: Population, stages: tuple[str, ...]) -> list[pl.Expr]:
    if not population.list_asked:
        return []
    return [
        *[(pl.col(f"tech_{code}") >= DEPLOYED) for code in population.technologies],
        (pl.col("tech_genai") >= DEPLOYED).alias("genai_adoption"),
        *[(pl.col("stage") == step).alias(f"stage_{code}") for step, code in enumerate(stages)],
    ]


def _field_rows(units: pl.DataFrame, population: Population) -> pl.DataFrame:
    """One row a unit and field it serves, columns ``field`` and ``field_adoption`` added."""
    names = [f"field_{code}" for code in population.fields]
    return (
        units.drop(name for name in units.columns if name.startswith(("tech_", "stage_")))
        .unpivot(names, index=["unit_id", "employment"], variable_name="field", value_name="field_adoption")
        .with_columns(pl.col("field").str.strip_prefix("field_"))
        .drop_nulls("field_adoption")
    )


def _domain_rates(source: pl.DataFrame, domain: Domain, measures: list[str], survey: Survey) -> list[pl.DataFrame]:
    needed = [*domain.columns, *([domain.requires] if domain.requires else [])]
    inside = source.drop_nulls(needed) if needed else source
    code = pl.concat_str(domain.columns, separator="*") if domain.columns else pl.lit(domain.code)
    inside = inside.with_columns(code.alias("domain_code"))
    rows = []
    for weighting in survey.unit_weightings:
        weight = pl.col("employment") if weighting == "employment" else pl.lit(1, dtype=pl.Int64)
        totals = inside.group_by("domain_code").agg(
            weight.sum().alias("population") if weighting == "employment" else pl.len().alias("population"),
            *[(pl.col(name).cast(pl.Int64) * weight).sum().alias(name) for name in measures],
        )
        rows.append(
            totals.unpivot(
                measures, index=["domain_code", "population"], variable_name="measure", value_name="adopters"
            ).select(
                pl.lit(domain.type).alias("domain_type"),
                "domain_code",
                "measure",
                pl.lit(weighting).alias("unit_weighting"),
                pl.col("population").cast(pl.Int64),
                pl.col("adopters").cast(pl.Int64),
                (pl.col("adopters") / pl.col("population")).alias("rate"),
            )
        )
    return rows
