"""Who truly uses AI, which technologies, how far, and in which fields.

Belongs here: the latent model and what follows from it for every unit of a population. Does not belong here:
the units themselves (enterprises, institutions), or what the units say when asked (fieldwork).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtr, ndtri

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.surveys import Survey
from pipelines.synthetic.parameters import AdoptionFigures, Country

NONE, PLANNED, PILOT, DEPLOYED, SCALED = range(5)
_NO_LIST: Final = "none"


@dataclass(frozen=True)
class Adoption:
    """Truth of one wave, one entry a unit.

    Attributes:
        adopts: uses AI under the wave's wording, shape (n,).
        margin: inclination above (below, if negative) the threshold of use, shape (n,).
    """

    adopts: NDArray[np.bool_]
    margin: NDArray[np.float64]


def rates_at_level(rates: NDArray[np.float64], sizes: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """Rates moved together on the logit scale until their mean, weighted by `sizes`, is `level`.

    Args:
        rates, sizes: shape (g,), one entry a group.
    """
    target = level * float(sizes.sum())

    def surplus(shift: float) -> float:
        return float(sizes @ expit(logit(rates) + shift)) - target

    return np.asarray(expit(logit(rates) + brentq(surplus, -10.0, 10.0, xtol=1e-12)), dtype=np.float64)


def adopters(
    inclination: NDArray[np.float64],
    *,
    group: NDArray[np.int64],
    rates: NDArray[np.float64],
    in_scope: NDArray[np.bool_],
) -> Adoption:
    """Units whose inclination is above their group's threshold.

    The threshold of a group is set so that its rate among units in scope is `rates[group]`, to the nearest
    unit.

    Args:
        inclination: shape (n,).
        group: shape (n,), index into `rates`.
        in_scope: shape (n,); the others adopt by the same threshold but do not count.
    """
    threshold = np.full(rates.size, np.inf)
    for index in np.unique(group[in_scope]):
        values = np.sort(inclination[(group == index) & in_scope])
        wanted = round(float(rates[index]) * values.size)
        bounds = np.concatenate([[values[0] - 1.0], values, [values[-1] + 1.0]])
        position = values.size - wanted
        threshold[index] = (bounds[position] + bounds[position + 1]) / 2
    margin = inclination - threshold[group]
    return Adoption(adopts=margin > 0, margin=margin)


class AdoptionModel:
    """What the truth of one survey's units consists of, wave by wave."""

    def __init__(self, country: Country, library: ContractLibrary, survey: Survey) -> None:
        """The model of `survey`, with its technologies in the order of the contracts."""
        self.technologies = library.classifications["ai_technologies"].codes
        self._figures = country.adoption
        self._survey = survey
        self._last_wave = max(country.waves)
        self._first_list_wave = min(wave for wave in country.waves if self.list_asked(wave))

    def list_asked(self, wave: int) -> bool:
        """True when the wave asks the technology list, False when it asks one yes/no question."""
        return self._survey.tech_list_version(wave) != _NO_LIST

    def columns(
        self,
        adoption: Adoption,
        *,
        wave: int,
        effect: NDArray[np.float32],
        profiles: Sequence[str],
        profile: NDArray[np.int64],
        log_employment: NDArray[np.float64],
    ) -> dict[str, NDArray[Any]]:
        """The truth columns of a population: ``ai_adoption``, and for the list ``stage`` and ``tech_<code>``.

        Args:
            effect: inclination to each technology, standard normal, shape (n, technologies).
            profiles: names of technology profiles; `profile` holds each unit's index among them.
        """
        if not self.list_asked(wave):
            return {"ai_adoption": adoption.adopts}
        progress = (wave - self._first_list_wave) / (self._last_wave - self._first_list_wave)
        scores = np.stack(
            [
                (1 - progress) * self._scores(self._figures.technologies[name].first)
                + progress * self._scores(self._figures.technologies[name].last)
                for name in profiles
            ]
        )
        stages = technology_stages(
            self._figures,
            adoption,
            excess=effect + scores[profile],
            log_employment=log_employment,
            waves_since_first=wave - self._first_list_wave,
        )
        return {
            "ai_adoption": adoption.adopts,
            "stage": stages.max(axis=1),
            **{f"tech_{code}": stages[:, index] for index, code in enumerate(self.technologies)},
        }

    def _scores(self, shares: Mapping[str, float]) -> NDArray[np.float64]:
        return np.asarray(ndtri([shares[code] for code in self.technologies]), dtype=np.float64)


def technology_stages(
    figures: AdoptionFigures,
    adoption: Adoption,
    *,
    excess: NDArray[np.float64],
    log_employment: NDArray[np.float64],
    waves_since_first: int,
) -> NDArray[np.uint8]:
    """Stage of every technology in every unit, shape (n, technologies).

    A unit that adopts operates at least one technology; one that does not operates none, and how near it is
    to adopting decides whether its foremost technology is planned or on trial.

    Args:
        excess: a unit's inclination to a technology above that technology's threshold, shape (n,
            technologies).
        log_employment: shape (n,).
    """
    count = excess.shape[0]
    rows = np.arange(count)
    foremost = excess.argmax(axis=1)
    lift = np.where(adoption.adopts, np.maximum(excess[rows, foremost], 1e-6), excess[rows, foremost])
    excess = excess.copy()
    excess[rows, foremost] = lift
    unit_limit = np.select(
        [adoption.adopts, adoption.margin > -figures.pilot_margin, adoption.margin > -figures.planned_margin],
        [SCALED, PILOT, PLANNED],
        NONE,
    )
    needed = (
        figures.scaled_margin
        - figures.scaled_size_effect * (log_employment - np.log(figures.scaled_median_employees))
        - figures.scaled_yearly * waves_since_first
    )
    operated = np.where(excess > needed[:, None], SCALED, DEPLOYED)
    below = np.select(
        [excess > -figures.technology_pilot_margin, excess > -figures.technology_planned_margin],
        [PILOT, PLANNED],
        NONE,
    )
    stages = np.where((excess > 0) & adoption.adopts[:, None], operated, below)
    stages = np.minimum(stages, unit_limit[:, None])
    stages[rows, foremost] = np.where(adoption.adopts, stages[rows, foremost], unit_limit)
    return np.asarray(stages, dtype=np.uint8)


def fields_in_operation(
    figures: AdoptionFigures,
    adopts: NDArray[np.bool_],
    *,
    served: NDArray[np.bool_],
    main: NDArray[np.int64],
    effect: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Fields in which a body operates AI: of those it serves, none unless it adopts, at least one if it does.

    Args:
        served: shape (n, fields).
        main: index of the main field, shape (n,).
        effect: lasting effect of body and field, standard normal, shape (n, fields).
    """
    rows = np.arange(adopts.size)
    share = np.full(served.shape, figures.field_further_rate)
    share[rows, main] = figures.field_main_rate
    operates = served & adopts[:, None] & (ndtr(effect) < share)
    idle = adopts & ~operates.any(axis=1)
    operates[rows[idle], main[idle]] = True
    return np.asarray(operates, dtype=np.bool_)
