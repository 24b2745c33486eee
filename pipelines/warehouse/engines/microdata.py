"""What the columns of a file are to the statements of `sql/cells/`: the query that makes `input.microdata`.

Belongs here: names and types of its columns, conditions, missing values. Does not belong here: what a specification
says (estimation), what is made of the rows (`sql/cells/`).

Every column is cast or compared the same way by both engines: labels stay as they are stored, so that none becomes a
text in one way here and in another there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import polars as pl
from sqlglot import exp

SOURCE = "input.source"
MICRODATA = "input.microdata"
# The columns of `input.microdata`; labels have the type of the file's column.
COLUMNS = MappingProxyType(
    {
        "stratum": "label; NULL is a fault",
        "unit": "label of the primary sampling unit; NULL where rows are the units",
        "domain": "label, or several as a struct; NULL outside the domains",
        "weight": "double",
        "population": "double; units in the stratum's population, or the share of them that is sampled",
        "take_all": "boolean",
        "y": "double; NULL or NaN where missing",
        "x": "double; the denominator, 1 for a mean or total",
    }
)

Value = bool | int | float | str


@dataclass(frozen=True, kw_only=True)
class Microdata:
    """Which columns of a file are what. None: there is no such column.

    Attributes:
        types: of the file's columns.
        missing: values of each column that stand for a missing one, in its type.
        where: of each column named, the values that rows of a domain have, in its type.
        by: the columns whose values are the domains; none: all rows are one.
        y: numerator, or the measure; ``level``: y is whether that column is at the level.
        x: denominator; None: 1.
    """

    types: Mapping[str, pl.DataType]
    weight: str
    strata: str | None = None
    unit: str | None = None
    population: str | None = None
    take_all: str | None = None
    missing: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    where: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    by: tuple[str, ...] = ()
    y: str | None = None
    level: Value | None = None
    x: str | None = None

    def asked(
        self,
        *,
        where: Mapping[str, Sequence[Value]],
        by: Sequence[str],
        y: str,
        level: Value | None = None,
        x: str | None = None,
    ) -> "Microdata":
        """The same design with domains and a measure."""
        return replace(self, where=where, by=tuple(by), y=y, level=level, x=x)

    def query(self) -> exp.Select:
        """The rows of `input.source` as those of `input.microdata`."""
        one = _double(exp.Literal.number(1))
        columns: dict[str, exp.Expression] = {
            "stratum": exp.true() if self.strata is None else self.value(self.strata),
            "unit": exp.null() if self.unit is None else self.value(self.unit),
            "domain": self._domain(),
            "weight": self._number(self.weight),
            "population": _double(exp.null()) if self.population is None else self._number(self.population),
            "take_all": exp.false() if self.take_all is None else self._mark(self.take_all),
            "y": one if self.y is None else self._number(self.y) if self.level is None else self._at_level(),
            "x": one if self.x is None else self._number(self.x),
        }
        return exp.select(*(made.as_(name) for name, made in columns.items())).from_(SOURCE)

    def levels(self, column: str) -> exp.Select:
        """The different values of a column, missing ones left out."""
        value = self.value(column)
        return exp.select(value.as_("level")).distinct().from_(SOURCE).where(value.is_(exp.null()).not_())

    def others(self, column: str) -> exp.Select:
        """How many values of a column of numbers are neither 0 nor 1, nor missing."""
        value = self.value(column)
        zero_or_one = exp.paren(value).isin(exp.Literal.number(0), exp.Literal.number(1))
        return (
            exp.select(exp.Count(this=exp.Star()).as_("others")).from_(SOURCE).where(exp.not_(exp.paren(zero_or_one)))
        )

    def value(self, name: str, *, label: bool = True) -> exp.Expression:
        """A column with NULL for what is missing; NaN too in one of labels, while the statements see to numbers."""
        column = exp.column(name, quoted=True)
        absent: list[exp.Expression] = []
        if label and self.types[name].is_float():
            absent.append(exp.IsNan(this=column))
        if self.missing.get(name):
            absent.append(column.isin(*(_literal(each) for each in self.missing[name])))
        return exp.case().when(exp.or_(*absent), exp.null()).else_(column) if absent else column

    def _number(self, name: str) -> exp.Expression:
        value = self.value(name, label=False)
        if self.types[name] == pl.Boolean:
            one, zero = (_double(exp.Literal.number(number)) for number in (1, 0))
            return exp.case().when(value, one).when(exp.not_(value), zero)
        return _double(value)

    def _mark(self, name: str) -> exp.Expression:
        value = self.value(name)
        return value if self.types[name] == pl.Boolean else exp.EQ(this=exp.paren(value), expression=_literal(1))

    def _at_level(self) -> exp.Expression:
        assert self.y is not None
        assert self.level is not None
        value, one = self.value(self.y), _double(exp.Literal.number(1))
        there = exp.EQ(this=exp.paren(value), expression=_literal(self.level))
        return exp.case().when(there, one).when(value.is_(exp.null()).not_(), _double(exp.Literal.number(0)))

    def _domain(self) -> exp.Expression:
        values = [self.value(name) for name in self.by]
        inside: list[exp.Expression] = [
            exp.paren(self.value(name)).isin(*map(_literal, values)) if values else exp.false()
            for name, values in self.where.items()
        ]
        inside += [exp.paren(value).is_(exp.null()).not_() for value in values]
        label: exp.Expression = exp.true()
        if len(values) == 1:
            label = values[0]
        elif values:
            label = exp.Struct(
                expressions=[
                    exp.PropertyEQ(this=exp.to_identifier(f"by_{number}"), expression=value)
                    for number, value in enumerate(values, start=1)
                ]
            )
        return exp.case().when(exp.and_(*inside), label) if inside else label


def _double(value: exp.Expression) -> exp.Expression:
    return exp.cast(value, exp.DataType.Type.DOUBLE)


def _literal(value: Value) -> exp.Expression:
    """A value as it is compared; a number with decimals by its shortest text, which both engines read back exactly."""
    if isinstance(value, bool):
        return exp.true() if value else exp.false()
    if isinstance(value, str):
        return exp.Literal.string(value)
    return exp.Literal.number(value) if isinstance(value, int) else _double(exp.Literal.string(repr(value)))
