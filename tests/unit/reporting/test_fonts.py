import base64
import io

import pytest
from fontTools.ttLib import TTFont

from pipelines.reporting.fonts import embedded_font, missing_characters, text_width


def _characters(encoded: str) -> set[int]:
    font = TTFont(io.BytesIO(base64.b64decode(encoded)))
    return set(font.getBestCmap())


def test_subset_has_what_is_used_and_what_may_be_typed() -> None:
    characters = _characters(embedded_font(["도입률", "가"]))
    assert {ord(sign) for sign in "도입률가0123456789abcXYZ%–−"} <= characters
    assert ord("힣") not in characters


def test_the_same_text_gives_the_same_bytes() -> None:
    first = embedded_font(["산업 공공"])
    embedded_font.__globals__["_subset"].cache_clear()
    assert embedded_font(["공공", "산업"]) == first


def test_subset_is_small() -> None:
    assert len(embedded_font(["".join(chr(code) for code in range(0xAC00, 0xAC00 + 300))])) < 120_000


def test_width_is_the_sum_of_advances() -> None:
    # Digits of Noto Sans KR are 555, Hangul 920 units of 1000
    assert text_width("11", 10) == pytest.approx(11.1)
    assert text_width("가", 10) == pytest.approx(9.2)


def test_characters_outside_the_typeface_are_named() -> None:
    assert missing_characters("도입 %–") == []
    assert missing_characters("a\U0001f600") == ["\U0001f600"]
