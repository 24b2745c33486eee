import re
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
import xlsxwriter
import xlwt

from pipelines.errors import ViolationsError
from pipelines.intake.formats.workbook import read_workbook
from pipelines.intake.limits import Limits
from pipelines.intake.manifest import ManifestFile
from tests.unit.intake.formats.xlsb import write_xlsb

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
    table = read_workbook(path, entry(), file="d1/f.xlsx")
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

    table = read_workbook(workbook(tmp_path / "f.xlsx", fill), entry(header_rows=2), file="d1/f.xlsx")
    assert table.headers == ("사업자등록번호", "AI 기술 / 기계학습", "AI 기술 / 텍스트", "애로사항")
    assert table.frame.rows() == [("120-81-47521", "1", "2", "3")]


def two_sheets(book: xlsxwriter.Workbook) -> None:
    book.add_worksheet("표지").write_row(0, 0, ["제목"])
    sheet = book.add_worksheet("자료")
    sheet.write_row(0, 0, ["a"])
    sheet.write_row(1, 0, ["1"])


def test_the_sheet_of_the_manifest_is_read(tmp_path: Path, entry: Entry) -> None:
    path = workbook(tmp_path / "f.xlsx", two_sheets)
    assert read_workbook(path, entry(sheet="자료"), file="f").frame.rows() == [("1",)]
    with pytest.raises(ViolationsError, match="empty_file"):
        read_workbook(path, entry(), file="f")
    with pytest.raises(ViolationsError, match=r"(?s)unknown_sheet.*sheets '표지', '자료'"):
        read_workbook(path, entry(sheet="없음"), file="f")


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_workbook_that_was_cut_off(tmp_path: Path, entry: Entry, kept: float) -> None:
    path = workbook(tmp_path / "f.xlsx", two_sheets)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ViolationsError) as caught:
        read_workbook(path, entry(), file="d1/f.xlsx")
    [violation] = caught.value.violations
    assert (violation.code, violation.where) == ("truncated_file", "d1/f.xlsx")


def test_an_empty_sheet(tmp_path: Path, entry: Entry) -> None:
    path = workbook(tmp_path / "f.xlsx", lambda book: book.add_worksheet())
    with pytest.raises(ViolationsError, match="empty_file"):
        read_workbook(path, entry(), file="f")


THREE_ROWS = [
    ["실태조사 결과", "", "", "", ""],
    ["", "", "", "", "(단위: 단계)"],
    ["번호", "AI 기술", "", "", "비고"],
    ["", "학습", "", "언어", ""],
    ["", "활용", "계획", "활용", ""],
    ["001", 1, 8, 2.5, "가"],
    ["002", 2, 1 / 3, 3, "나"],
    ["", "", "", "", ""],
    ["주: 가중치를 적용하지 않음", "", "", "", ""],
]
# (first row, last row, first column, last column) of merged cells; their text stands in the first cell only
MERGES = [(0, 0, 0, 4), (2, 4, 0, 0), (2, 2, 1, 3), (3, 3, 1, 2), (2, 4, 4, 4), (8, 8, 0, 4)]


def as_xls(path: Path) -> None:
    book = xlwt.Workbook()
    sheet = book.add_sheet("자료")
    merged = {(top, left): (bottom, right) for top, bottom, left, right in MERGES}
    for row, cells in enumerate(THREE_ROWS):
        for column, value in enumerate(cells):
            if (row, column) in merged:
                bottom, right = merged[row, column]
                sheet.write_merge(row, bottom, column, right, value)
            elif value != "":
                sheet.write(row, column, value)
    book.save(path)


