"""Typst as the report uses it: a template, its values as JSON, one typeface, and nothing from the machine.

Belongs here: compiling a template, the PDF standards it is held to, and what stops it. Does not belong here: what is
printed (pdf, share), or how it looks (templates).

Values reach a template as data and never as markup, so that no sign in them is read as a command.
"""

import datetime
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import typst

from pipelines.errors import AxstatError
from pipelines.reporting.fonts import font_folder, missing_characters

# PDF/A for archives, PDF/UA for screen readers; the compiler refuses what does not meet them
_STANDARDS: "list[typst.PDFStandard]" = ["a-2a", "ua-1"]


@cache
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[font_folder()])


def typeset(template: Path, values: Mapping[str, Any], *, form: Literal["pdf", "png"], day: datetime.date) -> bytes:
    """A template filled with values, which it finds as JSON in `sys.inputs.values`; the same values, the same bytes.

    Args:
        template: the Typst file; what it imports stands in the same folder.
        values: whatever JSON holds. Signs that the typeface lacks are written as their code points.
        form: ``pdf``, or ``png`` at one pixel a point for templates of one page.
        day: the date inside the file; the clock is not read.

    Raises:
        AxstatError: the template cannot be compiled, has more than one page as a picture, or compiles with a warning,
            such as that of an unknown typeface.
    """
    midnight = datetime.datetime.combine(day, datetime.time(), tzinfo=datetime.UTC)
    try:
        made, warnings = typst.compile_with_warnings(
            template,
            root=template.parent,
            font_paths=_fonts(),
            ignore_system_fonts=True,
            sys_inputs={"values": json.dumps(settable(values), ensure_ascii=False, sort_keys=True)},
            format=form,
            ppi=72.0 if form == "png" else None,
            pdf_standards=_STANDARDS if form == "pdf" else [],
            timestamp=int(midnight.timestamp()),
        )
    except typst.TypstError as error:
        raise _failure(template, str(error.diagnostic or error.message)) from error
    if warnings:
        raise _failure(template, "; ".join(warning.message for warning in warnings))
    if not isinstance(made, bytes):
        raise _failure(template, f"{len(made)} pages")
    return made


def _failure(template: Path, got: str) -> AxstatError:
    return AxstatError(
        "typesetting",
        where=template.name,
        expected="a template that compiles without a warning and meets the PDF standards",
        got=got,
        hint="mend the template in reports/annual, or the value it stumbles over",
    )


def settable(value: Any) -> Any:
    """The value with every sign that the typeface lacks written as its code point: such a sign has no outline."""
    if isinstance(value, str):
        for sign in missing_characters(value):
            value = value.replace(sign, f"U+{ord(sign):04X}")
        return value
    if isinstance(value, Mapping):
        return {str(key): settable(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [settable(part) for part in value]
    return value
