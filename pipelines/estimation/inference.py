"""Tests and models of a specification as rows of the table.

Belongs here: which function of `stats` makes which test or model, the rows that come of it. Does not belong here:
formulas (stats.hypothesis_tests, stats.models), estimates (run). Imported only where tests or models are asked for:
statsmodels takes a second to load.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import polars as pl

from pipelines.errors import AxstatError, ViolationsError
from pipelines.estimation.domains import conditions_name, rows_where
from pipelines.estimation.rows import Row
from pipelines.estimation.spec import HypothesisTest, Model, Specification
from pipelines.stats.design import SurveyDesign
from pipelines.stats.hypothesis_tests import association_test, difference_test, mean_test
from pipelines.stats.models import fit_model
from pipelines.stats.replication import ReplicateWeights
from pipelines.stats.scoring import FamilyName

FAMILIES: Mapping[str, FamilyName] = {"linear": "gaussian", "logistic": "binomial", "poisson": "poisson"}


def test_rows(
    specification: Specification, frame: pl.DataFrame, design: SurveyDesign, weights: ReplicateWeights | None
) -> list[Row]:
    """One row a test; ``weights`` where variances are those of replicates."""
    make = {"chisq": _association, "ttest": _t_test}
    level = specification.confidence.level
    rows = []
    for index, test in enumerate(specification.tests):
        with _placed(f"tests[{index}] {test.id}"):
            empty = _empty(test, test.test, frame, design)
            rows.append(empty or make[test.test](test, frame, design, weights, level))
    return rows


def model_rows(
    specification: Specification, frame: pl.DataFrame, design: SurveyDesign, weights: ReplicateWeights | None
) -> tuple[list[Row], list[str]]:
    """One row a coefficient, and what the fits have to say."""
    rows: list[Row] = []
    notes: list[str] = []
    for index, model in enumerate(specification.models):
        with _placed(f"models[{index}] {model.id}"):
            if empty := _empty(model, model.model, frame, design):
                rows.append(empty)
                continue
            made, said = _model(model, frame, design, weights, specification.confidence.level)
        rows += made
        notes += [f"model {model.id}: {note}" for note in said]
    return rows, notes


@contextmanager
def _placed(place: str) -> Iterator[None]:
    """Say which test or model of the specification an error is about."""
    try:
        yield
    except ViolationsError as error:
        raise ViolationsError(f"{place}: {error.where}", error.violations) from None
    except AxstatError as error:
        raise AxstatError(
            error.code, where=f"{place}: {error.where}", expected=error.expected, got=error.got, hint=error.hint
        ) from None


def _empty(item: HypothesisTest | Model, kind: str, frame: pl.DataFrame, design: SurveyDesign) -> Row | None:
    """The row of a test or model in whose domain there is nobody."""
    if (rows_where(frame, item.where) & (design.weight != 0)).any():
        return None
    name = conditions_name(item.where)
    return {"id": item.id, "statistic": kind, "domain": name, "n": 0, "n_missing": 0, "status": "empty_domain"}


def _association(
    test: HypothesisTest, frame: pl.DataFrame, design: SurveyDesign, weights: ReplicateWeights | None, level: float
) -> Row:
    assert test.row is not None
    assert test.column is not None
    found = association_test(
        frame,
        design,
        row=test.row,
        column=test.column,
        method=test.statistic,
        domain=rows_where(frame, test.where),
        replicates=weights,
    )
    return {
        "id": test.id,
        "statistic": f"chisq {test.statistic}",
        "measure": f"{test.row} x {test.column}",
        "domain": conditions_name(test.where),
        "n": found.n,
        "n_missing": found.n_missing,
        "test_statistic": found.statistic,
        "df_numerator": found.df1,
        "df_denominator": found.df2,
        "p_value": found.p_value,
        "status": found.status,
    }


def _t_test(
    test: HypothesisTest, frame: pl.DataFrame, design: SurveyDesign, weights: ReplicateWeights | None, level: float
) -> Row:
    assert test.outcome is not None
    domain = rows_where(frame, test.where)
    if test.group is not None:
        found = difference_test(
            frame,
            design,
            outcome=test.outcome,
            group=test.group,
            null=test.null,
            domain=domain,
            replicates=weights,
            level=level,
        )
    else:
        found = mean_test(
            frame,
            design,
            outcome=test.outcome,
            minus=test.minus,
            null=test.null,
            domain=domain,
            replicates=weights,
            level=level,
        )
    groups = f"{test.group}={found.groups[1]} - {test.group}={found.groups[0]}" if found.groups else None
    return {
        "id": test.id,
        "statistic": "ttest",
        "measure": test.outcome if test.minus is None else f"{test.outcome} - {test.minus}",
        "domain": conditions_name(test.where) if groups is None else _within(test.where, groups),
        "n": found.n,
        "n_missing": found.n_missing,
        "estimate": found.estimate,
        "se": found.se,
        "df": found.df,
        "ci_t_low": found.low,
        "ci_t_high": found.high,
        "test_statistic": found.statistic,
        "p_value": found.p_value,
        "status": found.status,
    }


def _within(conditions: Mapping[str, tuple[bool | int | float | str, ...]], groups: str) -> str:
    return f"{conditions_name(conditions)}: {groups}" if conditions else groups


def _model(
    model: Model, frame: pl.DataFrame, design: SurveyDesign, weights: ReplicateWeights | None, level: float
) -> tuple[list[Row], tuple[str, ...]]:
    fit = fit_model(
        frame,
        design,
        outcome=model.outcome,
        terms=model.terms,
        family=FAMILIES[model.model],
        categorical=model.categorical,
        reference=model.reference,
        offset=model.offset,
        domain=rows_where(frame, model.where),
        replicates=weights,
        level=level,
    )
    return [
        {
            "id": model.id,
            "statistic": model.model,
            "measure": model.outcome,
            "domain": conditions_name(model.where),
            "level": row["name"],
            "n": fit.n,
            "n_missing": fit.n_missing,
            "sum_weights": fit.sum_weights,
            "estimate": row["estimate"],
            "se": row["se"],
            "df": row["df"],
            "ci_t_low": row["low"],
            "ci_t_high": row["high"],
            "test_statistic": row["statistic"],
            "p_value": row["p_value"],
            "status": "infinite" if row["infinite"] else fit.status,
        }
        for row in fit.table().iter_rows(named=True)
    ], fit.notes
