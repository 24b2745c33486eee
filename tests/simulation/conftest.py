"""Two small populations with a known truth, and samples from them, for the simulation of the whole chain.

Belongs here: the populations, the field work, many samples at once. Does not belong here: what is held (test_chain).

The populations stay as they are; only what chance decides in a real survey is drawn anew: permanent random numbers,
who can be reached, who responds, who answers an item. Response depends on what the weighting classes see, and on
nothing else: bias of another kind is no property of the estimators.

Many samples go through the estimators in one call, because a call on a small sample is mostly overhead. The number of
the sample is the first part of every stratum, class, post-stratum and domain, and no way of collapsing drops it: the
samples do not meet. A test holds this against calls on single samples.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.orchestration.plans import domains, weighting_plan
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray
from pipelines.stats.nonresponse import CollapseRule
from pipelines.stats.survey_wave import Domain
from pipelines.stats.weighting import WeightingPlan

CONTRACTS = Path(__file__).parents[2] / "data_contracts"
POPULATION_SEED = 20260000
PANEL_OVERLAP = 0.7
ITEM_STATUSES = ("answered", "dont_know", "refused", "not_asked")
ITEM_SHARES = (0.90, 0.05, 0.03, 0.02)
DOMAIN_TYPES = {
    "industry": ("total", "ax_total", "ax_industry", "size_class", "region"),
    "public": ("total", "public_sector", "institution_type", "region", "public_field"),
}


@dataclass(frozen=True)
class WaveData:
    """What the estimators get of one wave; units, strata and parts begin with the number of the sample."""

    sample: pl.DataFrame
    frame: pl.DataFrame
    answers: pl.DataFrame
    frame_fields: pl.DataFrame


@dataclass(frozen=True, eq=False)
class Population:
    """A frame of two waves (the second has births besides) and the answer every unit would give. N units.

    ``units`` holds the frame columns and ``reach``, ``response`` (probabilities), ``in_scope``; ``fields`` the
    fields each unit serves (none: no rows), with the 0/1 truth ``y1``, ``y2``.
    """

    survey: str
    units: pl.DataFrame
    fields: pl.DataFrame
    truth: Mapping[str, tuple[FloatArray, FloatArray]]  # measure -> 0/1 of both waves (N,)
    taken: FloatArray  # (N,) units drawn in the stratum of each unit
    stratum: IntArray  # (N,)
    plan: WeightingPlan
    domains: tuple[Domain, ...]

    @property
    def measures(self) -> list[str]:
        """Measures of units."""
        return list(self.truth)

    @property
    def field_measures(self) -> list[str]:
        """Measures of units in a field."""
        return ["field_adoption"] if self.fields.height else []

    def stacked(self, samples: int) -> "Stack":
        """The population as often as samples are to be drawn at once."""
        labels = pl.DataFrame({"sample": [f"{number:04d}" for number in range(samples)]})
        label = pl.col("sample")
        units = labels.join(self.units.with_row_index("row"), how="cross").with_columns(
            pl.concat_str(label, "unit_id", separator=":").alias("unit_id"),
            pl.concat_str(label, "selection_stratum", separator="/").alias("selection_stratum"),
        )
        fields = labels.join(self.fields, how="cross").with_columns(
            pl.concat_str(label, "unit_id", separator=":").alias("unit_id")
        )
        return Stack(
            population=self,
            samples=samples,
            units=units,
            frames=(units.filter(~pl.col("born")), units),
            fields=fields,
            plan=WeightingPlan(
                strata=_by_sample(self.plan.strata),
                classes=_by_sample(self.plan.classes),
                post_strata=_by_sample(self.plan.post_strata),
            ),
            domains=tuple(replace(domain, columns=("sample", *domain.columns)) for domain in self.domains),
        )

    def draw(self, rng: np.random.Generator, samples: int) -> tuple[IntArray, ...]:
        """Row numbers of the units drawn in each wave, sample after sample, counted through a stack.

        By permanent random number; the second wave starts 30 % of the sample further on.
        """
        n = self.units.height
        born = self.units["born"].to_numpy()
        waves: tuple[list[IntArray], list[IntArray]] = ([], [])
        for number in range(samples):
            permanent = rng.random(n)
            for wave, exists in enumerate((~born, np.ones_like(born))):
                waves[wave].append(number * n + self._chosen(permanent, exists, wave))
        return tuple(np.concatenate(rows) for rows in waves)

    def inclusion(self, exists: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Units drawn and units there in the stratum of each unit."""
        there = np.bincount(self.stratum[exists], minlength=int(self.stratum.max()) + 1)[self.stratum]
        return np.where(self.units["take_all"].to_numpy(), there, self.taken), there.astype(np.float64)

    def _chosen(self, permanent: FloatArray, exists: BoolArray, wave: int) -> IntArray:
        taken, there = self.inclusion(exists)
        turn = (permanent - wave * (1 - PANEL_OVERLAP) * taken / np.maximum(there, 1.0)) % 1.0
        here = np.flatnonzero(exists)
        # Strata are whole numbers and turns lie below 1: one sort for both.
        order = here[np.argsort(self.stratum[here] + turn[here])]
        ordered = self.stratum[order]
        rank = np.arange(len(order)) - np.searchsorted(ordered, ordered)
        return np.sort(order[rank < taken[order]])

    def true_rates(self) -> pl.DataFrame:
        """domain_type, domain_code, measure, unit_weighting, quantity, truth, size, leverage; of units in scope.

        Quantities are 'rate_1', 'rate_2' and 'change'. ``size`` is the effective number of answers to expect by the
        design alone: (sum x)^2/sum(x^2/q), x what a unit counts (1 or its employment), q its probability to be
        drawn, to be reached, to respond and to answer; the smaller of both waves for changes. ``leverage``: mean share
        of an answer in the denominator, weighted as in the variance, sum(x^3/q^2)/(sum(x^2/q) sum(x)).
        """
        key = ["domain_type", "domain_code", "measure", "unit_weighting"]
        born = self.units["born"].to_numpy()
        tables = []
        for wave, exists in enumerate((~born, np.ones_like(born))):
            taken, there = self.inclusion(exists)
            answering = taken / np.maximum(there, 1.0) * ITEM_SHARES[0]
            units = self.units.with_columns(
                (pl.Series(answering) * pl.col("reach") * pl.col("response")).alias("q"),
                *(pl.Series(measure, values[wave]) for measure, values in self.truth.items()),
            ).filter(pl.Series(exists) & pl.col("in_scope"))
            fields = self.fields.select("unit_id", "field", pl.col(f"y{wave + 1}").alias("field_adoption"))
            for domain in self.domains:
                rows = (units.join(fields, on="unit_id") if domain.by_field else units).with_columns(domain.code())
                for measure in self.field_measures if domain.by_field else self.measures:
                    for weighting, x in (("unit", pl.lit(1.0)), ("employment", pl.col("employment").cast(pl.Float64))):
                        x = x * pl.col("q").is_not_null()
                        tables.append(
                            rows.filter(pl.col("domain_code").is_not_null())
                            .group_by("domain_code")
                            .agg(
                                pl.lit(domain.type).alias("domain_type"),
                                pl.lit(measure).alias("measure"),
                                pl.lit(weighting).alias("unit_weighting"),
                                pl.lit(f"rate_{wave + 1}").alias("quantity"),
                                ((x * pl.col(measure)).sum() / x.sum()).alias("truth"),
                                (x.sum().pow(2) / (x.pow(2) / pl.col("q")).sum()).alias("size"),
                                (
                                    (x.pow(3) / pl.col("q").pow(2)).sum() / ((x.pow(2) / pl.col("q")).sum() * x.sum())
                                ).alias("leverage"),
                            )
                            .select(*key, "quantity", "truth", "size", "leverage")
                        )
        rates = pl.concat(tables)
        by_wave = [rates.filter(pl.col("quantity") == f"rate_{number}").drop("quantity") for number in (1, 2)]
        change = by_wave[0].join(by_wave[1], on=key, suffix="_2")
        return pl.concat(
            [
                rates,
                change.select(
                    *key,
                    pl.lit("change").alias("quantity"),
                    (pl.col("truth_2") - pl.col("truth")).alias("truth"),
                    pl.min_horizontal("size", "size_2").alias("size"),
                    pl.max_horizontal("leverage", "leverage_2").alias("leverage"),
                ),
            ]
        )


