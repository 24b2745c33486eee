"""The samples: who is selected in each wave, with which probability, and since when.

Belongs here: allocation, and selection by permanent random numbers with a moving start. Does not belong here:
who answers (fieldwork), or the population itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipelines.synthetic.parameters import ColumnFigures
from pipelines.synthetic.population import Population


@dataclass(frozen=True)
class SampleDesign:
    """How one survey's sample is drawn.

    Attributes:
        size: units of a wave's sample; more only where take-all strata and the minimum ask for more.
        minimum: units of each sampled stratum; a stratum with fewer gives all it has.
        power: exponent of the allocation (Bankier 1988): 1 serves the country's total, 0 each stratum alike.
        relative_spread: how much a unit of a stratum counts in the allocation, by a selection column.
        take_all: True for units of take-all strata, from columns of the population.
        slack: the sample is at least take-all units + `slack` x what the minimum asks for.
        rotation: move of a stratum's start from wave to wave, as a part of its sampling fraction.
    """

    size: int
    minimum: int
    power: float
    relative_spread: ColumnFigures
    take_all: pl.Expr
    rotation: float
    slack: float = 1.0


def allocate(
    population: NDArray[np.int64],
    *,
    importance: NDArray[np.float64],
    size: int,
    minimum: int,
) -> NDArray[np.int64]:
    """Sample sizes in proportion to `importance`, at least `minimum`, at most the stratum, `size` in all.

    Args:
        population, importance: shape (strata,).

    Returns:
        shape (strata,). The sum is `size`, unless the minimum asks for more or the strata hold fewer.
    """
    least = np.minimum(minimum, population)
    size = int(np.clip(size, least.sum(), population.sum()))
    low, high = 0.0, 1.0

    def exact(factor: float) -> NDArray[np.float64]:
        return np.clip(factor * importance, least, population)

    while exact(high).sum() < size and high < 1e12:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if exact(middle).sum() < size else (low, middle)
    wanted = exact(high)
    whole = np.floor(wanted + 1e-9).astype(np.int64)
    room = np.flatnonzero(whole < population)
    order = room[np.argsort(-(wanted - whole)[room], kind="stable")]
    whole[order[: size - int(whole.sum())]] += 1
    return whole


class Sampler:
    """Draws one survey's samples, wave after wave.

    A unit keeps its random number for life. In a stratum the first n units on the circle from the stratum's
    start are selected: a simple random sample of fixed size. From wave to wave the start moves by `rotation`
        sampling fractions, so that about that part of the sample is exchanged.
    """

    def __init__(self, design: SampleDesign) -> None:
        """A sampler that has not drawn yet."""
        self._design = design
        self._starts: dict[str, float] = {}
        self._panel_since: Mapping[str, int] = {}

    def draw(self, population: Population) -> pl.DataFrame:
        """The units of `population` with what the sample makes of them.

        Added: ``stratum``, ``take_all``, ``stratum_size``, ``stratum_sample``, ``selected``,
        ``inclusion_probability`` (n / N) and ``panel_since`` (both NULL if not selected).
        """
        design = self._design
        units = population.units.with_columns(
            pl.concat_str(population.stratum_parts, separator="/").alias("stratum"),
            design.take_all.alias("take_all"),
        )
        spread = design.relative_spread
        strata = (
            units.group_by("stratum")
            .agg(
                pl.len().cast(pl.Int64).alias("stratum_size"),
                pl.col("take_all").first(),
                pl.col(spread.column).replace_strict(spread.factors, return_dtype=pl.Float64).mean().alias("spread"),
            )
            .sort("stratum")
        )
        size = strata["stratum_size"].to_numpy()
        take_all = strata["take_all"].to_numpy()
        sampled = ~take_all
        least = np.minimum(design.minimum, size[sampled]).sum()
        wanted = size.copy()
        wanted[sampled] = allocate(
            size[sampled],
            importance=(size[sampled] * strata["spread"].to_numpy()[sampled]) ** design.power,
            size=max(design.size - int(size[take_all].sum()), int(design.slack * least)),
            minimum=design.minimum,
        )
        names = strata["stratum"].to_list()
        starts = np.array([self._starts.get(name, 0.0) for name in names])
        fraction = wanted / size
        for name, start, part in zip(names, starts, fraction, strict=True):
            self._starts[name] = (start + design.rotation * part) % 1.0
        strata = strata.with_columns(
            pl.Series("stratum_sample", wanted),
            pl.Series("start", starts),
            pl.Series("fraction", np.round(fraction, 10)),
        ).drop("take_all", "spread")
        drawn = (
            units.join(strata, on="stratum", how="left", maintain_order="left")
            .with_columns(
                ((pl.col("permanent_random_number") - pl.col("start")) % 1.0)
                .rank("ordinal")
                .over("stratum")
                .alias("place")
            )
            .with_columns((pl.col("place") <= pl.col("stratum_sample")).alias("selected"))
            .with_columns(pl.when("selected").then("fraction").alias("inclusion_probability"))
        )
        selected = drawn.filter("selected")["unit_id"].to_list()
        since = {unit: self._panel_since.get(unit, population.wave) for unit in selected}
        self._panel_since = since
        panel = pl.DataFrame(
            {"unit_id": list(since), "panel_since": list(since.values())},
            schema={"unit_id": pl.String, "panel_since": pl.Int64},
        )
        return drawn.join(panel, on="unit_id", how="left", maintain_order="left").drop("start", "fraction", "place")
