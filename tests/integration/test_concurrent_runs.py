"""Runs at once, by whichever executor: nobody's writes collide, and the numbers are those of a run alone.

Two runs of Dagster's multiprocess executor, each step a process of its own, and `axstat run` beside them, all of one
wave of one warehouse.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from pipelines.contracts.library import load_library
from pipelines.orchestration.history import prepare_instance
from pipelines.settings import Settings, load_settings
from pipelines.synthetic.country import write_deliveries
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse

pytestmark = pytest.mark.slow

SEED, SCALE, WAVE = 20240926, 0.01, 2021
SURVEY = "industry"
# Each is a process that imports everything; with the checks of core they are enough to meet
STEPS = ("deliveries", "staging", "core")
NUMBERS = ("core.units", "core.frame", "core.sample", "core.unit_measure")
ENOUGH_SECONDS = 1500


def home(folder: Path) -> Settings:
    settings = load_settings({"AXSTAT_HOME": str(folder)})
    write_deliveries(folder, load_library(settings.contracts_dir), seed=SEED, waves=(WAVE,), scale=SCALE)
    return settings


@dataclass(frozen=True)
class Started:
    """A process and what it says: in a file, for nobody reads a pipe while another process is waited for."""

    process: subprocess.Popen[bytes]
    log: Path


def start(settings: Settings, *arguments: str) -> Started:
    environment = os.environ | {
        "AXSTAT_HOME": str(settings.home),
        "DAGSTER_HOME": str(prepare_instance(settings)),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
    }
    log = settings.home / f"said-{len(list(settings.home.glob('said-*')))}.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], env=environment, stdout=said, stderr=subprocess.STDOUT
        )
    return Started(process, log)


def by_command(settings: Settings) -> Started:
    return start(settings, "pipelines.cli", "run", "--wave", str(WAVE))


def by_processes(settings: Settings) -> Started:
    assets = ",".join(f"{SURVEY}/{step}" for step in STEPS)
    module = ("-m", "pipelines.definitions")
    return start(settings, "dagster", "asset", "materialize", *module, "--select", assets, "--partition", str(WAVE))


def finished(*started: Started) -> None:
    try:
        for one in started:
            one.process.wait(timeout=ENOUGH_SECONDS)
            assert one.process.returncode == 0, one.log.read_text(encoding="utf-8")[-5000:]
    finally:
        for one in started:
            one.process.kill()
            one.process.wait()


def numbers(settings: Settings) -> Mapping[str, pl.DataFrame]:
    library = load_library(settings.contracts_dir)
    with Warehouse(settings.warehouse_file, SqlCatalogue(settings.sql_dir), library).session() as session:
        return {name: session.table(name, where={"survey": SURVEY, "wave": WAVE}) for name in NUMBERS}


def test_runs_at_once_take_turns_and_give_the_numbers_of_one_alone(tmp_path: Path) -> None:
    alone, together = home(tmp_path / "alone"), home(tmp_path / "together")
    # Units are known by hashes with a secret of the warehouse, which must be the same for both
    finished(by_command(alone))
    together.warehouse_file.parent.mkdir(parents=True)
    key = alone.warehouse_file.with_name("unit_key")
    together.warehouse_file.with_name("unit_key").write_bytes(key.read_bytes())
    together.warehouse_file.with_name("unit_key").chmod(0o600)

    # Dagster makes the files of a new history without a lock
    with dg.DagsterInstance.from_config(str(prepare_instance(together))) as instance:
        assert instance.get_runs() == []
        assert instance.event_log_storage.get_concurrency_keys() == set()

    finished(by_processes(together), by_processes(together), by_command(together))

    expected = numbers(alone)
    for name, table in numbers(together).items():
        assert table.height > 0
        assert table.equals(expected[name]), name
    with dg.DagsterInstance.from_config(str(together.dagster_home)) as instance:
        runs = instance.get_runs()
        assert [run.status for run in runs] == [dg.DagsterRunStatus.SUCCESS] * 3
        for run in runs:
            if "axstat/writer" in run.tags:
                continue
            steps = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_SUCCESS)
            pids = {entry.dagster_event.pid for entry in steps if entry.dagster_event is not None}
            # A process for each step: the executor is the one that would collide
            assert len(pids) == len(steps) >= len(STEPS)
        # Nothing is left that the next run would wait for
        info = instance.event_log_storage.get_concurrency_info("warehouse")
        assert (info.slot_count, info.active_slot_count, info.pending_step_count) == (1, 0, 0)
