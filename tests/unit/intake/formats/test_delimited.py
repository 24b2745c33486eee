from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.errors import ViolationsError
from pipelines.intake.formats.delimited import read_delimited
from pipelines.intake.limits import Limits
from pipelines.intake.manifest import ManifestFile
from pipelines.intake.table import TextTable

Entry = Callable[..., ManifestFile]
ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def read(tmp_path: Path, entry: Entry) -> Callable[..., TextTable]:
    def run(content: bytes, *, name: str = "f.csv", **keys: object) -> TextTable:
        path = tmp_path / name
        path.write_bytes(content)
        return read_delimited(path, entry(**keys), file=f"d1/{name}")

    return run


Read = Callable[..., TextTable]


def refused(read: Read, content: bytes, **keys: object) -> tuple[str, str, tuple[int, ...]]:
    with pytest.raises(ViolationsError) as caught:
        read(content, **keys)
    [violation] = caught.value.violations
    return violation.code, violation.got, violation.rows


def test_text_stays_as_sent(read: Read) -> None:
    content = 'id, 상호 ,수\r\n001,"가""나"" (주)\n둘째 줄","1,395"\r\n002, 15" 화면 ,\r\n'
    table = read(content.encode("cp949"))
    assert table.headers == ("id", "상호", "수")
    assert table.frame.rows() == [("001", '가"나" (주)\n둘째 줄', "1,395"), ("002", ' 15" 화면 ', None)]
    assert table.provenance.encoding == "cp949"
    assert table.provenance.format == "delimited text"


def test_delimiters(read: Read) -> None:
    assert read(b"a;b\n1,5;2\n", delimiter=";").frame.rows() == [("1,5", "2")]
    assert read(b"a\tb\n1\t2\n", name="f.tsv").frame.rows() == [("1", "2")]
    assert read("a\tb\n1\t가\n".encode("utf-16"), delimiter="\t").frame.rows() == [("1", "가")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_that_splits_all_records_alike_is_found(read: Read, delimiter: str) -> None:
    lines = [["id", "name", "rate"], ["1", '"a,b;c|d\te"', "x"], ["2", '"둘째\n줄"', ""]]
    table = read("\n".join(delimiter.join(line) for line in lines).encode("cp949"))
    assert table.headers == ("id", "name", "rate")
    assert table.frame.rows() == [("1", "a,b;c|d\te", "x"), ("2", "둘째\n줄", None)]


def test_decimal_commas_do_not_make_a_delimiter(read: Read) -> None:
    content = "AI 활용률\n\n국가;2024;2025\n한국;6,4;9,1\n독일;11,6;20,0\n자료: 통계청\n"
    table = read(content.encode())
    assert table.headers == ("국가", "2024", "2025")
    assert table.frame.rows() == [("한국", "6,4", "9,1"), ("독일", "11,6", "20,0")]
    assert table.provenance.notes == ("AI 활용률", "자료: 통계청")


def test_two_delimiters_that_fit_are_to_be_declared(read: Read) -> None:
    content = b"a,b;c\n1,2;3\n"
    code, got, _ = refused(read, content)
    assert (code, got) == ("delimiter_unclear", "records that comma and semicolon split alike")
    assert read(content, delimiter=";").frame.rows() == [("1,2", "3")]


def test_a_text_of_one_column(read: Read) -> None:
    assert read(b"code\nA;B\nC\n").frame.rows() == [("A;B",), ("C",)]


def test_broken_records_are_told_by_the_delimiter_of_their_header(read: Read) -> None:
    assert refused(read, b"a;b;c\n1;2;3\n1;2\n1;2;3\n") == ("ragged_rows", "2 cells in 1 row(s)", (2,))


def test_titles_and_notes_are_left_out_and_kept_in_the_provenance(read: Read) -> None:
    content = "실태조사 결과,,\r\n,,\r\n번호,상호,수\r\n1,가,2\r\n\r\n2,나,3\r\n,,\r\n주: 기업, 기관 포함\r\n※ 잠정\r\n"
    table = read(content.encode("cp949"))
    assert table.headers == ("번호", "상호", "수")
    assert table.frame.rows() == [("1", "가", "2"), (None, None, None), ("2", "나", "3")]
    assert table.provenance.notes == ("실태조사 결과", "주: 기업, 기관 포함", "※ 잠정")


def test_rows_are_counted_from_the_header_whatever_stands_above(read: Read) -> None:
    content = "제목\n\na,b,c\n1,2,3\n1,2\n1,2,3\n".encode()
    assert refused(read, content) == ("ragged_rows", "2 cells in 1 row(s)", (2,))


def test_a_cut_off_record_is_no_note_however_long(read: Read) -> None:
    content = b"id,name,n\n1,a,2\n2,a long name of many words that goes on and on and on"
    assert refused(read, content)[0] == "truncated_file"
    assert refused(read, b"id,name,n\n1,a,2\n2")[0] == "truncated_file"


def test_declared_notes_are_held_to(read: Read) -> None:
    content = "기관:,한국\n번호,상호,수\n1,가,2\n합계,,2\n".encode()
    table = read(content, delimiter=",", skip_rows=1, notes_below=1)
    assert table.frame.rows() == [("1", "가", "2")]
    assert table.provenance.notes == ("기관:, 한국", "합계, 2")
    note = "번호,상호,수\n1,가,2\n※ 하나,,\n".encode()
    assert read(note, notes_below=0).frame.rows() == [("1", "가", "2"), ("※ 하나", None, None)]
    assert refused(read, note, notes_below=2)[0] == "empty_file"
    assert refused(read, note, skip_rows=9)[0] == "empty_file"


def test_utf16_of_either_order(read: Read) -> None:
    content = "a\tb\n1\t가\n"
    for encoding in ("utf-16-le", "utf-16-be"):
        assert read(content.encode(encoding), encoding=encoding).frame.rows() == [("1", "가")]


def test_limits(tmp_path: Path, entry: Entry) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b"a,b,c\n" + b"1,2,3\n" * 10)
    for limits, got in ((Limits(rows=9), "10 rows"), (Limits(columns=2), "3 columns"), (Limits(cells=29), "30 cells")):
        with pytest.raises(ViolationsError, match=rf"(?s)too_large.*{got}"):
            read_delimited(path, entry(), file="f.csv", limits=limits)


