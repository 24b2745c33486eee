"""The published scenarios as a small table: a row a part, a column or two a scenario. Reads only.

Belongs here: picking and laying out rows of mart.scenario. Does not belong here: their numbers (stats.scenario).
"""

from pathlib import Path

import polars as pl

from pipelines.errors import AxstatError
from pipelines.warehouse.published import query_published

_ROWS = """
select s.*, coalesce(d.label_en, s.domain_code) as part, coalesce(d.sort_order, 1000) as place
from mart.scenario as s
left join mart.domain as d
    on s.survey = d.survey and s.domain_type = d.domain_type and s.domain_code = d.domain_code
order by s.domain_code = 'all', place, s.domain_code
"""
# In the order of the columns
SCENARIOS = ("needed", "own_projection", "observed_pace", "best_pace")


def scenario_table(database: Path, *, survey: str, unit_weighting: str, wave: int | None = None) -> pl.DataFrame:
    """Percentages and points, rounded to one decimal, logit steps to three.

    Args:
        database: the published file.
        wave: None: its last.

    Returns:
        part, share_pct, now_pct, needed_pp_per_year, needed_logit_per_year, and the rate in the target year under each
        scenario, ``<scenario>_pct``; a scenario that the wave does not have has no column. The last row is the whole.

    Raises:
        AxstatError: no scenario of that survey, wave and weighting.
    """
    every = query_published(database, _ROWS)
    of_wave = pl.col("wave") == (pl.col("wave").max() if wave is None else wave)
    rows = every.filter(of_wave).filter(survey=survey, unit_weighting=unit_weighting)
    if rows.is_empty():
        raise AxstatError(
            "no_scenario",
            where=f"mart.scenario in {database.name}",
            expected="rows of this survey, wave and weighting",
            got=f"none for {survey}, {wave or 'the last wave'}, {unit_weighting}",
            hint="a wave has scenarios before the target's year; `axstat status` lists surveys and waves",
        )
    present = [name for name in SCENARIOS if name in rows["scenario"]]
    parts = rows.unique("domain_code", maintain_order=True)
    table = parts.select("domain_code", "part", _pct("share").alias("share_pct"), _pct("estimate").alias("now_pct"))
    for name in present:
        of_scenario = rows.filter(pl.col("scenario") == name)
        columns = [_pct("in_target_year").alias(f"{name}_pct")]
        if name == "needed":
            paces = (("pp_per_year", 1), ("logit_per_year", 3))
            columns = [pl.col(pace).round(digits).alias(f"needed_{pace}") for pace, digits in paces] + columns
        table = table.join(
            of_scenario.select("domain_code", *columns), on="domain_code", how="left", maintain_order="left"
        )
    return table.drop("domain_code")


def _pct(name: str) -> pl.Expr:
    return (100 * pl.col(name)).round(1)
