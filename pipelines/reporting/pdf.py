"""The annual report as a PDF for print and for screen readers.

Belongs here: turning the document into the values of the Typst template, and what pages need that a screen does not:
widths of columns and which tables stand across. Does not belong here: what the report says (document, storyline), or
how it looks (reports/annual/report.typ).
"""

import re
from collections.abc import Sequence
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pipelines.errors import AxstatError
from pipelines.reporting.data import ReportData
from pipelines.reporting.document import Document, document_of
from pipelines.reporting.drawing import PALETTE
from pipelines.reporting.figures import Figure
from pipelines.reporting.fonts import FAMILY
from pipelines.reporting.numbers import Language
from pipelines.reporting.page_tables import needs_width, table_values
from pipelines.reporting.sentences import Headline
from pipelines.reporting.storyline import Block, Charts, Findings, Meanings, Section, Subheading, Words, sections
from pipelines.reporting.tables import Table
from pipelines.reporting.texts import Texts
from pipelines.reporting.typesetting import typeset

_TEMPLATE = "report.typ"


def render_pdf(data: ReportData, language: Language, *, template_dir: Path) -> bytes:
    """The report in one language as PDF (PDF/A-2a, PDF/UA-1); the same data give the same bytes.

    Args:
        data: what is printed.
        language: ``ko`` or ``en``.
        template_dir: the folder `reports/annual`.

    Raises:
        AxstatError: the headline is missing, a code has no label, a text is missing, or the template does not compile
            without a warning.
    """
    texts = Texts(template_dir, language)
    values = report_values(document_of(data, language, template_dir), texts)
    return typeset(template_dir / _TEMPLATE, values, form="pdf", day=data.publication_date)


def frame_values(data: ReportData, texts: Texts) -> dict[str, Any]:
    """What every printed form says around its content: language, date, colours, and that data are synthetic."""
    return {
        "language": texts.language,
        "title": texts("document.title", wave=data.wave),
        "release": texts("document.release", release=data.release),
        "day": [data.publication_date.year, data.publication_date.month, data.publication_date.day],
        "synthetic": texts.raw("synthetic") if data.synthetic else None,
        "colours": PALETTE,
        "family": FAMILY,
    }


def report_values(document: Document, texts: Texts) -> dict[str, Any]:
    """The whole report as values of the template."""
    made = sections(document, texts)
    return {
        **frame_values(document.data, texts),
        "kicker": texts("document.kicker"),
        "heading": document.heading,
        "dates": document.dates,
        "cite": document.provenance.cite,
        "glance": texts("headline.section"),
        "distance_heading": texts("headline.distance"),
        "cards": [card_values(survey, card) for survey, card in document.headlines.items()],
        "contents_heading": texts("document.contents"),
        "figures_heading": texts("print.figures"),
        "tables_heading": texts("tables.section"),
        "values_on_page": texts.raw("print.values_on_page"),
        "page": texts.raw("print.page"),
        "sections": [_section(section) for section in made],
    }


def card_values(survey: str, card: Headline) -> dict[str, Any]:
    """A headline with the bar under it, which is None where there is no estimate."""
    return {**asdict(card), "survey": survey}


def _section(section: Section) -> dict[str, Any]:
    return {
        "name": section.name,
        "heading": section.heading,
        "runs": [
            {"across": across, "blocks": [_block(block, across=across) for block in blocks]}
            for across, blocks in _runs(section.blocks)
        ],
    }


def _runs(blocks: Sequence[Block]) -> list[tuple[bool, Sequence[Block]]]:
    """Blocks on upright pages, then those on pages across.

    If a table needs the width, all that follows the last chart goes across, so that a section turns once.
    """
    if not any(isinstance(block, Table) and needs_width(block) for block in blocks):
        return [(False, blocks)]
    turn = max((number + 1 for number, block in enumerate(blocks) if isinstance(block, Charts)), default=0)
    if turn:
        # Words under the last chart belong to it
        turn = next(number for number in range(turn, len(blocks)) if isinstance(blocks[number], Table))
    return [run for run in ((False, blocks[:turn]), (True, blocks[turn:])) if run[1]]


def _block(block: Block, *, across: bool) -> dict[str, Any]:
    match block:
        case Words():
            return {"kind": "words", "style": block.style, "runs": text_runs(block.text)}
        case Subheading():
            return {"kind": "subheading", "text": block.text}
        case Findings():
            return {"kind": "findings", "items": block.sentences}
        case Meanings():
            return {"kind": "meanings", "pairs": block.pairs, "dense": block.dense}
        case Charts():
            return {
                "kind": "charts",
                "figures": [figure_values(figure) for figure in block.figures],
                "is_wide": len(block.figures) == 1 and block.figures[0].wide is not None,
                "beside": [_block(part, across=across) for part in block.beside],
            }
        case Table():
            return {"kind": "table", **table_values(block, across=across)}


def figure_values(figure: Figure) -> dict[str, Any]:
    """A figure with its drawing ready for Typst: `ratio` of height to width, `brim` left and right of the width."""
    drawing = figure.narrow if figure.wide is None else figure.wide
    found = _SIZE.match(drawing)
    if found is None:
        raise AxstatError(
            "drawing_without_size",
            where=f"figure {figure.name}",
            expected="an SVG whose first element has a width and a height",
            got=drawing[:120],
            hint="draw it with pipelines.reporting.drawing.Board",
        )
    width, height = float(found["width"]), float(found["height"])
    # Type in a picture is found by the name of its family. A page cuts a picture at its edge, where a browser lets a
    # middle-aligned word hang over it: there is a brim for that
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" font-family="{FAMILY}" width="{width + 2 * _BRIM:g}" '
        f'height="{height:g}" viewBox="{-_BRIM} 0 {width + 2 * _BRIM:g} {height:g}">'
    )
    return {
        "name": figure.name,
        "id": figure.id,
        "title": figure.title,
        "subtitle": figure.subtitle,
        "svg": opening + drawing[found.end() :],
        "ratio": height / width,
        "brim": _BRIM / width,
        "alternative": figure.alternative,
        "notes": figure.notes,
        "source": figure.source,
    }


_SIZE = re.compile(r'<svg [^>]*?width="(?P<width>[0-9.]+)" height="(?P<height>[0-9.]+)"[^>]*>')
_BRIM = 12


class _Runs(HTMLParser):
    """Markup of a method text as (mark, text): mark is `i`, `sub`, both, or empty."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.made: list[tuple[str, str]] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _MARKS:
            raise _unknown_mark(tag)
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            raise _unknown_mark(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.made.append((" ".join(self._open), data))


_MARKS = ("i", "sub")


def _unknown_mark(tag: str) -> AxstatError:
    return AxstatError(
        "unknown_mark",
        where="a text of the report",
        expected=f"text with {' and '.join(f'<{mark}>' for mark in _MARKS)}, each closed",
        got=f"<{tag}>",
        hint="write the text without it, or add the mark to report.typ",
    )


def text_runs(text: str) -> list[tuple[str, str]]:
    """A text as runs of (marks, text); plain text is one run without a mark."""
    if not isinstance(text, Markup):
        return [("", text)]
    parser = _Runs()
    parser.feed(str(text))
    parser.close()
    return parser.made
