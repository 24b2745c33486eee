"""What must be withheld with cells at risk, and what an attacker can still work out.

Belongs here: secondary suppression, the attacker's linear programme. Does not belong here: the rules (disclosure), the
sums (cell_system), what is blanked in a release (reporting.blanking).

The attacker is taken to know every denominator, every published numerator and all sums that hold, and that nothing is
below 0 or above its denominator. A cell at risk is protected if values that differ from the true one by the protection
interval fit all that he knows (Fischetti and Salazar 2001, Management Science 47(7), section 2). What else must be
withheld is found cell by cell by the cheapest change of the tables that moves the cell so far (Kelly, Golden and Assad
1992, Networks 22): the cells that change are withheld. A cell of one contributor, who knows it, protects no domain that
he cannot be in.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import highspy
import numpy as np
from scipy import sparse

from pipelines.errors import AxstatError
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray
from pipelines.stats.cell_system import CellSystem

# A change smaller than this share of the protection interval is rounding of the solver
_MOVED = 1e-6


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
