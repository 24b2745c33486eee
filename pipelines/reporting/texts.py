"""The wording of the report: texts.<language>.yaml, filled with values.

Belongs here: reading the texts, filling them, joining names to a list. Does not belong here: which
sentence is true (sentences), or any wording.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from pipelines.errors import AxstatError
from pipelines.reporting.numbers import Language
from pipelines.reporting.particles import with_particle


def _lower_first(text: str) -> str:
    """Lower the first letter, unless the word is an abbreviation."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


@cache
def _environment(*, markup: bool = False) -> Environment:
    # Plain text is escaped where it goes into HTML
    environment = Environment(autoescape=markup, undefined=StrictUndefined)
    environment.filters["josa"] = with_particle
    environment.filters["lower_first"] = _lower_first
    return environment


@cache
def _template(text: str, *, markup: bool = False) -> Template:
    return _environment(markup=markup).from_string(text)


@cache
def _parsed(text: str) -> Mapping[str, Any]:
    # The C loader: the pure Python one takes longer than a chart
    found: Mapping[str, Any] = yaml.load(text, Loader=yaml.CSafeLoader)
    return found


class Texts:
    """The texts of one language, found by dotted keys: ``texts("headline.target", year=2030)``."""

    def __init__(self, folder: Path, language: Language) -> None:
        """Read texts.<language>.yaml in `folder`."""
        self.language = language
        path = folder / f"texts.{language}.yaml"
        self._where = path.name
        self._tree = _parsed(path.read_text(encoding="utf-8"))

    def raw(self, key: str) -> Any:
        """What stands under a key, unfilled.

        Raises:
            AxstatError: there is no such key.
        """
        found: Any = self._tree
        for part in key.split("."):
            if not isinstance(found, Mapping) or part not in found:
                raise AxstatError(
                    "missing_text",
                    where=self._where,
                    expected=f"a text under {key}",
                    got="none",
                    hint="add the text in every language",
                )
            found = found[part]
        return found

    def __call__(self, key: str, **values: object) -> str:
        """The text under a key, filled with values.

        Raises:
            AxstatError: there is no such text.
            jinja2.UndefinedError: the text needs a value that was not given.
        """
        return _template(str(self.raw(key))).render(**values)

    def markup(self, template: str, **values: object) -> Markup:
        """A text with markup of its own (got by `raw`), filled with values that are escaped."""
        return Markup(_template(template, markup=True).render(**values))

    def listed(self, names: Sequence[str]) -> str:
        """Names as a list in a sentence."""
        if len(names) < 2:
            return "".join(names)
        separator, last = self.raw("list.separator"), self.raw("list.last_separator")
        if any("," in name for name in names):
            separator = last = self.raw("list.separator_of_names_with_commas")
        return f"{separator.join(names[:-1])}{last}{names[-1]}"
