"""What stands behind each published cell: how many contributors, how much, and how large the largest are.

Belongs here: sums and largest contributions of the cells of a wave, as disclosure control looks at them. Does not
belong here: which cells are at risk (disclosure), rates and their variance (rates).

A cell is a domain, a measure and a weighting: of the units of the domain that answered the question, those that have
the measure (numerator) among all of them (denominator). Units count with the weight that makes cells add up, also in
known domains, whose published value does without it (rates).
"""

from collections.abc import Sequence
from typing import cast

import numpy as np
import polars as pl

from pipelines.stats.arrays import BoolArray, FloatArray, IntArray
from pipelines.stats.rates import fractions
from pipelines.stats.survey_wave import Domain, UnitWeighting, Wave

# Who could be told apart: those that have the measure, those that do not, and both together
PARTS = ("having", "lacking", "all")

CONTRIBUTION_SCHEMA = {
    "domain_type": pl.String,
    "domain_code": pl.String,
    "measure": pl.String,
    "unit_weighting": pl.String,
    "units": pl.Int64,
    "n": pl.Int64,
    "numerator": pl.Float64,
    "denominator": pl.Float64,
    "whole": pl.Float64,
    "take_all": pl.Boolean,
    **{f"{name}_{part}": pl.Float64 for part in PARTS for name in ("sum", "largest", "two_largest")},
}


def cell_contributions(
    wave: Wave, *, domains: Sequence[Domain], measures: Sequence[str], unit_weightings: Sequence[UnitWeighting]
) -> pl.DataFrame:
    """Contributors and contributions of each cell, one row a domain, measure and weighting.

    Args:
        domains: types with a row a unit; types by field are another table of other units.

    Returns:
        CONTRIBUTION_SCHEMA. ``units``: responding units of the domain; ``n``: those with an answer; ``numerator``,
        ``denominator``: weighted sums over these; ``whole``: the latter over all responding units. For each of
        ``PARTS`` the weighted sum, the largest contribution and that of the two largest. A contribution is what a unit
        counts without its weight (1, or its employment); a unit of weight w stands for w units like it, so the two
        largest are both its own from a weight of 2 on (Statistics Netherlands, tau-ARGUS user's manual 4.1, weighted
        dominance). ``take_all``: every stratum of the domain is.
    """
    tables = []
    for domain in domains:
        rows, listed = wave.rows(domain, tuple(measures)), wave.frame_domains(domain)
        codes = rows.code.unique().sort()
        at = rows.code.cast(pl.Enum(codes)).to_physical().to_numpy().astype(np.int64)
        weight = wave.design.weight[rows.design_row]
        take_all = pl.DataFrame({"domain_code": codes}).join(
            listed.select("domain_code", "take_all"), on="domain_code", how="left", maintain_order="left"
        )["take_all"]
        for weighting in unit_weightings:
            used, size, top, bottom = fractions(rows, base="answered", unit_weighting=weighting)
            largest_first = np.lexsort((-size[:, 0], at))
            whole = np.bincount(at, weight * size[:, 0], minlength=len(codes))
            units = np.bincount(at, minlength=len(codes))
            for column, measure in enumerate(rows.measures):
                counted = {"having": top[:, column], "all": bottom[:, column]}
                counted["lacking"] = counted["all"] - counted["having"]
                parts: dict[str, FloatArray] = {}
                for part in PARTS:
                    found = _largest(counted[part], weight, at, largest_first, len(codes))
                    for name, values in zip(("sum", "largest", "two_largest"), found, strict=True):
                        parts[f"{name}_{part}"] = values
                tables.append(
                    pl.DataFrame(
                        {
                            "domain_type": [domain.type] * len(codes),
                            "domain_code": codes,
                            "measure": [measure] * len(codes),
                            "unit_weighting": [weighting] * len(codes),
                            "units": units,
                            "n": _counts(used[:, column], at, len(codes)),
                            "numerator": parts["sum_having"],
                            "denominator": parts["sum_all"],
                            "whole": whole,
                            "take_all": take_all.fill_null(False),
                            **parts,
                        },
                        schema=CONTRIBUTION_SCHEMA,
                    )
                )
    return pl.concat(tables) if tables else pl.DataFrame(schema=CONTRIBUTION_SCHEMA)


def _counts(used: BoolArray, at: IntArray, n_domains: int) -> IntArray:
    return np.bincount(at[used], minlength=n_domains).astype(np.int64)


def _largest(
    size: FloatArray, weight: FloatArray, at: IntArray, largest_first: IntArray, n_domains: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Weighted sum, largest and two largest contributions by domain, ``(D,)`` each; 0 where there is none."""
    order = largest_first[size[largest_first] > 0]
    of_domain, x, w = at[order], size[order], np.fmax(weight[order], 1.0)
    total = cast(FloatArray, np.bincount(at, weight * size, minlength=n_domains))
    largest, two = np.zeros(n_domains), np.zeros(n_domains)
    present, first = np.unique(of_domain, return_index=True)
    if len(present) == 0:
        return total, largest, two
    second = np.minimum(first + 1, len(order) - 1)
    x_second = np.where((second > first) & (of_domain[second] == present), x[second], 0.0)
    again = np.fmin(w[first] - 1.0, 1.0)
    largest[present] = x[first]
    two[present] = x[first] * (1.0 + again) + x_second * (1.0 - again)
    return total, largest, two
