"""Bootstrap draws: numbers that belong to a unit for life, and the factors they give.

Belongs here: permanent random numbers, the signs of the generalised bootstrap and how they are carried from wave to
wave, the factors of a stratified sample, the rescaled bootstrap of a design. Does not belong here: the jackknife and
balanced factors (replication), what replicates do to weights (replicate_weighting), estimates.

Numbers. A number is a function of its key alone: survey, purpose, unit and replicate. It is made by SplitMix64
(Steele, Lea & Flood 2014, OOPSLA) from the first 64 bits of the unit's BLAKE2b digest, so it depends neither on other
units or the order of rows nor on process, machine or library version.

Generalised bootstrap (Bertail & Combris 1997; Beaumont & Patak 2012, Int. Stat. Rev. 80, 127-148). Unit i of stratum
h has the factor a_i = 1 + sqrt((1 - f) n/(n - 1)) (s_i - s̄_h)/tau, s_i its sign +1 or -1, each with probability a
half, independent of the others. The factors of a stratum have mean 1 in every replicate, and over the draws
Cov(a_i, a_j) = (1 - f) n/(n - 1) (δ_ij - 1/n)/tau². With V = tau²/R sum_r (theta_r - theta)² the expected variance
of a total is (1 - f) n/(n - 1) sum (z - z̄)² for each stratum: the linear variance, exactly. As |s_i - s̄_h| is at
most 2(n - 1)/n, a deviation is below 2/tau and with tau = 2.5 every factor is above 0: rates of replicates stay
between 0 and 1 and no class or post-stratum runs empty. Of all laws with mean 0 and variance 1 signs have the smallest
fourth moment, that is the least noise of V.

Waves. A unit keeps its sign in the next wave with probability |rho_h|, else it gets a new one; where rho_h is below 0
the kept sign is turned. Then E Cov of two totals is
sqrt(k1 k2) rho sum over the common units of (z1 - z̄1)(z2 - z̄2), k = (1 - f) n/(n - 1), z̄ over all units of the wave,
and :func:`keep_probability` says which rho gives it the expectation of C (method.md 3).
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.errors import AxstatError
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray, codes_in, summing
from pipelines.stats.design import SurveyDesign
from pipelines.stats.replication import ReplicateWeights
from pipelines.stats.stages import FULLY_ENUMERATED

TAU: Final = 2.5
"""Beaumont and Patak's tau: deviations of the factors from 1 are divided by it, standard errors multiplied."""

SEPARATOR: Final = "\x1f"
# Steele, Lea & Flood: the odd number next to 2^64 over the golden ratio, and the two multipliers of the mixer.
INCREMENT, MIX_1, MIX_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
SHIFT_1, SHIFT_2, SHIFT_3 = np.uint64(30), np.uint64(27), np.uint64(31)
# Rows that are hashed at once: small enough for the processor's cache.
HASH_ROWS: Final = 256

HashArray = npt.NDArray[np.uint64]


def permanent_numbers(labels: pl.Series, *, key: tuple[str, ...], replicates: int) -> FloatArray:
    """Numbers above 0 and below 1 of each label and replicate ``(n, R)``, 53 bits each.

    Args:
        labels: what has the numbers, e.g. unit_id; equal labels have equal numbers.
        key: what the numbers are for, e.g. survey and purpose: other keys give independent numbers.
        replicates: R; more of them leave the first ones as they are.
    """
    return (_hashes(labels, key, replicates) >> np.uint64(11)).astype(np.float64) * 2.0**-53 + 2.0**-54


def permanent_signs(labels: pl.Series, *, key: tuple[str, ...], replicates: int) -> BoolArray:
    """Whether the permanent number is below a half ``(n, R)``; True stands for the sign +1."""
    return _hashes(labels, key, replicates) < np.uint64(1 << 63)


def splitmix64(state: HashArray, count: int) -> HashArray:
    """The first ``count`` outputs ``(n, count)`` of SplitMix64 from each state ``(n,)``."""
    out = np.empty((len(state), count), dtype=np.uint64)
    steps = np.arange(1, count + 1, dtype=np.uint64) * INCREMENT
    for start in range(0, len(state), HASH_ROWS):
        z = out[start : start + HASH_ROWS]
        np.add(state[start : start + HASH_ROWS, None], steps, out=z)
        z ^= z >> SHIFT_1
        z *= MIX_1
        z ^= z >> SHIFT_2
        z *= MIX_2
        z ^= z >> SHIFT_3
    return out


def _hashes(labels: pl.Series, key: tuple[str, ...], count: int) -> HashArray:
    start = blake2b(digest_size=8)
    start.update((SEPARATOR.join(key) + SEPARATOR).encode())
    digests = []
    for label in labels.cast(pl.String).to_list():
        digest = start.copy()
        digest.update(label.encode())
        digests.append(digest.digest())
    return splitmix64(np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64), count)


