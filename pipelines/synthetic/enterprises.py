"""The enterprises: how they come on the frame, change, leave it, and whether they use AI.

Belongs here: the frame of the industry survey wave by wave, with its truth. Does not belong here: the model
of adoption (adoption), the sample (sampling), any figure (country.yaml).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipelines.contracts.library import ContractLibrary
from pipelines.synthetic.adoption import AdoptionModel, adopters, rates_at_level
from pipelines.synthetic.dispositions import CLOSED, NOT_TARGET, TOO_SMALL
from pipelines.synthetic.identifiers import business_numbers
from pipelines.synthetic.latent import LatentEffect
from pipelines.synthetic.parameters import Country
from pipelines.synthetic.population import (
    Population,
    choose,
    largest_remainder,
    shares,
)
from pipelines.synthetic.streams import Streams

SURVEY: Final = "industry"
# A fifth of the first frame enters in four waves; this leaves room.
_NUMBERS_PER_UNIT: Final = 1.5

Columns = dict[str, NDArray[Any]]


def enterprise_waves(
    country: Country, library: ContractLibrary, streams: Streams, *, last_wave: int, scale: float
) -> Iterator[Population]:
    """The populations of the first wave to `last_wave`, in order.

    Args:
        scale: share of the country's number of enterprises that is made.
    """
    register = _Register(country, library, streams, scale)
    register.found()
    yield register.population(country.first_wave)
    for wave in range(country.first_wave + 1, last_wave + 1):
        register.advance(wave)
        yield register.population(wave)


class _Register:
    """The enterprises alive, with everything of them that lasts from wave to wave."""

    def __init__(self, country: Country, library: ContractLibrary, streams: Streams, scale: float) -> None:
        self._country = country
        self._figures = country.enterprises
        self._survey = library.surveys[SURVEY]
        self._streams = streams
        self._scale = scale
        self._model = AdoptionModel(country, library, self._survey)
        self._groups = tuple(self._figures.groups)
        self._regions = tuple(self._figures.regions)
        sizes = library.classifications["size_classes"]
        self._sizes = sizes.codes
        self._lower = np.array([int(item.properties["min_employees"]) for item in sizes.items])
        self._scopes = {
            revision: {row.division: row for row in library.ksic if row.ksic_group and row.revision == revision}
            for revision in {row.revision for row in library.ksic}
        }
        # load_country has seen to it that the revisions agree on divisions and groups.
        scope = self._scopes[str(self._survey.ksic_revision(country.first_wave))]
        self._divisions = tuple(sorted(scope))
        self._group_of_division = np.array(
            [self._groups.index(str(scope[division].ksic_group)) for division in self._divisions]
        )
        self._group_shares = shares([figures.enterprises for figures in self._figures.groups.values()])
        self._caps = np.array([figures.cap for figures in self._figures.groups.values()])
        self._division_shares = self._divisions_by_group()
        self._region_shares = self._regions_by_group()
        self._numbers = business_numbers(
            int(_NUMBERS_PER_UNIT * self._frame_size(country.first_wave)) + 1000,
            streams.of("business numbers"),
        )
        self._numbers_used = 0

    # --- coming, changing, going ---------------------------------------------------------------------------

    def found(self) -> None:
        """The first frame."""
        wave = self._country.first_wave
        cells = self._group_shares[:, None] * self._size_mix(self._figures.size_shares)
        counts = largest_remainder(cells.ravel(), self._frame_size(wave))
        group, size = (np.repeat(index.ravel(), counts) for index in np.indices(cells.shape))
        self._units = self._entrants(group, size, self._streams.of("enterprises founded"))
        adoption, fieldwork = self._country.adoption, self._country.fieldwork
        self._inclination = LatentEffect.born(
            group.size,
            self._streams.of("enterprise inclination", wave),
            permanent_variance=adoption.permanent_variance,
            persistence=adoption.fading_persistence,
        )
        self._technology = LatentEffect.born(
            (group.size, len(self._model.technologies)),
            self._streams.of("enterprise technologies", wave),
            permanent_variance=adoption.technology_permanent_variance,
        )
        self._response = LatentEffect.born(
            group.size,
            self._streams.of("enterprise response", wave),
            permanent_variance=fieldwork.response_permanent_variance,
        )
        self._settle_scope(wave)

    def advance(self, wave: int) -> None:
        """One wave on: exits, changes of those that stay, births up to the size of the wave's frame."""
        rng = self._streams.of("enterprises change", wave)
        keep = self._stays(self._frame_size(wave), rng)
        births = self._frame_size(wave) - int(keep.sum())
        stayed = {name: values[keep] for name, values in self._units.items()}
        self._change(stayed, rng)
        group = rng.choice(len(self._groups), size=births, p=self._group_shares)
        size = choose(self._size_mix(self._figures.birth_size_shares), group, rng)
        born = self._entrants(group, size, rng)
        self._units = {name: np.concatenate([stayed[name], born[name]]) for name in stayed}
        streams = self._streams
        self._inclination = self._inclination.next_wave(keep, births, streams.of("enterprise inclination", wave))
        self._technology = self._technology.next_wave(keep, births, streams.of("enterprise technologies", wave))
        self._response = self._response.next_wave(keep, births, streams.of("enterprise response", wave))
        self._settle_scope(wave)

    def _frame_size(self, wave: int) -> int:
        return round(self._country.waves[wave].enterprises * self._scale)

    def _entrants(self, group: NDArray[np.int64], size: NDArray[np.int64], rng: np.random.Generator) -> Columns:
        count = group.size
        lower = self._lower[size].astype(np.float64)
        upper = np.append(self._lower[1:], 0)[size].astype(np.float64)
        last = size == len(self._sizes) - 1
        upper[last] = self._caps[group[last]] + 1.0
        index = self._figures.pareto_index
        # Inverse of the Pareto distribution function between the two ends of the class.
        mass = 1.0 - (lower / upper) ** index
        employment = lower * (1.0 - rng.random(count) * mass) ** (-1.0 / index)
        region = choose(self._region_shares, group, rng)
        numbers = self._numbers[self._numbers_used : self._numbers_used + count]
        self._numbers_used += count
        return {
            "unit_id": numbers,
            # Nine digits, so that what is delivered as text is the number itself.
            "permanent_random_number": np.round(rng.random(count), 9),
            "division": choose(self._division_shares, group, rng),
            "region": region,
            "selection_group": group,
            "selection_size": size,
            "selection_region": region,
            "level": np.log(np.clip(employment, lower, np.nextafter(upper, 0.0))),
            "deviation": np.zeros(count),
            "not_target": rng.random(count) < self._figures.not_target,
        }

    def _stays(self, frame_size: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        draw = rng.random(self._scope.size)
        leaves = np.select(
            [self._scope == CLOSED, self._scope == TOO_SMALL],
            [1.0, self._figures.too_small_leaves],
            self._figures.leaves_unseen,
        )
        keep = draw >= leaves
        surplus = int(keep.sum()) - frame_size
        if surplus > 0:
            keep[rng.choice(np.flatnonzero(keep), size=surplus, replace=False)] = False
        return keep

    def _change(self, units: Columns, rng: np.random.Generator) -> None:
        """Employment, industry and location of units that stay; their selection stratum is kept for life."""
        figures = self._figures
        count = units["deviation"].size
        shock = figures.employment_shock_sd * rng.standard_normal(count)
        units["deviation"] = figures.employment_persistence * units["deviation"] + shock
        group = self._group_of_division[units["division"]]
        changes = rng.random(count) < figures.division_change
        elsewhere = changes & (rng.random(count) >= figures.division_change_within_group)
        group[elsewhere] = rng.choice(len(self._groups), size=int(elsewhere.sum()), p=self._group_shares)
        units["division"] = units["division"].copy()
        units["division"][changes] = choose(self._division_shares, group[changes], rng)
        moves = rng.random(count) < figures.region_change
        units["region"] = units["region"].copy()
        units["region"][moves] = choose(self._region_shares, group[moves], rng)

    def _settle_scope(self, wave: int) -> None:
        """Which units turn out to be out of scope in this wave; '' for those in scope."""
        figures = self._figures
        rng = self._streams.of("enterprise scope", wave)
        small = self._employment() < figures.too_small_below
        too_small = small & (rng.random(small.size) < figures.too_small / small.mean())
        closed = rng.random(small.size) < figures.closed
        self._scope = np.select([self._units["not_target"], closed, too_small], [NOT_TARGET, CLOSED, TOO_SMALL], "")

    # --- what a wave looks like ----------------------------------------------------------------------------

    def _employment(self) -> NDArray[np.int64]:
        cap = self._caps[self._group_of_division[self._units["division"]]]
        current = np.floor(np.exp(self._units["level"] + self._units["deviation"]))
        return np.asarray(np.clip(current, self._lower[0], cap), dtype=np.int64)

    def population(self, wave: int) -> Population:
        """The frame of `wave` with its truth."""
        figures, fieldwork = self._figures, self._country.fieldwork
        group = self._group_of_division[self._units["division"]]
        employment = self._employment()
        size = np.searchsorted(self._lower, employment, side="right") - 1
        log_employment = np.log(employment)
        region_effect = np.array([entry.effect for entry in figures.regions.values()])
        inclination = (
            self._inclination.value
            + figures.size_effect * log_employment
            + figures.size_effect_large * np.maximum(log_employment - np.log(figures.large_from), 0.0)
            + region_effect[self._units["region"]]
        )
        in_scope = self._scope == ""
        list_asked = self._model.list_asked(wave)
        groups = figures.groups.values()
        adoption = adopters(
            inclination,
            group=group,
            rates=rates_at_level(
                np.array([entry.rate if list_asked else entry.rate_yes_no for entry in groups]),
                np.bincount(group[in_scope], minlength=len(self._groups)).astype(np.float64),
                self._country.waves[wave].industry,
            ),
            in_scope=in_scope,
        )
        profiles = sorted({entry.profile for entry in groups})
        profile_of_group = np.array([profiles.index(entry.profile) for entry in groups])
        truth = self._model.columns(
            adoption,
            wave=wave,
            effect=self._technology.value,
            profiles=profiles,
            profile=profile_of_group[group],
            log_employment=log_employment,
        )
        size_rate = np.array([fieldwork.industry_response_rate[code] for code in self._sizes])
        group_rate = np.array([entry.responds for entry in groups])
        not_located = np.array([fieldwork.not_located[code] for code in self._sizes])
        names = np.array(self._groups)
        regions = np.array(self._regions)
        scope = self._scopes[str(self._survey.ksic_revision(wave))]
        ax_industry = np.array([scope[division].ax_industry or "" for division in self._divisions])
        units = pl.DataFrame(
            {
                "unit_id": self._units["unit_id"],
                "permanent_random_number": self._units["permanent_random_number"],
                "selection_ksic_group": names[self._units["selection_group"]],
                "selection_size_class": np.array(self._sizes)[self._units["selection_size"]],
                "selection_region": regions[self._units["selection_region"]],
                "employment": employment,
                "ksic_division": np.array(self._divisions)[self._units["division"]],
                "ksic_group": names[group],
                "ax_industry": ax_industry[self._units["division"]],
                "size_class": np.array(self._sizes)[size],
                "region": regions[self._units["region"]],
                "in_scope": in_scope,
                "out_of_scope": self._scope,
                "responds": size_rate[size] + group_rate[group],
                "not_located": not_located[size],
                "response_effect": self._response.value,
                **truth,
            }
        ).with_columns(pl.col("ax_industry", "out_of_scope").replace("", None))
        return Population(
            survey=SURVEY,
            wave=wave,
            units=units.sort("unit_id"),
            stratum_parts=tuple(f"selection_{part}" for part in self._survey.stratum.parts),
            technologies=self._model.technologies,
            fields=(),
            list_asked=list_asked,
        )

    # --- shares --------------------------------------------------------------------------------------------

    def _size_mix(self, size_shares: Mapping[str, float]) -> NDArray[np.float64]:
        """Share of each size class within each group, shape (groups, sizes); `size_shares` over all."""
        wanted = np.array([size_shares[code] for code in self._sizes])
        mix = wanted * np.array([[1.0, entry.medium, entry.large] for entry in self._figures.groups.values()])
        for _ in range(100):
            mix /= mix.sum(axis=1, keepdims=True)
            mix *= wanted / (self._group_shares @ mix)
        return np.asarray(mix / mix.sum(axis=1, keepdims=True), dtype=np.float64)

    def _divisions_by_group(self) -> NDArray[np.float64]:
        weights = np.array([self._figures.division_weights.get(code, 1.0) for code in self._divisions])
        member = self._group_of_division == np.arange(len(self._groups))[:, None]
        return shares(member * weights)

    def _regions_by_group(self) -> NDArray[np.float64]:
        regions = self._figures.regions.values()
        rows = [
            [
                region.share * {"seoul": group.seoul, "rural": group.rural, "other": 1.0}[region.location]
                for region in regions
            ]
            for group in self._figures.groups.values()
        ]
        return shares(rows)
