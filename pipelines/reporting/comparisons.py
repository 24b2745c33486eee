"""Changes, their parts, flows and model-based rates as the report reads them from the marts.

Belongs here: selections from mart.change, mart.decomposition, mart.flow and mart.small_area. Does not belong here:
words, charts, tables, or what may be printed (blanking).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from pipelines.reporting.cell_ids import cell_id
from pipelines.reporting.data import ReportData

ALL = "all"


@dataclass(frozen=True)
class Change:
    """The change of a rate between two waves, in percentage points; None where it may not be printed."""

    survey: str
    wave_before: int
    domain_type: str
    labels: Mapping[str, str]
    n_common: int
    before: float | None
    after: float | None
    points: float | None
    se: float | None
    low: float | None
    high: float | None
    direction: str | None
    reliability: str
    cell: str


@dataclass(frozen=True)
class Part:
    """A domain's part in the change of the whole, or with ``labels`` None the sums; percentage points."""

    whole_type: str
    domain_type: str
    labels: Mapping[str, str] | None
    share_before: float
    share_after: float
    within: float | None
    within_se: float | None
    composition: float | None
    composition_se: float | None
    contribution: float | None
    contribution_se: float | None


@dataclass(frozen=True)
class Flow:
    """A gross flow; share 0 to 1, None where it may not be printed."""

    flow: str
    domain_type: str
    labels: Mapping[str, str]
    n: int
    share: float | None
    low: float | None
    high: float | None
    reliability: str


@dataclass(frozen=True)
class SmallArea:
    """A domain's direct and model-based rate; ``row`` is that of mart.small_area, blanked."""

    labels: Mapping[str, str]
    row: Mapping[str, Any]

    @property
    def cell(self) -> str:
        """Its id among the published cells."""
        names = ("survey", "wave", "domain_type", "domain_code", "measure", "unit_weighting")
        return cell_id("small_area", [self.row[name] for name in names])

    @property
    def is_modelled(self) -> bool:
        """False where the domain has no model-based rate."""
        return bool(self.row["method"] == "model-based")

    def interval(self, kind: str) -> tuple[float, float, float] | None:
        """Rate and limits, `kind` 'direct' or 'model'; None where there is none that may be printed."""
        names = ("direct", "direct_ci_low", "direct_ci_high") if kind == "direct" else ("estimate", "ci_low", "ci_high")
        found = tuple(self.row[name] for name in names)
        return None if None in found or (kind == "model" and not self.is_modelled) else (found[0], found[1], found[2])


def wave_before(data: ReportData, survey: str) -> int | None:
    """The wave that this one is compared with: the latest earlier one of its segment."""
    rows = _of(data, "change", survey)
    return None if rows.height == 0 else int(rows["wave_before"].max())  # type: ignore[arg-type]


def changes(data: ReportData, survey: str, domain_type: str) -> list[Change]:
    """Changes of the headline measure since the wave before, in the order of mart.domain."""
    return [
        Change(
            survey=survey,
            wave_before=row["wave_before"],
            domain_type=domain_type,
            labels=_labels(data, survey, domain_type, row["domain_code"]),
            n_common=row["n_common"],
            before=row["estimate_before"],
            after=row["estimate_after"],
            points=row["change_pp"],
            se=row["se_pp"],
            low=row["ci_low_pp"],
            high=row["ci_high_pp"],
            direction=row["direction"],
            reliability=row["reliability"],
            cell=cell_id(
                "change",
                (
                    survey,
                    row["wave"],
                    row["wave_before"],
                    domain_type,
                    row["domain_code"],
                    row["measure"],
                    row["unit_weighting"],
                ),
            ),
        )
        for row in _latest(data, "change", survey, domain_type)
    ]


def parts(data: ReportData, survey: str) -> list[Part]:
    """Parts of the change of every whole since the wave before: of each division its sums, then its domains."""
    rows = _rows(data, "decomposition", survey)
    made = []
    order = [domain.type for domain in data.survey(survey).domains]
    divisions = rows.partition_by("whole_type", "domain_type", maintain_order=True)
    for division in sorted(
        divisions, key=lambda table: (order.index(table["whole_type"][0]), order.index(table["domain_type"][0]))
    ):
        domain_type = str(division["domain_type"][0])
        for row in division.sort(pl.col("domain_code") != ALL, maintain_order=True).iter_rows(named=True):
            labels = None if row["domain_code"] == ALL else _labels(data, survey, domain_type, row["domain_code"])
            made.append(
                Part(
                    whole_type=row["whole_type"],
                    domain_type=domain_type,
                    labels=labels,
                    share_before=row["share_before"],
                    share_after=row["share_after"],
                    within=row["within_pp"],
                    within_se=row["within_se_pp"],
                    composition=row["composition_pp"],
                    composition_se=row["composition_se_pp"],
                    contribution=row["contribution_pp"],
                    contribution_se=row["contribution_se_pp"],
                )
            )
    return made


def flows(data: ReportData, survey: str, domain_type: str) -> list[list[Flow]]:
    """Flows since the wave before, a list a domain, in the order of mart.flow."""
    found: dict[str, list[Flow]] = {}
    for row in _latest(data, "flow", survey, domain_type):
        found.setdefault(row["domain_code"], []).append(
            Flow(
                flow=row["flow"],
                domain_type=domain_type,
                labels=_labels(data, survey, domain_type, row["domain_code"]),
                n=row["n"],
                share=row["share"],
                low=row["ci_low"],
                high=row["ci_high"],
                reliability=row["reliability"],
            )
        )
    return list(found.values())


def small_areas(data: ReportData, survey: str) -> list[SmallArea]:
    """Domains with their direct and model-based rates of the headline; empty where the survey has no model."""
    rule = data.survey(survey).small_area
    if rule is None:
        return []
    rows = _of(data, "small_area", survey).sort("domain_code")
    return [
        SmallArea(labels=_labels(data, survey, rule.domain_type, row["domain_code"]), row=row)
        for row in rows.iter_rows(named=True)
    ]


def _of(data: ReportData, mart: str, survey: str) -> pl.DataFrame:
    """This wave's rows of the headline's measure and weighting."""
    headline = data.survey(survey).headline
    return data.marts[mart].filter(
        pl.col("survey") == survey,
        pl.col("wave") == data.wave,
        pl.col("measure") == headline.measure,
        pl.col("unit_weighting") == headline.unit_weighting,
    )


def _rows(data: ReportData, mart: str, survey: str) -> pl.DataFrame:
    before = wave_before(data, survey)
    rows = _of(data, mart, survey)
    return rows.clear() if before is None else rows.filter(pl.col("wave_before") == before)


def _latest(data: ReportData, mart: str, survey: str, domain_type: str) -> list[dict[str, Any]]:
    rows = _rows(data, mart, survey).filter(pl.col("domain_type") == domain_type).to_dicts()
    order = {
        row["domain_code"]: row["sort_order"]
        for row in data.marts["domain"]
        .filter(pl.col("survey") == survey, pl.col("domain_type") == domain_type)
        .to_dicts()
    }
    return sorted(rows, key=lambda row: order.get(row["domain_code"], 0))


def _labels(data: ReportData, survey: str, domain_type: str, code: str) -> dict[str, str]:
    row = data.domain_row(survey, domain_type, code)
    return {language: str(row[f"label_{language}"]) for language in ("ko", "en")}
