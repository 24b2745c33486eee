"""The specifications of `axstat plan` and `axstat draw`: YAML -> frozen records, all faults said at once.

Belongs here: the keys there are, their types and which of them go together. Does not belong here: the files they name
(strata, draw), any allocation (stats.allocation).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from pipelines.errors import Violation, ViolationsError
from pipelines.estimation.sections import (
    Condition,
    Keys,
    Name,
    Names,
    Section,
    checked_section,
    listed_sections,
    named_columns,
    optional_section,
    read_document,
    repeated_ids,
)
from pipelines.stats.terms import unknown_name

Method = Literal["bethel", "neyman", "power", "proportional", "given"]
Figure = float | str  # a number for all strata, or the column that holds one for each


class StrataTable(Section):
    """The strata: one row each, or one for each cell of domains inside them, or the units of a frame.

    ``population``: the column of the units in the row; left out, every row is a unit. ``minimum`` counts respondents
    expected, ``maximum`` units drawn. ``take_all``: the condition on columns under which a stratum is drawn whole.
    """

    file: str
    by: Names = Field(min_length=1)
    population: Name | None = None
    cost: Figure = 1.0
    response: Figure = 1.0
    minimum: Figure = 2.0
    maximum: Figure | None = None
    take_all: Condition = Field(default_factory=dict)

    def figures(self) -> dict[str, Figure]:
        """What is known of a stratum besides its units, by key."""
        given = {"cost": self.cost, "response": self.response, "minimum": self.minimum}
        return given if self.maximum is None else given | {"maximum": self.maximum}


class Answers(Section):
    """A file of answers that means and spreads are taken from, by cells of the columns ``by``.

    A cell with fewer than ``least`` answers takes those of the cell without its last column, and so on.
    """

    file: str
    value: Name
    weight: Name | None = None
    by: Names = ()
    least: int = Field(default=2, ge=2)


class Measure(Section):
    """What is to be estimated: columns of the strata (``proportion``, or ``spread`` and ``mean``) or ``answers``."""

    id: Name
    proportion: Name | None = None
    mean: Name | None = None
    spread: Name | None = None
    answers: Any = None


class PlannedDomain(Section):
    """A domain, or one for each combination of the values of ``by``."""

    id: Name
    where: Condition = Field(default_factory=dict)
    by: Names = ()


class Target(Section):
    """The standard error, in the measure's unit, or CV that a measure may have in each part of a domain."""

    domain: Name
    measure: Name
    se: float | None = Field(default=None, gt=0)
    cv: float | None = Field(default=None, gt=0)


class AllocationPlan(Section):
    """How the sample is shared out; which keys it takes depends on ``method``."""

    method: Method = "bethel"
    size: int | None = Field(default=None, gt=0)
    budget: float | None = Field(default=None, gt=0)
    measure: Name | None = None
    exponent: float = Field(default=0.5, ge=0, le=1)
    importance: Name | None = None
    drawn: Name | None = None


class Change(Section):
    """The next wave: share of respondents in both waves, correlation of a unit's values, the test's power and level."""

    overlap: float = Field(ge=0, le=1)
    correlation: float = Field(ge=-1, le=1)
    power: float = Field(default=0.8, gt=0.5, lt=1)
    level: float = Field(default=0.95, gt=0, lt=1)


class _Plan(Section):
    strata: Any
    missing: Names = ("", "NA")
    measures: list[Any] = Field(min_length=1)
    domains: list[Any] = Field(min_length=1)
    targets: list[Any] = Field(default_factory=list)
    allocation: Any = None
    change: Any = None


@dataclass(frozen=True)
class PlanSpecification:
    """A plan that is right in itself; made by :func:`load_plan`. ``answers`` belong to the measures, by id."""

    path: Path
    missing: tuple[str, ...]
    strata: StrataTable
    measures: tuple[Measure, ...]
    answers: Mapping[str, Answers]
    domains: tuple[PlannedDomain, ...]
    targets: tuple[Target, ...]
    allocation: AllocationPlan
    change: Change | None

    @property
    def inputs(self) -> list[Path]:
        """The files that are read, this one too."""
        names = [self.strata.file, *(answers.file for answers in self.answers.values())]
        return [self.path, *(self.path.parent / name for name in names)]

    def columns(self) -> Iterator[tuple[str, str]]:
        """Every column of the strata's file that is named, with its place."""
        yield from named_columns("strata.by", self.strata.by)
        yield from named_columns("strata.population", self.strata.population)
        for key, figure in self.strata.figures().items():
            if isinstance(figure, str):
                yield f"strata.{key}", figure
        yield from named_columns("strata.take_all", tuple(self.strata.take_all))
        for index, measure in enumerate(self.measures):
            for key in ("proportion", "mean", "spread"):
                yield from named_columns(f"measures[{index}].{key}", getattr(measure, key))
            if measure.id in self.answers:
                yield from named_columns(f"measures[{index}].answers.by", self.answers[measure.id].by)
        for index, domain in enumerate(self.domains):
            yield from named_columns(f"domains[{index}].where", tuple(domain.where))
            yield from named_columns(f"domains[{index}].by", domain.by)
        yield from named_columns("allocation.importance", self.allocation.importance)
        yield from named_columns("allocation.drawn", self.allocation.drawn)


