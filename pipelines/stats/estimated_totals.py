"""Calibration to totals that are estimates themselves.

Belongs here: the part of a variance that comes from the totals. Does not belong here: the variance of the residuals
(variance), the calibration (calibration).

A calibrated estimate is the sum of its residuals plus B' T. With T from another, independent source of covariance V_T,
V = V_residual + B' V_T B: Dever & Valliant (2010), Survey Methodology 36(1), 45-56, for post-strata; Dever & Valliant
(2016), Journal of Survey Statistics and Methodology 4(3), 289-318, for the regression estimator.
"""

from dataclasses import replace

import numpy as np

from pipelines.errors import Violation
from pipelines.stats.arrays import FloatArray, divide, safe_divide
from pipelines.stats.calibration_problem import orthonormal
from pipelines.stats.linearization import Estimates, Linearized
from pipelines.stats.terms import TermsMatrix, raise_faults


def total_coefficients(
    influence: FloatArray, *, before: FloatArray, after: FloatArray, matrix: TermsMatrix
) -> FloatArray:
    """How estimates move with the totals: B ``(p, K)``, d theta / d T at the linearisation.

    The regression of the influences u/W on the terms by the weights before calibration: the one whose residuals
    make the variance (`residuals`). For one margin it is the weighted mean of u/W in each level. Where terms are
    redundant, the shortest of the equivalent solutions.

    Args:
        influence: ``(n, K)`` weighted influences (calibrated weight x influence), not yet residuals.
        before, after: ``(n,)`` weights.
        matrix: the calibration terms of the n rows.
    """
    d = matrix.sums(before[:, None])[:, 0]
    root = np.sqrt(d)[:, None]
    weighted = matrix.patterns * root
    norms = np.sqrt(np.square(weighted).sum(axis=0))
    norms = np.where(norms > 0, norms, 1.0)
    basis, triangle = orthonormal(weighted / norms)
    response = matrix.sums(before[:, None] * divide(influence, after[:, None]))
    solved = np.linalg.lstsq(triangle, basis.T @ divide(response, root), rcond=1e-10)[0]
    return np.asarray(solved / norms[:, None], dtype=np.float64)


def with_estimated_totals(
    estimates: Estimates,
    statistics: Linearized,
    totals_covariance: FloatArray,
    *,
    before: FloatArray,
    after: FloatArray,
    matrix: TermsMatrix,
) -> Estimates:
    """The estimates with B' V_T B added to their covariance, and design effects grown likewise.

    Args:
        estimates: of ``statistics``, on the calibrated design: their covariance is that of the residuals.
        totals_covariance: ``(p, p)`` covariance of the totals, terms in the order of the matrix; rows and columns of
            known totals are 0. The totals must be independent of the sample.
        before, after: ``(n,)`` weights before and after calibration.
        matrix: the calibration terms.

    Raises:
        ViolationsError: a covariance of another shape, that is not finite, not symmetric or has a negative variance
            in some direction.
    """
    raise_faults("estimated totals", _covariance_faults(totals_covariance, matrix.terms))
    B = total_coefficients(statistics.influence, before=before, after=after, matrix=matrix)
    covariance = estimates.covariance + B.T @ totals_covariance @ B
    grown = safe_divide(np.diagonal(covariance), estimates.variance)
    return replace(
        estimates, covariance=covariance, deff=estimates.deff * grown, deff_replace=estimates.deff_replace * grown
    )


def _covariance_faults(covariance: FloatArray, terms: tuple[str, ...]) -> list[Violation]:
    where, hint = "covariance of the totals", "mend the covariance of the source"
    size = len(terms)
    if covariance.shape != (size, size):
        return [
            Violation(
                "covariance_not_valid",
                where=where,
                expected=f"({size}, {size}), a row and a column for each of {', '.join(terms)}",
                got=str(covariance.shape),
                hint="give 0 for totals that are known",
            )
        ]
    if not np.isfinite(covariance).all():
        return [Violation("covariance_not_valid", where, "finite numbers", "others", hint)]
    largest = float(np.abs(covariance).max(initial=0.0))
    if np.abs(covariance - covariance.T).max(initial=0.0) > 1e-9 * largest:
        return [Violation("covariance_not_valid", where, "a symmetric matrix", "another", hint)]
    # On the scale of correlations, so that the units of the terms do not matter.
    scale = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    negative = [term for term, variance in zip(terms, np.diagonal(covariance).tolist(), strict=True) if variance < 0]
    scaled = divide(covariance, np.outer(scale, scale))
    unscaled = (covariance != 0) & (np.outer(scale, scale) == 0)
    if negative or unscaled.any() or np.linalg.eigvalsh(scaled)[0] < -1e-8:
        got = f"negative for {', '.join(negative)}" if negative else "a combination of totals with a negative variance"
        return [Violation("covariance_not_valid", where, "variances of 0 or more", got, hint)]
    return []
