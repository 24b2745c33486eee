"""The PDF as it is read: text is taken out of it page by page with poppler's pdftotext."""

import dataclasses
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from markupsafe import Markup

from pipelines.errors import AxstatError
from pipelines.reporting import numbers, pdf
from pipelines.reporting.data import ReportData
from pipelines.reporting.document import build_document
from pipelines.reporting.numbers import Language
from pipelines.reporting.pdf import render_pdf, report_values
from pipelines.reporting.storyline import Charts, Words
from pipelines.reporting.texts import Texts
from tests.unit.reporting.conftest import LANGUAGES
from tests.unit.reporting.made_up import ANNUAL, made_up_report

pdftotext = shutil.which("pdftotext")
needs_poppler = pytest.mark.skipif(pdftotext is None, reason="pdftotext of poppler is not installed")


def _plain(text: str) -> str:
    return re.sub(r"\s+", "", text)


def _pages(made: bytes, folder: Path) -> list[str]:
    """Text of each page without white space: where lines break says nothing."""
    file = folder / "report.pdf"
    file.write_bytes(made)
    out = subprocess.run([str(pdftotext), str(file), "-"], check=True, capture_output=True)
    return [_plain(page) for page in out.stdout.decode("utf-8").split("\f")[:-1]]


@pytest.fixture(scope="module")
def prints(report: ReportData) -> Mapping[str, bytes]:
    return {language: render_pdf(report, language, template_dir=ANNUAL) for language in LANGUAGES}


