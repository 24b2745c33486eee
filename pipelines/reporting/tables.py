"""Tables of the report and the workbook, before they are HTML or cells of a sheet.

Belongs here: which rows and columns a table has, and each cell's value and text. Does not belong here:
markup, sheet formats, or sentences.

A table is made in one language (HTML) or in several (workbook): names then take a column a language, and
headings a line a language. No cell is blank: `[u]` is suppressed, `[c]` confidential, `[x]` not available.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pipelines.reporting import numbers
from pipelines.reporting.addresses import parse_address
from pipelines.reporting.blanking import CONFIDENTIAL, HIDDEN, SUPPRESS
from pipelines.reporting.cell_ids import cell_id
from pipelines.reporting.data import CAUTION, Rate, ReportData
from pipelines.reporting.sentences import reasons, unit_names, weighting_text
from pipelines.reporting.texts import Texts

# label: names the row. share: 0 to 1, shown in per cent. points: percentage points. ratio: two decimals
Kind = Literal["label", "text", "code", "year", "count", "share", "points", "ratio", "mark"]

NOT_SHOWN = "[u]"
SECRET = "[c]"
WITH_CAUTION = "[e]"
BREAK = "[b]"
NOT_AVAILABLE = "[x]"


# What stands in the place of a number that may not be printed, by reliability
_HIDDEN_MARKS: Mapping[str, str] = {SUPPRESS: NOT_SHOWN, CONFIDENTIAL: SECRET}


def mark_without(reliability: str | None) -> str:
    """The mark in the place of a number that is not there: why it is not."""
    return _HIDDEN_MARKS.get(reliability or "", NOT_AVAILABLE)


def mark_beside(reliability: str | None) -> str:
    """The mark beside an estimate, empty where there is nothing to say."""
    return WITH_CAUTION if reliability == CAUTION else _HIDDEN_MARKS.get(reliability or "", "")


@dataclass(frozen=True)
class Column:
    """A column: its heading (a line a language), what its cells hold, and the group it stands under."""

    heading: str
    kind: Kind
    group: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell: `value` unrounded (None where `text` is a mark), `text` as printed, `note` why.

    `kind` is set where a cell holds something else than its column says; `source` is where a number stands in the
    marts (addresses).
    """

    value: float | str | None
    text: str
    note: str = ""
    kind: Kind | None = None
    source: str = ""


