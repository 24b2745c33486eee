"""A codebook: the variables of a file with their texts and codes.

Belongs here: the records, and when two words or codes are the same. Does not belong here: where a codebook is from
(made, contractor), what differs between two (differences).
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from pipelines.contracts.codebooks import VariableType

# labels: a file's own; codebook: the contractor's; contract: ours; wave: what an earlier wave was delivered with;
# file: labels or codebook of another time.
CodebookKind = Literal["labels", "codebook", "contract", "wave", "file"]


def _no_codes() -> Mapping[str, tuple[str, ...]]:
    return MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Variable:
    """One variable. Of several words for one thing, the first is the one that is shown.

    Attributes:
        names: its name as sent; of a contract's column every header it may have. Never empty.
        column: the contract's column it stands for, None where the contract does not know it.
        texts: its label, a few words on what it is. questions: what was asked, word for word. Empty: not stated.
        codes: code -> its labels. Empty: not stated.
        type: None: not stated.
        optional: a file may lack it.
    """

    names: tuple[str, ...]
    column: str | None = None
    texts: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    codes: Mapping[str, tuple[str, ...]] = field(default_factory=_no_codes)
    type: VariableType | None = None
    optional: bool = False

    @property
    def name(self) -> str:
        """The name that is shown."""
        return self.names[0]

    @property
    def text(self) -> str | None:
        """The text that is shown: the label, else the question."""
        return next(iter((*self.texts, *self.questions)), None)


@dataclass(frozen=True, kw_only=True)
class Codebook:
    """The variables of a file in their order.

    Attributes:
        source: how messages name where this is known from.
        question_version: that of the wave it belongs to, None where nobody said.
        unread: cells of a contractor's codebook that hold no list of codes, as messages name and show them.
    """

    source: str
    kind: CodebookKind
    variables: tuple[Variable, ...]
    question_version: str | None = None
    unread: tuple[str, ...] = ()


def plain(text: str) -> str:
    """A text reduced to what counts: letters, digits and signs, composed, without case, white space and punctuation.

    >>> plain("ＡＩ를  이용합니까?") == plain("AI를 이용합니까")
    True
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(letter for letter in folded if unicodedata.category(letter)[0] not in "PZC")
    return kept or "".join(folded.split())


def code_key(value: str) -> str:
    """A code reduced to what tells lists apart: contractors lose leading zeros and add letters and '.0'.

    >>> code_key("C26"), code_key("26.0"), code_key("01")
    ('26', '26', '1')
    """
    value = value.strip().upper()
    if number := re.fullmatch(r"[A-Z]?0*(\d+)(?:\.0+)?", value):
        return number[1]
    return value


def code_keys(codes: Sequence[str]) -> dict[str, str]:
    """Key -> code: by `code_key` where that tells all codes of the list apart, else the codes themselves."""
    keyed = {code_key(code): code for code in codes}
    return keyed if len(keyed) == len(codes) else {code.strip(): code for code in codes}