def as_xlsx(path: Path) -> None:
    def fill(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet("자료")
        for row, cells in enumerate(THREE_ROWS):
            for column, value in enumerate(cells):
                if value != "":
                    sheet.write(row, column, value)
        for top, bottom, left, right in MERGES:
            sheet.merge_range(top, left, bottom, right, THREE_ROWS[top][left])

    workbook(path, fill)


def as_ods(path: Path) -> None:
    def cell(value: str | float) -> str:
        if value == "":
            return "<table:table-cell/>"
        if isinstance(value, str):
            return f'<table:table-cell office:value-type="string"><text:p>{value}</text:p></table:table-cell>'
        return f'<table:table-cell office:value-type="float" office:value="{value!r}"/>'

    rows = "".join(f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in THREE_ROWS)
    namespace = "urn:oasis:names:tc:opendocument:xmlns:"
    content = (
        f'<?xml version="1.0"?><office:document-content xmlns:office="{namespace}office:1.0" '
        f'xmlns:table="{namespace}table:1.0" xmlns:text="{namespace}text:1.0"><office:body><office:spreadsheet>'
        f'<table:table table:name="자료">{rows}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", content)
        archive.writestr("META-INF/manifest.xml", f'<manifest:manifest xmlns:manifest="{namespace}manifest:1.0"/>')


def as_xlsb(path: Path) -> None:
    write_xlsb(path, THREE_ROWS, sheet="자료")


@pytest.mark.parametrize("write", [as_xls, as_xlsx, as_xlsb, as_ods], ids=["xls", "xlsx", "xlsb", "ods"])
def test_three_header_rows_with_titles_and_notes_in_every_format(
    tmp_path: Path, entry: Entry, write: Callable[[Path], None]
) -> None:
    path = tmp_path / "f.xls"  # the name does not decide
    write(path)
    table = read_workbook(path, entry(header_rows=3, skip_rows=2), file="d1/f.xls")
    assert table.headers == ("번호", "AI 기술 / 학습 / 활용", "AI 기술 / 학습 / 계획", "AI 기술 / 언어 / 활용", "비고")
    assert table.frame.rows() == [("001", "1", "8", "2.5", "가"), ("002", "2", "0.3333333333333333", "3", "나")]
    assert table.provenance.format == write.__name__.removeprefix("as_")
    assert table.provenance.notes == ("실태조사 결과", "(단위: 단계)", "주: 가중치를 적용하지 않음")


def test_the_rows_above_are_those_a_spreadsheet_counts(tmp_path: Path, entry: Entry) -> None:
    def fill(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet()
        sheet.write_row(3, 0, ["기관", "한국"])
        sheet.write_row(4, 0, ["a", "b", "c"])
        sheet.write_row(5, 0, ["1", "2", "3"])

    path = workbook(tmp_path / "f.xlsx", fill)
    table = read_workbook(path, entry(skip_rows=4), file="f")
    assert (table.headers, table.frame.rows()) == (("a", "b", "c"), [("1", "2", "3")])
    assert table.provenance.notes == ("기관 | 한국",)


def refused(path: Path, entry: Entry, content: bytes | None = None, **limits: int) -> tuple[str, str]:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ViolationsError) as caught:
        read_workbook(path, entry(), file="d1/f.xls", limits=Limits(**limits))
    [violation] = caught.value.violations
    return violation.code, violation.got


@pytest.mark.parametrize(
    ("content", "code", "got"),
    [
        (b"\r\n<html><body><table><tr><td>1</td></tr></table>", "not_a_workbook", "a web page (HTML)"),
        ("<META charset=euc-kr><TABLE><TR><TD>가".encode("cp949"), "not_a_workbook", "a web page (HTML)"),
        (
            b'<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet">',
            "not_a_workbook",
            "an XML spreadsheet",
        ),
        ("번호\t상호\n1\t가\n".encode("cp949"), "not_a_workbook", "text, by its content"),
        (b"", "truncated_file", "no bytes"),
        (b"\x00\x01\x02", "truncated_file", "bytes that no workbook begins with"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000), "truncated_file", ""),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000) + "EncryptedPackage".encode("utf-16-le"),
            "encrypted",
            "an encrypted one",
        ),
    ],
)
def test_what_is_no_workbook_is_told_by_its_content(
    tmp_path: Path, entry: Entry, content: bytes, code: str, got: str
) -> None:
    found = refused(tmp_path / "f.xls", entry, content)
    assert found[0] == code
    assert got in found[1]


def test_an_encrypted_ods(tmp_path: Path, entry: Entry) -> None:
    path = tmp_path / "f.ods"
    as_ods(path)
    rewritten(path, lambda name, content: content.replace(b"/>", b"><m:encryption-data/></manifest:manifest>"))
    assert refused(path, entry)[0] == "encrypted"


def test_damage_within_a_whole_zip(tmp_path: Path, entry: Entry) -> None:
    path = workbook(tmp_path / "f.xlsx", one_row)
    content = bytearray(path.read_bytes())
    content[60:70] = b"\xff" * 10
    assert refused(path, entry, bytes(content))[0] == "truncated_file"


