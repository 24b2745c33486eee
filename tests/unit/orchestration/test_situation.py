"""What `axstat status` gathers, from a history made for it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError
from pipelines.orchestration.history import BY_COMMAND, WRITER_TAG, opened_instance
from pipelines.orchestration.jobs import WAVE_JOB
from pipelines.orchestration.situation import Situation, situation
from pipelines.settings import Settings
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse

NOW = datetime(2026, 6, 1, tzinfo=UTC)
WAVES = dg.StaticPartitionsDefinition(["2024", "2025"])


def rows(found: Situation, table: str) -> list[dict[str, Any]]:
    return found.tables[table].to_dicts()


def run_wave(settings: Settings, wave: int, tags: Mapping[str, str], *, error: Exception | None = None) -> str:
    """A run of a job by the name of the wave's, with one asset and two checks, of which one warns."""

    @dg.asset(
        key=["industry", "core"],
        partitions_def=WAVES,
        check_specs=[dg.AssetCheckSpec(name, asset=["industry", "core"]) for name in ("weights", "strata")],
    )
    def core() -> dg.MaterializeResult:
        if error is not None:
            raise error
        warned = dg.AssetCheckResult(passed=False, check_name="strata", severity=dg.AssetCheckSeverity.WARN)
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True, check_name="weights"), warned])

    definitions = dg.Definitions(assets=[core], jobs=[dg.define_asset_job(WAVE_JOB)])
    with opened_instance(settings) as instance:
        done = definitions.resolve_job_def(WAVE_JOB).execute_in_process(
            partition_key=str(wave), instance=instance, tags=dict(tags), raise_on_error=False
        )
    return done.run_id


def test_an_empty_home_stays_empty(settings: Settings) -> None:
    found = situation(settings, now=NOW)
    assert list(found.tables) == ["waves", "deliveries", "runs", "checks", "releases"]
    assert all(table.is_empty() for table in found.tables.values())
    assert not settings.home.exists()


def test_the_next_publication_is_named(settings: Settings) -> None:
    [note] = situation(settings, now=NOW).notes
    assert "wave 2026, 2026-12-16 12:00 +0900" in note
    assert "from 2026-11-30 03:00 +0900" in note
    [note] = situation(settings, now=datetime(2099, 1, 1, tzinfo=UTC)).notes
    assert "no publication to come" in note


def test_runs_come_newest_first_with_who_started_them_and_why_they_failed(settings: Settings) -> None:
    error = AxstatError("wave_not_whole", where="industry 2025", expected="e", got="g", hint="h")
    by_schedule = run_wave(settings, 2024, {"dagster/schedule_name": "annual_wave"})
    by_command = run_wave(settings, 2025, {WRITER_TAG: BY_COMMAND}, error=error)
    by_person = run_wave(settings, 2025, {})
    found = rows(situation(settings, now=NOW), "runs")
    assert [row["run"] for row in found] == [one[:8] for one in (by_person, by_command, by_schedule)]
    assert [row["by"] for row in found] == ["a person", "axstat run", "schedule annual_wave"]
    assert [row["status"] for row in found] == ["success", "failure", "success"]
    assert [row["wave"] for row in found] == [2025, 2025, 2024]
    assert [row["why"] for row in found] == [None, "industry/core: [wave_not_whole] industry 2025", None]
    assert all(row["seconds"] >= 0 for row in found)


def test_a_run_that_was_killed_says_so(settings: Settings) -> None:
    @dg.job
    def empty() -> None:
        """Nothing runs."""

    with opened_instance(settings) as instance:
        instance.report_run_failed(instance.create_run_for_job(empty, status=dg.DagsterRunStatus.STARTED))
    [row] = rows(situation(settings, now=NOW), "runs")
    assert row["why"] == "its process ended, or it could not be started"


def test_checks_are_those_of_each_waves_last_run(settings: Settings) -> None:
    run_wave(settings, 2024, {})
    run_wave(settings, 2025, {})
    run_wave(settings, 2025, {}, error=ValueError())
    assert rows(situation(settings, now=NOW), "checks") == [
        {"wave": 2024, "passed": 1, "warned": 1, "failed": 0, "not passed": "strata (industry/core)"},
        # Its last run failed before there was anything to check
        {"wave": 2025, "passed": 0, "warned": 0, "failed": 0, "not passed": None},
    ]


def test_while_a_run_has_the_warehouse_the_rest_is_shown(
    settings: Settings, library: ContractLibrary, catalogue: SqlCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_arguments: object) -> object:
        raise AxstatError("warehouse_locked", where="w", expected="e", got="g", hint="h")

    with Warehouse(settings.warehouse_file, catalogue, library).session():
        pass
    run_wave(settings, 2025, {})
    monkeypatch.setattr("pipelines.orchestration.situation.overview", locked)
    found = situation(settings, now=NOW)
    assert list(found.tables) == ["runs", "checks", "releases"]
    assert len(rows(found, "runs")) == 1
    assert "a run is at work" in found.notes[1]


def test_it_is_an_object_for_programs(settings: Settings) -> None:
    run_wave(settings, 2025, {})
    told = json.loads(situation(settings, now=NOW).as_json())
    assert set(told) == {"waves", "deliveries", "runs", "checks", "releases", "notes"}
    assert told["runs"][0]["wave"] == 2025
