"""The public bodies: how they come on the frame, change and leave it, what they serve, whether they use AI.

Belongs here: the frame of the public survey wave by wave, with its truth. Does not belong here: the model of
adoption (adoption), the sample (sampling), any figure (country.yaml).
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipelines.contracts.library import ContractLibrary
from pipelines.synthetic.adoption import AdoptionModel, adopters, fields_in_operation
from pipelines.synthetic.dispositions import CLOSED, NOT_TARGET
from pipelines.synthetic.identifiers import institution_codes
from pipelines.synthetic.latent import LatentEffect
from pipelines.synthetic.parameters import Country
from pipelines.synthetic.population import Population, choose, largest_remainder, shares
from pipelines.synthetic.streams import Streams

SURVEY: Final = "public"
_PROFILE: Final = "public"
# Codes for the first frame and for all bodies that come later.
_CODES: Final = 3000
_SMALLEST: Final = 10

Columns = dict[str, NDArray[Any]]


def institution_waves(
    country: Country, library: ContractLibrary, streams: Streams, *, last_wave: int
) -> Iterator[Population]:
    """The populations of the first wave to `last_wave`, in order."""
    register = _Register(country, library, streams)
    register.found()
    yield register.population(country.first_wave)
    for wave in range(country.first_wave + 1, last_wave + 1):
        register.advance(wave)
        yield register.population(wave)


class _Register:
    """The bodies that exist, with everything of them that lasts from wave to wave."""

    def __init__(self, country: Country, library: ContractLibrary, streams: Streams) -> None:
        self._country = country
        self._figures = country.institutions
        self._survey = library.surveys[SURVEY]
        self._streams = streams
        self._model = AdoptionModel(country, library, self._survey)
        self._types = tuple(self._figures.types)
        self._sectors = library.classifications["public_sectors"].codes
        self._regions = library.classifications["regions"].codes
        types = self._figures.types.values()
        self._cells = np.array([[entry.sectors.get(code, 0) for code in self._sectors] for entry in types])
        self._region_weights = np.array([[entry.regions.get(code, 0.0) for code in self._regions] for entry in types])
        self._codes = institution_codes(_CODES, streams.of("institution codes"))
        self._codes_used = 0

    def _bodies(self, wave: int) -> NDArray[np.int64]:
        """Bodies of each type in `wave`."""
        bodies = self._cells.sum(axis=1)
        bodies[self._types.index(self._figures.counted_type)] = self._country.waves[wave].public_institution
        return np.asarray(bodies, dtype=np.int64)

    # --- coming, changing, going ---------------------------------------------------------------------------

    def found(self) -> None:
        """The first frame."""
        wave = self._country.first_wave
        rng = self._streams.of("institutions founded")
        bodies = self._bodies(wave)
        counts = np.stack(
            [largest_remainder(row.astype(np.float64), total) for row, total in zip(self._cells, bodies, strict=True)]
        )
        kind, sector = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
        # Where each body is: the stated numbers a region, in random order within the type.
        region = np.concatenate(
            [
                rng.permutation(np.repeat(np.arange(len(self._regions)), largest_remainder(weights, total)))
                for weights, total in zip(self._region_weights, bodies, strict=True)
            ]
        )
        self._units = self._entrants(kind, sector, region, rng)
        adoption = self._country.adoption
        count = kind.size
        self._inclination = LatentEffect.born(
            count,
            self._streams.of("institution inclination", wave),
            permanent_variance=adoption.permanent_variance,
            persistence=adoption.fading_persistence,
        )
        self._technology = LatentEffect.born(
            (count, len(self._model.technologies)),
            self._streams.of("institution technologies", wave),
            permanent_variance=adoption.technology_permanent_variance,
        )
        self._field = LatentEffect.born(
            (count, len(self._sectors)),
            self._streams.of("institution fields", wave),
            permanent_variance=adoption.technology_permanent_variance,
        )
        self._response = LatentEffect.born(
            count,
            self._streams.of("institution response", wave),
            permanent_variance=self._country.fieldwork.response_permanent_variance,
        )
        self._settle_scope(wave)

    def advance(self, wave: int) -> None:
        """One wave on: bodies closed or replaced go, others come in their place, some change main sector."""
        rng = self._streams.of("institutions change", wave)
        keep = self._stays(wave, rng)
        stayed = {name: values[keep] for name, values in self._units.items()}
        self._change(stayed, rng)
        missing = self._bodies(wave) - np.bincount(stayed["kind"], minlength=len(self._types))
        kind = np.repeat(np.arange(len(self._types)), missing)
        sector = choose(shares(self._cells), kind, rng)
        region = choose(shares(self._region_weights), kind, rng)
        born = self._entrants(kind, sector, region, rng)
        self._units = {name: np.concatenate([stayed[name], born[name]]) for name in stayed}
        streams, births = self._streams, kind.size
        self._inclination = self._inclination.next_wave(keep, births, streams.of("institution inclination", wave))
        self._technology = self._technology.next_wave(keep, births, streams.of("institution technologies", wave))
        self._field = self._field.next_wave(keep, births, streams.of("institution fields", wave))
        self._response = self._response.next_wave(keep, births, streams.of("institution response", wave))
        self._settle_scope(wave)

    def _entrants(
        self,
        kind: NDArray[np.int64],
        sector: NDArray[np.int64],
        region: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> Columns:
        count = kind.size
        types = list(self._figures.types.values())
        median = np.array([entry.median_employees for entry in types])[kind]
        sigma = np.array([entry.sigma_employees for entry in types])[kind]
        codes = self._codes[self._codes_used : self._codes_used + count]
        self._codes_used += count
        return {
            "unit_id": codes,
            "permanent_random_number": np.round(rng.random(count), 9),
            "kind": kind,
            "sector": sector,
            "region": region,
            "selection_sector": sector,
            "level": np.log(median) + sigma * rng.standard_normal(count),
            "deviation": np.zeros(count),
            "served": self._served(kind, sector, rng),
            "not_target": rng.random(count) < self._figures.not_target,
        }

    def _served(
        self, kind: NDArray[np.int64], sector: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Fields each body serves, shape (n, sectors): its main sector and a Poisson number of others."""
        further = np.array([entry.further_fields for entry in self._figures.types.values()])[kind]
        number = rng.poisson(further)
        weight = np.log([self._figures.sectors[code].served for code in self._sectors])
        # Adding Gumbel noise to log weights and taking the largest draws without replacement by weight.
        score = weight + rng.gumbel(size=(kind.size, len(self._sectors)))
        rows = np.arange(kind.size)
        score[rows, sector] = np.inf
        place = np.argsort(np.argsort(-score, axis=1), axis=1)
        return np.asarray(place <= number[:, None])

    def _stays(self, wave: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        keep: NDArray[np.bool_] = np.asarray(self._scope != CLOSED)
        bodies = self._bodies(wave)
        for index, entry in enumerate(self._figures.types.values()):
            members = np.flatnonzero(keep & (self._units["kind"] == index))
            leaving = max(entry.replaced, members.size - int(bodies[index]))
            keep[rng.choice(members, size=leaving, replace=False)] = False
        return keep

    def _change(self, units: Columns, rng: np.random.Generator) -> None:
        """Size and main sector of bodies that stay; their selection stratum is kept for life."""
        figures = self._figures
        count = units["deviation"].size
        shock = figures.employment_shock_sd * rng.standard_normal(count)
        units["deviation"] = figures.employment_persistence * units["deviation"] + shock
        # A new main sector is one of the fields the body serves.
        changes = rng.random(count) < figures.main_sector_change
        score = np.where(units["served"], rng.random(units["served"].shape), -1.0)
        units["sector"] = np.where(changes, score.argmax(axis=1), units["sector"])

    def _settle_scope(self, wave: int) -> None:
        rng = self._streams.of("institution scope", wave)
        # Only the kinds of bodies that come and go are ever found closed.
        mortal = np.array([entry.replaced > 0 for entry in self._figures.types.values()])[self._units["kind"]]
        closed = mortal & (rng.random(mortal.size) < self._figures.closed)
        self._scope = np.select([self._units["not_target"] & mortal, closed], [NOT_TARGET, CLOSED], "")

    # --- what a wave looks like ----------------------------------------------------------------------------

    def population(self, wave: int) -> Population:
        """The frame of `wave` with its truth."""
        figures, units = self._figures, self._units
        types = list(figures.types.values())
        kind, sector = units["kind"], units["sector"]
        cap = np.array([entry.cap for entry in types])[kind]
        employment = np.clip(np.floor(np.exp(units["level"] + units["deviation"])), _SMALLEST, cap).astype(np.int64)
        log_employment = np.log(employment)
        in_scope = self._scope == ""
        sector_effect = np.array([figures.sectors[code].effect for code in self._sectors])
        adoption = adopters(
            self._inclination.value
            + figures.size_effect * log_employment
            + np.array([entry.effect for entry in types])[kind]
            + sector_effect[sector],
            group=np.zeros(kind.size, dtype=np.int64),
            rates=np.array([self._country.waves[wave].public]),
            in_scope=in_scope,
        )
        list_asked = self._model.list_asked(wave)
        truth: Columns = self._model.columns(
            adoption,
            wave=wave,
            effect=self._technology.value,
            profiles=[_PROFILE],
            profile=np.zeros(kind.size, dtype=np.int64),
            log_employment=log_employment,
        )
        served = units["served"]
        operates = fields_in_operation(
            self._country.adoption, adoption.adopts, served=served, main=sector, effect=self._field.value
        )
        names = np.array(self._types)
        sectors = np.array(self._sectors)
        frame = pl.DataFrame(
            {
                "unit_id": units["unit_id"],
                "permanent_random_number": units["permanent_random_number"],
                "selection_main_sector": sectors[units["selection_sector"]],
                "selection_institution_type": names[kind],
                "employment": employment,
                "institution_type": names[kind],
                "main_sector": sectors[sector],
                "fields": [";".join(sectors[row]) for row in served],
                "region": np.array(self._regions)[units["region"]],
                "in_scope": in_scope,
                "out_of_scope": self._scope,
                "responds": np.array([entry.responds for entry in types])[kind],
                "not_located": np.full(kind.size, self._country.fieldwork.public_not_located),
                "response_effect": self._response.value,
                **truth,
                **{f"field_{code}": operates[:, index] for index, code in enumerate(self._sectors)},
                **{f"served_{code}": served[:, index] for index, code in enumerate(self._sectors)},
            }
        )
        return Population(
            survey=SURVEY,
            wave=wave,
            units=frame.with_columns(
                pl.col("out_of_scope").replace("", None),
                *[pl.when(f"served_{code}").then(f"field_{code}").alias(f"field_{code}") for code in self._sectors],
            )
            .drop(f"served_{code}" for code in self._sectors)
            .sort("unit_id"),
            stratum_parts=tuple(f"selection_{part}" for part in self._survey.stratum.parts),
            technologies=self._model.technologies,
            fields=self._sectors,
            list_asked=list_asked,
        )
