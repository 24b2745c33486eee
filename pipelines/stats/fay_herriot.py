"""The Fay-Herriot model of small domains: direct estimates with known sampling variances, and covariates.

Belongs here: REML, the empirical best linear unbiased predictor (EBLUP) and its mean squared error, for many data sets
of the same domains at once. Does not belong here: what is put in and on which scale (small_area).

Model. y_d = x_d' beta + v_d + e_d, v_d of variance s (sigma²_v, the same in all domains), e_d of the known variance
D_d, all independent and normal. EBLUP: x_d' b + gamma_d (y_d - x_d' b), gamma_d = s/(s + D_d), b by generalised least
squares at the s found. s is the root of the REML score
u(s) = y'P²y/2 - tr P/2, P = W - W X (X'WX)^-1 X'W, W = diag 1/(s + D), and 0 where u(0) <= 0. Adjusted (Li & Lahiri
2010, J. Multivar. Anal. 101, 882-892) it is the root of u(s) + 1/s, the maximum of s times the likelihood: always
above 0.
Mean squared error (Prasad & Rao 1990, J. Amer. Statist. Assoc. 85, 163-171; for REML Datta & Lahiri 2000, Statist.
Sinica 10, 613-627): g1 + g2 + 2 g3 with g1 = gamma D, g2 = (1 - gamma)² x'(X'WX)^-1 x,
g3 = D²/(s + D)³ 2/sum (s + D)^-2.
"""

from dataclasses import dataclass
from typing import Final, cast

import numpy as np

from pipelines.errors import AxstatError
from pipelines.stats.arrays import BoolArray, FloatArray

# Steps of the search for s; each at least halves the bracket, so that this many end it for every data set.
STEPS: Final = 200
RELATIVE_TOLERANCE: Final = 1e-12


@dataclass(frozen=True, eq=False)
class AreaModel:
    """Domains with known sampling variances and covariates; made by :meth:`build`. m domains, p columns.

    Methods take B data sets of these domains at once, ``y`` of shape ``(B, m)``.
    """

    variance: FloatArray  # (m,) D, above 0
    covariates: FloatArray  # (m, p) X, with a column of ones for the intercept

    @classmethod
    def build(cls, variance: FloatArray, covariates: FloatArray) -> "AreaModel":
        """Check and keep.

        Raises:
            AxstatError: a variance that is not above 0, covariates that are missing or depend on each other, or
                no more domains than covariates.
        """
        m, p = covariates.shape
        where = f"model of {m} small domains with {p} coefficients"
        if not (np.isfinite(variance) & (variance > 0)).all():
            raise AxstatError(
                "sampling_variance",
                where=where,
                expected="a sampling variance above 0 for every domain",
                got=", ".join(f"{value:.6g}" for value in variance),
                hint="leave domains out whose value is known, and smooth the variances of the others",
            )
        if m <= p or not np.isfinite(covariates).all() or np.linalg.matrix_rank(covariates) < p:
            raise AxstatError(
                "area_covariates",
                where=where,
                expected="more domains than coefficients, and covariates that do not depend on each other",
                got=f"rank {np.linalg.matrix_rank(np.nan_to_num(covariates))}",
                hint="name fewer covariates for small areas in the survey's contract",
            )
        return cls(variance=variance, covariates=covariates)

    def reml(self, y: FloatArray, *, adjusted: bool = False) -> FloatArray:
        """s of each data set ``(B,)``, 0 where the likelihood falls from there; ``adjusted`` needs m - p > 2."""
        low = np.zeros(len(y))
        score, information = self._score(y, low)
        positive = (score > 0) | adjusted
        high = np.maximum(np.var(y, axis=1), self.variance.max())
        rising = positive.copy()
        while rising.any():
            high = np.where(rising, 2.0 * high, high)
            rising = rising & (self._score(y, high)[0] + adjusted / high > 0)
        s = low
        for _ in range(STEPS):
            step = s + score / information
            step = np.where((step > low) & (step < high), step, (low + high) / 2.0)
            moved = np.where(positive, step, 0.0)
            done = np.abs(moved - s) <= RELATIVE_TOLERANCE * (moved + self.variance.min())
            s = moved
            if done.all():
                break
            score, information = self._score(y, s)
            if adjusted:
                score, information = score + 1.0 / s, information + 1.0 / np.square(s)
            low, high = np.where(score > 0, s, low), np.where(score > 0, high, s)
        return s

    def predict(self, y: FloatArray, s: FloatArray) -> "Prediction":
        """EBLUP and mean squared error at given s ``(B,)``."""
        x, d = self.covariates, self.variance
        total = s[:, None] + d
        inverse = np.linalg.inv(self._normal(1.0 / total)).astype(np.float64)
        beta = np.einsum("bij,jm,bm->bi", inverse, x.T, y / total)
        fitted = beta @ x.T
        gamma = s[:, None] / total
        of_s = 2.0 / np.square(1.0 / total).sum(axis=1, keepdims=True)
        leverage = np.einsum("mi,bij,mj->bm", x, inverse, x)
        return Prediction(
            s=s,
            beta=beta,
            beta_covariance=inverse,
            fitted=fitted,
            estimate=fitted + gamma * (y - fitted),
            gamma=gamma,
            residual=(y - fitted) / np.sqrt(total),
            g1=gamma * d,
            g2=np.square(1.0 - gamma) * leverage,
            g3=np.square(d) / total**3 * of_s,
        )

    def _normal(self, weight: FloatArray) -> FloatArray:
        """X'WX ``(B, p, p)`` of weights ``(B, m)``."""
        x = self.covariates
        return cast(FloatArray, np.einsum("mi,bm,mj->bij", x, weight, x))

    def _score(self, y: FloatArray, s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The REML score and the Fisher information of each data set at s, both ``(B,)``."""
        x = self.covariates
        weight = 1.0 / (s[:, None] + self.variance)
        wx = weight[:, :, None] * x
        projection = -np.einsum("bmi,bij,bnj->bmn", wx, np.linalg.inv(self._normal(weight)), wx, optimize=True)
        diagonal = np.arange(y.shape[1])
        projection[:, diagonal, diagonal] += weight
        py = np.einsum("bmn,bn->bm", projection, y)
        trace = projection[:, diagonal, diagonal].sum(axis=1)
        return (np.square(py).sum(axis=1) - trace) / 2.0, np.square(projection).sum(axis=(1, 2)) / 2.0


@dataclass(frozen=True, eq=False)
class Prediction:
    """EBLUPs of B data sets of m domains with what they are made of."""

    s: FloatArray  # (B,) sigma²_v
    beta: FloatArray  # (B, p)
    beta_covariance: FloatArray  # (B, p, p)
    fitted: FloatArray  # (B, m) x' b
    estimate: FloatArray  # (B, m)
    gamma: FloatArray  # (B, m) weight of the direct estimate
    residual: FloatArray  # (B, m) (y - x' b)/sqrt(s + D)
    g1: FloatArray  # (B, m) what is left of the domain's own effect
    g2: FloatArray  # (B, m) from beta
    g3: FloatArray  # (B, m) from s; counts twice in the mean squared error

    @property
    def mse(self) -> FloatArray:
        """Prasad and Rao's ``(B, m)``."""
        return self.g1 + self.g2 + 2.0 * self.g3

    @property
    def is_synthetic(self) -> BoolArray:
        """Data sets ``(B,)`` with s = 0: the EBLUP is the regression alone."""
        return cast(BoolArray, self.s == 0)
