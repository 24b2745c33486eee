"""The contractor's codebook in the shapes in which contractors write them."""

import io
import time
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import ViolationsError
from pipelines.intake.codebook.contractor import code_list, is_codebook, read_codebook
from pipelines.intake.codebook.model import Codebook, Variable
from pipelines.intake.form import FileForm

Read = Callable[..., Codebook]


@pytest.fixture
def read(tmp_path: Path, library: ContractLibrary) -> Read:
    def run(content: str | bytes, name: str = "codebook.csv", **form: object) -> Codebook:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        contract = library.deliveries["industry_response"]
        return read_codebook(path, FileForm(**form), library.codebooks, contract, file=name)

    return run


def only(codebook: Codebook) -> Variable:
    [variable] = codebook.variables
    return variable


def refused(read: Read, content: str) -> ViolationsError:
    with pytest.raises(ViolationsError) as caught:
        read(content)
    return caught.value


def test_a_row_a_code_with_names_in_the_first_row_alone(read: Read) -> None:
    found = read(
        "변수명,변수설명,문항,유형,값,값라벨\n"
        "STG_ML,기계학습 단계,기계학습을 이용합니까?,숫자(1),1,이용하지 않음\n"
        ",,,,2,도입 계획 있음\n"
        "MEMO,비고,,문자,,\n"
    )
    first, second = found.variables
    assert (first.name, first.column, first.type) == ("STG_ML", "tech_ml", "number")
    assert (first.texts, first.questions) == (("기계학습 단계",), ("기계학습을 이용합니까?",))
    assert first.codes == {"1": ("이용하지 않음",), "2": ("도입 계획 있음",)}
    assert (second.name, second.column, second.type, second.codes) == ("MEMO", None, "text", {})


def test_a_row_a_code_with_names_in_every_row(read: Read) -> None:
    found = read("variable,question,code,code label\nAIUSE,Do you use AI?,1,Yes\nAIUSE,Do you use AI?,2,No\n")
    assert only(found).questions == ("Do you use AI?",)
    assert only(found).codes == {"1": ("Yes",), "2": ("No",)}
    assert only(found).column == "ai_use"


def test_a_row_a_variable_with_its_codes_in_one_cell(read: Read) -> None:
    found = read('변수명,문항,코드\nQ1,질문,"1=예; 2=아니오"\nQ2,질문,0 ~ 100\n')
    assert found.variables[0].codes == {"1": ("예",), "2": ("아니오",)}
    # What is no list is no statement on codes, but it is told
    assert found.variables[1].codes == {}
    assert found.unread == ("codebook.csv, Q2: '0 ~ 100'",)


def test_one_header_over_texts_and_labels_is_told_by_its_place(read: Read) -> None:
    found = read("변수명,라벨,코드,라벨\nQ1,이용 여부,1,예\n,,2,아니오\n")
    assert only(found).texts == ("이용 여부",)
    assert only(found).codes == {"1": ("예",), "2": ("아니오",)}


def test_a_workbook_with_a_title_and_merged_cells(read: Read) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "코드북"
    for row in (
        ["2025년 코드북"],
        ["변수명", "문항 내용", "코드", "보기"],
        ["AIUSE", "이용합니까?", 1, "예"],
        [None, None, 2, "아니오"],
    ):
        sheet.append(row)
    sheet.merge_cells("A3:A4")
    out = io.BytesIO()
    book.save(out)
    variable = only(read(out.getvalue(), "codebook.xlsx", sheet="코드북"))
    assert (variable.name, variable.questions) == ("AIUSE", ("이용합니까?",))
    assert variable.codes == {"1": ("예",), "2": ("아니오",)}


def test_what_contradicts_itself_is_refused_with_its_rows(read: Read) -> None:
    error = refused(read, "변수명,문항,코드,보기\nQ1,가,1,예\nQ1,나,1,아니오\n")
    assert [(one.code, one.rows) for one in error.violations] == [("two_texts", (2,)), ("two_labels", (2,))]
    assert "'예' and '아니오'" in str(error)


def test_a_code_above_the_first_variable_is_refused(read: Read) -> None:
    error = refused(read, "변수명,문항,코드,보기\n,,1,예\nQ1,가,1,예\n")
    assert [(one.code, one.rows) for one in error.violations] == [("codebook_row", (1,))]


def test_a_table_that_is_no_codebook_says_which_headers_were_looked_for(read: Read) -> None:
    error = refused(read, "가,나\n1,2\n")
    [violation] = error.violations
    assert violation.code == "no_codebook"
    assert "변수명" in violation.expected
    assert "'가', '나'" in violation.got
    assert "codebooks.yaml" in violation.hint


def test_no_delivery_has_the_headers_of_a_codebook(library: ContractLibrary) -> None:
    """Else a data file could be taken for one."""
    for contract in library.deliveries.values():
        for headers in zip(*((column.name, *column.synonyms[:2]) for column in contract.columns), strict=False):
            assert not is_codebook(headers, library.codebooks), contract.name


@pytest.mark.parametrize(
    ("cell", "codes"),
    [
        ("1=예; 2=아니오", {"1": "예", "2": "아니오"}),
        ("1. 예 2. 아니오 9. 모름/무응답", {"1": "예", "2": "아니오", "9": "모름/무응답"}),
        ("1) 예\n2) 아니오", {"1": "예", "2": "아니오"}),
        ("①예 ②아니오", {"1": "예", "2": "아니오"}),
        ("01: 50명 미만, 02: 50명 이상", {"01": "50명 미만", "02": "50명 이상"}),
        ("-9=refused|1=yes", {"-9": "refused", "1": "yes"}),
        ("C=제조업", {}),
        ("0.5 이상", {}),
        ("직접 입력: 1=예", {}),
        ("", {}),
    ],
)
def test_lists_of_codes_in_a_cell(cell: str, codes: dict[str, str]) -> None:
    assert code_list(cell) == codes


@pytest.mark.parametrize("filling", [" ", "1 ", "1", ";", "1=", "-", "\t1"])
def test_a_cell_of_any_length_is_read_in_time(filling: str) -> None:
    started = time.process_time()
    code_list("1=a" + filling * (131_000 // len(filling)) + "b")
    assert time.process_time() - started < 5
