"""Rows of the table of estimates: one statistic in its domains, with its intervals.

Belongs here: the columns of the table, what a row says of a figure, the levels that a proportion is of. Does not belong
here: how the figures are made (run and engine from rows, cells from cells).
"""

from collections.abc import Sequence
from typing import cast, get_args

import numpy as np
import polars as pl

from pipelines.errors import Violation
from pipelines.estimation.domains import at_level, label_text, levels_of
from pipelines.estimation.engine import Figures
from pipelines.estimation.sections import Label
from pipelines.estimation.spec import Confidence, Estimate
from pipelines.stats.intervals import ANY_STATISTIC, Evidence, confidence_intervals
from pipelines.stats.quantiles import QuantileInterval
from pipelines.stats.terms import unknown_name

FIRST_COLUMNS = {
    "id": pl.String,
    "statistic": pl.String,
    "measure": pl.String,
    "denominator": pl.String,
    "domain": pl.String,
    "n": pl.Int64,
    "sum_weights": pl.Float64,
    "estimate": pl.Float64,
    "se": pl.Float64,
    "df": pl.Int64,
    "deff": pl.Float64,
    "deff_replace": pl.Float64,
}
LAST_COLUMNS = {"status": pl.String, "level": pl.String, "probability": pl.Float64, "n_missing": pl.Int64}
TEST_COLUMNS = {
    "test_statistic": pl.Float64,
    "df_numerator": pl.Float64,
    "df_denominator": pl.Float64,
    "p_value": pl.Float64,
}

Row = dict[str, object]


def estimate_table(rows: Sequence[Row], *, methods: Sequence[str], with_tests: bool) -> pl.DataFrame:
    """The table of rows.

    Columns: those of FIRST_COLUMNS, ``ci_<method>_low``, ``ci_<method>_high`` and ``ci_<method>_rule`` of each method
    in use, those of LAST_COLUMNS and, ``with_tests``, TEST_COLUMNS.
    """
    there = {name for row in rows for name in row if name.startswith("ci_")}
    order = dict.fromkeys([*methods, *ANY_STATISTIC, *sorted(get_args(QuantileInterval))])
    limits = [f"ci_{method}_{side}" for method in order for side in ("low", "high")]
    schema: dict[str, type[pl.DataType]] = dict(FIRST_COLUMNS)
    schema |= {name: pl.Float64 for name in limits if name in there}
    schema |= LAST_COLUMNS
    schema |= {f"ci_{method}_rule": pl.String for method in order if f"ci_{method}_rule" in there}
    schema |= TEST_COLUMNS if with_tests else {}
    table = pl.DataFrame(
        {
            name: pl.Series(name, [row.get(name) for row in rows], dtype=dtype, strict=False)
            for name, dtype in schema.items()
        }
    )
    return table.with_columns(pl.col(pl.Float64).fill_nan(None))


def estimate_rows(
    estimate: Estimate,
    level: Label | None,
    figures: Figures,
    names: Sequence[str],
    *,
    confidence: Confidence,
    share: bool,
) -> list[Row]:
    """One row a domain. ``share``: the mean of a column of 0 and 1, which proportions' intervals are for."""
    intervals = _interval_columns(figures, confidence, share=share)
    rows = []
    for at, name in enumerate(names):
        row = _figures_row(estimate, name, figures, at, level=level)
        row |= {column: _plain(values[at]) for column, values in intervals.items()}
        rows.append(row)
    return rows


def _interval_columns(figures: Figures, confidence: Confidence, *, share: bool) -> dict[str, np.ndarray]:
    """Limits and rules ``(D,)`` of each method that goes with the statistic."""
    methods = confidence.methods
    if not share:
        methods = tuple(method for method in methods if method in ANY_STATISTIC) or ("t",)
    seen = Evidence(
        estimate=figures.estimate,
        variance=figures.variance,
        df=figures.df,
        n=figures.n,
        kish_deff=figures.kish_deff,
        design_rows=figures.design_rows,
        logit_variance=figures.logit_variance,
    )
    columns: dict[str, np.ndarray] = {}
    for method in methods:
        made = confidence_intervals(seen, method=method, level=confidence.level)
        columns |= {f"ci_{method}_low": made.low, f"ci_{method}_high": made.high, f"ci_{method}_rule": made.rule}
    return columns


def proportion_levels(column: pl.Series) -> list[Label]:
    """The levels whose proportions are made where none is named: true, 1, or of other columns every one."""
    if column.dtype == pl.Boolean:
        return [True]
    if column.dtype.is_numeric() and bool(((column == 0) | (column == 1)).all()):
        return [1]
    return levels_of(column)


def named_row(estimate: Estimate, domain: str) -> Row:
    """What a row is of."""
    return {
        "id": estimate.id,
        "statistic": estimate.statistic,
        "measure": estimate.measure,
        "denominator": estimate.denominator,
        "domain": domain,
    }


def _figures_row(estimate: Estimate, domain: str, figures: Figures, at: int, *, level: Label | None) -> Row:
    """The row of one domain without intervals."""
    return {
        **named_row(estimate, domain),
        "n": int(figures.n[at]),
        "sum_weights": float(figures.sum_weights[at]),
        "estimate": float(figures.estimate[at]),
        "se": float(np.sqrt(figures.variance[at])),
        "df": int(figures.df[at]),
        "deff": float(figures.deff[at]),
        "deff_replace": float(figures.deff_replace[at]),
        "status": _status(figures, at),
        "level": None if level is None else label_text(level),
        "n_missing": int(figures.n_missing[at]),
    }


def _status(figures: Figures, at: int) -> str:
    if np.isnan(figures.estimate[at]):
        return "no_estimate" if figures.n[at] > 0 else "empty_domain"
    if figures.df[at] <= 0:
        return "no_df"
    return "ok" if np.isfinite(figures.variance[at]) else "no_variance"


def _plain(value: object) -> object:
    """A value of an array as the table takes it."""
    return str(value) if isinstance(value, str) else float(cast(float, value))


def level_faults(estimate: Estimate, column: pl.Series, place: str) -> list[Violation]:
    """A level that the column (or its different values) does not have."""
    if estimate.level is None or bool(at_level(column, estimate.level).any()):
        return []
    known = [label_text(level) for level in levels_of(column)]
    numeric = column.dtype == pl.Boolean or proportion_levels(column) == [1]
    if numeric and label_text(estimate.level) in ("0", "1", "true", "false"):
        return []
    return [
        unknown_name("unknown_level", f"{place}.level", f"a level of {column.name}", label_text(estimate.level), known)
    ]
