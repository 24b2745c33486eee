"""Loops over the rows of a long file, compiled by numba: numpy would read and write every column many times.

Belongs here: sums in one pass over the rows, as plain loops on arrays. Does not belong here: where the rows come from,
what the sums mean (row_sums). Importing it takes a third of a second: only what reads rows imports it, and only then.
"""

from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.numpy_support import carray

from pipelines.stats.arrays import FloatArray, IntArray

_INTEGERS = types.Array(types.int64, 1, "C", readonly=True)
_NUMBERS = types.Array(types.float64, 1, "C", readonly=True)
_TABLE = types.Array(types.float64, 2, "C", readonly=True)
# Units whose cells are multiplied together, and replicates: their factors stay in the processor's cache
BLOCK, LANES = 64, 128
# Where each unit starts, its stratum; domain and weight of each row
_ROWS = (_INTEGERS, _INTEGERS, _INTEGERS, _NUMBERS)


def _as_pointer(typing: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), generate


# The memory at an address, in compiled code
_pointer: Any = intrinsic(_as_pointer)


def _compiled(*arguments: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """As machine code that lets other threads run; kept for later processes where there is a place for it.

    Compiled for one form of arguments, arrays that may not be written to among them: each other form would cost a
    second of its own.
    """
    signature = types.void(*arguments)

    def compiled(loop: Callable[..., None]) -> Callable[..., None]:
        # A product is added without rounding it first, where the processor can
        options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
        try:
            made = numba.njit(signature, cache=True, **options)(loop)
        except RuntimeError:  # numba has no folder to write to: compiled anew in each process
            made = numba.njit(signature, **options)(loop)
        return cast(Callable[..., None], made)

    return compiled


@_compiled(*_ROWS, _INTEGERS, _TABLE, types.boolean, types.float64[:, :, ::1], types.float64[:, :, :, ::1])
def add_complete(
    start: IntArray,
    stratum: IntArray,
    domain: IntArray,
    weight: FloatArray,
    columns: IntArray,
    about: FloatArray,
    spread: bool,
    shared: FloatArray,
    own: FloatArray,
) -> None:
    """Add up K measures without missing values or denominators; a value that is not finite spoils its measure's sums.

    Args:
        start: first row of each of P units, and the end ``(P + 1,)``; ``stratum`` is theirs ``(P,)``.
        domain: 0..D-1 of each row ``(m,)``, -1 for none. weight: ``(m,)``.
        columns: where the m values of each measure stand in memory ``(K,)``, so that no column is copied.
        about: what is taken off them in each domain ``(D, K)``.
        shared: ``(D, H, 6)``, added to: n, weight, units, acting, bottom_bottom, row_bottom_bottom.
        own: ``(D, H, K, 4)``, added to: top, top_top, top_bottom, row_top_top.
    """
    n_domains, measures = about.shape
    rows = np.zeros(n_domains, dtype=np.int64)  # of a unit
    cell = np.zeros((n_domains, 3))  # of a unit: acting rows, w, w^2
    tops, squares = np.zeros((n_domains, measures)), np.zeros((n_domains, measures))  # wy, wy^2
    plain, length = not (spread or about.any()), len(domain)
    there = np.empty(n_domains + 1, dtype=np.int64)
    for unit in range(len(stratum)):
        found = 0
        for row in range(start[unit], start[unit + 1]):
            d = domain[row]
            if d < 0:
                continue
            # Without an if, which the processor would guess wrong for every third row of domains at random
            there[found] = d
            found += rows[d] == 0
            rows[d] += 1
            w = weight[row]
            cell[d, 0] += w != 0.0
            cell[d, 1] += w
            cell[d, 2] += w * w
            if plain:
                for k in range(measures):
                    tops[d, k] += w * carray(_pointer(columns[k]), length, np.float64)[row]
                continue
            for k in range(measures):
                value = carray(_pointer(columns[k]), length, np.float64)[row] - about[d, k]
                tops[d, k] += w * value
                if spread:
                    squares[d, k] += w * value * value
        h = stratum[unit]
        for place in range(found):
            d = there[place]
            bottom = cell[d, 1]
            shared[d, h, 0] += cell[d, 0]
            shared[d, h, 1] += bottom
            shared[d, h, 2] += 1.0
            shared[d, h, 3] += cell[d, 0] > 0.0
            shared[d, h, 4] += bottom * bottom
            shared[d, h, 5] += cell[d, 2]
            rows[d] = 0
            for column in range(3):
                cell[d, column] = 0.0
            for k in range(measures):
                top = tops[d, k]
                own[d, h, k, 0] += top
                own[d, h, k, 1] += top * top
                own[d, h, k, 2] += top * bottom
                tops[d, k] = 0.0
            if spread:
                for k in range(measures):
                    own[d, h, k, 3] += squares[d, k]
                    squares[d, k] = 0.0


@_compiled(*_ROWS, _NUMBERS, _NUMBERS, _NUMBERS, types.float64[:, :, ::1])
def add_measure(
    start: IntArray,
    stratum: IntArray,
    domain: IntArray,
    weight: FloatArray,
    y: FloatArray,
    x: FloatArray,
    about: FloatArray,
    sums: FloatArray,
) -> None:
    """Add the sums of one measure, in the order of ``row_sums.SUMS``, to ``sums (D, H, 11)``.

    Args:
        start: first row of each of P units, and the end ``(P + 1,)``; ``stratum`` is theirs ``(P,)``.
        domain: 0..D-1 of each row ``(m,)``, -1 for none. weight: ``(m,)``.
        y: the measure ``(m,)``, not finite where it is missing. x: its denominator ``(m,)``, or none ``(0,)``: then 1.
        about: what is taken off y, times x, in each domain ``(D,)``.
    """
    n_domains = len(about)
    ratio = len(x) > 0
    cell = np.zeros((n_domains, 7))  # of a unit: rows, acting rows, w, wy, wx, (wx)^2, wy^2
    there = np.empty(n_domains + 1, dtype=np.int64)
    for unit in range(len(stratum)):
        found = 0
        for row in range(start[unit], start[unit + 1]):
            d = domain[row]
            if d < 0:
                continue
            over = x[row] if ratio else 1.0
            value = y[row] - about[d] * over
            if not (np.isfinite(value) and np.isfinite(over)):
                continue
            there[found] = d
            found += cell[d, 0] == 0.0
            w = weight[row]
            cell[d, 0] += 1.0
            cell[d, 1] += w != 0.0
            cell[d, 2] += w
            cell[d, 3] += w * value
            cell[d, 4] += w * over
            cell[d, 5] += w * over * w * over
            cell[d, 6] += w * value * value
        for place in range(found):
            d = there[place]
            top, bottom = cell[d, 3], cell[d, 4]
            into = sums[d, stratum[unit]]
            into[0] += cell[d, 1]
            into[1] += cell[d, 2]
            into[2] += 1.0
            into[3] += cell[d, 1] > 0.0
            into[4] += top
            into[5] += bottom
            into[6] += top * top
            into[7] += top * bottom
            into[8] += bottom * bottom
            into[9] += cell[d, 5]
            into[10] += cell[d, 6]
            for column in range(7):
                cell[d, column] = 0.0


@_compiled(*_ROWS, _INTEGERS, _NUMBERS, _TABLE, types.float64[:, :, :, ::1])
def add_replicates(
    start: IntArray,
    unit: IntArray,
    domain: IntArray,
    weight: FloatArray,
    columns: IntArray,
    whole: FloatArray,
    factor: FloatArray,
    totals: FloatArray,
) -> None:
    """Add up K columns with the weights of R replicates, and as replicate R with those of the full sample.

    A block of units at a time: their sums by domain, then those times their factors, a domain and LANES replicates at a
    time. Only pairs of a unit and a domain that are there cost anything. Four units and two columns go together: then
    the processor multiplies as fast as it can, and does not wait for its cache.

    Args:
        start: first row of each of P units, and the end ``(P + 1,)``; ``unit`` is their row of the factors ``(P,)``.
        domain: 0..D-1 of each row ``(m,)``, -1 for none. weight: what the factors are multiplied by ``(m,)``.
        columns: where the m values of each column stand in memory ``(K,)``.
        whole: factor of the full sample ``(U,)``. factor: those of the replicates ``(U, R)``.
        totals: added to, replicate r of column k at ``[r // LANES, :, k, r % LANES]``: ``(T, D, K, LANES)``, or one
            column more where K is odd.
    """
    tiles, n_domains, wide, _ = totals.shape
    pairs = totals.reshape(tiles, n_domains, wide // 2, 2 * LANES)
    measures, replicates, length = len(columns), factor.shape[1], len(domain)
    factors = np.zeros((tiles, BLOCK, LANES))
    sums = np.zeros((n_domains, wide))  # of a unit
    rows = np.zeros(n_domains, dtype=np.int64)  # of a unit
    there = np.empty(n_domains + 1, dtype=np.int64)
    # Cells of a block, domain by domain: as many as it has units, in each domain
    cells = np.zeros(n_domains, dtype=np.int64)
    place = np.empty((n_domains, BLOCK), dtype=np.int64)
    cell = np.empty((n_domains, BLOCK, wide))
    for first in range(0, len(unit), BLOCK):
        cells[:] = 0
        for at in range(min(BLOCK, len(unit) - first)):
            found = 0
            for row in range(start[first + at], start[first + at + 1]):
                d = domain[row]
                if d < 0:
                    continue
                # Without an if, as in add_complete
                there[found] = d
                found += rows[d] == 0
                rows[d] += 1
                for k in range(measures):
                    sums[d, k] += weight[row] * carray(_pointer(columns[k]), length, np.float64)[row]
            for number in range(found):
                d = there[number]
                place[d, cells[d]] = at
                cell[d, cells[d]] = sums[d]
                cells[d] += 1
                rows[d] = 0
                sums[d] = 0.0
            for tile in range(tiles):
                some = factor[unit[first + at], tile * LANES : (tile + 1) * LANES]
                factors[tile, at, : len(some)] = some
            factors[replicates // LANES, at, replicates % LANES] = whole[unit[first + at]]
        for tile in range(tiles):
            for d in range(n_domains):
                fours = cells[d] // 4 * 4
                for c in range(0, fours, 4):
                    f0, f1 = factors[tile, place[d, c]], factors[tile, place[d, c + 1]]
                    f2, f3 = factors[tile, place[d, c + 2]], factors[tile, place[d, c + 3]]
                    for pair in range(wide // 2):
                        a, b = 2 * pair, 2 * pair + 1
                        a0, a1, a2, a3 = cell[d, c, a], cell[d, c + 1, a], cell[d, c + 2, a], cell[d, c + 3, a]
                        b0, b1, b2, b3 = cell[d, c, b], cell[d, c + 1, b], cell[d, c + 2, b], cell[d, c + 3, b]
                        into = pairs[tile, d, pair]
                        for lane in range(LANES):
                            g0, g1, g2, g3 = f0[lane], f1[lane], f2[lane], f3[lane]
                            into[lane] += a0 * g0 + a1 * g1 + a2 * g2 + a3 * g3
                            into[LANES + lane] += b0 * g0 + b1 * g1 + b2 * g2 + b3 * g3
                for c in range(fours, cells[d]):
                    f0 = factors[tile, place[d, c]]
                    for k in range(measures):
                        a0, into = cell[d, c, k], totals[tile, d, k]
                        for lane in range(LANES):
                            into[lane] += a0 * f0[lane]
