"""What a table or a delivery is: columns, codes, keys and quality rules, as frozen records.

Belongs here: the records and look-ups on them. Does not belong here: reading YAML (library), SQL or
polars (compiler), surveys, classifications and targets (their own modules).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from pipelines.errors import AxstatError

Severity = Literal["error", "warning"]
MissingKind = Literal["dont_know", "refused"]


def _no_codes() -> Mapping[str, MissingKind]:
    return MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Code:
    """One value a column may hold, with its labels."""

    value: str
    label_ko: str
    label_en: str


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column.

    Attributes:
        type: DuckDB type text, e.g. ``VARCHAR``, ``DOUBLE``, ``VARCHAR[]``.
        required: the value may not be NULL (a column of `question_versions` is only asked for in those).
        codes: every value allowed, missing codes included; empty when the column is not coded. A column that
            names a `classification` gets its codes from that list when the library is loaded.
        classification: id of the code list, or None.
        synonyms: headers under which a delivery may send the column. The first is the Korean header of a flat
            file, the second the variable name in SPSS files; exactly one has `` / `` in it and is the joined
            form of a two-row header.
        missing_codes: code -> what kind of missing it stands for.
        question_versions: versions of the question that have this column; empty means all.
        identifier: identifies a unit, so it never leaves the warehouse.
        unit: code of the list ``measurement_units``; None where the contract gives none.
    """

    name: str
    label_ko: str
    label_en: str
    description: str
    description_ko: str | None = None
    type: str
    required: bool = False
    codes: tuple[Code, ...] = ()
    classification: str | None = None
    synonyms: tuple[str, ...] = ()
    missing_codes: Mapping[str, MissingKind] = field(default_factory=_no_codes)
    question_versions: tuple[str, ...] = ()
    identifier: bool = False
    unit: str | None = None

    def asked_in(self, question_version: str) -> bool:
        """True when files of this question version have the column."""
        return not self.question_versions or question_version in self.question_versions


@dataclass(frozen=True, kw_only=True)
class QualityRule:
    """One Great Expectations rule on typed, normalised values.

    Attributes:
        id: unique in its contract; what `raw.quarantine.rules` names.
        expectation: snake-case name, e.g. ``expect_column_values_to_be_between``.
        kwargs: arguments of the expectation, ``column`` among them.
        severity: ``error`` quarantines the row, ``warning`` only reports it.
        action: what the person who receives the message does next.
    """

    id: str
    expectation: str
    kwargs: Mapping[str, object]
    severity: Severity
    message_ko: str
    message_en: str
    action: str

    @property
    def column(self) -> str | None:
        """The column the rule is about, or None for a rule on several."""
        name = self.kwargs.get("column")
        return name if isinstance(name, str) else None


@dataclass(frozen=True, kw_only=True)
class TableContract:
    """A delivery (``industry_response``) or a table (``core.units``).

    Attributes:
        grain: what one row is.
        key: names of the columns that identify a row; empty when rows may repeat.
    """

    name: str
    version: str
    title_ko: str
    title_en: str
    description: str
    grain: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    quality: tuple[QualityRule, ...] = ()
    owner: str
    source: str
    licence: str

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names in contract order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """The column called `name`.

        Raises:
            AxstatError: the contract has no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise AxstatError(
            "unknown_column",
            where=self.name,
            expected=f"one of {', '.join(self.column_names)}",
            got=name,
            hint="correct the name, or add the column to the contract",
        )

    def columns_for(self, question_version: str) -> tuple[Column, ...]:
        """Columns that a file of this question version must have, in contract order."""
        return tuple(column for column in self.columns if column.asked_in(question_version))