_ALLOCATION: Mapping[str, Keys] = {
    "bethel": Keys((), ("method",)),
    "neyman": Keys(("measure",), ("method", "size", "budget")),
    "power": Keys(("measure",), ("method", "size", "budget", "exponent", "importance")),
    "proportional": Keys((), ("method", "size", "budget")),
    "given": Keys(("drawn",), ("method",)),
}


def load_plan(path: Path) -> PlanSpecification:
    """Read and check the specification of a plan.

    Raises:
        AxstatError: the file is not there or is not YAML.
        ViolationsError: unknown keys, ids and values with the nearest valid name, keys that are missing or do not go
            together; each with its place, such as ``targets[1].domain``.
    """
    raw = read_document(path)
    faults: list[Violation] = []
    whole = checked_section(_Plan, raw, "", faults)
    if whole is None:
        whole = _Plan.model_construct(
            **_given(raw, ("strata", "allocation", "change"), ("measures", "domains", "targets"))
        )
    table = optional_section(StrataTable, whole.strata, "strata", faults)
    measures = listed_sections(Measure, whole.measures, "measures", faults)
    domains = listed_sections(PlannedDomain, whole.domains, "domains", faults)
    targets = listed_sections(Target, whole.targets, "targets", faults)
    allocation = optional_section(AllocationPlan, whole.allocation or {}, "allocation", faults)
    change = optional_section(Change, whole.change, "change", faults)
    answers: dict[str, Answers] = {}
    for index, measure in measures.items():
        faults += _measure_faults(measure, f"measures[{index}]")
        made = optional_section(Answers, measure.answers, f"measures[{index}].answers", faults)
        if made is not None:
            answers[measure.id] = made
    ids = {"measure": [measure.id for measure in measures.values()], "domain": [each.id for each in domains.values()]}
    for section, items in (("measures", measures), ("domains", domains)):
        faults += repeated_ids([(f"{section}[{index}].id", item.id) for index, item in items.items()])
    for index, target in targets.items():
        faults += _target_faults(target, f"targets[{index}]", ids)
    faults += repeated_ids(
        [(f"targets[{index}]", f"{target.domain}, {target.measure}") for index, target in targets.items()]
    )
    if allocation is not None:
        faults += _allocation_faults(allocation, ids, targeted=bool(whole.targets))
    if faults or table is None or allocation is None:
        raise ViolationsError(f"specification {path.name}", faults)
    return PlanSpecification(
        path=path,
        missing=whole.missing,
        strata=table,
        measures=tuple(measures.values()),
        answers=answers,
        domains=tuple(domains.values()),
        targets=tuple(targets.values()),
        allocation=allocation,
        change=change,
    )


def _given(raw: object, single: Sequence[str], several: Sequence[str]) -> dict[str, Any]:
    """The sections of a document that has faults of its own: they are looked at all the same."""
    given = raw if isinstance(raw, dict) else {}
    found: dict[str, Any] = {key: given.get(key) if isinstance(given.get(key), dict) else None for key in single}
    return found | {key: given.get(key) if isinstance(given.get(key), list) else [] for key in several}


def _measure_faults(measure: Measure, place: str) -> list[Violation]:
    ways = [key for key in ("proportion", "spread", "answers") if getattr(measure, key) is not None]
    if len(ways) != 1:
        hint = "add one" if not ways else "leave the others out"
        return [Violation("one_source", place, "one of proportion, spread, answers", ", ".join(ways) or "none", hint)]
    if measure.mean is not None and measure.spread is None:
        return [Violation("key_not_taken", f"{place}.mean", "mean beside spread", ways[0], "leave it out")]
    return []


