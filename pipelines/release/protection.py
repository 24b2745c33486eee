"""What a release tells of confidential cells: read off its tables, and held against what must stay open.

Belongs here: which cells can be read in published tables, of this release and of the vintages before it; the audit.
Does not belong here: rules and programmes (stats.disclosure, stats.suppression), what is blanked (reporting.blanking).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.surveys import Survey
from pipelines.release.vintages import vintages
from pipelines.stats.cell_protection import CellTies, exposures
from pipelines.stats.cell_system import POPULATION, MeasureSum

_CELL = ("survey", "wave", "domain_type", "domain_code", "measure", "unit_weighting")
# Published figures are rounded to 12 digits
_SAME = 1e-11

# By mart: a figure that is a rate or gives it away, the column of the rate's wave, and its weighting where the mart has
# no column for that
_TELLS: Mapping[str, tuple[tuple[str, str, str | None], ...]] = {
    "adoption_rate": (("estimate", "wave", None), ("adopters", "wave", None)),
    "progress": (("estimate", "wave", None), ("gap_pp", "wave", None), ("baseline", "baseline_wave", None)),
    "change": (
        ("estimate_before", "wave_before", None), ("estimate_after", "wave", None),
        ("change_pp", "wave_before", None), ("change_pp", "wave", None),
    ),
    "decomposition": (("estimate_before", "wave_before", None), ("estimate_after", "wave", None)),
    "small_area": (("direct", "wave", None),),
    "scenario": (("estimate", "wave", None),),
    "hindcast": (("observed", "year", None),),
    "benchmark": (("estimate", "ref_year", "unit"),),
}  # fmt: skip


def cell_ties(survey: Survey, library: ContractLibrary) -> CellTies:
    """What ties a survey's cells together: divisions, the ladder, and that a technology in operation is adoption."""
    stages = library.classifications["ai_stages"].items
    in_operation = [item for item in stages if item.properties["in_operation"] == "yes"]
    ladder = MeasureSum(tuple(f"stage_{item.code}" for item in stages))
    adopted = MeasureSum(tuple(f"stage_{item.code}" for item in in_operation), "ai_adoption")
    generative = MeasureSum(("tech_genai",), "genai_adoption")
    every = {name for names in survey.measures_by_question.values() for name in names}
    return CellTies(
        columns={domain.type: domain.columns for domain in survey.domains if domain.rows == "unit"},
        sums=(ladder, adopted, generative),
        within={name: "ai_adoption" for name in sorted(every) if name.startswith("tech_") or name == "genai_adoption"},
    )


