"""The release's tables as one XLSX workbook, in Korean and English.

Belongs here: sheets, cell formats, and making the file the same byte for byte. Does not belong here:
which rows and columns a table has (tables).

Laid out for people who listen to it or take it apart by program, after the guidance of the UK Government Analysis
Function on spreadsheets: a cover, a sheet of contents with links, notes and the marks explained; then one table a
sheet, marked up as a table under one line of headings from column A on, without merged or blank cells or empty rows;
numbers as numbers, in full; panes frozen; the title in A1.

Text is always written as text: nothing in a label or a file name can become a formula or a link, also not when
somebody edits the cell: text that looks like a formula carries the prefix that says it is none.
"""

import datetime
import io
import math
from collections.abc import Sequence
from pathlib import Path

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from pipelines.reporting import comparison_tables, estimate_tables, numbers, outlook, outside, process_tables, revisions
from pipelines.reporting.data import ReportData
from pipelines.reporting.sentences import short_name
from pipelines.reporting.tables import Kind, Table
from pipelines.reporting.texts import Texts

_NUMBER_FORMATS: dict[Kind, str] = {
    "count": "#,##0",
    "share": "0.0%",
    "points": "0.0",
    "ratio": "#,##0.00",
    "year": "0",
}
_WIDTHS: dict[Kind, float] = {"label": 26, "text": 34, "code": 22, "mark": 10}
_NUMBER_WIDTH = 15.0
# What the notes say of a survey, from its contract
_ABOUT = ("label", "population", "note")
# A sheet's name in a spreadsheet program
_LONGEST_NAME = 31
_LINE_HEIGHT = 15.0
# Widths of text columns in front of the statistics
_MARK_WIDTH, _NAME_WIDTH, _TEXT_WIDTH = 12.0, 24.0, 80.0
# What stands in a cell that has nothing to say
_NOTHING = "–"
# Spreadsheet programs take text with such a first character for a formula when the cell is edited
_LIKE_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")

# First column, then a text a language
_Row = tuple[int | str, Sequence[str]]


class _Book:
    """The workbook under construction and its cell formats."""

    def __init__(self, buffer: io.BytesIO, data: ReportData, languages: Sequence[Texts]) -> None:
        self.data, self.languages = data, languages
        self.book = xlsxwriter.Workbook(
            buffer,
            {
                "in_memory": True,
                "strings_to_formulas": False,
                "strings_to_urls": False,
                "strings_to_numbers": False,
                "default_format_properties": {"font_name": "Malgun Gothic", "font_size": 10},
            },
        )
        self.title = self._format(bold=True, font_size=14)
        self.plain = self._format(text_wrap=True, valign="top")
        self.banner = self._format(bold=True, font_color="#B8420F")
        self.heading = self._format(
            bold=True, text_wrap=True, valign="bottom", bottom=1, bg_color="#F1F3F5", align="center"
        )
        self.text = self._format(text_wrap=True, valign="top")
        self.quoted = self._format(text_wrap=True, valign="top", quote_prefix=True)
        self.mark = self._format(align="right", valign="top")
        self.number = {kind: self._format(num_format=code, valign="top") for kind, code in _NUMBER_FORMATS.items()}

    def _format(self, **properties: object) -> Format:
        return self.book.add_format(properties)

    def write_text(self, sheet: Worksheet, row: int, column: int, text: str, style: Format) -> None:
        """A cell of text, whatever it begins with."""
        sheet.write_string(row, column, text, self.quoted if text.startswith(_LIKE_A_FORMULA) else style)

    def mark_up(self, sheet: Worksheet, top: int, name: str, headings: Sequence[str], rows: int) -> None:
        """Make a table of the cells under `top`, with its headings, and freeze these."""
        sheet.add_table(
            top,
            0,
            top + rows,
            len(headings) - 1,
            {
                "name": f"axstat_{name}",
                "style": None,
                "columns": [{"header": heading, "header_format": self.heading} for heading in headings],
            },
        )
        sheet.freeze_panes(top + 1, 0)

    def text_table(self, sheet: Worksheet, top: int, name: str, headings: Sequence[str], rows: Sequence[_Row]) -> None:
        """A table of a first column and a text a language, with rows as high as their text."""
        sheet.set_column(1, len(self.languages), _TEXT_WIDTH)
        sheet.set_row(top, _height(headings[0], _TEXT_WIDTH))
        for number, (first, texts) in enumerate(rows, start=top + 1):
            if isinstance(first, int):
                sheet.write_number(number, 0, first, self.text)
            else:
                self.write_text(sheet, number, 0, first, self.text)
            for column, text in enumerate(texts, start=1):
                self.write_text(sheet, number, column, text, self.plain)
            sheet.set_row(number, max(_height(text, _TEXT_WIDTH) for text in texts))
        self.mark_up(sheet, top, name, headings, len(rows))

    def both(self, key: str, **values: object) -> str:
        """A text in every language, a line each."""
        return "\n".join(texts(key, **values) for texts in self.languages)

    def sheet(self, name: str, title: str) -> tuple[Worksheet, int]:
        """A sheet with its title and, for synthetic data, the banner; returns the next free row."""
        sheet = self.book.add_worksheet(name[:_LONGEST_NAME])
        sheet.hide_gridlines(2)
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)
        row = 0
        for line in title.split("\n"):
            sheet.write_string(row, 0, line, self.title)
            row += 1
        if self.data.synthetic:
            for texts in self.languages:
                line = f"{texts('synthetic.heading')}: {texts('synthetic.sentence')}"
                sheet.write_string(row, 0, line, self.banner)
                row += 1
            # The header of every printed page
            sheet.set_header(f"&C{self.languages[0]('synthetic.small_print')}")
        return sheet, row


