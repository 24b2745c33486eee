"""Regression on survey data: linear, logistic and log-linear models with design-based standard errors.

Belongs here: model matrices from column names, the weighted fit, its covariance under a design or by
replicates, the detection of estimates that are infinite. Does not belong here: tests (hypothesis_tests), the
variance formula (linearization, replication).

The model is R's ``svyglm``. Its fit is Fisher scoring as in R's ``glm.fit``: start values, bounds of the logistic
link, stopping rule |D - D_old| < epsilon (|D| + 0.1) on the deviance D. epsilon is 1e-14, so that estimates
and standard errors are right to 1e-9; R's default of 1e-8 leaves its standard errors off by up to some 1e-6
(``svyglm(..., control = glm.control(epsilon = 1e-14, maxit = 100))`` gives ours). A separated model has no estimate
to come near to: there R's default rule decides where the rounds stop, before rounding noise takes over
(with 1e-14 R's own answer changes with the order of the rows), and the result says so. statsmodels' GLM
serves as the test's second opinion and not as the fit: its start values ignore the prior weights, so a separated
model stops elsewhere.

The covariance is that of the weighted influences X_i (y_i - mu_i)/mu'_i W_i A^-1 (W the working weights, A = X'WX, both
of the last round, mu after it), which goes through the design's variance like any other influence (Binder
1983).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, cast

import numpy as np
import polars as pl
from scipy import linalg, optimize, special, stats

from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray
from pipelines.stats.design import SurveyDesign
from pipelines.stats.intervals import t_quantile
from pipelines.stats.linearization import covariance, degrees_of_freedom
from pipelines.stats.replication import ReplicateWeights
from pipelines.stats.terms import row_numbers, unknown_name, whole_numbers

FamilyName = Literal["gaussian", "binomial", "poisson"]
ModelStatus = Literal["ok", "separated", "not_converged", "perfect_fit", "aliased", "no_degrees_of_freedom"]

INTERCEPT = "(Intercept)"

# The tolerance of rank that R's glm.fit derives from its default epsilon.
RANK_TOLERANCE = 1e-11
# A linear model whose residuals are below this share of the outcome fits it to rounding.
PERFECT = 1e-12

# R's logistic link is held at this distance from 0 and 1, beyond a linear predictor of 30 in size.
MACHINE = float(np.finfo(np.float64).eps)
LOGIT_BOUND = 30.0


@dataclass(frozen=True)
class StoppingRule:
    """When the rounds of a fit end: R's ``glm.control``."""

    epsilon: float
    rounds: int


TO_THE_END = StoppingRule(epsilon=1e-14, rounds=100)
R_DEFAULT = StoppingRule(epsilon=1e-8, rounds=25)


@dataclass(frozen=True)
class Family:
    """Distribution and link as R's family object gives them; every function acts on arrays ``(n,)``."""

    name: FamilyName
    highest: float
    lowest: float
    link: Callable[[FloatArray], FloatArray]
    mean: Callable[[FloatArray], FloatArray]
    mean_slope: Callable[[FloatArray], FloatArray]
    variance: Callable[[FloatArray], FloatArray]
    start: Callable[[FloatArray, FloatArray], FloatArray]
    """First means from (y, prior weight)."""
    deviance: Callable[[FloatArray, FloatArray], FloatArray]
    """Unit deviances of (y, mean)."""


def _logistic_mean(eta: FloatArray) -> FloatArray:
    odds = np.exp(np.clip(eta, -LOGIT_BOUND, LOGIT_BOUND))
    odds = np.where(eta < -LOGIT_BOUND, MACHINE, np.where(eta > LOGIT_BOUND, 1.0 / MACHINE, odds))
    return odds / (1.0 + odds)


def _logistic_slope(eta: FloatArray) -> FloatArray:
    odds = np.exp(np.clip(eta, -LOGIT_BOUND, LOGIT_BOUND))
    return cast(FloatArray, np.where(np.abs(eta) > LOGIT_BOUND, MACHINE, odds / np.square(1.0 + odds)))


