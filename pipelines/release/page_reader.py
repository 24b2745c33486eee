"""A page of the report as a tree of elements, and the numbers in a text.

Belongs here: reading markup, telling what is a number and how it is written. Does not belong here: which numbers are
right (text_check).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

import lxml.html

_SILENT = frozenset({"style", "script"})
# Elements that run on in a line; between others there is a space
_INLINE = frozenset({"span", "i", "sub", "strong", "em", "a", "small", "b", "sup"})
# Classes of the report whose spans have a line of their own
_OWN_LINE = frozenset({"title", "subtitle", "id", "rows", "big", "ci"})

# Letters and digits around a number make it part of a name: F03, RR3, 1.2.0; Hangul does not
_NUMBER = re.compile(r"(?<![A-Za-z0-9_.])([+−]?)(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(?![A-Za-z0-9_]|\.\d)")


@dataclass
class Element:
    """An element with its attributes and, in order, its texts and elements."""

    tag: str
    attributes: Mapping[str, str]
    parent: "Element | None" = None
    children: list["Element | str"] = field(default_factory=list)
    _below: Sequence["Element"] | None = field(default=None, repr=False, compare=False)

    @property
    def classes(self) -> list[str]:
        """The classes it has."""
        return self.attributes.get("class", "").split()

    def walk(self) -> Sequence["Element"]:
        """Itself and every element below, in the order of the page; to be asked when the page is read."""
        if self._below is None:
            found, waiting = [], [self]
            while waiting:
                one = waiting.pop()
                found.append(one)
                waiting += [child for child in reversed(one.children) if isinstance(child, Element)]
            self._below = found
        return self._below

    def all(self, tag: str, css_class: str = "") -> list["Element"]:
        """Elements below of a kind."""
        return [one for one in self.walk() if one.tag == tag and (not css_class or css_class in one.classes)]

    def within(self, *tags: str) -> "Element | None":
        """The nearest element around it, or itself, of one of these kinds."""
        one: Element | None = self
        while one is not None and one.tag not in tags:
            one = one.parent
        return one

    def text(self, *, without: frozenset[str] = frozenset()) -> str:
        """What is read, spaces made single, without elements of the kinds named."""
        return " ".join("".join(self._pieces(without)).split())

    def _pieces(self, without: frozenset[str]) -> Iterator[str]:
        for child in self.children:
            if isinstance(child, str):
                yield child
            elif child.tag not in without and child.tag not in _SILENT:
                gap = "" if child.tag in _INLINE and not _OWN_LINE.intersection(child.classes) else " "
                yield gap
                yield from child._pieces(without)
                yield gap


def read_page(html: str) -> Element:
    """The tree of a page."""
    root = Element("document", {})
    _take(lxml.html.document_fromstring(html), root)
    return root


def _take(found: lxml.html.HtmlElement, parent: Element) -> None:
    if not isinstance(found.tag, str):
        # A comment
        return
    element = Element(found.tag, dict(found.attrib), parent)
    parent.children.append(element)
    if found.text:
        element.children.append(found.text)
    for child in found:
        _take(child, element)
        if child.tail:
            element.children.append(child.tail)


@dataclass(frozen=True)
class Printed:
    """A number as it stands in a text: ``value`` with its sign, decimals, and the words around it."""

    text: str
    value: Decimal
    has_sign: bool
    digits: int
    context: str


def numbers_in(text: str) -> list[Printed]:
    """Every number in a text; a dash between two numbers is no sign."""
    found = []
    for match in _NUMBER.finditer(text):
        sign, whole, fraction = match.groups()
        value = Decimal(whole.replace(",", "") + (fraction or ""))
        around = text[max(0, match.start() - 30) : match.end() + 30]
        found.append(
            Printed(match.group(), -value if sign == "−" else value, bool(sign), len(fraction or ".") - 1, around)
        )
    return found


def rounded(value: float, *, digits: int, factor: int = 1) -> Decimal:
    """A number as it must be printed: half up, from its shortest decimal form."""
    return (Decimal(repr(float(value))) * factor).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP) + 0
