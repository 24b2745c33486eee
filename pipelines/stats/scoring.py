"""Generalised linear models by Fisher scoring, and whether their estimates are finite.

Belongs here: families, the weighted fit, columns that others determine, separation. Does not belong here: standard
errors under a design (models), the making of columns (model_matrix).

The fit is that of R's ``glm.fit``: start values, bounds of the logistic link, stopping rule
|D - D_old| < epsilon (|D| + 0.1) on the deviance D. statsmodels' GLM is the second opinion of the tests and not the
fit: its start values ignore the prior weights, so that a separated model stops elsewhere than in R.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, cast

import numpy as np
import polars as pl
from scipy import linalg, optimize, special

from pipelines.errors import AxstatError
from pipelines.stats.arrays import FloatArray

FamilyName = Literal["gaussian", "binomial", "poisson"]

# The tolerance of rank that R's glm.fit derives from its default epsilon.
RANK_TOLERANCE = 1e-11

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
class Fit:
    """Where the rounds of a fit ended; n rows, K columns."""

    beta: FloatArray  # (K,)
    working_residual: FloatArray  # (n,)
    working_weight: FloatArray  # (n,) of the last round
    inverse: FloatArray  # (K, K) of X'WX of the last round
    deviance: float
    rounds: int
    converged: bool


# A step that runs away overflows; what is not finite then is seen and halved, or reported.
@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def fit_by_scoring(
    x: FloatArray,
    y: FloatArray,
    weight: FloatArray,
    offset: FloatArray,
    family: Family,
    *,
    rule: StoppingRule,
    start: FloatArray | None = None,
) -> Fit:
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
    return Fit(
        beta=beta,
        working_residual=(y - mu) / family.mean_slope(eta),
        working_weight=working,
        inverse=inverse_root @ inverse_root.T,
        deviance=deviance,
        rounds=rounds,
        # Rounding may keep a large file's deviance from settling to the last digits.
        converged=bool(change < R_DEFAULT.epsilon),
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


def estimable_columns(x: FloatArray) -> list[int]:
    """Columns that are no combination of earlier ones: R's limited pivoting with its tolerance."""
    kept: list[int] = []
    basis = np.empty_like(x)
    for index in range(x.shape[1]):
        column, before = x[:, index], basis[:, : len(kept)]
        rest = column - before @ (before.T @ column)
        rest = rest - before @ (before.T @ rest)
        norm = float(np.linalg.norm(rest))
        if norm > RANK_TOLERANCE * float(np.linalg.norm(column)):
            basis[:, len(kept)] = rest / norm
            kept.append(index)
    return kept


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


def _rank_deficient(triangle: FloatArray) -> bool:
    if not np.all(np.isfinite(triangle)):
        return True
    norms = np.linalg.norm(triangle, axis=0)
    return bool(np.any(np.abs(np.diag(triangle)) <= RANK_TOLERANCE * norms))
