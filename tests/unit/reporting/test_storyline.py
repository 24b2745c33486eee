"""The order of the printed report is that of the page, and it says nothing that the page does not."""

import html
import re
from collections.abc import Iterator, Mapping

import pytest

from pipelines.reporting.data import ReportData
from pipelines.reporting.document import build_document
from pipelines.reporting.storyline import (
    Block,
    Charts,
    Findings,
    Meanings,
    Section,
    Subheading,
    Words,
    figures_of,
    sections,
)
from pipelines.reporting.tables import Table
from pipelines.reporting.texts import Texts
from tests.unit.reporting.conftest import LANGUAGES
from tests.unit.reporting.made_up import made_up_report

# Words of paper: pages have no buttons
_ON_PAPER_ONLY = ("print.tables_lead", "print.behind_section")


@pytest.fixture(scope="module")
def storylines(report: ReportData, texts: Mapping[str, Texts]) -> Mapping[str, tuple[Section, ...]]:
    return {language: sections(build_document(report, texts[language]), texts[language]) for language in LANGUAGES}


def _plain(markup: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", "", markup))).strip()


def _texts_of(block: Block) -> Iterator[str]:
    match block:
        case Words() | Subheading():
            yield block.text
        case Findings():
            yield from block.sentences
        case Meanings():
            yield from (part for pair in block.pairs for part in pair)
        case Charts():
            for figure in block.figures:
                yield from (figure.title, figure.subtitle, figure.source, figure.id, *figure.notes)
                yield from _texts_of(figure.table)
            for part in block.beside:
                yield from _texts_of(part)
        case Table():
            yield f"{block.id}. {block.title}"
            yield from (cell.text for row in block.rows for cell in row)
            yield from (column.heading for column in block.columns)


@pytest.mark.parametrize("language", LANGUAGES)
def test_sections_figures_and_tables_stand_in_the_order_of_the_page(
    pages: Mapping[str, str], storylines: Mapping[str, tuple[Section, ...]], language: str
) -> None:
    page, made = pages[language], storylines[language]
    headings = [_plain(text) for text in re.findall(r"<section id=[^>]*>\s*<h2>(.*?)</h2>", page)]
    assert [section.heading for section in made[:-1]] == headings
    figures = [figure for section in made for figure in figures_of(section)]
    assert [figure.name for figure in figures] == re.findall(r'<figure id="([^"]+)"', page)
    tables = [block for section in made[:-1] for block in section.blocks if isinstance(block, Table)]
    captions = [_plain(text) for text in re.findall(r'<span class="caption-text">(.*?)</span>', page)]
    behind = {_plain(f"{figure.table.id}. {figure.table.title}") for figure in figures}
    assert [_plain(f"{table.id}. {table.title}") for table in tables] == [
        text for text in captions if text not in behind
    ]
    assert made[-1].blocks == tuple(figure.table for figure in figures)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_and_number_stands_on_the_page_too(
    pages: Mapping[str, str],
    storylines: Mapping[str, tuple[Section, ...]],
    texts: Mapping[str, Texts],
    language: str,
) -> None:
    body = pages[language].split("<body>")[1]
    told = _plain(re.sub(r"<(?!/?(?:span|i|sub|tspan)\b)[^>]*>", " ", body))
    on_paper = {texts[language](key) for key in _ON_PAPER_ONLY}
    words = {
        _plain(str(text)) for section in storylines[language] for block in section.blocks for text in _texts_of(block)
    }
    assert len(words) > 500
    assert [text for text in sorted(words - on_paper) if text not in told] == []


def test_the_first_wave_leaves_out_what_it_does_not_have(texts: Mapping[str, Texts]) -> None:
    made = sections(build_document(made_up_report(wave=2021), texts["en"]), texts["en"])
    assert "changes" not in [section.name for section in made]
    assert all(section.heading for section in made)
    assert [section.name for section in made if not section.blocks] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_narrow_figures_stand_by_twos_and_wide_ones_alone(
    storylines: Mapping[str, tuple[Section, ...]], language: str
) -> None:
    rows = [block for section in storylines[language] for block in section.blocks if isinstance(block, Charts)]
    assert all(1 <= len(row.figures) <= 2 for row in rows)
    assert all(len(row.figures) == 1 for row in rows if any(figure.wide for figure in row.figures))
    assert {len(row.figures) for row in rows} == {1, 2}
