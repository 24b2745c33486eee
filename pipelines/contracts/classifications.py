"""Code lists, the KSIC scope, the wording of questions and the measures, as frozen models of their YAML.

Belongs here: the shape of `data_contracts/classifications/*.yaml` and look-ups on it. Does not belong here:
reading files and checks across files (library), or any code or label itself: those are data.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines.errors import AxstatError


class Item(BaseModel):
    """One entry of a code list.

    Attributes:
        parent: code in the list's `parent_classification`, or in the list itself when it has none.
        named_in_source: True when the published strategy names the entry; False marks a proposal.
        properties: further facts of the entry, e.g. ``{"min_employees": "10"}``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    code: str = Field(min_length=1)
    label_ko: str = Field(min_length=1)
    label_en: str = Field(min_length=1)
    description_ko: str | None = None
    description_en: str | None = None
    parent: str | None = None
    sort_order: int
    source: str = Field(min_length=1)
    named_in_source: bool
    properties: Mapping[str, str] = Field(default_factory=dict)


class Classification(BaseModel):
    """A versioned code list. `proposal` says that no published source fixes the list as a whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    version: str = Field(min_length=1)
    label_ko: str
    label_en: str
    proposal: bool
    note_ko: str | None = None
    note_en: str | None = None
    parent_classification: str | None = None
    items: tuple[Item, ...] = Field(min_length=1)

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes in the order of the file."""
        return tuple(item.code for item in self.items)

    @property
    def parents(self) -> Mapping[str, str]:
        """Code -> parent code, for the entries that have one."""
        return {item.code: item.parent for item in self.items if item.parent is not None}

    def item(self, code: str) -> Item:
        """The entry with this code.

        Raises:
            AxstatError: the list has no such code.
        """
        for item in self.items:
            if item.code == code:
                return item
        raise AxstatError(
            "unknown_code",
            where=f"classification {self.id} (version {self.version})",
            expected=f"one of {', '.join(self.codes)}",
            got=code,
            hint="correct the code, or add it to the list with its source",
        )


class KsicSection(BaseModel):
    """A KSIC section (one letter). Sections out of scope are not surveyed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str = Field(pattern=r"^[A-U]$")
    label_ko: str
    label_en: str
    in_scope: bool


class KsicGroup(BaseModel):
    """A group of KSIC divisions used for stratification and post-stratification."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    section: str
    label_ko: str
    label_en: str


class KsicDivision(BaseModel):
    """A KSIC division and where it belongs, in each revision that has it so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    division: str = Field(pattern=r"^\d\d$")
    revisions: tuple[str, ...] = Field(min_length=1)
    section: str
    label_ko: str
    label_en: str
    ksic_group: str | None
    ax_industry: str | None


class KsicList(BaseModel):
    """Heading of one of the code lists that the KSIC file gives rise to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Literal["ksic_sections", "ksic_groups", "ksic_divisions"]
    label_ko: str
    label_en: str
    proposal: bool
    source: str
    parent_classification: str | None = None