@dataclass(frozen=True, eq=False)
class Stack:
    """A population repeated for each of a number of samples; rows in the order of the samples."""

    population: Population
    samples: int
    units: pl.DataFrame
    frames: tuple[pl.DataFrame, pl.DataFrame]
    fields: pl.DataFrame
    plan: WeightingPlan
    domains: tuple[Domain, ...]

    def survey(self, rng: np.random.Generator) -> tuple[WaveData, WaveData]:
        """Both waves of all samples."""
        first, second = self.population.draw(rng, self.samples)
        return self._wave(rng, 0, first), self._wave(rng, 1, second)

    def _wave(self, rng: np.random.Generator, wave: int, chosen: IntArray) -> WaveData:
        population = self.population
        drawn = self.units[chosen]
        rows = drawn["row"].to_numpy()
        taken, there = population.inclusion(~population.units["born"].to_numpy() | bool(wave))
        reached = rng.random(len(chosen)) < drawn["reach"].to_numpy()
        responds = rng.random(len(chosen)) < drawn["response"].to_numpy()
        status = np.select(
            [~reached, ~drawn["in_scope"].to_numpy(), responds],
            ["unknown_eligibility", "out_of_scope", "respondent"],
            "eligible_nonrespondent",
        )
        responding = drawn.filter(pl.Series(status == "respondent"))
        ids, at = responding["unit_id"], responding["row"].to_numpy()
        tables = [
            _answers(rng, ids, pl.repeat("", len(ids), eager=True), measure, values[wave][at])
            for measure, values in population.truth.items()
        ]
        if self.fields.height:
            served = self.fields.join(responding.select("unit_id"), on="unit_id", how="semi", maintain_order="left")
            truth = served[f"y{wave + 1}"].to_numpy()
            tables.append(_answers(rng, served["unit_id"], served["field"], "field_adoption", truth))
        return WaveData(
            sample=drawn.select(
                "unit_id",
                "selection_stratum",
                pl.Series("inclusion_probability", taken[rows] / there[rows]),
                pl.Series("status", status),
            ),
            frame=self.frames[wave],
            answers=pl.concat(tables),
            frame_fields=self.fields.select("unit_id", "field"),
        )


