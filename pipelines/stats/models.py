"""Regression on survey data: linear, logistic and log-linear models with design-based standard errors.

Belongs here: a fitted model with its covariance under a design or by replicates, and what its reader must be told. Does
not belong here: the columns (model_matrix), the fit itself (scoring), tests of terms (hypothesis_tests), the variance
formula (variance, replication).

The model is R's ``svyglm``. Rounds go on until the deviance moves by less than 1e-14 of itself, so that estimates and
standard errors are right to 1e-9; R's default of 1e-8 leaves its standard errors off by up to some 1e-6
(``svyglm(..., control = glm.control(epsilon = 1e-14, maxit = 100))`` gives ours). A separated model has no estimate
to come near to: there R's default rule says where the rounds stop, before rounding takes over (with 1e-14
R's own answer changes with the order of the rows), and the result says so.

The covariance is that of the weighted influences X_i (y_i - mu_i)/mu'_i W_i A^-1 (W the working weights, A = X'WX,
both of the last round, mu after it), which goes through the design's variance like any other influence (Binder
1983).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import polars as pl
from scipy import stats

from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray
from pipelines.stats.design import SurveyDesign
from pipelines.stats.interval_formulas import t_quantile
from pipelines.stats.model_matrix import (
    check_columns,
    columns_of,
    labels_of,
    levels_of,
    model_matrix,
    numbers,
    refuse_rows,
)
from pipelines.stats.replication import ReplicateWeights
from pipelines.stats.scoring import (
    FAMILIES,
    LOGIT_BOUND,
    R_DEFAULT,
    TO_THE_END,
    Family,
    FamilyName,
    Fit,
    estimable_columns,
    fit_by_scoring,
    infinite_coefficients,
)
from pipelines.stats.terms import unknown_name
from pipelines.stats.variance import covariance, degrees_of_freedom

ModelStatus = Literal["ok", "separated", "not_converged", "perfect_fit", "no_degrees_of_freedom", "aliased"]

# A linear model whose residuals are below this share of the outcome fits it to rounding.
PERFECT = 1e-12


@dataclass(frozen=True, eq=False)
class ModelFit:
    """A fitted model. Arrays are ``(K,)``, one place a coefficient in R's order; NaN where R has NA.

    ``df`` is the design's degrees of freedom + 1 - the number of coefficients estimated. ``n`` counts the rows
    used (complete, weight above 0), ``n_missing`` the rows of the domain with weight that miss a value.
    ``infinite`` names coefficients whose estimate is infinite in truth: the data are separated, the
    number given is where R's rounds stop, and its standard error and test mean nothing. ``notes`` says in
    words what a reader must know; ``status`` is the gravest of them. A fit that did not converge, although its
    estimate is finite, has no standard errors (NaN).
    """

    family: FamilyName
    outcome: str
    names: tuple[str, ...]
    terms: tuple[str, ...]
    levels: Mapping[str, tuple[str, ...]]
    estimate: FloatArray
    covariance: FloatArray  # (K, K)
    df: int
    level: float
    n: int
    n_missing: int
    sum_weights: float
    deviance: float
    rounds: int
    infinite: tuple[str, ...]
    status: ModelStatus
    notes: tuple[str, ...]

    @property
    def se(self) -> FloatArray:
        """Standard errors."""
        return cast(FloatArray, np.sqrt(np.diag(self.covariance)))

    @property
    def statistic(self) -> FloatArray:
        """Estimate over standard error; NaN where that is 0."""
        se = self.se
        return cast(FloatArray, np.divide(self.estimate, se, out=np.full_like(se, np.nan), where=se > 0))

    @property
    def p_value(self) -> FloatArray:
        """Two-sided, t with ``df``; NaN where ``df`` is not above 0."""
        if self.df <= 0:
            return np.full(len(self.names), np.nan)
        return cast(FloatArray, 2.0 * stats.t.sf(np.abs(self.statistic), self.df))

    @property
    def interval(self) -> tuple[FloatArray, FloatArray]:
        """Wald limits at ``level``, t with ``df`` (R's ``confint``); NaN where there is no ``df`` or no variance."""
        half = np.where(self.se > 0, t_quantile(self.level, np.array(float(self.df))) * self.se, np.nan)
        return self.estimate - half, self.estimate + half

    def table(self, *, exponentiate: bool = False) -> pl.DataFrame:
        """One row a coefficient: name, term, estimate, se, df, statistic, p_value, low, high, infinite.

        Args:
            exponentiate: estimate and limits as odds ratios (binomial) or rate ratios (poisson); se,
                statistic and p_value stay those of the coefficient.
        """
        low, high = self.interval
        shown = np.exp if exponentiate else np.positive
        return pl.DataFrame(
            {
                "name": self.names,
                "term": self.terms,
                "estimate": shown(self.estimate),
                "se": self.se,
                "df": np.full(len(self.names), self.df),
                "statistic": self.statistic,
                "p_value": self.p_value,
                "low": shown(low),
                "high": shown(high),
                "infinite": [name in self.infinite for name in self.names],
            }
        )


def fit_model(
    frame: pl.DataFrame,
    design: SurveyDesign,
    *,
    outcome: str,
    terms: Sequence[str],
    family: FamilyName = "gaussian",
    intercept: bool = True,
    categorical: Sequence[str] = (),
    reference: Mapping[str, str] | None = None,
    offset: str | None = None,
    domain: BoolArray | None = None,
    replicates: ReplicateWeights | None = None,
    level: float = 0.95,
) -> ModelFit:
    """Fit a model to the rows of a domain: R's ``svyglm(outcome ~ terms, subset(design, domain), family)``.

    Args:
        frame: the rows ``(n,)`` of the design, in its order.
        outcome: numbers, booleans, or for 'binomial' a text of two values, of which the second in sorted order
            counts as 1.
        terms: column names, or ``a:b`` for the interaction of two of them. Text, boolean and named
            ``categorical`` columns are coded by treatment contrasts.
        family: 'gaussian' (identity link), 'binomial' (logit; R's quasibinomial gives the same), 'poisson' (log;
            likewise quasipoisson).
        reference: the reference level of a categorical column; else the first in sorted order.
        offset: a column added to the linear predictor.
        domain: rows ``(n,)`` of the domain; None is all.
        replicates: replicate weights; the covariance is theirs and df is R's degf of them.
        level: of the intervals.

    Raises:
        ViolationsError: naming columns (with the nearest name), levels or rows at fault.
        AxstatError: no row is left, or no start values are valid.
    """
    if frame.height != design.n_rows:
        raise ValueError(f"{frame.height} rows for a design of {design.n_rows}")
    chosen = FAMILIES.get(family)
    if chosen is None:
        raise ViolationsError("model", [unknown_name("unknown_family", "family", "a family", family, list(FAMILIES))])
    inside = np.ones(design.n_rows, dtype=np.bool_) if domain is None else domain
    check_columns(frame, [outcome, *columns_of(terms), *([] if offset is None else [offset])], where="model")
    refuse_rows(inside & (design.weight < 0), "negative_weight", "weights", "weights of 0 or more", "negative ones")
    weighted = inside & (design.weight > 0)
    y = _outcome(frame[outcome], rows=weighted, family=chosen)
    shift = np.zeros(design.n_rows) if offset is None else numbers(frame[offset], rows=weighted)
    present = np.isfinite(y) & np.isfinite(shift)
    matrix = model_matrix(
        frame,
        terms,
        rows=weighted & present,
        intercept=intercept,
        categorical=categorical,
        reference=reference or {},
    )
    complete = inside & present & matrix.complete
    acting = np.flatnonzero(complete & weighted)
    if len(acting) == 0:
        raise AxstatError(
            "no_rows",
            where=f"model of {outcome}",
            expected="rows in the domain with every value present and weight above 0",
            got="none",
            hint="check the domain and the missing values of the columns named",
        )
    x_all = matrix.values[acting]
    # R scales the weights to mean 1 over the rows of the (sub)design, which for a calibrated design is the whole
    # file: it sets the start values and, through the deviance, where the rounds stop.
    base = np.where(inside, design.weight, 0.0)
    kept_rows = design.n_rows if design.calibrated else int(inside.sum())
    prior = design.weight[acting] * (kept_rows / base.sum())
    estimable = estimable_columns(x_all * np.sqrt(prior)[:, None])
    x, outcome_values, offsets = x_all[:, estimable], y[acting], shift[acting]
    infinite = infinite_coefficients(x, outcome_values, family=chosen.name)
    rule = R_DEFAULT if infinite else TO_THE_END
    fitted = fit_by_scoring(x, outcome_values, prior, offsets, chosen, rule=rule)

    lost = 0
    degf = degrees_of_freedom(design, used=complete) if replicates is None else replicates.degrees_of_freedom(domain)
    if not fitted.converged and not infinite:
        estimable_covariance = np.full((len(estimable), len(estimable)), np.nan)
    elif replicates is None:
        influence = np.zeros((design.n_rows, len(estimable)))
        influence[acting] = (x * (fitted.working_residual * fitted.working_weight)[:, None]) @ fitted.inverse
        estimable_covariance = covariance(design, influence, used=complete)
    else:
        betas, lost = _replicate_coefficients(
            x, outcome_values, offsets, chosen, start=fitted.beta, replicates=replicates, rows=acting
        )
        estimable_covariance = replicates.covariance(betas, fitted.beta)

    estimate = np.full(len(matrix.names), np.nan)
    estimate[estimable] = fitted.beta
    whole = np.full((len(matrix.names), len(matrix.names)), np.nan)
    whole[np.ix_(estimable, estimable)] = estimable_covariance
    # What is left of an outcome that the model reproduces is rounding, and so would be its standard errors.
    perfect = chosen.name == "gaussian" and bool(
        np.abs(fitted.working_residual).max() <= PERFECT * np.abs(outcome_values).max()
    )
    if perfect:
        whole[np.ix_(estimable, estimable)] = 0.0
    df = degf + 1 - len(estimable)
    aliased = [name for index, name in enumerate(matrix.names) if index not in set(estimable)]
    infinite_names = tuple(matrix.names[estimable[index]] for index in infinite)
    status, notes = _judge(
        fitted, infinite=infinite_names, lost_replicates=lost, perfect=perfect, aliased=aliased, df=df
    )
    return ModelFit(
        family=chosen.name,
        outcome=outcome,
        names=matrix.names,
        terms=matrix.terms,
        levels=matrix.levels,
        estimate=estimate,
        covariance=whole,
        df=df,
        level=level,
        n=len(acting),
        n_missing=int((weighted & ~complete).sum()),
        sum_weights=float(design.weight[acting].sum()),
        deviance=fitted.deviance,
        rounds=fitted.rounds,
        infinite=infinite_names,
        status=status,
        notes=notes,
    )


def _replicate_coefficients(
    x: FloatArray,
    y: FloatArray,
    offset: FloatArray,
    family: Family,
    *,
    start: FloatArray,
    replicates: ReplicateWeights,
    rows: IntArray,
) -> tuple[FloatArray, int]:
    """Coefficients ``(R, K)`` of each replicate, from the full sample's on, and how many replicates are separated.

    ``rows`` ``(m,)`` are those of the model among the file's. The weights are scaled to sum 1, as R does. Only a
    replicate whose predictor leaves the bounds of the link is looked at for separation.
    """
    betas = np.empty((replicates.n_replicates, x.shape[1]))
    separated = 0
    for index in range(replicates.n_replicates):
        weight = replicates.base[rows] * replicates.factor[replicates.unit[rows], index]
        acting = weight > 0
        x_acting, y_acting, shift = x[acting], y[acting], offset[acting]
        share = weight[acting] / weight.sum()
        beta = fit_by_scoring(x_acting, y_acting, share, shift, family, rule=TO_THE_END, start=start).beta
        beyond = np.abs(x_acting @ beta + shift).max() > LOGIT_BOUND
        if beyond and infinite_coefficients(x_acting, y_acting, family=family.name):
            separated += 1
            beta = fit_by_scoring(x_acting, y_acting, share, shift, family, rule=R_DEFAULT, start=start).beta
        betas[index] = beta
    return betas, separated


def _judge(
    fitted: Fit, *, infinite: tuple[str, ...], lost_replicates: int, perfect: bool, aliased: list[str], df: int
) -> tuple[ModelStatus, tuple[str, ...]]:
    found: list[tuple[ModelStatus, str]] = []
    if infinite:
        found.append(
            (
                "separated",
                f"the data are separated: in truth the estimates of {', '.join(infinite)} are infinite; the numbers "
                "shown are where the rounds stopped, and their standard errors and tests mean nothing",
            )
        )
    elif lost_replicates:
        found.append(
            (
                "separated",
                f"{lost_replicates} replicates are separated: their estimates are infinite in truth, and the standard "
                "errors depend on where their rounds stopped",
            )
        )
    elif not fitted.converged:
        found.append(("not_converged", f"the deviance still moved after {fitted.rounds} rounds: no standard errors"))
    if perfect:
        found.append(("perfect_fit", "the model reproduces the outcome: there is no variance and no test"))
    if df <= 0:
        found.append(
            ("no_degrees_of_freedom", f"{df} degrees of freedom are left: standard errors without test or interval")
        )
    if aliased:
        found.append(("aliased", f"columns that others determine, left without estimate: {', '.join(aliased)}"))
    return (found[0][0] if found else "ok"), tuple(note for _, note in found)


def _outcome(column: pl.Series, *, rows: BoolArray, family: Family) -> FloatArray:
    if family.name == "binomial" and column.dtype in (pl.String, pl.Categorical, pl.Enum):
        levels = levels_of(column, rows)
        if len(levels) != 2:
            raise ViolationsError(
                "model",
                [
                    Violation(
                        "outcome_not_binary",
                        where=f"column {column.name!r}",
                        expected="two levels on the rows used",
                        got=", ".join(levels[:10]) or "none",
                        hint="recode the outcome to 0 and 1",
                    )
                ],
            )
        text = labels_of(column)
        return cast(FloatArray, (text == levels[1]).cast(pl.Float64).fill_null(np.nan).to_numpy())
    values = numbers(column, rows=rows)
    with np.errstate(invalid="ignore"):
        outside = rows & ((values < family.lowest) | (values > family.highest))
    refuse_rows(
        outside,
        "outcome_out_of_range",
        f"column {column.name!r}",
        f"values from {family.lowest:g} to {family.highest:g} for a {family.name} model",
        "others",
    )
    return values
