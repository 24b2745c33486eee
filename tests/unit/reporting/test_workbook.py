import datetime
import re
from pathlib import Path

import openpyxl
import polars as pl
import pytest
from openpyxl.worksheet.worksheet import Worksheet

from pipelines.reporting.data import ReportData
from pipelines.reporting.workbook import write_workbook
from tests.unit.reporting.made_up import ANNUAL, made_up_report

# Sheets before those of statistics: cover, contents, notes, shorthand
FRONT = ("표지", "차례", "일러두기", "기호")


@pytest.fixture(scope="module")
def path(report: ReportData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("workbook") / "axstat.xlsx"
    write_workbook(report, path, template_dir=ANNUAL)
    return path


@pytest.fixture(scope="module")
def book(path: Path) -> openpyxl.Workbook:
    return openpyxl.load_workbook(path)


def _table(sheet: Worksheet) -> tuple[list[str], list[list[object]]]:
    (table,) = sheet.tables.values()
    head, *rows = [[cell.value for cell in row] for row in sheet[table.ref]]
    return [str(name) for name in head], rows


def _tables(book: openpyxl.Workbook) -> list[Worksheet]:
    """Sheets of statistics."""
    return [sheet for sheet in book.worksheets if sheet.title not in FRONT]


def test_cover_contents_notes_and_shorthand_come_first(book: openpyxl.Workbook) -> None:
    assert book.sheetnames[: len(FRONT)] == list(FRONT)
    assert all(sheet.tables for sheet in book.worksheets[1:])


def test_the_contents_link_to_every_other_sheet(book: openpyxl.Workbook) -> None:
    contents = book["차례"]
    (table,) = contents.tables.values()
    rows = list(contents[table.ref])[1:]
    links = [row[0].hyperlink for row in rows]
    assert [row[0].value for row in rows] == [name for name in book.sheetnames if name != "차례"]
    assert [link.location for link in links if link] == [f"'{row[0].value}'!A1" for row in rows]
    for row in rows[len(FRONT) - 1 :]:
        assert [cell.value for cell in row[1:]] == [book[str(row[0].value)][f"A{line}"].value for line in (1, 2)]


def test_one_table_a_sheet_with_panes_frozen_under_its_headings(book: openpyxl.Workbook) -> None:
    for sheet in book.worksheets[1:]:
        (table,) = sheet.tables.values()
        left, top, _, bottom = openpyxl.utils.range_boundaries(table.ref)
        assert left == 1
        assert bottom == sheet.max_row, sheet.title
        assert sheet.freeze_panes is not None
        assert int("".join(filter(str.isdigit, sheet.freeze_panes))) == top + 1


def test_no_cells_are_merged_and_no_row_is_empty(book: openpyxl.Workbook) -> None:
    for sheet in book.worksheets:
        assert not sheet.merged_cells.ranges, sheet.title
        assert all(row[0].value not in (None, "") for row in sheet.iter_rows()), sheet.title
        assert not any(
            dimension.hidden for dimension in (*sheet.row_dimensions.values(), *sheet.column_dimensions.values())
        )


def test_every_mark_in_a_table_is_explained_in_both_languages(book: openpyxl.Workbook) -> None:
    used = {
        word
        for sheet in _tables(book)
        for row in _table(sheet)[1]
        for value in row
        if isinstance(value, str)
        for word in value.split()
        if re.fullmatch(r"\[[a-z]\]|–", word)
    }
    head, rows = _table(book["기호"])
    assert head == ["표시\nMark", "한국어", "English"]
    assert {row[0] for row in rows} == used >= {"[u]", "[x]", "–"}


def test_the_notes_are_a_numbered_table(book: openpyxl.Workbook, report: ReportData) -> None:
    head, rows = _table(book["일러두기"])
    assert head == ["번호\nNo.", "한국어", "English"]
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    assert any(report.surveys["public"].population_en in str(row[2]) for row in rows)


def test_numbers_are_numbers_and_equal_the_mart(report: ReportData, book: openpyxl.Workbook) -> None:
    head, rows = _table(book["산업 영역별"])
    label = next(n for n, name in enumerate(head) if name == "Domain")
    kind = next(n for n, name in enumerate(head) if name == "Kind")
    column = next(n for n, name in enumerate(head) if name.startswith("기업 수 기준: 추정값"))
    mart = (
        report.marts["adoption_rate"]
        .filter(
            (pl.col("survey") == "industry")
            & (pl.col("wave") == report.wave)
            & (pl.col("measure") == "ai_adoption")
            & (pl.col("base") == "answered")
            & (pl.col("unit_weighting") == "unit")
        )
        .join(report.marts["domain"], on=["survey", "domain_type", "domain_code"])
    )
    assert len(rows) == mart.height
    printed = {(row[label], row[kind]): row[column] for row in rows}
    for row in mart.iter_rows(named=True):
        kind_label = report.classifications["domain_types"].item(row["domain_type"]).label_en
        value = printed[(row["label_en"], kind_label)]
        if row["reliability"] == "suppress":
            assert value == "[u]"
        else:
            assert isinstance(value, float)
            assert value == pytest.approx(row["estimate"], rel=1e-14)


def test_no_cell_of_a_table_is_blank(book: openpyxl.Workbook) -> None:
    for sheet in _tables(book):
        head, rows = _table(sheet)
        assert all(value not in (None, "") for row in rows for value in row), sheet.title
        assert len(set(head)) == len(head), sheet.title


def test_headings_are_in_both_languages(book: openpyxl.Workbook) -> None:
    head, _ = _table(book["산업 영역별"])
    assert {"영역", "Domain", "응답 수\nn"} <= set(head)


def test_synthetic_data_are_labelled_on_every_sheet(book: openpyxl.Workbook, tmp_path: Path) -> None:
    for sheet in book.worksheets:
        top = " ".join(str(cell.value) for row in sheet["A1:A5"] for cell in row)
        assert "합성 자료" in top, sheet.title
        assert "Synthetic data" in top, sheet.title
        assert "합성 자료" in str(sheet.oddHeader.center.text)
    official = tmp_path / "official.xlsx"
    write_workbook(made_up_report(synthetic=False), official, template_dir=ANNUAL)
    for sheet in openpyxl.load_workbook(official).worksheets:
        assert not any("합성" in str(cell.value) for row in sheet.iter_rows(max_row=6) for cell in row)


@pytest.mark.parametrize("text", ['=HYPERLINK("x","y")', "+1+1", "-2+3", "@SUM(1)", "\t=1", "http://example.org"])
def test_text_cannot_become_a_formula_or_a_link(tmp_path: Path, text: str) -> None:
    data = made_up_report()
    evil = data.deliveries.with_columns(pl.lit(text).alias("file_name"))
    values = {name: getattr(data, name) for name in data.__dataclass_fields__}
    path = tmp_path / "evil.xlsx"
    write_workbook(type(data)(**{**values, "deliveries": evil}), path, template_dir=ANNUAL)
    book = openpyxl.load_workbook(path)
    cells = [cell for sheet in _tables(book) for row in sheet.iter_rows() for cell in row]
    assert all(cell.data_type != "f" for cell in cells)
    mine = [cell for cell in cells if cell.value == text]
    assert mine
    # The prefix that keeps it text when somebody edits the cell
    assert {bool(cell.quotePrefix) for cell in mine} == {not text.startswith("http")}
    assert all(cell.hyperlink is None for cell in mine)


def test_the_same_data_give_the_same_bytes(path: Path, tmp_path: Path, report: ReportData) -> None:
    again = tmp_path / "again.xlsx"
    write_workbook(made_up_report(), again, template_dir=ANNUAL)
    assert again.read_bytes() == path.read_bytes()


def test_it_is_dated_by_its_publication(book: openpyxl.Workbook, report: ReportData) -> None:
    assert book.properties.created == datetime.datetime.combine(report.publication_date, datetime.time())
    assert book.properties.creator == "axstat"
