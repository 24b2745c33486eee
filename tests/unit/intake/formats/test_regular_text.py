"""Sound text is told by its bytes and read as the csv module reads it; all other text is left to that module."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.intake.form import FileForm
from pipelines.intake.formats import delimited, regular_text
from pipelines.intake.formats.delimited import read_delimited
from pipelines.intake.formats.regular_text import read_regular

CELLS = st.sampled_from(["", " ", "a", "가나", "x,y", 'say "so"', '"', "two\nlines", "two\r\nlines", "1;2"])


def records(text: str) -> list[list[str]] | None:
    """As the csv module reads it, without blank lines at the end; None where it refuses."""
    try:
        found = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        return None
    while found and not found[-1]:
        found.pop()
    return found


def read(text: str, width: int, *, longest: int = 100) -> list[list[str]] | None:
    frame = read_regular(text.encode(), delimiter=",", width=width, longest=longest)
    return None if frame is None else [[cell or "" for cell in row] for row in frame.rows()]


@given(
    rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=6),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    block=st.sampled_from([1, 5, 1 << 20]),
)
def test_written_text_is_regular_and_comes_back(rows: list[list[str]], end: str, quoting: int, block: int) -> None:
    into = io.StringIO()
    csv.writer(into, lineterminator=end, quoting=quoting).writerows(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regular_text, "_BLOCK", block)
        assert read(into.getvalue(), 3) == rows
        assert read(into.getvalue(), 4) is None


@given(
    text=st.lists(st.sampled_from(["a", '"', '""', ",", "\n", "\r\n", "\r", "\0", "한", " "]), max_size=14).map(
        "".join
    ),
    width=st.integers(2, 3),
    block=st.sampled_from([1, 3, 1 << 20]),
)
def test_whatever_is_read_is_what_the_csv_module_reads(text: str, width: int, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regular_text, "_BLOCK", block)
        made = read(text, width)
    assert made is None or made == records(text)


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2,3\n",
        "a,b\n1\n",
        "a,b\n\n1,2\n",
        'a,b\n1,"2\n',
        'a,b\n1,x"y\n',
        'a,b\n1,"x"y\n',
        'a,b\n1, "x"\n',
        "a,b\r1,2\r",
        "a,b\n1,\0\n",
        "\ufeffa,b\n1,2\n",
        "a,b\n1," + 101 * "x" + "\n",
    ],
)
def test_what_takes_a_closer_look_is_left(text: str) -> None:
    assert read(text, 2) is None


def test_one_column_and_other_delimiters() -> None:
    assert read("a\n1\n", 1) is None  # a blank line would be a cell
    assert read_regular("a、b\n1、2\n".encode(), delimiter="、", width=2, longest=9) is None
    frame = read_regular(b"a;b\n1,5;2\n", delimiter=";", width=2, longest=9)
    assert frame is not None
    assert frame.rows() == [("a", "b"), ("1,5", "2")]


def test_both_ways_give_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "wide.csv"
    path.write_text('표,,\n번호,이름,값\n1,"가, 나",\n\n2,"say ""so""",x\n※ 끝,,\n', encoding="cp949")
    for text in (path.read_text(encoding="cp949"), path.read_text(encoding="cp949").replace("\n\n", "\n")):
        path.write_text(text, encoding="cp949")
        quick = read_delimited(path, FileForm(), file="wide.csv")
        with monkeypatch.context() as patch:
            patch.setattr(delimited, "read_regular", lambda *args, **keys: None)
            slow = read_delimited(path, FileForm(), file="wide.csv")
        assert quick.frame.equals(slow.frame)
        assert (quick.headers, quick.provenance) == (slow.headers, slow.provenance)
        assert quick.provenance.notes == ("표", "※ 끝")
