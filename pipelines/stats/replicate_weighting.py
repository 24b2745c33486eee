"""The weights of one wave, made again in each bootstrap replicate.

Belongs here: the chain of factors of weighting in R replicates at once, how it is stored and how the weights come
back. Does not belong here: the draws (replicate_draws), the collapsing of strata, classes and post-strata, which stay
as they were made on the full sample, rates (replicate_rates).

Two chains. 'held' is the design of the Taylor variance: the observed units of a variance stratum (respondents and
out-of-scope units, n_h of N_h) have the factors of the generalised bootstrap, eligibility and non-response factors stay
those of the full sample, and post-stratification is done again, which is what residuals stand for in the linearised
variance. 'rerun': all selected units have factors, and eligibility, non-response and post-stratification factors are
made again.

In 'rerun' a unit that is lost on the way adds variance. Selection counts 1 - f0, f0 the sampling fraction of the
variance stratum; knowing whether a unit is eligible f0 (1 - q) more, and responding f0 q (1 - p) more, q and p the
shares of the weighting class, by base weight, that are known and that respond. Each is a deviation with signs of its
own, and together they come to 1 - f0 q p, as 1 - n_h/N_h does in 'held'. Where a class is a stratum the variance of a
total is then (1 - f0 q p) N² S²/r, that of a simple random sample of r; in general it is that of a sample in phases
with response at random within a class (Särndal, Swensson & Wretman 1992, chapters 9 and 15). The later parts are what
a bootstrap of the selected units leaves out, all of it in a stratum taken whole. They are not centred, since the class
factor takes the mean of its class out, and are multiplied by sqrt(k/(k - 1)) of their k units in the class. With 10
units or more in a class the three add up to less than sqrt(4 + 2 10/9) = 2.494, so all factors are above 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, cast, get_args

import numpy as np
import polars as pl
from scipy import sparse

from pipelines.errors import AxstatError
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray, dense_codes, safe_divide, summing
from pipelines.stats.design import SingletonStratumError
from pipelines.stats.draw_id import DRAW_ID
from pipelines.stats.replicate_draws import (
    TAU,
    SignDraws,
    carry_signs,
    draw_signs,
    packed,
    permanent_signs,
    sampling_deviations,
    sampling_spread,
    unpacked,
)
from pipelines.stats.replication import ReplicateWeights
from pipelines.stats.stages import FULLY_ENUMERATED
from pipelines.stats.weighting import WeightingResult

Chain = Literal["held", "rerun"]

PHASES: Final = ("sampling", "eligibility", "response")
# Replicates that are worked on at once: bounds the memory, and keeps a block in the processor's cache.
BLOCK: Final = 64

UNIT_COLUMNS: Final = (
    "unit_id",
    DRAW_ID,
    "status",
    "variance_stratum",
    "stratum_population",
    "nonresponse_class",
    "post_stratum",
    "base_weight",
    "inverse_propensity",
    "before_calibration",
    "weight",
)


@dataclass(frozen=True, eq=False)
class _Layout:
    """The units in arrays. Shapes: U selected units, n of them carried, H strata, C classes, G post-strata."""

    base: FloatArray  # (U,)
    raised: FloatArray  # (U,) inverse propensity, which multiplies a respondent's class factor
    stratum: IntArray  # (U,)
    spread: FloatArray  # (H,) of the selected units
    later: tuple[FloatArray, FloatArray]  # (U,) size of the deviations of known units and of respondents, else 0
    class_code: IntArray  # (U,)
    all_units: sparse.csr_array  # (C, U) base weights of the class
    known: sparse.csr_array  # (C, U) those of known eligibility
    eligible: sparse.csr_array  # (C, U)
    responding: sparse.csr_array  # (C, U) times the inverse propensity
    carried: IntArray  # (n,) positions
    respondent: BoolArray  # (n,)
    observed_spread: FloatArray  # (H,) of the carried units
    before: FloatArray  # (n,) weights before calibration
    weight: FloatArray  # (n,)
    post: IntArray  # (n,)
    by_post: sparse.csr_array  # (G, n)
    total: FloatArray  # (G, 1)
    classes: list[str]
    post_strata: list[str]

    @classmethod
    def build(cls, units: pl.DataFrame) -> "_Layout":
        base = units["base_weight"].to_numpy().astype(np.float64)
        raised = units["inverse_propensity"].to_numpy()
        stratum, strata = dense_codes(units["variance_stratum"])
        population = np.zeros(len(strata))
        population[stratum] = units["stratum_population"].cast(pl.Float64).to_numpy()
        status = units["status"]
        respondent = (status == "respondent").to_numpy()
        known = (status != "unknown_eligibility").to_numpy()
        eligible = known & (status != "out_of_scope").to_numpy()
        carried = np.flatnonzero(respondent | (status == "out_of_scope").to_numpy())
        selected = np.bincount(stratum, minlength=len(strata)).astype(np.float64)
        observed = np.bincount(stratum[carried], minlength=len(strata)).astype(np.float64)
        lonely = np.flatnonzero((observed == 1) & (1.0 - observed / population >= FULLY_ENUMERATED))
        if len(lonely):
            raise SingletonStratumError(strata=[strata[code] for code in lonely], hint="collapse them")

        class_code, classes = dense_codes(units["nonresponse_class"])
        by_class = summing(class_code, len(classes))

        def weighted(amount: FloatArray) -> sparse.csr_array:
            return cast(sparse.csr_array, by_class @ sparse.diags_array(amount)).tocsr()

        parts = [weighted(base), *(weighted(np.where(chosen, base, 0.0)) for chosen in (known, eligible))]
        parts.append(weighted(np.where(respondent, base * raised, 0.0)))
        for part in parts:
            part.eliminate_zeros()
        eligibility, response = _class_factors(*(part.sum(axis=1)[:, None] for part in parts))
        fraction = np.minimum(selected / population, 1.0)[stratum]
        known_share, response_share = 1.0 / eligibility[class_code, 0], 1.0 / (response[class_code, 0] * raised)
        later = []
        for chosen, added in (
            (known, fraction * (1.0 - known_share)),
            (respondent, fraction * known_share * (1.0 - response_share)),
        ):
            count = (by_class @ chosen.astype(np.float64))[class_code]
            several = np.where(count > 1, count / np.maximum(count - 1.0, 1.0), 1.0)
            later.append(np.where(chosen, np.sqrt(np.maximum(added, 0.0) * several), 0.0))

        rows = units[carried]
        weight = rows["weight"].to_numpy()
        post, post_strata = dense_codes(rows["post_stratum"])
        by_post = summing(post, len(post_strata))
        return cls(
            base=base,
            raised=raised,
            stratum=stratum,
            spread=sampling_spread(selected, population),
            later=(later[0], later[1]),
            class_code=class_code,
            all_units=parts[0],
            known=parts[1],
            eligible=parts[2],
            responding=parts[3],
            carried=carried,
            respondent=respondent[carried],
            observed_spread=sampling_spread(observed, population),
            before=rows["before_calibration"].to_numpy(),
            weight=weight,
            post=post,
            by_post=by_post,
            total=(by_post @ weight)[:, None],
            classes=classes,
            post_strata=post_strata,
        )


def _class_factors(
    everyone: FloatArray, known: FloatArray, eligible: FloatArray, responding: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Eligibility and non-response factors of nonresponse.adjust_nonresponse, from weights by class ``(C, R)``.

    1 + U/(E + O) is all over known weight. A class without eligible units has the factor 1.
    """
    response = safe_divide(eligible, responding)
    return everyone / known, np.where(np.isnan(response), 1.0, response)


