"""Distance to the national target, pace and projection, inside a comparability segment, for both surveys."""

from collections.abc import Iterable
from dataclasses import dataclass

import dagster as dg
import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.surveys import Survey
from pipelines.orchestration.inputs import WaveReader
from pipelines.orchestration.metadata import rows_by_table, table_markdown
from pipelines.orchestration.plans import aim, domains, measures, segment
from pipelines.stats.change import adoption_change
from pipelines.stats.projection import hindcast, project
from pipelines.stats.rate_series import KEY, RateSeries
from pipelines.stats.scenario import part_rates, scenarios
from pipelines.stats.survey_wave import Wave
from pipelines.stats.trend import Target
from pipelines.stats.trend import progress as distance_and_pace
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.session import Session
from pipelines.warehouse.steps import require_whole

_PROGRESS, _COVARIANCE = "estimates.progress", "estimates.wave_covariance"
_PROJECTION, _HINDCAST, _SCENARIO = "mart.projection", "mart.hindcast", "mart.scenario"
# What a covariance is kept with: estimates and variances that are no longer those of the waves make it stale
_MADE_FROM = {"before": ("estimate_before", "variance_before"), "after": ("estimate_after", "variance_after")}


def progress_asset(library: ContractLibrary, waves: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """`estimates.progress`, `mart.projection`, `mart.hindcast` and `mart.scenario` of a wave."""

    @dg.asset(
        key="progress",
        group_name="progress",
        deps=[[survey, "estimates"] for survey in library.surveys],
        partitions_def=waves,
        pool="warehouse",
        kinds={"duckdb", "python"},
        description="Gap, pace observed and required, projection to the target year, hindcasts and scenarios.",
    )
    def progress(
        context: dg.AssetExecutionContext,
        library: dg.ResourceParam[ContractLibrary],
        warehouse: dg.ResourceParam[Warehouse],
        reader: dg.ResourceParam[WaveReader],
    ) -> dg.MaterializeResult:
        wave = int(context.partition_key)
        made: dict[str, list[pl.DataFrame]] = {}
        for survey in library.surveys.values():
            with warehouse.session() as session:
                known = _Segment.read(session, reader, library, survey, wave)
            with warehouse.session() as session:
                covariances = known.covariances(session)
            for name, table in known.tables(covariances, library).items():
                made.setdefault(name, []).append(table)
        rows = {name: pl.concat(tables) for name, tables in made.items()}
        with warehouse.session() as session:
            for name, table in rows.items():
                session.replace(name, table, where={"wave": wave})
        shown = (
            "survey",
            "unit_weighting",
            "estimate",
            "gap_pp",
            "observed_pp_per_year",
            "required_pp_per_year",
            "pace_status",
            "projected",
            "p_target",
            "status",
        )
        scores = (
            rows[_HINDCAST]
            .group_by("survey", "model")
            .agg(
                pl.len().alias("projections"),
                pl.col("covered").mean(),
                pl.col("error_pp").abs().mean().alias("mean_absolute_error_pp"),
            )
            .sort("survey", "model")
        )
        return dg.MaterializeResult(
            metadata={
                **rows_by_table({name: table.height for name, table in rows.items()}),
                "headline": table_markdown(rows[_PROGRESS].filter(pl.col("domain_type") == "total").select(shown)),
                "hindcasts": table_markdown(scores),
            }
        )

    return progress


@dataclass(frozen=True, eq=False)
class _Segment:
    """The waves of a comparability segment up to one of them."""

    survey: Survey
    wave: int
    states: dict[int, Wave]
    rates: pl.DataFrame

    @classmethod
    def read(
        cls, session: Session, reader: WaveReader, library: ContractLibrary, survey: Survey, wave: int
    ) -> "_Segment":
        """The first wave of the segment, this one, and those between that were estimated; all must be whole."""
        name, first = survey.survey, survey.first_wave_of_segment(wave)
        done = session.table("meta.step", where={"survey": name, "step": "estimates"}, columns=("wave",))["wave"]
        needed = sorted({first, wave, *done.filter(done.is_between(first, wave))})
        for one in needed:
            require_whole(session, library, survey=name, wave=one, upto="estimates")
        states = {one: reader.state(session, survey, one) for one in needed}
        rates = pl.concat(
            session.table("estimates.adoption_rate", where={"survey": name, "wave": one}) for one in needed
        )
        return cls(survey=survey, wave=wave, states=states, rates=rates)

    def covariances(self, session: Session) -> pl.DataFrame:
        """Covariances of all pairs of waves: the kept ones that are still true, the others made and kept."""
        kept = session.table(_COVARIANCE, where={"survey": self.survey.survey})
        tables = []
        for after in self.states:
            for before in (one for one in self.states if one < after):
                pair = {"survey": self.survey.survey, "wave": after, "wave_before": before}
                table = kept.filter(**pair)
                if table.is_empty() or not self._rests_on_the_rates(table, before, after):
                    table = self._covariance(before, after).with_columns(
                        pl.lit(value, dtype=pl.String if name == "survey" else pl.Int32).alias(name)
                        for name, value in pair.items()
                    )
                    session.replace(_COVARIANCE, table, where=pair)
                tables.append(table.select(sorted(kept.columns)))
        return pl.concat(tables) if tables else kept.clear()

    def _rests_on_the_rates(self, kept: pl.DataFrame, before: int, after: int) -> bool:
        of_measures = pl.col("measure").is_in([name for names in self._measures() for name in names])
        for when, wave in (("before", before), ("after", after)):
            estimate, variance = _MADE_FROM[when]
            figures = (pl.col(estimate).alias("estimate"), pl.col(variance).sqrt().alias("se"))
            then = kept.select(*KEY, *figures)
            now = self.rates.filter(of_measures, pl.col("wave") == wave, pl.col("base") == self.survey.headline.base)
            then, now = (
                table.filter(pl.col("estimate").is_not_null()).select(*KEY, "estimate", "se").sort(*KEY)
                for table in (then, now)
            )
            if not then.select(KEY).equals(now.select(KEY)):
                return False
            moved = [((then[name] - now[name]).abs() > 1e-12).any() for name in ("estimate", "se")]
            if any(moved):
                return False
        return True

    def _covariance(self, before: int, after: int) -> pl.DataFrame:
        of_units, of_fields = self._measures()
        change = adoption_change(
            self.states[before],
            self.states[after],
            before_segment=segment(self.survey, before),
            after_segment=segment(self.survey, after),
            domains=domains(self.survey),
            measures=of_units,
            field_measures=of_fields,
            bases=(self.survey.headline.base,),
            unit_weightings=self.survey.unit_weightings,
        )
        return change.select(
            *KEY, "estimate_before", "estimate_after", "variance_before", "variance_after", "df_before", "covariance"
        )

    def _measures(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The measure the target is about, and those of fields."""
        return (self.survey.headline.measure,), measures(self.survey, self.wave)[1]

    def tables(self, covariances: pl.DataFrame, library: ContractLibrary) -> dict[str, pl.DataFrame]:
        """Rows of the wave by table."""
        survey, wave, goal = self.survey, self.wave, aim(library.targets[self.survey.survey])
        baseline = survey.first_wave_of_segment(wave)
        of_units, of_fields = self._measures()
        series = RateSeries.build(
            self.rates,
            covariances.rename({"wave": "wave_after"}),
            segments={one: segment(survey, one) for one in self.states},
            measures=(*of_units, *of_fields),
        )
        # A cross has too many domains for a table of every curve
        crosses = [domain.type for domain in domains(survey) if len(domain.columns) > 1]
        projected, headline = project(series, aim=goal, level=survey.confidence_level, briefly=crosses)
        from_baseline = covariances.filter(pl.col("wave") == wave, pl.col("wave_before") == baseline)
        progress = distance_and_pace(
            self.rates.filter(pl.col("wave") == wave).drop("survey", "wave"),
            None if wave == baseline else from_baseline,
            headline,
            wave=wave,
            baseline_wave=baseline,
            segment=segment(survey, wave),
            baseline_segment=segment(survey, baseline),
            target=Target(value=goal.value, year=goal.year),
            measures=(*of_units, *of_fields),
            level=survey.confidence_level,
        )
        by_type = {domain.type: domain for domain in domains(survey)}
        parts = {
            one: part_rates(
                state,
                whole=by_type[survey.headline.domain_type],
                parts=by_type[survey.scenario_parts],
                measure=survey.headline.measure,
                base=survey.headline.base,
                unit_weightings=survey.unit_weightings,
            )
            for one, state in self.states.items()
        }
        scenario = scenarios(
            parts, headline, domain_type=survey.scenario_parts, measure=survey.headline.measure, aim=goal
        )
        of_segment = pl.lit(survey.comparability_segment(wave)).alias("comparability_segment")
        return {
            _PROGRESS: self._placed(progress, [of_segment]),
            _PROJECTION: self._placed(projected, [of_segment]),
            _HINDCAST: self._placed(hindcast(series, level=survey.confidence_level)),
            _SCENARIO: self._placed(scenario),
        }

    def _placed(self, rows: pl.DataFrame, more: Iterable[pl.Expr] = ()) -> pl.DataFrame:
        placed = [pl.lit(self.survey.survey).alias("survey"), pl.lit(self.wave, dtype=pl.Int32).alias("wave")]
        return rows.with_columns(*placed, *more)
