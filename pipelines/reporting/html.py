"""The annual report as one HTML file that needs nothing beside it.

Belongs here: putting the document, style, script and typeface into the template. Does not belong here: what
the report says (document), how a chart is drawn, or markup (templates).
"""

import base64
import dataclasses
import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from pipelines.reporting import numbers
from pipelines.reporting.addresses import common_start
from pipelines.reporting.data import ReportData
from pipelines.reporting.document import document_of
from pipelines.reporting.drawing import PALETTE, POINT_CLASS
from pipelines.reporting.fonts import embedded_font
from pipelines.reporting.numbers import Language
from pipelines.reporting.tables import Cell, Column
from pipelines.reporting.texts import Texts

_TEMPLATE = "report.html.jinja"


def page_environment(template_dir: Path) -> Environment:
    """How every page is made from its template: text is escaped, and a name that is not given is an error."""
    environment = Environment(
        loader=FileSystemLoader(template_dir),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["policy"] = content_policy
    return environment


def content_policy(script: str = "") -> str:
    """What a browser lets a page do: show itself, run `script` and no other, and load nothing from anywhere."""
    code = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    scripts = f"'sha256-{code}'" if script else "'none'"
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; "
        "font-src data:; img-src data:; base-uri 'none'; form-action 'none'"
    )


@cache
def _environment(template_dir: Path) -> Environment:
    """The report's; kept, for compiling its templates takes as long as filling them."""
    environment = page_environment(template_dir)
    environment.globals["svg"] = inline_svg
    environment.filters["tight"] = _tight
    environment.filters["group_runs"] = _group_runs
    environment.filters["data_value"] = _data_value
    environment.filters["row_source"] = _row_source
    return environment


def render_report(data: ReportData, language: Language, *, template_dir: Path) -> str:
    """The report in one language; the same data give the same text, byte for byte.

    Args:
        data: what is printed.
        language: ``ko`` or ``en``.
        template_dir: the folder `reports/annual`.

    Raises:
        AxstatError: the headline is missing, a code has no label, or a text is missing.
    """
    texts = Texts(template_dir, language)
    document = document_of(data, language, template_dir)
    body = (
        _environment(template_dir)
        .get_template(_TEMPLATE)
        .render(
            **{part.name: getattr(document, part.name) for part in dataclasses.fields(document)},
            t=texts,
            language=language,
            script=Markup((template_dir / "script.js").read_text(encoding="utf-8")),
            style="@@STYLE@@",
        )
    )
    style = (template_dir / "style.css").read_text(encoding="utf-8")
    font = embedded_font([body, *_standing_texts(data, template_dir)])
    return body.replace("@@STYLE@@", f"{font_face(font)}\n{chart_colours()}\n{style}", 1)


def _standing_texts(data: ReportData, template_dir: Path) -> Iterator[str]:
    """All wordings and labels, used or not: with them all reports take the same subset, which is made once."""
    for pattern in ("texts.*.yaml", "*.jinja"):
        yield from (path.read_text(encoding="utf-8") for path in sorted(template_dir.glob(pattern)))
    yield from map(repr, (data.classifications, data.surveys, data.targets, data.question_versions))
    yield from (repr(data.marts[name].rows()) for name in ("domain", "measure"))


def font_face(font: str) -> str:
    """The rule that embeds the typeface, given as base64 of WOFF2."""
    source = f"url(data:font/woff2;base64,{font}) format('woff2')"
    return f"@font-face{{font-family:'Noto Sans KR Report';src:{source};font-display:block}}"


def chart_colours() -> str:
    """Rules that give each colour of the charts to the variable of the reader's theme."""
    return "\n".join(
        f'svg [fill="{value}"]{{fill:var(--c-{name.replace("_", "-")})}}'
        f'svg [stroke="{value}"]{{stroke:var(--c-{name.replace("_", "-")})}}'
        for name, value in PALETTE.items()
    )


def inline_svg(drawing: str, alternative: str, css_class: str) -> Markup:
    """An inline chart with its alternative text."""
    # Of points that can be visited a group is made, for what is inside a picture cannot be
    role = "group" if POINT_CLASS in drawing else "img"
    opening = Markup('<svg role="{}" class="chart {}" aria-label="{}" ').format(role, css_class, alternative)
    return opening + Markup(drawing.removeprefix("<svg ").replace(' class="marks"', "", 1))


# Numbers with unit, interval and Korean particle, and short brackets: not to be broken over lines
_KEPT_TOGETHER = re.compile(r"\([^()]{1,24}\)[가-힣]*|[+−]?\d[\d.,–]*(?:\u00a0%p?)?[가-힣]*")


def _tight(text: str) -> Markup:
    """Text for HTML in which numbers and short brackets stay on one line."""
    parts = []
    end = 0
    for match in _KEPT_TOGETHER.finditer(text):
        parts += [
            escape(text[end : match.start()]),
            Markup('<span class="nb">{}</span>').format(match.group()),
        ]
        end = match.end()
    return Markup("").join([*parts, escape(text[end:])])


def _group_runs(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Groups of headings with the number of columns each stands over."""
    runs = groupby(column.group for column in columns)
    return [(group, len(list(members))) for group, members in runs]


def _row_source(row: Sequence[Cell]) -> str:
    """What the addresses of a row's cells have in common."""
    return common_start([cell.source for cell in row if cell.source])


def _data_value(cell: Cell, kind: str, row_source: str) -> Markup:
    """Attributes of a cell: where it stands in the marts, the unrounded value in the column's unit, how text is set."""
    if kind in _TEXT_CLASSES:
        return Markup(' class="{}"').format(_TEXT_CLASSES[kind])
    kind = cell.kind or kind
    made = Markup("")
    if cell.source:
        made += Markup(' data-at="{}"').format(cell.source[len(row_source) + 1 :])
    if kind == "mark" or not isinstance(cell.value, int | float):
        return made
    value = numbers.hundredfold(cell.value) if kind == "share" else cell.value
    return made + Markup(' data-v="{}"').format(f"{value:.12g}")


_TEXT_CLASSES = {"text": "w", "code": "c"}
