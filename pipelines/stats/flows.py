"""Gross flows of panel units: who adopted, who dropped, who stayed as they were.

Belongs here: shares of the four flows and their net, with standard errors. Does not belong here: the net change of the
whole population, which has more units to go by (change).

What the flows speak of: units that were on the frame at the earlier wave already and are in scope at the later one.
They rest on the units that answered in both waves. Each has its final weight of the later wave, times in its stratum of
selection (as merged for both waves, overlap) the ratio of the weights of all later respondents that were on the earlier
frame to those of the units that answered twice; strata where none did are spread over the rest. So births and deaths
are left out, and the net of the flows differs from the published change by them, and by chance.

Adopted less dropped is the later rate of these units less their earlier one, exactly. Variances: a stratified sample of
the common units, m of N in each merged stratum, with the weights as they are: that they were calibrated is left out,
which is on the side of caution. A stratum with one common unit deviates from 0 (lonely_psu 'adjust').
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.stats.arrays import IntArray, codes_in, divide, in_threads
from pipelines.stats.change import Segment, require_comparable
from pipelines.stats.design import SurveyDesign
from pipelines.stats.interval_formulas import t_interval
from pipelines.stats.intervals import proportion_intervals
from pipelines.stats.linearization import kish_deff
from pipelines.stats.overlap import Overlap
from pipelines.stats.rates import RateScores
from pipelines.stats.reliability import presentation_status
from pipelines.stats.survey_wave import Domain, DomainRows, UnitWeighting, Wave
from pipelines.stats.variance import DomainLayout

# Flow and the answers (earlier, later) of its units; the net is the last column of the figures.
FLOWS: Final = {
    "adopted": (0.0, 1.0),
    "dropped": (1.0, 0.0),
    "stayed_adopter": (1.0, 1.0),
    "stayed_non_adopter": (0.0, 0.0),
}
NET: Final = "net"
FLOW_SCHEMA = {
    "domain_type": pl.String,
    "domain_code": pl.String,
    "measure": pl.String,
    "unit_weighting": pl.String,
    "flow": pl.String,
    "n": pl.Int64,
    "share": pl.Float64,
    "se": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "ci_level": pl.Float64,
    "df": pl.Int64,
    "population": pl.Float64,
    "reliability": pl.String,
    "reliability_reason": pl.String,
}


def gross_flows(
    before: Wave,
    after: Wave,
    *,
    before_segment: Segment,
    after_segment: Segment,
    domains: Sequence[Domain],
    measures: Sequence[str],
    unit_weightings: Sequence[UnitWeighting] = ("unit", "employment"),
    level: float = 0.95,
) -> pl.DataFrame:
    """Shares of the flows by domain of the later wave.

    Args:
        domains: types of units; answers of 0 or 1 (base 'answered') in both waves count.

    Returns:
        FLOW_SCHEMA, no row without common units: four flows that add up to 1, and 'net' = adopted - dropped, by domain,
        measure and weighting. ``n``: units that answered twice; ``population``: units (employment) they stand for. The
        reliability of a flow is that of a proportion; 'net' takes the worse of adopted and dropped.

    Raises:
        ComparabilityError: the segments differ.
    """
    require_comparable(before_segment, after_segment, measures=measures)
    overlap = Overlap.build(before, after)
    if len(overlap.stratum) == 0:
        return pl.DataFrame(schema=FLOW_SCHEMA)
    panel = _panel(before, after, overlap)

    def of_domain(domain: Domain) -> list[pl.DataFrame]:
        made = []
        old, new = before.rows(Domain("total"), measures), after.rows(domain, measures)
        common = _positions(overlap.before_index, old.design_row, len(overlap.stratum))
        unit = overlap.after_index[new.design_row]
        shared = (unit >= 0) & (common[unit] >= 0)
        earlier = common[unit[shared]]
        codes = new.code.filter(pl.Series(shared))
        known = codes.unique().sort()
        for at, measure in enumerate(measures):
            y1, y2 = old.value[earlier, at], new.value[shared, at]
            seen = np.isfinite(y1) & np.isfinite(y2)
            flows = [np.where(seen, (y1 == first) & (y2 == second), np.nan) for first, second in FLOWS.values()]
            rows = DomainRows(
                measures=(*FLOWS, NET),
                design_row=unit[shared],
                code=codes,
                value=np.column_stack([*flows, y2 - y1]),
                dont_know=np.zeros((len(y1), len(FLOWS) + 1), dtype=np.bool_),
                imputed=np.repeat(
                    (old.imputed[earlier, at] | new.imputed[shared, at])[:, None], len(FLOWS) + 1, axis=1
                ),
                employment=new.employment[shared],
            )
            layout = DomainLayout.build(panel, codes_in(codes, known), len(known), rows=rows.design_row)
            for weighting in unit_weightings:
                made.append(
                    _table(layout, rows, known, weighting, level).with_columns(
                        pl.lit(domain.type).alias("domain_type"),
                        pl.lit(measure).alias("measure"),
                        pl.lit(weighting).alias("unit_weighting"),
                    )
                )
        return made

    tables = [table for made in in_threads(of_domain, domains) for table in made]
    return pl.concat(table.select(pl.col(name).cast(kind) for name, kind in FLOW_SCHEMA.items()) for table in tables)


def _panel(before: Wave, after: Wave, overlap: Overlap) -> SurveyDesign:
    """The common units in their order as a sample of their own; weight 0 for those that did not answer twice."""
    size, strata = len(overlap.stratum), len(overlap.common)
    weight, twice = np.zeros(size), np.ones(size, dtype=np.bool_)
    for wave, index in ((before, overlap.before_index), (after, overlap.after_index)):
        shared = index >= 0
        twice[index[shared]] &= wave.responding[shared]
        weight[index[shared]] = wave.design.weight[shared]
    weight = np.where(twice, weight, 0.0)
    continuing = after.responding & after.units["unit_id"].is_in(before.frame["unit_id"].implode()).to_numpy()
    of_after = overlap.strata_of[1][after.design.stratum]
    whole = np.bincount(of_after[continuing], weights=after.design.weight[continuing], minlength=strata).astype(
        np.float64
    )
    there = np.bincount(overlap.stratum, weights=weight, minlength=strata).astype(np.float64)
    reached = whole[there > 0].sum()
    spread = whole.sum() / reached if reached > 0 else 1.0
    frame = pl.DataFrame(
        {
            "unit": np.arange(size),
            "stratum": overlap.stratum,
            "population": overlap.population[overlap.stratum],
            "weight": weight * (divide(whole, there) * spread)[overlap.stratum],
        }
    )
    return SurveyDesign.from_frame(
        frame, weight="weight", strata="stratum", stages=["unit"], population=["population"], lonely_psu="adjust"
    )


def _positions(index: IntArray, design_row: IntArray, size: int) -> IntArray:
    """The analysis row of each common unit ``(U,)``, -1 without one."""
    found = np.full(size + 1, -1, dtype=np.int64)  # units that are not common have code -1: the last place
    found[index[design_row]] = np.arange(len(design_row))
    found[-1] = -1
    return found[:size]


def _table(
    layout: DomainLayout, rows: DomainRows, codes: pl.Series, unit_weighting: UnitWeighting, level: float
) -> pl.DataFrame:
    none = np.full(len(codes), np.nan)
    scores = RateScores.build(layout, rows, eligible=none, base="answered", unit_weighting=unit_weighting)
    effect = kish_deff(layout, scores.acting, scores.n)
    flows = slice(0, len(FLOWS))
    share, variance, n, df = (values[:, flows] for values in (scores.estimate, scores.variance, scores.n, scores.df))
    interval = proportion_intervals(np.nan_to_num(share), variance, df=df, n=n, kish_deff=effect[:, flows], level=level)
    status, reason = presentation_status(share, variance, n=n, df=df, kish_deff=effect[:, flows])
    net = t_interval(scores.estimate[:, -1], scores.variance[:, -1], scores.df[:, -1], level=level)
    worse = np.where(_rank(status[:, 1]) > _rank(status[:, 0]), 1, 0)
    at = np.arange(len(codes))
    columns = {
        "n": scores.n.astype(np.int64),
        "share": scores.estimate,
        "se": np.sqrt(scores.variance),
        "ci_low": np.column_stack([interval.low, net[0]]),
        "ci_high": np.column_stack([interval.high, net[1]]),
        "df": scores.df.astype(np.int64),
        "population": layout.sums(scores.acting),
        "reliability": np.column_stack([status, status[at, worse]]),
        "reliability_reason": np.column_stack([reason, reason[at, worse]]),
    }
    table = pl.DataFrame(
        {
            "domain_code": np.repeat(codes.to_numpy(), len(rows.measures)),
            "flow": list(rows.measures) * len(codes),
            "ci_level": np.full(scores.n.size, level),
            **{name: values.ravel().tolist() for name, values in columns.items()},
        }
    )
    return table.with_columns(
        pl.col(pl.Float64).fill_nan(None),
        pl.when(pl.col("reliability_reason") != "").then("reliability_reason").alias("reliability_reason"),
    )


def _rank(status: npt.NDArray[np.str_]) -> IntArray:
    return np.select([status == "suppress", status == "caution"], [2, 1], 0).astype(np.int64)
