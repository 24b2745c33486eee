"""Outside series: figures of others to hold ours against, with where they are from and what they mean.

Belongs here: the models of `data_contracts/benchmarks/`. Does not belong here: fetching and reading replies
(intake.series), which of our figures a series is compared with (marts).
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines.contracts.cell_form import PLAIN, CellForm

Text = Annotated[str, Field(min_length=1)]
# As ours was asked, to be held beside it: one question on AI, or one on each technology of a list
QuestionForm = Literal["one_question", "list", "not_stated"]
ReplyFormat = Literal["json-stat", "sdmx-csv", "kosis"]
# Columns of core.benchmark that say what a value is of
PLACES = ("measure", "geo", "industry", "size_class", "other_group", "ref_year")
ALL = "total"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Definition(_Model):
    """What a series counts.

    Attributes:
        statistical_unit: what answers, e.g. enterprise.
        size_cutoff: whom it leaves out by size, in words. min_employees: the least that a unit has, None: not stated.
        question: how it was asked; 'not_stated' where no questionnaire is at hand.
        sample: how those asked were chosen.
        wording_ko, wording_en: what was asked, or how the figure is made.
    """

    statistical_unit: Text
    size_cutoff: Text
    min_employees: int | None = Field(default=None, ge=0)
    question: QuestionForm = "not_stated"
    sample: Literal["probability", "not_probability", "not_stated"] = "not_stated"
    wording_ko: Text
    wording_en: Text


class ApiKey(_Model):
    """A key that the request needs: sent as `parameter`, read from the environment variable `variable`."""

    parameter: Text
    variable: Text


class Request(_Model):
    """Where a series is fetched.

    Attributes:
        parameters: of the query; a list is sent as the parameter several times.
        max_megabytes: a larger reply is refused.
    """

    format: ReplyFormat
    url: Annotated[str, Field(pattern="^https?://[^?#@]+$")]
    parameters: Mapping[str, str | tuple[str, ...]] = Field(default_factory=dict)
    key: ApiKey | None = None
    max_megabytes: int = Field(default=20, ge=1, le=500)


class Observations(_Model):
    """How the rows of a reply are observations.

    Attributes:
        columns: column of core.benchmark (one of PLACES) -> column of the reply.
        fixed: column of core.benchmark -> what it is in every row. What stands in neither is 'total', geo excepted.
        codes: column of core.benchmark -> code of the reply -> ours. A column that has codes takes no others.
        only: column of the reply -> the values it may have; rows with others stop the load.
        value: column of the values; `cells` how they are written, `unit` what they are.
        status: column of flags, where they stand by themselves. `statuses`: flag -> SDMX code of observation status.
    """

    columns: Mapping[str, Text]
    fixed: Mapping[str, Text] = Field(default_factory=dict)
    codes: Mapping[str, Mapping[str, Text]] = Field(default_factory=dict)
    only: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    value: Text
    unit: Literal["share", "count"]
    cells: CellForm = PLAIN
    status: Text | None = None
    statuses: Mapping[str, Text] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _places(self) -> "Observations":
        named = [*self.columns, *self.fixed]
        if unknown := sorted({*named, *self.codes} - set(PLACES)):
            raise ValueError(f"columns among {', '.join(PLACES)}, not {', '.join(unknown)}")
        if twice := sorted(name for name in set(named) if named.count(name) > 1):
            raise ValueError(f"{', '.join(twice)} either in columns or in fixed")
        if missing := {"measure", "geo", "ref_year"} - set(named):
            raise ValueError(f"{', '.join(sorted(missing))} in columns or fixed")
        return self


class PublishedValue(_Model):
    """A figure copied from a publication: `percent` as printed, or a `count`.

    Attributes:
        published: day (or year) of the publication, ISO 8601. source: the publication, where not the series' own.
        n: respondents. break_before: not comparable with the series' earlier years.
    """

    measure: Text
    ref_year: int = Field(ge=1990, le=2100)
    geo: Text = "KR"
    industry: Text = ALL
    size_class: Text = ALL
    other_group: Text = ALL
    percent: float | None = Field(default=None, ge=0, le=100)
    count: int | None = Field(default=None, ge=0)
    published: Annotated[str, Field(pattern="^[0-9]{4}(-[0-9]{2}-[0-9]{2})?$")]
    source: Text | None = None
    n: int | None = Field(default=None, ge=1)
    break_before: bool = False
    note: Text | None = None

    @model_validator(mode="after")
    def _one_value(self) -> "PublishedValue":
        if (self.percent is None) == (self.count is None):
            raise ValueError("percent or count")
        return self


class Series(_Model):
    """One outside series: fetched (`request` and `observations`) or copied by hand (`values`).

    Attributes:
        compared_with: our survey that measures the like, if one does.
        source: how to cite it. licence: what may be done with it.
    """

    id: Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
    version: Text
    title_ko: Text
    title_en: Text
    compared_with: Literal["industry", "public"] | None = None
    definition: Definition
    source: Text
    licence: Text
    request: Request | None = None
    observations: Observations | None = None
    values: tuple[PublishedValue, ...] = ()

    @model_validator(mode="after")
    def _fetched_or_copied(self) -> "Series":
        if (self.request is None) != (self.observations is None) or (self.request is None) != bool(self.values):
            raise ValueError("either request and observations, or values")
        return self
