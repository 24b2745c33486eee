"""Cells at risk, what must be withheld with them, and what an attacker can still work out.

Belongs here: primary rules, the sums that tie cells together, secondary suppression, the attacker's linear programme.
Does not belong here: contributors and contributions (contributions), reliability (which is no secret), what is blanked
in a release (release.protection).

A cell is a domain, a measure and a weighting; its value is the numerator of a published rate. The attacker is taken to
know every denominator, every published numerator and all sums that hold, and that nothing is below 0 or above its
denominator. A cell at risk is protected if values that differ from the true one by the protection interval fit all that
he knows (Fischetti and Salazar 2001, Management Science 47(7), section 2). What else must be withheld is found cell by
cell by the cheapest change of the tables that moves the cell so far (Kelly, Golden and Assad 1992, Networks 22): the
cells that change are withheld. A cell of one contributor, who knows it, protects no domain that he cannot be in.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import highspy
import numpy as np
import polars as pl
from scipy import sparse

from pipelines.errors import AxstatError
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray

KEY = ("domain_type", "domain_code", "measure")
# Stands among the measures for the whole of a domain, answered or not
POPULATION = "population"

FEW, DOMINANCE, UNIFORM, DIFFERENCE = "few_contributors", "dominance", "zero_or_one", "difference"
# A change smaller than this share of the largest protection interval is rounding of the solver
_MOVED = 1e-6


@dataclass(frozen=True)
class DisclosureRules:
    """When a cell is at risk, and how wide it must stay.

    Attributes:
        min_contributors: a cell with fewer answering units is.
        p_percent: a contribution can be told to so many per cent by the second largest contributor (p % rule).
        two_largest_percent: the two largest make up more than so many per cent (n, k dominance with n = 2).
        protection_percent: what must remain possible, in per cent of the cell, above and below.
    """

    min_contributors: int
    p_percent: float
    two_largest_percent: float
    protection_percent: float


def primary_cells(
    contributions: pl.DataFrame, rules: DisclosureRules, *, before: pl.DataFrame | None = None
) -> pl.DataFrame:
    """The cells at risk and how far each must be free to move.

    Few contributors, and 0 or 1 in take-all domains, are risks in both weightings, dominance in that by employment: of
    those that have the measure, of those that do not, and of all.

    Args:
        contributions: see :func:`pipelines.stats.contributions.cell_contributions`.
        before: what an earlier vintage of the wave published: domain_type, domain_code, measure, unit_weighting and n.
            A take-all cell that has one or two contributors more or fewer now tells what theirs are.

    Returns:
        The contributions with ``risk`` (NULL where there is none) and ``need_up``, ``need_down``, never beyond 0 and
        the denominator.
    """
    by_employment = pl.col("unit_weighting") == "employment"
    few = (pl.col("n") > 0) & (pl.col("n") < rules.min_contributors)
    uniform = (
        pl.col("take_all")
        & (pl.col("n") > 0)
        & ((pl.col("numerator") <= 0) | (pl.col("numerator") >= pl.col("denominator")))
    )
    dominated = {part: by_employment & _dominated(part, rules) for part in ("having", "lacking", "all")}
    changed = pl.lit(False)
    if before is not None:
        key = [*KEY, "unit_weighting"]
        contributions = contributions.join(
            before.select(*key, pl.col("n").alias("n_before")), on=key, how="left", maintain_order="left"
        )
        changed = pl.col("take_all") & (pl.col("n") - pl.col("n_before")).abs().is_between(
            1, rules.min_contributors - 1
        )
    share = rules.protection_percent / 100.0
    top, rest = pl.col("numerator"), pl.col("denominator") - pl.col("numerator")
    # Of a cell of 0 the other side is the secret, and the measure of what must stay open
    of_cell = share * pl.when(top > 0).then(top).otherwise(rest)
    need = pl.max_horizontal(
        pl.when(few | uniform | changed.fill_null(False) | dominated["having"] | dominated["all"])
        .then(of_cell)
        .otherwise(0.0),
        pl.when(dominated["lacking"] | dominated["all"]).then(share * rest).otherwise(0.0),
    )
    risk = (
        pl.when(few)
        .then(pl.lit(FEW))
        .when(pl.any_horizontal(*dominated.values()))
        .then(pl.lit(DOMINANCE))
        .when(uniform)
        .then(pl.lit(UNIFORM))
        .when(changed)
        .then(pl.lit(DIFFERENCE))
    )
    found = contributions.with_columns(risk.alias("risk"), need.alias("need"), dominated["all"].alias("dominated"))
    return found.with_columns(
        pl.min_horizontal("need", pl.col("denominator") - pl.col("numerator")).alias("need_up"),
        pl.min_horizontal("need", "numerator").alias("need_down"),
    ).drop("need", "n_before", strict=False)


def _dominated(part: str, rules: DisclosureRules) -> pl.Expr:
    total, largest, two = (pl.col(f"{name}_{part}") for name in ("sum", "largest", "two_largest"))
    told = total - two < rules.p_percent / 100.0 * largest
    return (total > 0) & (told | (two > rules.two_largest_percent / 100.0 * total))


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


@dataclass(frozen=True)
class Exposure:
    """A cell at risk that what is published narrows below its protection interval, with what the attacker finds."""

    cell: tuple[str, ...]
    value: float
    low: float
    high: float
    need_down: float
    need_up: float


def withheld_with(
    system: CellSystem, *, need_down: FloatArray, need_up: FloatArray, hidden: BoolArray, fixed: BoolArray
) -> BoolArray:
    """The cells ``(C,)`` to be hidden besides, so that those at risk are protected.

    Args:
        need_down, need_up: ``(C,)`` how far each cell must be free to move, 0 for cells that are not at risk.
        hidden: ``(C,)`` cells that no output prints: those at risk, and those that reliability suppresses.
        fixed: ``(C,)`` cells that cannot be hidden, such as those published before.

    Raises:
        AxstatError: a cell that cannot be protected, whatever else is withheld.
    """
    tables = _Tables(system, hidden)
    for cells, change in _aims(system, need_down, need_up):
        for cell, aim in _narrowed(tables, cells, change):
            moved = tables.move(np.array([cell]), np.array([aim]), may_hide=~fixed & ~tables.hidden)
            if moved is None:
                raise AxstatError(
                    "cell_not_protected",
                    where=" ".join(system.cells.row(cell)),
                    expected=f"tables in which the cell could be {abs(aim):.6g} {'more' if aim > 0 else 'less'}",
                    got="none, even if every other cell that can be withheld is",
                    hint="merge the domain with another one in the survey's contract, or leave its type out",
                )
            tables.hide(np.flatnonzero((np.abs(moved) > _MOVED * abs(aim)) & ~tables.hidden))
    return tables.hidden & ~hidden


def exposed(system: CellSystem, *, need_down: FloatArray, need_up: FloatArray, hidden: BoolArray) -> list[Exposure]:
    """The cells at risk that an attacker who knows all but the hidden cells narrows too far.

    Args:
        need_down, need_up, hidden: as in :func:`withheld_with`; a cell at risk that is not hidden is exposed.
    """
    tables = _Tables(system, hidden)
    suspects = {cell for aim in _aims(system, need_down, need_up) for cell, _ in _narrowed(tables, *aim)}
    found = []
    for cell in sorted(suspects):
        low, high = tables.reach(cell)
        value = float(system.value[cell])
        found.append(Exposure(system.cells.row(cell), value, low, high, float(need_down[cell]), float(need_up[cell])))
    return found


def attack(system: CellSystem, cell: int, *, hidden: BoolArray) -> tuple[float, float]:
    """The smallest and the largest value of a cell that fit all that is published."""
    return _Tables(system, hidden).reach(cell)


def _aims(system: CellSystem, need_down: FloatArray, need_up: FloatArray) -> Iterator[tuple[IntArray, FloatArray]]:
    """Cells and changes that are tried at once; together they are all changes that must be possible.

    Tables that hold many such changes prove all of them possible at one stroke. Every other cell up and the rest down,
    and then the other way round, is what sums allow most often. Those of a domain of one contributor are tried apart,
    since others of that kind then stand still.
    """
    at_risk = np.flatnonzero((need_down > 0) | (need_up > 0))
    alone = at_risk[system.alone[at_risk]]
    of_one = [alone[system.domain[alone] == domain] for domain in np.unique(system.domain[alone])]
    for cells in (at_risk[~system.alone[at_risk]], *of_one):
        odd = np.arange(len(cells)) % 2 == 1
        for rising in (odd, ~odd):
            change = np.where(rising, need_up[cells], -need_down[cells])
            if (change != 0).any():
                yield cells[change != 0], change[change != 0]


def _narrowed(tables: "_Tables", cells: IntArray, change: FloatArray) -> list[tuple[int, float]]:
    """The changes that are not possible for what is published, each by itself; found by halving."""
    if tables.move(cells, change) is not None:
        return []
    if len(cells) == 1:
        return [(int(cells[0]), float(change[0]))]
    half = len(cells) // 2
    return _narrowed(tables, cells[:half], change[:half]) + _narrowed(tables, cells[half:], change[half:])


class _Tables:
    """The tables as an attacker sees them, and the solver that changes them; what stays open is ``hidden`` (C,).

    One programme for all questions: only bounds and costs differ, and HiGHS starts each from the last one's basis. Its
    columns are the change of each cell, then what a cell that may yet be hidden rises, and what it falls.
    """

    def __init__(self, system: CellSystem, hidden: BoolArray) -> None:
        self.hidden = hidden.copy()
        self._system = system
        self._count = len(system.value)
        self._fall, self._rise = system.value, np.fmax(system.upper - system.value, 0.0)
        self._price = np.where(np.isfinite(system.upper), system.upper, system.value)
        sums = sparse.hstack([system.sums, system.sums, -system.sums], format="csc")
        programme = highspy.HighsLp()
        programme.num_col_, programme.num_row_ = sums.shape[1], sums.shape[0]
        programme.col_cost_ = np.zeros(sums.shape[1])
        programme.col_lower_ = np.concatenate([np.where(hidden, -self._fall, 0.0), np.zeros(2 * self._count)])
        programme.col_upper_ = np.concatenate([np.where(hidden, self._rise, 0.0), np.zeros(2 * self._count)])
        programme.row_lower_, programme.row_upper_ = -system.down, system.up
        programme.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        programme.a_matrix_.start_, programme.a_matrix_.index_ = sums.indptr, sums.indices
        programme.a_matrix_.value_ = sums.data
        self._solver = highspy.Highs()  # type: ignore[no-untyped-call]
        for option, value in (("output_flag", False), ("threads", 1), ("solver", "simplex")):
            self._solver.setOptionValue(option, value)
        self._solver.passModel(programme)

    def hide(self, cells: IntArray) -> None:
        """Withhold more cells."""
        self.hidden[cells] = True
        self._bound(cells, -self._fall[cells], self._rise[cells])

    def move(self, cells: IntArray, change: FloatArray, *, may_hide: BoolArray | None = None) -> FloatArray | None:
        """The cheapest changes ``(C,)`` of the tables that move ``cells`` at least so far; None where there are none.

        Hidden cells move for nothing, those of ``may_hide`` at their denominator for each unit.
        """
        fall, rise = self._fall[cells], self._rise[cells]
        if not self.hidden[cells].all() or (change > rise).any() or (-change > fall).any():
            return None
        standing = self._standing(cells)
        self._bound(standing, np.zeros(len(standing)), np.zeros(len(standing)))
        self._bound(cells, np.where(change > 0, change, -fall), np.where(change < 0, change, rise))
        if may_hide is not None:
            offered = np.setdiff1d(np.flatnonzero(may_hide), standing)
            both = np.concatenate([offered + self._count, offered + 2 * self._count])
            self._bound(both, np.zeros(len(both)), np.concatenate([self._rise[offered], self._fall[offered]]))
            self._cost(both, np.tile(self._price[offered], 2))
        found = self._solved()
        if may_hide is not None:
            self._bound(both, np.zeros(len(both)), np.zeros(len(both)))
            self._cost(both, np.zeros(len(both)))
        self._release(np.concatenate([standing, cells]))
        return found

    def reach(self, cell: int) -> tuple[float, float]:
        """The smallest and the largest value of a cell."""
        value = float(self._system.value[cell])
        if not self.hidden[cell]:
            return value, value
        one = np.array([cell])
        standing = self._standing(one)
        self._bound(standing, np.zeros(len(standing)), np.zeros(len(standing)))
        ends = []
        for sign in (1.0, -1.0):
            self._cost(one, np.array([sign]))
            found = self._solved()
            ends.append(-sign * np.inf if found is None else value + float(found[cell]))
        self._cost(one, np.zeros(1))
        self._release(standing)
        return ends[0], ends[1]

    def _standing(self, cells: IntArray) -> IntArray:
        """Cells that protect none of ``cells``: those of one contributor who is in none of their domains."""
        domains = np.unique(self._system.domain[cells])
        standing = self._system.alone & ~np.isin(self._system.domain, domains)
        if len(domains) == 1:
            parts = [domain for domain, around in self._system.around.items() if domains[0] in around]
            standing &= ~np.isin(self._system.domain, parts)
        return np.flatnonzero(standing)

    def _release(self, cells: IntArray) -> None:
        hidden = self.hidden[cells]
        self._bound(cells, np.where(hidden, -self._fall[cells], 0.0), np.where(hidden, self._rise[cells], 0.0))

    def _bound(self, columns: IntArray, lower: FloatArray, upper: FloatArray) -> None:
        if len(columns):
            self._solver.changeColsBounds(len(columns), columns.astype(np.int32), lower, upper)

    def _cost(self, columns: IntArray, cost: FloatArray) -> None:
        self._solver.changeColsCost(len(columns), columns.astype(np.int32), cost)

    def _solved(self) -> FloatArray | None:
        """The change of each cell ``(C,)``; None where there is none, or no end to it."""
        self._solver.run()
        status = self._solver.getModelStatus()
        if status in (
            highspy.HighsModelStatus.kInfeasible,
            highspy.HighsModelStatus.kUnbounded,
            highspy.HighsModelStatus.kUnboundedOrInfeasible,
        ):
            return None
        if status != highspy.HighsModelStatus.kOptimal:
            raise AxstatError(
                "solver",
                where="disclosure control",
                expected="a linear programme that HiGHS solves",
                got=str(status),
                hint="report it with the wave; nothing is published without protection",
            )
        values = np.array(self._solver.getSolution().col_value)
        change, rises, falls = values.reshape(3, self._count)
        return cast(FloatArray, change + rises - falls)


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
