"""Formulas of confidence intervals for estimates from complex samples, over whole arrays.

Belongs here: limits from an estimate, its variance and degrees of freedom. Does not belong here: which formula is used
and what is done where it fails (intervals).
"""

from typing import cast

import numpy as np
from scipy import special
from scipy.optimize import elementwise

from pipelines.stats.arrays import BoolArray, FloatArray

Limits = tuple[FloatArray, FloatArray]
# A standard error of at most this share of the estimate is the rounding of a structural zero.
NOISE = 1e-12

# R's glm.control: relative change of the deviance at which iteration stops, and the most iterations.
GLM_EPSILON, GLM_ITERATIONS = 1e-8, 25


def t_quantile(level: float, df: FloatArray) -> FloatArray:
    """Two-sided t quantile, e.g. 1.96 for level 0.95 and df = inf; NaN where df is not above 0."""
    usable = df > 0
    quantile = special.stdtrit(np.where(usable, df, 1.0), 1.0 - (1.0 - level) / 2.0)
    return cast(FloatArray, np.where(usable, quantile, np.nan))


def t_interval(estimate: FloatArray, variance: FloatArray, df: FloatArray, *, level: float = 0.95) -> Limits:
    """estimate ± t SE: R's ``confint(…, df=)`` and ``svyciprop(method="mean")``; df = inf gives the z interval.

    NaN where df is not above 0. Limits of a proportion may leave [0, 1], as in R.
    """
    half = t_quantile(level, df) * np.sqrt(variance)
    return estimate - half, estimate + half


def logit_interval(p: FloatArray, variance: FloatArray, df: FloatArray, *, level: float = 0.95) -> Limits:
    """Wald interval on the logit scale, t with df: R's ``svyciprop(method="xlogit")``.

    NaN where p is 0 or 1 or df is not above 0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = np.log(p / (1.0 - p))
        half = t_quantile(level, df) * np.sqrt(variance) / (p * (1.0 - p))
        low, high = special.expit(centre - half), special.expit(centre + half)
    inside = (p > 0) & (p < 1)
    return cast(FloatArray, np.where(inside, low, np.nan)), cast(FloatArray, np.where(inside, high, np.nan))


def asin_interval(p: FloatArray, variance: FloatArray, df: FloatArray, *, level: float = 0.95) -> Limits:
    """Wald interval of asin(sqrt(p)), t with df: R's ``svyciprop(method="asin")``.

    As in R, an angle that leaves [0, pi/2] is folded back by the square of its sine (:func:`angle_folds`).
    NaN where p is 0 or 1 or df is not above 0.
    """
    centre, half = angles(p, variance, df, level)
    return cast(FloatArray, np.square(np.sin(centre - half))), cast(FloatArray, np.square(np.sin(centre + half)))


def angle_folds(p: FloatArray, variance: FloatArray, df: FloatArray, *, level: float = 0.95) -> BoolArray:
    """Where a limit of :func:`asin_interval` is one that was folded back, so that it means little."""
    centre, half = angles(p, variance, df, level)
    return (centre - half < 0) | (centre + half > np.pi / 2.0)


def angles(p: FloatArray, variance: FloatArray, df: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    """The angle asin(sqrt(p)), and the half width of its interval; NaN where p is 0 or 1."""
    inside = (p > 0) & (p < 1)
    share = np.where(inside, p, np.nan)
    half = t_quantile(level, df) * np.sqrt(variance / (share * (1.0 - share))) / 2.0
    return cast(FloatArray, np.arcsin(np.sqrt(share))), half


def wilson_interval(p: FloatArray, n_effective: FloatArray, df: FloatArray, *, level: float = 0.95) -> Limits:
    """Score interval of Wilson (1927) with an effective sample size, t with df; df = inf is the classic one.

    The two q with |p - q| = t sqrt(q(1-q)/n). NaN where df is not above 0 or n is not above 0.
    """
    n = np.where(n_effective > 0, n_effective, np.nan)
    spread = np.square(t_quantile(level, df)) / n
    half = np.sqrt(spread * (p * (1.0 - p) + spread / 4.0))
    # Each limit by Vieta from the root that has no difference of near-equal terms: so that it is 0 at p = 0,
    # 1 at p = 1 and never beyond.
    low = np.square(p) / (p + spread / 2.0 + half)
    high = 1.0 - np.square(1.0 - p) / (1.0 - p + spread / 2.0 + half)
    return low, high


def likelihood_interval(
    p: FloatArray, variance: FloatArray, df: FloatArray, *, n: FloatArray, level: float = 0.95
) -> Limits:
    """The q whose Rao-Scott scaled deviance is t^2: R's ``svyciprop(method="likelihood")``.

    R profiles the intercept b = log(q/(1-q)) of a weighted logistic model. With one parameter the scaled
    weights cancel and its rule is 2 KL(p, q) (n-1)/n = t^2 V/(p(1-p)), KL the Kullback-Leibler divergence of
    two Bernoulli shares and (n-1)/n from the dispersion of R's Pearson residuals. Here b is solved for to
    rounding; R reads it off a spline through at most nineteen points and is less exact.

    Args:
        n: rows used. NaN where n is below 2, p is 0 or 1, V is not above 0 or df is not above 0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        threshold = np.square(t_quantile(level, df)) * variance / (p * (1.0 - p)) * n / (n - 1.0)
    solvable = (p > 0) & (p < 1) & (n > 1) & np.isfinite(threshold) & (threshold > 0)
    share, target = np.where(solvable, p, 0.5), np.where(solvable, threshold, 1.0)
    negentropy = -special.entr(share) - special.entr(1.0 - share)
    centre = special.logit(share)

    def excess(b: FloatArray, share: FloatArray, target: FloatArray, negentropy: FloatArray) -> FloatArray:
        # KL = negentropy - p log q - (1-p) log(1-q), with log(1-q) = -log(1+e^b) and log q = b + log(1-q).
        return 2.0 * (negentropy - share * b + np.logaddexp(0.0, b)) - target

    # log(1+e^b) is at least 0 and at least b: where p|b| alone reaches the target, so does the divergence.
    far = (target / 2.0 - negentropy) + 1.0
    limits = []
    for end in (-far / share, far / (1.0 - share)):
        bracket = (np.minimum(end, centre), np.maximum(end, centre))
        root = elementwise.find_root(excess, bracket, args=(share, target, negentropy)).x
        limits.append(cast(FloatArray, np.where(solvable, special.expit(root), np.nan)))
    return limits[0], limits[1]


