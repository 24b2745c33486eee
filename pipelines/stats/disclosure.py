"""Cells at risk: the rules by which a cell of a published table would tell of a unit.

Belongs here: primary rules, and how far each cell at risk must stay open. Does not belong here: contributors and
contributions (contributions), what ties cells together (cell_system), what is withheld with them (suppression),
reliability, which is no secret.
"""

from dataclasses import dataclass

import polars as pl

from pipelines.stats.cell_system import KEY

FEW, DOMINANCE, UNIFORM, DIFFERENCE = "few_contributors", "dominance", "zero_or_one", "difference"


@dataclass(frozen=True)
class DisclosureRules:
    """When a cell is at risk, and how wide it must stay.

    Attributes:
        min_contributors: a cell with fewer answering units is.
        p_percent: a contribution can be told to so many per cent by the second largest contributor (p % rule).
        two_largest_percent: the two largest make up more than so many per cent (n, k dominance with n = 2).
        protection_percent: what must remain possible, in per cent of the cell, above and below.
    """

    min_contributors: int
    p_percent: float
    two_largest_percent: float
    protection_percent: float


def primary_cells(
    contributions: pl.DataFrame, rules: DisclosureRules, *, before: pl.DataFrame | None = None
) -> pl.DataFrame:
    """The cells at risk and how far each must be free to move.

    Few contributors, and 0 or 1 in take-all domains, are risks in both weightings, dominance in that by employment: of
    those that have the measure, of those that do not, and of all.

    Args:
        contributions: see :func:`pipelines.stats.contributions.cell_contributions`.
        before: what an earlier vintage of the wave published: domain_type, domain_code, measure, unit_weighting and n.
            A take-all cell that has one or two contributors more or fewer now tells what theirs are.

    Returns:
        The contributions with ``risk`` (NULL where there is none) and ``need_up``, ``need_down``, never beyond 0 and
        the denominator.
    """
    by_employment = pl.col("unit_weighting") == "employment"
    few = (pl.col("n") > 0) & (pl.col("n") < rules.min_contributors)
    uniform = (
        pl.col("take_all")
        & (pl.col("n") > 0)
        & ((pl.col("numerator") <= 0) | (pl.col("numerator") >= pl.col("denominator")))
    )
    dominated = {part: by_employment & _dominated(part, rules) for part in ("having", "lacking", "all")}
    changed = pl.lit(False)
    if before is not None:
        key = [*KEY, "unit_weighting"]
        contributions = contributions.join(
            before.select(*key, pl.col("n").alias("n_before")), on=key, how="left", maintain_order="left"
        )
        changed = pl.col("take_all") & (pl.col("n") - pl.col("n_before")).abs().is_between(
            1, rules.min_contributors - 1
        )
    share = rules.protection_percent / 100.0
    top, rest = pl.col("numerator"), pl.col("denominator") - pl.col("numerator")
    # Of a cell of 0 the other side is the secret, and the measure of what must stay open
    of_cell = share * pl.when(top > 0).then(top).otherwise(rest)
    need = pl.max_horizontal(
        pl.when(few | uniform | changed.fill_null(False) | dominated["having"] | dominated["all"])
        .then(of_cell)
        .otherwise(0.0),
        pl.when(dominated["lacking"] | dominated["all"]).then(share * rest).otherwise(0.0),
    )
    risk = (
        pl.when(few)
        .then(pl.lit(FEW))
        .when(pl.any_horizontal(*dominated.values()))
        .then(pl.lit(DOMINANCE))
        .when(uniform)
        .then(pl.lit(UNIFORM))
        .when(changed)
        .then(pl.lit(DIFFERENCE))
    )
    found = contributions.with_columns(risk.alias("risk"), need.alias("need"), dominated["all"].alias("dominated"))
    return found.with_columns(
        pl.min_horizontal("need", pl.col("denominator") - pl.col("numerator")).alias("need_up"),
        pl.min_horizontal("need", "numerator").alias("need_down"),
    ).drop("need", "n_before", strict=False)


def _dominated(part: str, rules: DisclosureRules) -> pl.Expr:
    total, largest, two = (pl.col(f"{name}_{part}") for name in ("sum", "largest", "two_largest"))
    told = total - two < rules.p_percent / 100.0 * largest
    return (total > 0) & (told | (two > rules.two_largest_percent / 100.0 * total))
