"""Samples drawn by permanent random numbers, coordinated from wave to wave.

Belongs here: numbers for units, the selection, where a stratum's next sample starts. Does not belong here: how many are
drawn (allocation), files and their columns (planning).

A unit keeps its number in [0, 1) for life. The n units of a stratum that follow its start on the circle are a simple
random sample without replacement (sequential srswor; Ohlsson 1995, in Cox et al., Business Survey Methods), births
are in it like all others, and a start moved on by a share of the sampling fraction gives up about that share.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import polars as pl

from pipelines.stats.arrays import BoolArray, FloatArray, IntArray

_DIGITS = 53


def permanent_random_numbers(survey: str, units: Sequence[str]) -> FloatArray:
    """A number in [0, 1) for each unit ``(n,)`` that only the survey's and the unit's name decide.

    The first 53 bits of BLAKE2b of both names, so the same on every machine; surveys are independent of each other.
    """
    key = survey.encode("utf-8") + b"\x00"
    found = [
        int.from_bytes(hashlib.blake2b(key + unit.encode("utf-8"), digest_size=8).digest(), "big") >> (64 - _DIGITS)
        for unit in units
    ]
    return np.array(found, dtype=np.float64) / 2.0**_DIGITS


def select(
    stratum: IntArray, random_number: FloatArray, units: pl.Series, *, drawn: IntArray, start: FloatArray
) -> BoolArray:
    """The first ``drawn`` units of each stratum from its start on.

    Args:
        stratum: code 0..H-1 ``(n,)``.
        random_number: ``(n,)`` in [0, 1); of equal numbers the lower unit comes first.
        units: names ``(n,)``, each once.
        drawn, start: ``(H,)``; a stratum with fewer units gives all.

    Returns:
        the units selected ``(n,)``, whatever the order of the rows.
    """
    turn = (random_number - start[stratum]) % 1.0
    order = (
        pl.DataFrame({"stratum": stratum, "turn": turn, "unit": units})
        .with_row_index("row")
        .sort("stratum", "turn", "unit")["row"]
        .to_numpy()
    )
    ordered = stratum[order]
    place = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    selected = np.zeros(len(order), dtype=np.bool_)
    selected[order] = place < drawn[ordered]
    return selected


def moved_start(start: FloatArray, fraction: FloatArray, *, overlap: float) -> FloatArray:
    """Where the next sample starts ``(H,)``, so that about the share ``overlap`` of the last one is kept.

    Two samples that are each more than half of a stratum share 2 - 1/fraction of it whatever the start.
    """
    return (start + (1.0 - overlap) * fraction) % 1.0


def found_start(stratum: IntArray, random_number: FloatArray, fraction: FloatArray, *, n_strata: int) -> FloatArray:
    """The start ``(H,)`` of a sample of which only the units are known; 0 in strata without any.

    A sample is an arc of the circle. It begins after the widest gap between its numbers; the start lies before its
    first number by what the N numbers of the stratum are apart, 1/(N + 1) on the average.

    Args:
        stratum, random_number: of the units of the sample ``(m,)``.
        fraction: sampling fraction of the stratum ``(H,)``.
    """
    order = np.lexsort((random_number, stratum))
    codes, numbers = stratum[order], random_number[order]
    first = np.searchsorted(codes, codes)
    last = np.searchsorted(codes, codes, side="right") - 1
    before = np.where(np.arange(len(codes)) > first, np.roll(numbers, 1), numbers[last] - 1.0)
    gap = numbers - before
    widest = pl.DataFrame({"stratum": codes, "number": numbers, "gap": gap}).sort(
        ["stratum", "gap", "number"], descending=[False, True, False]
    )
    widest = widest.unique("stratum", keep="first", maintain_order=True)
    start = np.zeros(n_strata)
    at = widest["stratum"].to_numpy()
    population = np.bincount(codes, minlength=n_strata)[at] / fraction[at]
    start[at] = (widest["number"].to_numpy() - 1.0 / (population + 1.0)) % 1.0
    return start
