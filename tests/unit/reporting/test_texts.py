import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from pipelines.errors import AxstatError
from pipelines.reporting.fonts import missing_characters
from pipelines.reporting.texts import Texts
from tests.unit.reporting.made_up import ANNUAL

_VALUE = re.compile(r"{{\s*(\w+)")
# Said by inflection or by name in one language only
_ONLY_ONE_LANGUAGE = {"unit", "units", "points", "number", "year", "low_name", "name"}


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(tree, list):
        for number, value in enumerate(tree):
            yield from _leaves(value, f"{path}[{number}]")
    else:
        yield path, str(tree)


def _all(language: str) -> dict[str, str]:
    return dict(_leaves(yaml.safe_load((ANNUAL / f"texts.{language}.yaml").read_text(encoding="utf-8"))))


def test_both_languages_have_the_same_texts() -> None:
    korean, english = _all("ko"), _all("en")
    assert korean.keys() == english.keys()
    for path, text in korean.items():
        ours, theirs = set(_VALUE.findall(text)), set(_VALUE.findall(english[path]))
        assert ours ^ theirs <= _ONLY_ONE_LANGUAGE, path


@pytest.mark.parametrize("language", ["ko", "en"])
def test_every_character_is_in_the_typeface(language: str) -> None:
    assert missing_characters("".join(_all(language).values())) == []


def test_missing_text_names_the_key(texts: Mapping[str, Texts]) -> None:
    with pytest.raises(AxstatError, match=r"headline\.nowhere"):
        texts["en"]("headline.nowhere")


def test_lists_in_sentences(texts: Mapping[str, Texts]) -> None:
    names = ["금융", "유통", "제조"]
    assert texts["ko"].listed(names) == "금융, 유통, 제조"
    assert texts["en"].listed(["a", "b", "c"]) == "a, b and c"
    assert texts["en"].listed(["a"]) == "a"
    # Names with commas of their own are kept apart by semicolons
    assert texts["en"].listed(["Culture, sport and tourism", "Health"]) == "Culture, sport and tourism; Health"


def test_values_are_escaped_in_markup_only(texts: Mapping[str, Texts]) -> None:
    assert texts["en"].markup("<i>{{ x }}</i>", x="<b>&") == "<i>&lt;b&gt;&amp;</i>"


def test_particles_follow_values(texts: Mapping[str, Texts]) -> None:
    sentence = texts["ko"]("ranking.above", names="금융", total_name="산업 전체", total="31.2 %")
    assert sentence.startswith("금융은 ")