@dataclass(frozen=True, eq=False)
class ReplicateWeighting:
    """What the weights of R replicates are made of; made by :func:`draw_replicates` or :meth:`from_frames`.

    ``units``: UNIT_COLUMNS of the U selected units, sorted by draw_id; post-stratum and weights are null for units
    without one. ``signs``: for each of PHASES ``(U, R)``. ``eligibility_factor``, ``nonresponse_factor`` ``(C, R)``: of
    the weighting classes in the order of ``classes``, chain 'rerun'. ``calibration_factor``: by chain ``(G, R)``, of
    the post-strata in the order of ``post_strata``.
    """

    units: pl.DataFrame
    signs: tuple[BoolArray, BoolArray, BoolArray]
    eligibility_factor: FloatArray
    nonresponse_factor: FloatArray
    calibration_factor: dict[Chain, FloatArray]

    @property
    def n_replicates(self) -> int:
        """R."""
        return int(self.signs[0].shape[1])

    @property
    def scale(self) -> float:
        """V = scale x sum over the replicates of (theta_r - theta)^2, about the estimate of the full sample."""
        return TAU**2 / self.n_replicates

    @property
    def sampling(self) -> SignDraws:
        """The draws that the next wave carries on."""
        return SignDraws(self.units["unit_id"], self.signs[0])

    @cached_property
    def layout(self) -> _Layout:
        """The units in arrays."""
        return _Layout.build(self.units)

    @property
    def classes(self) -> list[str]:
        """Labels of the C weighting classes."""
        return self.layout.classes

    @property
    def post_strata(self) -> list[str]:
        """Labels of the G post-strata."""
        return self.layout.post_strata

    @property
    def unit_id(self) -> pl.Series:
        """The n units that have a weight: respondents and out-of-scope units, sorted."""
        return self.units["unit_id"][self.layout.carried]

    def weights(self, chain: Chain, replicates: slice = slice(None)) -> FloatArray:
        """Weights ``(n, r)`` of the replicates asked for, rebuilt from the stored parts."""
        layout = self.layout
        factor = self.calibration_factor[chain][:, replicates][layout.post]
        if chain == "held":
            factor *= _held(layout, self.signs[0][:, replicates])
            return factor
        *_, level = _levels(layout, tuple(sign[:, replicates] for sign in self.signs))
        factor *= _carried(
            layout, level, self.eligibility_factor[:, replicates], self.nonresponse_factor[:, replicates]
        )
        return factor

    def blocks(self, chain: Chain) -> Iterator[FloatArray]:
        """The weights of all replicates, some columns at a time."""
        for start in range(0, self.n_replicates, BLOCK):
            yield self.weights(chain, slice(start, start + BLOCK))

    def analysis(self, chain: Chain) -> ReplicateWeights:
        """The replicates for any other statistic; all weights ``(n, R)`` are written out."""
        return ReplicateWeights.from_columns(self.layout.weight, self.weights(chain), scale=self.scale, mse=True)

    def to_frames(self) -> dict[str, pl.DataFrame]:
        """``units``: UNIT_COLUMNS and one ``<phase>_draw`` a phase, the signs as bits, first replicate first.

        ``class_factors``: nonresponse_class, replicate (from 1), eligibility_factor, nonresponse_factor.
        ``calibration_factors``: chain, post_stratum, replicate, calibration_factor.
        """
        draws = [
            pl.Series(f"{phase}_draw", packed(sign), dtype=pl.Binary)
            for phase, sign in zip(PHASES, self.signs, strict=True)
        ]
        return {
            "units": self.units.with_columns(draws),
            "class_factors": _long(
                "nonresponse_class",
                self.classes,
                {"eligibility_factor": self.eligibility_factor, "nonresponse_factor": self.nonresponse_factor},
            ),
            "calibration_factors": pl.concat(
                _long("post_stratum", self.post_strata, {"calibration_factor": self.calibration_factor[chain]}).select(
                    pl.lit(chain).alias("chain"), pl.all()
                )
                for chain in get_args(Chain)
            ),
        }

    @classmethod
    def from_frames(cls, frames: dict[str, pl.DataFrame]) -> "ReplicateWeighting":
        """The inverse of :meth:`to_frames`; rows may come in any order.

        Raises:
            AxstatError: factors are missing or given twice.
        """
        units = frames["units"].sort(DRAW_ID)
        table = frames["class_factors"]
        replicates = int(cast(int, table["replicate"].max()))
        _, classes = dense_codes(units["nonresponse_class"])
        _, post_strata = dense_codes(units["post_stratum"].drop_nulls())
        signs = [unpacked(units[f"{phase}_draw"], replicates=replicates) for phase in PHASES]
        calibration = frames["calibration_factors"]
        return cls(
            units=units.select(UNIT_COLUMNS),
            signs=(signs[0], signs[1], signs[2]),
            eligibility_factor=_wide(table, "nonresponse_class", classes, "eligibility_factor", replicates),
            nonresponse_factor=_wide(table, "nonresponse_class", classes, "nonresponse_factor", replicates),
            calibration_factor={
                chain: _wide(
                    calibration.filter(pl.col("chain") == chain),
                    "post_stratum",
                    post_strata,
                    "calibration_factor",
                    replicates,
                )
                for chain in get_args(Chain)
            },
        )


