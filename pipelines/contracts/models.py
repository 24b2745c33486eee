"""What a table or a delivery is: columns, codes, keys and quality rules, as frozen records.

Belongs here: the records and look-ups on them. Does not belong here: reading YAML (library), SQL or
polars (compiler), surveys, classifications and targets (their own modules).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from pipelines.errors import AxstatError

# A row that breaks a rule is reported (warning) or kept out (error); fail_file refuses the whole file.
Severity = Literal["fail_file", "error", "warning"]
# What a SQL rule may read beside the rows of its own file.
RuleInput = Literal["frame", "sample", "previous"]
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
        optional: a file may lack the column.
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
    optional: bool = False
    identifier: bool = False
    unit: str | None = None

    def asked_in(self, question_version: str) -> bool:
        """True when files of this question version have the column."""
        return not self.question_versions or question_version in self.question_versions


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule on the rows of a delivery, typed and normalised.

    Attributes:
        id: unique in its contract; what `raw.quarantine.rules` names.
        severity: ``error`` quarantines the row, ``warning`` only reports it; ``fail_file`` rejects the file where
            more than `max_share` of its rows break the rule, and quarantines the rows where it is not more.
        why: reason for the rule. owner: who decides on it.
        action_ko, action_en: what the person who receives the message does next.
    """

    id: str
    severity: Severity
    why: str
    owner: str
    message_ko: str
    message_en: str
    action_ko: str
    action_en: str
    max_share: float = 0.0


@dataclass(frozen=True, kw_only=True)
class QualityRule(Rule):
    """A Great Expectations rule.

    Attributes:
        expectation: snake-case name, e.g. ``expect_column_values_to_be_between``.
        kwargs: arguments of the expectation, ``column`` among them.
    """

    expectation: str
    kwargs: Mapping[str, object]

    @property
    def column(self) -> str | None:
        """The column the rule is about, or None for a rule on several."""
        name = self.kwargs.get("column")
        return name if isinstance(name, str) else None


@dataclass(frozen=True, kw_only=True)
class SqlRule(Rule):
    """A SELECT that returns the rows that break the rule.

    Attributes:
        query: gives ``row_number`` and, if it likes, ``detail``; reads ``rows`` and the names in `reads`.
        reads: ``frame`` and ``sample`` of the wave, ``previous``: the file's contract in the last wave before.
        parameters: values of the query's named parameters; ``$survey`` and ``$wave`` are there without.
        column: the contract's column that the rule stands under, None where it stands under the table.
    """

    query: str
    reads: tuple[RuleInput, ...]
    parameters: Mapping[str, object]
    column: str | None


@dataclass(frozen=True, kw_only=True)
class TableContract:
    """A delivery (``industry_response``) or a table (``core.units``).

    Attributes:
        grain: what one row is.
        key: names of the columns that identify a row; empty when rows may repeat.
        quality: rules for Great Expectations. sql_rules: rules in SQL.
        made_by: functions that make its rows, as ``package.module.function``; empty where a statement of `sql/` does.
        reads: tables whose rows those functions are given.
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
    sql_rules: tuple[SqlRule, ...] = ()
    owner: str
    source: str
    licence: str
    made_by: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()

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
        return tuple(column for column in self.columns if column.asked_in(question_version) and not column.optional)
