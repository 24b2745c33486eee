"""The annual report for the word processor of Korean ministries (HWPX, KS X 6101), to be edited and quoted.

Belongs here: putting the storyline into an HWPX document by python-hwpx, and making the file the same from the same
data. Does not belong here: what the report says (document, storyline), or how a chart is drawn (charts).

Nothing of the look depends on what a reader has installed: charts are pictures, the rest takes the word processor's own
styles. The long tables are left to the PDF and the workbook.
"""

import io
import itertools
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hwpx import HwpxDocument
from hwpx.oxml import HwpxOxmlParagraph
from markupsafe import Markup

from pipelines.reporting.data import ReportData
from pipelines.reporting.document import Document, document_of
from pipelines.reporting.drawing import PALETTE
from pipelines.reporting.figures import Figure
from pipelines.reporting.numbers import Language
from pipelines.reporting.page_tables import table_values
from pipelines.reporting.pdf import figure_values, frame_values, text_runs
from pipelines.reporting.sentences import Headline
from pipelines.reporting.storyline import Block, Charts, Findings, Meanings, Section, Subheading, Words, sections
from pipelines.reporting.tables import Table
from pipelines.reporting.texts import Texts
from pipelines.reporting.typesetting import settable, typeset

_CHART = "chart.typ"
# Sections of which the tables are left out
_LONG = frozenset({"tables", "suppressed", "changes", "provenance"})
# The style and paragraph shape of plain text in the library's blank document
_PLAIN = "0"
_HEAD_GROUND = "#F5F7F9"
_MARGIN_MM = 20.0
_TEXT_MM = 210.0 - 2 * _MARGIN_MM


def render_hwpx(data: ReportData, language: Language, *, template_dir: Path) -> bytes:
    """The report in one language as HWPX; the same data give the same bytes.

    Args:
        data: what is printed.
        language: ``ko`` or ``en``.
        template_dir: the folder `reports/annual`.

    Raises:
        AxstatError: the headline is missing, a code has no label, or a text is missing.
    """
    texts = Texts(template_dir, language)
    document = document_of(data, language, template_dir)
    made = _Writer(data, texts, template_dir)
    made.front(document)
    for section in sections(document, texts):
        made.section(section)
    return made.finish()


