"""The HWPX file, read back with the library that wrote it: there is no other reader of it on a build machine."""

import dataclasses
import io
import itertools
import re
import uuid
import zipfile
from collections.abc import Mapping

import polars as pl
import pytest
from hwpx import HwpxDocument
from hwpx.tools.package_validator import validate_editor_open_safety

from pipelines.reporting import numbers
from pipelines.reporting.data import ReportData
from pipelines.reporting.document import Document, build_document
from pipelines.reporting.hwpx import render_hwpx
from pipelines.reporting.storyline import Findings, figures_of, sections
from pipelines.reporting.texts import Texts
from tests.unit.reporting.made_up import ANNUAL, made_up_report


@pytest.fixture(scope="module")
def made(report: ReportData) -> bytes:
    return render_hwpx(report, "ko", template_dir=ANNUAL)


@pytest.fixture(scope="module")
def document(report: ReportData, texts: Mapping[str, Texts]) -> Document:
    return build_document(report, texts["ko"])


@pytest.fixture(scope="module")
def told(made: bytes) -> str:
    """Every text of the file, headings, cells, header and pictures' descriptions, without white space."""
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        xml = archive.read("Contents/section0.xml").decode("utf-8")
    texts = re.findall(r"<hp:(?:t|shapeComment)\b[^>]*>(.*?)</hp:(?:t|shapeComment)>", xml, re.S)
    plain = re.sub(r"<[^>]*>", "", "".join(texts))
    return _plain(plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


def _plain(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_file_meets_the_schemas_and_opens(made: bytes) -> None:
    report = validate_editor_open_safety(io.BytesIO(made))
    assert report.reopen_ok
    assert report.blocking_package_errors == ()
    assert report.validate_document.issues == ()
    assert len(made) < 5_000_000


def test_same_data_same_bytes_and_no_clock(made: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    # The library draws 31 bits for each of 3,000 parts: in one file of 500 two get the same number
    drawn = itertools.count()
    monkeypatch.setattr("hwpx.oxml._document_primitives.uuid4", lambda: uuid.UUID(int=next(drawn) // 2))
    assert render_hwpx(made_up_report(), "ko", template_dir=ANNUAL) == made
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        about = archive.read("Contents/content.hpf").decode("utf-8")
    assert set(re.findall(r"\d{4}-\d\d-\d\dT[^<]*", about)) == {"2025-12-17T00:00:00Z"}
    assert "fixture" not in about


def test_paragraphs_tables_and_pictures_have_numbers_of_their_own(made: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        xml = archive.read("Contents/section0.xml").decode("utf-8")
    numbered = re.findall(r'<hp:(?:p|tbl|pic)\b[^>]* id="(\d+)"', xml)
    assert len(numbered) > 1000
    assert len(set(numbered)) == len(numbered)
    for part in ("header", "footer"):
        [own] = set(re.findall(rf'<hp:{part} id="(\d+)"', xml))
        assert re.findall(rf'<hp:{part}Apply\b[^>]* idRef="(\d+)"', xml) == [own]
        assert own not in numbered


def test_headline_and_key_sentences_stand_in_it(
    told: str, report: ReportData, document: Document, texts: Mapping[str, Texts]
) -> None:
    for survey in report.surveys:
        estimate, low, high = report.headline(survey).value()
        assert _plain(numbers.per_cent(estimate, "ko")) in told
        assert _plain(numbers.interval(low, high, "ko")) in told
        assert _plain(numbers.whole_per_cent(report.targets[survey].value, "ko")) in told
    sentences = [
        sentence
        for section in sections(document, texts["ko"])
        for block in section.blocks
        if isinstance(block, Findings)
        for sentence in block.sentences
    ]
    assert len(sentences) > 8
    assert all(_plain(sentence) in told for sentence in sentences)


def test_every_figure_is_a_picture_with_its_words_and_its_table(
    made: bytes, told: str, document: Document, texts: Mapping[str, Texts]
) -> None:
    figures = [figure for section in sections(document, texts["ko"]) for figure in figures_of(section)]
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        pictures = [archive.read(name) for name in archive.namelist() if name.startswith("BinData/")]
    assert len(pictures) == len(figures) >= 16
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
    for figure in figures:
        assert _plain(figure.alternative) in told
        assert all(_plain(note) in told for note in figure.notes)
    tables = HwpxDocument.open(io.BytesIO(made)).tables.all
    held = tables() if callable(tables) else tables
    # The cards, the tables behind the figures, those of quality and of definitions
    assert len(held) >= 1 + len(figures) + 3
    by_rows = {table.row_count for table in held}
    assert {len(figure.table.rows) + 1 for figure in figures} <= by_rows


def test_synthetic_data_are_labelled_on_every_page_and_official_ones_are_not(
    made: bytes, report: ReportData, texts: Mapping[str, Texts]
) -> None:
    label = texts["ko"]("synthetic.small_print")
    official = render_hwpx(dataclasses.replace(report, synthetic=False), "ko", template_dir=ANNUAL)
    for file, labelled in ((made, True), (official, False)):
        with zipfile.ZipFile(io.BytesIO(file)) as archive:
            xml = archive.read("Contents/section0.xml").decode("utf-8")
        headers = re.findall(r"<hp:header\b.*?</hp:header>", xml, re.S)
        assert headers
        assert all((label in header) == labelled for header in headers)
        assert (texts["ko"]("synthetic.sentence") in xml) == labelled


def test_names_from_deliveries_and_hidden_estimates_do_no_harm(report: ReportData) -> None:
    evil = report.deliveries.with_columns(pl.lit("<hp:t>&\U0001f600\u0007").alias("file_name"))
    rates = report.marts["adoption_rate"].with_columns(pl.lit("suppress").alias("reliability"))
    data = dataclasses.replace(report, deliveries=evil, marts={**report.marts, "adoption_rate": rates})
    assert validate_editor_open_safety(io.BytesIO(render_hwpx(data, "ko", template_dir=ANNUAL))).reopen_ok
