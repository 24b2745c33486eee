from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.errors import ViolationsError
from pipelines.intake.form import FileForm
from pipelines.intake.formats.fixed_width import read_fixed_width
from pipelines.intake.table import TextTable

Read = Callable[..., TextTable]
# A syllable is two bytes in CP949: 상호 has ten bytes, five letters.
LAYOUT = "name,start,width,label\nID,1,4,번호\nNAME,5,10,상호\nN,15,3,직원 수\n"


def record(number: str, name: str, employees: str) -> bytes:
    return number.encode().ljust(4) + name.encode("cp949").ljust(10) + employees.encode().rjust(3)


ROWS = [record("0001", "똠방각하", "7"), record("2", "가나다라마", "120"), record("3", "AB", "")]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def run(content: bytes, *, layout: str | bytes = LAYOUT, **form: object) -> TextTable:
        path = tmp_path / "f.dat"
        path.write_bytes(content)
        (tmp_path / "form").mkdir(exist_ok=True)
        (tmp_path / "form" / "layout.csv").write_bytes(layout if isinstance(layout, bytes) else layout.encode("cp949"))
        chosen = FileForm.model_validate({"layout": "form/layout.csv", **form})
        return read_fixed_width(path, chosen, file="d1/f.dat")

    return run


def refused(read: Read, content: bytes, **keys: object) -> list[tuple[str, str, tuple[int, ...]]]:
    with pytest.raises(ViolationsError) as caught:
        read(content, **keys)
    return [(violation.code, violation.got, violation.rows) for violation in caught.value.violations]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("after", [b"", b"\r\n\r\n", b"\r\n\x1a"])
def test_positions_are_bytes(read: Read, end: bytes, after: bytes) -> None:
    table = read(end.join(ROWS) + after)
    assert table.headers == ("ID", "NAME", "N")
    assert table.labels == ("번호", "상호", "직원 수")
    assert table.frame.rows() == [("0001", "똠방각하", "7"), ("2", "가나다라마", "120"), ("3", "AB", None)]
    assert (table.provenance.format, table.provenance.encoding) == ("fixed-width text", "cp949")


def test_positions_are_characters_where_it_is_declared(read: Read) -> None:
    text = "0001똠방각하        7\n2   가나다라마     120\n"
    layout = "name,start,width\nID,1,4\nNAME,5,10\nN,15,3\n"
    expected = [("0001", "똠방각하", "7"), ("2", "가나다라마", "120")]
    content = text.replace("        7", "        7".rjust(9))
    assert read(content.encode(), layout=layout, unit="characters").frame.rows() == expected
    assert read(content.encode("utf-16"), layout=layout, unit="characters").frame.rows() == expected
    assert refused(read, content.encode("utf-16"), layout=layout)[0][0] == "wrong_encoding"


def test_a_mark_is_no_part_of_the_first_record(read: Read) -> None:
    layout = "name,start,width\nA,1,1\nB,2,3\n"
    assert read("1가\n2나\n".encode("utf-8-sig"), layout=layout).frame.rows() == [("1", "가"), ("2", "나")]


def test_records_of_another_length(read: Read) -> None:
    content = b"\n".join([ROWS[0], ROWS[1] + b" ", b"", ROWS[2][:-2], ROWS[0]])
    assert refused(read, content) == [("record_length", "15, 18 bytes in 2 record(s)", (2, 4))]


def test_a_file_that_was_cut_off(read: Read) -> None:
    assert refused(read, b"\n".join(ROWS)[:-2]) == [("truncated_file", "15 bytes in the last record", (3,))]


def test_a_layout_that_does_not_fit_into_the_records(read: Read) -> None:
    layout = "name,start,width\nID,1,4\nEND,18,2\n"
    assert refused(read, b"\n".join(ROWS), layout=layout) == [("record_length", "17 bytes in 3 record(s)", (1, 2, 3))]


def test_what_stands_behind_the_layout_is_not_read(read: Read) -> None:
    layout = "name,start,width\nID,1,4\n"
    assert read(b"\n".join(ROWS), layout=layout).frame.rows() == [("0001",), ("2",), ("3",)]


def test_a_layout_that_cuts_letters(read: Read) -> None:
    layout = "name,start,width\nID,1,5\nNAME,6,9\nN,15,3\n"
    found = refused(read, b"\n".join(ROWS), layout=layout)
    code, got, rows = found[0]
    assert (code, rows) == ("letter_split", (1, 2))
    assert "bytes 1 to 5 cut a letter" in got


@pytest.mark.parametrize(
    ("layout", "code", "rows"),
    [
        ("name,begin,width\nA,1,1\n", "layout_invalid", ()),
        ("name,start,width\nA,0,1\nB,1,x\n,1,1\nC,1,1\nD,1,\n", "layout_invalid", (1,)),
        ("name,start,width\n", "empty_file", ()),
    ],
)
def test_a_layout_that_is_none(read: Read, layout: str, code: str, rows: tuple[int, ...]) -> None:
    found = refused(read, ROWS[0], layout=layout)
    assert (found[0][0], found[0][2]) == (code, rows)
    assert len(found) == (4 if rows else 1)


def test_no_layout(read: Read, tmp_path: Path) -> None:
    assert refused(read, ROWS[0], layout=LAYOUT, **{"unit": "bytes"} | {"encoding": "utf-8"})[0][0] == "wrong_encoding"
    with pytest.raises(ViolationsError, match="none declared"):
        read_fixed_width(tmp_path / "f.dat", FileForm(), file="f")
    with pytest.raises(ViolationsError, match=r"(?s)missing_layout.*other.csv"):
        read_fixed_width(tmp_path / "f.dat", FileForm(layout="other.csv"), file="f")


def test_a_layout_that_a_link_leads_out_to(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text(LAYOUT, encoding="utf-8")
    folder = tmp_path / "delivery"
    folder.mkdir()
    (folder / "layout.csv").symlink_to(tmp_path / "secret.csv")
    (folder / "f.dat").write_bytes(ROWS[0])
    with pytest.raises(ViolationsError, match="missing_layout"):
        read_fixed_width(folder / "f.dat", FileForm(layout="layout.csv"), file="f")
