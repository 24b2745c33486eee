"""How two codebooks differ: renamed, new and vanished variables, changed texts, codes and types.

Belongs here: pairing the variables, finding what differs and how grave it is. Does not belong here: where codebooks
are from (made, contractor), words for a person (precheck.codebook_told).
"""

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pipelines.intake.codebook.model import Codebook, Variable, code_keys, plain

DifferenceKind = Literal[
    "code_reused",
    "question_changed",
    "text_changed",
    "renamed",
    "vanished",
    "new",
    "type_changed",
    "code_added",
    "code_removed",
    "code_relabelled",
]
# serious: numbers may mean something else; look: a person decides; note: to be known.
Gravity = Literal["serious", "look", "note"]
_GRAVITIES: tuple[Gravity, ...] = ("serious", "look", "note")
# Two labels less alike than this are taken for two meanings.
_ALIKE = 0.5
# Longer texts are compared whole, but measured and shown up to here: the time grows with the square.
_SHOWN = 2_000


@dataclass(frozen=True)
class Words:
    """A run of words of a changed text: in both, only in the old one, only in the new one."""

    state: Literal["same", "removed", "added"]
    text: str


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing that differs.

    Attributes:
        name: the variable's name in the new codebook; of a vanished one in the old.
        column: the contract's column it stands for, if any.
        code: of differences in codes.
        before, after: what the old and the new codebook say; None where one has nothing.
        similarity: of texts and labels, 0 to 1. words: which words changed.
    """

    kind: DifferenceKind
    gravity: Gravity
    name: str
    column: str | None = None
    code: str | None = None
    before: str | None = None
    after: str | None = None
    similarity: float | None = None
    words: tuple[Words, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What differs between two codebooks, gravest first.

    Attributes:
        new_version: both say which version of the question was asked, and these differ.
        paired: variables that stand in both. texts, codes: of how many of these the texts and the codes could be
            compared because both state them.
    """

    old: Codebook
    new: Codebook
    new_version: bool
    differences: tuple[Difference, ...]
    paired: int
    texts: int
    codes: int


def compare(old: Codebook, new: Codebook, *, measured: Collection[str]) -> Comparison:
    """Everything in which `new` differs from `old`.

    Args:
        measured: contract columns that measures rest on: a changed text of one of these, under the same version of the
            question, is a `question_changed`.
    """
    versions = (old.question_version, new.question_version)
    sides = _Sides(old, new, frozenset(measured), None not in versions and versions[0] != versions[1])
    pairs = _pairs(old.variables, new.variables)
    paired = {id(variable) for pair in pairs for variable in pair}
    found = [difference for before, after in pairs for difference in _of_pair(before, after, sides)]
    found += [_vanished(one, sides) for one in old.variables if id(one) not in paired]
    found += [_new(one, sides) for one in new.variables if id(one) not in paired]
    return Comparison(
        old=old,
        new=new,
        new_version=sides.new_version,
        differences=tuple(sorted(found, key=lambda one: _GRAVITIES.index(one.gravity))),
        paired=len(pairs),
        texts=sum(bool(list(_comparable_texts(before, after))) for before, after in pairs),
        codes=sum(bool(before.codes and after.codes) for before, after in pairs),
    )


@dataclass(frozen=True)
class _Sides:
    """What every difference of a comparison depends on."""

    old: Codebook
    new: Codebook
    measured: frozenset[str]
    new_version: bool

    @property
    def expected(self) -> bool:
        """Old is another account of the same file or what it should be; else it is what was asked at another time."""
        return self.old.kind in ("contract", "codebook")