def _by_sample(rule: CollapseRule) -> CollapseRule:
    return replace(rule, parts=("sample", *rule.parts))


def _answers(
    rng: np.random.Generator, ids: pl.Series, fields: pl.Series, measure: str, truth: FloatArray
) -> pl.DataFrame:
    status = rng.choice(ITEM_STATUSES, len(ids), p=ITEM_SHARES)
    return pl.DataFrame(
        {
            "unit_id": ids,
            "field": fields,
            "measure": pl.repeat(measure, len(ids), eager=True),
            "value": np.where(status == "answered", truth, np.nan),
            "answer_status": status,
        }
    ).with_columns(pl.col("value").fill_nan(None))


def _answers_of_two_waves(rng: np.random.Generator, level: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Adoption that mostly lasts: nine adopters of ten stay, one non-adopter of five comes in."""
    first = rng.random(len(level)) < 1 / (1 + np.exp(-level))
    later = np.where(first, rng.random(len(level)) < 0.9, rng.random(len(level)) < 0.2)
    return first.astype(np.float64), later.astype(np.float64)


def _population(
    library: ContractLibrary, survey: str, units: pl.DataFrame, fields: pl.DataFrame, level: FloatArray, seed: int
) -> Population:
    rng = np.random.default_rng(seed)
    size = pl.len().over("selection_stratum")
    counted = units.with_columns(
        pl.when("take_all")
        .then(size)
        .otherwise(pl.max_horizontal((pl.col("share") * size).ceil(), pl.min_horizontal(pl.lit(4), size)))
        .cast(pl.Float64)
        .alias("taken"),
        pl.col("selection_stratum").rank("dense").cast(pl.Int64).alias("stratum"),
    )
    contract = library.surveys[survey]
    return Population(
        survey=survey,
        units=units,
        fields=fields,
        truth={
            "ai_adoption": _answers_of_two_waves(rng, level),
            "genai_adoption": _answers_of_two_waves(rng, level - 0.8),
        },
        taken=counted["taken"].to_numpy(),
        stratum=counted["stratum"].to_numpy() - 1,
        plan=weighting_plan(contract, library),
        domains=tuple(domain for domain in domains(contract) if domain.type in DOMAIN_TYPES[survey]),
    )


def _industry(library: ContractLibrary) -> Population:
    """5,000 enterprises and 200 births; employment of large ones by a Pareto tail of 1.5 up to 5,000."""
    rng = np.random.default_rng(POPULATION_SEED)
    n = 5200
    group = rng.choice(["CA", "CC", "G", "JB"], n, p=[0.3, 0.25, 0.25, 0.2])
    region = rng.choice(["11", "31", "21", "26"], n, p=[0.35, 0.3, 0.2, 0.15])
    size = rng.choice(["10-49", "50-249", "250+"], n, p=[0.8, 0.16, 0.04])
    tail = 250 * (1 - rng.random(n)) ** (-1 / 1.5)
    employment = np.select(
        [size == "10-49", size == "50-249"],
        [np.clip(10 + rng.exponential(10, n), 10, 49), np.clip(50 + rng.exponential(50, n), 50, 249)],
        np.minimum(tail, 5000),
    ).round()
    # Units near a class limit may have been drawn in the class next to theirs; they keep that stratum.
    crossed = rng.random(n) < 0.3
    selected_size = np.select(
        [
            crossed & (employment >= 50) & (employment < 55),
            crossed & (employment >= 45) & (employment < 50),
            crossed & (employment >= 250) & (employment < 275),
            crossed & (employment >= 225) & (employment < 250),
        ],
        ["10-49", "50-249", "50-249", "250+"],
        size,
    )
    # Level by what is known of a unit, and by its own employment inside its class.
    level = (
        -1.5
        + np.select([group == "JB", group == "CC"], [1.0, 0.4], 0.0)
        + np.select([size == "50-249", size == "250+"], [0.6, 1.4], 0.0)
        + 0.3 * (region == "11")
        + 0.2 * np.log(employment / 20)
    )
    ax = np.select([group == "CA", group == "CC", group == "JB"], ["AX1", "AX2", "AX3"], "")
    units = pl.DataFrame(
        {
            "unit_id": [f"{number:06d}" for number in range(n)],
            "ksic_group": group,
            "size_class": size,
            "region": region,
            "ax_industry": [code or None for code in ax.tolist()],
            "employment": employment.astype(np.int64),
            "selection_stratum": ["/".join(parts) for parts in zip(group, selected_size, region, strict=True)],
            "take_all": selected_size == "250+",
            "share": np.select([selected_size == "10-49", selected_size == "50-249"], [0.15, 0.4], 1.0),
            "born": np.arange(n) >= 5000,
            "in_scope": rng.random(n) >= np.select([size == "10-49", size == "50-249"], [0.05, 0.03], 0.02),
            "reach": np.select([size == "10-49", size == "50-249"], [0.85, 0.9], 0.95),
            "response": np.select([size == "10-49", size == "50-249"], [0.75, 0.8], 0.85),
        }
    )
    none = pl.DataFrame(schema={"unit_id": pl.String, "field": pl.String, "y1": pl.Float64, "y2": pl.Float64})
    return _population(library, "industry", units, none, level, POPULATION_SEED + 1)


def _public(library: ContractLibrary) -> Population:
    """1,135 institutions and 30 births; sectors P04 to P06 fully enumerated; log-normal employment."""
    rng = np.random.default_rng(POPULATION_SEED + 2)
    counts = {"P01": 400, "P02": 300, "P03": 200, "P04": 180, "P05": 40, "P06": 15}
    sector = np.concatenate([np.repeat(list(counts), list(counts.values())), rng.choice(["P01", "P02", "P04"], 30)])
    n = len(sector)
    kind = rng.choice(["local_government", "public_institution", "local_public_enterprise"], n, p=[0.5, 0.3, 0.2])
    region = rng.choice(["11", "31", "21", "26"], n)
    employment = np.exp(rng.normal(4.5 + 0.6 * (kind == "local_government"), 1.0, n)).round() + 1
    level = (
        -0.4
        + np.select([sector == "P01", sector == "P04"], [0.5, 0.9], 0.0)
        + 0.4 * (kind == "local_government")
        + 0.3 * (np.log(employment) - 4.8)
    )
    take_all = np.isin(sector, ["P04", "P05", "P06"])
    units = pl.DataFrame(
        {
            "unit_id": [f"{number:06d}" for number in range(n)],
            "main_sector": sector,
            "institution_type": kind,
            "region": region,
            "employment": employment.astype(np.int64),
            "selection_stratum": ["/".join(parts) for parts in zip(sector, kind, strict=True)],
            "take_all": take_all,
            "share": np.where(take_all, 1.0, 0.55),
            "born": np.arange(n) >= 1135,
            "in_scope": rng.random(n) >= 0.02,
            "reach": np.where(kind == "local_government", 0.97, 0.93),
            "response": np.select([kind == "local_government", kind == "public_institution"], [0.9, 0.85], 0.8),
        }
    )
    tables = []
    for field, share in (("F1", 0.8), ("F2", 0.5), ("F3", 0.2)):
        serves = rng.random(n) < share
        first, later = _answers_of_two_waves(rng, level - 0.3)
        tables.append(
            pl.DataFrame(
                {
                    "unit_id": units["unit_id"].filter(pl.Series(serves)),
                    "field": pl.repeat(field, int(serves.sum()), eager=True),
                    "y1": first[serves],
                    "y2": later[serves],
                }
            )
        )
    return _population(library, "public", units, pl.concat(tables).sort("unit_id", "field"), level, POPULATION_SEED + 3)


@pytest.fixture(scope="session")
def build_population() -> Callable[[str], Population]:
    """'industry' or 'public' -> its population, made once and the same for every seed."""
    library = load_library(CONTRACTS)
    made = {"industry": _industry, "public": _public}
    return lambda survey: made[survey](library)
