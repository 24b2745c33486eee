"""The report in reading order, for media that are read from top to bottom: sections of blocks.

Belongs here: the order of what is printed, and which figures may stand side by side. Does not belong here: the
content itself (document), or how a block looks (pdf, hwpx, templates).

A test holds the order to that of the HTML page.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pipelines.reporting.document import Changes, Document, Profile, Provenance, Quality, Ranking, Sources
from pipelines.reporting.figures import Figure
from pipelines.reporting.tables import Table
from pipelines.reporting.texts import Texts


@dataclass(frozen=True)
class Words:
    """A paragraph. `lead` opens a section, `aside` is less than the rest; Markup holds formulas."""

    text: str
    style: Literal["lead", "body", "aside"] = "body"


@dataclass(frozen=True)
class Subheading:
    """A heading inside a section."""

    text: str


@dataclass(frozen=True)
class Findings:
    """Sentences as a list."""

    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Meanings:
    """Terms with what each means; `dense` where there are many and few read them."""

    pairs: tuple[tuple[str, str], ...]
    dense: bool = False


Text = Words | Subheading | Findings | Meanings


@dataclass(frozen=True)
class Charts:
    """One figure over the whole width, or up to two side by side; `beside` stands in place of the second."""

    figures: tuple[Figure, ...]
    beside: tuple[Text, ...] = ()


Block = Text | Charts | Table


@dataclass(frozen=True)
class Section:
    """A chapter; `name` is fixed and names anchors."""

    name: str
    heading: str
    blocks: tuple[Block, ...]


def sections(document: Document, texts: Texts) -> tuple[Section, ...]:
    """All sections after the headline figures, in the order of the HTML page, then the tables behind the figures."""
    made = [
        *_told_first(document, texts),
        Section("trend", texts("trend.section"), tuple(_trend(document, texts))),
        *(Section(part.survey, part.section, tuple(_ranking(part))) for part in document.rankings),
        Section("profile", texts("profile.section"), tuple(_profile(document.profile, texts))),
    ]
    if document.changes is not None:
        made.append(Section("changes", document.changes.section, tuple(_changes(document.changes, texts))))
    if document.sources is not None:
        made.append(Section("sources", texts("sources.section"), tuple(_sources(document.sources, texts))))
    made += [
        Section("tables", texts("tables.section"), tuple(_tables(document, texts))),
        Section("suppressed", texts("suppressed.section"), tuple(_suppressed(document))),
        Section("quality", texts("quality.section"), tuple(_quality(document.quality, texts))),
        Section("method", texts("method.section"), tuple(_method(document, texts))),
        Section("provenance", texts("provenance.section"), tuple(_provenance(document.provenance, texts))),
    ]
    behind = tuple(figure.table for section in made for figure in figures_of(section))
    return (*made, Section("behind", texts("print.behind_section"), behind))


def figures_of(section: Section) -> Iterator[Figure]:
    """The figures of a section in their order."""
    for block in section.blocks:
        if isinstance(block, Charts):
            yield from block.figures


def _told_first(document: Document, texts: Texts) -> Iterator[Section]:
    """What a reader should know before any figure, where there is something."""
    if document.corrections:
        yield Section("corrections", texts("corrections.heading"), (Findings(document.corrections),))
    if document.notices:
        yield Section("notices", texts("notices.section"), (Findings(document.notices),))


def _trend(document: Document, texts: Texts) -> Iterator[Block]:
    yield Words(texts("trend.lead"), "lead")
    for heading, reason in document.breaks:
        yield Subheading(heading)
        yield Words(reason)
    yield Subheading(texts("trend.target_reading"))
    yield from (Words(reading) for reading in document.readings.values())
    yield from _charts(document.trend)


def _charts(figures: tuple[Figure, ...]) -> Iterator[Charts]:
    """Figures in their order: wide ones alone, the others by twos."""
    waiting: list[Figure] = []
    for figure in figures:
        if figure.wide is None:
            waiting.append(figure)
        if waiting and (figure.wide is not None or len(waiting) == 2):
            yield Charts(tuple(waiting))
            waiting = []
        if figure.wide is not None:
            yield Charts((figure,))
    if waiting:
        yield Charts(tuple(waiting))


def _ranking(part: Ranking) -> Iterator[Block]:
    if part.sentences:
        yield Findings(part.sentences)
    if part.proposal:
        yield Words(part.proposal, "aside")
    yield from _charts(part.figures)
    if part.small_areas is not None:
        yield from _charts((part.small_areas,))


def _profile(profile: Profile, texts: Texts) -> Iterator[Block]:
    yield from (Words(sentence) for sentence in profile.missing)
    if profile.stages or profile.technologies:
        meanings = (Subheading(texts("profile.technologies_heading")), Meanings(profile.technology_list))
        charts = list(_charts(profile.stages))
        # What technologies are stands before their figures, beside a narrow one of the stages where there is room
        if charts and len(charts[-1].figures) == 1 and charts[-1].figures[0].wide is None:
            yield from charts[:-1]
            yield Charts(charts[-1].figures, meanings)
        else:
            yield from charts
            yield from meanings
        yield from _charts(profile.technologies)
    yield from _charts(profile.regions)
    if profile.region_sentences:
        yield Findings(profile.region_sentences)


def _changes(changes: Changes, texts: Texts) -> Iterator[Block]:
    yield Words(texts("changes.lead"), "lead")
    for part in changes.surveys:
        yield from _charts((part.figure,))
        yield Findings(part.sentences)
    # The tables of all surveys after the words and figures of all
    yield from (table for part in changes.surveys for table in part.tables if table.rows)


def _sources(sources: Sources, texts: Texts) -> Iterator[Block]:
    yield Words(texts("sources.lead"), "lead")
    yield from _charts(sources.figures)
    yield Words(texts("tables.sources_note"), "aside")
    yield sources.table


def _tables(document: Document, texts: Texts) -> Iterator[Block]:
    yield Words(texts("print.tables_lead"), "lead")
    yield Words(texts("tables.marks"), "aside")
    yield from document.tables


def _suppressed(document: Document) -> Iterator[Block]:
    suppressed = document.suppressed
    yield Words(" ".join(text for text in (suppressed.lead, suppressed.caution) if text), "lead")
    if suppressed.table is not None:
        yield suppressed.table


def _quality(quality: Quality, texts: Texts) -> Iterator[Block]:
    if quality.response:
        yield Words(quality.response, "lead")
    yield Words(texts("quality.behind"))
    yield Words(f"{quality.revised} {texts('revisions.triangle_note')}")
    yield from quality.tables


def _method(document: Document, texts: Texts) -> Iterator[Block]:
    for item in document.method.items:
        yield Subheading(item.heading)
        yield Words(item.body)
    yield Subheading(texts("method.targets_heading"))
    yield from (Words(target) for target in document.method.targets)
    yield document.method.definitions


def _provenance(provenance: Provenance, texts: Texts) -> Iterator[Block]:
    yield Subheading(texts("provenance.cite_heading"))
    yield Words(provenance.cite)
    yield Words(texts("provenance.trace"))
    yield Words(texts("provenance.font"))
    if provenance.files:
        yield Subheading(texts("provenance.files_heading"))
        yield Words(texts("provenance.files_lead"))
        yield Meanings(provenance.files)
    yield provenance.deliveries
    yield provenance.balance
    yield Words(texts("provenance.balance_note"), "aside")
    yield Subheading(texts("provenance.versions_title"))
    yield Meanings(provenance.versions, dense=True)
