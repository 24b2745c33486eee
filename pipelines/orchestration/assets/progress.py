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
from pipelines.orchestration.step_records import recorded
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

_PROGRESS, _CHANGE = "estimates.progress", "mart.change"
_PROJECTION, _HINDCAST, _SCENARIO = "mart.projection", "mart.hindcast", "mart.scenario"
_FIGURES = ("estimate_before", "estimate_after")
# Estimates, and variances of changes, that lie closer than rounding leaves them
_SAME = 1e-10


def progress_asset(library: ContractLibrary, waves: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """`estimates.progress`, `mart.projection`, `mart.hindcast` and `mart.scenario` of a wave."""

    @dg.asset(
        key="progress",
        group_name="progress",
        deps=["changes", *([survey, "estimates"] for survey in library.surveys)],
        partitions_def=waves,
        pool="warehouse",
        kinds={"duckdb", "python"},
        description="Gap, pace observed and required, projection to the target year, hindcasts and scenarios.",
    )
    @recorded
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
        """Covariances of all pairs of waves: of the published changes, or anew where a wave was since corrected."""
        columns = ("wave", "wave_before", *KEY, *_FIGURES, "covariance", "se_pp")
        known = session.table(_CHANGE, where={"survey": self.survey.survey}, columns=columns)
        known = known.filter(pl.col("measure").is_in([name for names in self._measures() for name in names]))
        tables = [known.clear().pipe(self._with_variances, 0, 0)]
        for after in self.states:
            for before in (one for one in self.states if one < after):
                table = known.filter(pl.col("wave") == after, pl.col("wave_before") == before)
                table = self._with_variances(table, before, after)
                if not self._rests_on_the_rates(table, before, after):
                    made = self._covariance(before, after)
                    waves = {"wave": after, "wave_before": before}
                    table = made.with_columns(pl.lit(one, dtype=pl.Int32).alias(name) for name, one in waves.items())
                tables.append(table.select(tables[0].columns))
        return pl.concat(tables)

    def _with_variances(self, changes: pl.DataFrame, before: int, after: int) -> pl.DataFrame:
        """Changes with the variances and degrees of freedom that the waves' rates have now."""
        for when, wave in (("before", before), ("after", after)):
            then = self._rates_of(wave).select(
                *KEY, pl.col("se").pow(2).alias(f"variance_{when}"), pl.col("df").alias(f"df_{when}")
            )
            changes = changes.join(then, on=list(KEY), how="left", maintain_order="left")
        return changes

    def _rates_of(self, wave: int) -> pl.DataFrame:
        of_measures = pl.col("measure").is_in([name for names in self._measures() for name in names])
        return self.rates.filter(of_measures, pl.col("wave") == wave, pl.col("base") == self.survey.headline.base)

    def _rests_on_the_rates(self, changes: pl.DataFrame, before: int, after: int) -> bool:
        """Whether changes are those of the rates as they are now, in their estimates and standard errors."""
        for name, wave in zip(_FIGURES, (before, after), strict=True):
            then = changes.filter(pl.col(name).is_not_null()).select(*KEY, pl.col(name).alias("estimate")).sort(*KEY)
            now = self._rates_of(wave).filter(pl.col("estimate").is_not_null()).select(*KEY, "estimate").sort(*KEY)
            if not then.select(KEY).equals(now.select(KEY)):
                return False
            if ((then["estimate"] - now["estimate"]).abs() > _SAME).any():
                return False
        variance = pl.col("variance_before") + pl.col("variance_after") - 2.0 * pl.col("covariance")
        moved = ((pl.col("se_pp") / 100.0).pow(2) - variance).abs() > _SAME
        return not changes.select(moved.any()).item()

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
            *KEY,
            *_FIGURES,
            "covariance",
            "variance_before",
            "variance_after",
            "df_before",
            "df_after",
            pl.lit(None, pl.Float64).alias("se_pp"),
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
