"""What a person answers for by name in a release, as the report prints it.

Belongs here: overrides of the release gate and explanations of implausible changes, ready to be printed in both
languages. Does not belong here: whether they are valid or needed (release).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pipelines.reporting.numbers import Language
from pipelines.reporting.texts import Texts


@dataclass(frozen=True, kw_only=True)
class Notice:
    """`rule`, `why` and `about` by language; `about` names the domain of an explanation and is empty of an override."""

    kind: Literal["override", "explanation"]
    rule: Mapping[Language, str]
    who: str
    why: Mapping[Language, str]
    about: Mapping[Language, str] | None = None

    def sentence(self, texts: Texts) -> str:
        """One line of the report."""
        language = texts.language
        about = "" if self.about is None else self.about[language]
        return texts(
            f"notices.{self.kind}", rule=self.rule[language], about=about, who=self.who, why=self.why[language]
        )