def replicate_units(result: WeightingResult) -> pl.DataFrame:
    """UNIT_COLUMNS of the selected units of a weighted wave, sorted by draw_id."""
    before = pl.col("base_weight") * pl.col("eligibility_factor") * pl.col("nonresponse_factor")
    carried = result.weights.select("unit_id", "post_stratum", before.alias("before_calibration"), "weight")
    return result.selected.join(carried, on="unit_id", how="left").select(UNIT_COLUMNS).sort(DRAW_ID)


def rerun_weights(units: pl.DataFrame, factor: FloatArray) -> FloatArray:
    """Weights ``(n, R)`` with all factors made again from any replicates: jackknife, balanced, rescaled bootstrap.

    Args:
        units: :func:`replicate_units`, U rows.
        factor: ``(U, R)``, a row a unit; for clusters the factor of its primary unit.

    Returns:
        the weights of the n respondents and out-of-scope units, in the order of ``units``.

    Raises:
        AxstatError: naming the classes or post-strata that have no weight in a replicate.
    """
    layout = _Layout.build(units)
    sums = [part @ factor for part in (layout.all_units, layout.known, layout.eligible, layout.responding)]
    lost = (sums[1] <= 0) | ((sums[2] > 0) & (sums[3] <= 0))
    _refuse_empty("weighting classes", layout.classes, lost)
    carried = _carried(layout, factor, *_class_factors(*sums))
    reached = layout.by_post @ carried
    _refuse_empty("post-strata", layout.post_strata, reached <= 0)
    carried *= (layout.total / reached)[layout.post]
    return carried


