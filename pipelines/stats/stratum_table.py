"""Estimates from rows that were added up before they were read: strata, and moments by stratum and domain.

Belongs here: from the tables that statements of `sql/cells/` give to what a variance needs, and what is wrong with
them. Does not belong here: designs whose rows are at hand (design, design_sheet), the formulas (moments).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.errors import Violation, ViolationsError
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray, codes_in
from pipelines.stats.design import LonelyPsu, SingletonStratumError
from pipelines.stats.moments import Moments
from pipelines.stats.row_sums import SUMS
from pipelines.stats.stages import Stage


@dataclass(frozen=True, eq=False)
class StratumTable:
    """S strata in the order of their labels; made by :meth:`from_counts`."""

    label: pl.Series  # (S,)
    sampled: IntArray  # (S,)
    population: FloatArray  # (S,) inf where drawn with replacement or not given

    @classmethod
    def from_counts(
        cls, counts: pl.DataFrame, *, clustered: bool, with_population: bool, lonely_psu: LonelyPsu
    ) -> "StratumTable":
        """Read the rows of `cells.design_strata`, in any order.

        Args:
            clustered: rows are in primary units; else each is one.
            with_population: there is a column of populations, counts or (no value above 1) sampling fractions.
            lonely_psu: 'fail' refuses strata of one unit that are not fully enumerated.

        Raises:
            ViolationsError: labels or weights missing, weights negative or not finite, populations or take-all marks
                that are missing or vary within a stratum, populations below the sample; each with its strata.
            SingletonStratumError: see ``lonely_psu``.
        """
        counts = counts.sort("stratum", nulls_last=True)
        found = _Faults(counts)
        found.report("label_missing", counts["stratum"].is_null(), "a stratum on every row", "missing")
        if clustered:
            found.report("label_missing", counts["unit_missing"] > 0, "a primary unit on every row", "missing")
        found.report("weight_missing", counts["weight_missing"] > 0, "a number", "missing")
        found.report("weight_negative", counts["weight_negative"] > 0, "0 or more", "below 0")
        found.report("weight_not_finite", counts["weight_infinite"] > 0, "a finite number", "inf")
        found.report("label_missing", counts["take_all_missing"] > 0, "a take-all mark on every row", "missing")
        whole = counts["take_all"] > 0
        found.report(
            "take_all_varies", whole & (counts["take_all"] < counts["rows_there"]), "one mark a stratum", "several"
        )
        sampled = counts["units_there" if clustered else "rows_there"].to_numpy().astype(np.int64)
        there = np.full(counts.height, np.inf)
        if with_population:
            there = _populations(counts, sampled, whole.to_numpy(), found)
        there = np.where(whole.to_numpy(), sampled.astype(np.float64), there)
        if found.violations:
            raise ViolationsError("survey design", found.violations)
        made = cls(label=counts["stratum"], sampled=sampled, population=there)
        lonely = made.stage.lonely
        if lonely_psu == "fail" and lonely.any():
            raise SingletonStratumError(strata=made.label.filter(pl.Series(lonely)).cast(pl.String).to_list())
        return made

    @property
    def stage(self) -> Stage:
        """The first stage, without its units."""
        none = np.zeros(0, dtype=np.int64)
        return Stage(none, None, none, self.sampled, self.population, np.ones(len(self.sampled)))

    def moments(
        self,
        table: pl.DataFrame,
        *,
        domain: IntArray,
        n_domains: int,
        lonely_psu: LonelyPsu,
        lonely_psu_in_domain: bool = False,
    ) -> Moments:
        """The rows of `cells.unit_moments` or `cells.value_moments`, of one measure.

        Args:
            table: in any order; sums are added up in that of domain and stratum, whatever the engine.
            domain: code ``(C,)`` 0..n_domains-1 of each row.
        """
        stratum = codes_in(table["stratum"], self.label)
        order = np.lexsort((stratum, domain))
        columns = {name: table[name].to_numpy().astype(np.float64)[order] for name in (*SUMS, "about")}
        if not len(order) and n_domains:  # domains without a row: no stratum has anything in them
            stratum, domain, order = (np.zeros(1, dtype=np.int64) for _ in range(3))
            columns = dict.fromkeys(columns, np.zeros(1))
        about = np.zeros((n_domains, 1))
        about[domain[order], 0] = columns.pop("about")
        return Moments(
            stage=self.stage,
            lonely_psu=lonely_psu,
            lonely_psu_in_domain=lonely_psu_in_domain,
            measures=("y",),
            n_domains=n_domains,
            stratum=stratum[order],
            domain=domain[order],
            about=about,
            sums={name: values[:, None] for name, values in columns.items()},
        )


class _Faults:
    def __init__(self, counts: pl.DataFrame) -> None:
        self._label = counts["stratum"].cast(pl.String).fill_null("(missing)")
        self.violations: list[Violation] = []

    def report(self, code: str, marked: pl.Series | BoolArray, expected: str, got: str | Callable[[int], str]) -> None:
        """A violation that names the strata marked, if any; ``got``: what is found in each by its position."""
        at = np.flatnonzero(pl.Series(marked).fill_null(value=False).to_numpy()).tolist()
        if at:
            labels = self._label.gather(at).to_list()
            shown = ", ".join(labels[:10]) + (f" and {len(labels) - 10} more" if len(labels) > 10 else "")
            if not isinstance(got, str):
                told = "; ".join(f"{label}: {got(each)}" for label, each in zip(labels[:5], at[:5], strict=True))
                got = told + (f"; and {len(at) - 5} more" if len(at) > 5 else "")
            hint = "mend or remove these rows before estimating"
            self.violations.append(Violation(code, f"strata {shown}", expected, got, hint))


def _populations(counts: pl.DataFrame, sampled: IntArray, whole: BoolArray, found: _Faults) -> FloatArray:
    """Units in each stratum ``(S,)``, from counts or fractions."""
    low = counts["population_low"].fill_null(np.nan).to_numpy()
    high = counts["population_high"].fill_null(np.nan).to_numpy()
    absent = (counts["population_missing"] > 0).to_numpy()
    found.report("population_missing", absent & ~whole, "a count on every row", "missing")
    found.report(
        "population_varies", low < high, "one population in each stratum", lambda at: f"{low[at]:g} to {high[at]:g}"
    )
    given = ~np.isnan(high)
    if (high[given] > 1).any():
        found.report("population_below_one", low < 1, "counts, 1 or more, on every row", lambda at: f"{low[at]:g}")
        there = np.where(given, high, np.inf)
    elif (low[given] < 1).any():
        found.report("fraction_not_positive", low <= 0, "a sampling fraction above 0", "0 or less")
        there = np.where(given & (high > 0), sampled / np.where(high > 0, high, 1.0), np.inf)
    else:
        there = np.where(given, high, np.inf)

    def sizes(at: int) -> str:
        return f"n = {sampled[at]}, N = {there[at]:g}"

    found.report(
        "sample_exceeds_population",
        sampled > there,
        "at least as many units in the population as in the sample of the stratum",
        sizes,
    )
    found.report(
        "take_all_not_complete",
        whole & np.isfinite(there) & (there != sampled),
        "all units of a take-all stratum in the file",
        sizes,
    )
    return there