def _log_mean(eta: FloatArray) -> FloatArray:
    # An overflow is caught by the halving of the step.
    with np.errstate(over="ignore"):
        return cast(FloatArray, np.maximum(np.exp(eta), MACHINE))


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "gaussian": Family(
            name="gaussian",
            lowest=-np.inf,
            highest=np.inf,
            link=lambda mu: mu,
            mean=lambda eta: eta,
            mean_slope=np.ones_like,
            variance=np.ones_like,
            start=lambda y, _: y,
            deviance=lambda y, mu: np.square(y - mu),
        ),
        "binomial": Family(
            name="binomial",
            lowest=0.0,
            highest=1.0,
            link=special.logit,
            mean=_logistic_mean,
            mean_slope=_logistic_slope,
            variance=lambda mu: mu * (1.0 - mu),
            start=lambda y, weight: (weight * y + 0.5) / (weight + 1.0),
            deviance=lambda y, mu: 2.0 * (special.rel_entr(y, mu) + special.rel_entr(1.0 - y, 1.0 - mu)),
        ),
        "poisson": Family(
            name="poisson",
            lowest=0.0,
            highest=np.inf,
            link=np.log,
            mean=_log_mean,
            mean_slope=_log_mean,
            variance=lambda mu: mu,
            start=lambda y, _: y + 0.1,
            deviance=lambda y, mu: 2.0 * (special.rel_entr(y, mu) - (y - mu)),
        ),
    }
)


@dataclass(frozen=True, eq=False)
class ModelMatrix:
    """Columns of a model: ``values`` ``(n, K)``, the R name of each and the term it comes from.

    ``complete`` ``(n,)`` marks the rows on which every term is present; the values elsewhere are 0. ``levels``
    holds the labels of each categorical column, the reference first.
    """

    values: FloatArray
    names: tuple[str, ...]
    terms: tuple[str, ...]
    levels: Mapping[str, tuple[str, ...]]
    complete: BoolArray