@pytest.fixture(scope="module")
def read(prints: Mapping[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[str]]:
    return {language: _pages(made, tmp_path_factory.mktemp(language)) for language, made in prints.items()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_file_is_small_tagged_and_tells_its_language_and_title(
    prints: Mapping[str, bytes], texts: Mapping[str, Texts], language: str
) -> None:
    made = prints[language]
    assert 100_000 < len(made) < 5_000_000
    assert f"/Lang({language}".encode() in made
    assert b"/StructTreeRoot" in made
    assert b"/Outlines" in made
    for part in (b"<pdfaid:part>2</pdfaid:part>", b"<pdfuaid:part>1</pdfuaid:part>"):
        assert part in made
    title = re.search(rb"<dc:title>.*?</dc:title>", made, re.S)
    assert title is not None
    assert texts[language]("document.title", wave=2025) in title.group().decode("utf-8")


def test_same_data_same_bytes_and_no_clock(report: ReportData, prints: Mapping[str, bytes]) -> None:
    assert render_pdf(made_up_report(), "en", template_dir=ANNUAL) == prints["en"]
    dates = set(re.findall(rb"(?:Create|Modify|Metadata)Date>([0-9-]+)T", prints["en"]))
    assert dates == {report.publication_date.isoformat().encode()}


@needs_poppler
@pytest.mark.parametrize("language", LANGUAGES)
def test_headline_stands_on_page_one(read: Mapping[str, list[str]], report: ReportData, language: Language) -> None:
    first = read[language][0]
    for survey in report.surveys:
        estimate, low, high = report.headline(survey).value()
        assert _plain(numbers.per_cent(estimate, language)) in first
        assert _plain(numbers.interval(low, high, language)) in first
        assert _plain(numbers.whole_per_cent(report.targets[survey].value, language)) in first


@needs_poppler
@pytest.mark.parametrize("language", LANGUAGES)
def test_banner_release_and_page_number_stand_on_every_page(
    read: Mapping[str, list[str]], texts: Mapping[str, Texts], report: ReportData, language: str
) -> None:
    words, pages = texts[language], read[language]
    assert len(pages) > 20
    for number, page in enumerate(pages, start=1):
        assert _plain(words("synthetic.heading") + words("synthetic.sentence")) in page
        assert _plain(words("document.release", release=report.release)) in page
        of_all = words.raw("print.page").replace("{page}", str(number)).replace("{pages}", str(len(pages)))
        assert _plain(of_all) in page


@needs_poppler
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_of_the_report_can_be_read(
    read: Mapping[str, list[str]], texts: Mapping[str, Texts], report: ReportData, language: str
) -> None:
    told = "".join(read[language])
    values = report_values(build_document(report, texts[language]), texts[language])
    figures, tables = 0, 0
    for section in values["sections"]:
        assert _plain(section["heading"]) in told
        for block in (block for run in section["runs"] for block in run["blocks"]):
            for figure in block.get("figures", ()):
                figures += 1
                assert _plain(figure["id"]) in told
                # Words that the chart itself holds, as text and not as outlines
                words = re.findall(r"<text[^>]*>([^<]{4,})</text>", figure["svg"])
                assert words
                assert all(_plain(word.replace("&amp;", "&")) in told for word in words)
            if block["kind"] == "findings":
                assert all(_plain(sentence) in told for sentence in block["items"])
            if block["kind"] == "table":
                tables += 1
                assert _plain(block["id"]) in told
                longest = max(
                    (cell for row in block["rows"] for cell in row if len(cell) == 1), key=lambda c: len(c[0])
                )
                # Lines of a cell stand between those of its neighbours: its words are looked for one by one
                assert all(_plain(word) in told for word in longest[0].split(" "))
    assert figures >= 16
    assert tables >= figures + 20


@needs_poppler
def test_pages_follow_one_another_with_their_tables_headed(
    read: Mapping[str, list[str]], texts: Mapping[str, Texts], report: ReportData
) -> None:
    words = texts["en"]
    headings = [_plain(words(f"tables.column.{key}")) for key in ("weighting", "reason")]
    # The table of what is not shown, or any other over several pages, has its headings on each
    with_ci = [page for page in read["en"] if _plain(words("tables.column.ci_low")) in page]
    assert len(with_ci) > 10
    assert any(all(heading in page for heading in headings) for page in read["en"])


@pytest.mark.slow
@needs_poppler
def test_official_data_carry_no_banner(report: ReportData, texts: Mapping[str, Texts], tmp_path: Path) -> None:
    made = render_pdf(dataclasses.replace(report, synthetic=False), "en", template_dir=ANNUAL)
    told = "".join(_pages(made, tmp_path))
    for key in ("synthetic.sentence", "synthetic.small_print"):
        assert _plain(texts["en"](key)) not in told


@pytest.mark.slow
@needs_poppler
def test_names_from_deliveries_are_printed_as_they_are(report: ReportData, tmp_path: Path) -> None:
    name = "#panic(1)*b*_i_$x$\\<@y>\U0001f600.csv"
    evil = dataclasses.replace(report, deliveries=report.deliveries.with_columns(pl.lit(name).alias("file_name")))
    told = "".join(_pages(render_pdf(evil, "en", template_dir=ANNUAL), tmp_path))
    assert name.replace("\U0001f600", "U+1F600") in told


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_report_of_nothing_but_marks_can_be_printed(language: Language) -> None:
    data = made_up_report()
    rates = data.marts["adoption_rate"].with_columns(pl.lit("suppress").alias("reliability"))
    hidden = dataclasses.replace(data, marts={**data.marts, "adoption_rate": rates})
    assert render_pdf(hidden, language, template_dir=ANNUAL).startswith(b"%PDF")


@pytest.mark.slow
def test_the_first_wave_can_be_printed() -> None:
    assert render_pdf(made_up_report(wave=2021), "ko", template_dir=ANNUAL).startswith(b"%PDF")


def test_formulas_keep_their_marks_and_nothing_else() -> None:
    block = pdf._block(Words(Markup("a <i>p<sub>h</sub></i> &lt;b&gt;")), across=False)
    assert block["runs"] == [("", "a "), ("i", "p"), ("i sub", "h"), ("", " <b>")]
    # Text that is no markup is not read as such
    assert pdf._block(Words("a <i>p</i>"), across=False)["runs"] == [("", "a <i>p</i>")]
    with pytest.raises(AxstatError, match="unknown_mark"):
        pdf._block(Words(Markup("<b>a</b>")), across=False)


def test_a_chart_has_room_for_words_that_hang_over_its_edge(report: ReportData, texts: Mapping[str, Texts]) -> None:
    document = build_document(report, texts["en"])
    value: dict[str, Any] = pdf._block(Charts((document.trend[0],)), across=False)["figures"][0]
    brim = value["brim"] * 352
    assert f'viewBox="-{brim:g} 0 {352 + 2 * brim:g} ' in value["svg"]
    broken = dataclasses.replace(document.trend[0], narrow="<svg><g/></svg>")
    with pytest.raises(AxstatError, match="drawing_without_size"):
        pdf._block(Charts((broken,)), across=False)
