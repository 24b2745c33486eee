"""Hypothesis tests on survey data: association in a two-way table, means, terms of a model.

Belongs here: Rao-Scott and Wald tests of independence, design-based t-tests, Wald tests of model terms. Does not
belong here: the tails of the distributions they need (mixture_tails), the fit of a model (models), intervals of
proportions (intervals), the variance formula (variance, replication).

Each follows R's function of the same purpose: ``svychisq``, ``svyttest``, ``regTermTest``. The Rao-Scott tests set
Pearson's X^2 of the weighted table, scaled to n rows, against its distribution under the design, a sum of
independent chi-squares of one degree of freedom times the eigenvalues of the design-effect matrix (Rao and Scott
1984): by its mean ('Chisq', first order), by its first two moments ('F', second order, the default), or as a whole
('saddlepoint', 'lincom').
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
import polars as pl
from scipy import linalg, stats

from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray, dense_codes
from pipelines.stats.design import SurveyDesign
from pipelines.stats.interval_formulas import t_quantile
from pipelines.stats.mixture_tails import NEGLIGIBLE, mixture_tail, saddlepoint_tail
from pipelines.stats.model_matrix import check_columns, labels_of, numbers
from pipelines.stats.models import ModelFit, fit_model
from pipelines.stats.replication import ReplicateWeights
from pipelines.stats.terms import unknown_name
from pipelines.stats.variance import covariance, degrees_of_freedom

AssociationStatistic = Literal["F", "Chisq", "Wald", "adjWald", "saddlepoint", "lincom"]
TestStatus = Literal["ok", "no_degrees_of_freedom", "no_variance"]
MixtureMethod = Literal["exact", "saddlepoint"]


@dataclass(frozen=True, eq=False)
class AssociationTest:
    """A test of independence of two categorical columns.

    ``proportions`` ``(r, c)`` are the weighted shares of the cells, ``pearson`` Pearson's X^2 of the table scaled to
    the rows of the (sub)design, ``design_effects`` ``(q,)`` the eigenvalues in descending order (their mean is the
    first-order correction). ``df2`` is NaN where the distribution has none, both are NaN for 'saddlepoint' and
    'lincom'. ``statistic`` is what R prints: F, or X^2 for 'Chisq', 'saddlepoint' and 'lincom'.
    """

    method: AssociationStatistic
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    proportions: FloatArray
    pearson: float
    design_effects: FloatArray
    statistic: float
    df1: float
    df2: float
    p_value: float
    n: int
    n_missing: int
    status: TestStatus


@dataclass(frozen=True)
class TTest:
    """A t-test. ``estimate`` is the mean, or the second group's mean minus the first's; ``null`` its value under
    the hypothesis; ``low`` and ``high`` its interval at ``level``. Without degrees of freedom or variance there is no
    p-value and no interval (NaN), and ``status`` says so.
    """

    estimate: float
    se: float
    null: float
    statistic: float
    df: int
    p_value: float
    low: float
    high: float
    level: float
    groups: tuple[str, ...]
    n: int
    n_missing: int
    status: TestStatus


@dataclass(frozen=True)
class TermTest:
    """A Wald test that all coefficients of some terms are 0: F with ``df1`` and ``df2``."""

    terms: tuple[str, ...]
    statistic: float
    df1: int
    df2: int
    p_value: float
    status: TestStatus


def association_test(
    frame: pl.DataFrame,
    design: SurveyDesign,
    *,
    row: str,
    column: str,
    method: AssociationStatistic = "F",
    domain: BoolArray | None = None,
    replicates: ReplicateWeights | None = None,
    mixture: MixtureMethod = "exact",
) -> AssociationTest:
    """Whether two categorical columns are independent: R's ``svychisq(~row + column, design, statistic=method)``.

    Rows that miss either column are left out of the table. As in R they still count in the n that X^2 is
    scaled to and in the degrees of freedom, and on a calibrated design so do the rows outside the domain (neither
    moves F or a p-value but through the degrees of freedom). Levels without weight are left out, where R gives NaN.

    Args:
        frame: the rows ``(n,)`` of the design, in its order.
        method: R's name of the statistic.
        domain: rows ``(n,)`` of the domain; None is all.
        replicates: replicate weights; variances and degrees of freedom are theirs.
        mixture: how 'lincom' gets the tail: 'exact' by series, or 'saddlepoint', which is what R falls back to
            without its package CompQuadForm.

    Raises:
        ViolationsError: an unknown method, a column that is not there or has fewer than two levels.
        AxstatError: a table so sparse that the test is not defined.
    """
    if method not in get_args(AssociationStatistic):
        known = get_args(AssociationStatistic)
        raise ViolationsError("test of association", [unknown_name("unknown_test", "method", "a test", method, known)])
    inside = np.ones(design.n_rows, dtype=np.bool_) if domain is None else domain
    table = _table(frame, design, row=row, column=column, inside=inside)
    # As in R, X^2 is scaled to the rows of the (sub)design: on a calibrated one these are all of the file.
    size = design.n_rows if design.calibrated else int(inside.sum())
    pearson = size * table.phi_squared
    nu = _degrees_of_freedom(design, inside) if replicates is None else replicates.degrees_of_freedom(domain)
    effects = _design_effects(design, table, size=size, replicates=replicates)
    q = len(effects)

    statistic = df1 = df2 = p_value = np.nan
    status: TestStatus = "ok"
    if not effects.sum() > NEGLIGIBLE:
        status = "no_variance"
    elif nu <= 0 or (method == "adjWald" and nu <= q - 1):
        status = "no_degrees_of_freedom"
    elif method in ("Wald", "adjWald"):
        quadratic = _wald_quadratic(design, table, replicates)
        df1, df2 = q, nu if method == "Wald" else nu - q + 1
        statistic = quadratic * df2 / (q * nu)
        p_value = float(stats.f.sf(statistic, df1, df2))
    elif method == "Chisq":
        statistic, df1 = pearson, q
        p_value = float(stats.chi2.sf(pearson / effects.mean(), df1))
    else:
        moments = float(effects.sum() ** 2 / np.square(effects).sum())
        if method == "F":
            statistic, df1, df2 = pearson / float(effects.sum()), moments, moments * nu
            p_value = float(stats.f.sf(statistic, df1, df2))
        else:
            statistic = pearson
            tail = mixture_tail if method == "lincom" and mixture == "exact" else saddlepoint_tail
            # R takes the variance for known where it comes from replicates.
            p_value = tail(pearson, effects, denominator_df=moments * nu if replicates is None else np.inf)
    return AssociationTest(
        method=method,
        rows=table.rows,
        columns=table.columns,
        proportions=table.shares,
        pearson=pearson,
        design_effects=effects,
        statistic=float(statistic),
        df1=float(df1),
        df2=float(df2),
        p_value=p_value,
        n=int((table.cell >= 0).sum()),
        n_missing=int((inside & ~table.complete & (design.weight != 0)).sum()),
        status=status,
    )


def mean_test(
    frame: pl.DataFrame,
    design: SurveyDesign,
    *,
    outcome: str,
    minus: str | None = None,
    null: float = 0.0,
    domain: BoolArray | None = None,
    replicates: ReplicateWeights | None = None,
    level: float = 0.95,
) -> TTest:
    """Whether a mean, or with ``minus`` the mean of a paired difference, is ``null``: R's ``svyttest(outcome ~ 0)``.

    As in R the degrees of freedom are one less than the design's, and rows that miss the outcome count in them.

    Args:
        minus: the column subtracted row by row (paired test).
        domain: rows ``(n,)`` of the domain; None is all.
    """
    check_columns(frame, [outcome, *([] if minus is None else [minus])], where="t-test")
    inside = np.ones(design.n_rows, dtype=np.bool_) if domain is None else domain
    weighted = inside & (design.weight != 0)
    y = numbers(frame[outcome], rows=weighted)
    if minus is not None:
        y = y - numbers(frame[minus], rows=weighted)
    complete = inside & np.isfinite(y)
    acting = complete & weighted
    if not acting.any():
        raise _no_rows(f"t-test of {outcome}")
    weight = np.where(acting, design.weight, 0.0)
    value = np.where(acting, y, 0.0)
    mean = float(weight @ value / weight.sum())
    constant = np.abs(y[acting] - mean).max() <= NEGLIGIBLE * np.abs(y[acting]).max()
    if replicates is None:
        influence = (weight * (value - mean) / weight.sum())[:, None]
        variance = covariance(design, influence, used=complete)[0, 0]
        degf = degrees_of_freedom(design, used=inside)
    else:
        totals = replicates.totals(np.column_stack([value, acting]))
        variance = replicates.covariance(totals[:, :1] / totals[:, 1:], np.array([mean]))[0, 0]
        degf = replicates.degrees_of_freedom(domain)
    return _t_test(
        estimate=mean,
        se=0.0 if constant else float(np.sqrt(variance)),
        null=null,
        df=degf - 1,
        level=level,
        groups=(),
        n=int(acting.sum()),
        n_missing=int((weighted & ~complete).sum()),
    )


def difference_test(
    frame: pl.DataFrame,
    design: SurveyDesign,
    *,
    outcome: str,
    group: str,
    null: float = 0.0,
    domain: BoolArray | None = None,
    replicates: ReplicateWeights | None = None,
    level: float = 0.95,
) -> TTest:
    """Whether two groups have one mean: R's ``svyttest(outcome ~ group)``, the regression on the second group.

    Args:
        group: a column of two values on the rows used; the difference is the second in sorted order minus the first.
        domain: rows ``(n,)`` of the domain; None is all.

    Raises:
        ViolationsError: a column that is not there, or a group that has not two values.
    """
    check_columns(frame, [outcome, group], where="t-test")
    fit = fit_model(
        frame,
        design,
        outcome=outcome,
        terms=[group],
        categorical=[group],
        domain=domain,
        replicates=replicates,
        level=level,
    )
    if len(fit.names) != 2:
        raise ViolationsError(
            "t-test",
            [
                Violation(
                    "group_not_binary",
                    where=f"column {group!r}",
                    expected="two values on the rows used",
                    got=f"{len(fit.names)}",
                    hint="choose two of them by the domain",
                )
            ],
        )
    return _t_test(
        estimate=float(fit.estimate[1]),
        se=float(fit.se[1]),
        null=null,
        df=fit.df,
        level=level,
        groups=fit.levels[group],
        n=fit.n,
        n_missing=fit.n_missing,
    )


def term_test(fit: ModelFit, terms: Sequence[str]) -> TermTest:
    """Whether all coefficients of the terms are 0: R's ``regTermTest(fit, ~terms)``, F = b'V^-1 b / q.

    Coefficients without an estimate are left out, as in R.

    Raises:
        ViolationsError: terms that the model does not have.
    """
    known = list(dict.fromkeys(fit.terms))
    absent = [term for term in terms if term not in known]
    if absent:
        where = f"model of {fit.outcome}"
        raise ViolationsError(where, [unknown_name("unknown_term", where, "a term", term, known) for term in absent])
    tested = [i for i, term in enumerate(fit.terms) if term in set(terms) and np.isfinite(fit.estimate[i])]
    beta, variance = fit.estimate[tested], fit.covariance[np.ix_(tested, tested)]
    statistic = p_value = np.nan
    status: TestStatus = "ok"
    if not tested or np.linalg.matrix_rank(variance, hermitian=True) < len(tested):
        status = "no_variance"
    else:
        statistic = float(beta @ np.linalg.solve(variance, beta)) / len(tested)
        if fit.df > 0:
            p_value = float(stats.f.sf(statistic, len(tested), fit.df))
        else:
            status = "no_degrees_of_freedom"
    return TermTest(
        terms=tuple(terms),
        statistic=float(statistic),
        df1=len(tested),
        df2=fit.df,
        p_value=float(p_value),
        status=status,
    )


@dataclass(frozen=True, eq=False)
class _Table:
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    total: FloatArray  # (r, c) sums of weights
    cell: IntArray  # (n,) cell of each row that has weight and both columns, by rows of the table; else -1
    complete: BoolArray  # (n,) in the domain with both columns

    @property
    def shares(self) -> FloatArray:
        return self.total / float(self.total.sum())

    @property
    def phi_squared(self) -> float:
        """Pearson's X^2 of the shares."""
        expected = np.outer(self.shares.sum(axis=1), self.shares.sum(axis=0))
        return float((np.square(self.shares - expected) / expected).sum())


