"""The specification of estimates: YAML -> frozen records, with everything that is wrong in it said at once.

Belongs here: the keys a specification may have, their types and which of them go together. Does not belong here: the
data file (data), whether its columns exist (run), any estimate (engine).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

from pydantic import Field

from pipelines.errors import Violation, ViolationsError
from pipelines.estimation.sections import (
    Condition,
    Keys,
    Label,
    Name,
    Names,
    Section,
    Share,
    checked_section,
    listed_sections,
    named_columns,
    optional_section,
    read_document,
    repeated_ids,
)
from pipelines.stats.design import LonelyPsu
from pipelines.stats.intervals import IntervalMethod
from pipelines.stats.quantile_rules import QuantileRule
from pipelines.stats.quantiles import QuantileInterval
from pipelines.stats.terms import unknown_name

Statistic = Literal["mean", "proportion", "total", "ratio", "difference", "quantile", "contrast"]
Basic = Literal["mean", "proportion", "total", "ratio"]
# As in stats.hypothesis_tests, which takes long to import.
AssociationStatistic = Literal["F", "Chisq", "Wald", "adjWald", "saddlepoint", "lincom"]
NotNegative = Annotated[float, Field(ge=0)]


class Design(Section):
    """How the rows were drawn; see SurveyDesign.from_frame. ``nest``: PSU labels are read within their stratum."""

    strata: Name | None = None
    stages: Names = ()
    population: Names = ()
    weight: Name | None = None
    take_all: Name | None = None
    lonely_psu: LonelyPsu = "fail"
    lonely_psu_in_domain: bool = False
    nest: bool = True
    wave: Name | None = None
    wave_covariance: Literal["stacked", "overlap"] = "stacked"


class CalibrationPlan(Section):
    """Weights to be made to agree with totals: by ``margins`` (rake, poststratify) or ``terms`` and ``totals``."""

    method: Literal["rake", "poststratify", "linear", "raking", "logit"]
    margins: dict[Name, Annotated[dict[Name, float], Field(min_length=1)]] | None = Field(default=None, min_length=1)
    terms: Names = ()
    totals: tuple[float, ...] | dict[Name, float] | None = None
    bounds: tuple[float, float] | None = None

    @property
    def by_margins(self) -> bool:
        """Whether the method takes margins, not terms."""
        return self.method in ("rake", "poststratify")

    @property
    def totals_by_term(self) -> Mapping[str, float]:
        """The total of each term."""
        if isinstance(self.totals, dict):
            return self.totals
        return dict(zip(self.terms, self.totals or (), strict=True))


class Replicates(Section):
    """Replicate weights in a file of their own: full sets of weights, or factors with ``combined`` false."""

    file: str
    key: Name = "row"
    columns: Names = ("r*[0-9]",)
    combined: bool = True
    scale: NotNegative
    rscales: NotNegative | tuple[NotNegative, ...] = 1.0
    mse: bool = False
    degf: int | None = Field(default=None, ge=1)


class Confidence(Section):
    """Level and methods of the intervals."""

    level: Share = Field(default=0.95, gt=0, lt=1)
    methods: tuple[IntervalMethod, ...] = Field(default=("xlogit",), min_length=1)


class Estimate(Section):
    """One estimate; which keys it takes depends on ``statistic`` (see TAKES)."""

    id: Name
    statistic: Statistic
    measure: Name | None = None
    level: Label | None = None
    denominator: Name | None = None
    where: Condition = Field(default_factory=dict)
    by: Names = ()
    between: tuple[Condition, ...] = ()
    of: Basic | None = None
    coefficients: tuple[float, ...] | dict[Name, float] | None = None
    probabilities: tuple[Annotated[Share, Field(ge=0, le=1)], ...] = ()
    rule: QuantileRule = "math"
    interval: QuantileInterval = "mean"

    @property
    def basic(self) -> Basic:
        """The statistic itself, or the one that a difference or contrast is of."""
        if self.statistic in get_args(Basic):
            return cast(Basic, self.statistic)
        return self.of or "mean"


class HypothesisTest(Section):
    """A test: ``chisq`` of two columns, or ``ttest`` of an outcome against a group, another column or a value."""

    id: Name
    test: Literal["chisq", "ttest"]
    row: Name | None = None
    column: Name | None = None
    statistic: AssociationStatistic = "F"
    outcome: Name | None = None
    group: Name | None = None
    minus: Name | None = None
    null: float = 0.0
    where: Condition = Field(default_factory=dict)


class Model(Section):
    """A regression."""

    id: Name
    model: Literal["linear", "logistic", "poisson"]
    outcome: Name
    terms: Names
    categorical: Names = ()
    reference: dict[Name, Name] = Field(default_factory=dict)
    offset: Name | None = None
    where: Condition = Field(default_factory=dict)


class _Whole(Section):
    data: str
    missing: Names = ("", "NA")
    design: Any
    calibration: Any = None
    replicates: Any = None
    confidence: Any = None
    estimates: list[Any] = Field(default_factory=list)
    tests: list[Any] = Field(default_factory=list)
    models: list[Any] = Field(default_factory=list)


@dataclass(frozen=True)
class Specification:
    """A specification that is right in itself; made by :func:`load_specification`. ``path`` is its file."""

    path: Path
    data: str
    missing: tuple[str, ...]
    design: Design
    calibration: CalibrationPlan | None
    replicates: Replicates | None
    confidence: Confidence
    estimates: tuple[Estimate, ...]
    tests: tuple[HypothesisTest, ...]
    models: tuple[Model, ...]

    @property
    def inputs(self) -> list[Path]:
        """The files that are read, this one too."""
        names = [self.data, *([] if self.replicates is None else [self.replicates.file])]
        return [self.path, *(self.path.parent / name for name in names)]

    def columns(self) -> Iterator[tuple[str, str]]:
        """Every column of the data file that is named, with its place; calibration terms are left out."""
        for key in ("strata", "stages", "population", "weight", "take_all", "wave"):
            yield from named_columns(f"design.{key}", getattr(self.design, key))
        if self.calibration is not None:
            for margin in self.calibration.margins or {}:
                yield from ((f"calibration.margins.{margin}", part) for part in margin.split(":"))
        for index, estimate in enumerate(self.estimates):
            place = f"estimates[{index}]"
            for key in ("measure", "denominator", "by"):
                yield from named_columns(f"{place}.{key}", getattr(estimate, key))
            yield from ((f"{place}.where", name) for name in estimate.where)
            for side, condition in enumerate(estimate.between):
                yield from ((f"{place}.between[{side}]", name) for name in condition)
        for index, test in enumerate(self.tests):
            for key in ("row", "column", "outcome", "group", "minus"):
                yield from named_columns(f"tests[{index}].{key}", getattr(test, key))
            yield from ((f"tests[{index}].where", name) for name in test.where)
        for index, model in enumerate(self.models):
            yield from named_columns(f"models[{index}].outcome", model.outcome)
            yield from named_columns(f"models[{index}].offset", model.offset)
            for term in model.terms:
                yield from named_columns(f"models[{index}].terms", tuple(term.split(":")))
            yield from ((f"models[{index}].where", name) for name in model.where)


_ESTIMATE = ("id", "statistic")
TAKES: Mapping[str, Keys] = {
    "mean": Keys((*_ESTIMATE, "measure"), ("where", "by")),
    "proportion": Keys((*_ESTIMATE, "measure"), ("level", "where", "by")),
    "total": Keys((*_ESTIMATE, "measure"), ("level", "where", "by")),
    "ratio": Keys((*_ESTIMATE, "measure", "denominator"), ("where", "by")),
    "difference": Keys((*_ESTIMATE, "measure", "between"), ("of", "level", "denominator", "where", "by")),
    "quantile": Keys((*_ESTIMATE, "measure", "probabilities"), ("rule", "interval", "where", "by")),
    "contrast": Keys((*_ESTIMATE, "coefficients"), ("measure", "between", "of", "level", "denominator", "where", "by")),
    "chisq": Keys(("id", "test", "row", "column"), ("statistic", "where")),
    "ttest": Keys(("id", "test", "outcome"), ("group", "minus", "null", "where")),
}


def load_specification(path: Path) -> Specification:
    """Read and check a specification.

    Raises:
        AxstatError: the file is not there or is not YAML.
        ViolationsError: unknown keys and values with the nearest valid name, missing keys, wrong types, keys that do
            not go together; each with its place, such as ``estimates[2].measure``.
    """
    raw = read_document(path)
    faults: list[Violation] = []
    whole = checked_section(_Whole, raw, "", faults)
    if whole is None:
        # Sections are still looked at, so that all that is wrong is said.
        whole = _Whole.model_construct(data="", **_sections(raw))
    design = optional_section(Design, whole.design, "design", faults)
    calibration = optional_section(CalibrationPlan, whole.calibration, "calibration", faults)
    replicates = optional_section(Replicates, whole.replicates, "replicates", faults)
    confidence = optional_section(Confidence, whole.confidence, "confidence", faults)
    estimates = listed_sections(Estimate, whole.estimates, "estimates", faults)
    tests = listed_sections(HypothesisTest, whole.tests, "tests", faults)
    models = listed_sections(Model, whole.models, "models", faults)
    if calibration is not None:
        faults += _calibration_faults(calibration)
    if design is not None:
        faults += _design_faults(design, replicates)
    for index, estimate in estimates.items():
        faults += _estimate_faults(estimate, f"estimates[{index}]", estimates, replicated=replicates is not None)
    for index, test in tests.items():
        faults += _test_faults(test, f"tests[{index}]")
    faults += repeated_ids(
        [
            (f"{section}[{index}].id", str(item["id"]))
            for section in ("estimates", "tests", "models")
            for index, item in enumerate(getattr(whole, section))
            if isinstance(item, dict) and "id" in item
        ]
    )
    if not faults and not (estimates or tests or models):
        faults.append(
            Violation("nothing_asked", "estimates", "at least one estimate, test or model", "none", "add estimates")
        )
    if not faults and design is None:
        faults.append(Violation("key_missing", "design", "a value", "nothing", "name weight, strata and stages"))
    if faults or design is None:
        raise ViolationsError(f"specification {path.name}", faults)
    return Specification(
        path=path,
        data=whole.data,
        missing=whole.missing,
        design=design,
        calibration=calibration,
        replicates=replicates,
        confidence=confidence or Confidence(),
        estimates=tuple(estimates.values()),
        tests=tuple(tests.values()),
        models=tuple(models.values()),
    )


def _sections(raw: object) -> dict[str, Any]:
    """The sections of a document that has faults of its own."""
    given = raw if isinstance(raw, dict) else {}
    found = {key: given.get(key) for key in ("design", "calibration", "replicates", "confidence")}
    listed = {key: given.get(key) for key in ("estimates", "tests", "models")}
    return found | {key: value if isinstance(value, list) else [] for key, value in listed.items()}


def _design_faults(design: Design, replicates: Replicates | None) -> list[Violation]:
    faults = []
    if design.weight is None and not design.population:
        faults.append(
            Violation(
                "no_weight",
                where="design",
                expected="weight, or population to make the weights from",
                got="neither",
                hint="name the weight column",
            )
        )
    if len(design.population) > max(len(design.stages), 1):
        faults.append(
            Violation(
                "too_many_populations",
                where="design.population",
                expected=f"at most one column a stage ({max(len(design.stages), 1)})",
                got=f"{len(design.population)}",
                hint="name the units of every stage in stages, or leave the further populations out",
            )
        )
    if design.wave_covariance == "overlap":
        wrong = [
            ("wave", "the column that tells the waves apart", design.wave is None),
            ("stages", "the column that names a unit in every wave", not design.stages),
        ]
        faults += [
            Violation("key_missing", f"design.{key}", what, "nothing", "add it, or leave wave_covariance out")
            for key, what, absent in wrong
            if absent
        ]
        if replicates is not None:
            faults.append(
                Violation(
                    "key_not_taken",
                    where="design.wave_covariance",
                    expected="no replicates beside overlap: they bring the covariance of the waves with them",
                    got="both",
                    hint="leave wave_covariance out",
                )
            )
    return faults


def _calibration_faults(plan: CalibrationPlan) -> list[Violation]:
    by_margins = plan.by_margins
    must = ("margins",) if by_margins else ("terms", "totals")
    keys = Keys(("method", *must), () if by_margins else ("bounds",))
    faults = keys.faults(plan, place="calibration", kind=plan.method)
    if faults:
        return faults
    if plan.method == "poststratify" and len(plan.margins or {}) != 1:
        faults.append(
            Violation(
                "one_margin",
                where="calibration.margins",
                expected="one margin; a crossed one is written sex:region with levels such as A:N",
                got=str(len(plan.margins or {})),
                hint="cross them, or use method: rake",
            )
        )
    if isinstance(plan.totals, tuple) and len(plan.totals) != len(plan.terms):
        faults.append(
            Violation(
                "totals_do_not_fit",
                where="calibration.totals",
                expected=f"a total for each of the {len(plan.terms)} terms, in their order",
                got=str(len(plan.totals)),
                hint="give one total a term, or write totals as term: total",
            )
        )
    if plan.method == "logit" and plan.bounds is None:
        faults.append(
            Violation("key_missing", "calibration.bounds", "bounds: logit needs them", "nothing", "add e.g. [0.3, 3]")
        )
    return faults


def _estimate_faults(
    estimate: Estimate, place: str, all_estimates: Mapping[int, Estimate], *, replicated: bool
) -> list[Violation]:
    faults = TAKES[estimate.statistic].faults(estimate, place=place, kind=f"statistic {estimate.statistic}")
    if faults:
        return faults

    def fault(code: str, key: str, expected: str, got: str, hint: str) -> None:
        faults.append(Violation(code, f"{place}.{key}", expected, got, hint))

    if len(set(estimate.by)) < len(estimate.by):
        fault("column_repeated", "by", "each column once", ", ".join(estimate.by), "name it once")
    if estimate.statistic == "difference" and len(estimate.between) != 2:
        fault("two_sides", "between", "two domains: the second minus the first", str(len(estimate.between)), "give two")
    if estimate.of == "ratio" and estimate.denominator is None:
        fault("key_missing", "denominator", "a value: the difference of ratios needs it", "nothing", "add denominator")
    if estimate.of is not None and estimate.of != "ratio" and estimate.denominator is not None:
        fault("key_not_taken", "denominator", "a denominator with of: ratio only", estimate.of, "leave it out")
    if estimate.statistic == "quantile" and not estimate.probabilities:
        fault("key_missing", "probabilities", "at least one share", "none", "add e.g. [0.5]")
    if estimate.statistic == "quantile" and estimate.interval == ("score" if replicated else "quantile"):
        valid = [name for name in get_args(QuantileInterval) if name != estimate.interval]
        fault(
            "interval_not_valid",
            "interval",
            f"one of {', '.join(valid)}",
            estimate.interval,
            "score needs a linearised variance, quantile replicate weights",
        )
    if estimate.statistic == "contrast":
        faults += _contrast_faults(estimate, place, all_estimates)
    return faults


def _contrast_faults(estimate: Estimate, place: str, all_estimates: Mapping[int, Estimate]) -> list[Violation]:
    if not estimate.coefficients:
        return [Violation("key_missing", f"{place}.coefficients", "at least one", "none", "add coefficients")]
    if isinstance(estimate.coefficients, dict):
        extra = sorted(estimate.model_fields_set - {*_ESTIMATE, "coefficients"})
        faults = [
            Violation("key_not_taken", f"{place}.{key}", "coefficients of other estimates alone", key, "leave it out")
            for key in extra
        ]
        known = [
            other.id
            for other in all_estimates.values()
            if other.statistic != "quantile" and not other.by and other is not estimate
        ]
        faults += [
            unknown_name("unknown_id", f"{place}.coefficients", "the id of an estimate of one value", name, known)
            for name in estimate.coefficients
            if name not in known
        ]
        return faults or _cycle_faults(estimate, place, all_estimates)
    faults = [
        Violation("key_missing", f"{place}.{key}", "a value beside a list of coefficients", "nothing", f"add {key}")
        for key in ("measure", "between")
        if key not in estimate.model_fields_set
    ]
    given = len(estimate.coefficients)
    if not faults and given != len(estimate.between):
        faults.append(
            Violation(
                "coefficients_do_not_fit",
                where=f"{place}.coefficients",
                expected=f"a coefficient for each of the {len(estimate.between)} domains of between",
                got=str(given),
                hint="give as many as domains",
            )
        )
    return faults


def _cycle_faults(estimate: Estimate, place: str, all_estimates: Mapping[int, Estimate]) -> list[Violation]:
    """Whether a contrast of other estimates leads back to itself."""
    named = {
        other.id: list(other.coefficients)
        for other in all_estimates.values()
        if other.statistic == "contrast" and isinstance(other.coefficients, dict)
    }
    reached: set[str] = set()
    ahead = list(named.get(estimate.id, ()))
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.add(name)
            ahead += named.get(name, ())
    if estimate.id not in reached:
        return []
    return [
        Violation("contrast_of_itself", f"{place}.coefficients", "other estimates", estimate.id, "take the circle out")
    ]


def _test_faults(test: HypothesisTest, place: str) -> list[Violation]:
    faults = TAKES[test.test].faults(test, place=place, kind=f"test {test.test}")
    if test.group is not None and test.minus is not None:
        faults.append(Violation("key_not_taken", f"{place}.minus", "group or minus", "both", "leave one out"))
    return faults
