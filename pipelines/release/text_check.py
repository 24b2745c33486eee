"""Whether every number on a page of the report is the marts': in sentences, in the words of charts, in tables.

Belongs here: comparing a finished page with the published tables, passage by passage. Does not belong here: which
numbers a passage may hold (expected_numbers), reading markup (page_reader), looking up cells (mart_cells), or making
the page (reporting), whose code is not used here: a page is judged as a reader would find it.

Numbers that carry an address (cells of tables, points of charts) are compared with that one cell, and must not be
there where the cell may not be printed. Numbers without one, in sentences and in the words of charts, must be among
the few that the passage may hold. What is neither, and no part of a name or a rule, is reported.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.release import expected_numbers as expected
from pipelines.release.expected_numbers import Allowed, Release
from pipelines.release.known_words import KnownWords
from pipelines.release.mart_cells import MartCells, Row
from pipelines.release.page_reader import Element, Printed, numbers_in, read_page, rounded
from pipelines.reporting.addresses import parse_address

_MARKS = {"suppress": "[u]", "confidential": "[c]"}
# Of mart.progress: what is made with the baseline
_FROM_BASELINE = ("share_of_distance", "observed_pp_per_year", "observed_se_pp", "progress_ratio")
# Years in the address of a row
_YEARS = re.compile(r"(?:wave|ref_year)=(\d{4})")
_A_YEAR = re.compile(r"\d{4}")
_INTERVAL = ("estimate", "ci_low", "ci_high")
_NUMERIC = ("count", "share", "points", "ratio")
# Numbers that come from no mart but stand in the release: dates, files, rows in and out
_ABOUT_FILES = ("provenance",)
# Sections of indicators and of figures of earlier vintages, whose tables are no rows of estimates
_ABOUT_QUALITY = ("quality", "corrections")
# What a person answers for by name, in that person's words
_SIGNED = "notices"
_LONG = frozenset({"table", "svg", "figure", "details"})


@dataclass(frozen=True)
class TextFinding:
    """A number that is not the marts'.

    Attributes:
        where: the passage: section, figure or table.
        printed: what stands there.
        expected: what should, or what is missing to judge it.
        context: the words around it, or the address of the cell.
    """

    where: str
    printed: str
    expected: str
    context: str


def text_findings(
    pages: Mapping[str, str],
    *,
    release: str,
    marts: Mapping[str, pl.DataFrame],
    library: ContractLibrary,
    deliveries: pl.DataFrame,
    row_balance: pl.DataFrame,
    texts_dir: Path,
) -> dict[str, list[TextFinding]]:
    """Every number of each page that is not what the marts say, by language; empty where all are.

    Args:
        pages: the report as HTML by language, ``ko`` or ``en``.
        release: its id, such as ``2025.1``.
        marts: published tables by name without schema, not blanked.
        library: contracts.
        deliveries, row_balance: `meta.*` of the release.
        texts_dir: folder of ``texts.<language>.yaml``.
    """
    wave = int(release.partition(".")[0])
    # Years ahead of the wave belong to later releases
    upto = {
        name: frame.filter(pl.col("wave") <= wave) if "wave" in frame.columns else frame
        for name, frame in marts.items()
    }
    of_release = Release(wave, upto, library, deliveries, row_balance)
    cells = MartCells(upto)
    return {
        language: list(
            _Check(
                of_release, KnownWords(library, upto, texts_dir / f"texts.{language}.yaml"), cells, release
            ).findings(read_page(page))
        )
        for language, page in pages.items()
    }


class _Check:
    """One page under comparison."""

    def __init__(self, release: Release, words: KnownWords, cells: MartCells, name: str) -> None:
        self.release, self.words, self.cells = release, words, cells
        # Ids of vintages, and this one's with the number of a figure or table
        self.ids = re.compile(rf"(?<![\d.,])(?:20\d\d\.\d{{1,2}}|{re.escape(name)}-[A-Z]\d+)(?![\d.])")
        self.always = expected.everywhere(release)
        self.quality, self.process = expected.quality(release), expected.process(release)

    def findings(self, page: Element) -> Iterator[TextFinding]:
        seen_tables = 0
        for table in page.all("table"):
            seen_tables += 1
            yield from self._table(table)
            yield from self._words_of(table)
        for versions in page.all("dl", "versions"):
            yield from self._versions(versions)
        for figure in page.all("figure"):
            yield from self._figure(figure)
        for point in page.all("g", "point"):
            yield from self._point(point)
        for where, passage, allowed in self._passages(page):
            text = passage.text(without=_LONG)
            yield from self._prose(where, text, allowed)
            for picture in passage.all("svg"):
                if picture.within("figure") is None:
                    yield from self._prose(where, picture.text(), allowed.both(Allowed().add(0, 100)))
                    yield from self._prose(where, picture.attributes.get("aria-label", ""), allowed)
        if not seen_tables or not page.all("figure") or not page.all("article"):
            yield TextFinding("page", "", "a report with cards, charts and tables", "the markup has changed")

    # Passages of text, each with what it may say

    def _passages(self, page: Element) -> Iterator[tuple[str, Element, Allowed]]:
        release, always = self.release, self.always
        about = expected.heading(release).both(expected.dates(release)).both(always)
        surveys = list(release.library.surveys)
        for title in page.all("title"):
            yield "title", title, about
        for part in (*page.all("header"), *page.all("footer")):
            yield part.tag, part, about
        for card in page.all("article", "card"):
            yield "card", card, expected.card(release, self._survey(card.classes)).both(always)
        for navigation in page.all("nav"):
            yield "contents", navigation, always.both(expected.domain_counts(release, *surveys))
        by_section = {
            "trend": [expected.ranking(release, survey) for survey in surveys],
            **{
                survey: [expected.ranking(release, survey), expected.domain_counts(release, survey)]
                for survey in surveys
            },
            "profile": [expected.ranking(release, survey) for survey in surveys],
            "changes": [expected.changes(release, survey) for survey in surveys],
            "suppressed": [expected.hidden_counts(release)],
            "quality": [self.quality],
            "corrections": [self.quality, expected.dates(release)],
            "provenance": [self.process, expected.dates(release)],
        }
        for section in page.all("section"):
            if _SIGNED in section.classes:
                continue
            name = section.attributes.get("id") or " ".join(section.classes)
            allowed = always
            for part_allowed in by_section.get(name, []):
                allowed = allowed.both(part_allowed)
            if section.all("article"):
                continue
            yield name or "section", section, allowed
            for details in section.all("details"):
                if details.within("figure") is None:
                    rows = sum(len(body.all("tr")) for body in details.all("tbody"))
                    yield f"{name} details", details, Allowed().add(rows).both(allowed)

    def _survey(self, names: list[str]) -> str:
        return next(name for name in self.release.library.surveys if name in names)

    def _prose(self, where: str, text: str, allowed: Allowed) -> Iterator[TextFinding]:
        bare = self.words.without(self.ids.sub(" ", " ".join(text.split())))
        for printed in numbers_in(bare):
            if not allowed.has(printed):
                yield TextFinding(where, printed.text, "a number of this passage's cells", printed.context)

    # Tables

    def _table(self, table: Element) -> Iterator[TextFinding]:
        name = table.attributes.get("data-name", "table")
        heads = table.all("thead")
        kinds = [cell.classes[0] if cell.classes else "" for cell in heads[0].all("tr")[-1].all("th")] if heads else []
        section = table.within("section")
        about = "" if section is None else section.attributes.get("id") or " ".join(section.classes)
        known = self.quality if about in _ABOUT_QUALITY else self.process
        for body in table.all("tbody"):
            for row in body.all("tr"):
                cells = [child for child in row.children if isinstance(child, Element)]
                for kind, cell in zip(kinds, cells, strict=False):
                    if cell.tag != "td" or kind not in _NUMERIC:
                        continue
                    text = cell.text()
                    if "data-at" in cell.attributes:
                        address = f"{row.attributes.get('data-of', '')};{cell.attributes['data-at']}".lstrip(";")
                        yield from self._cell(name, address, kind, text, cell.attributes.get("data-v"))
                    elif about in (*_ABOUT_FILES, *_ABOUT_QUALITY):
                        yield from self._prose(name, text, known)
                    else:
                        # A mark is no number; a number has to say where it is from
                        for printed in numbers_in(text):
                            yield TextFinding(name, printed.text, "an address", text)

    def _words_of(self, table: Element) -> Iterator[TextFinding]:
        """Numbers in names, reasons and headings: parts of known words, years, or the year that the row's key has."""
        name, section = table.attributes.get("data-name", "table"), table.within("section")
        allowed = self.always
        if section is not None and section.attributes.get("id") in _ABOUT_FILES:
            allowed = allowed.both(self.process).both(expected.dates(self.release))
        if section is not None and section.attributes.get("id") in _ABOUT_QUALITY:
            allowed = allowed.both(self.quality).both(expected.dates(self.release))
        for caption in table.all("caption") if table.within("figure") is None else []:
            yield from self._prose(name, caption.text(), allowed)
        for row in table.all("tr"):
            years = _YEARS.findall(row.attributes.get("data-of", ""))
            of_row = Allowed().add(*map(int, years)) if years else Allowed()
            for cell in row.children:
                # Codes, such as hashes and names of files, are no numbers
                if isinstance(cell, Element) and "data-at" not in cell.attributes and "c" not in cell.classes:
                    # A row of estimates is of its own year, whatever other years there are
                    bounds = of_row if years and _A_YEAR.fullmatch(cell.text()) else allowed.both(of_row)
                    yield from self._prose(name, cell.text(), bounds)

    def _versions(self, versions: Element) -> Iterator[TextFinding]:
        pairs = zip(versions.all("dt"), versions.all("dd"), strict=False)
        printed = {name.text(): version.text() for name, version in pairs}
        for name, version in self.release.library.versions.items():
            if printed.get(name) != version:
                yield TextFinding("versions", printed.get(name, ""), version, name)

    def _cell(self, table: str, at: str, kind: str, text: str, value: str | None) -> Iterator[TextFinding]:
        try:
            address = parse_address(at)
        except ValueError:
            yield TextFinding(table, text, "an address of a cell", at)
            return
        rows = self.cells.rows(address.mart, address.key)
        if len(rows) != 1 or address.column not in rows[0]:
            yield TextFinding(table, text, f"one cell at its address, not {len(rows)}", at)
            return
        [row] = rows
        found, hidden = row[address.column], self.cells.why_hidden(address, row)
        printed = numbers_in(text)
        if hidden or found is None:
            if printed or value is not None:
                yield TextFinding(table, text, _MARKS.get(hidden, "a mark"), at)
            elif hidden == "confidential" and text != _MARKS[hidden]:
                yield TextFinding(table, text, _MARKS[hidden], at)
            return
        if not printed:
            if not text.startswith("["):
                yield TextFinding(table, text, str(found), at)
            elif text not in self._marks_by_baseline(address.mart, address.column, row):
                yield TextFinding(table, text, f"{found}, which may be printed", at)
            return
        factor = _factor(kind, address.column, text)
        if len(printed) != 1 or printed[0].value != rounded(found, digits=printed[0].digits, factor=factor):
            yield TextFinding(table, text, str(rounded(found, digits=printed[0].digits, factor=factor)), at)
        if kind in ("share", "points") and printed[0].digits != 1:
            yield TextFinding(table, text, "one decimal", at)
        if value is None or f"{float(Decimal(repr(float(found))) * factor):.12g}" != f"{float(value):.12g}":
            yield TextFinding(table, value or "no value", f"{found} times {factor}", at)

    def _marks_by_baseline(self, mart: str, column: str, row: Row) -> list[str]:
        """Marks that a cell may have because the wave it is compared with may not be printed."""
        if mart != "progress" or column not in _FROM_BASELINE:
            return []
        why = self.cells.why_hidden_rate({**row, "wave": row["baseline_wave"]})
        return [_MARKS[why]] if why else []

    # Charts

    def _figure(self, figure: Element) -> Iterator[TextFinding]:
        name = figure.attributes.get("id", "figure")
        rows = self._rows_behind(figure)
        allowed = self._of_rows(rows).both(self.always)
        survey = next((code for code in self.release.library.surveys if name.startswith(code)), None)
        if survey is None:
            yield TextFinding(name, "", "a survey's code at the beginning of the figure's name", "id")
            return
        # What stands beside the rows, once each
        beside = [Allowed().shares(row["estimate"]) for row in _totals(self.release, survey)]
        if name.endswith("_ladder"):
            # Beside each bar of stages stands the adoption of the same domain
            domains = dict.fromkeys((row["domain_type"], row["domain_code"]) for _, row in rows)
            for domain_type, code in domains:
                found = self.release.headline(survey, domain_type=domain_type, domain_code=code)
                beside += [Allowed().shares(rate["estimate"]) for rate in found]
        if name.endswith("_series"):
            beside.append(expected.projection(self.release, survey))
        for one in beside:
            allowed = allowed.both(one)
        allowed = allowed.both(expected.counts_of_changes(row for mart, row in rows if mart == "change"))
        allowed = allowed.both(expected.counts_of_areas(row for mart, row in rows if mart == "small_area"))
        allowed = allowed.both(expected.largest_difference(row for mart, row in rows if mart == "benchmark"))
        caption = figure.all("figcaption")[0].text()
        notes = [paragraph.text() for paragraph in figure.all("p")]
        titles = [one.text() for one in figure.all("caption")]
        for text in (caption, *titles, *notes, *(box.text() for box in figure.all("summary"))):
            yield from self._prose(name, text, allowed)
        for picture in figure.all("svg", "chart"):
            yield from self._prose(name, picture.attributes.get("aria-label", ""), allowed)
            yield from self._picture(name, picture, rows, [number for one in beside for number in one.found])

    def _picture(
        self, name: str, picture: Element, rows: list[tuple[str, Row]], beside: list[tuple[Decimal, int]]
    ) -> Iterator[TextFinding]:
        texts = [text.text() for text in picture.all("text")]
        shown = self.words.without(" ".join(texts))
        found = numbers_in(shown)
        # As often as rows have it: another row's number in the place of the right one is one too many
        left = Counter(self._numbers_of(rows))
        left.update(beside)
        for printed in found:
            number = (printed.value, printed.digits)
            # A place on an axis must not use up a number of the rows that is as large
            if printed.has_sign and _is_tick(printed, name):
                continue
            if left[number] > 0:
                left[number] -= 1
            elif not (_is_tick(printed, name) or self.always.has(printed)):
                yield TextFinding(name, printed.text, "a number of the chart's rows", printed.context)
        if name.endswith("_ladder"):
            return
        # Every estimate that may be printed is there, as often as rows have it
        written = [one.value for one in found if one.digits == 1]
        for mart, row in rows:
            column = {"adoption_rate": "estimate", "change": "change_pp", "small_area": "direct"}.get(mart)
            if column is None or row[column] is None or not _is_shown(mart, row):
                continue
            if mart == "change" and row["ci_low_pp"] is None:
                # A change without an interval is not drawn
                continue
            value = rounded(row[column], digits=1, factor=1 if column.endswith("_pp") else 100)
            if value in written:
                written.remove(value)
            else:
                yield TextFinding(name, "", f"{value}", f"no such number in the chart, of {len(rows)} rows")

    def _rows_behind(self, figure: Element) -> list[tuple[str, Row]]:
        """Rows of the marts that the figure's table speaks of, in its order."""
        made: list[tuple[str, Row]] = []
        for line in figure.all("tr"):
            starts = line.attributes.get("data-of", "")
            for cell in line.all("td"):
                at = f"{starts};{cell.attributes['data-at']}".lstrip(";") if "data-at" in cell.attributes else ""
                if at.rpartition(";")[2] in ("estimate", "change_pp", "direct"):
                    address = parse_address(at)
                    found = [(address.mart, row) for row in self.cells.rows(address.mart, address.key)]
                    # A row of two estimates has two such cells
                    made += [one for one in found if one not in made[-1:]]
        if not figure.attributes.get("id", "").endswith("_series"):
            # The column of the year before is in no word of the chart
            made = [(mart, row) for mart, row in made if row["wave"] == self.release.wave]
        return made

    def _of_rows(self, rows: list[tuple[str, Row]]) -> Allowed:
        years = [row.get("wave_before", row["wave"]) for _, row in rows]
        return Allowed(set(self._numbers_of(rows))).add(*years)

    def _numbers_of(self, rows: list[tuple[str, Row]]) -> list[tuple[Decimal, int]]:
        """What a chart of these rows writes at most: estimate, limits and n of each."""
        made: list[tuple[Decimal, int]] = []
        for mart, row in rows:
            if mart == "change":
                made += _written(row, ("change_pp", "ci_low_pp", "ci_high_pp"), digits=1)
                made += _written(row, ("n_common",))
                continue
            if _is_shown(mart, row):
                names = ("direct", "direct_ci_low", "direct_ci_high") if mart == "small_area" else _INTERVAL
                made += _written(row, names, digits=1, factor=100)
            if mart == "benchmark":
                made += _written(row, ("value",), digits=1, factor=100)
            if mart == "small_area" and row["reliability"] != "suppress":
                made += _written(row, _INTERVAL, digits=1, factor=100)
            made += _written(row, ("n",))
        return made

    def _point(self, point: Element) -> Iterator[TextFinding]:
        at, label = point.attributes.get("data-of", ""), point.attributes.get("aria-label", "")
        figure = point.within("figure")
        where = f"{figure.attributes.get('id', '') if figure else ''} point"
        try:
            address = parse_address(f"{at};n")
        except ValueError:
            yield TextFinding(where, label, "an address of a row", at)
            return
        rows = self.cells.rows(address.mart, address.key)
        if len(rows) != 1:
            yield TextFinding(where, label, f"one row at its address, not {len(rows)}", at)
            return
        [row] = rows
        said = [(one.value, one.digits) for one in numbers_in(self.words.without(" ".join(label.split())))]
        if not any(said == wanted for wanted in self._said(address.mart, row, where)):
            yield TextFinding(where, label, "label, estimate, interval, standard error, n of its row", at)

    def _said(self, mart: str, row: Row, where: str) -> list[list[tuple[Decimal, int]]]:
        """The numbers that a point may say, in order."""

        def share(*names: str) -> list[tuple[Decimal, int]]:
            return _written(row, names, digits=1, factor=100)

        def plain(*names: str, digits: int = 0) -> list[tuple[Decimal, int]]:
            return _written(row, names, digits=digits)

        if mart == "small_area":
            n = plain("n")
            direct = share("direct", "direct_ci_low", "direct_ci_high", "direct_se") + n
            model = share("estimate", "ci_low", "ci_high", "rmse") + n
            if row["direct_reliability"] == "suppress":
                direct = n
            if row["reliability"] == "suppress":
                model = n
            return [direct, model, n] if None in (row["direct_ci_low"], row["ci_low"]) else [direct, model]
        if mart == "benchmark":
            ours = share(*_INTERVAL) if _is_shown(mart, row) else []
            return [plain("ref_year") + ours, plain("ref_year") + share("value")]
        if mart == "change":
            if row["ci_low_pp"] is None or row["reliability"] == "suppress":
                return [plain("n_common")]
            return [plain("change_pp", "ci_low_pp", "ci_high_pp", "se_pp", digits=1) + plain("n_common")]
        year = plain("wave") if "_series" in where else []
        if not _is_shown(mart, row):
            return [year + plain("n")]
        whole = year + share("estimate", "ci_low", "ci_high", "se") + plain("n")
        # A census has no interval, but its standard error of 0
        census = year + share("estimate", "se") + plain("n")
        return [whole, census] if row["se"] == 0 else [whole]


def _factor(kind: str, column: str, text: str) -> int:
    """Shares are printed in per cent, standard errors of shares in percentage points."""
    if kind == "share" or "%" in text:
        return 100
    return 100 if kind == "points" and "pp" not in column.split("_") else 1


def _written(row: Row, names: tuple[str, ...], *, digits: int = 0, factor: int = 1) -> list[tuple[Decimal, int]]:
    return [(rounded(row[name], digits=digits, factor=factor), digits) for name in names if row[name] is not None]


def _is_tick(printed: Printed, figure: str) -> bool:
    """Whether it may be the name of a place on an axis: whole per cent, or whole points with their sign."""
    if printed.digits or abs(printed.value) > 100:
        return False
    return printed.has_sign if figure.endswith("_change") and printed.value else printed.value % 5 == 0


def _is_shown(mart: str, row: Row) -> bool:
    if mart == "small_area":
        return bool(row["direct_reliability"] != "suppress")
    return bool(row["reliability"] != "suppress" and row.get("conf_status", "F") == "F")


def _totals(release: Release, survey: str) -> list[Row]:
    weightings = release.library.surveys[survey].unit_weightings
    return [row for weighting in weightings for row in release.headline(survey, unit_weighting=weighting)]