def _table(frame: pl.DataFrame, design: SurveyDesign, *, row: str, column: str, inside: BoolArray) -> _Table:
    check_columns(frame, [row, column], where="test of association")
    row_labels, column_labels = labels_of(frame[row]), labels_of(frame[column])
    complete = inside & row_labels.is_not_null().to_numpy() & column_labels.is_not_null().to_numpy()
    acting = np.flatnonzero(complete & (design.weight != 0))
    row_code, rows = dense_codes(row_labels.gather(acting))
    column_code, columns = dense_codes(column_labels.gather(acting))
    violations = [
        Violation(
            "single_level",
            where=f"column {name!r}",
            expected="at least two levels on the rows used",
            got=", ".join(found) or "none",
            hint="choose another column or widen the domain",
        )
        for name, found in ((row, rows), (column, columns))
        if len(found) < 2
    ]
    if violations:
        raise ViolationsError("test of association", violations)
    cell = np.full(design.n_rows, -1, dtype=np.int64)
    cell[acting] = row_code * len(columns) + column_code
    total = np.bincount(cell[acting], weights=design.weight[acting], minlength=len(rows) * len(columns))
    return _Table(
        rows=tuple(rows),
        columns=tuple(columns),
        total=total.astype(np.float64).reshape(len(rows), len(columns)),
        cell=cell,
        complete=complete,
    )