def df_adjustment(n: FloatArray, df: FloatArray, *, level: float = 0.95) -> FloatArray:
    """(t_{n-1}/t_df)^2, by which Korn and Graubard shrink the effective sample size.

    1 where it cannot be had (n below 2 or df not above 0).
    """
    with np.errstate(invalid="ignore"):
        ratio = np.square(t_quantile(level, n - 1.0) / t_quantile(level, df))
    return cast(FloatArray, np.where(np.isfinite(ratio), ratio, 1.0))


def beta_interval(p: FloatArray, n_effective: FloatArray, *, level: float = 0.95) -> Limits:
    """Clopper-Pearson limits with an effective sample size; 0 at p = 0, 1 at p = 1.

    The formula of R's ``svyciprop(method="beta")``: beta quantiles with parameters (n p, n (1-p) + 1) and
    (n p + 1, n (1-p)).
    """
    tail = (1.0 - level) / 2.0
    yes, no = n_effective * p, n_effective * (1.0 - p)
    valid = np.isfinite(yes) & (n_effective > 0)
    safe_yes, safe_no = np.where(valid & (p > 0), yes, 1.0), np.where(valid & (p < 1), no, 1.0)
    low = special.betaincinv(safe_yes, np.where(valid, no, 1.0) + 1.0, tail)
    high = special.betaincinv(np.where(valid, yes, 1.0) + 1.0, safe_no, 1.0 - tail)
    low, high = np.where(p <= 0, 0.0, low), np.where(p >= 1, 1.0, high)
    return cast(FloatArray, np.where(valid, low, np.nan)), cast(FloatArray, np.where(valid, high, np.nan))


def effective_n(p: FloatArray, variance: FloatArray, n: FloatArray, kish_deff: FloatArray) -> FloatArray:
    """n* = p(1-p)/V; n / Kish deff where p is 0 or 1 or the variance is 0 (method.md 3)."""
    inside = (p > 0) & (p < 1) & (variance > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return cast(FloatArray, np.where(inside, p * (1.0 - p) / np.where(inside, variance, 1.0), n / kish_deff))


def korn_graubard_interval(
    p: FloatArray,
    variance: FloatArray,
    *,
    df: FloatArray,
    n: FloatArray,
    kish_deff: FloatArray,
    design_rows: FloatArray | None = None,
    level: float = 0.95,
) -> Limits:
    """Korn and Graubard (1998): beta limits with n*, df-adjusted by ``design_rows`` (None: ``n``).

    Where 0 < p < 1, V > 0 and df > 0 it is R's ``svyciprop(method="beta")``. At p = 0 or 1, or V = 0, n* is
    n / Kish deff; without degrees of freedom it is the smaller of the two and is not df-adjusted.
    """
    n_star = effective_n(p, variance, n, kish_deff)
    with np.errstate(divide="ignore", invalid="ignore"):
        n_star = np.where(df > 0, n_star, np.minimum(n_star, n / kish_deff))
    adjustment = df_adjustment(n if design_rows is None else design_rows, df, level=level)
    return beta_interval(p, n_star * adjustment, level=level)


def replicate_logits(shares: FloatArray, estimate: FloatArray) -> FloatArray:
    """log(p/(1-p)) of replicate shares as R's ``svyglm`` has them, for the variance ``logit`` uses.

    A share of 0 or 1 has no finite logit. R's iteration for it, begun at the logit of the full estimate, is
    stopped by the deviance at about -22 or 22; the same number is given here, so that intervals agree, but
    it measures R's stopping rule and nothing else.

    Args:
        shares: replicate shares, ``(R, …)``; NaN where a replicate has none.
        estimate: the full sample's shares, ``(…)``.

    Returns:
        logits ``(R, …)``; NaN where the share or the full estimate's logit has none.
    """
    start = np.broadcast_to(special.logit(estimate), shares.shape)
    logits = special.logit(shares)
    bound = np.isinf(logits) & np.isfinite(start)
    # Seen from the bound: x = logit of the distance to it, which Newton's step lowers by 1/(1 - expit(x)).
    sign = np.where(shares[bound] > 0.5, -1.0, 1.0)
    x = sign * start[bound]
    deviance = 2.0 * np.logaddexp(0.0, x)
    moving = np.ones(x.shape, dtype=np.bool_)
    for _ in range(GLM_ITERATIONS):
        x = np.where(moving, x - 1.0 - np.exp(np.where(moving, x, 0.0)), x)
        after = 2.0 * np.logaddexp(0.0, x)
        moving = moving & (np.abs(after - deviance) / (np.abs(after) + 0.1) >= GLM_EPSILON)
        deviance = after
    logits[bound] = sign * x
    return cast(FloatArray, np.where(np.isfinite(start), logits, np.nan))
