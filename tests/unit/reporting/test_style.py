"""The colours of the page and its charts can be told apart in both themes (WCAG 2.2, contrast of level AA)."""

import re
from collections.abc import Mapping
from functools import cache

import pytest

from pipelines.reporting.drawing import PALETTE
from tests.unit.reporting.made_up import ANNUAL


@cache
def _themes() -> Mapping[str, Mapping[str, str]]:
    """Colours by variable, of the light and the dark theme."""
    style = (ANNUAL / "style.css").read_text(encoding="utf-8")
    light, dark = (
        dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    )
    return {"light": light, "dark": {**light, **dark}}


def _luminance(colour: str) -> float:
    # WCAG 2.2: relative luminance of sRGB
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_the_formula_is_that_of_wcag() -> None:
    assert _contrast("#000000", "#ffffff") == pytest.approx(21)
    # The grey that just passes on white, known to authors of web pages
    assert _contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


_WORDS = ("c-ink", "c-muted", "link", "c-target")
_ON = [
    *((text, ground) for text in _WORDS for ground in ("paper", "panel", "banner", "c-band")),
    # The large figures stand on panels, colours of surveys nowhere else under words
    *((text, ground) for text in ("c-industry", "c-public") for ground in ("paper", "panel")),
]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), _ON)
def test_words_stand_out_from_their_ground(theme: str, text: str, ground: str) -> None:
    colours = _themes()[theme]
    assert _contrast(colours[text], colours[ground]) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("stage", range(5))
def test_numbers_stand_out_from_their_bar(theme: str, stage: int) -> None:
    colours = _themes()[theme]
    # As charts set them: light words on the two dark stages; the dark theme turns both around
    words = colours["c-on-dark" if stage in (3, 4) else "c-on-light"]
    assert _contrast(words, colours[f"c-stage-{stage}"]) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("mark", ["c-ink", "c-industry", "c-public", "c-target", "c-muted"])
def test_marks_of_charts_stand_out(theme: str, mark: str) -> None:
    # Graphics need 3 to 1
    assert _contrast(_themes()[theme][mark], _themes()[theme]["c-paper"]) >= 3


def test_charts_and_light_theme_have_the_same_colours() -> None:
    light = _themes()["light"]
    assert {name: light[f"c-{name.replace('_', '-')}"] for name in PALETTE} == dict(PALETTE)
