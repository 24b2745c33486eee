"""The figures of the made-up country, as frozen models of `country.yaml`, held against the contracts.

Belongs here: the shape of that file, its sources, and the check that its codes are the contracts' codes. Does
not belong here: any figure or code itself (they are data), or what is drawn from them (the other modules).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import Violation, ViolationsError
from pipelines.synthetic import dispositions

COUNTRY_FILE = Path(__file__).with_name("country.yaml")


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WaveFigures(_Figures):
    """Size and true level of a wave: enterprises, shares of AI users, bodies of the counted type."""

    enterprises: int
    industry: float
    public: float
    public_institution: int


class GroupFigures(_Figures):
    """One KSIC group: number, level, size mix, largest firm, location, response, technology profile."""

    enterprises: int
    rate: float
    rate_yes_no: float
    medium: float
    large: float
    cap: int
    seoul: float
    rural: float
    responds: float
    profile: str


class RegionFigures(_Figures):
    """One region: share of enterprises, effect on the inclination to use AI, location factor that applies."""

    share: float
    effect: float
    location: Literal["seoul", "rural", "other"]


class EnterpriseFigures(_Figures):
    """Enterprises: structure, change from wave to wave, effects on the inclination to use AI."""

    size_shares: Mapping[str, float]
    birth_size_shares: Mapping[str, float]
    pareto_index: float
    employment_persistence: float
    employment_shock_sd: float
    too_small: float
    too_small_below: int
    closed: float
    not_target: float
    too_small_leaves: float
    leaves_unseen: float
    division_change: float
    division_change_within_group: float
    region_change: float
    size_effect: float
    size_effect_large: float
    large_from: float
    groups: Mapping[str, GroupFigures]
    division_weights: Mapping[str, float]
    regions: Mapping[str, RegionFigures]


class InstitutionTypeFigures(_Figures):
    """One type of public body: number by main sector, size, level, response, fields, exchange, location."""

    sectors: Mapping[str, int]
    median_employees: float
    sigma_employees: float
    cap: int
    effect: float
    responds: float
    further_fields: float
    replaced: int
    regions: Mapping[str, float]


class SectorFigures(_Figures):
    """One public sector: effect on the inclination, and how often it is a further field."""

    effect: float
    served: float


class InstitutionFigures(_Figures):
    """Public bodies: structure, change from wave to wave, effects."""

    types: Mapping[str, InstitutionTypeFigures]
    counted_type: str
    sectors: Mapping[str, SectorFigures]
    size_effect: float
    main_sector_change: float
    employment_persistence: float
    employment_shock_sd: float
    closed: float
    not_target: float


class TechnologyFigures(_Figures):
    """Share of adopters that operate a technology, in the first and the last wave of the list question."""

    first: Mapping[str, float]
    last: Mapping[str, float]


class AdoptionFigures(_Figures):
    """The latent inclination to use AI, and what follows from it."""

    permanent_variance: float = Field(gt=0, lt=1)
    fading_persistence: float = Field(gt=0, lt=1)
    pilot_margin: float
    planned_margin: float
    technology_permanent_variance: float
    technology_pilot_margin: float
    technology_planned_margin: float
    scaled_margin: float
    scaled_size_effect: float
    scaled_yearly: float
    scaled_median_employees: float
    field_main_rate: float
    field_further_rate: float
    technologies: Mapping[str, TechnologyFigures]


class ColumnFigures(_Figures):
    """Factors by the codes of one selection column."""

    column: str
    factors: Mapping[str, float]


class ColumnCodes(_Figures):
    """Some codes of one selection column."""

    column: str
    codes: tuple[str, ...]


class IndustrySample(_Figures):
    """Design of the enterprise sample."""

    size: int
    minimum: int
    small_scale_minimum: int
    small_scale_slack: float
    rotation: float
    power: float
    take_all: ColumnCodes
    relative_spread: ColumnFigures


class PublicSample(_Figures):
    """Design of the sample of public bodies."""

    size: int
    minimum: int
    rotation: float
    power: float
    take_all_up_to: int
    relative_spread: ColumnFigures


class SampleFigures(_Figures):
    """Both designs; `rotation` is the move of a stratum's start a wave, in sampling fractions."""

    industry: IndustrySample
    public: PublicSample


class FieldworkFigures(_Figures):
    """Who answers, and what is left open by those who do."""

    industry_response_rate: Mapping[str, float]
    response_permanent_variance: float
    not_located: Mapping[str, float]
    not_contacted: float
    public_not_located: float
    refusal: float
    non_contact: float
    partial: float
    partial_before_battery: float
    partial_in_battery: float
    all_dont_know: float
    all_refused: float
    one_dont_know: float
    one_refused: float
    all_blank: float
    obstacle_dont_know: float
    obstacle_refused: float
    obstacle_blank: float
    field_dont_know: float
    field_refused: float
    employees_differ: float
    division_differs: float
    region_differs: float
    obstacles: Mapping[str, float]