def _design_effects(
    design: SurveyDesign, table: _Table, *, size: int, replicates: ReplicateWeights | None
) -> FloatArray:
    """Eigenvalues ``(q,)``, largest first, of the covariance of the interactions against that of ``size`` SRS draws.

    NaN where no covariance can be had, as under ``average`` where every stratum is lonely.

    In Rao and Scott's (1984) notation of (C' D^-1 C / n)^-1 (C' D^-1 V D^-1 C), D the diagonal matrix of the shares, V
    their covariance, C a basis of the interactions: any gives the same eigenvalues, Helmert's is orthonormal.
    """
    share = table.shares.ravel()
    basis = np.kron(linalg.helmert(len(table.rows)), linalg.helmert(len(table.columns))).T
    scaled = basis * np.divide(1.0, share, out=np.zeros_like(share), where=share != 0)[:, None]
    srs = basis.T @ scaled / size
    if np.linalg.matrix_rank(srs, hermitian=True) < len(srs):
        raise AxstatError(
            "sparse_table",
            where="test of association",
            expected="enough filled cells to estimate every interaction",
            got=f"{int((share == 0).sum())} empty cells of {len(share)}",
            hint="merge sparse levels",
        )
    variance = _covariance(design, table, scaled, replicates=replicates, of_shares=True)
    if not np.isfinite(variance).all():
        return np.full(len(srs), np.nan)
    return cast(FloatArray, np.maximum(linalg.eigh(variance, srs, eigvals_only=True)[::-1], 0.0))


