"""Growth curves through a few rates known with error, for many series at once.

Belongs here: scales on which adoption grows in a straight line, generalised least squares on them, the process
variance, Bass's curve. Does not belong here: which curve is the headline, tables of projections, targets (projection).

Method (method.md 6), on a scale z = g(p): z = a + b t + u + e with Var(e) = V_z = D V D, D the slopes of g, and a
process u of the series itself: independent, Var(u) = tau^2 I, or a random walk,
Cov(u_i, u_j) = tau^2 min(t_i - t_0, t_j - t_0). With Omega the sum of both, c the covariance of u at a later year with
the points and v its variance, the best linear unbiased prediction is x'b + c'Omega^-1 (z - X b), with variance
v - c'Omega^-1 c + (x - X'Omega^-1 c)'(X'Omega^-1 X)^-1 (x - X'Omega^-1 c); c = 0 for the independent process.

Shapes: D series, T waves, Y years to predict. A series without a point at a wave has NaN there: the point gets a row
of 0 in X and its own row in Omega, so that it says nothing.
"""

from dataclasses import dataclass
from typing import Literal, Self, cast

import numpy as np

from pipelines.stats.arrays import BoolArray, FloatArray

Process = Literal["independent", "random_walk"]
ScaleName = Literal["logit", "gompertz"]

# A straight line and something to judge it by
FEWEST_POINTS = 3
# Bass (1969): what is adopted without any example, a year. The mean of 213 applications in Sultan, Farley and Lehmann,
# "A meta-analysis of applications of diffusion models" (1990); a start, imitation and innovation cannot all be told
# from three points.
INNOVATION = 0.03

# Grid on which the restricted likelihood is searched, then narrowed; tau in units of the scale
_TAU_GRID = np.concatenate([[0.0], np.geomspace(1e-3, 10.0, 60)])
_NARROWINGS = 40
# Restricted likelihoods closer than this are the same: rounding must not make a process of none
_SAME_LOSS = 1e-9
_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0
_BASS_STEPS = 60


@dataclass(frozen=True)
class Scale:
    """z = log(p/(K - p)) (``logit``) or -log(-log(p/K)) (``gompertz``), K the ceiling."""

    name: ScaleName = "logit"
    ceiling: float = 1.0

    def forward(self, p: FloatArray) -> FloatArray:
        """z of rates above 0 and below the ceiling; NaN elsewhere."""
        inside = np.where((p > 0) & (p < self.ceiling), p, np.nan) / self.ceiling
        if self.name == "logit":
            return np.log(inside) - np.log1p(-inside)
        return -np.log(-np.log(inside))

    def inverse(self, z: FloatArray) -> FloatArray:
        """p, between 0 and the ceiling."""
        with np.errstate(over="ignore"):
            if self.name == "logit":
                return self.ceiling / (1.0 + np.exp(-z))
            return self.ceiling * np.exp(-np.exp(-z))

    def slope(self, p: FloatArray) -> FloatArray:
        """dz/dp."""
        inside = np.where((p > 0) & (p < self.ceiling), p, np.nan)
        if self.name == "logit":
            return self.ceiling / (inside * (self.ceiling - inside))
        return -1.0 / (inside * np.log(inside / self.ceiling))