class _Writer:
    """A document that is written from top to bottom."""

    def __init__(self, data: ReportData, texts: Texts, template_dir: Path) -> None:
        self.document = HwpxDocument.new()
        self._data, self._texts, self._template_dir = data, texts, template_dir
        self._frame = frame_values(data, texts)
        self._headings: dict[str, list[HwpxOxmlParagraph]] = {"section": [], "subheading": [], "bold": []}
        styles = self.document.styles
        self._shapes = {
            "title": styles.ensure_run(bold=True, size=20),
            "section": styles.ensure_run(bold=True, size=15),
            "subheading": styles.ensure_run(bold=True, size=11),
            "lead": styles.ensure_run(size=11),
            "body": styles.ensure_run(size=10),
            "bold": styles.ensure_run(bold=True, size=10),
            "aside": styles.ensure_run(size=8.5, color=PALETTE["muted"]),
            "warning": styles.ensure_run(bold=True, size=10, color=PALETTE["target"]),
            "i": styles.ensure_run(size=10, italic=True),
            "sub": styles.ensure_run(size=10, script="sub"),
            "i sub": styles.ensure_run(size=10, italic=True, script="sub"),
            "cell": styles.ensure_run(size=7.5),
            "cell_head": styles.ensure_run(bold=True, size=7.5),
            "figure": styles.ensure_run(size=22, color=PALETTE["ink"]),
        }
        page = self.document.page
        page.set_margins(**{side: round(_MARGIN_MM * 283.465) for side in ("left", "right")})
        warning = texts("synthetic.small_print") if data.synthetic else ""
        head = (texts("document.title", wave=data.wave), texts("document.release", release=data.release), warning)
        page.set_header(text=" · ".join(part for part in head if part))
        page.set_page_number()
        day = f"{data.publication_date.isoformat()}T00:00:00Z"
        # The library's blank document has a preview and an author of its own
        self.document.parts.clear_preview()
        self.document.parts.clear_document_metadata()
        self.document.parts.set_document_metadata(
            title=texts("document.title", wave=data.wave), creator="axstat", created_date=day, modified_date=day
        )

    def front(self, document: Document) -> None:
        """Page one: the headline figures with their sentences."""
        self._paragraph(document.heading, "title")
        self._paragraph(" · ".join(document.dates), "aside")
        if self._data.synthetic:
            words = f"{self._texts('synthetic.heading')}: {self._texts('synthetic.sentence')}"
            self._paragraph(words, "warning")
        self._heading(self._texts("headline.section"), 1, "section")
        self._cards(document.headlines)
        for card in document.headlines.values():
            self._heading(f"{card.name}: {card.status}", 2, "subheading")
            for sentence in card.sentences:
                self._paragraph(f"– {sentence}", "body")
            for name, value in card.also:
                self._paragraph(f"– {name} {value}", "body")

    def section(self, section: Section) -> None:
        """A chapter; without the tables that only a spreadsheet can show, which are named."""
        self._heading(section.heading, 1, "section")
        left_out = []
        for block in section.blocks:
            if isinstance(block, Table) and section.name in _LONG:
                left_out.append(f"{block.id}. {block.title}")
            else:
                self._block(block)
        if left_out:
            self._paragraph(self._texts("print.tables_elsewhere"), "body")
            for title in left_out:
                self._paragraph(f"– {title}", "aside")

    def _block(self, block: Block) -> None:
        match block:
            case Words():
                self._words(block)
            case Subheading():
                self._heading(block.text, 2, "subheading")
            case Findings():
                for sentence in block.sentences:
                    self._paragraph(f"– {sentence}", "body")
            case Meanings():
                for name, meaning in block.pairs:
                    self._paragraph(f"– {name}: {meaning}", "aside" if block.dense else "body")
            case Charts():
                for figure in block.figures:
                    self._figure(figure)
                for part in block.beside:
                    self._block(part)
            case Table():
                self._table(block)

    def _words(self, block: Words) -> None:
        if not isinstance(block.text, Markup):
            self._paragraph(block.text, block.style)
            return
        paragraph = self._paragraph("", "body")
        for marks, text in text_runs(block.text):
            paragraph.add_run(settable(text), char_pr_id_ref=self._shapes[marks or "body"])

    def _paragraph(self, text: str, shape: str) -> HwpxOxmlParagraph:
        made = self.document.add_paragraph(
            settable(text),
            style_id_ref=_PLAIN,
            para_pr_id_ref=_PLAIN,
            char_pr_id_ref=self._shapes[shape],
            inherit_style=False,
        )
        if shape in self._headings:
            self._headings[shape].append(made)
        return made

    def _heading(self, text: str, level: int, shape: str) -> None:
        made = self.document.add_heading(settable(text), level=level, char_pr_id_ref=self._shapes[shape])
        self._headings[shape].append(made)

    def _cards(self, cards: Mapping[str, Headline]) -> None:
        shown = list(cards.values())
        rows = [
            [card.name for card in shown],
            [card.population for card in shown],
            [card.estimate for card in shown],
            [card.interval or card.status for card in shown],
            [f"{card.target_heading} {card.target}" for card in shown],
            [f"{self._texts('headline.distance')} {card.distance} {card.distance_interval}" for card in shown],
        ]
        shapes = ["bold", "aside", "figure", "aside", "body", "body"]
        self._cells(rows, [[shape] * len(shown) for shape in shapes], [1.0] * len(shown), right=())

    def _figure(self, figure: Figure) -> None:
        self._paragraph(figure.title, "bold")
        self._paragraph(figure.subtitle, "aside")
        drawn = figure_values(figure)
        width = 736.0 if figure.wide else 352.0
        picture = typeset(
            self._template_dir / _CHART,
            {**self._frame, **drawn, "width": (1 + 2 * drawn["brim"]) * width, "height": drawn["ratio"] * width},
            form="png",
            day=self._data.publication_date,
        )
        placed = self.document.add_picture(
            picture,
            "png",
            width_mm=_TEXT_MM if figure.wide else 0.55 * _TEXT_MM,
            style_id_ref=_PLAIN,
            para_pr_id_ref=_PLAIN,
            char_pr_id_ref=self._shapes["body"],
        )
        for comment in placed.element.iter("{*}shapeComment"):
            comment.text = settable(figure.alternative)
        for note in figure.notes:
            self._paragraph(note, "aside")
        self._paragraph(f"{figure.source} · {figure.id}", "aside")

    def _table(self, table: Table) -> None:
        self._paragraph(f"{table.id}. {table.title}", "bold")
        fitted = table_values(table, across=False)
        heads = [f"{column.group}\n{column.heading}" if column.group else column.heading for column in table.columns]
        rows = [heads, *([cell.text for cell in row] for row in table.rows)]
        shapes = [["cell_head" if number == 0 else "cell"] * len(heads) for number in range(len(rows))]
        right = [number for number, column in enumerate(fitted["columns"]) if column["align"] == "right"]
        self._cells(rows, shapes, fitted["widths"], right=right)
        for note in table.notes:
            self._paragraph(note, "aside")

    def _cells(
        self,
        rows: Sequence[Sequence[str]],
        shapes: Sequence[Sequence[str]],
        widths: Sequence[float],
        *,
        right: Sequence[int],
    ) -> None:
        table = self.document.add_table(len(rows), len(widths), width=round(_TEXT_MM * 283.465))
        table.set_column_widths(widths)
        # Headings are said to be such, and stand again on every page
        table.element.set("repeatHeader", "1")
        numbers = []
        for number, (row, texts, of_row) in enumerate(zip(table.rows, rows, shapes, strict=True)):
            for column, (cell, text, shape) in enumerate(zip(row.cells, texts, of_row, strict=True)):
                cell.text = settable(text)
                for paragraph in cell.paragraphs:
                    paragraph.char_pr_id_ref = self._shapes[shape]
                if number == 0:
                    cell.element.set("header", "1")
                if column in right:
                    numbers += cell.paragraphs
        # Asking for each cell would look through the whole table each time
        table.set_cell_shading(0, 0, _HEAD_GROUND)
        heads = [cell.element for cell in table.rows[0].cells]
        for head in heads:
            head.set("borderFillIDRef", heads[0].attrib["borderFillIDRef"])
        self._set_alike(numbers, alignment="RIGHT")

    def finish(self) -> bytes:
        """Set the room around headings, and hand over the file."""
        self._set_alike(self._headings["section"], spacing_before_pt=20, spacing_after_pt=4, keep_with_next=True)
        self._set_alike(self._headings["subheading"], spacing_before_pt=8, spacing_after_pt=2, keep_with_next=True)
        self._set_alike(self._headings["bold"], spacing_before_pt=14, keep_with_next=True)
        return _fixed(self.document.to_bytes())

    def _set_alike(self, paragraphs: Sequence[HwpxOxmlParagraph], **form: Any) -> None:
        """Give paragraphs that look alike so far the same form."""
        if not paragraphs:
            return
        # Asking for each would look through all the shapes each time
        self.document.styles.apply_paragraph_format(paragraphs=paragraphs[:1], **form)
        for paragraph in paragraphs[1:]:
            paragraph.para_pr_id_ref = paragraphs[0].para_pr_id_ref