def test_a_cell_that_never_ends(read: Read) -> None:
    code, got, _ = refused(read, b'a,b\n1,"' + b"x" * 140_000)
    assert code == "too_large"
    assert "line 2" in got


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,2\n3,4",
        b"a,b\n1,2\n3,4\n\n\n",
        b"\n\na,b\n1,2\n3,4\n",
        b"a,b\n1,2\n3,4\n,\n",
        b"a,b\r1,2\r3,4\r",
    ],
    ids=[
        "no_last_line_end",
        "blank_lines_after",
        "blank_lines_before",
        "blank_row_after",
        "carriage_returns",
    ],
)
def test_edges_of_the_file(read: Read, content: bytes) -> None:
    table = read(content)
    assert table.headers == ("a", "b")
    assert table.frame.rows() == [("1", "2"), ("3", "4")]


def test_a_blank_line_inside_keeps_its_row_number(read: Read) -> None:
    assert read(b"a,b\n1,2\n\n3,4\n").frame.rows() == [("1", "2"), (None, None), ("3", "4")]


def test_a_header_of_two_rows(read: Read) -> None:
    content = "번호,기술,,비고\n,기계학습,텍스트,\n1,2,3,4\n"
    table = read(content.encode(), header_rows=2)
    assert table.headers == ("번호", "기술 / 기계학습", "기술 / 텍스트", "비고")
    assert table.frame.rows() == [("1", "2", "3", "4")]


def test_a_file_of_more_than_one_chunk(read: Read) -> None:
    rows = 45_001
    content = "n,이름\n" + "".join(f"{row},가{row}\n" for row in range(1, rows + 1))
    frame = read(content.encode("cp949")).frame
    assert frame.height == rows
    assert frame.row(0) == ("1", "가1")
    assert frame.row(20_000) == ("20001", "가20001")
    assert frame.row(-1) == (str(rows), f"가{rows}")


def test_a_file_that_was_cut_off(read: Read) -> None:
    assert refused(read, b"a,b,c\n1,2,3\n4,5") == ("truncated_file", "2 cells in the last row", (2,))


def test_rows_of_other_widths(read: Read) -> None:
    content = b"a,b\n1,2\n1,2,3\n4\n5,6\n"
    assert refused(read, content) == ("ragged_rows", "1, 3 cells in 2 row(s)", (2, 3))


def test_header_rows_of_different_widths(read: Read) -> None:
    with pytest.raises(ViolationsError, match=r"ragged_rows\] d1/f.csv, header"):
        read(b"a,b\nc\n1,2\n", header_rows=2)


def test_a_quote_that_is_never_closed(read: Read) -> None:
    code, got, _ = refused(read, b'a,b\n1,2\n3,"4\n5,6\n')
    assert code == "broken_quoting"
    assert "starts on line 3" in got


def test_a_quote_in_the_wrong_place(read: Read) -> None:
    code, got, _ = refused(read, b'a,b\n"1"x,2\n')
    assert code == "broken_quoting"
    assert "starts on line 2" in got


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", b"a,b\n", b"a,b\n,\n"])
def test_a_file_without_rows(read: Read, content: bytes) -> None:
    assert refused(read, content)[0] == "empty_file"


def test_a_header_longer_than_the_file(read: Read) -> None:
    assert refused(read, b"a,b\n", header_rows=2)[0] == "empty_file"


def test_a_real_file_in_cp949(entry: Entry) -> None:
    """Crimes by police station in Seoul, of the public data portal: 31 stations, thousands with commas."""
    samples = ROOT.parent / "shared" / "samples"
    path = samples / "kr_public_raw_quirks" / "crime_in_Seoul.csv"
    if not path.is_file():
        pytest.skip(f"the sample files are not beside this checkout ({samples})")
    table = read_delimited(path, entry(), file=path.name)
    assert table.provenance.encoding == "cp949"
    assert table.headers[:3] == ("관서명", "살인 발생", "살인 검거")
    assert table.frame.row(0)[0] == "중부서"
    assert table.frame.row(0)[7] == "1,395"
    assert table.frame.shape == (31, 11)
    assert table.frame.null_count().row(0) == (0,) * 11
