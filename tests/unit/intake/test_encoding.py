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