@dataclass(frozen=True, eq=False)
class Points:
    """What is known of the series: rates with the covariance of their sampling errors.

    Attributes:
        years: ``(T,)`` in rising order.
        rate: ``(D, T)`` above 0 and below 1, NaN where there is no point.
        covariance: ``(D, T, T)`` of the rates; entries of points that are not there are not read.
    """

    years: FloatArray
    rate: FloatArray
    covariance: FloatArray

    @property
    def present(self) -> BoolArray:
        """``(D, T)``."""
        return np.isfinite(self.rate)

    @property
    def count(self) -> FloatArray:
        """Points of each series ``(D,)``."""
        return cast(FloatArray, self.present.sum(axis=1).astype(np.float64))

    def upto(self, wave: int) -> Self:
        """The points a wave could know: up to its own."""
        known = self.years <= wave
        return type(self)(self.years[known], self.rate[:, known], self.covariance[:, known][:, :, known])

    def elapsed(self, years: FloatArray) -> FloatArray:
        """Years since each series' first point ``(D, len(years))``."""
        first = self.years[np.argmax(self.present, axis=1)]
        return cast(FloatArray, years[None, :] - first[:, None])

    def sampling(self, scale: Scale) -> tuple[FloatArray, FloatArray]:
        """z ``(D, T)`` and V_z ``(D, T, T)``; both 0 where there is no point."""
        slope = np.nan_to_num(scale.slope(self.rate))
        covariance = np.where(self.present[:, :, None] & self.present[:, None, :], self.covariance, 0.0)
        return np.nan_to_num(scale.forward(self.rate)), slope[:, :, None] * covariance * slope[:, None, :]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predictions on a scale. NaN for a series with too few points, or whose Omega is not positive definite.

    Attributes:
        centre, variance: ``(D, Y)`` of z at the years, process variance included.
        weights: ``(D, T, Y)``: what each point counts in each prediction.
    """

    scale: Scale
    centre: FloatArray
    variance: FloatArray
    weights: FloatArray


def predict(
    points: Points, years: FloatArray, *, scale: Scale, tau: FloatArray, process: Process = "independent"
) -> Prediction:
    """Generalised least squares of every series, carried on to ``years``.

    Args:
        tau: ``(D,)`` standard deviation of the process on the scale; a year's, for a random walk.
    """
    z, sampling = points.sampling(scale)
    omega = sampling + _process_covariance(points, tau, process)
    square = np.square(tau)[:, None]
    later = points.elapsed(years)
    shared = np.zeros((*points.rate.shape, len(years)))
    own = np.broadcast_to(square, later.shape)
    if process == "random_walk":
        earlier = np.minimum(points.elapsed(points.years)[:, :, None], later[:, None, :])
        shared = np.where(points.present[:, :, None], square[:, :, None] * earlier, 0.0)
        own = square * later
    inverse, fit, usable = _inverses(points, omega)
    x = np.stack([np.ones_like(later), later], axis=1)
    design = _design(points)
    kept = inverse @ shared
    residual = x - design.transpose(0, 2, 1) @ kept
    weights = kept + inverse @ design @ fit @ residual
    variance = own - np.sum(shared * kept, axis=1) + np.sum(residual * (fit @ residual), axis=1)
    blank = np.where(usable, 1.0, np.nan)
    return Prediction(
        scale=scale,
        centre=np.einsum("dty,dt->dy", weights, z) * blank[:, None],
        variance=np.maximum(variance, 0.0) * blank[:, None],
        weights=weights * blank[:, None, None],
    )


def process_deviation(points: Points, *, scale: Scale, process: Process = "independent") -> FloatArray:
    """tau ``(D,)`` of highest restricted likelihood (REML), 0 where the points scatter no more than their errors.

    NaN for series with fewer than three points. Found on a grid up to 10, then narrowed to about 1e-8 of its cell.
    """
    z, sampling = points.sampling(scale)

    def loss(tau: FloatArray) -> FloatArray:
        omega = sampling + _process_covariance(points, tau, process)
        inverse, fit, usable = _inverses(points, omega)
        design = _design(points)
        beta = fit @ design.transpose(0, 2, 1) @ inverse @ z[:, :, None]
        away = z[:, :, None] - design @ beta
        # The determinants of what is not there are 1.
        size = np.linalg.slogdet(inverse)[1] + np.linalg.slogdet(fit)[1]
        squares = (away.transpose(0, 2, 1) @ inverse @ away)[:, 0, 0]
        return cast(FloatArray, np.where(usable, squares - size, np.inf))

    rows = points.rate.shape[0]
    losses = np.stack([loss(np.full(rows, tau)) for tau in _TAU_GRID])
    best = np.argmin(losses, axis=0)
    low, high = _TAU_GRID[np.maximum(best - 1, 0)], _TAU_GRID[np.minimum(best + 1, len(_TAU_GRID) - 1)]
    for _ in range(_NARROWINGS):
        width = _GOLDEN * (high - low)
        left_is_better = loss(high - width) < loss(low + width)
        low, high = np.where(left_is_better, low, high - width), np.where(left_is_better, low + width, high)
    found = (low + high) / 2.0
    # At the lower end of the range 0 itself is a candidate.
    least = loss(found)
    found = np.where(loss(np.zeros(rows)) <= least + _SAME_LOSS * (1.0 + np.abs(least)), 0.0, found)
    return cast(FloatArray, np.where(points.count >= FEWEST_POINTS, found, np.nan))


def predict_bass(
    points: Points, years: FloatArray, *, tau: FloatArray, ceiling: float = 1.0, innovation: float = INNOVATION
) -> Prediction:
    """Bass's curve dF/dt = (m + q F)(1 - F), F = p/K, with innovation m given; q and the start by least squares.

    Gauss-Newton steps with Omega on the logit scale, the variance linearised there. NaN where the steps do not settle.
    """
    scale = Scale("logit", ceiling)
    z, sampling = points.sampling(scale)
    omega = sampling + _process_covariance(points, tau, "independent")
    inverse, _, usable = _inverses(points, omega)
    present = points.present
    elapsed = np.where(present, points.elapsed(points.years), 0.0)
    start = z[np.arange(len(z)), np.argmax(present, axis=1)]
    state = np.stack([start, np.full(len(start), 0.3)], axis=1)

    def losses(trial: FloatArray) -> FloatArray:
        away = np.where(present, z - _bass(trial, elapsed, innovation)[0], 0.0)
        with np.errstate(over="ignore", invalid="ignore"):
            return cast(FloatArray, np.einsum("dt,dtu,du->d", away, inverse, away))

    loss = losses(state)
    settled = np.zeros(len(state), dtype=bool)
    fit = np.tile(np.eye(2), (len(state), 1, 1))
    step = np.zeros_like(state)
    slopes = np.zeros((*z.shape, 2))
    for _ in range(_BASS_STEPS):
        at, slopes = _bass(state, elapsed, innovation)
        slopes = np.where(present[:, :, None], slopes, 0.0)
        away = np.where(present, z - at, 0.0)
        normal = slopes.transpose(0, 2, 1) @ inverse @ slopes
        sound = usable & np.isfinite(normal).all(axis=(1, 2)) & np.isfinite(loss)
        sound &= np.linalg.cond(np.where(sound[:, None, None], normal, np.eye(2))) < 1e13
        fit = np.linalg.inv(np.where(sound[:, None, None], normal, np.eye(2)))
        right = (slopes.transpose(0, 2, 1) @ inverse @ away[:, :, None])[:, :, 0]
        step = np.where(sound[:, None], (fit @ np.nan_to_num(right)[:, :, None])[:, :, 0], 0.0)
        for _ in range(30):  # halve a step that makes the fit worse
            worse = sound & ~(losses(state + step) <= loss * (1.0 + 1e-12) + 1e-300)
            if not worse.any():
                break
            step = np.where(worse[:, None], step / 2.0, step)
        state = state + step
        loss = losses(state)
        settled = sound & (np.abs(step).max(axis=1) < 1e-9)
        if (settled | ~sound).all():
            break
    centre, gradient = _bass(state, points.elapsed(years), innovation)
    weights = inverse @ slopes @ fit @ gradient.transpose(0, 2, 1)
    variance = np.einsum("dyi,dij,dyj->dy", gradient, fit, gradient) + np.square(tau)[:, None]
    settled &= np.isfinite(centre).all(axis=1)
    return Prediction(
        scale=scale,
        centre=np.where(settled[:, None], centre, np.nan),
        variance=np.where(settled[:, None], variance, np.nan),
        weights=np.where(settled[:, None, None], weights, np.nan),
    )


def _bass(state: FloatArray, elapsed: FloatArray, innovation: float) -> tuple[FloatArray, FloatArray]:
    """logit F ``(D, T)`` and its slopes in (logit F_0, q) ``(D, T, 2)``.

    (m + q F)/(1 - F) = E grows by e^{(m + q) t}, so that F = (E - m)/(E + q).
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        first = 1.0 / (1.0 + np.exp(-state[:, :1]))
        q = state[:, 1:]
        rate = innovation + q
        grown = np.exp(rate * elapsed)
        level = (innovation + q * first) / (1.0 - first) * grown
        share = (level - innovation) / (level + q)
        by_level = rate / np.square(level + q)
        by_first = by_level * rate / np.square(1.0 - first) * grown * first * (1.0 - first)
        by_q = by_level * (first / (1.0 - first) * grown + elapsed * level) - (level - innovation) / np.square(
            level + q
        )
        odds_slope = 1.0 / (share * (1.0 - share))
        inside = (share > 0) & (share < 1)
        z = np.where(inside, np.log(share / (1.0 - share)), np.nan)
        return z, np.stack([by_first * odds_slope, by_q * odds_slope], axis=2)


