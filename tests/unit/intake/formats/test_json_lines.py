from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.errors import ViolationsError
from pipelines.intake.form import FileForm
from pipelines.intake.formats.json_lines import read_json_lines
from pipelines.intake.limits import Limits
from pipelines.intake.table import TextTable

Read = Callable[..., TextTable]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def run(content: str | bytes, *, limits: Limits | None = None, **form: object) -> TextTable:
        path = tmp_path / "f.jsonl"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_json_lines(path, FileForm.model_validate(form), file="d1/f.jsonl", limits=limits or Limits())

    return run


def test_values_are_kept_as_they_are_written(read: Read) -> None:
    table = read(
        '{"번호": "001", "율": 1.50, "큰": 12345678901234567890123, "참": true, "빈": null, "목록": ["a", 2]}\n'
    )
    assert table.headers == ("번호", "율", "큰", "참", "빈", "목록")
    assert table.frame.rows() == [("001", "1.50", "12345678901234567890123", "true", None, "a;2")]
    assert (table.provenance.format, table.provenance.encoding) == ("json lines", "utf-8")


def test_keys_of_all_lines_in_the_order_of_first_sight(read: Read) -> None:
    table = read('{"a": 1}\r\n\r\n{"c": 3, "a": 2}\r\n{"b": 4}\r\n')
    assert table.headers == ("a", "c", "b")
    assert table.frame.rows() == [("1", None, None), (None,) * 3, ("2", "3", None), (None, None, "4")]


def test_line_separators_within_text_end_no_line(read: Read) -> None:
    assert read('{"a": "x\u2028y"}').frame.rows() == [("x\u2028y",)]


def test_cp949(read: Read) -> None:
    assert read('{"상호": "똠방"}\n'.encode("cp949")).frame.rows() == [("똠방",)]


def test_all_broken_lines_are_told_at_once(read: Read) -> None:
    lines = [
        '{"a": 1}',
        '{"a": 1',
        "[1, 2]",
        "7",
        '{"a": 1, "b": 2, "a": 3}',
        '{"a": {"b": 1}}',
        '{"a": [[1]]}',
        '{"a": ["x;y"]}',
        '{"a": [null]}',
        '{"a": NaN}',
        '{"a": ' + "[" * 100_000,
    ]
    with pytest.raises(ViolationsError) as caught:
        read("\n".join(lines))
    found = {violation.code: violation.rows for violation in caught.value.violations}
    assert found == {
        "not_json": (2, 10),
        "not_an_object": (3, 4),
        "repeated_key": (5,),
        "nested_value": (6, 7, 8, 9, 11),
    }
    assert "the first (5): 'a'" in str(caught.value)


@pytest.mark.parametrize("content", ["", "\n\n", "{}\n", '{"a": null}\n'])
def test_a_file_without_rows(read: Read, content: str) -> None:
    with pytest.raises(ViolationsError, match="empty_file"):
        read(content)


def test_limits(read: Read) -> None:
    with pytest.raises(ViolationsError, match=r"(?s)too_large.*3 columns"):
        read('{"a": 1, "b": 2, "c": 3}', limits=Limits(columns=2))
    with pytest.raises(ViolationsError, match=r"(?s)too_large.*3 rows"):
        read('{"a": 1}\n' * 3, limits=Limits(rows=2))


@pytest.mark.parametrize("line", ['{"a": "\\ud800"}', '{"\\uDFFF": "1"}', '{"a": ["b", "\\ud800x"]}'])
def test_half_a_letter_is_no_text(read: Read, line: str) -> None:
    with pytest.raises(ViolationsError) as caught:
        read('{"a": "\\ud55c\\ud83d\\ude42"}\n' + line)
    [violation] = caught.value.violations
    assert (violation.code, violation.rows) == ("not_json", (2,))
    assert "half a letter: the escape \\u" in violation.got
    assert read('{"a": "\\ud55c\\ud83d\\ude42"}').frame.rows() == [("한🙂",)]
