import datetime
from pathlib import Path

import pytest

from pipelines.errors import AxstatError
from pipelines.reporting.typesetting import typeset

_DAY = datetime.date(2025, 12, 17)
_HEAD = """
#let values = json(bytes(sys.inputs.values))
#set document(title: "x", date: datetime(year: 2025, month: 12, day: 17))
#set text(font: "Noto Sans KR", lang: "ko", fallback: false)
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    return tmp_path / "made_up.typ"


def test_pdf_is_tagged_dated_and_meets_both_standards(template: Path) -> None:
    template.write_text(_HEAD + "= #values.text", encoding="utf-8")
    made = typeset(template, {"text": "한글"}, form="pdf", day=_DAY)
    assert made.startswith(b"%PDF-1.7")
    assert b"/StructTreeRoot" in made
    assert b"<pdfaid:part>2</pdfaid:part>" in made
    assert b"<pdfuaid:part>1</pdfuaid:part>" in made
    assert b"<xmp:CreateDate>2025-12-17T00:00:00" in made


def test_the_same_values_give_the_same_bytes(template: Path) -> None:
    template.write_text(_HEAD + '= #values.at("a")\n#values.at("b")', encoding="utf-8")
    first = typeset(template, {"a": "하나", "b": "둘"}, form="pdf", day=_DAY)
    other = typeset(template, {"b": "둘", "a": "셋"}, form="pdf", day=_DAY)
    assert typeset(template, {"b": "둘", "a": "하나"}, form="pdf", day=_DAY) == first != other


def test_signs_in_values_are_not_commands(template: Path) -> None:
    # A text that Typst would stop at, were it read as markup
    template.write_text(
        _HEAD + '#assert(values.text == values.list.at(0))\n#assert(values.text.starts-with("#panic"))\n#values.text',
        encoding="utf-8",
    )
    text = '#panic("read") *a* _b_ $x^$ @nowhere <label> `raw` \\ // \u0007'
    typeset(template, {"text": text, "list": [text]}, form="pdf", day=_DAY)


def test_signs_the_typeface_lacks_are_written_as_code_points(template: Path) -> None:
    template.write_text(_HEAD + '#assert.eq(values.text, "a U+1F600 U+0007")\n#values.text', encoding="utf-8")
    typeset(template, {"text": "a \U0001f600 \u0007"}, form="pdf", day=_DAY)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('#set text(font: "No Such Face")\nx', "unknown font family"),
        ("#no-such-function()", "unknown variable"),
        # Screen readers need words for a picture
        ('#image(bytes("<svg xmlns=\\"http://www.w3.org/2000/svg\\" width=\\"9\\" height=\\"9\\"/>"))', "alt"),
    ],
)
def test_what_is_not_right_stops_it(template: Path, body: str, told: str) -> None:
    template.write_text(_HEAD + body, encoding="utf-8")
    with pytest.raises(AxstatError, match="typesetting") as caught:
        typeset(template, {}, form="pdf", day=_DAY)
    assert told in str(caught.value)
    assert caught.value.where == "made_up.typ"


def test_a_picture_is_one_page_at_a_pixel_a_point(template: Path) -> None:
    template.write_text(_HEAD + "#set page(width: 120pt, height: 63pt)\nx #values.more", encoding="utf-8")
    made = typeset(template, {"more": ""}, form="png", day=_DAY)
    assert made.startswith(b"\x89PNG")
    # Width and height of the header chunk
    assert (int.from_bytes(made[16:20]), int.from_bytes(made[20:24])) == (120, 63)
    with pytest.raises(AxstatError, match=r"\d pages"):
        typeset(template, {"more": "word " * 30}, form="png", day=_DAY)
