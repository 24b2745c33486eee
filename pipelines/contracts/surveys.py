"""What differs between the surveys: designs, question versions by wave, domains, measures.

Belongs here: the shape of `data_contracts/surveys/*.yaml` and look-ups by wave. Does not belong here: code
that applies a design (stats, orchestration), or a branch on the survey's name: that would be a second code
path.
"""

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines.contracts.series import QuestionForm
from pipelines.errors import AxstatError

LonelyPsu = Literal["fail", "adjust", "average", "certainty", "remove"]


class SurveyContracts(BaseModel):
    """Names of the three delivery contracts a wave needs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    response: str
    sample: str
    frame: str


class QuestionPeriod(BaseModel):
    """Waves asked with one question version (`to_wave` None: still asked)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    from_wave: int
    to_wave: int | None
    question_version: str
    tech_list_version: str


class KsicPeriod(BaseModel):
    """Waves classified by one KSIC revision."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    from_wave: int
    to_wave: int | None
    revision: str


class CollapseStep(BaseModel):
    """One step by which cells become coarser: a part is replaced by its group, or dropped.

    Attributes:
        part: the part that changes.
        into: id of the code list of the groups, which must be the parent list of the part's own; None drops
            the part.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: str
    into: str | None = None

    @property
    def name(self) -> str:
        """How the log of collapsed cells names the step, e.g. ``region_groups`` or ``without size_class``."""
        return self.into or f"without {self.part}"


class CellRule(BaseModel):
    """Cells of a weighting step and how cells that are too small are collapsed.

    Attributes:
        parts: columns whose values together name a cell.
        collapse: steps that make the cells coarser, each on top of those before, tried for cells that break a
            limit.
        min_respondents: a cell with fewer is collapsed.
        max_factor: a cell whose factor is larger (for post-strata also: smaller than its inverse) is
            collapsed; None: no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    parts: tuple[str, ...] = Field(min_length=1)
    collapse: tuple[CollapseStep, ...]
    min_respondents: int = Field(ge=1)
    max_factor: float | None = Field(default=None, gt=1.0)

    @model_validator(mode="after")
    def _steps_fit_parts(self) -> Self:
        left = set(self.parts)
        for step in self.collapse:
            if step.part not in left:
                raise ValueError(f"collapse step {step.name}: {step.part} is not a part, or was dropped before")
            if step.into is None:
                left.remove(step.part)
        return self


class ResponseModelRule(BaseModel):
    """A logistic model of response, for non-response weights; without one, weighting classes alone act.

    Attributes:
        terms: columns of the frame, and interactions ``a:b``.
        use: ``classes``: quantiles of the propensity are a part ``propensity_class`` of ``nonresponse_class``;
            ``inverse``: inside each class the factors are as the inverse propensities.
        classes: how many quantiles.
        max_factor: bound of an inverse propensity.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    terms: tuple[str, ...] = Field(min_length=1)
    use: Literal["classes", "inverse"]
    classes: int = Field(default=5, ge=2)
    max_factor: float = Field(default=5.0, gt=1.0)


class Deduction(BaseModel):
    """A value that follows from other answers.

    Attributes:
        variables: columns of the response delivery that can only have `value`.
        when: columns and the codes they must have, all of them.
        value: code of the variables' list.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    variables: tuple[str, ...] = Field(min_length=1)
    when: dict[str, tuple[str, ...]] = Field(min_length=1)
    value: str


class ImputationRule(BaseModel):
    """Item imputation: which answers are filled in, and how.

    Attributes:
        variables: columns of the response delivery; a unit takes all that it lacks from one donor.
        statuses: kinds of missing answer that are filled in.
        chain: methods in their order, each for what those before it left open.
        deductions: of the method `deductive`.
        classes: of the method `hot_deck`; `min_respondents` is the fewest donors.
        donors: drawn with a probability proportional to the design weight, or all of a class alike.
        max_uses: how often a donor gives before all of its class have given as often; None: no limit.
        max_rate: the weighted share of imputed values from which a wave is refused, since the published standard
            errors take imputed values as observed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    variables: tuple[str, ...] = Field(min_length=1)
    statuses: tuple[Literal["refused", "not_asked", "dont_know"], ...] = Field(
        default=("refused", "not_asked"), min_length=1
    )
    chain: tuple[Literal["deductive", "last_wave", "hot_deck"], ...] = Field(min_length=1)
    deductions: tuple[Deduction, ...] = ()
    classes: CellRule | None = None
    donors: Literal["by_weight", "alike"] = "by_weight"
    max_uses: int | None = Field(default=None, ge=1)
    max_rate: float = Field(default=0.05, gt=0.0, le=1.0)

    @model_validator(mode="after")
    def _methods_have_what_they_need(self) -> Self:
        for what, names in (("variables", self.variables), ("chain", self.chain)):
            if len(set(names)) < len(names):
                raise ValueError(f"imputation: {what} named twice")
        if ("deductive" in self.chain) != bool(self.deductions):
            raise ValueError("imputation: `deductive` in the chain and `deductions` go together")
        if ("hot_deck" in self.chain) != (self.classes is not None):
            raise ValueError("imputation: `hot_deck` in the chain and `classes` go together")
        if "hot_deck" in self.chain[:-1]:
            raise ValueError("imputation: `hot_deck` leaves nothing open: put it last in the chain")
        if self.classes is not None and self.classes.max_factor is not None:
            raise ValueError("imputation: classes have no max_factor")
        strange = [name for rule in self.deductions for name in rule.variables if name not in self.variables]
        if strange:
            raise ValueError(f"imputation: deductions of {', '.join(strange)}, which is not among the variables")
        return self