def visible_cells(marts: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Every cell whose rate stands somewhere in the tables, and the populations of domains, as measures.

    Args:
        marts: published tables by name.

    Returns:
        survey, wave, domain_type, domain_code, measure, unit_weighting, once each.
    """
    found = []
    for name, figures in _TELLS.items():
        for figure, wave, weighting in figures:
            rows = marts[name].filter(pl.col(figure).is_not_null(), pl.col("domain_code").is_not_null())
            # The whole of a scenario is the survey's total, which its own rows tell
            if name == "scenario":
                rows = rows.filter(pl.col("domain_code") != "all")
            if weighting is not None:
                rows = rows.with_columns(pl.lit(weighting).alias("unit_weighting"))
            found.append(rows.with_columns(pl.col(wave).cast(pl.Int32).alias("wave")).select(_CELL).unique())
    populations = marts["adoption_rate"].filter(pl.col("population").is_not_null())
    found.append(populations.with_columns(pl.lit(POPULATION).alias("measure")).select(_CELL).unique())
    return pl.concat(found).unique().sort(_CELL)


def published_cells(published: Path, rates: pl.DataFrame) -> pl.DataFrame:
    """What the vintages so far printed of rates, and whether it is still what they are.

    Args:
        published: the folder of the releases.
        rates: today's: survey, wave, domain_type, domain_code, measure, unit_weighting, base, population, estimate.

    Returns:
        survey, wave, domain_type, domain_code, measure, unit_weighting; ``n`` of the newest vintage that printed the
        cell; ``same``: one printed today's value. Populations stand there as measures.
    """
    today = rates.select(*_CELL, "base", pl.col("estimate", "population").name.suffix("_today"))
    tables = []
    for number, vintage in enumerate(vintages(published)):
        printed = pl.read_parquet(
            published / str(vintage) / "parquet" / "adoption_rate.parquet",
            columns=[*_CELL, "base", "n", "estimate", "population"],
        ).join(today, on=[*_CELL, "base"], how="inner")
        for figure in ("estimate", "population"):
            same = (pl.col(figure) - pl.col(f"{figure}_today")).abs() <= _SAME * pl.col(f"{figure}_today").abs()
            tables.append(
                printed.filter(pl.col(figure).is_not_null()).select(
                    *_CELL[:4],
                    pl.lit(POPULATION).alias("measure") if figure == "population" else pl.col("measure"),
                    "unit_weighting",
                    (pl.col("base") == "answered").alias("answered"),
                    pl.lit(number).alias("number"),
                    "n",
                    same.fill_null(False).alias("same"),
                )
            )
    if not tables:
        return pl.DataFrame(
            schema={**dict.fromkeys(_CELL, pl.String), "wave": pl.Int32, "n": pl.Int64, "same": pl.Boolean}
        )
    newest_last = pl.concat(tables).sort("number", "answered", *_CELL)
    return newest_last.group_by(_CELL, maintain_order=True).agg(pl.col("n").last(), pl.col("same").any()).sort(_CELL)


@dataclass(frozen=True)
class Leak:
    """A confidential cell that can be worked out. ``before``: from earlier vintages alone, which cannot be undone."""

    survey: str
    wave: int
    cell: str
    before: bool
    low: float
    high: float
    need_down: float
    need_up: float

    def __str__(self) -> str:
        """The cell and how close an attacker comes, without its value."""
        width = f"narrowed to {self.high - self.low:.6g}, must stay {self.need_down + self.need_up:.6g} wide"
        where = "by an earlier vintage alone" if self.before else "by this release"
        return f"{self.survey} {self.wave} {self.cell}: told {where}, {width}"


def leaks(
    protection: pl.DataFrame,
    marts: Mapping[str, pl.DataFrame],
    before: pl.DataFrame,
    *,
    ties: Mapping[str, CellTies],
) -> list[Leak]:
    """Audit of a release: every confidential cell of every wave in it, against all that was ever published.

    A wave of which the release tells nothing that was not printed before cannot be told more closely by it.

    Args:
        protection: `estimates.disclosure` of all waves.
        marts: the tables to be published.
        before: what earlier vintages printed, :func:`published_cells`.
        ties: by survey.

    Returns:
        One a cell that is told too closely; empty for a safe release.
    """
    now = visible_cells(marts)
    found = []
    at_risk = protection.filter(pl.col("risk").is_not_null()).select("survey", "wave").unique().sort("survey", "wave")
    for survey, wave in at_risk.iter_rows():
        cells = protection.filter(survey=survey, wave=wave)
        told = _known(cells, now.filter(survey=survey, wave=wave))
        printed = _known(cells, before.filter("same", survey=survey, wave=wave))
        if told.join(printed, on=told.columns, how="anti").height == 0:
            continue
        exposed = exposures(cells, pl.concat([told, printed]).unique(), ties=ties[survey])
        if exposed.height == 0:
            continue
        old = exposures(cells, printed, ties=ties[survey]).select(_CELL[2:]).rows()
        for row in exposed.iter_rows(named=True):
            key = tuple(row[name] for name in _CELL[2:])
            found.append(
                Leak(
                    survey, wave, " ".join(key), key in old,
                    row["low"], row["high"], row["need_down"], row["need_up"],
                )
            )  # fmt: skip
    return found


def _known(cells: pl.DataFrame, visible: pl.DataFrame) -> pl.DataFrame:
    """Of what is visible, the cells that protection knows: not those of domains without respondents."""
    key = list(_CELL[2:])
    return visible.select(key).join(cells.select(key), on=key, how="semi")
