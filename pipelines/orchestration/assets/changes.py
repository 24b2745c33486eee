"""Changes between the waves of a comparability segment, what they are made of, and the flows behind them."""

import dagster as dg
import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.surveys import Survey
from pipelines.orchestration.inputs import WaveReader
from pipelines.orchestration.metadata import rows_by_table, table_markdown
from pipelines.orchestration.plans import divisions, domains, measures, segment
from pipelines.orchestration.step_records import recorded
from pipelines.stats.change import adoption_changes
from pipelines.stats.change_figures import KEY, change_figures
from pipelines.stats.decomposition import ALL, decompose_change
from pipelines.stats.flows import gross_flows
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.session import Session
from pipelines.warehouse.steps import require_whole

_CHANGE, _PARTS, _FLOWS = "mart.change", "mart.decomposition", "mart.flow"


def change_asset(library: ContractLibrary, waves: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """`mart.change`, `mart.decomposition` and `mart.flow` of a wave: against every earlier wave of its segment."""

    @dg.asset(
        key="changes",
        group_name="progress",
        deps=[[survey, "estimates"] for survey in library.surveys],
        partitions_def=waves,
        pool="warehouse",
        kinds={"duckdb", "python"},
        description="Change of every rate against the earlier waves, within and composition, and gross flows.",
    )
    @recorded
    def changes(
        context: dg.AssetExecutionContext,
        library: dg.ResourceParam[ContractLibrary],
        warehouse: dg.ResourceParam[Warehouse],
        reader: dg.ResourceParam[WaveReader],
    ) -> dg.MaterializeResult:
        wave = int(context.partition_key)
        made: dict[str, list[pl.DataFrame]] = {_CHANGE: [], _PARTS: [], _FLOWS: []}
        for survey in library.surveys.values():
            with warehouse.session() as session:
                earlier = _earlier_waves(session, library, survey, wave)
            if earlier:
                with warehouse.session() as session:
                    tables = _compared(session, reader, survey, earlier, wave)
                for name, table in tables.items():
                    made[name].append(table)
        with warehouse.session() as session:
            rows = {}
            for name, tables in made.items():
                # The first wave of a segment has nothing to be compared with
                whole = pl.concat(tables) if tables else session.table(name, where={"wave": wave}).clear()
                rows[name] = session.replace(name, whole, where={"wave": wave})
            headline = session.table(_CHANGE, where={"wave": wave, "domain_type": "total"})
        shown = ("survey", "wave_before", "unit_weighting", "change_pp", "ci_low_pp", "ci_high_pp", "direction")
        headline = headline.filter(pl.col("measure") == "ai_adoption")
        return dg.MaterializeResult(
            metadata={**rows_by_table(rows), "headline": table_markdown(headline.select(shown))}
        )

    return changes


def _earlier_waves(session: Session, library: ContractLibrary, survey: Survey, wave: int) -> list[int]:
    """The earlier waves of the segment that were estimated, and its first one; all made sure to be whole."""
    first = survey.first_wave_of_segment(wave)
    steps = session.table("meta.step", where={"survey": survey.survey, "step": "estimates"}, columns=("wave",))
    earlier = sorted({first, *steps["wave"].filter(steps["wave"].is_between(first, wave - 1))} - {wave})
    for needed in (*earlier, wave):
        require_whole(session, library, survey=survey.survey, wave=needed, upto="estimates")
    return earlier


def _compared(
    session: Session, reader: WaveReader, survey: Survey, earlier: list[int], wave: int
) -> dict[str, pl.DataFrame]:
    """The rows of one survey and wave by table."""
    states = {needed: reader.state(session, survey, needed) for needed in (*earlier, wave)}
    segments = {needed: segment(survey, needed) for needed in states}
    marks = {needed: _marks(session, survey, needed) for needed in states}
    of_units, of_fields = measures(survey, wave)
    headline, level = survey.headline, survey.confidence_level
    changes = adoption_changes(
        states,
        segments=segments,
        pairs=[(before, wave) for before in earlier],
        domains=domains(survey),
        measures=of_units,
        field_measures=of_fields,
        bases=(headline.base,),
        unit_weightings=survey.unit_weightings,
    )
    made: dict[str, list[pl.DataFrame]] = {_CHANGE: [], _PARTS: [], _FLOWS: []}
    for before in earlier:
        pair = [
            pl.lit(survey.survey).alias("survey"),
            pl.lit(wave, dtype=pl.Int32).alias("wave"),
            pl.lit(before, dtype=pl.Int32).alias("wave_before"),
        ]
        of_both = [marks[before], marks[wave]]
        figures = change_figures(changes.filter(pl.col("wave_before") == before), level=level)
        made[_CHANGE].append(
            _marked(figures, of_both).with_columns(*pair, pl.lit(segments[wave].code).alias("comparability_segment"))
        )
        parts = decompose_change(
            states[before],
            states[wave],
            before_segment=segments[before],
            after_segment=segments[wave],
            divisions=divisions(survey),
            measures=(headline.measure,),
            base=headline.base,
            unit_weightings=survey.unit_weightings,
        )
        made[_PARTS].append(_marked_parts(parts, of_both).with_columns(pair))
        flows = gross_flows(
            states[before],
            states[wave],
            before_segment=segments[before],
            after_segment=segments[wave],
            # Units in a cross of two columns, or by field, are too few to tell four flows apart
            domains=[domain for domain in domains(survey) if len(domain.columns) < 2 and not domain.by_field],
            measures=(headline.measure,),
            unit_weightings=survey.unit_weightings,
            level=level,
        )
        made[_FLOWS].append(flows.with_columns(pair))
    return {name: pl.concat(tables) for name, tables in made.items()}


def _marks(session: Session, survey: Survey, wave: int) -> pl.DataFrame:
    """The reliability of each rate of a wave."""
    return session.table(
        "estimates.adoption_rate", where={"survey": survey.survey, "wave": wave}, columns=(*KEY, "reliability")
    )


def _marked(rows: pl.DataFrame, marks: list[pl.DataFrame]) -> pl.DataFrame:
    """Rows with ``reliability``: the worse of both waves'; a rate that a wave does not have may not be printed."""
    found = rows
    for at, of_wave in enumerate(marks):
        found = found.join(
            of_wave.rename({"reliability": f"mark_{at}"}), on=list(KEY), how="left", maintain_order="left"
        )
    named = [pl.col(f"mark_{at}").fill_null("suppress") for at in range(len(marks))]
    worse = pl.when(pl.any_horizontal(mark == "suppress" for mark in named)).then(pl.lit("suppress"))
    return found.with_columns(
        worse.when(pl.any_horizontal(mark == "caution" for mark in named))
        .then(pl.lit("caution"))
        .otherwise(pl.lit("publish"))
        .alias("reliability")
    ).select(*rows.columns, "reliability")


def _marked_parts(parts: pl.DataFrame, marks: list[pl.DataFrame]) -> pl.DataFrame:
    """As :func:`_marked`; the row of the sums is marked as the whole is."""
    of_whole = pl.col("domain_code") == ALL
    known_as = [
        pl.when(of_whole).then("whole_type").otherwise(name).alias(name) for name in ("domain_type", "domain_code")
    ]
    marked = _marked(parts.with_columns(known_as), marks)
    return marked.with_columns(parts["domain_type"], parts["domain_code"])