def draw_replicates(
    result: WeightingResult,
    *,
    survey: str,
    wave: int,
    replicates: int = 500,
    previous: SignDraws | None = None,
    keep: pl.DataFrame | None = None,
) -> ReplicateWeighting:
    """Draw the replicates of a weighted wave and make all factors again in each.

    Args:
        result: what :func:`pipelines.stats.weighting.weight_sample` gave.
        survey, wave: of the permanent numbers' key.
        previous: :attr:`ReplicateWeighting.sampling` of the wave before; None for the first one.
        keep: variance_stratum, keep: what :func:`pipelines.stats.replicate_rates.kept_signs` gives for the two waves;
            strata that are not in it keep no signs. None keeps all.

    Raises:
        SingletonStratumError: a variance stratum with one observed unit that was not taken whole.
    """
    units = replicate_units(result)
    labels = units[DRAW_ID]
    if previous is None:
        sampling = draw_signs(units["unit_id"], labels=labels, survey=survey, replicates=replicates)
    else:
        kept = None
        if keep is not None:
            joined = units.select("variance_stratum").join(
                keep.select("variance_stratum", "keep"), on="variance_stratum", how="left", maintain_order="left"
            )
            kept = joined["keep"].fill_null(0.0).to_numpy()
        sampling = carry_signs(previous, units["unit_id"], labels=labels, survey=survey, wave=wave, keep=kept)
        replicates = sampling.sign.shape[1]
    later = [permanent_signs(labels, key=(survey, phase, str(wave)), replicates=replicates) for phase in PHASES[1:]]
    signs = (sampling.sign, later[0], later[1])
    layout = _Layout.build(units)
    factors = {
        "eligibility": np.empty((len(layout.classes), replicates)),
        "nonresponse": np.empty((len(layout.classes), replicates)),
        "held": np.empty((len(layout.post_strata), replicates)),
        "rerun": np.empty((len(layout.post_strata), replicates)),
    }
    for start in range(0, replicates, BLOCK):
        some = slice(start, start + BLOCK)
        factors["held"][:, some] = layout.total / (layout.by_post @ _held(layout, sampling.sign[:, some]))
        eligibility, response, level = _levels(layout, tuple(sign[:, some] for sign in signs))
        factors["eligibility"][:, some], factors["nonresponse"][:, some] = eligibility, response
        carried = _carried(layout, level, eligibility, response)
        factors["rerun"][:, some] = layout.total / (layout.by_post @ carried)
    return ReplicateWeighting(
        units=units,
        signs=signs,
        eligibility_factor=factors["eligibility"],
        nonresponse_factor=factors["nonresponse"],
        calibration_factor={"held": factors["held"], "rerun": factors["rerun"]},
    )