def write_workbook(data: ReportData, path: Path, *, template_dir: Path) -> None:
    """Write the workbook; the same data give the same bytes.

    Args:
        data: what is written.
        path: the file to make.
        template_dir: the folder `reports/annual`, for the texts.

    Raises:
        AxstatError: a code has no label, or a text is missing.
    """
    languages = [Texts(template_dir, "ko"), Texts(template_dir, "en")]
    # Not straight to the file: where the disk is full, the library's own closing of it fails once more, unseen
    buffer = io.BytesIO()
    book = _Book(buffer, data, languages)
    with book.book as workbook:
        published = datetime.datetime.combine(data.publication_date, datetime.time())
        workbook.set_properties(
            {
                "title": languages[0]("document.title", wave=data.wave),
                "subject": languages[1]("document.title", wave=data.wave),
                "author": "axstat",
                "comments": book.both("synthetic.sentence") if data.synthetic else "",
                "created": published,
            }
        )
        made = _tables(data, languages)
        _cover(book)
        _contents(book, made)
        _notes(book)
        _shorthand(book, [table for _, table in made])
        for name, table in made:
            _write_table(book, name, table)
    path.write_bytes(buffer.getvalue())


def _tables(data: ReportData, languages: Sequence[Texts]) -> list[tuple[str, Table]]:
    """Sheets in order, with their names in the first language."""
    first = languages[0]

    def name(key: str, **values: object) -> str:
        return first(f"workbook.sheets.{key}", **values)

    made = [
        (name("progress"), estimate_tables.progress_table(data, languages)),
        (name("series"), estimate_tables.series_table(data, languages)),
    ]
    for survey, contract in data.surveys.items():
        label = short_name(contract, first.language)
        made.append((name("domains", survey=label), estimate_tables.domains_table(data, languages, survey)))
        made.append((name("measures", survey=label), estimate_tables.measures_table(data, languages, survey)))
        made.append((name("scenario", survey=label), outlook.scenario_table(data, languages, survey)))
        made += [
            (name("fields", survey=label), table) for table in estimate_tables.field_tables(data, languages, survey)
        ]
        made += [
            (name("changes", survey=label), comparison_tables.changes_table(data, languages, survey)),
            (name("parts", survey=label), comparison_tables.parts_table(data, languages, survey)),
            (name("flows", survey=label), comparison_tables.flows_table(data, languages, survey)),
            (name("small_areas", survey=label), comparison_tables.small_areas_table(data, languages, survey)),
        ]
    made += [
        (name("sources"), outside.sources_table(data, languages)),
        (name("quality"), process_tables.quality_table(data, languages)),
        (name("revision_triangle"), revisions.triangle_table(data, languages)),
        (name("revision_changes"), revisions.changes_table(data, languages)),
        (name("weights"), process_tables.weights_table(data, languages)),
        (name("definitions"), process_tables.definitions_table(data, languages)),
        (name("deliveries"), process_tables.deliveries_table(data, languages)),
        (name("balance"), process_tables.balance_table(data, languages)),
    ]
    return [(sheet, table) for sheet, table in made if table.rows]


def _cover(book: _Book) -> None:
    data, first = book.data, book.languages[0]
    sheet, row = book.sheet(first("workbook.cover"), book.both("document.title", wave=data.wave))
    sheet.set_column(0, 0, 120)
    lines = [
        book.both("document.release", release=data.release),
        book.both("document.reference", wave=data.wave),
        "\n".join(
            texts("document.published", date=numbers.day(data.publication_date, texts.language))
            for texts in book.languages
        ),
        "\n".join(
            texts(
                "provenance.cite_synthetic" if data.synthetic else "provenance.cite",
                wave=data.wave,
                release=data.release,
                date=numbers.day(data.publication_date, texts.language),
            )
            for texts in book.languages
        ),
        book.both("workbook.inside"),
    ]
    for line in lines:
        for part in line.split("\n"):
            sheet.write_string(row, 0, part, book.plain)
            row += 1


