"""The strata of a plan: from the table or frame named to populations, limits and what is known of each measure.

Belongs here: rows that are counted, figures of a stratum, means and spreads from columns or from answers. Does not
belong here: domains and targets (run), the allocation itself (stats.allocation).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.estimation.domains import rows_where
from pipelines.estimation.tables import joined_labels, read_table
from pipelines.planning.spec import Answers, Measure, PlanSpecification
from pipelines.stats.allocation import Strata, share_spread
from pipelines.stats.arrays import FloatArray, IntArray, as_floats, dense_codes
from pipelines.stats.terms import whole_numbers

_COUNT = "units of the row"


@dataclass(frozen=True, eq=False)
class PlannedStrata:
    """H strata and the R rows they consist of.

    ``table`` holds the labels of each stratum in the columns they came in ``(H rows)``; ``given`` the units drawn
    ``(H,)`` of an allocation that is only looked at; ``rows`` the columns that domains are made of; ``stratum`` the
    code and ``population`` the units of each row.
    """

    strata: Strata
    table: pl.DataFrame
    given: FloatArray | None
    rows: pl.DataFrame
    stratum: IntArray
    population: FloatArray


@dataclass(frozen=True, eq=False)
class MeasureFigures:
    """Mean and standard deviation of a measure in each row ``(R,)``, and what a reader of them must know."""

    mean: FloatArray
    spread: FloatArray
    notes: tuple[str, ...] = ()


def read_strata(specification: PlanSpecification) -> PlannedStrata:
    """Read the strata's file.

    Raises:
        AxstatError: the file cannot be read.
        ViolationsError: columns that are not there; labels or numbers missing; a cost, response, limit or take-all
            mark that varies within a stratum; figures that are not possible.
    """
    plan = specification.strata
    figures = {f"strata.{key}": figure for key, figure in plan.figures().items() if isinstance(figure, str)}
    if specification.allocation.drawn is not None:
        figures["allocation.drawn"] = specification.allocation.drawn
    measured = [
        column
        for measure in specification.measures
        for column in (measure.proportion, measure.mean, measure.spread)
        if column is not None
    ]
    labels = [*plan.by, *(column for answers in specification.answers.values() for column in answers.by)]
    numeric = [*figures.values(), *measured, *([plan.population] if plan.population is not None else [])]
    if specification.allocation.importance is not None:
        numeric.append(specification.allocation.importance)
    rows = read_table(
        specification.path.parent,
        plan.file,
        specification.columns(),
        missing=specification.missing,
        text=labels,
        numeric=numeric,
        needed=[*labels, *numeric],
    )
    if plan.population is None:
        # Units that agree in every column that is used are counted together.
        rows = rows.group_by(rows.columns, maintain_order=True).agg(pl.len().alias(_COUNT))
    population = as_floats(rows[plan.population or _COUNT])
    names = joined_labels(rows, plan.by)
    stratum, known = dense_codes(names)
    whole = rows_where(rows, plan.take_all) if plan.take_all else np.zeros(rows.height, dtype=np.bool_)
    first = np.unique(stratum, return_index=True)[1]
    faults: list[Violation] = []
    columns = {place: as_floats(rows[column]) for place, column in figures.items()}
    columns["strata.take_all"] = whole.astype(np.float64)
    for place, values in columns.items():
        different = np.unique(stratum[values != values[first][stratum]])
        if len(different):
            shown = ", ".join(known[h] for h in different[:10])
            more = f" and {len(different) - 10} more" if len(different) > 10 else ""
            faults.append(
                Violation(
                    "varies_in_stratum",
                    where=f"{place}, strata {shown}{more}",
                    expected="one value a stratum",
                    got="several",
                    hint="make the value the same in all rows of the stratum, or split the stratum",
                )
            )
    if faults:
        raise ViolationsError(f"file {plan.file}", faults)

    def figure(key: str, otherwise: float) -> FloatArray | float:
        given = plan.figures().get(key, otherwise)
        return columns[f"strata.{key}"][first] if isinstance(given, str) else given

    return PlannedStrata(
        strata=Strata.build(
            known,
            np.bincount(stratum, weights=population, minlength=len(known)),
            cost=figure("cost", 1.0),
            response=figure("response", 1.0),
            minimum=figure("minimum", 2.0),
            maximum=figure("maximum", np.inf),
            take_all=whole[first],
        ),
        table=rows[first.tolist()].select(plan.by),
        given=columns["allocation.drawn"][first] if "allocation.drawn" in columns else None,
        rows=rows,
        stratum=stratum,
        population=population,
    )


def measure_figures(specification: PlanSpecification, planned: PlannedStrata, measure: Measure) -> MeasureFigures:
    """What is known of a measure in each row of the strata.

    Raises:
        ViolationsError: shares outside 0 to 1, spreads below 0; too few answers.
    """
    rows = planned.rows
    if measure.id in specification.answers:
        return _from_answers(specification, planned, measure.id, specification.answers[measure.id])
    if measure.proportion is not None:
        share = as_floats(rows[measure.proportion])
        _refuse(measure.id, measure.proportion, (share < 0) | (share > 1), "shares of 0 to 1", share)
        return MeasureFigures(share, share_spread(share, planned.population))
    assert measure.spread is not None
    spread = as_floats(rows[measure.spread])
    _refuse(measure.id, measure.spread, spread < 0, "standard deviations of 0 or more", spread)
    mean = np.full(rows.height, np.nan) if measure.mean is None else as_floats(rows[measure.mean])
    if measure.mean is None and rows.height > len(planned.strata.labels):
        raise AxstatError(
            "mean_missing",
            where=f"measure {measure.id}",
            expected="the column of its means: strata of several rows are spread between these too",
            got="none",
            hint="add mean beside spread",
        )
    return MeasureFigures(mean, spread)


def _refuse(measure: str, column: str, wrong: np.ndarray, expected: str, values: FloatArray) -> None:
    if not wrong.any():
        return
    raise AxstatError(
        "figure_not_valid",
        where=f"measure {measure}, column {column!r}",
        expected=expected,
        got=f"{int(wrong.sum())} other value(s), the first {values[wrong][0]:g}",
        hint="correct the column; percentages are divided by 100",
    )


def _from_answers(
    specification: PlanSpecification, planned: PlannedStrata, measure: str, answers: Answers
) -> MeasureFigures:
    """Weighted means and spreads by cell. A 0/1 value has the spread of its share in the row's population."""
    place = f"measure {measure}, answers"
    columns = [(f"{place}.value", answers.value), *((f"{place}.by", name) for name in answers.by)]
    weight = answers.weight
    table = read_table(
        specification.path.parent,
        answers.file,
        [*columns, *([] if weight is None else [(f"{place}.weight", weight)])],
        missing=specification.missing,
        text=answers.by,
        numeric=[answers.value, *([] if weight is None else [weight])],
        needed=[] if weight is None else [weight],
    ).filter(pl.col(answers.value).is_not_null())
    data = table.with_columns(
        whole_numbers(table[answers.value]).cast(pl.Float64).alias("y"),
        (pl.Series(np.ones(table.height)) if weight is None else table[weight].cast(pl.Float64)).alias("w"),
    )
    mean, variance = np.full((2, planned.rows.height), np.nan)
    notes = []
    for depth in range(len(answers.by), -1, -1):
        columns_left = answers.by[:depth]
        open_rows = np.flatnonzero(np.isnan(mean))
        wanted = _cell_labels(planned.rows, columns_left).gather(open_rows)
        cells = _moments(data, _cell_labels(data, columns_left)).filter(
            (pl.col("n") >= answers.least) & (pl.col("sum_w") > 0)
        )
        found = pl.DataFrame({"cell": wanted}).join(cells, on="cell", how="left", maintain_order="left")
        mean[open_rows], variance[open_rows] = (
            found[name].fill_null(np.nan).to_numpy() for name in ("mean", "variance")
        )
        left = wanted.filter(found["mean"].is_null()).unique().sort()
        if not len(left):
            break
        shown = ", ".join(left.head(10)) + (f" and {len(left) - 10} more" if len(left) > 10 else "")
        if depth == 0:
            raise ViolationsError(
                f"file {answers.file}",
                [Violation("too_few_answers", place, f"{answers.least} answers with weight", "fewer", "add answers")],
            )
        notes.append(
            f"measure {measure}: cells {shown} have fewer than {answers.least} answers; taken for them: the answers by "
            f"{', '.join(columns_left[:-1]) or 'no column'}"
        )
    if data["y"].is_in([0.0, 1.0]).all():
        return MeasureFigures(mean, share_spread(mean, planned.population), tuple(notes))
    return MeasureFigures(mean, np.sqrt(variance), tuple(notes))


def _cell_labels(table: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """The cell of each row; the rows without one of its columns have none."""
    return joined_labels(table, columns) if columns else pl.Series(["all"]).new_from_index(0, table.height)


def _moments(data: pl.DataFrame, cell: pl.Series) -> pl.DataFrame:
    """Answers, weight, weighted mean and variance (n/(n - 1) times the weighted mean square) of each cell."""
    y, w = pl.col("y"), pl.col("w")
    centred = data.select("y", "w", cell.alias("cell")).drop_nulls("cell")
    sums = centred.group_by("cell").agg(
        pl.len().alias("n"), w.sum().alias("sum_w"), ((y * w).sum() / w.sum()).alias("mean")
    )
    squares = (
        centred.join(sums.select("cell", "mean"), on="cell")
        .group_by("cell")
        .agg(((y - pl.col("mean")) ** 2 * w).sum().alias("squares"))
    )
    return sums.join(squares, on="cell").with_columns(
        (pl.col("squares") / pl.col("sum_w") * pl.col("n") / (pl.col("n") - 1)).alias("variance")
    )
