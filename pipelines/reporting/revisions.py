"""How published figures changed from release to release: the notice at the top, the triangle, the list of changes.

Belongs here: which changes a release tells of, the sentences that tell them, and the two tables. Does not belong
here: why a figure changed, which `mart.revision` says already (release).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from pipelines.reporting import numbers
from pipelines.reporting.data import ReportData
from pipelines.reporting.sentences import short_name
from pipelines.reporting.tables import (
    Cell,
    Column,
    Headings,
    Table,
    joined_title,
    number_cell,
    optional_text,
    text_cell,
)
from pipelines.reporting.texts import Texts
from pipelines.stats.revisions import revision_triangle

_FIGURE = ("survey", "wave")
_UNCHANGED = ("first", "unchanged")
_UNDECLARED = "undeclared"
# Half of what the last printed digit is worth, in points: less cannot be seen
_SMALL_PP = 0.05


def correction_notice(data: ReportData, texts: Texts) -> list[str]:
    """A sentence for each headline that is not what the release before said; empty where all are.

    The release before is the one of the same wave, or for the first of a wave the last that printed the figure. The
    causes are those of all changes since then.
    """
    printed = data.marts["revision"].filter("is_headline")
    sentences = []
    for figure in printed.partition_by(*_FIGURE, maintain_order=True):
        ordered = figure.sort("publication_order")
        now = ordered.filter(pl.col("vintage") == data.release)
        before = _release_before(ordered, data)
        if now.is_empty() or before is None:
            continue
        [_, change] = revision_triangle(
            ordered.filter(pl.col("vintage").is_in([before, data.release])), figure=_FIGURE
        ).to_dicts()
        if change["differs"]:
            order = pl.col("publication_order")
            since = ordered.filter(order > ordered.filter(vintage=before)["publication_order"][0])
            steps = since.filter(order <= now["publication_order"][0], ~pl.col("kind").is_in(_UNCHANGED))
            [earlier] = ordered.filter(vintage=before)["estimate"]
            sentences.append(_sentence(data, texts, change, earlier, steps))
    return sentences


def _release_before(ordered: pl.DataFrame, data: ReportData) -> str | None:
    vintages: list[str] = ordered["vintage"].to_list()
    earlier = vintages[: vintages.index(data.release)] if data.release in vintages else []
    of_wave = [vintage for vintage in earlier if vintage.startswith(f"{data.wave}.")]
    found = of_wave or earlier
    return found[-1] if found else None


def _sentence(
    data: ReportData, texts: Texts, change: Mapping[str, Any], earlier: float | None, steps: pl.DataFrame
) -> str:
    language = texts.language
    values = {
        "survey": short_name(data.survey(change["survey"]), language),
        "year": change["wave"],
        "vintage": change["previous_vintage"],
    }
    if change["estimate"] is None or earlier is None:
        said = texts("corrections.hidden" if change["estimate"] is None else "corrections.shown", **values)
    else:
        small = abs(change["change_pp"]) < _SMALL_PP
        said = texts(
            "corrections.small" if small else "corrections.changed",
            **values,
            before=numbers.per_cent(earlier, language),
            after=numbers.per_cent(change["estimate"], language),
            points=numbers.points(change["change_pp"], language, sign=True),
        )
    return " ".join([said, *_why(data, texts, steps)])


def _why(data: ReportData, texts: Texts, steps: pl.DataFrame) -> list[str]:
    """Kind and cause of each step that changed a figure, each said once."""
    kinds = data.classifications["revision_kinds"]
    said = []
    for row in steps.iter_rows(named=True):
        reason = row[f"reason_{texts.language}"]
        key = "corrections.undeclared" if row["kind"] == _UNDECLARED else "corrections.declared"
        label = getattr(kinds.item(row["kind"]), f"label_{texts.language}")
        causes = texts.listed([texts("corrections.cause", cause=cause) for cause in _causes(data, row["cause"], texts)])
        said.append(texts(key, kind=label, causes=causes, reason=reason or ""))
    return list(dict.fromkeys(said))


def _causes(data: ReportData, codes: str, texts: Texts) -> list[str]:
    listed = data.classifications["revision_causes"]
    return [getattr(listed.item(code), f"label_{texts.language}") for code in codes.split(";")]


def revised_sentence(data: ReportData, texts: Texts) -> str:
    """In how many releases headlines stood, and how often one changed from a release to the next."""
    printed = data.marts["revision"].filter("is_headline")
    again = printed.filter(pl.col("previous_vintage").is_not_null())
    if again.is_empty():
        return texts("revisions.printed_once")
    changed = again.filter(~pl.col("kind").is_in(_UNCHANGED))
    return texts(
        "revisions.none" if changed.is_empty() else "revisions.some",
        count=numbers.count(changed.height, texts.language),
        all=numbers.count(again.height, texts.language),
    )


def triangle_table(data: ReportData, languages: Sequence[Texts]) -> Table:
    """The headlines by reference year (rows) and release (columns, in the order in which they were made)."""
    words = Headings(languages)
    printed = data.marts["revision"].filter("is_headline").sort("publication_order")
    vintages = printed["vintage"].unique(maintain_order=True).to_list()
    columns = [*words.label_columns("tables.column.survey"), Column(words.heading("tables.column.wave"), "year")]
    group = words.heading("revisions.estimate_in")
    columns += [Column(vintage, "share", group) for vintage in vintages]
    rows = []
    for survey, contract in data.surveys.items():
        for of_wave in printed.filter(survey=survey).sort("wave", "publication_order").partition_by("wave"):
            found = dict(of_wave.select("vintage", "estimate").iter_rows())
            rows.append(
                (
                    *(text_cell(short_name(contract, texts.language)) for texts in languages),
                    text_cell(of_wave["wave"][0]),
                    *(_printed(found, vintage, languages[0]) for vintage in vintages),
                )
            )
    title = joined_title(languages, "revisions.triangle_title", lambda texts: {})
    return Table("revision_triangle", title, tuple(columns), tuple(rows))


def _printed(found: Mapping[str, float | None], vintage: str, texts: Texts) -> Cell:
    """A release of an earlier wave does not print the figure: there is nothing to miss."""
    if vintage not in found:
        return optional_text("–")
    return number_cell(found[vintage], "share", texts)


def changes_table(data: ReportData, languages: Sequence[Texts]) -> Table:
    """Every headline that changed from one release to the next, with its cause; no rows where none did."""
    words = Headings(languages)
    columns = [
        *words.label_columns("tables.column.survey"),
        Column(words.heading("tables.column.wave"), "year"),
        Column(words.heading("revisions.release"), "code"),
        Column(words.heading("revisions.release_before"), "code"),
        Column(words.heading("tables.column.estimate"), "share"),
        Column(words.heading("tables.column.se"), "points"),
        Column(words.heading("revisions.change"), "points"),
        Column(words.heading("revisions.change_from_first"), "points"),
        *words.per_language("text", "revisions.kind"),
        *words.per_language("text", "revisions.cause"),
        *words.per_language("text", "tables.column.reason"),
    ]
    kinds = data.classifications["revision_kinds"]
    changed = data.marts["revision"].filter("is_headline", ~pl.col("kind").is_in(_UNCHANGED))
    rows = [
        (
            *(text_cell(short_name(data.survey(row["survey"]), texts.language)) for texts in languages),
            text_cell(row["wave"]),
            text_cell(row["vintage"]),
            text_cell(row["previous_vintage"]),
            number_cell(row["estimate"], "share", languages[0]),
            number_cell(None if row["se"] is None else numbers.hundredfold(row["se"]), "points", languages[0]),
            *(_points(row[name], languages[0]) for name in ("change_pp", "change_from_first_pp")),
            *(text_cell(getattr(kinds.item(row["kind"]), f"label_{texts.language}")) for texts in languages),
            *(text_cell("; ".join(_causes(data, row["cause"], texts))) for texts in languages),
            *(optional_text(row[f"reason_{texts.language}"] or "–") for texts in languages),
        )
        for row in changed.sort("publication_order", "survey", "wave").iter_rows(named=True)
    ]
    title = joined_title(languages, "revisions.changes_title", lambda texts: {})
    return Table("revision_changes", title, tuple(columns), tuple(rows))


def _points(value: float | None, texts: Texts) -> Cell:
    """A change with its sign and two decimals: revisions are small."""
    if value is None:
        return number_cell(None, "points", texts)
    return Cell(value, numbers.decimal(value, texts.language, digits=2, sign=True))
