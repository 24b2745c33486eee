"""From the specification of a plan to the allocation and the precision it promises.

Belongs here: domains and targets, the order of the work, the columns of both tables, what a reader must know. Does not
belong here: formulas (stats.allocation), files (strata, tables).
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.estimation.domains import partition
from pipelines.planning.spec import PlanSpecification
from pipelines.planning.strata import MeasureFigures, PlannedStrata, measure_figures, read_strata
from pipelines.stats.allocation import (
    Allocation,
    DomainFigures,
    detectable_change,
    domain_figures,
    neyman,
    panel_covariance,
    power,
    proportional,
    stratum_figures,
)
from pipelines.stats.arrays import BoolArray, FloatArray, as_floats
from pipelines.stats.precision_targets import MET, bethel
from pipelines.stats.terms import code_sums

ALLOCATION_COLUMNS = ("population", "drawn", "respondents", "fraction", "cost", "exact", "limit")
PRECISION_COLUMNS = (
    "domain_id",
    "domain",
    "measure",
    "population",
    "respondents",
    "mean",
    "se",
    "cv",
    "target_se",
    "met",
    "saving",
    "detectable_change",
)


@dataclass(frozen=True, eq=False)
class SamplePlan:
    """``allocation``: a row a stratum; ``precision``: one a domain and measure; ``notes``: size, cost, what is missed.

    Columns: the strata's own labels and ALLOCATION_COLUMNS; PRECISION_COLUMNS. See reports/methodology/planning.md.
    """

    allocation: pl.DataFrame
    precision: pl.DataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Domains:
    """Every domain of the plan: the id it was asked for under, its name, its rows."""

    ids: tuple[str, ...]
    names: tuple[str, ...]
    members: tuple[BoolArray, ...]


def run_plan(specification: PlanSpecification) -> SamplePlan:
    """Read the strata, allocate the sample, say what precision it promises.

    Raises:
        AxstatError: the files cannot be read or do not hold what they are named for; a domain without units; a size
            that the limits do not allow; targets that no sample can meet, each with the strata that keep it from it.
    """
    planned = read_strata(specification)
    domains = _domains(specification, planned)
    by_row = {measure.id: measure_figures(specification, planned, measure) for measure in specification.measures}
    figures = {
        name: domain_figures(
            planned.stratum,
            planned.population,
            row.mean,
            row.spread,
            domains.members,
            n_strata=len(planned.strata.labels),
        )
        for name, row in by_row.items()
    }
    limits = _limits(specification, domains, figures)
    made = _allocate(specification, planned, by_row, domains, figures, limits)
    precision = _precision(specification, planned, domains, figures, limits, made)
    return SamplePlan(
        allocation=_allocation_table(planned, made),
        precision=precision,
        notes=tuple(_notes(planned, by_row, made, precision)),
    )


def _domains(specification: PlanSpecification, planned: PlannedStrata) -> _Domains:
    ids: list[str] = []
    names: list[str] = []
    members: list[BoolArray] = []
    faults = []
    for index, domain in enumerate(specification.domains):
        parts = partition(planned.rows, domain.where, domain.by)
        inside = [parts.member(position) for position in range(len(parts.names))]
        if not inside or not all(rows.any() for rows in inside):
            where = f"domains[{index}], {domain.id}"
            hint = "check the values of where: labels of strata are texts, 01 is not 1"
            faults.append(Violation("empty_domain", where, "units on the frame", "none", hint))
        ids += [domain.id] * len(inside)
        names += parts.names
        members += inside
    if faults:
        raise ViolationsError(f"specification {specification.path.name}", faults)
    return _Domains(tuple(ids), tuple(names), tuple(members))


def _limits(
    specification: PlanSpecification, domains: _Domains, figures: dict[str, DomainFigures]
) -> dict[str, FloatArray]:
    """The variance allowed by measure, ``(D,)``; inf without a target."""
    limits = {name: np.full(len(domains.ids), np.inf) for name in figures}
    faults = []
    for index, target in enumerate(specification.targets):
        at = np.flatnonzero(np.array(domains.ids) == target.domain)
        if target.se is not None:
            limits[target.measure][at] = target.se**2
            continue
        assert target.cv is not None
        mean = figures[target.measure].mean[at]
        limits[target.measure][at] = (target.cv * mean) ** 2
        for position in at[~(np.abs(mean) > 0)]:
            where = f"targets[{index}], {domains.names[position]}"
            hint = "give the mean of the measure, or an se in place of the cv"
            got = f"{figures[target.measure].mean[position]}"
            faults.append(Violation("no_mean", where, "a mean other than 0 to take the CV of", got, hint))
    if faults:
        raise ViolationsError(f"specification {specification.path.name}", faults)
    return limits


def _allocate(
    specification: PlanSpecification,
    planned: PlannedStrata,
    by_row: dict[str, MeasureFigures],
    domains: _Domains,
    figures: dict[str, DomainFigures],
    limits: dict[str, FloatArray],
) -> Allocation:
    plan, strata = specification.allocation, planned.strata
    if plan.method == "bethel":
        asked = [(name, d) for name in figures for d in np.flatnonzero(np.isfinite(limits[name]))]
        return bethel(
            strata,
            np.array([figures[name].unit_variance[d] for name, d in asked]),
            np.array([limits[name][d] for name, d in asked]),
            names=[f"{domains.ids[d]} ({domains.names[d]}), {name}" for name, d in asked],
        )
    if planned.given is not None:
        return _given(planned, planned.given)
    if plan.method == "proportional":
        return proportional(strata, size=plan.size, budget=plan.budget)
    assert plan.measure is not None
    row = by_row[plan.measure]
    mean, spread = stratum_figures(
        planned.stratum, planned.population, row.mean, row.spread, n_strata=len(strata.labels)
    )
    if plan.method == "neyman":
        return neyman(strata, spread, size=plan.size, budget=plan.budget)
    importance = strata.population * np.abs(mean)
    if plan.importance is not None:
        # A row of a frame stands for units that each have the importance.
        each = planned.population if specification.strata.population is None else 1.0
        of_rows = as_floats(planned.rows[plan.importance]) * each
        importance = code_sums(planned.stratum, of_rows, len(strata.labels))
    wrong = ~(np.abs(mean) > 0) | ~(importance > 0)
    if wrong.any():
        names = [strata.labels[h] for h in np.flatnonzero(wrong)]
        raise AxstatError(
            "no_power_allocation",
            where=f"allocation.measure {plan.measure}, strata {', '.join(names[:10])}"
            + (f" and {len(names) - 10} more" if len(names) > 10 else ""),
            expected="a mean other than 0 and an importance above 0: the CV is shared out",
            got=f"{len(names)} strata without",
            hint="merge these strata, smooth their means, or take method: neyman",
        )
    return power(strata, spread / np.abs(mean), importance, plan.exponent, size=plan.size, budget=plan.budget)


def _given(planned: PlannedStrata, drawn: FloatArray) -> Allocation:
    strata = planned.strata
    wrong = ~((drawn >= 1) & (drawn % 1 == 0) & (drawn <= strata.population))
    if wrong.any():
        names = [strata.labels[h] for h in np.flatnonzero(wrong)]
        raise AxstatError(
            "drawn_not_valid",
            where=f"allocation.drawn, strata {', '.join(names[:10])}"
            + (f" and {len(names) - 10} more" if len(names) > 10 else ""),
            expected="a whole number of units, at least 1 and at most the units on the frame",
            got=f"{drawn[wrong][0]:g}",
            hint="correct the column; of a stratum without sample there is no estimate",
        )
    return Allocation(drawn=drawn.astype(np.int64), exact=drawn, cost=float(strata.cost @ drawn))


def _allocation_table(planned: PlannedStrata, made: Allocation) -> pl.DataFrame:
    strata, drawn = planned.strata, made.drawn
    limit = np.where(
        drawn == strata.population,
        "take_all",
        np.where(drawn == strata.least, "least", np.where(drawn == strata.most, "most", "")),
    )
    return planned.table.with_columns(
        pl.Series("population", strata.population.astype(np.int64)),
        pl.Series("drawn", drawn),
        pl.Series("respondents", drawn * strata.response),
        pl.Series("fraction", drawn / strata.population),
        pl.Series("cost", drawn * strata.cost),
        pl.Series("exact", made.exact),
        pl.Series("limit", limit).replace("", None),
    )


def _precision(
    specification: PlanSpecification,
    planned: PlannedStrata,
    domains: _Domains,
    figures: dict[str, DomainFigures],
    limits: dict[str, FloatArray],
    made: Allocation,
) -> pl.DataFrame:
    strata = planned.strata
    responding = (made.drawn * strata.response / strata.population)[planned.stratum] * planned.population
    respondents = np.array([responding[inside].sum() for inside in domains.members])
    # Prices stand in the order in which the targets were handed over.
    prices = iter([] if made.price is None else made.price.tolist())
    tables = []
    for name, figure in figures.items():
        limit = limits[name]
        variance = np.maximum(strata.variance(figure.unit_variance, made.drawn), 0.0)
        se = np.sqrt(variance)
        targeted = np.isfinite(limit)
        saving = np.full(len(limit), np.nan)
        if made.price is not None:
            # A standard error larger by 1 % is a variance larger by 2 %.
            saving[targeted] = [0.02 * next(prices) for _ in range(int(targeted.sum()))]
        with np.errstate(divide="ignore", invalid="ignore"):
            cv = np.where(np.abs(figure.mean) > 0, se / np.abs(figure.mean), np.nan)
        change = np.full(len(limit), np.nan)
        if specification.change is not None:
            plan = specification.change
            shared = panel_covariance(
                strata, figure.unit_variance, made.drawn, overlap=plan.overlap, correlation=plan.correlation
            )
            change = detectable_change(se, se, shared, power=plan.power, level=plan.level)
        tables.append(
            pl.DataFrame(
                {
                    "domain_id": domains.ids,
                    "domain": domains.names,
                    "measure": [name] * len(limit),
                    "population": figure.population.astype(np.int64),
                    "respondents": respondents,
                    "mean": figure.mean,
                    "se": se,
                    "cv": cv,
                    "target_se": np.where(targeted, np.sqrt(limit), np.nan),
                    "met": pl.Series(variance <= limit * (1.0 + 2.0 * MET)).set(pl.Series(~targeted), None),
                    "saving": saving,
                    "detectable_change": change,
                }
            )
        )
    return pl.concat(tables).with_columns(pl.col(pl.Float64).fill_nan(None)).select(PRECISION_COLUMNS)


def _notes(
    planned: PlannedStrata, by_row: dict[str, MeasureFigures], made: Allocation, precision: pl.DataFrame
) -> list[str]:
    strata = planned.strata
    responding = float(made.drawn @ strata.response)
    notes = [f"{int(made.drawn.sum())} units drawn, {responding:.0f} respondents expected, cost {made.cost:g}"]
    if made.bound is not None:
        more = made.cost / made.bound - 1.0
        notes.append(
            f"no sample that meets the targets costs less than {made.bound:.6g}; "
            f"that units are whole costs {100 * more:.3f} % more"
        )
    missed = precision.filter(~pl.col("met"))
    if missed.height:
        names = [f"{row['domain']} ({row['measure']})" for row in missed.head(10).to_dicts()]
        more_names = f" and {missed.height - 10} more" if missed.height > 10 else ""
        notes.append(f"targets missed: {', '.join(names)}{more_names}; method bethel meets them")
    for name, row in by_row.items():
        notes += row.notes
        flat = np.unique(planned.stratum[(row.spread == 0) & (planned.population > 1)])
        if len(flat):
            notes.append(
                f"measure {name} is known without any spread in parts of {len(flat)} strata, which adds nothing to the "
                "standard errors: take means and spreads of larger cells if that is chance"
            )
    return notes
