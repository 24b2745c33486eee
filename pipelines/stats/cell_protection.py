"""The cells of one survey wave that are withheld, and the audit of what was published in their stead.

Belongs here: the two weightings of a wave together, from contributions and rates to a confidentiality status a cell;
the attacker who knows what stands in the published tables. Does not belong here: the rules (disclosure), the
programmes (suppression), reading published tables (release.protection).

Statuses are codes of the SDMX code list CL_CONF_STATUS: F free, A few contributors, G dominance by one or two, C
confidential for another reason (0 or 1 in a take-all domain; a difference between vintages), D withheld to protect
others.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.stats.arrays import BoolArray
from pipelines.stats.cell_system import KEY, POPULATION, CellSystem, MeasureSum
from pipelines.stats.disclosure import DIFFERENCE, DOMINANCE, FEW, UNIFORM, DisclosureRules, primary_cells
from pipelines.stats.suppression import exposed, withheld_with

FREE, SECONDARY = "F", "D"
STATUS = {FEW: "A", DOMINANCE: "G", UNIFORM: "C", DIFFERENCE: "C"}

# What a wave's protection is kept as: every cell, also the free ones, with what the audit needs
PROTECTION_SCHEMA = {
    **dict.fromkeys((*KEY, "unit_weighting"), pl.String),
    "conf_status": pl.String,
    "risk": pl.String,
    "units": pl.Int64,
    "n": pl.Int64,
    "numerator": pl.Float64,
    "denominator": pl.Float64,
    "whole": pl.Float64,
    "need_down": pl.Float64,
    "need_up": pl.Float64,
}

EXPOSURE_SCHEMA = {
    **dict.fromkeys((*KEY, "unit_weighting"), pl.String),
    **dict.fromkeys(("value", "low", "high", "need_down", "need_up"), pl.Float64),
}


@dataclass(frozen=True)
class CellTies:
    """What ties the cells of a survey together: see :meth:`CellSystem.build`."""

    columns: Mapping[str, tuple[str, ...]]
    sums: tuple[MeasureSum, ...]
    within: Mapping[str, str]


def protected_cells(
    contributions: pl.DataFrame,
    rates: pl.DataFrame,
    *,
    rules: DisclosureRules | None,
    ties: CellTies,
    before: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """A status for every cell of a wave.

    A cell withheld by unit is withheld by employment too: where few contribute or all are alike, both tell it.

    Args:
        contributions: of all weightings, :func:`pipelines.stats.contributions.cell_contributions`.
        rates: domain_type, domain_code, measure, unit_weighting, reliability; a cell whose rates are all suppressed is
            printed nowhere.
        rules: None: the survey is waived, and everything free.
        before: published before, of this wave: KEY, unit_weighting, n, ``same`` (the value is that of today). Such a
            cell is known, so it cannot protect others.

    Returns:
        PROTECTION_SCHEMA, in the order of the contributions; the population of each domain after them, as a measure.

    Raises:
        AxstatError: a cell that cannot be protected.
    """
    if rules is None:
        free = contributions.with_columns(
            pl.lit(FREE).alias("conf_status"), risk=pl.lit(None, dtype=pl.String), need_down=0.0, need_up=0.0
        )
        return free.select(PROTECTION_SCHEMA.keys()).cast(PROTECTION_SCHEMA)  # type: ignore[arg-type]
    at_risk = primary_cells(contributions, rules, before=before)
    tables = []
    withheld: pl.DataFrame | None = None
    for weighting in at_risk["unit_weighting"].unique(maintain_order=True):
        made = _protected(
            at_risk.filter(unit_weighting=weighting),
            rates.filter(unit_weighting=weighting),
            ties=ties,
            share=rules.protection_percent / 100.0,
            known=None if before is None else before.filter("same", unit_weighting=weighting),
            withheld=withheld,
        )
        tables.append(made)
        withheld = made.filter((pl.col("conf_status") != FREE) & (pl.col("measure") != POPULATION)).select(KEY)
    return pl.concat(tables)


def _protected(
    at_risk: pl.DataFrame,
    rates: pl.DataFrame,
    *,
    ties: CellTies,
    share: float,
    known: pl.DataFrame | None,
    withheld: pl.DataFrame | None,
) -> pl.DataFrame:
    system = CellSystem.build(at_risk, ties.columns, sums=ties.sums, within=ties.within)
    cells = _with_populations(system, at_risk, share)
    need_down, need_up = (cells[name].to_numpy() for name in ("need_down", "need_up"))
    primary = cells["risk"].is_not_null().to_numpy()
    also = _marked(system, withheld)
    # A domain without respondents has rates, but no cell
    printed = (
        rates.join(at_risk, on=KEY, how="semi")
        .group_by(KEY)
        .agg((pl.col("reliability") != "suppress").any().alias("printed"))
    )
    hidden = primary | also | _marked(system, printed.filter(~pl.col("printed")))
    # That of units is the frame's count; that of employment tells what a large enterprise employs
    population = (system.cells["measure"] == POPULATION).to_numpy()
    by_employment = at_risk["unit_weighting"].first() == "employment"
    printed_before = None if known is None else known.join(system.cells, on=KEY, how="semi")
    fixed = _marked(system, printed_before) | (population & (not by_employment))
    added = withheld_with(system, need_down=need_down, need_up=need_up, hidden=hidden, fixed=fixed)
    # Nothing of a domain is printed where its population is not
    closed = pl.Series((primary | added) & population)
    domains = cells.filter(closed).select(KEY[:2])
    with_population = (
        cells.select(KEY[:2])
        .join(domains.with_columns(inside=True), on=KEY[:2], how="left", maintain_order="left")["inside"]
        .fill_null(False)
        .to_numpy()
    )
    secondary = (added | also | with_population) & ~primary
    status = pl.Series(np.where(secondary, SECONDARY, FREE))
    return cells.select(
        *KEY,
        pl.col("unit_weighting"),
        pl.coalesce(pl.col("risk").replace_strict(STATUS, default=None), status).alias("conf_status"),
        *list(PROTECTION_SCHEMA)[5:],
    ).cast(PROTECTION_SCHEMA)  # type: ignore[arg-type]


def _with_populations(system: CellSystem, at_risk: pl.DataFrame, share: float) -> pl.DataFrame:
    """The cells in the order of the system: populations first; at risk where all of a domain is dominated."""
    populations = at_risk.group_by(*KEY[:2], "unit_weighting", maintain_order=True).agg(
        pl.lit(POPULATION).alias("measure"),
        pl.when(pl.col("dominated").any()).then(pl.lit(DOMINANCE)).alias("risk"),
        pl.col("units", "whole").first(),
        pl.col("units").first().alias("n"),
        pl.col("whole").first().alias("numerator"),
        pl.col("whole").first().alias("denominator"),
    )
    need = pl.when(pl.col("risk").is_not_null()).then(share * pl.col("whole")).otherwise(0.0)
    cells = pl.concat(
        [
            populations.with_columns(need.alias("need_down"), need.alias("need_up")),
            at_risk.with_columns(
                pl.when(pl.col("risk").is_not_null()).then(name).otherwise(0.0) for name in ("need_down", "need_up")
            ),
        ],
        how="diagonal",
    )
    return cells[np.argsort(system.places(cells))]


def _marked(system: CellSystem, keys: pl.DataFrame | None) -> BoolArray:
    mark = np.zeros(len(system.value), dtype=np.bool_)
    if keys is not None and keys.height:
        mark[system.places(keys)] = True
    return mark


def exposures(cells: pl.DataFrame, visible: pl.DataFrame, *, ties: CellTies) -> pl.DataFrame:
    """The cells at risk that what is visible tells too closely.

    Args:
        cells: a wave's protection, PROTECTION_SCHEMA.
        visible: KEY and unit_weighting of every cell, and population, that can be read anywhere.

    Returns:
        EXPOSURE_SCHEMA: the true value, what the attacker narrows it to, and how far it had to stay open.
    """
    rows = []
    for weighting in cells.filter(pl.col("risk").is_not_null())["unit_weighting"].unique(maintain_order=True):
        of_weighting = cells.filter(unit_weighting=weighting)
        asked = of_weighting.filter(pl.col("measure") != POPULATION)
        system = CellSystem.build(asked, ties.columns, sums=ties.sums, within=ties.within)
        placed = of_weighting[np.argsort(system.places(of_weighting))]
        down, up = (placed[name].to_numpy() for name in ("need_down", "need_up"))
        hidden = ~_marked(system, visible.filter(unit_weighting=weighting))
        rows += [
            (*found.cell, weighting, found.value, found.low, found.high, found.need_down, found.need_up)
            for found in exposed(system, need_down=down, need_up=up, hidden=hidden)
        ]
    return pl.DataFrame(rows, schema=EXPOSURE_SCHEMA, orient="row")
