import pytest

from pipelines.intake.form import FileForm
from pipelines.intake.notes import note_texts, rows_above, rows_below, rows_that_may_be_notes

HEADER = ["번호", "상호", "직원 수"]
BLANK = [None, None, None]


def row(first: str | None) -> list[str | None]:
    return [first, None, " "]


@pytest.mark.parametrize(
    ("head", "above"),
    [
        ([HEADER], 0),
        ([BLANK, HEADER], 1),
        ([row("2025년 기업 AI 활용 실태조사"), HEADER], 1),
        ([row("제목"), BLANK, [None, None, "(단위: 명)"], HEADER], 3),
        ([["기관", "한국"], HEADER], 0),  # two cells: nobody can tell
        ([["제목"], ["a", "b"], ["1", "2"]], 0),  # a table of two columns
        ([["제목"]], 0),
    ],
)
def test_titles_above_a_header_of_one_row(head: list[list[str | None]], above: int) -> None:
    assert rows_above(head, FileForm()) == above


@pytest.mark.parametrize(
    ("head", "above"),
    [
        ([row("AI 활용"), HEADER], 0),  # one merged cell over all columns
        ([row("제목"), BLANK, row("AI 활용"), HEADER], 2),
        ([row("※ 2025년 9월 기준"), row("AI 활용"), HEADER], 1),
        ([row("제목"), BLANK, ["기업", "기술", None], HEADER], 2),
    ],
)
def test_titles_above_a_header_of_two_rows(head: list[list[str | None]], above: int) -> None:
    assert rows_above(head, FileForm(header_rows=2)) == above


def test_rows_above_as_declared() -> None:
    head = [["기관", "한국", None], BLANK, HEADER]
    assert rows_above(head, FileForm(skip_rows=2)) == 2
    assert rows_above(head, FileForm(skip_rows=1)) == 2  # a blank row is no header
    assert rows_above([row("제목"), HEADER], FileForm(skip_rows=0)) == 0


@pytest.mark.parametrize(
    "text",
    [
        "※ 무응답 제외",
        "주: 가중치 적용",
        "주 : 가중치",
        "주1) 가중치",
        "자료: 통계청",
        "출처：국가데이터처",
        "* 표는 추정값",
        "*표는 추정값",
        "Source: KOSIS",
        "Note 1: weighted",
    ],
)
def test_a_mark_tells_a_note(text: str) -> None:
    assert rows_below([HEADER, row(text)], FileForm(), width=3, longest=4) == 1


@pytest.mark.parametrize(
    "text",
    [
        "0001",
        "(주)한국",
        "주)한국",
        "주식회사 한국",
        "자료원",
        "***-**-12345",
        "*123",
        "-",
        "비고란",
        "Sourcing Co.",
        "Noteworthy Ltd",
        "한국에서 가장 긴 이름을 가진 주식회사",
    ],
)
def test_what_may_be_a_row_is_no_note(text: str) -> None:
    assert rows_below([HEADER, row(text)], FileForm(), width=3, longest=12) == 0


def test_a_sentence_far_longer_than_the_column_is_a_note() -> None:
    text = "이 표의 수치는 반올림한 것이므로 합계가 맞지 않을 수 있습니다."
    assert rows_below([HEADER, row(text)], FileForm(), width=3, longest=10) == 1
    assert rows_below([HEADER, row(text)], FileForm(), width=3, longest=12) == 0
    assert rows_below([HEADER, row(text)], FileForm(), width=3, longest=0) == 0
    assert rows_below([HEADER, row(text.replace(" ", ""))], FileForm(), width=3, longest=5) == 0


def test_notes_only_at_the_very_end() -> None:
    tail = [row("※ 하나"), ["1", "가", "2"], row("※ 둘"), BLANK, row("※ 셋"), BLANK]
    assert rows_below(tail, FileForm(), width=3, longest=4) == 4
    assert rows_that_may_be_notes(tail) == 4
    assert rows_below([row("※ 둘"), row("0002")], FileForm(), width=3, longest=4) == 0


def test_a_note_with_another_cell_filled_is_a_row() -> None:
    assert rows_below([HEADER, ["※ 하나", None, "7"]], FileForm(), width=3, longest=4) == 0


def test_narrow_tables_have_no_undeclared_notes() -> None:
    assert rows_below([["a", "b"], ["※ 하나", None]], FileForm(), width=2, longest=4) == 0


def test_notes_as_declared_blank_rows_not_counted() -> None:
    tail = [["1", "가", "2"], ["합계", None, "2"], BLANK, row("끝"), BLANK]
    assert rows_below(tail, FileForm(notes_below=1), width=3, longest=4) == 2
    assert rows_below(tail, FileForm(notes_below=2), width=3, longest=4) == 4
    assert rows_below([HEADER, row("※ 하나")], FileForm(notes_below=0), width=3, longest=4) == 0


def test_texts_of_what_was_left_out() -> None:
    assert note_texts([row(" 제목 "), BLANK, ["자료:", None, "통계청"]]) == ("제목", "자료: | 통계청")
