"""The typeface of the report: its widths, and a subset small enough to travel inside the file.

Belongs here: everything that opens the font file. Does not belong here: what text is set in it.

Noto Sans KR (SIL Open Font License 1.1) comes with the package pylopdf_fonts_ko. One cut only: bold is
made by the browser.
"""

import base64
import io
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

FAMILY = "Noto Sans KR"
_PACKAGE = "pylopdf_fonts_ko"
_FILE = "NotoSansKR-Regular.otf"

# What a reader may type into a filter, and what script writes
_ALWAYS = "".join(chr(code) for code in range(0x20, 0x7F)) + "\u00a0–—−…"


def font_folder() -> str:
    """The folder the typeface comes in, for programs that read typefaces by themselves."""
    return str(files(_PACKAGE))


@cache
def _font_bytes() -> bytes:
    return (files(_PACKAGE) / _FILE).read_bytes()


@cache
def _metrics() -> tuple[dict[int, int], int]:
    font = TTFont(io.BytesIO(_font_bytes()), lazy=True)
    widths = font["hmtx"]
    by_character = {code: widths[name][0] for code, name in font.getBestCmap().items()}
    return by_character, font["head"].unitsPerEm


def text_width(text: str, size: float) -> float:
    """Width of one line of text in CSS pixels at a font size in CSS pixels, without kerning."""
    by_character, units_per_em = _metrics()
    # A character the font lacks comes from another one: taken as one em wide, the widest of Korean type
    return sum(by_character.get(ord(character), units_per_em) for character in text) * size / units_per_em


def missing_characters(text: str) -> list[str]:
    """Characters that the typeface does not have, sorted; white space aside."""
    by_character, _ = _metrics()
    return sorted({character for character in text if not character.isspace() and ord(character) not in by_character})


@cache
def _subset(characters: str) -> str:
    options = Options()
    options.flavor = "woff2"
    options.layout_features = ["kern"]
    options.hinting = False
    options.desubroutinize = True
    options.notdef_outline = True
    # Upright horizontal text only
    options.drop_tables += ["BASE", "DSIG", "GDEF", "VORG", "vhea", "vmtx"]
    font = TTFont(io.BytesIO(_font_bytes()), lazy=True, recalcTimestamp=False)
    subsetter = Subsetter(options)
    subsetter.populate(text=characters)
    subsetter.subset(font)
    font.flavor = "woff2"
    out = io.BytesIO()
    font.save(out, reorderTables=True)
    return base64.b64encode(out.getvalue()).decode("ascii")


def embedded_font(texts: Iterable[str]) -> str:
    """The typeface reduced to the characters of `texts`, as base64 of WOFF2; the same text, the same bytes.

    Characters that the typeface lacks (in a file name of a delivery, say) are left to the reader's machine.
    """
    used = set(_ALWAYS).union(*texts)
    return _subset("".join(sorted(used)))