def _wald_quadratic(design: SurveyDesign, table: _Table, replicates: ReplicateWeights | None) -> float:
    """Y'V^-1 Y of the residuals Y_ij = N_ij - N_i. N_.j / N_.. over i, j > 1, linearised in the cell totals."""
    grand = table.total.sum()
    by_row, by_column = table.total.sum(axis=1) / grand, table.total.sum(axis=0) / grand
    residual = (table.total - grand * np.outer(by_row, by_column))[1:, 1:].ravel()
    # d Y_ij / d N_ab = (1(a=i) - N_i./N) (1(b=j) - N_.j/N).
    slopes = np.kron((np.eye(len(by_row)) - by_row)[:, 1:], (np.eye(len(by_column)) - by_column)[:, 1:])
    variance = _covariance(design, table, slopes, replicates=replicates, of_shares=False)
    if np.linalg.matrix_rank(variance, hermitian=True) < len(residual):
        raise AxstatError(
            "sparse_table",
            where="Wald test of association",
            expected="residuals whose covariance has full rank",
            got="a singular one",
            hint="merge sparse levels, or use the F statistic",
        )
    return float((residual * np.linalg.solve(variance, residual)).sum())


def _covariance(
    design: SurveyDesign,
    table: _Table,
    combinations: FloatArray,
    *,
    replicates: ReplicateWeights | None,
    of_shares: bool,
) -> FloatArray:
    """Covariance ``(q, q)`` of linear ``combinations`` ``(K, q)`` of the K cell totals, or of the cell shares."""
    total = table.total.ravel()
    if replicates is not None:
        made = replicates.domain_totals([np.ones(len(table.cell))], table.cell, len(total))[1][:, :, 0]
        if of_shares:
            made, total = made / made.sum(axis=1, keepdims=True), total / total.sum()
        return replicates.covariance(made @ combinations, total @ combinations)
    if of_shares:
        combinations = (combinations - total @ combinations / total.sum()) / total.sum()
    weight = np.where(table.cell >= 0, design.weight, 0.0)
    return covariance(design, weight[:, None] * combinations[table.cell], used=table.complete)


def _degrees_of_freedom(design: SurveyDesign, inside: BoolArray) -> int:
    """PSUs minus strata of the subset, rows without weight included: what svychisq counts."""
    rows: IntArray = np.arange(design.n_rows) if design.calibrated else np.flatnonzero(inside)
    return len(np.unique(design.psu[rows])) - len(np.unique(design.stratum[rows]))


def _t_test(
    *,
    estimate: float,
    se: float,
    null: float,
    df: int,
    level: float,
    groups: tuple[str, ...],
    n: int,
    n_missing: int,
) -> TTest:
    status: TestStatus = "ok" if se > 0 and df > 0 else "no_variance" if df > 0 else "no_degrees_of_freedom"
    statistic = (estimate - null) / se if se > 0 else np.nan
    half = float(t_quantile(level, np.array(float(df)))) * se if status == "ok" else np.nan
    return TTest(
        estimate=estimate,
        se=se,
        null=null,
        statistic=statistic,
        df=df,
        p_value=float(2.0 * stats.t.sf(abs(statistic), df)) if status == "ok" else np.nan,
        low=estimate - half,
        high=estimate + half,
        level=level,
        groups=groups,
        n=n,
        n_missing=n_missing,
        status=status,
    )


def _no_rows(where: str) -> AxstatError:
    return AxstatError(
        "no_rows",
        where=where,
        expected="rows in the domain with the outcome present and weight above 0",
        got="none",
        hint="check the domain and the missing values of the columns named",
    )
