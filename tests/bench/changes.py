"""Times changes, decompositions, flows and model-based rates of all waves, to `reports/benchmarks/changes.json`.

Run by hand after `axstat run --all`, on the data home of AXSTAT_HOME: every domain and measure of both surveys, every
pair of waves of a segment at once, and the model of every wave. Reading the warehouse is timed apart.
"""

import json
import os
import time
from itertools import combinations
from pathlib import Path

import polars as pl

from pipelines.contracts.library import load_library
from pipelines.contracts.surveys import Survey
from pipelines.orchestration.inputs import WaveReader
from pipelines.orchestration.plans import area_covariates, divisions, domains, measures, segment
from pipelines.settings import load_settings
from pipelines.stats.change import adoption_changes
from pipelines.stats.change_figures import change_figures
from pipelines.stats.decomposition import decompose_change
from pipelines.stats.flows import gross_flows
from pipelines.stats.small_area import small_areas
from pipelines.stats.survey_wave import Wave
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse

RESULTS = Path(__file__).parents[2] / "reports" / "benchmarks" / "changes.json"


def figures(survey: Survey, states: dict[int, Wave]) -> dict[str, float]:
    """Rows made of one survey, and seconds (elapsed and of the processor) by kind."""
    first = min(
        wave for wave in states if survey.first_wave_of_segment(wave) == survey.first_wave_of_segment(max(states))
    )
    waves = {wave: state for wave, state in states.items() if wave >= first}
    segments = {wave: segment(survey, wave) for wave in waves}
    pairs = list(combinations(sorted(waves), 2))
    of_units, of_fields = measures(survey, max(waves))
    headline = survey.headline
    spent: dict[str, float] = {}

    def timed(name: str, started: tuple[float, float], rows: int) -> None:
        spent[f"{name}_rows"] = rows
        spent[f"{name}_seconds"] = round(time.perf_counter() - started[0], 2)
        spent[f"{name}_processor_seconds"] = round(time.process_time() - started[1], 2)

    def now() -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    start = now()
    changes = adoption_changes(
        waves, segments=segments, pairs=pairs, domains=domains(survey), measures=of_units, field_measures=of_fields
    )
    timed("change", start, change_figures(changes).height)
    start, parts, flows = now(), [], []
    for before, after in pairs:
        of_pair = {"before_segment": segments[before], "after_segment": segments[after]}
        parts.append(
            decompose_change(
                waves[before], waves[after], **of_pair, divisions=divisions(survey), measures=[headline.measure]
            )
        )
    timed("decomposition", start, pl.concat(parts).height)
    start = now()
    for before, after in pairs:
        of_pair = {"before_segment": segments[before], "after_segment": segments[after]}
        chosen = [domain for domain in domains(survey) if len(domain.columns) < 2 and not domain.by_field]
        flows.append(gross_flows(waves[before], waves[after], **of_pair, domains=chosen, measures=[headline.measure]))
    timed("flow", start, pl.concat(flows).height)
    rule = survey.small_area
    if rule is not None:
        start = now()
        rows = [
            small_areas(
                state,
                before=waves.get(wave - 1),
                domain=next(domain for domain in domains(survey) if domain.type == rule.domain_type),
                measures=rule.measures,
                covariates=area_covariates(rule),
                key=(survey.survey, str(wave)),
            ).height
            for wave, state in states.items()
        ]
        timed("small_area", start, sum(rows))
    return spent


def main() -> None:
    """Read, time, save."""
    settings = load_settings()
    library = load_library(settings.contracts_dir)
    warehouse = Warehouse(settings.warehouse_file, SqlCatalogue(settings.sql_dir), library)
    reader, found, started = WaveReader(library), {}, time.perf_counter()
    with warehouse.session() as session:
        steps = session.table("meta.step", where={"step": "estimates"}, columns=("survey", "wave"))
        states = {
            name: {
                wave: reader.state(session, survey, wave)
                for wave in sorted(steps.filter(pl.col("survey") == name)["wave"].to_list())
            }
            for name, survey in library.surveys.items()
        }
    reading = round(time.perf_counter() - started, 2)
    for name, survey in library.surveys.items():
        found[name] = figures(survey, states[name])
    total = {
        kind: round(sum(value for of in found.values() for key, value in of.items() if key.endswith(f"_{kind}") and
                        (kind != "seconds" or not key.endswith("_processor_seconds"))), 2)
        for kind in ("seconds", "processor_seconds")
    }  # fmt: skip
    load = os.getloadavg()[0]
    report = {
        "cores": os.cpu_count(),
        "load_average": round(load, 1),
        "reading_seconds": reading,
        **found,
        "total": total,
    }
    RESULTS.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