def _pairs(old: Sequence[Variable], new: Sequence[Variable]) -> list[tuple[Variable, Variable]]:
    """Old and new variables that are the same: by column, by name, by text, by their codes; in the order of `new`.

    Each tells only where one variable on each side has it, and never against the contract's columns.
    """
    pairs: list[tuple[Variable, Variable]] = []
    paired: set[int] = set()
    for keys in (_columns, _names, _texts, _code_lists):
        known, sought = (_told_apart((one for one in side if id(one) not in paired), keys) for side in (old, new))
        for key, after in sought.items():
            before = known.get(key)
            if before is not None and not {id(before), id(after)} & paired and _may_be_one(before, after, keys):
                pairs.append((before, after))
                paired |= {id(before), id(after)}
    places = {id(variable): place for place, variable in enumerate(new)}
    return sorted(pairs, key=lambda pair: places[id(pair[1])])


def _told_apart(variables: Iterable[Variable], keys: "_Keys") -> dict[object, Variable]:
    found: dict[object, list[Variable]] = {}
    for variable in variables:
        for key in keys(variable):
            found.setdefault(key, []).append(variable)
    return {key: them[0] for key, them in found.items() if len(them) == 1}


def _may_be_one(before: Variable, after: Variable, keys: "_Keys") -> bool:
    if None not in (before.column, after.column) and before.column != after.column:
        return False
    # Many questions share their answers, so these tell only what the texts do not deny.
    return keys is not _code_lists or all(_alike(*texts) >= _ALIKE for texts in _comparable_texts(before, after))


_Keys = Callable[[Variable], Collection[object]]


def _columns(variable: Variable) -> Collection[object]:
    return () if variable.column is None else (variable.column,)


def _names(variable: Variable) -> Collection[object]:
    return _words_of(variable.names)


def _texts(variable: Variable) -> Collection[object]:
    return _words_of((*variable.texts, *variable.questions))


def _code_lists(variable: Variable) -> Collection[object]:
    codes = code_keys(list(variable.codes))
    labelled = frozenset((key, plain(variable.codes[code][0])) for key, code in codes.items() if variable.codes[code])
    return (labelled,) if len(labelled) > 1 else ()


def _of_pair(before: Variable, after: Variable, sides: _Sides) -> Iterator[Difference]:
    name, column = after.name, after.column or before.column
    if not _words_of(before.names) & _words_of(after.names):
        gravity: Gravity = "note" if after.column is not None else "look"
        yield Difference(
            kind="renamed", gravity=gravity, name=name, column=column, before=before.name, after=after.name
        )
    if before.type and after.type and before.type != after.type:
        yield Difference(
            kind="type_changed", gravity="look", name=name, column=column, before=before.type, after=after.type
        )
    yield from _texts_changed(before, after, sides)
    if before.codes and after.codes:
        yield from (replace(one, name=name, column=column) for one in _of_codes(before.codes, after.codes, sides))


