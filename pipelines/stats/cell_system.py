"""The cells of a wave's tables and what ties them together.

Belongs here: sums over domains and over measures, as an attacker knows them. Does not belong here: which cells are at
risk (disclosure), what he makes of the sums (suppression).

A cell is a domain, a measure and a weighting; its value is the numerator of a published rate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse

from pipelines.errors import AxstatError
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray

KEY = ("domain_type", "domain_code", "measure")
# Stands among the measures for the whole of a domain, answered or not
POPULATION = "population"


@dataclass(frozen=True)
class MeasureSum:
    """Measures that add up to another within every domain, or, without one, to its denominator.

    Of a domain in which some answered only a part of the questions it is known as far as these could make a difference.
    """

    parts: tuple[str, ...]
    total: str | None = None


@dataclass(frozen=True, eq=False)
class CellSystem:
    """The cells of one weighting and what ties them together; made by :meth:`build`.

    Shapes: C cells, S sums.
    """

    cells: pl.DataFrame  # (C, 3) KEY
    value: FloatArray  # (C,)
    upper: FloatArray  # (C,) the denominator, infinite for a population
    domain: IntArray  # (C,) number of the domain
    alone: BoolArray  # (C,) one contributor, who knows it
    around: Mapping[int, IntArray]  # of each domain with such cells, the numbers of the domains he may be in
    sums: sparse.csr_array  # (S, C) a total less its parts
    down: FloatArray  # (S,) how far below its value each may be for all that is known, 0 where it is known
    up: FloatArray  # (S,) how far above

    @classmethod
    def build(
        cls,
        contributions: pl.DataFrame,
        columns: Mapping[str, tuple[str, ...]],
        *,
        sums: Sequence[MeasureSum] = (),
        within: Mapping[str, str] | None = None,
    ) -> "CellSystem":
        """Cells and sums.

        Args:
            contributions: rows of one weighting.
            columns: the columns that divide each domain type, whose values a domain's code joins by ``*``. The domains
                of a type with more columns add up to those of one with fewer, or leave a rest: the units that lack a
                column.
            sums: measures that add up.
            within: measures whose every unit has the other one too.
        """
        populations = contributions.unique([*KEY[:2]], keep="first", maintain_order=True).select(
            *KEY[:2], pl.lit(POPULATION).alias("measure"), "units", pl.col("whole").alias("value"),
            pl.lit(np.inf).alias("upper"), pl.lit(0.0).alias("silent"), (pl.col("units") == 1).alias("alone"),
        )  # fmt: skip
        asked = contributions.select(
            *KEY, "units", pl.col("numerator").alias("value"), pl.col("denominator").alias("upper"),
            (pl.col("whole") - pl.col("denominator")).clip(0.0).alias("silent"), (pl.col("n") == 1).alias("alone"),
        )  # fmt: skip
        cells = pl.concat([populations, asked]).with_row_index("cell")
        terms = [_sums_over_domains(cells, total, parts, columns) for total, parts in _divisions(columns)]
        terms += [_sums_over_measures(cells, one) for one in sums]
        terms += [
            _sums_over_measures(cells, MeasureSum((one,), other), rest=True) for one, other in (within or {}).items()
        ]
        matrix, known = _matrix(terms, len(cells))
        value = cells["value"].to_numpy()
        left = matrix @ value
        # A rest is not below 0; what answers to other questions could change is known to so much
        rest, silent = known["rest"].to_numpy(), known["silent"].to_numpy()
        down = np.fmax(left, 0.0) * rest + silent
        up = np.where(rest, np.inf, silent)
        domain = cells.select(pl.struct(KEY[:2]).rank("dense")).to_series().to_numpy().astype(np.int64)
        return cls(
            cells=cells.select(*KEY),
            value=value,
            upper=cells["upper"].to_numpy(),
            domain=domain,
            around=_around(cells.with_columns(number=domain), columns),
            alone=cells["alone"].to_numpy(),
            sums=matrix,
            down=down,
            up=up,
        )

    def places(self, keys: pl.DataFrame) -> IntArray:
        """Where cells stand, for a frame with the columns KEY, in its order.

        Raises:
            AxstatError: a key that the system does not have.
        """
        placed = keys.select(KEY).join(self.cells.with_row_index("cell"), on=KEY, how="left", maintain_order="left")
        if placed["cell"].null_count():
            lost = placed.filter(pl.col("cell").is_null())
            raise AxstatError(
                "unknown_cell",
                where="disclosure control",
                expected="cells of the contributions",
                got=f"{lost.height} other(s), e.g. {lost.row(0)[:3]}",
                hint="make contributions and rates from the same wave and contract",
            )
        return placed["cell"].to_numpy().astype(np.int64)


def _divisions(columns: Mapping[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    """Types whose domains are made of those of another one, which has one column more."""
    return [
        (total, parts)
        for total, few in columns.items()
        for parts, many in columns.items()
        if set(few) < set(many) and len(many) == len(few) + 1
    ]


def _sums_over_domains(
    cells: pl.DataFrame, total: str, parts: str, columns: Mapping[str, tuple[str, ...]]
) -> pl.DataFrame:
    """Terms (sum, cell, sign, rest, silent) of the sums of the parts of each domain of a type.

    A sum holds where the parts have all units of the domain; else it leaves a ``rest``.
    """
    names, many = columns[total], columns[parts]
    code = pl.col("domain_code").str.split("*")
    parent = pl.concat_str([code.list.get(many.index(name)) for name in names], separator="*") if names else pl.lit("")
    inner = cells.filter(pl.col("domain_type") == parts).with_columns(parent.alias("parent"))
    outer = cells.filter(pl.col("domain_type") == total).with_columns(
        (pl.col("domain_code") if names else pl.lit("")).alias("parent")
    )
    joined = outer.select("parent", "measure", pl.col("cell").alias("sum"), pl.col("units").alias("of")).join(
        inner.select("parent", "measure", "cell", "units"), on=["parent", "measure"], how="inner"
    )
    whole = joined.group_by("sum").agg(
        (pl.col("units").sum() != pl.col("of").first()).alias("rest"), pl.lit(0.0).alias("silent")
    )
    terms = [
        joined.select("sum", "cell", pl.lit(-1.0).alias("sign")),
        joined.select("sum", pl.col("sum").alias("cell"), pl.lit(1.0).alias("sign")).unique(),
    ]
    return pl.concat(terms).join(whole, on="sum").sort("sum", "cell")


def _sums_over_measures(cells: pl.DataFrame, one: MeasureSum, *, rest: bool = False) -> pl.DataFrame:
    """Terms (sum, cell, sign, rest, silent) of one sum of measures in every domain that has all of them.

    ``silent``: the most that units without an answer to one of the questions can count.
    """
    every = [*one.parts, *([one.total] if one.total else [])]
    own = cells.filter(pl.col("measure").is_in(every)).with_columns(
        pl.col("cell").min().over(*KEY[:2]).alias("sum"),
        pl.len().over(*KEY[:2]).alias("present"),
        pl.col("silent").max().over(*KEY[:2]) if one.total else pl.lit(0.0).alias("silent"),
    )
    sign = pl.when(pl.col("measure") == (one.total or "")).then(1.0).otherwise(-1.0)
    return (
        own.filter(pl.col("present") == len(every))
        .select("sum", "cell", sign.alias("sign"), pl.lit(rest).alias("rest"), "silent")
        .sort("sum", "cell")
    )


def _around(cells: pl.DataFrame, columns: Mapping[str, tuple[str, ...]]) -> dict[int, IntArray]:
    """Of each domain of one contributor the numbers of the domains that he may be in: no column says otherwise."""
    listed = cells.group_by("number", maintain_order=True).agg(pl.col(*KEY[:2]).first(), pl.col("alone").any())
    made = {
        number: dict(zip(columns.get(kind, (kind,)), code.split("*"), strict=False))
        for number, kind, code in listed.select("number", *KEY[:2]).iter_rows()
    }

    def may_share(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
        return all(other.get(column, value) == value for column, value in one.items())

    return {
        number: np.array([other for other, parts in made.items() if may_share(parts, made[number])])
        for number in listed.filter("alone")["number"]
    }


def _matrix(found: Sequence[pl.DataFrame], n_cells: int) -> tuple[sparse.csr_array, pl.DataFrame]:
    """Terms as a matrix, one row a sum, and of each sum whether it leaves a rest and what is silent in it."""
    terms = pl.concat([terms.with_columns(pl.lit(number).alias("set")) for number, terms in enumerate(found)])
    terms = terms.with_columns(pl.struct("set", "sum").rank("dense").cast(pl.Int64).alias("row") - 1)
    known = terms.group_by("row").agg(pl.col("rest", "silent").first()).sort("row")
    matrix = sparse.csr_array(
        (terms["sign"].to_numpy(), (terms["row"].to_numpy(), terms["cell"].to_numpy())), shape=(known.height, n_cells)
    )
    return matrix, known