@dataclass(frozen=True, eq=False)
class SignDraws:
    """The signs of one wave: ``sign`` ``(U, R)`` of the units ``unit_id`` ``(U,)``, True for +1."""

    unit_id: pl.Series
    sign: BoolArray

    @classmethod
    def from_bits(cls, unit_id: pl.Series, bits: pl.Series, *, replicates: int) -> "SignDraws":
        """From the binary column in which ``ReplicateWeighting.to_frames`` keeps the draws of each unit."""
        return cls(unit_id, unpacked(bits, replicates=replicates))


def packed(sign: BoolArray) -> list[bytes]:
    """The signs of each unit ``(U, R)`` as bits, the first replicate first."""
    return [row.tobytes() for row in np.packbits(sign, axis=1)]


def unpacked(bits: pl.Series, *, replicates: int) -> BoolArray:
    """The inverse of :func:`packed`, ``(U, R)``."""
    rows = np.frombuffer(b"".join(bits.to_list()), dtype=np.uint8).reshape(len(bits), -1)
    return np.unpackbits(rows, axis=1, count=replicates).astype(np.bool_)


def draw_signs(unit_id: pl.Series, *, labels: pl.Series, survey: str, replicates: int) -> SignDraws:
    """The signs of a first wave: by each unit's permanent number per (survey, unit, replicate).

    Args:
        unit_id: ``(U,)`` what units are found by in the next wave.
        labels: ``(U,)`` what their numbers come from, the ``draw_id``.
    """
    return SignDraws(unit_id, permanent_signs(labels, key=(survey, "sampling"), replicates=replicates))


def carry_signs(
    previous: SignDraws,
    unit_id: pl.Series,
    *,
    labels: pl.Series,
    survey: str,
    wave: int,
    keep: FloatArray | None = None,
) -> SignDraws:
    """The signs of a wave that follows another one.

    A unit's last sign is that of the previous wave, or by its permanent number where it was not in it. It is kept with
    probability ``|keep|`` (turned where keep is below 0), else drawn anew for this wave.

    Args:
        unit_id, labels: as for :func:`draw_signs`.
        keep: ``(U,)`` from :func:`keep_probability` by the unit's stratum; None keeps all.
    """
    replicates = previous.sign.shape[1]
    at = codes_in(unit_id, previous.unit_id)
    sign = draw_signs(unit_id, labels=labels, survey=survey, replicates=replicates).sign
    sign[at >= 0] = previous.sign[at[at >= 0]]
    if keep is None:
        return SignDraws(unit_id, sign)
    sign[keep < 0] = ~sign[keep < 0]
    some = np.flatnonzero(np.abs(keep) < 1.0)
    moved = labels.gather(some)
    number = permanent_numbers(moved, key=(survey, "keep", str(wave)), replicates=replicates)
    new = permanent_signs(moved, key=(survey, "new", str(wave)), replicates=replicates)
    sign[some] = np.where(number < np.abs(keep[some])[:, None], sign[some], new)
    return SignDraws(unit_id, sign)


def keep_probability(before: FloatArray, after: FloatArray, common: FloatArray, population: FloatArray) -> FloatArray:
    """rho by stratum ``(H,)``: with it the bootstrap covariance of two waves has the expectation of C.

    For a simple random sample of n1 of N units, n2 in the next wave and m in both, the sum over the common units of
    products of deviations from the means of each wave has expectation g S12 in units of z, g = m (1 - 1/n1 - 1/n2 +
    m/(n1 n2)), and C has (m - n1 n2/N) S12. So rho = (m - n1 n2/N)/(g sqrt(k1 k2)), below 0 where fewer units are
    common than in two independent samples. No joint draw has more than |rho| = 1; where the sampling fractions are
    small the formula asks for up to (n - m)/(n (n - 1)) more, which is left out. 0 without two common units and where
    a wave has no sampling variance.

    Args:
        before, after, common, population: n1, n2, m, N, ``(H,)`` each, as :class:`pipelines.stats.change.Overlap`
            counts them.
    """
    n1, n2, m = np.maximum(before, 1.0), np.maximum(after, 1.0), common
    shape = m * (1.0 - 1.0 / n1 - 1.0 / n2 + m / (n1 * n2))
    spread = np.sqrt(sampling_spread(before, population) * sampling_spread(after, population))
    asked = (m >= 2) & (shape * spread > 0)
    rho = (m - n1 * n2 / population) / np.where(asked, shape * spread, 1.0)
    return cast(FloatArray, np.where(asked, np.clip(rho, -1.0, 1.0), 0.0))


def sampling_spread(sampled: FloatArray, population: FloatArray) -> FloatArray:
    """(1 - f) n/(n - 1) by stratum ``(H,)``; 0 where it is taken whole or has one unit."""
    unsampled = 1.0 - sampled / population
    several = (sampled > 1) & (unsampled >= FULLY_ENUMERATED)
    return np.where(several, unsampled * sampled / np.maximum(sampled - 1.0, 1.0), 0.0)


