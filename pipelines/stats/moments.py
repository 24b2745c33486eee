"""Many estimates of a large file, whatever its domains: rows are added up to sums of squares by stratum and domain.

Belongs here: the reduction of rows to moments, estimates by domain from them, moments as a table that can be stored,
the choice between moments and cells. Does not belong here: sums by unit (cells), what a stratum's sum of squares is
multiplied by (variance).

With A = sum w y and B = sum w x of a unit in a domain (x = 1 for a mean), an influence of a row is y - d x, with d the
ratio R for a mean or a ratio and 0 for a total, and that of the unit t = A - d B. A stratum of n units adds
sum (t - tbar)^2 = sum A^2 - 2 d sum AB + d^2 sum B^2 - (sum A - d sum B)^2/n
to the variance: all of it sums over the units of the stratum, which need not be kept. Units cut by D domains are nearly
as many as the rows; the strata are few.

These are differences of sums, so their rounding is measured: where it can reach 1e-11 of a variance, the rows are read
once more with y - R x in place of y, which leaves d next to 0, and if that is not enough, cells are made. ``about`` is
the R that was taken off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from scipy import sparse

from pipelines.stats.arrays import BoolArray, FloatArray, IntArray, code_starts, safe_divide, summing
from pipelines.stats.cells import Cells, reduce_to_cells
from pipelines.stats.design import LonelyPsu, SurveyDesign
from pipelines.stats.linearization import DomainEstimates, design_effects
from pipelines.stats.row_sums import RowsByUnit
from pipelines.stats.stages import Stage
from pipelines.stats.variance import stratum_rules

# A variance may lose this share to rounding; so may a standard error, of its estimate, where there is no variance.
TOLERANCE, NOISE = 1e-11, 1e-13
# Rounding of a sum, as a share of its terms' magnitude.
ROUNDING = 1e-15
# Moments are worth it where they are this many times fewer than the rows.
ROWS_A_GROUP = 4


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums by stratum and domain, sorted by domain, then stratum; made by :func:`reduce_to_moments`.

    Shapes: C groups of a stratum and a domain, D domains, K measures.
    """

    stage: Stage  # the first; of a stored table without its units
    lonely_psu: LonelyPsu
    lonely_psu_in_domain: bool
    measures: tuple[str, ...]
    n_domains: int
    stratum: IntArray  # (C,)
    domain: IntArray  # (C,)
    about: FloatArray  # (D, K)
    # The names of SUMS: (C, K), or (C, 1) where all measures share them; row_top_top where design effects are wanted
    sums: Mapping[str, FloatArray]

    @cached_property
    def by_domain(self) -> sparse.csr_array:
        """Adds the groups up by domain ``(D, C)``."""
        return summing(self.domain, self.n_domains)

    @cached_property
    def added(self) -> Mapping[str, FloatArray]:
        """The sums by domain ``(D, K)``."""
        return {name: np.broadcast_to(self.by_domain @ values, self.about.shape) for name, values in self.sums.items()}

    def to_frame(self) -> pl.DataFrame:
        """The moments as a table, all that :meth:`from_frame` needs but the lonely-PSU rules."""
        columns: dict[str, IntArray | FloatArray] = {
            "domain": self.domain,
            "stratum": self.stratum,
            "sampled": self.stage.sampled[self.stratum],
            "population": self.stage.population[self.stratum],
        }
        for name, values in {"about": self.about[self.domain], **self.sums}.items():
            names = self.measures if values.shape[1] == len(self.measures) else ["*"]
            columns |= {f"{name}:{measure}": values[:, k] for k, measure in enumerate(names)}
        return pl.DataFrame(columns)

    @classmethod
    def from_frame(
        cls,
        table: pl.DataFrame,
        *,
        n_domains: int,
        lonely_psu: LonelyPsu,
        lonely_psu_in_domain: bool = False,
    ) -> "Moments":
        """Moments from the table of :meth:`to_frame`; the rules are those of the design they came from."""
        measures = [name.partition(":")[2] for name in table.columns if name.startswith("top:")]
        domain, stratum = table["domain"].to_numpy(), table["stratum"].to_numpy()
        size = int(stratum.max()) + 1
        sampled, population = np.zeros(size, dtype=np.int64), np.full(size, np.inf)
        sampled[stratum], population[stratum] = table["sampled"].to_numpy(), table["population"].to_numpy()
        none = np.zeros(0, dtype=np.int64)

        columns: dict[str, list[FloatArray]] = {}
        for column in table.columns:
            name, of_measure, _ = column.partition(":")
            if of_measure:
                columns.setdefault(name, []).append(table[column].to_numpy())
        about = np.zeros((n_domains, len(measures)))
        about[domain] = np.column_stack(columns.pop("about"))
        return cls(
            stage=Stage(none, None, none, sampled, population, np.ones(size)),
            lonely_psu=lonely_psu,
            lonely_psu_in_domain=lonely_psu_in_domain,
            measures=tuple(measures),
            n_domains=n_domains,
            stratum=stratum,
            domain=domain,
            about=about,
            sums={name: np.column_stack(values) for name, values in columns.items()},
        )

    @cached_property
    def ratio(self) -> FloatArray:
        """Means, or ratios where denominators were given, by domain ``(D, K)``."""
        return self.about + safe_divide(self.added["top"], self.added["bottom"])

    def estimates(self) -> DomainEstimates:
        """Means, or ratios where denominators were given, by domain ``(D, K)``.

        ``deff`` and ``deff_replace`` are NaN unless the moments were made ``with_design_effects``.
        """
        return self._finish(self.ratio, self._ratio_variance[0], self.added["bottom"])

    def totals(self) -> DomainEstimates:
        """Totals of y by domain ``(D, K)``."""
        total = self.added["top"] + self.about * self.added["bottom"]
        total = np.where(self.added["n"] > 0, total, np.nan)
        return self._finish(total, self._total_variance[0], np.ones_like(total))

    def precise(self, *, totals: bool = False) -> bool:
        """Whether rounding leaves the variances of :meth:`estimates`, or those of the totals, what they are."""
        size, base = np.abs(np.nan_to_num(self.ratio)), np.abs(self.added["bottom"])
        enough = _enough(*(self._total_variance if totals else self._ratio_variance), size * base)
        if "row_top_top" in self.sums:
            enough = enough & _enough(*self._squares(), size * np.sqrt(base))
        return bool(enough.all())

    @cached_property
    def _ratio_variance(self) -> tuple[FloatArray, FloatArray]:
        return self._variance(np.nan_to_num(self.ratio - self.about))

    @cached_property
    def _total_variance(self) -> tuple[FloatArray, FloatArray]:
        return self._variance(-self.about)

    def _variance(self, shift: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Variance of the sum of A - d B by domain ``(D, K)``, and the magnitude of the terms it is a difference of."""
        d = shift[self.domain]
        sums = self.sums
        factor, uncentred = stratum_rules(
            self.stage,
            stratum=self.stratum,
            cell_sum=self.by_domain,
            units=sums["units"],
            lonely_psu=self.lonely_psu,
            lonely_psu_in_domain=self.lonely_psu_in_domain,
        )
        cross, square = 2.0 * d * sums["top_bottom"], np.square(d) * sums["bottom_bottom"]
        about_zero = sums["top_top"] - cross + square
        about_mean = (
            about_zero - np.square(sums["top"] - d * sums["bottom"]) / self.stage.sampled[self.stratum][:, None]
        )
        squares = about_mean if uncentred is None else np.where(uncentred, about_zero, about_mean)
        size = sums["top_top"] + np.abs(cross) + square
        return self.by_domain @ (factor * np.maximum(squares, 0.0)), self.by_domain @ (factor * size)

    def _squares(self) -> tuple[FloatArray, FloatArray]:
        """Sum of w (y - mean)^2 by domain ``(D, K)``, of measures without denominators, and its terms' magnitude."""
        d = np.nan_to_num(self.ratio - self.about)
        whole, less = self.added["row_top_top"], np.square(d) * self.added["weight"]
        return np.maximum(whole - less, 0.0), whole + less

    def _finish(self, estimate: FloatArray, variance: FloatArray, scale: FloatArray) -> DomainEstimates:
        variance = np.where(np.isfinite(estimate), safe_divide(variance, np.square(scale)), np.nan)
        n, sum_weights = self.added["n"], self.added["weight"]
        acting = self.sums["acting"]
        deff = deff_replace = np.full(estimate.shape, np.nan)
        if "row_top_top" in self.sums:
            squares = safe_divide(self._squares()[0], np.square(scale))
            deff, deff_replace = design_effects(variance, squares=squares, n=n, sum_weights=sum_weights)
        return DomainEstimates(
            estimate=estimate,
            variance=variance,
            n=n,
            df=np.broadcast_to(self.by_domain @ (acting - (acting > 0)), estimate.shape),
            sum_weights=sum_weights,
            deff=deff,
            deff_replace=deff_replace,
            kish_deff=safe_divide(n * self.added["row_bottom_bottom"], np.square(self.added["bottom"])),
        )


def _enough(value: FloatArray, magnitude: FloatArray, size: FloatArray) -> BoolArray:
    return ROUNDING * magnitude <= np.maximum(TOLERANCE * value, np.square(NOISE * size))


def summarise(
    frame: pl.DataFrame,
    design: SurveyDesign,
    *,
    measures: Sequence[str],
    denominators: Mapping[str, str] | None = None,
    domain: IntArray,
    n_domains: int,
    totals: bool = False,
    with_design_effects: bool = False,
) -> Moments | Cells:
    """The rows added up for estimates by domain: as moments where these serve, else as cells.

    Moments serve a design of one stage with uncalibrated weights in a file of many rows a stratum and domain, unless
    rounding would show; few cells are quicker where their rows are apart. See
    :func:`pipelines.stats.cells.reduce_to_cells` for arguments and errors.

    Args:
        totals: for totals, not for means.
    """
    few = design.n_strata * n_domains * ROWS_A_GROUP <= design.n_rows
    one_stage = len(design.stages) == 1 and not design.calibrated
    if few and one_stage and not _quicker_as_cells(design.stages[0], domain, n_domains):
        about = None
        for _ in range(2):
            moments = reduce_to_moments(
                frame,
                design,
                measures=measures,
                denominators=denominators,
                domain=domain,
                n_domains=n_domains,
                with_design_effects=with_design_effects,
                about=about,
            )
            if moments.precise(totals=totals):
                return moments
            about = np.nan_to_num(moments.ratio)
    return reduce_to_cells(
        frame,
        design,
        measures=measures,
        denominators=denominators,
        domain=domain,
        n_domains=n_domains,
        with_design_effects=with_design_effects,
    )


def _quicker_as_cells(stage: Stage, domain: IntArray, n_domains: int) -> bool:
    """Whether units' rows are apart and their cells few: rows are then added up sooner than read in another order."""
    runs, cells = code_starts(stage.run_unit), n_domains * stage.n_units
    if len(runs) == stage.n_units or cells > ROWS_A_GROUP * len(domain):
        return False
    there = np.zeros(cells, dtype=np.bool_)
    there[domain * stage.n_units + stage.unit] = True  # -1 marks cells of the last domain: a few too many
    return bool(ROWS_A_GROUP * np.count_nonzero(there) <= len(domain))


def reduce_to_moments(
    frame: pl.DataFrame,
    design: SurveyDesign,
    *,
    measures: Sequence[str],
    denominators: Mapping[str, str] | None = None,
    domain: IntArray,
    n_domains: int,
    with_design_effects: bool = False,
    about: FloatArray | None = None,
) -> Moments:
    """Add the rows up by stratum and domain, a piece of the file at a time.

    Of the design only the first stage counts. A file in which a unit's rows are apart is read through an order of them.

    Args:
        frame: the n rows of the design, with the measures; null and NaN are missing, and dropped for that measure.
        measures: numeric or Boolean columns, K of them.
        denominators: the denominator of a measure that is a ratio; a row counts where both are present.
        domain: code 0..n_domains-1 of each row, -1 for none.
        with_design_effects: keep what design effects of means need; not with denominators.
        about: what is taken off each ratio ``(D, K)``; None: nothing.
    """
    about = np.zeros((n_domains, len(measures))) if about is None else about
    denominators = denominators or {}
    stage = design.stages[0]
    rows = RowsByUnit.build(
        {name: frame[name] for name in (*measures, *denominators.values())},
        design.weight,
        run_unit=stage.run_unit,
        run_length=stage.run_length,
        domain=domain,
        n_domains=n_domains,
    )
    of_domain, of_stratum, sums = rows.sums(
        measures, denominators, about, stratum=stage.stratum, n_strata=stage.n_strata, spread=with_design_effects
    )
    if not with_design_effects:
        del sums["row_top_top"]
    return Moments(
        stage=stage,
        lonely_psu=design.lonely_psu,
        lonely_psu_in_domain=design.lonely_psu_in_domain,
        measures=tuple(measures),
        n_domains=n_domains,
        stratum=of_stratum,
        domain=of_domain,
        about=about,
        sums=sums,
    )