def _refuse_empty(what: str, labels: list[str], empty: BoolArray) -> None:
    at_fault = np.flatnonzero(empty.any(axis=1))
    if len(at_fault):
        raise AxstatError(
            "empty_in_replicate",
            where=f"{what} {', '.join(labels[code] for code in at_fault[:20])}",
            expected="weight in every replicate",
            got=f"none in {int(empty.any(axis=0).sum())} replicate(s)",
            hint="use the generalised bootstrap or Fay's factor, or coarser cells",
        )


def _held(layout: _Layout, sign: BoolArray) -> FloatArray:
    """Weights ``(n, r)`` before calibration of the chain 'held'."""
    some = layout.carried
    value = sampling_deviations(sign[some], layout.stratum[some], layout.observed_spread)
    value /= TAU
    value += 1.0
    value *= layout.before[:, None]
    return value


def _levels(layout: _Layout, signs: tuple[BoolArray, ...]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Class factors ``(C, r)``, and the factor ``(U, r)`` of each unit after all phases it went through."""
    level = sampling_deviations(signs[0], layout.stratum, layout.spread)
    level /= TAU
    level += 1.0
    everyone = layout.all_units @ level
    for number, size in enumerate(layout.later):
        step = np.where(signs[number + 1], 1.0, -1.0)
        step *= size[:, None] / TAU
        level += step
        if number == 0:
            known, eligible = layout.known @ level, layout.eligible @ level
    eligibility, response = _class_factors(everyone, known, eligible, layout.responding @ level)
    return eligibility, response, level


def _carried(layout: _Layout, level: FloatArray, eligibility: FloatArray, response: FloatArray) -> FloatArray:
    """Weights ``(n, r)`` before calibration of the chain 'rerun'."""
    code = layout.class_code[layout.carried]
    value = level[layout.carried]
    value *= layout.base[layout.carried, None]
    value *= eligibility[code]
    value *= np.where(layout.respondent[:, None], response[code] * layout.raised[layout.carried, None], 1.0)
    return value


def _long(name: str, labels: list[str], values: dict[str, FloatArray]) -> pl.DataFrame:
    """One row a label and replicate."""
    replicates = next(iter(values.values())).shape[1]
    return pl.DataFrame(
        {
            name: pl.Series(np.repeat(np.array(labels, dtype=object), replicates).tolist(), dtype=pl.String),
            "replicate": np.tile(np.arange(1, replicates + 1, dtype=np.int32), len(labels)),
            **{column: factor.ravel() for column, factor in values.items()},
        }
    )


def _wide(table: pl.DataFrame, name: str, labels: list[str], column: str, replicates: int) -> FloatArray:
    rows = table.sort(name, "replicate")
    expected = _long(name, labels, {"none": np.zeros((len(labels), replicates))})
    if not rows.select(name, "replicate").equals(expected.select(name, "replicate")):
        raise AxstatError(
            "replicate_factors_incomplete",
            where=f"{column} of the replicates",
            expected=f"one factor for each {name} of the units and replicate 1 to {replicates}",
            got=f"{table.height} row(s) for {len(labels)} label(s)",
            hint="store units, class factors and calibration factors of one wave together",
        )
    return rows[column].to_numpy().reshape(len(labels), replicates)