class KsicLists(BaseModel):
    """Headings of the code lists that the KSIC file gives rise to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sections: KsicList
    groups: KsicList
    divisions: KsicList


class KsicFile(BaseModel):
    """`classifications/ksic.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Literal["ksic"]
    version: str
    label_ko: str
    label_en: str
    source: str
    note_ko: str
    note_en: str
    revisions: tuple[str, ...]
    lists: KsicLists
    sections: tuple[KsicSection, ...]
    groups: tuple[KsicGroup, ...]
    divisions: tuple[KsicDivision, ...]

    def scope(self) -> tuple["KsicScope", ...]:
        """One row per revision and division, ordered by both."""
        rows = [
            KsicScope(
                revision=revision,
                division=entry.division,
                section=entry.section,
                label_ko=entry.label_ko,
                label_en=entry.label_en,
                ksic_group=entry.ksic_group,
                ax_industry=entry.ax_industry,
            )
            for entry in self.divisions
            for revision in entry.revisions
        ]
        return tuple(sorted(rows, key=lambda row: (int(row.revision), row.division)))

    def code_lists(self) -> tuple[Classification, ...]:
        """Sections, groups and divisions as code lists, so that columns can name them."""
        first_by_division: dict[str, KsicDivision] = {}
        for entry in self.divisions:
            first_by_division.setdefault(entry.division, entry)
        divisions = sorted(first_by_division.values(), key=lambda entry: entry.division)
        return (
            self._code_list(
                self.lists.sections,
                [(entry.code, entry.label_ko, entry.label_en, None) for entry in self.sections],
            ),
            self._code_list(
                self.lists.groups,
                [(entry.code, entry.label_ko, entry.label_en, entry.section) for entry in self.groups],
            ),
            self._code_list(
                self.lists.divisions,
                [(entry.division, entry.label_ko, entry.label_en, entry.section) for entry in divisions],
            ),
        )

    def _code_list(self, header: KsicList, entries: Sequence[tuple[str, str, str, str | None]]) -> Classification:
        return Classification(
            id=header.id,
            version=self.version,
            label_ko=header.label_ko,
            label_en=header.label_en,
            proposal=header.proposal,
            note_ko=self.note_ko,
            note_en=self.note_en,
            parent_classification=header.parent_classification,
            items=tuple(
                Item(
                    code=code,
                    label_ko=label_ko,
                    label_en=label_en,
                    parent=parent,
                    sort_order=number,
                    source=header.source,
                    named_in_source=False,
                )
                for number, (code, label_ko, label_en, parent) in enumerate(entries, start=1)
            ),
        )


class KsicScope(BaseModel):
    """One row of `core.ksic_scope`, with the division's labels.

    `ksic_group` is None outside the survey's scope; `ax_industry` is None where no AX industry holds it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    revision: str
    division: str
    section: str
    label_ko: str
    label_en: str
    ksic_group: str | None
    ax_industry: str | None


class QuestionVersion(BaseModel):
    """One wording of the AI question, and the waves it was asked in (`to_wave` None: still asked)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question_version: str
    tech_list_version: str
    label_ko: str
    label_en: str
    wording_ko: str
    wording_en: str
    answers: str
    from_wave: int
    to_wave: int | None
    source: str
    proposal: bool


class QuestionVersions(BaseModel):
    """`classifications/question_versions.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Literal["question_versions"]
    version: str
    label_ko: str
    label_en: str
    note_ko: str
    note_en: str
    versions: tuple[QuestionVersion, ...]


class Measure(BaseModel):
    """One measure of `mart.measure`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    measure: str
    label_ko: str
    label_en: str
    definition_ko: str
    definition_en: str
    sort_order: int


class MeasureTemplate(BaseModel):
    """Measures made from a code list: `{code}`, `{label_ko}` and `{label_en}` are filled per entry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefix: str
    classification: str
    label_ko: str
    label_en: str
    definition_ko: str
    definition_en: str
    sort_order: int

    def expand(self, classification: Classification) -> tuple[Measure, ...]:
        """One measure an entry, `<prefix><code>`, in the list's order."""
        return tuple(
            Measure(
                measure=f"{self.prefix}{item.code}",
                label_ko=self.label_ko.format(code=item.code, label_ko=item.label_ko),
                label_en=self.label_en.format(code=item.code, label_en=item.label_en),
                definition_ko=self.definition_ko.format(code=item.code, label_ko=item.label_ko),
                definition_en=self.definition_en.format(code=item.code, label_en=item.label_en),
                sort_order=self.sort_order + number,
            )
            for number, item in enumerate(sorted(classification.items, key=lambda entry: entry.sort_order))
        )


class MeasureFile(BaseModel):
    """`classifications/measures.yaml`: measures written out, and templates over code lists."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Literal["measures"]
    version: str
    label_ko: str
    label_en: str
    measures: tuple[Measure, ...]
    templates: tuple[MeasureTemplate, ...]

    @model_validator(mode="after")
    def _prefixes_differ(self) -> Self:
        prefixes = [template.prefix for template in self.templates]
        if len(set(prefixes)) != len(prefixes):
            raise ValueError(f"two templates share a prefix: {prefixes}")
        return self