def _comparable_texts(before: Variable, after: Variable) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Like with like: what was asked with what was asked, labels with labels."""
    for texts in ((before.questions, after.questions), (before.texts, after.texts)):
        if texts[0] and texts[1]:
            yield texts


def _texts_changed(before: Variable, after: Variable, sides: _Sides) -> Iterator[Difference]:
    column = after.column or before.column
    asked = bool(before.questions and after.questions)
    for number, (old, new) in enumerate(_comparable_texts(before, after)):
        if _words_of(old) & _words_of(new):
            continue
        # Where the questions are known, a label is only a label.
        is_note = sides.expected or (asked and number > 0) or (sides.new_version and column in sides.measured)
        is_question = column in sides.measured and not is_note
        yield Difference(
            kind="question_changed" if is_question else "text_changed",
            gravity="serious" if is_question else "note" if is_note else "look",
            name=after.name,
            column=column,
            before=old[0],
            after=new[0],
            similarity=_alike(old, new),
            words=tuple(changed_words(old[0], new[0])),
        )


def _vanished(variable: Variable, sides: _Sides) -> Difference:
    # Another version of the question has other variables, and contractors need not describe every one.
    expected = variable.optional or (sides.new_version and variable.column in sides.measured)
    return Difference(
        kind="vanished",
        gravity="note" if expected else "look",
        name=variable.name,
        column=variable.column,
        before=variable.text or variable.name,
    )


def _new(variable: Variable, sides: _Sides) -> Difference:
    # What the contract does not know is kept and told by intake; what it knows is used.
    expected = sides.old.kind == "contract" or variable.column is not None
    return Difference(
        kind="new",
        gravity="note" if expected else "look",
        name=variable.name,
        column=variable.column,
        after=variable.text or variable.name,
    )


def _of_codes(
    before: Mapping[str, tuple[str, ...]], after: Mapping[str, tuple[str, ...]], sides: _Sides
) -> Iterator[Difference]:
    """Differences between two lists of codes; the variable is filled in by the caller."""
    known, sent = code_keys(list(before)), code_keys(list(after))
    old = {key: before[code] for key, code in known.items()}
    new = {key: after[code] for key, code in sent.items()}
    of_old, of_new = _keys_of_words(old), _keys_of_words(new)
    for key, code in sent.items():
        if key not in old:
            yield Difference(kind="code_added", gravity="look", name="", code=code, after=_first(new[key]))
        elif old[key] and new[key] and not _words_of(old[key]) & _words_of(new[key]):
            moved = _elsewhere(key, new[key], of_old) or _elsewhere(key, old[key], of_new)
            yield _relabelled(code, old[key], new[key], moved, sides)
    for key, code in known.items():
        if key not in new:
            gravity: Gravity = "note" if sides.expected else "look"
            yield Difference(kind="code_removed", gravity=gravity, name="", code=code, before=_first(old[key]))


def _keys_of_words(codes: Mapping[str, tuple[str, ...]]) -> dict[str, set[str]]:
    """Label -> the codes that have it."""
    found: dict[str, set[str]] = {}
    for key, labels in codes.items():
        for word in _words_of(labels):
            found.setdefault(word, set()).add(key)
    return found


def _elsewhere(key: str, labels: tuple[str, ...], codes: Mapping[str, set[str]]) -> bool:
    """True when a label stands for another code there."""
    return any(codes.get(word, set()) - {key} for word in _words_of(labels))


def _relabelled(code: str, old: tuple[str, ...], new: tuple[str, ...], moved: bool, sides: _Sides) -> Difference:
    """A code with another label: another meaning where the label was another code's, or is nothing like the old one.

    Against the contract, whose labels are our own words, only the former is sure.
    """
    similarity = _alike(old, new)
    reused = moved or (similarity < _ALIKE and not sides.expected)
    gravity: Gravity = "serious" if reused else "look" if similarity < _ALIKE else "note"
    return Difference(
        kind="code_reused" if reused else "code_relabelled",
        gravity=gravity,
        name="",
        code=code,
        before=_first(old),
        after=_first(new),
        similarity=similarity,
    )


def _first(labels: Sequence[str]) -> str | None:
    return labels[0] if labels else None


def _words_of(labels: Iterable[str]) -> set[str]:
    return {plain(label) for label in labels}


def _alike(before: Iterable[str], after: Iterable[str]) -> float:
    """How alike the two nearest of several texts are, 0 to 1."""
    return max(
        difflib.SequenceMatcher(None, plain(old)[:_SHOWN], plain(new)[:_SHOWN], autojunk=False).ratio()
        for old in before
        for new in after
    )


def changed_words(before: str, after: str) -> Iterator[Words]:
    """The words of both texts in order, in runs; words that differ in punctuation alone are the same.

    >>> [(run.state, run.text) for run in changed_words("AI를 이용합니까?", "생성형 AI를 이용합니까")]
    [('added', '생성형'), ('same', 'AI를 이용합니까')]
    """
    old, new = before[:_SHOWN].split(), after[:_SHOWN].split()
    matcher = difflib.SequenceMatcher(
        None, [plain(word) for word in old], [plain(word) for word in new], autojunk=False
    )
    for state, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if state == "equal":
            yield Words("same", " ".join(new[new_from:new_to]))
            continue
        if old_to > old_from:
            yield Words("removed", " ".join(old[old_from:old_to]))
        if new_to > new_from:
            yield Words("added", " ".join(new[new_from:new_to]))