def rewritten(path: Path, change: Callable[[str, bytes], bytes]) -> None:
    """Change the members of a zip."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, change(name, content))


def in_sheet(pattern: str, by: str) -> Callable[[str, bytes], bytes]:
    def change(name: str, content: bytes) -> bytes:
        if name != "xl/worksheets/sheet1.xml":
            return content
        text, times = re.subn(pattern, lambda _: by, content.decode(), flags=re.DOTALL)
        assert times == 1
        return text.encode()

    return change


def one_row(book: xlsxwriter.Workbook) -> None:
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["a", "b"])
    sheet.write_row(1, 0, [1, 2])


def test_two_cells_far_apart_do_not_fill_the_memory(tmp_path: Path, entry: Entry) -> None:
    path = workbook(tmp_path / "f.xlsx", one_row)
    far = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    rewritten(path, in_sheet("(?<=<sheetData>).*</sheetData>", far))
    assert refused(path, entry)[0] == "too_large"


def test_a_damaged_cell_far_to_the_right_is_refused_before_columns_are_made_of_it(tmp_path: Path, entry: Entry) -> None:
    path = tmp_path / "f.xls"
    as_xls(path)
    content = bytearray(path.read_bytes())
    # The column of the first NUMBER record (0x0203, 14 bytes) in its bytes 2 and 3
    content[content.index(b"\x03\x02\x0e\x00") + 7] = 0xFF
    assert refused(path, entry, bytes(content)) == ("too_large", "65,283 columns")


def test_a_sheet_larger_than_the_limits(tmp_path: Path, entry: Entry) -> None:
    path = workbook(tmp_path / "f.xlsx", one_row)
    assert refused(path, entry, columns=1) == ("too_large", "2 columns")
    assert refused(path, entry, members=3)[0] == "too_large"
    assert refused(path, entry, unpacked_bytes=100)[0] == "too_large"
    assert refused(path, entry, seconds=0) == ("too_large", "no end")


def test_a_workbook_that_unpacks_to_far_more(tmp_path: Path, entry: Entry) -> None:
    path = workbook(tmp_path / "f.xlsx", one_row)
    rewritten(path, in_sheet("<sheetData>", "<sheetData>" + " " * 20_000_000))
    code, got = refused(path, entry)
    assert code == "too_large"
    assert "'xl/worksheets/sheet1.xml'" in got


def test_a_directory_that_lies_about_sizes(tmp_path: Path, entry: Entry) -> None:
    path = workbook(tmp_path / "f.xlsx", one_row)
    content = bytearray(path.read_bytes())
    entry_at = content.rindex(b"PK\x01\x02", 0, content.rindex(b"xl/worksheets/sheet1.xml"))
    content[entry_at + 24 : entry_at + 28] = (10).to_bytes(4, "little")
    assert refused(path, entry, bytes(content))[0] == "truncated_file"


@pytest.mark.parametrize("kind", ["SYSTEM", "internal"])
def test_entities_are_never_resolved(tmp_path: Path, entry: Entry, kind: str) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("top secret", encoding="utf-8")
    value = f'SYSTEM "{secret.as_uri()}"' if kind == "SYSTEM" else '"top secret"'
    path = workbook(tmp_path / "f.xlsx", one_row)
    rewritten(path, in_sheet("(?<=\\?>).*?(?=<worksheet)", f"<!DOCTYPE worksheet [<!ENTITY x {value}>]>"))
    rewritten(path, in_sheet('<c r="A2"><v>1</v></c>', '<c r="A2" t="str"><v>&x;</v></c>'))
    try:
        said = str(read_workbook(path, entry(), file="f").frame.rows())
    except ViolationsError as error:
        said = str(error)
    assert "top secret" not in said


def test_formulas_and_links_are_not_evaluated(tmp_path: Path, entry: Entry) -> None:
    def fill(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["a", "b"])
        sheet.write_formula(1, 0, "=1+1", None, 7)
        sheet.write_url(1, 1, "https://example.org/x", string="link")

    path = workbook(tmp_path / "f.xlsx", fill)
    assert read_workbook(path, entry(), file="f").frame.rows() == [("7", "link")]


@pytest.mark.parametrize("stored", ["", "<v></v>", "<v/>"])
def test_formulas_that_were_never_calculated(tmp_path: Path, entry: Entry, stored: str) -> None:
    """As programs write them: blank they would be answers left out. Other sheets' formulas do not matter."""

    def fill(book: xlsxwriter.Workbook) -> None:
        for name in ("other", "data"):
            sheet = book.add_worksheet(name)
            sheet.write_row(0, 0, ["a", "b"])
            for row in range(1, 13):
                sheet.write_number(row, 0, 1)
                sheet.write_formula(row, 1, f"=A{row + 1}+1", None, 2)

    def without_values(name: str, content: bytes) -> bytes:
        return content.replace(b"<v>2</v></c>", f"{stored}</c>".encode()) if name.endswith("sheet2.xml") else content

    path = workbook(tmp_path / "f.xlsx", fill)
    rewritten(path, without_values)
    with pytest.raises(ViolationsError) as caught:
        read_workbook(path, entry(sheet="data"), file="d1/f.xlsx")
    (found,) = caught.value.violations
    assert (found.code, found.where) == ("formula_without_value", "d1/f.xlsx")
    assert found.got == "none in B2, B3, B4, B5, B6, B7, B8, B9, B10, B11 and 2 more"
    assert read_workbook(path, entry(sheet="other"), file="d1/f.xlsx").frame.rows() == [("1", "2")] * 12


def test_a_formula_whose_value_is_the_empty_text_is_blank(tmp_path: Path, entry: Entry) -> None:
    """As Excel and LibreOffice store it."""

    def fill(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["a", "b"])
        sheet.write_formula(1, 0, '=IF(1=1,"","x")', None, 0)
        sheet.write_number(1, 1, 5)

    path = workbook(tmp_path / "f.xlsx", fill)
    rewritten(path, in_sheet('<c r="A2">(<f>.*?</f>)<v>0</v></c>', '<c r="A2" t="str"><f>""</f><v></v></c>'))
    assert read_workbook(path, entry(), file="f").frame.rows() == [(None, "5")]
