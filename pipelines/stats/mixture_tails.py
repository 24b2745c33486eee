"""Upper tails of weighted sums of chi-squares, which Rao-Scott and Wald tests are held against.

Belongs here: the exact series, the saddlepoint approximation, the two-moment stand-in. Does not belong here: the tests
(hypothesis_tests).
"""

from typing import cast

import numpy as np
from scipy import optimize, stats

from pipelines.errors import AxstatError
from pipelines.stats.arrays import FloatArray

# A design effect below this share of the largest, or a mean deviation below this share of the values, is rounding.
NEGLIGIBLE = 1e-12
# The series for a sum of chi-squares takes some 33 terms times the largest over the smallest weight.
WIDEST_SPREAD = 5_000.0
# A saddlepoint this close to 0 says nothing (R's bound): the two-moment approximation stands in.
SADDLEPOINT_AT_MEAN = 1e-4


def mixture_tail(x: float, weights: FloatArray, *, denominator_df: float = np.inf) -> float:
    """P(sum_j a_j C_j > x), C_j independent chi-squares of one degree of freedom; all a_j at least 0.

    With ``denominator_df`` d the right side is x C_d / d, an F-like ratio (R's ``pFsum``). By the series of Ruben
    (1962): the sum is a mixture, with weights c_k at least 0 that add up to 1, of chi-squares of q + 2k degrees
    of freedom times b = min a, where c_0 = prod (b/a_j)^(1/2) and
    c_k = sum_{r<k} c_r sum_j (1 - b/a_j)^(k-r) / (2k). It holds the relative error of small
    tails near 1e-12; R's integration has an absolute one of 1e-7.

    Raises:
        AxstatError: the a_j span a factor of more than WIDEST_SPREAD.
    """
    # Rounding noise of a weight that is 0 would make the series endless.
    a = weights[weights > NEGLIGIBLE * weights.max(initial=0.0)]
    if len(a) == 0:
        return float(x < 0)
    if x <= 0:
        return 1.0
    smallest, largest = float(a.min()), float(a.max())
    if largest > WIDEST_SPREAD * smallest:
        raise AxstatError(
            "design_effects_too_far_apart",
            where="sum of chi-squares",
            expected=f"design effects within a factor of {WIDEST_SPREAD:g}",
            got=f"{smallest:g} to {largest:g}",
            hint="use the saddlepoint statistic",
        )
    ratio = 1.0 - smallest / a
    slowest = float(ratio.max())
    # The first term may be tiny where there are many weights: terms are kept relative to it.
    log_first = 0.5 * float(np.log(smallest / a).sum())
    term, k, tail = 1.0, 0, 0.0
    sums = np.zeros_like(ratio)
    block = np.empty(1000)
    while True:
        for index in range(len(block)):
            block[index] = term
            sums = ratio * (sums + term)
            k += 1
            term = float(sums.sum()) / (2.0 * k)
        df = len(a) + 2.0 * np.arange(k - len(block), k, dtype=np.float64)
        tail += float(block @ _scaled_tail(x / smallest, df, denominator_df))
        # From here on each term is at most ``growth`` times the one before, and its chi-square's tail at most 1.
        growth = slowest * (1.0 + len(a) / (2.0 * k))
        if growth < 1.0 and term / (1.0 - growth) <= 1e-14 * tail:
            return float(min(np.exp(log_first) * tail, 1.0))


def saddlepoint_tail(x: float, weights: FloatArray, *, denominator_df: float = np.inf) -> float:
    """The tail of :func:`mixture_tail` by the saddlepoint approximation of Kuonen (1999), as R has it.

    R repeats the denominator's term floor(d) times; where the saddlepoint is within 1e-4 of 0 it falls back on two
    moments (Satterthwaite). Both are kept.
    """
    a = weights[weights > 0]
    counts = np.ones(len(a))
    if np.isfinite(denominator_df):
        coefficients = np.append(a, -x / denominator_df)
        counts = np.append(counts, np.floor(denominator_df) if denominator_df > 1 else 1.0)
        x_left = 0.0
    else:
        coefficients, x_left = a, x
    largest = float(coefficients.max())
    coefficients, x_left = coefficients / largest, x_left / largest

    def slope(zeta: float) -> float:
        return float((counts * coefficients / (1.0 - 2.0 * zeta * coefficients)).sum()) - x_left

    if (coefficients < 0).any():
        low = float((1.0 / (2.0 * coefficients[coefficients < 0])).max())
    elif x_left > float((counts * coefficients).sum()):
        low = -0.01
    else:
        low = -float(counts.sum()) / (2.0 * x_left)
    edge = 1.0 - 1e-12
    zeta = float(optimize.brentq(slope, low * edge, 0.5 * edge, xtol=1e-300, rtol=4 * np.finfo(np.float64).eps))
    if abs(zeta) < SADDLEPOINT_AT_MEAN:
        mean, square = float(a.mean()), float(np.square(a).mean())
        df = len(a) * mean**2 / square
        scale = square / mean
        return float(_scaled_tail(x / scale, np.full(1, df), denominator_df)[0])
    cumulant = -0.5 * float((counts * np.log1p(-2.0 * zeta * coefficients)).sum())
    curvature = 2.0 * float((counts * np.square(coefficients / (1.0 - 2.0 * zeta * coefficients))).sum())
    w = np.sign(zeta) * np.sqrt(2.0 * (zeta * x_left - cumulant))
    v = zeta * np.sqrt(curvature)
    return float(stats.norm.sf(w + np.log(v / w) / w))


def _scaled_tail(x: float, df: FloatArray, denominator_df: float) -> FloatArray:
    """P(C_df > x), or P(C_df > x C_d / d)."""
    if np.isinf(denominator_df):
        return cast(FloatArray, stats.chi2.sf(x, df))
    return cast(FloatArray, stats.f.sf(x / df, df, denominator_df))