class Form(_Figures):
    """How a contractor writes one file.

    Attributes:
        header: which name of a column stands in the header: the Korean one, the variable name of a statistics
            package, the contract's own, or the Korean one in two merged rows.
        ksic: ``letter`` C26, ``padded`` 01, ``number`` 1 (leading zero lost).
        codes: coded answers, and institution codes: as text with their zeros, or as numbers that lost them.
        thousands, hyphens: 1,234 and 101-00-12345 as people write them.
    """

    format: Literal["csv", "xlsx", "sav", "parquet"]
    encoding: Literal["utf-8-sig", "cp949"] | None = None
    header: Literal["korean", "korean_two_rows", "variable", "canonical"]
    ksic: Literal["letter", "padded", "number"]
    codes: Literal["padded", "number"]
    thousands: bool = False
    hyphens: bool = False


class WaveForms(_Figures):
    """The forms of one wave's three files."""

    response: Form
    sample: Form
    frame: Form


class Country(_Figures):
    """All figures of the made-up country."""

    waves: Mapping[int, WaveFigures]
    enterprises: EnterpriseFigures
    institutions: InstitutionFigures
    adoption: AdoptionFigures
    samples: SampleFigures
    fieldwork: FieldworkFigures
    forms: Mapping[str, Mapping[int, WaveForms]]

    @property
    def first_wave(self) -> int:
        """The wave in which the country begins."""
        return min(self.waves)


def load_country(library: ContractLibrary, path: Path = COUNTRY_FILE) -> Country:
    """Read the figures and hold their codes against the contracts.

    Raises:
        ViolationsError: codes that the contracts do not have, or that the file leaves out; all of them at
            once.
    """
    country = Country.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    groups_by_revision: dict[str, dict[str, str]] = {row.revision: {} for row in library.ksic}
    for row in library.ksic:
        if row.ksic_group is not None:
            groups_by_revision[row.revision][row.division] = row.ksic_group
    group_of = groups_by_revision[min(groups_by_revision, key=int)]
    groups, divisions = set(group_of.values()), set(group_of)
    lists = library.classifications
    enterprises, institutions, adoption = country.enterprises, country.institutions, country.adoption
    sizes, regions, sectors = (set(lists[name].codes) for name in ("size_classes", "regions", "public_sectors"))
    technologies = set(lists["ai_technologies"].codes)
    found: list[Violation] = []

    def hold(what: str, keys: Iterable[str], codes: set[str], *, partial: bool = False) -> None:
        unknown, missing = set(keys) - codes, set() if partial else codes - set(keys)
        if unknown or missing:
            found.append(
                Violation(
                    code="synthetic_codes",
                    where=f"made-up country: {what}",
                    expected=f"the contracts' codes ({', '.join(sorted(codes))})",
                    got=f"unknown: {sorted(unknown)}; left out: {sorted(missing)}",
                    hint="bring the made-up country in line with data_contracts/classifications",
                )
            )

    for revision, scope in groups_by_revision.items():
        changed = sorted(scope.items() ^ group_of.items())
        if changed:
            found.append(
                Violation(
                    code="synthetic_revisions",
                    where=f"KSIC revision {revision}",
                    expected="the divisions and groups of other revisions: made-up firms keep their codes",
                    got=f"differs at {changed}",
                    hint="teach pipelines/synthetic/enterprises.py to move firms to the new revision's codes",
                )
            )
    hold("enterprises.groups", enterprises.groups, groups)
    hold("enterprises.division_weights", enterprises.division_weights, divisions, partial=True)
    hold("enterprises.regions", enterprises.regions, regions)
    hold("enterprises.size_shares", enterprises.size_shares, sizes)
    hold("enterprises.birth_size_shares", enterprises.birth_size_shares, sizes)
    hold("institutions.types", institutions.types, set(lists["institution_types"].codes))
    hold("institutions.sectors", institutions.sectors, sectors)
    for name, figures in institutions.types.items():
        hold(f"institutions.types.{name}.sectors", figures.sectors, sectors, partial=True)
        hold(f"institutions.types.{name}.regions", figures.regions, regions, partial=True)
    for name, profile in adoption.technologies.items():
        hold(f"adoption.technologies.{name}.first", profile.first, technologies)
        hold(f"adoption.technologies.{name}.last", profile.last, technologies)
    hold("fieldwork.industry_response_rate", country.fieldwork.industry_response_rate, sizes)
    hold("fieldwork.not_located", country.fieldwork.not_located, sizes)
    hold("fieldwork.obstacles", country.fieldwork.obstacles, set(lists["obstacles"].codes), partial=True)
    hold(
        "dispositions.py",
        dispositions.ALL,
        set(lists["dispositions"].codes),
        partial=True,
    )
    hold("samples.industry.take_all", country.samples.industry.take_all.codes, sizes, partial=True)
    if found:
        raise ViolationsError(f"figures of the made-up country ({path.name})", found)
    return country
