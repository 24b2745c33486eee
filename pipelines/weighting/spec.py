"""The specification of `axstat weight`: YAML -> frozen records, all faults said at once.

Belongs here: the keys there are, their types and which of them go together. Does not belong here: the files they name
(rows), any weighting (run, stats).
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
    named_columns,
    optional_section,
    read_document,
)
from pipelines.stats.collapse import Coarsening
from pipelines.stats.model_matrix import columns_of
from pipelines.stats.nonresponse import STATUSES
from pipelines.stats.terms import unknown_name
from pipelines.stats.trimming import Share

Method = Literal["poststratify", "rake", "linear", "truncated", "raking", "logit", "entropy"]
PROPENSITY_CLASS = "propensity_class"
UNIT_SHARE = "unit_share"


class Base(Section):
    """Where the base weight comes from: the inclusion probability, or the weight itself."""

    probability: Name | None = None
    weight: Name | None = None


class Dispositions(Section):
    """The codes of a column by what they say of a unit; ``partial``: those of ``respondent`` that are partial."""

    column: Name
    respondent: Names = Field(min_length=1)
    partial: Names = ()
    eligible_nonrespondent: Names = ()
    unknown_eligibility: Names = ()
    out_of_scope: Names = ()

    def status_of(self) -> dict[str, str]:
        """The status that each code stands for."""
        return {code: status for status in STATUSES for code in getattr(self, status)}


class Coarser(Section):
    """A level of collapsing at which the codes of a column are replaced by their groups."""

    column: Name
    groups: dict[Name, Name]


class Propensity(Section):
    """The model of response; ``categorical``: columns of numbers that are labels."""

    terms: Names = Field(min_length=1)
    use: Literal["classes", "inverse"]
    classes: int = Field(default=5, ge=2)
    max_factor: float = Field(default=5.0, gt=1)
    categorical: Names = ()


class Response(Section):
    """Weighting classes. ``stratum`` and ``take_all`` keep strata drawn whole apart."""

    classes: Names = ()
    collapse: list[Any] = Field(default_factory=list)
    min_respondents: int = Field(default=20, ge=1)
    max_factor: float | None = Field(default=None, gt=1)
    stratum: Name | None = None
    take_all: Condition = Field(default_factory=dict)
    model: Any = None


class FrameFile(Section):
    """The frame that margins and totals are counted on: one row a unit of the population."""

    file: str


class CalibrationPlan(Section):
    """Totals given, or names of what is counted on the frame; which keys go together depends on ``method``."""

    method: Method
    margins: dict[Name, dict[Name, float]] | Names = ()
    totals: dict[Name, float] | Names = ()
    bounds: Literal["narrowest"] | tuple[float, float] | None = None
    cluster: Name | None = None
    out_of_scope: bool = True
    collapse: list[Any] = Field(default_factory=list)
    min_respondents: int = Field(default=1, ge=1)
    max_factor: float | None = Field(default=None, gt=1)

    @property
    def counted(self) -> bool:
        """Whether anything is taken from the frame."""
        return any(isinstance(named, tuple) and named for named in (self.margins, self.totals))


class TrimmingPlan(Section):
    """Limits of the weights: ``low`` and ``high``, or ``iqr`` interquartile ranges above the median for the latter."""

    iqr: float | None = Field(default=None, gt=0)
    low: float = Field(default=0.0, ge=0)
    high: float | None = Field(default=None, gt=0)
    share: Share = "proportional"


class _Weighting(Section):
    sample: str
    missing: Names = ("", "NA")
    unit: Name
    base: Any
    keep: Names = ()
    status: Any = None
    response: Any = None
    frame: Any = None
    calibration: Any = None
    trimming: Any = None


@dataclass(frozen=True)
class WeightingSpecification:
    """A weighting that is right in itself; made by :func:`load_weighting`.

    ``class_order`` and ``cell_order``: the levels by which weighting classes and post-strata are collapsed.
    """

    path: Path
    sample: str
    missing: tuple[str, ...]
    unit: str
    base: Base
    keep: tuple[str, ...]
    status: Dispositions | None
    response: Response | None
    model: Propensity | None
    class_order: tuple[Coarsening, ...]
    frame: FrameFile | None
    calibration: CalibrationPlan | None
    cell_order: tuple[Coarsening, ...]
    trimming: TrimmingPlan | None

    @property
    def inputs(self) -> list[Path]:
        """The files that are read, this one too."""
        names = [self.sample, *([] if self.frame is None else [self.frame.file])]
        return [self.path, *(self.path.parent / name for name in names)]

    def labels(self) -> Iterator[tuple[str, str]]:
        """The columns of the sample that hold labels, each with its place."""
        yield "unit", self.unit
        if self.status is not None:
            yield "status.column", self.status.column
        if self.response is not None:
            classes = tuple(name for name in self.response.classes if name != PROPENSITY_CLASS)
            yield from named_columns("response.classes", classes)
            yield from named_columns("response.stratum", self.response.stratum)
        if self.model is not None:
            yield from named_columns("response.model.categorical", self.model.categorical)
        if self.calibration is not None:
            yield from named_columns("calibration.cluster", self.calibration.cluster)
            yield from self.calibrated(labels=True)

    def figures(self) -> Iterator[tuple[str, str]]:
        """The columns of the sample that hold numbers."""
        yield from named_columns("base.probability", self.base.probability)
        yield from named_columns("base.weight", self.base.weight)
        if self.calibration is not None:
            yield from self.calibrated(labels=False)

    def others(self) -> Iterator[tuple[str, str]]:
        """The columns that are taken as they are."""
        yield from named_columns("keep", self.keep)
        if self.response is not None:
            yield from named_columns("response.take_all", tuple(self.response.take_all))
        if self.model is not None:
            yield from named_columns("response.model.terms", columns_of(self.model.terms))

    def calibrated(self, *, labels: bool, counted: bool = False) -> Iterator[tuple[str, str]]:
        """The columns of margins and totals; ``counted``: of those alone that are counted on the frame."""
        assert self.calibration is not None
        plan = self.calibration
        if not counted or isinstance(plan.margins, tuple):
            for name in plan.margins if labels else ():
                yield from named_columns("calibration.margins", parts_of(name))
        if not counted or isinstance(plan.totals, tuple):
            for term in plan.totals:
                for piece in term.split(":"):
                    column, level, _ = piece.partition("=")
                    if bool(level) == labels and column not in ("1", UNIT_SHARE):
                        yield "calibration.totals", column


def parts_of(margin: str) -> tuple[str, ...]:
    """The columns of a margin; those of a crossed one stand with a colon between them."""
    return tuple(margin.split(":"))


_TOTALS = ("method", "margins", "totals", "cluster", "out_of_scope")
_CALIBRATION: Mapping[str, Keys] = {
    "poststratify": Keys(("margins",), ("method", "collapse", "min_respondents", "max_factor", "out_of_scope")),
    "rake": Keys(("margins",), ("method", "out_of_scope")),
    "linear": Keys((), _TOTALS),
    "truncated": Keys(("bounds",), _TOTALS),
    "raking": Keys((), (*_TOTALS, "bounds")),
    "logit": Keys(("bounds",), _TOTALS),
    "entropy": Keys((), (*_TOTALS, "bounds")),
}


def load_weighting(path: Path) -> WeightingSpecification:
    """Read and check a specification.

    Raises:
        AxstatError: the file is not there or is not YAML.
        ViolationsError: unknown keys and values with the nearest valid name, keys that are missing or do not go
            together; each with its place, such as ``response.model.use``.
    """
    raw = read_document(path)
    faults: list[Violation] = []
    whole = checked_section(_Weighting, raw, "", faults)
    if whole is None:
        given = raw if isinstance(raw, dict) else {}
        sections = ("base", "status", "response", "frame", "calibration", "trimming")
        whole = _Weighting.model_construct(**{key: given.get(key) for key in sections})
    base = optional_section(Base, whole.base, "base", faults)
    status = optional_section(Dispositions, whole.status, "status", faults)
    response = optional_section(Response, whole.response, "response", faults)
    frame = optional_section(FrameFile, whole.frame, "frame", faults)
    calibration = optional_section(CalibrationPlan, whole.calibration, "calibration", faults)
    trimming = optional_section(TrimmingPlan, whole.trimming, "trimming", faults)
    model = None
    class_order: tuple[Coarsening, ...] = ()
    cell_order: tuple[Coarsening, ...] = ()
    if base is not None and (base.probability is None) == (base.weight is None):
        got = "neither" if base.weight is None else "both"
        faults.append(Violation("one_base", "base", "either probability or weight", got, "give one of them"))
    if status is not None:
        faults += _status_faults(status)
    if response is not None:
        model = optional_section(Propensity, response.model, "response.model", faults)
        class_order = _order(response.collapse, "response.collapse", response.classes, faults)
        faults += _response_faults(response, model, has_status=whole.status is not None)
    if calibration is not None:
        faults += _calibration_faults(calibration, has_frame=whole.frame is not None)
        parts = parts_of(next(iter(calibration.margins), ""))
        cell_order = _order(calibration.collapse, "calibration.collapse", parts, faults)
    if whole.frame is not None and not (calibration is not None and calibration.counted) and not faults:
        hint = "name margins or totals as a list, or leave the frame out"
        faults.append(Violation("key_not_taken", "frame", "margins or totals to count on it", "none", hint))
    if trimming is not None:
        faults += _trimming_faults(trimming)
    if faults or base is None:
        raise ViolationsError(f"specification {path.name}", faults)
    return WeightingSpecification(
        path=path,
        sample=whole.sample,
        missing=whole.missing,
        unit=whole.unit,
        base=base,
        keep=whole.keep,
        status=status,
        response=response,
        model=model,
        class_order=class_order,
        frame=frame,
        calibration=calibration,
        cell_order=cell_order,
        trimming=trimming,
    )


def _order(raw: Sequence[object], place: str, parts: Sequence[str], faults: list[Violation]) -> tuple[Coarsening, ...]:
    """The levels of collapsing: a column to be dropped, or one with the groups of its codes."""
    made = []
    for index, item in enumerate(raw):
        where = f"{place}[{index}]"
        level = Coarsening(item, f"without {item}") if isinstance(item, str) else None
        if level is None:
            section = checked_section(Coarser, item, where, faults)
            if section is None:
                continue
            level = Coarsening(section.column, f"groups of {section.column}", section.groups)
        if level.part not in parts:
            faults.append(unknown_name("unknown_part", where, "a column of the cells", level.part, parts))
        made.append(level)
    return tuple(made)


def _status_faults(status: Dispositions) -> list[Violation]:
    faults = []
    first: dict[str, str] = {}
    for name in STATUSES:
        for code in getattr(status, name):
            if first.setdefault(code, name) != name:
                expected = f"each code once; {first[code]} has it"
                faults.append(Violation("code_repeated", f"status.{name}", expected, code, "leave it out of one"))
    faults += [
        unknown_name("unknown_code", "status.partial", "a code of respondent", code, status.respondent)
        for code in status.partial
        if code not in status.respondent
    ]
    return faults


def _response_faults(response: Response, model: Propensity | None, *, has_status: bool) -> list[Violation]:
    faults = []
    if not has_status:
        hint = "name the column and its codes, or leave response out"
        faults.append(Violation("key_missing", "status", "a value: response needs it", "nothing", hint))
    by_classes = model is not None and model.use == "classes"
    if by_classes and PROPENSITY_CLASS not in response.classes:
        shown = ", ".join(response.classes) or "none"
        hint = f"add {PROPENSITY_CLASS}"
        faults.append(
            Violation("key_missing", "response.classes", f"{PROPENSITY_CLASS}, which use: classes makes", shown, hint)
        )
    if PROPENSITY_CLASS in response.classes and not by_classes and response.model is None:
        hint = "add model with use: classes, or leave it out"
        faults.append(
            Violation("key_missing", "response.model", f"a model that makes {PROPENSITY_CLASS}", "none", hint)
        )
    if response.take_all and response.stratum is None:
        hint = "name the column of the strata"
        faults.append(Violation("key_missing", "response.stratum", "a value: take_all needs it", "nothing", hint))
    return faults


def _calibration_faults(plan: CalibrationPlan, *, has_frame: bool) -> list[Violation]:
    faults = _CALIBRATION[plan.method].faults(plan, place="calibration", kind=f"method {plan.method}")
    if plan.method == "poststratify" and len(plan.margins) > 1:
        hint = "cross the columns, as in region:size, or take method: rake"
        faults.append(Violation("one_margin", "calibration.margins", "one margin", str(len(plan.margins)), hint))
    if not plan.margins and not plan.totals and not faults:
        hint = "name what to calibrate on"
        faults.append(Violation("no_margin", "calibration", "margins or totals", "none", hint))
    for key in ("margins", "totals"):
        named = getattr(plan, key)
        if isinstance(named, tuple) and named and not has_frame:
            hint = "add frame, or write the totals: name: {level: total}"
            faults.append(
                Violation("key_missing", "frame", f"a file that calibration.{key} are counted on", "none", hint)
            )
    bounds = plan.bounds
    if isinstance(bounds, tuple) and not bounds[0] < 1 < bounds[1]:
        got = f"[{bounds[0]:g}, {bounds[1]:g}]"
        hint = "give the smallest and the largest factor by which a weight may change"
        faults.append(Violation("bounds_not_valid", "calibration.bounds", "low < 1 < high, or narrowest", got, hint))
    if not plan.collapse:
        faults += [
            Violation(
                "key_not_taken", f"calibration.{key}", "collapse, of which this is a rule", "none", "add collapse"
            )
            for key in ("min_respondents", "max_factor")
            if key in plan.model_fields_set and plan.method == "poststratify"
        ]
    return faults


def _trimming_faults(plan: TrimmingPlan) -> list[Violation]:
    if plan.iqr is not None and plan.high is not None:
        return [Violation("one_limit", "trimming", "either iqr or high", "both", "give one of them")]
    if plan.iqr is None and plan.high is None and plan.low == 0:
        return [Violation("key_missing", "trimming", "iqr, low or high", "none", "give a limit")]
    if plan.high is not None and not plan.low < plan.high:
        got = f"[{plan.low:g}, {plan.high:g}]"
        hint = "give the smallest and the largest weight allowed"
        return [Violation("limits_not_valid", "trimming", "0 <= low < high", got, hint)]
    return []