class AreaCovariate(BaseModel):
    """A covariate of the model of small domains.

    Attributes:
        kind: ``share`` of the domain's frame units that have one of `codes` in `column`; ``mean_log_employment`` of its
            frame units; ``last_wave``: the direct rate one wave before, where there is a comparable one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["share", "mean_log_employment", "last_wave"]
    column: str = ""
    codes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _share_of_what(self) -> Self:
        if (self.kind == "share") != bool(self.column) or bool(self.column) != bool(self.codes):
            raise ValueError(f"covariate {self.kind}: `column` and `codes` belong to kind share, and it needs both")
        return self


class SmallAreaRule(BaseModel):
    """Domains that also get model-based rates, and what the model explains them by.

    Attributes:
        domain_type: a type whose domains divide the whole survey.
        measures: which rates; of waves that have them.
        covariates: beside the intercept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    domain_type: str
    measures: tuple[str, ...] = Field(min_length=1)
    covariates: tuple[AreaCovariate, ...] = Field(min_length=1)


class DisclosureWaiver(BaseModel):
    """Why the cells of a survey are published whoever stands behind them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason_ko: str = Field(min_length=1)
    reason_en: str = Field(min_length=1)
    decided_by: str = Field(min_length=1)


class DisclosureRule(BaseModel):
    """When a cell is at risk, and how wide it must stay: see :class:`pipelines.stats.disclosure.DisclosureRules`.

    Attributes:
        waiver: the survey's units need no protection.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_contributors: int = Field(ge=2)
    p_percent: float = Field(gt=0.0, lt=100.0)
    two_largest_percent: float = Field(gt=0.0, lt=100.0)
    protection_percent: float = Field(gt=0.0, lt=100.0)
    waiver: DisclosureWaiver | None = None


class Domain(BaseModel):
    """A domain type of `mart.adoption_rate`.

    Attributes:
        columns: columns of `core.units` whose values make the domain code, joined by `*`; empty for a total.
        code: the domain code of a total (None where columns make it).
        requires: column of `core.units` that must not be NULL for a unit to be in it (totals of a part).
        rows: ``unit`` (one row a unit) or ``field`` (one row a unit and field it serves; PSU is the unit).
        measures: measures estimated in the domain; empty: all that the wave has for its kind of rows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str
    columns: tuple[str, ...]
    code: str | None = None
    requires: str | None = None
    rows: Literal["unit", "field"] = "unit"
    measures: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _code_or_columns(self) -> Self:
        if (self.code is None) == (not self.columns):
            raise ValueError(f"domain {self.type}: give either columns or the code of a total")
        return self


class Headline(BaseModel):
    """The figure on page one, and the one that is held against the target."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    domain_type: str
    measure: str
    base: str
    unit_weighting: str


