"""Tables of changes, of their parts, of flows and of model-based rates.

Belongs here: rows and columns of these tables. Does not belong here: other tables (estimate_tables, process_tables).
"""

from collections.abc import Sequence

from pipelines.reporting.blanking import SUPPRESS
from pipelines.reporting.comparisons import Change, Flow, SmallArea, changes, flows, parts, small_areas, wave_before
from pipelines.reporting.data import CAUTION, ReportData
from pipelines.reporting.estimate_tables import domain_type_label
from pipelines.reporting.sentences import short_name
from pipelines.reporting.tables import (
    NOT_AVAILABLE,
    NOT_SHOWN,
    WITH_CAUTION,
    Cell,
    Column,
    Headings,
    Kind,
    Table,
    joined_title,
    number_cell,
    text_cell,
)
from pipelines.reporting.texts import Texts

_CHANGE: tuple[tuple[str, Kind], ...] = (
    ("before", "share"), ("after", "share"), ("change", "points"), ("se", "points"), ("ci_low_pp", "points"),
    ("ci_high_pp", "points"), ("n_common", "count"),
)  # fmt: skip
_PARTS: tuple[tuple[str, Kind], ...] = (
    ("share_before", "share"), ("share_after", "share"), ("within", "points"), ("within_se", "points"),
    ("composition", "points"), ("composition_se", "points"), ("contribution", "points"), ("contribution_se", "points"),
)  # fmt: skip
_SMALL_AREA: tuple[tuple[str, str, Kind], ...] = (
    ("n", "n", "count"), ("direct", "direct", "share"), ("direct_low", "direct_ci_low", "share"),
    ("direct_high", "direct_ci_high", "share"), ("modelled", "estimate", "share"), ("ci_low", "ci_low", "share"),
    ("ci_high", "ci_high", "share"), ("rmse", "rmse", "share"), ("gamma", "gamma", "ratio"),
    ("residual", "residual", "ratio"),
)  # fmt: skip


def flow_name(flow: str, texts: Texts) -> str:
    """A flow in words."""
    return texts(f"changes.flow.{flow}")


def change_table(
    data: ReportData, languages: Sequence[Texts], rows: Sequence[Change], *, name: str, title: str
) -> Table:
    """Changes as given: both rates, change, standard error, interval, units common to both waves."""
    headings = Headings(languages)
    columns = [
        *headings.label_columns("tables.column.domain"),
        *(Column(headings.heading(f"tables.column.{key}"), kind) for key, kind in _CHANGE),
    ]
    first = languages[0]
    made = []
    for change in rows:
        values = (
            change.before, change.after, change.points, change.se, change.low, change.high, change.n_common,
        )  # fmt: skip
        cells = [
            _cell(value, kind, first, change.reliability) for value, (_, kind) in zip(values, _CHANGE, strict=True)
        ]
        made.append((*(text_cell(change.labels[texts.language]) for texts in languages), *cells))
    return Table(name, title, tuple(columns), tuple(made), cells=tuple(change.cell for change in rows))


def changes_table(data: ReportData, languages: Sequence[Texts], survey: str) -> Table:
    """Changes of all domains of the survey that are no crosses."""
    contract = data.survey(survey)
    rows = [
        change
        for domain in contract.domains
        if len(domain.columns) < 2
        for change in changes(data, survey, domain.type)
    ]
    return change_table(
        data, languages, rows, name=f"{survey}_changes", title=_title(data, languages, survey, "changes")
    )


def parts_table(data: ReportData, languages: Sequence[Texts], survey: str) -> Table:
    """Within and composition, each division's sums first."""
    headings = Headings(languages)
    columns = [column for key in ("whole", "domain") for column in headings.label_columns(f"tables.column.{key}")] + [
        Column(headings.heading(f"tables.column.{key}"), kind) for key, kind in _PARTS
    ]
    made = []
    for part in parts(data, survey):
        names = [
            *(text_cell(_division(data, part.whole_type, part.domain_type, texts)) for texts in languages),
            *(
                text_cell(texts("changes.sum") if part.labels is None else part.labels[texts.language])
                for texts in languages
            ),
        ]
        values = (
            part.share_before, part.share_after, part.within, part.within_se, part.composition,
            part.composition_se, part.contribution, part.contribution_se,
        )  # fmt: skip
        hidden = SUPPRESS if part.within is None else ""
        cells = [_cell(value, kind, languages[0], hidden) for value, (_, kind) in zip(values, _PARTS, strict=True)]
        made.append((*names, *cells))
    return Table(f"{survey}_parts", _title(data, languages, survey, "parts"), tuple(columns), tuple(made))


