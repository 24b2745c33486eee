import pytest

from pipelines.errors import ViolationsError
from pipelines.intake.encoding import decode

# CP949 has all 11,172 modern syllables, EUC-KR's table only 2,350; 똠 is one that only CP949 has.
TEXT = "사업자등록번호,상호\n1208147521,똠방각하\n"


@pytest.mark.parametrize(
    ("data", "declared", "encoding"),
    [
        (TEXT.encode("cp949"), None, "cp949"),
        (TEXT.encode("cp949"), "cp949", "cp949"),
        (TEXT.encode(), None, "utf-8"),
        (TEXT.encode(), "utf-8", "utf-8"),
        (TEXT.encode("utf-8-sig"), None, "utf-8-sig"),
        (TEXT.encode("utf-8-sig"), "utf-8", "utf-8"),
        (TEXT.encode("utf-8-sig"), "utf-8-sig", "utf-8-sig"),
        (TEXT.encode("utf-16"), None, "utf-16"),
        (TEXT.encode("utf-16"), "utf-16", "utf-16"),
        (TEXT.encode("utf-16-le"), "utf-16-le", "utf-16-le"),
        (TEXT.encode("utf-16-be"), "utf-16-be", "utf-16-be"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "utf-16-be", "utf-16-be"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), None, "utf-16"),
        (TEXT.encode("cp949"), "euc-kr", "cp949"),
    ],
)
def test_the_text_comes_back_whole(data: bytes, declared: str | None, encoding: str) -> None:
    assert decode(data, declared=declared, file="f.csv") == (TEXT, encoding)


def refused(data: bytes, declared: str | None) -> str:
    with pytest.raises(ViolationsError) as caught:
        decode(data, declared=declared, file="d1/f.csv")
    [violation] = caught.value.violations
    assert violation.code == "wrong_encoding"
    assert violation.where == "d1/f.csv"
    return str(violation)


def test_cp949_declared_as_utf8_says_where_and_what_to_declare() -> None:
    data = b"id,name\n1,ab\n2," + "서울".encode("cp949") + b"\n"
    text = refused(data, "utf-8")
    assert "byte 0xbc at offset 15 (line 3) is not utf-8" in text
    assert "declare 'encoding': 'cp949' in the manifest" in text


def test_utf8_declared_as_cp949_is_not_read_as_other_syllables() -> None:
    assert "declare 'encoding': 'utf-8' in the manifest" in refused(TEXT.encode(), "cp949")


@pytest.mark.parametrize(
    ("data", "declared"),
    [
        (TEXT.encode("utf-8-sig"), "cp949"),
        (TEXT.encode("utf-16"), "utf-8"),
        (TEXT.encode(), "utf-8-sig"),
        (TEXT.encode("utf-16-le"), "utf-16"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "utf-16-le"),
    ],
)
def test_byte_order_marks_that_contradict_the_manifest(data: bytes, declared: str) -> None:
    assert "byte order mark" in refused(data, declared)


def test_bytes_of_neither_encoding() -> None:
    text = refused("상호\n".encode("cp949") + b"ok\n\xff\xff\n", None)
    assert "at offset 0 (line 1) is not utf-8" in text
    assert "byte 0xff at offset 8 (line 3) is not cp949" in text


def test_a_damaged_byte_after_a_mark() -> None:
    assert "at offset 5 (line 1)" in refused(b"\xef\xbb\xbfab\xff", None)


def test_text_that_two_encodings_read_differently_is_not_guessed() -> None:
    data = "id,name\n1,철\n".encode("cp949")
    assert data.decode("utf-8").endswith("1,ö\n")
    assert "declare 'encoding'" in refused(data, None)
    assert decode(data, declared="cp949", file="f")[0].endswith("철\n")


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("windows-1252", "código;año\n1;€ 5\n"), ("latin-1", "k;ü\n"), ("shift_jis", "番号,企業名\n1,東京ソフト\n")],
)
def test_foreign_encodings_are_read_when_declared_and_held_against_utf8(encoding: str, text: str) -> None:
    assert decode(text.encode(encoding), declared=encoding, file="f") == (text, encoding)
    assert "declare 'encoding': 'utf-8'" in refused(text.encode(), encoding)


def test_windows_1252_is_never_guessed() -> None:
    assert "declare another encoding that it has" in refused("a\né\n".encode("windows-1252"), None)


def test_utf16_without_mark_is_told_by_its_zero_bytes() -> None:
    assert "'utf-16-le' or 'utf-16-be'" in refused("a,b\n1,2\n".encode("utf-16-le"), None)


def test_a_line_of_utf16_is_counted_in_the_text() -> None:
    # U+AC0A has the byte of a line end as its lower half; the lone surrogate stands on the second line.
    data = "\uac0a\uac0a\n".encode("utf-16-le") + b"\x00\xd8" + "ab".encode("utf-16-le")
    assert "offset 6 (line 2)" in refused(data, "utf-16-le")


@pytest.mark.parametrize("encoding", ["cp949", "shift_jis", "windows-1252", "latin-1"])
def test_what_a_codec_reads_it_writes_with_the_same_bytes(encoding: str) -> None:
    # All of them read units of one or two bytes, so these are all there are.
    lead = [bytes([first]) for first in range(256)]
    for unit in [*lead, *(first + bytes([second]) for first in lead for second in range(256))]:
        try:
            text = unit.decode(encoding)
        except UnicodeDecodeError:
            continue
        assert text.encode(encoding) == unit