class Survey(BaseModel):
    """One survey. Measures may end in `*` in the file; the library writes them out.

    Attributes:
        scenario_parts: domain type whose domains the scenarios move.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    survey: str
    version: str
    label_ko: str
    label_en: str
    short_label_ko: str
    short_label_en: str
    unit_ko: str
    unit_en: str
    units_en: str
    statistical_unit: str
    min_employees: int | None = Field(default=None, ge=0)
    population_ko: str
    population_en: str
    note_ko: str
    note_en: str
    contracts: SurveyContracts
    unit_id_column: str
    first_wave: int
    questions: tuple[QuestionPeriod, ...] = Field(min_length=1)
    ksic_revisions: tuple[KsicPeriod, ...]
    stratum: CellRule
    nonresponse_class: CellRule
    response_model: ResponseModelRule | None = None
    post_stratum: CellRule
    imputation: ImputationRule | None = None
    lonely_psu: LonelyPsu
    confidence_level: float = Field(gt=0.5, lt=1.0)
    interval_method: Literal["logit", "beta", "wilson", "xlogit", "asin", "likelihood", "mean"]
    reliability_rule: Literal["nchs_proportion"]
    disclosure: DisclosureRule
    domains: tuple[Domain, ...] = Field(min_length=1)
    measures_by_question: dict[str, tuple[str, ...]]
    unit_weightings: tuple[Literal["unit", "employment"], ...]
    bases: tuple[Literal["answered", "incl_dont_know"], ...]
    headline: Headline
    scenario_parts: str
    small_area: SmallAreaRule | None = None

    @model_validator(mode="after")
    def _periods_follow(self) -> Self:
        _check_periods([(period.from_wave, period.to_wave) for period in self.questions], "questions", self.first_wave)
        if self.ksic_revisions:
            _check_periods(
                [(period.from_wave, period.to_wave) for period in self.ksic_revisions],
                "ksic_revisions",
                self.first_wave,
            )
        return self

    def question_version(self, wave: int) -> str:
        """Version of the AI question asked in `wave`."""
        return self._question(wave).question_version

    def tech_list_version(self, wave: int) -> str:
        """Version of the technology list shown in `wave`; ``none`` where none was."""
        return self._question(wave).tech_list_version

    def question_form(self, wave: int) -> QuestionForm:
        """How AI was asked about in a wave."""
        return "one_question" if self.tech_list_version(wave) == "none" else "list"

    def comparability_segment(self, wave: int) -> str:
        """Name of the run of waves that may be compared with each other."""
        period = self._question(wave)
        return f"{self.survey}-{period.question_version}-{period.tech_list_version}"

    def ksic_revision(self, wave: int) -> str | None:
        """KSIC revision of `wave`; None for a survey that is not classified by KSIC."""
        self._question(wave)
        for period in self.ksic_revisions:
            if period.from_wave <= wave and (period.to_wave is None or wave <= period.to_wave):
                return period.revision
        return None

    def measures(self, wave: int) -> tuple[str, ...]:
        """Measures that can be had in `wave`, in the order of the contract."""
        return self.measures_by_question[self.question_version(wave)]

    def definition_id(self, measure: str, wave: int) -> str:
        """`<measure>@<question version>`."""
        return f"{measure}@{self.question_version(wave)}"

    def first_wave_of_segment(self, wave: int) -> int:
        """First wave of the comparability segment that holds `wave`."""
        segment = self.comparability_segment(wave)
        first = wave
        while first > self.first_wave and self.comparability_segment(first - 1) == segment:
            first -= 1
        return first

    def has_earlier_segment(self, wave: int) -> bool:
        """True when waves of another segment came before the one that holds `wave`: there is a break."""
        return self.first_wave_of_segment(wave) > self.first_wave

    def _question(self, wave: int) -> QuestionPeriod:
        for period in self.questions:
            if period.from_wave <= wave and (period.to_wave is None or wave <= period.to_wave):
                return period
        raise AxstatError(
            "unknown_wave",
            where=f"survey {self.survey}",
            expected=f"a wave from {self.first_wave} on that `questions` covers",
            got=str(wave),
            hint="correct the wave, or add its question version to the survey's contract",
        )


def _check_periods(periods: Sequence[tuple[int, int | None]], what: str, first_wave: int) -> None:
    expected = first_wave
    for position, (start, end) in enumerate(periods):
        if start != expected:
            raise ValueError(f"{what}: period {position + 1} starts in {start}, expected {expected}")
        if end is None:
            if position + 1 != len(periods):
                raise ValueError(f"{what}: only the last period may be open")
            return
        if end < start:
            raise ValueError(f"{what}: period {position + 1} ends before it starts")
        expected = end + 1
