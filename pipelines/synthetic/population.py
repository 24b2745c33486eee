"""What is known of every unit of one survey's population in one wave, truth included.

Belongs here: the record that the populations hand to sampling, fieldwork and truth, and how kinds are drawn
and totals split into whole units. Does not belong here: how the units come about (enterprises, institutions).
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Population:
    """The frame of one survey and wave, one row a unit in the order of `unit_id`.

    Attributes:
        units: columns ``unit_id``, ``permanent_random_number``, the ``selection_*`` parts of the stratum,
            ``employment``, today's classification (columns of core.frame), ``in_scope``, ``out_of_scope``
            (disposition, NULL in scope), ``responds`` (probability to answer), ``not_located`` (probability)
            and ``response_effect`` (standard normal), and the truth: ``ai_adoption``; when the wave asks a
            list, ``stage`` (0 none to 4 scaled) and ``tech_<code>`` (the same); when units serve fields,
            ``field_<code>`` (in operation or not; NULL where the field is not served).
        stratum_parts: names of the selection columns, in the order of the survey's contract.
        list_asked: the wave asks the technology list, not one yes/no question.
    """

    survey: str
    wave: int
    units: pl.DataFrame
    stratum_parts: tuple[str, ...]
    technologies: tuple[str, ...]
    fields: tuple[str, ...]
    list_asked: bool


def largest_remainder(weights: NDArray[np.float64], total: int) -> NDArray[np.int64]:
    """Whole numbers in proportion to `weights` that add up to `total`; ties go to the earlier entry."""
    exact = weights / weights.sum() * total
    whole = np.asarray(np.floor(exact), dtype=np.int64)
    order = np.argsort(-(exact - whole), kind="stable")
    whole[order[: total - int(whole.sum())]] += 1
    return whole


def shares(weights: ArrayLike) -> NDArray[np.float64]:
    """Weights of non-negative rows, each row brought to the sum 1."""
    values = np.asarray(weights, dtype=np.float64)
    return np.asarray(values / values.sum(axis=-1, keepdims=True), dtype=np.float64)


def choose(shares: NDArray[np.float64], row: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """For each entry of `row`, a column of `shares` drawn with that row's probabilities; shape of `row`."""
    bounds = shares.cumsum(axis=1)
    # The last bound is 1 up to rounding; without this a draw could fall behind it.
    bounds[:, -1] = 1.0
    draw = rng.random(row.size)
    chosen = np.zeros(row.size, dtype=np.int64)
    for index in np.unique(row):
        here = row == index
        chosen[here] = np.searchsorted(bounds[index], draw[here], side="right")
    return chosen
