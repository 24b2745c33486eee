"""Words of the report that hold numbers of their own: names, definitions and rules, not estimates.

Belongs here: collecting them from contracts, marts' labels and the wording of the report, and taking them out of a
text. Does not belong here: numbers of estimates (text_check).

Only whole wordings are taken out, never a bare number: "250 or more employees", "fewer than 30 effective answers".
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from pydantic import BaseModel

from pipelines.contracts.library import ContractLibrary

_BLOCK = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{\w+\}")
_TAG = re.compile(r"<[^>]*>")
_DIGIT = re.compile(r"\d")
_SHORTEST = 3


class KnownWords:
    """Wordings with digits, longest first."""

    def __init__(self, library: ContractLibrary, marts: Mapping[str, pl.DataFrame], texts: Path) -> None:
        """Collect them.

        Args:
            library: contracts.
            marts: `mart.*` by name; labels and words of domain, measure and benchmark are read.
            texts: wording of the report in one language, ``texts.<language>.yaml``.
        """
        self._bare: dict[str, str] = {}
        self._sources: list[Iterable[str]] = [
            _strings(library.classifications.values()),
            _strings(library.surveys.values()),
            _strings(library.targets.values()),
            _strings(library.question_versions.values()),
            _strings(library.measures.values()),
            *(_column_texts(marts[name]) for name in ("domain", "measure", "benchmark", "quality_indicator")),
            _fragments(yaml.load(texts.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)),
        ]

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        found = {" ".join(text.split()) for source in self._sources for text in source}
        # A word and a digit at least: a bare number is nobody's name
        kept = [one for one in found if len(one) >= _SHORTEST and _DIGIT.search(one) and re.search(r"[^\W\d_]", one)]
        kept.sort(key=lambda one: (-len(one), one))
        return re.compile("|".join(map(re.escape, kept)) if kept else r"(?!)", re.IGNORECASE)

    def without(self, text: str) -> str:
        """A text without them; spaces must be single."""
        # Each has a digit; most texts of a page have none, and many of the others stand there again and again
        if not _DIGIT.search(text):
            return text
        if text not in self._bare:
            self._bare[text] = self._pattern.sub(" ", text)
        return self._bare[text]


def _strings(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, BaseModel):
            yield from _strings(getattr(value, name) for name in type(value).model_fields)
        elif isinstance(value, Mapping):
            yield from _strings(value.values())
        elif isinstance(value, list | tuple | set | frozenset):
            yield from _strings(value)


def _column_texts(frame: pl.DataFrame) -> Iterator[str]:
    for name, kind in frame.schema.items():
        if kind == pl.String:
            yield from (text for text in frame[name].unique(maintain_order=True).to_list() if text is not None)


def _fragments(tree: Any) -> Iterator[str]:
    """What stands between the values of the report's sentences."""
    for text in _strings([tree]):
        yield from (part.strip() for part in _BLOCK.split(_TAG.sub("", text)))