def _target_faults(target: Target, place: str, ids: Mapping[str, Sequence[str]]) -> list[Violation]:
    faults = [
        unknown_name(f"unknown_{key}", f"{place}.{key}", f"the id of a {key}", getattr(target, key), known)
        for key, known in ids.items()
        if getattr(target, key) not in known
    ]
    if (target.se is None) == (target.cv is None):
        got = "neither" if target.se is None else "both"
        faults.append(Violation("one_precision", place, "either se or cv", got, "give one of them"))
    return faults


def _allocation_faults(plan: AllocationPlan, ids: Mapping[str, Sequence[str]], *, targeted: bool) -> list[Violation]:
    faults = _ALLOCATION[plan.method].faults(plan, place="allocation", kind=f"method {plan.method}")
    if plan.measure is not None and plan.measure not in ids["measure"]:
        faults.append(
            unknown_name("unknown_measure", "allocation.measure", "the id of a measure", plan.measure, ids["measure"])
        )
    if plan.method == "bethel":
        if not targeted:
            faults.append(Violation("no_target", "targets", "a target for method bethel", "none", "add targets"))
    elif plan.method != "given" and (plan.size is None) == (plan.budget is None):
        got = "neither" if plan.size is None else "both"
        faults.append(Violation("one_size", "allocation", "either size or budget", got, "give one of them"))
    return faults


class FrameFile(Section):
    """The frame to draw from: one row a unit. ``keep``: further columns for the sample file."""

    file: str
    unit: Name
    strata: Names = Field(min_length=1)
    random_number: Name | None = None
    keep: Names = ()


class AllocationFile(Section):
    """What `axstat plan` wrote, or any table of strata and units to draw."""

    file: str
    strata: Names = ()
    drawn: Name = "drawn"


class LastSample(Section):
    """Last wave's sample file, and the table of strata that was written with it, if there is one."""

    file: str
    unit: Name | None = None
    strata: Names = ()
    inclusion_probability: Name = "inclusion_probability"
    panel_since: Name = "panel_since"
    random_number: Name = "permanent_random_number"
    starts: str | None = None


class _Draw(Section):
    survey: Name
    wave: int
    contract: Name | None = None
    overlap: float = Field(default=1.0, ge=0, le=1)
    start: float = Field(default=0.0, ge=0, lt=1)
    missing: Names = ("", "NA")
    frame: Any
    allocation: Any
    last: Any = None


@dataclass(frozen=True)
class DrawSpecification:
    """A draw that is right in itself; made by :func:`load_draw`. Names of columns left out are filled in."""

    path: Path
    survey: str
    wave: int
    contract: str | None
    overlap: float
    start: float
    missing: tuple[str, ...]
    frame: FrameFile
    allocation: AllocationFile
    last: LastSample | None

    @property
    def inputs(self) -> list[Path]:
        """The files that are read, this one too."""
        names = [self.frame.file, self.allocation.file, *([] if self.last is None else [self.last.file])]
        return [self.path, *(self.path.parent / name for name in names)]


def load_draw(path: Path) -> DrawSpecification:
    """Read and check the specification of a draw; errors as for :func:`load_plan`."""
    raw = read_document(path)
    faults: list[Violation] = []
    whole = checked_section(_Draw, raw, "", faults)
    if whole is None:
        whole = _Draw.model_construct(**_given(raw, ("frame", "allocation", "last"), ()))
    frame = optional_section(FrameFile, whole.frame, "frame", faults)
    allocation = optional_section(AllocationFile, whole.allocation, "allocation", faults)
    last = optional_section(LastSample, whole.last, "last", faults)
    if frame is not None:
        for place, names in (("allocation", allocation), ("last", last)):
            if names is not None and names.strata and len(names.strata) != len(frame.strata):
                expected = f"a column for each of the {len(frame.strata)} of frame.strata, in their order"
                got = str(len(names.strata))
                faults.append(Violation("strata_do_not_fit", f"{place}.strata", expected, got, "name as many"))
    if last is None and "overlap" in whole.model_fields_set:
        faults.append(Violation("key_not_taken", "overlap", "overlap beside last", "no last", "add last"))
    if faults or frame is None or allocation is None:
        raise ViolationsError(f"specification {path.name}", faults)
    if last is not None:
        last = last.model_copy(update={"unit": last.unit or frame.unit, "strata": last.strata or frame.strata})
    return DrawSpecification(
        path=path,
        survey=whole.survey,
        wave=whole.wave,
        contract=whole.contract,
        overlap=whole.overlap,
        start=whole.start,
        missing=whole.missing,
        frame=frame,
        allocation=allocation.model_copy(update={"strata": allocation.strata or frame.strata}),
        last=last,
    )
