from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
import xlsxwriter

from pipelines.errors import ViolationsError
from pipelines.intake.formats.xlsx import read_xlsx
from pipelines.intake.manifest import ManifestFile

Entry = Callable[..., ManifestFile]


def workbook(path: Path, fill: Callable[[xlsxwriter.Workbook], None]) -> Path:
    with xlsxwriter.Workbook(path) as book:
        fill(book)
    return path


def test_cells_as_text(tmp_path: Path, entry: Entry) -> None:
    def fill(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet("자료")
        day = book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        comma = book.add_format({"num_format": "#,##0"})
        sheet.write_row(0, 0, ["a", "b", "c"])
        sheet.write_row(1, 0, [1208147521, "0012345", " 서울 "])
        sheet.write_row(2, 0, [1 / 3, "0.10", "1,395"])
        sheet.write_number(3, 0, 1395, comma)
        sheet.write_boolean(3, 1, True)
        sheet.write_datetime(3, 2, datetime(2025, 3, 1, 4, 5), day)
        sheet.write_formula(4, 0, "=1+1", None, 2)
        sheet.write_formula(4, 1, "=1/0", None, "#DIV/0!")
        sheet.write_formula(4, 2, "=NA()", None, "#N/A")
        sheet.write_row(5, 0, [1e-12, "  ", 0.1])

    path = workbook(tmp_path / "f.xlsx", fill)
    table = read_xlsx(path, entry(), file="d1/f.xlsx")
    assert table.headers == ("a", "b", "c")
    assert table.frame.rows() == [
        ("1208147521", "0012345", " 서울 "),
        ("0.3333333333333333", "0.10", "1,395"),
        ("1395", "true", "2025-03-01 04:05:00"),
        ("2", "#DIV/0!", "#N/A"),
        ("1e-12", None, "0.1"),
    ]


def test_a_merged_header_of_two_rows(tmp_path: Path, entry: Entry) -> None:
    def fill(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet()
        sheet.merge_range(0, 0, 1, 0, "사업자등록번호")
        sheet.merge_range(0, 1, 0, 2, "AI 기술")
        sheet.write_row(1, 1, ["기계학습", "텍스트"])
        sheet.merge_range(0, 3, 1, 3, "애로사항")
        sheet.write_row(2, 0, ["120-81-47521", 1, 2, 3])

    table = read_xlsx(workbook(tmp_path / "f.xlsx", fill), entry(header_rows=2), file="d1/f.xlsx")
    assert table.headers == ("사업자등록번호", "AI 기술 / 기계학습", "AI 기술 / 텍스트", "애로사항")
    assert table.frame.rows() == [("120-81-47521", "1", "2", "3")]


def two_sheets(book: xlsxwriter.Workbook) -> None:
    book.add_worksheet("표지").write_row(0, 0, ["제목"])
    sheet = book.add_worksheet("자료")
    sheet.write_row(0, 0, ["a"])
    sheet.write_row(1, 0, ["1"])


def test_the_sheet_of_the_manifest_is_read(tmp_path: Path, entry: Entry) -> None:
    path = workbook(tmp_path / "f.xlsx", two_sheets)
    assert read_xlsx(path, entry(sheet="자료"), file="f").frame.rows() == [("1",)]
    with pytest.raises(ViolationsError, match="empty_file"):
        read_xlsx(path, entry(), file="f")
    with pytest.raises(ViolationsError, match=r"(?s)unknown_sheet.*sheets '표지', '자료'"):
        read_xlsx(path, entry(sheet="없음"), file="f")


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_workbook_that_was_cut_off(tmp_path: Path, entry: Entry, kept: float) -> None:
    path = workbook(tmp_path / "f.xlsx", two_sheets)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ViolationsError) as caught:
        read_xlsx(path, entry(), file="d1/f.xlsx")
    [violation] = caught.value.violations
    assert (violation.code, violation.where) == ("truncated_file", "d1/f.xlsx")


def test_an_empty_sheet(tmp_path: Path, entry: Entry) -> None:
    path = workbook(tmp_path / "f.xlsx", lambda book: book.add_worksheet())
    with pytest.raises(ViolationsError, match="empty_file"):
        read_xlsx(path, entry(), file="f")
