import pytest

from pipelines.errors import ViolationsError
from pipelines.intake.form import FileForm, parse_form


def test_a_form_from_a_command() -> None:
    pairs = ["header_rows=2", "sheet=응답 = 자료", "delimiter=;", "notes_below=0", "unit=characters"]
    expected = FileForm(header_rows=2, sheet="응답 = 자료", delimiter=";", notes_below=0, unit="characters")
    assert parse_form(pairs, where="--form") == expected


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ViolationsError) as caught:
        parse_form(["header_rows=two", "colour=red", "layout=../x.csv", "encoding=utf-7"], where="--form")
    told = {violation.got: violation.expected for violation in caught.value.violations}
    assert set(told) == {"header_rows=two", "colour=red", "layout=../x.csv", "encoding=utf-7"}
    assert "valid integer" in told["header_rows=two"]
    assert told["colour=red"].startswith("one of encoding, delimiter, header_rows")
    assert "below the folder" in told["layout=../x.csv"]
    assert "'cp949'" in told["encoding=utf-7"]


@pytest.mark.parametrize("pairs", [["header_rows"], ["sheet=a", "sheet=b"]])
def test_what_is_no_pair(pairs: list[str]) -> None:
    with pytest.raises(ViolationsError, match="key=value, each key once"):
        parse_form(pairs, where="--form")


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n", "\r"])
def test_what_delimits_nothing(delimiter: str) -> None:
    with pytest.raises(ValueError):
        FileForm(delimiter=delimiter)