def flows_table(data: ReportData, languages: Sequence[Texts], survey: str) -> Table:
    """Gross flows of the total and of the domains of the survey that are no crosses, a row a domain."""
    headings = Headings(languages)
    contract = data.survey(survey)
    lists = [rows for domain in contract.domains for rows in flows(data, survey, domain.type)]
    named = [flow.flow for flow in lists[0]] if lists else []
    columns = [
        *headings.label_columns("tables.column.domain"),
        Column(headings.heading("tables.column.n_common"), "count"),
    ]
    for name in named:
        group = "\n".join(flow_name(name, texts) for texts in languages)
        kind: Kind = "points" if name == "net" else "share"
        columns += [
            Column(headings.heading(f"tables.column.{key}"), kind, group) for key in ("share", "ci_low", "ci_high")
        ]
        columns.append(Column(headings.heading("tables.column.mark"), "mark", group))
    made = []
    for rows in lists:
        cells = [*(text_cell(rows[0].labels[texts.language]) for texts in languages)]
        cells.append(number_cell(rows[0].n, "count", languages[0]))
        for flow in rows:
            factor = 100.0 if flow.flow == "net" else 1.0
            kind = "points" if flow.flow == "net" else "share"
            for value in (flow.share, flow.low, flow.high):
                cells.append(_cell(None if value is None else factor * value, kind, languages[0], flow.reliability))
            cells.append(_mark(flow))
        made.append(tuple(cells))
    return Table(f"{survey}_flows", _title(data, languages, survey, "flows"), tuple(columns), tuple(made))


def small_area_table(
    data: ReportData, languages: Sequence[Texts], rows: Sequence[SmallArea], *, name: str, title: str
) -> Table:
    """Direct and model-based rates with their diagnostics."""
    headings = Headings(languages)
    columns = [
        *headings.label_columns("tables.column.domain"),
        *(Column(headings.heading(f"tables.column.{key}"), kind) for key, _, kind in _SMALL_AREA),
    ]
    made = []
    for area in rows:
        cells = []
        for _, source, kind in _SMALL_AREA:
            of_direct = source.startswith("direct")
            # A domain without a model has no model-based figure, whatever stands in `estimate`
            value = area.row[source] if of_direct or source == "n" or area.is_modelled else None
            mark = (
                area.row["direct_reliability" if of_direct else "reliability"] if of_direct or area.is_modelled else ""
            )
            cells.append(_cell(value, kind, languages[0], mark))
        made.append((*(text_cell(area.labels[texts.language]) for texts in languages), *cells))
    return Table(name, title, tuple(columns), tuple(made), cells=tuple(area.cell for area in rows))


def small_areas_table(data: ReportData, languages: Sequence[Texts], survey: str) -> Table:
    """:func:`small_area_table` of the survey's headline."""
    rows = small_areas(data, survey)
    return small_area_table(
        data, languages, rows, name=f"{survey}_small_areas", title=_title(data, languages, survey, "small_areas")
    )


def _title(data: ReportData, languages: Sequence[Texts], survey: str, which: str) -> str:
    before = wave_before(data, survey)
    measure = data.survey(survey).headline.measure
    return joined_title(
        languages,
        f"tables.{which}_title",
        lambda texts: {
            "survey": short_name(data.survey(survey), texts.language),
            "measure": data.measure_text(measure, "label", texts.language),
            "before": "" if before is None else before,
            "wave": data.wave,
        },
    )


def _division(data: ReportData, whole: str, parts_of: str, texts: Texts) -> str:
    return texts(
        "changes.division",
        whole=domain_type_label(data, whole, texts.language),
        domain_type=domain_type_label(data, parts_of, texts.language),
    )


def _cell(value: float | None, kind: Kind, texts: Texts, reliability: str) -> Cell:
    if value is None:
        return Cell(None, NOT_SHOWN if reliability == SUPPRESS else NOT_AVAILABLE)
    return number_cell(value, kind, texts)


def _mark(flow: Flow) -> Cell:
    mark = {SUPPRESS: NOT_SHOWN, CAUTION: WITH_CAUTION}.get(flow.reliability, "")
    return Cell(mark, mark)