@dataclass(frozen=True)
class Table:
    """A table; `name` is fixed and names files and sheets."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    id: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """Ids of the published rows that its numbers are from, each once."""
        addresses = (parse_address(cell.source) for row in self.rows for cell in row if cell.source)
        return tuple(dict.fromkeys(cell_id(one.mart, [value for _, value in one.key]) for one in addresses))

    @property
    def has_groups(self) -> bool:
        """True when a second line of headings is needed."""
        return any(column.group for column in self.columns)


@dataclass(frozen=True)
class RateRow:
    """A row of estimates: its names by language, then one estimate a weighting."""

    names: Mapping[str, tuple[str, ...]]
    rates: Mapping[str, Rate | None]
    extra_mark: str = ""


@dataclass
class Headings:
    """Headings and names in the languages of the table."""

    languages: Sequence[Texts]
    values: Callable[[Texts], Mapping[str, object]] = field(default=lambda texts: {})

    def heading(self, key: str) -> str:
        """A heading, a line a language."""
        return "\n".join(texts(key, **self.values(texts)) for texts in self.languages)

    def label_columns(self, key: str) -> list[Column]:
        """Columns that name the row, one a language."""
        return [Column(texts(key, **self.values(texts)), "label") for texts in self.languages]

    def per_language(self, kind: Kind, key: str) -> list[Column]:
        """Columns of one kind, one a language."""
        return [Column(texts(key, **self.values(texts)), kind) for texts in self.languages]


def number_cell(value: float | None, kind: Kind, texts: Texts, rate: Rate | None = None, *, source: str = "") -> Cell:
    """A cell of a number; a mark where there is none."""
    if value is None:
        return Cell(None, mark_without(rate.reliability if rate else None), source=source)
    language = texts.language
    if kind == "count":
        text = numbers.count(value, language)
    elif kind == "share":
        text = numbers.number_of_per_cent(value, language)
    elif kind == "points":
        text = numbers.decimal(value, language)
    elif kind == "ratio":
        text = numbers.decimal(value, language, digits=2)
    else:
        text = str(value)
    return Cell(value, text, source=source)


def rate_cell(rate: Rate | None, column: str, kind: Kind, texts: Texts) -> Cell:
    """A column of an estimate as a cell; points are a share times 100."""
    value = None if rate is None else getattr(rate, column)
    return number_cell(
        _hundred(value) if kind == "points" else value,
        kind,
        texts,
        rate,
        source=rate.address(column) if rate else "",
    )


def text_cell(value: object) -> Cell:
    """A cell of text or of a number that is a name, such as a year; a mark where there is none."""
    if value is None or value == "":
        return Cell(None, NOT_AVAILABLE)
    return Cell(value if isinstance(value, int | float) else str(value), str(value))


def optional_text(text: str) -> Cell:
    """Words that may be absent because there is nothing to say."""
    return Cell(text, text)


def _mark(data: ReportData, rate: Rate | None, texts: Texts, extra: str = "") -> Cell:
    """The marks beside an estimate; an empty mark is not a blank cell but says there is nothing to say."""
    marks, note = [], ""
    if rate is not None and rate.reliability in (*HIDDEN, CAUTION):
        marks.append(mark_beside(rate.reliability))
        note = "; ".join(reasons(data, rate, texts.language))
    if extra:
        marks.append(extra)
    if not marks:
        return Cell("", "")
    return Cell(" ".join(marks), " ".join(marks), note)


def _hundred(value: float | None) -> float | None:
    return None if value is None else numbers.hundredfold(value)


def rate_table(
    data: ReportData,
    languages: Sequence[Texts],
    rows: Sequence[RateRow],
    *,
    survey: str,
    name: str,
    title: str,
    label_keys: Sequence[str],
    weightings: Sequence[str],
    with_adopters: bool = False,
    with_previous: bool = False,
    notes: Sequence[str] = (),
) -> Table:
    """Estimates with n, interval, standard error and marks; several weightings side by side.

    `label_keys` name the label columns in order; each `RateRow.names[language]` has one name for each.
    """
    contract = data.survey(survey)
    first = languages[0]
    words = Headings(languages, lambda texts: unit_names(contract, texts.language))
    columns = [column for key in label_keys for column in words.label_columns(f"tables.column.{key}")]
    columns.append(Column(words.heading("tables.column.n"), "count"))
    for weighting in weightings:
        group = ""
        if len(weightings) > 1:
            group = "\n".join(weighting_text(contract, weighting, texts) for texts in languages)
        columns += [
            Column(words.heading("tables.column.estimate"), "share", group),
            Column(words.heading("tables.column.ci_low"), "share", group),
            Column(words.heading("tables.column.ci_high"), "share", group),
            Column(words.heading("tables.column.se"), "points", group),
        ]
        if with_previous:
            columns.append(Column(words.heading("tables.column.previous"), "share", group))
        if with_adopters and weighting == contract.headline.unit_weighting:
            columns.append(Column(words.heading("tables.column.adopters"), "count", group))
        columns.append(Column(words.heading("tables.column.mark"), "mark", group))
        if len(languages) > 1:
            columns += [Column(c.heading, c.kind, group) for c in words.per_language("text", "tables.column.reason")]

    made: list[tuple[Cell, ...]] = []
    for row in rows:
        cells = [
            text_cell(row.names[texts.language][position]) for position in range(len(label_keys)) for texts in languages
        ]
        some = next((rate for rate in row.rates.values() if rate is not None), None)
        cells.append(rate_cell(some, "n", "count", first))
        for weighting in weightings:
            rate = row.rates.get(weighting)
            cells += [
                rate_cell(rate, "estimate", "share", first),
                rate_cell(rate, "ci_low", "share", first),
                rate_cell(rate, "ci_high", "share", first),
                rate_cell(rate, "se", "points", first),
            ]
            if with_previous:
                cells.append(rate_cell(data.previous(rate) if rate else None, "estimate", "share", first))
            if with_adopters and weighting == contract.headline.unit_weighting:
                cells.append(rate_cell(rate, "adopters", "count", first))
            cells.append(_mark(data, rate, first, row.extra_mark))
            if len(languages) > 1:
                cells += [
                    optional_text("; ".join(reasons(data, rate, texts.language)) if rate else "") for texts in languages
                ]
        made.append(tuple(cells))
    return Table(name, title, tuple(columns), tuple(made), tuple(notes))


def joined_title(languages: Sequence[Texts], key: str, values: Callable[[Texts], Mapping[str, object]]) -> str:
    """A title, a line a language, each filled with that language's values."""
    return "\n".join(texts(key, **values(texts)) for texts in languages)