@dataclass(frozen=True, eq=False)
class ModelFit:
    """A fitted model. Arrays are ``(K,)``, one place a coefficient in R's order; NaN where R has NA.

    ``df`` is the design's degrees of freedom + 1 - the number of coefficients estimated. ``n`` counts the rows
    used (complete, weight above 0), ``n_missing`` the rows of the domain with weight that miss a value.
    ``infinite`` names coefficients whose estimate is infinite in truth: the data are separated, the
    number given is where R's rounds stop, and its standard error and test mean nothing. ``notes`` says in
    words what a reader must know; ``status`` is the gravest of them.
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
    check_columns(frame, [outcome, *_columns_of(terms), *([] if offset is None else [offset])], where="model")
    _refuse_rows(inside & (design.weight < 0), "negative_weight", "weights", "weights of 0 or more", "negative ones")
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
    estimable = _estimable(x_all * np.sqrt(prior)[:, None])
    x, outcome_values, offsets = x_all[:, estimable], y[acting], shift[acting]
    infinite = infinite_coefficients(x, outcome_values, family=chosen.name)
    rule = R_DEFAULT if infinite else TO_THE_END
    fitted = _fit(x, outcome_values, prior, offsets, chosen, rule=rule)

    lost = 0
    if replicates is None:
        influence = np.zeros((design.n_rows, len(estimable)))
        influence[acting] = (x * (fitted.working_residual * fitted.working_weight)[:, None]) @ fitted.inverse
        estimable_covariance = covariance(design, influence, used=complete)
        degf = degrees_of_freedom(design, used=complete)
    else:
        betas, lost = _replicate_coefficients(
            x, outcome_values, offsets, chosen, start=fitted.beta, replicates=replicates, rows=acting
        )
        estimable_covariance = replicates.covariance(betas, fitted.beta)
        degf = replicates.degrees_of_freedom(domain)

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


def model_matrix(
    frame: pl.DataFrame,
    terms: Sequence[str],
    *,
    rows: BoolArray,
    intercept: bool = True,
    categorical: Sequence[str] = (),
    reference: Mapping[str, str] | None = None,
) -> ModelMatrix:
    """Columns of a model as R's ``model.matrix`` names and orders them: main terms first, then interactions.

    Args:
        rows: the rows ``(n,)`` that count: levels are those found on them where every term is present.
        intercept: without it the first categorical term gets a column for each of its levels.
        categorical: numeric columns to be taken as labels.
        reference: reference level by column.

    Raises:
        ViolationsError: a column, a reference level or a main term of an interaction that is not there; a column
            of one level; a value that is not finite.
    """
    reference = reference or {}
    mains = [term for term in terms if ":" not in term]
    crosses = [term for term in terms if ":" in term]
    check_columns(frame, [*_columns_of(terms), *categorical, *reference], where="model")
    violations = [
        Violation(
            "interaction_without_main_terms",
            where=f"term {term!r}",
            expected="an interaction of two different columns that are terms themselves",
            got=f"terms {', '.join(mains) or 'none'}",
            hint="add both columns to the terms",
        )
        for term in crosses
        if len(set(term.split(":"))) != 2 or not set(term.split(":")) <= set(mains)
    ]
    violations += [
        Violation(
            "term_repeated", where=f"term {term!r}", expected="each term once", got="it again", hint="name it once"
        )
        for term in sorted({term for term in terms if list(terms).count(term) > 1})
    ]
    violations += [
        Violation(
            "reference_of_no_category",
            where=f"reference of {name!r}",
            expected="a categorical column among the terms",
            got="another column",
            hint="name it in the terms, and in categorical if it holds numbers",
        )
        for name in reference
        if name not in mains or not _is_categorical(frame, name, categorical)
    ]
    if violations:
        raise ViolationsError("model", violations)

    labels = {name for name in mains if _is_categorical(frame, name, categorical)}
    complete = np.ones(frame.height, dtype=np.bool_)
    numeric: dict[str, FloatArray] = {}
    for name in mains:
        if name in labels:
            complete &= labels_of(frame[name]).is_not_null().to_numpy()
        else:
            numeric[name] = numbers(frame[name], rows=rows)
            complete &= np.isfinite(numeric[name])
    coded: dict[str, tuple[FloatArray, list[str]]] = {}
    found_levels: dict[str, tuple[str, ...]] = {}
    full_first = not intercept
    for name in mains:
        if name not in labels:
            coded[name] = (np.where(complete, numeric[name], 0.0)[:, None], [name])
            continue
        levels = levels_of(frame[name], rows & complete)
        base = reference.get(name)
        if base is not None and base not in levels:
            violations.append(unknown_name("unknown_level", f"reference of {name!r}", "a level", base, levels))
            continue
        if base is not None:
            levels = [base, *(label for label in levels if label != base)]
        if len(levels) < 2:
            violations.append(
                Violation(
                    "single_level",
                    where=f"column {name!r}",
                    expected="at least two levels on the rows used",
                    got=", ".join(levels) or "none",
                    hint="drop the term or widen the domain",
                )
            )
            continue
        found_levels[name] = tuple(levels)
        shown = levels if full_first else levels[1:]
        full_first = False
        text = labels_of(frame[name])
        columns = [((text == label).fill_null(False).to_numpy() & complete).astype(np.float64) for label in shown]
        coded[name] = (np.column_stack(columns), [f"{name}{label}" for label in shown])
    if violations:
        raise ViolationsError("model", violations)

    blocks: list[FloatArray] = [np.ones((frame.height, 1))] if intercept else []
    names, owners = ([INTERCEPT], [INTERCEPT]) if intercept else ([], [])
    for term in [*mains, *crosses]:
        values, found = coded[term] if ":" not in term else _cross(*(coded[name] for name in term.split(":")))
        blocks.append(values)
        names += found
        owners += [term] * len(found)
    if not blocks:
        raise AxstatError(
            "empty_model", where="model", expected="an intercept or a term", got="neither", hint="name a term"
        )
    return ModelMatrix(
        values=np.hstack(blocks), names=tuple(names), terms=tuple(owners), levels=found_levels, complete=complete
    )


def infinite_coefficients(x: FloatArray, y: FloatArray, *, family: FamilyName) -> list[int]:
    """Columns of ``x`` ``(n, K)`` whose maximum-likelihood coefficient is infinite.

    The likelihood of a logistic model has no maximum when a direction g exists along which no row gets worse and
    some get better: (2 y_i - 1) x_i'g >= 0 for all i, > 0 for some (Albert and Anderson 1984); for a log-linear
    model x_i'g <= 0 where y is 0 and = 0 elsewhere (Correia, Guimaraes and Zylkin 2021). The direction is
    sought by a linear programme (Konis 2007) in the orthonormal basis of the columns. Rows enter as they are
    found to be violated, so that large files cost little.

    Returns:
        positions of the columns that the direction found moves; empty where the estimate is finite.
    """
    if family == "gaussian":
        return []
    distinct = pl.DataFrame(np.column_stack([x, y])).unique(maintain_order=True).to_numpy()
    x, y = distinct[:, :-1], distinct[:, -1]
    basis, triangle = np.linalg.qr(x)
    basis = basis * np.sqrt(len(y))
    toward = np.where(y == 0, -1.0, np.where((y == 1) & (family == "binomial"), 1.0, 0.0))
    tied, free = basis[toward == 0], basis[toward != 0] * toward[toward != 0, None]
    subspace = linalg.null_space(tied) if len(tied) else np.eye(x.shape[1])
    gains = free @ subspace
    if gains.size == 0:
        return []
    direction = _recession(gains)
    if direction is None:
        return []
    move = np.linalg.solve(triangle, subspace @ direction * np.sqrt(len(y)))
    size = np.abs(move) * np.sqrt(np.square(x).mean(axis=0))
    return [int(index) for index in np.flatnonzero(size > 1e-6 * size.max())]


def check_columns(frame: pl.DataFrame, names: Sequence[str], *, where: str) -> None:
    """Raise a ViolationsError that lists each name the frame lacks, with the nearest it has."""
    absent = [name for name in dict.fromkeys(names) if name not in frame.columns]
    if absent:
        known = frame.columns
        raise ViolationsError(
            where, [unknown_name("missing_column", where, "a column of the data", name, known) for name in absent]
        )


def labels_of(column: pl.Series) -> pl.Series:
    """Labels as R writes them: TRUE and FALSE, whole numbers without a fraction, NaN as missing."""
    if column.dtype.is_float():
        column = column.fill_nan(None)
    text = whole_numbers(column).cast(pl.String)
    return text.str.to_uppercase() if column.dtype == pl.Boolean else text


def levels_of(column: pl.Series, rows: BoolArray) -> list[str]:
    """Labels found on the rows, numbers in their order, text in that of its characters."""
    found = pl.DataFrame({"value": column, "text": labels_of(column)}).filter(pl.Series(rows)).drop_nulls("text")
    return cast("list[str]", found.unique("text").sort("value")["text"].to_list())


def numbers(column: pl.Series, *, rows: BoolArray) -> FloatArray:
    """The column as floats ``(n,)``, NaN where missing.

    Raises:
        ViolationsError: the column is no number or boolean, or is infinite on one of ``rows``.
    """
    if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        raise ViolationsError(
            "model",
            [
                Violation(
                    "not_numeric",
                    where=f"column {column.name!r}",
                    expected="numbers or booleans",
                    got=str(column.dtype),
                    hint="recode the column",
                )
            ],
        )
    values = cast(FloatArray, column.cast(pl.Float64).fill_null(np.nan).to_numpy())
    _refuse_rows(np.isinf(values) & rows, "not_finite", f"column {column.name!r}", "finite numbers", "an infinite one")
    return values


@dataclass(frozen=True, eq=False)
class _Fit:
    beta: FloatArray  # (K,)
    working_residual: FloatArray  # (n,)
    working_weight: FloatArray  # (n,) of the last round
    inverse: FloatArray  # (K, K) of X'WX of the last round
    deviance: float
    rounds: int
    converged: bool


def _fit(
    x: FloatArray,
    y: FloatArray,
    weight: FloatArray,
    offset: FloatArray,
    family: Family,
    *,
    rule: StoppingRule,
    start: FloatArray | None = None,
) -> _Fit:
    """Fisher scoring as R's ``glm.fit``; ``weight`` is above 0, ``x`` of full column rank.

    A round in which the working weights leave ``x`` without full rank ends it with NaN coefficients.
    """
    eta = family.link(family.start(y, weight)) if start is None else offset + x @ start
    mu = family.mean(eta)
    deviance = float((weight * family.deviance(y, mu)).sum())
    if not np.isfinite(deviance):
        raise AxstatError(
            "no_start_values",
            where=f"{family.name} model",
            expected="a finite deviance at the start",
            got="an infinite one",
            hint="check the outcome and the offset for extreme values",
        )
    previous = start
    change = np.inf
    triangle = np.eye(x.shape[1])
    working = weight
    beta: FloatArray = np.full(x.shape[1], np.nan)
    rounds = 0
    while rounds < rule.rounds:
        rounds += 1
        slope = family.mean_slope(eta)
        working = weight * np.square(slope) / family.variance(mu)
        root = np.sqrt(working)
        target = (eta - offset + (y - mu) / slope) * root
        orthogonal, triangle = np.linalg.qr(x * root[:, None])
        if _rank_deficient(triangle):
            beta, change = np.full(x.shape[1], np.nan), np.inf
            break
        beta = cast(FloatArray, np.linalg.solve(triangle, orthogonal.T @ target))
        eta = offset + x @ beta
        mu = family.mean(eta)
        old, deviance = deviance, float((weight * family.deviance(y, mu)).sum())
        halvings = 0
        while not np.isfinite(deviance) and previous is not None and halvings < rule.rounds:
            beta = (beta + previous) / 2.0
            eta = offset + x @ beta
            mu = family.mean(eta)
            deviance = float((weight * family.deviance(y, mu)).sum())
            halvings += 1
        change = abs(deviance - old) / (0.1 + abs(deviance))
        if change < rule.epsilon:
            break
        previous = beta
    inverse_root = np.linalg.inv(triangle) if np.all(np.isfinite(beta)) else triangle
    return _Fit(
        beta=beta,
        working_residual=(y - mu) / family.mean_slope(eta),
        working_weight=working,
        inverse=inverse_root @ inverse_root.T,
        deviance=deviance,
        rounds=rounds,
        # Rounding may keep a large file's deviance from settling to the last digits.
        converged=bool(change < R_DEFAULT.epsilon),
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
        beta = _fit(x_acting, y_acting, share, shift, family, rule=TO_THE_END, start=start).beta
        beyond = np.abs(x_acting @ beta + shift).max() > LOGIT_BOUND
        if beyond and infinite_coefficients(x_acting, y_acting, family=family.name):
            separated += 1
            beta = _fit(x_acting, y_acting, share, shift, family, rule=R_DEFAULT, start=start).beta
        betas[index] = beta
    return betas, separated


def _judge(
    fitted: _Fit, *, infinite: tuple[str, ...], lost_replicates: int, perfect: bool, aliased: list[str], df: int
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
        found.append(("not_converged", f"the deviance still moved after {fitted.rounds} rounds"))
    if perfect:
        found.append(("perfect_fit", "the model reproduces the outcome: there is no variance and no test"))
    if aliased:
        found.append(("aliased", f"columns that others determine, left without estimate: {', '.join(aliased)}"))
    if df <= 0:
        found.append(
            ("no_degrees_of_freedom", f"{df} degrees of freedom are left: standard errors without test or interval")
        )
    return (found[0][0] if found else "ok"), tuple(note for _, note in found)


def _recession(gains: FloatArray) -> FloatArray | None:
    """Direction d in [-1, 1]^q with ``gains @ d >= 0`` and the largest sum of gains; None if only 0 has that."""
    total = -gains.sum(axis=0) / len(gains)
    held = np.zeros(len(gains), dtype=np.bool_)
    held[np.linspace(0, len(gains) - 1, min(len(gains), 200)).astype(np.int64)] = True
    while True:
        found = optimize.linprog(total, A_ub=-gains[held], b_ub=np.zeros(int(held.sum())), bounds=(-1, 1))
        if not found.success:
            raise AxstatError(
                "separation_unknown",
                where="linear programme for infinite coefficients",
                expected="a solution",
                got=str(found.message),
                hint="scale the columns of the model",
            )
        gain = gains @ found.x
        # The programme keeps its constraints to 1e-7; the rows are scaled to mean square 1 by column.
        if found.fun > -1e-9 or gain.max() < 1e-5:
            return None
        worst = np.flatnonzero((gain < -1e-6) & ~held)
        if len(worst) == 0:
            return cast(FloatArray, found.x)
        held[worst[np.argsort(gain[worst])[:500]]] = True


def _estimable(x: FloatArray) -> list[int]:
    """Columns that are no combination of earlier ones: R's limited pivoting with its tolerance."""
    kept: list[int] = []
    basis = np.empty((len(x), 0))
    for index in range(x.shape[1]):
        column = x[:, index]
        rest = column - basis @ (basis.T @ column)
        rest = rest - basis @ (basis.T @ rest)
        norm = float(np.linalg.norm(rest))
        if norm > RANK_TOLERANCE * float(np.linalg.norm(column)):
            kept.append(index)
            basis = np.column_stack([basis, rest / norm])
    return kept