def _contents(book: _Book, made: Sequence[tuple[str, Table]]) -> None:
    first = book.languages[0]
    sheet, top = book.sheet(first("workbook.contents"), book.both("workbook.contents"))
    sheet.set_column(0, 0, _NAME_WIDTH)
    listed = [(first(f"workbook.{key}"), book.both(f"workbook.{key}")) for key in ("cover", "notes", "shorthand")]
    listed += [(name, table.title) for name, table in made]
    headings = [book.both("workbook.sheet"), *(texts("tables.column.description") for texts in book.languages)]
    book.text_table(sheet, top, "contents", headings, [(name, title.split("\n")) for name, title in listed])
    for row, (name, _) in enumerate(listed, start=top + 1):
        # A link inside the workbook; the name is ours and quoted
        sheet.write_url(row, 0, f"internal:'{name[:_LONGEST_NAME]}'!A1", string=name)


def _notes(book: _Book) -> None:
    first = book.languages[0]
    sheet, top = book.sheet(first("workbook.notes"), book.both("workbook.notes"))
    sheet.set_column(0, 0, _MARK_WIDTH)
    keys = ("note_languages", "note_numbers", "note_marks", "note_weighting", "note_full")
    paragraphs = [[texts(f"workbook.{key}") for texts in book.languages] for key in keys]
    paragraphs.append([texts("tables.marks") for texts in book.languages])
    paragraphs += [
        [
            "{}: {}. {}".format(*(str(getattr(contract, f"{part}_{texts.language}")) for part in _ABOUT))
            for texts in book.languages
        ]
        for contract in book.data.surveys.values()
    ]
    headings = [book.both("workbook.number"), *(texts("workbook.language") for texts in book.languages)]
    book.text_table(sheet, top, "notes", headings, list(enumerate(paragraphs, start=1)))


def _shorthand(book: _Book, tables: Sequence[Table]) -> None:
    """Every mark that stands in a table, and what it means."""
    first = book.languages[0]
    sheet, top = book.sheet(first("workbook.shorthand"), book.both("workbook.shorthand"))
    sheet.set_column(0, 0, _MARK_WIDTH)
    used = {word for table in tables for row in table.rows for cell in row for word in (cell.text or _NOTHING).split()}
    meanings = [texts.raw("workbook.marks") for texts in book.languages]
    headings = [book.both("tables.column.mark"), *(texts("workbook.language") for texts in book.languages)]
    rows: list[_Row] = [(mark, [meaning[mark] for meaning in meanings]) for mark in meanings[0] if mark in used]
    book.text_table(sheet, top, "shorthand", headings, rows)


def _height(text: str, width: float) -> float:
    """Of a row that holds the text in a column of this width; Hangul is as wide as two letters."""
    lines = (sum(2 if character > "\u1100" else 1 for character in line) for line in text.split("\n"))
    return _LINE_HEIGHT * sum(max(1, math.ceil(line / width)) for line in lines)


def _headings(table: Table) -> list[str]:
    """One heading a column: a table has one line of headings, so the group's name goes into it."""
    made = []
    for column in table.columns:
        lines = column.heading.split("\n")
        groups = column.group.split("\n") if column.group else [""] * len(lines)
        if len(groups) != len(lines):
            # A heading of one line (a code) under a group in several languages
            groups = [" / ".join(groups)] * len(lines)
        parts = [f"{group}: {line}" if group else line for group, line in zip(groups, lines, strict=True)]
        made.append("\n".join(parts))
    return made


def _write_table(book: _Book, name: str, table: Table) -> None:
    sheet, top = book.sheet(name, table.title)
    contents = book.languages[0]("workbook.contents")
    sheet.write_url(top, 0, f"internal:'{contents}'!A1", string=book.both("workbook.one_table").replace("\n", " "))
    top += 1
    kinds = [column.kind for column in table.columns]
    for number, cells in enumerate(table.rows, start=top + 1):
        for position, (cell, column_kind) in enumerate(zip(cells, kinds, strict=True)):
            kind = cell.kind or column_kind
            if isinstance(cell.value, int | float):
                sheet.write_number(number, position, cell.value, book.number.get(kind, book.text))
            else:
                style = book.mark if kind in book.number or kind == "mark" else book.text
                book.write_text(sheet, number, position, cell.text or _NOTHING, style)
        words = (
            _height(cell.text, _WIDTHS[kind])
            for cell, kind in zip(cells, kinds, strict=True)
            if kind in _WIDTHS and not isinstance(cell.value, int | float)
        )
        if (height := max(words, default=_LINE_HEIGHT)) > _LINE_HEIGHT:
            sheet.set_row(number, height)
    for position, kind in enumerate(kinds):
        sheet.set_column(position, position, _WIDTHS.get(kind, _NUMBER_WIDTH))
    sheet.set_row(top, 62)
    book.mark_up(sheet, top, table.name, _headings(table), len(table.rows))
    labels = sum(kind == "label" for kind in kinds)
    sheet.freeze_panes(top + 1, min(labels, 2))