# What the library numbers at random: so many paragraphs that now and then two get one number
_NUMBERED = re.compile(rb"<hp:(?P<kind>p|tbl|pic|header|footer)(?:Apply)?\b[^>]*>")
_NUMBER = re.compile(rb'(?<= )(id|instid|idRef)="\d+"')
_NO_TIME = (1980, 1, 1, 0, 0, 0)


def _fixed(archive: bytes) -> bytes:
    """The archive with paragraphs, tables and pictures numbered in their order, and without times."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if re.fullmatch(r"Contents/section\d+\.xml", entry.filename):
                content = _numbered(content)
            info = zipfile.ZipInfo(entry.filename, date_time=_NO_TIME)
            info.compress_type = entry.compress_type
            info.create_system = 0
            new.writestr(info, content)
    return out.getvalue()


def _numbered(xml: bytes) -> bytes:
    counted = itertools.count(1)
    # A page's header and footer are one each, and are referred to
    shared: dict[bytes, int] = {}

    def number(tag: re.Match[bytes]) -> bytes:
        kind = tag["kind"]
        if kind not in (b"header", b"footer"):
            given = next(counted)
        elif kind in shared:
            given = shared[kind]
        else:
            given = shared[kind] = next(counted)
        return _NUMBER.sub(rb'\1="%d"' % given, tag[0])

    return _NUMBERED.sub(number, xml)