def _process_covariance(points: Points, tau: FloatArray, process: Process) -> FloatArray:
    """``(D, T, T)``, 0 for points that are not there."""
    both = points.present[:, :, None] & points.present[:, None, :]
    square = np.square(tau)[:, None, None]
    if process == "independent":
        return np.where(both, square * np.eye(len(points.years)), 0.0)
    elapsed = points.elapsed(points.years)
    return np.where(both, square * np.minimum(elapsed[:, :, None], elapsed[:, None, :]), 0.0)


def _design(points: Points) -> FloatArray:
    """X ``(D, T, 2)``: 1 and years since the first point."""
    elapsed = points.elapsed(points.years)
    return cast(
        FloatArray, np.where(points.present[:, :, None], np.stack([np.ones_like(elapsed), elapsed], axis=2), 0.0)
    )


def _inverses(points: Points, omega: FloatArray) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Omega^-1 ``(D, T, T)``, (X'Omega^-1 X)^-1 ``(D, 2, 2)``, and for which series both exist."""
    gone = ~points.present
    filled = omega + gone[:, :, None] * np.eye(len(points.years))
    values = np.linalg.eigvalsh(np.where(np.isfinite(filled), filled, 0.0))
    usable = np.isfinite(filled).all(axis=(1, 2)) & (values[:, 0] > 1e-12 * values[:, -1])
    usable &= points.count >= FEWEST_POINTS
    inverse = np.linalg.inv(np.where(usable[:, None, None], filled, np.eye(len(points.years))))
    design = _design(points)
    normal = design.transpose(0, 2, 1) @ inverse @ design
    return inverse, np.linalg.inv(np.where(usable[:, None, None], normal, np.eye(2))), usable