def _rank_deficient(triangle: FloatArray) -> bool:
    if not np.all(np.isfinite(triangle)):
        return True
    norms = np.linalg.norm(triangle, axis=0)
    return bool(np.any(np.abs(np.diag(triangle)) <= RANK_TOLERANCE * norms))


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
    _refuse_rows(
        outside,
        "outcome_out_of_range",
        f"column {column.name!r}",
        f"values from {family.lowest:g} to {family.highest:g} for a {family.name} model",
        "others",
    )
    return values


def _refuse_rows(rows: BoolArray, code: str, where: str, expected: str, got: str) -> None:
    if rows.any():
        raise ViolationsError(
            "model",
            [
                Violation(
                    code,
                    where=where,
                    expected=expected,
                    got=got,
                    hint="mend these rows or leave them out of the domain",
                    rows=row_numbers(rows),
                )
            ],
        )


def _columns_of(terms: Sequence[str]) -> list[str]:
    return [name for term in terms for name in term.split(":")]


def _is_categorical(frame: pl.DataFrame, name: str, categorical: Sequence[str]) -> bool:
    return name in categorical or not frame[name].dtype.is_numeric()


def _cross(first: tuple[FloatArray, list[str]], second: tuple[FloatArray, list[str]]) -> tuple[FloatArray, list[str]]:
    (a, a_names), (b, b_names) = first, second
    columns = [a[:, i] * b[:, j] for j in range(len(b_names)) for i in range(len(a_names))]
    return np.column_stack(columns), [f"{left}:{right}" for right in b_names for left in a_names]