def sampling_deviations(sign: BoolArray, stratum: IntArray, spread: FloatArray) -> FloatArray:
    """tau (a - 1) ``(n, R)`` of the generalised bootstrap; their sum in each stratum is 0.

    Args:
        sign: ``(n, R)`` of ALL sampled units of the strata.
        stratum: ``(n,)`` code 0..H-1.
        spread: ``(H,)`` (1 - f) n/(n - 1); 0 (a stratum taken whole) leaves its factors at 1.
    """
    value = sign.astype(np.float64)
    value *= 2.0
    count = np.maximum(np.bincount(stratum, minlength=len(spread)), 1).astype(np.float64)[:, None]
    mean = (summing(stratum, len(spread)) @ value) / count
    for start in range(0, len(value), HASH_ROWS):
        rows = slice(start, start + HASH_ROWS)
        value[rows] -= mean[stratum[rows]]
        value[rows] *= np.sqrt(spread)[stratum[rows], None]
    return value


def generalised_bootstrap(design: SurveyDesign, unit: pl.Series, draws: SignDraws) -> ReplicateWeights:
    """The generalised bootstrap of a design's primary units.

    Args:
        unit: ``(n,)`` label of the primary unit of each row of the design, the ``unit_id`` of the draws.

    Raises:
        AxstatError: lonely_psu 'adjust' or 'average' and a stratum with one PSU; PSUs without a draw, or of one label.
    """
    stage = design.stages[0]
    _refuse_lonely(design)
    first = np.zeros(stage.n_units, dtype=np.int64)
    first[stage.unit[::-1]] = np.arange(design.n_rows - 1, -1, -1)
    label = unit[first]
    at = codes_in(label, draws.unit_id)
    for code, wrong, got in (
        ("no_draw", label.filter(pl.Series(at < 0)), "none"),
        ("psu_label_repeated", label.filter(label.is_duplicated()).unique().sort(), "the same label in several strata"),
    ):
        if len(wrong):
            raise AxstatError(
                code,
                where=f"primary units {', '.join(wrong.cast(pl.String).head(10).to_list())}",
                expected="one draw for each primary unit",
                got=got,
                hint="draw signs for the labels of the primary units, distinct over the whole file",
            )
    spread = sampling_spread(stage.sampled.astype(np.float64), stage.population)
    factor = 1.0 + sampling_deviations(draws.sign[at], stage.stratum, spread) / TAU
    return ReplicateWeights.from_factors(design.weight, stage.unit, factor, scale=TAU**2 / factor.shape[1], mse=True)


def rescaled_bootstrap(design: SurveyDesign, *, survey: str, replicates: int) -> ReplicateWeights:
    """The rescaled bootstrap of Rao, Wu & Yue (1992), Survey Methodology 18, 209-217, with finite populations.

    In each replicate n_h - 1 of the n_h PSUs of a stratum are drawn with replacement; a PSU drawn k times has the
    factor 1 + sqrt(1 - f_h) (k n_h/(n_h - 1) - 1), which is never below 0. Over the draws the variance of a total is
    the linear one, exactly. Draws are numbered by stratum, so the order of rows does not matter; they are not carried
    from wave to wave (use :func:`generalised_bootstrap`). Strata of one PSU or taken whole have factor 1.

    Raises:
        AxstatError: lonely_psu 'adjust' or 'average' and a stratum with one PSU.
    """
    stage = design.stages[0]
    _refuse_lonely(design)
    first = np.argsort(stage.stratum, kind="stable")
    start = np.concatenate([[0], np.cumsum(stage.sampled)[:-1]])
    drawn = np.maximum(stage.sampled - 1, 0)
    stratum = np.repeat(np.arange(stage.n_strata), drawn)
    turn = np.arange(len(stratum)) - np.repeat(np.cumsum(drawn) - drawn, drawn)
    labels = [f"{design.stratum_labels[h]}{SEPARATOR}{t}" for h, t in zip(stratum, turn, strict=True)]
    number = permanent_numbers(pl.Series(labels, dtype=pl.String), key=(survey, "rescaled"), replicates=replicates)
    place = start[stratum][:, None] + (number * stage.sampled[stratum][:, None]).astype(np.int64)
    cell = first[place] * replicates + np.arange(replicates)
    times = np.bincount(cell.ravel(), minlength=stage.n_units * replicates).reshape(stage.n_units, replicates)
    root = np.where(stage.sampled > 1, np.sqrt(stage.unsampled_share), 0.0)[stage.stratum][:, None]
    factor = 1.0 + root * (times * stage.several[stage.stratum][:, None] - 1.0)
    return ReplicateWeights.from_factors(design.weight, stage.unit, factor, scale=1.0 / replicates, mse=True)


def _refuse_lonely(design: SurveyDesign) -> None:
    stage = design.stages[0]
    if stage.lonely.any() and design.lonely_psu in ("adjust", "average"):
        raise AxstatError(
            "no_bootstrap",
            where="bootstrap",
            expected="two PSUs or more in every stratum, or lonely_psu 'certainty' or 'remove'",
            got=f"lonely_psu '{design.lonely_psu}' and strata of one PSU",
            hint="collapse the strata",
        )
