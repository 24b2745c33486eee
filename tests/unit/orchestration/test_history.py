import sqlite3
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy
import yaml

from pipelines.errors import AxstatError
from pipelines.orchestration.history import opened_instance, prepare_instance
from pipelines.settings import Settings


@dg.job
def two_steps() -> None:
    @dg.op
    def first() -> int:
        return 1

    @dg.op
    def second(number: int) -> None:
        assert number == 1

    second(first())


def test_the_instance_tells_nobody_and_runs_one_step_at_a_time(settings: Settings) -> None:
    home = prepare_instance(settings)
    assert home == settings.dagster_home
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1
        assert Path(instance.root_directory) == home


def test_a_changed_configuration_is_kept(settings: Settings) -> None:
    config = prepare_instance(settings) / "dagster.yaml"
    own = yaml.safe_load(config.read_text(encoding="utf-8")) | {"retention": {"schedule": {"purge_after_days": 9}}}
    config.write_text(yaml.safe_dump(own), encoding="utf-8")
    prepare_instance(settings)
    assert yaml.safe_load(config.read_text(encoding="utf-8")) == own


def test_what_ran_is_read_by_dagsters_own_storage(settings: Settings) -> None:
    with opened_instance(settings) as instance:
        assert two_steps.execute_in_process(instance=instance).success
    with dg.DagsterInstance.from_config(str(settings.dagster_home)) as plain:
        [run] = plain.get_runs()
        assert run.status is dg.DagsterRunStatus.SUCCESS
        events = [log.dagster_event_type for log in plain.all_logs(run.run_id)]
    assert events.count(dg.DagsterEventType.STEP_SUCCESS) == 2
    assert events[-1] is dg.DagsterEventType.RUN_SUCCESS


def test_a_file_is_not_opened_anew_for_each_event(settings: Settings) -> None:
    opened: Counter[str] = Counter()

    def note(connection: sqlite3.Connection, _record: object) -> None:
        opened[Path(connection.execute("pragma database_list").fetchone()[2]).stem] += 1

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", note)
    try:
        with opened_instance(settings) as instance:
            run = two_steps.execute_in_process(instance=instance).run_id
            events = len(instance.all_logs(run))
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "connect", note)
    # Dagster's own storage opens it a few times to make its tables
    assert 0 < opened[run] < events / 2


def test_a_storage_of_ones_own_is_used(settings: Settings, tmp_path: Path) -> None:
    config = prepare_instance(settings) / "dagster.yaml"
    own = {"storage": {"sqlite": {"base_dir": str(tmp_path / "elsewhere")}}}
    config.write_text(yaml.safe_dump(own), encoding="utf-8")
    with opened_instance(settings) as instance:
        assert two_steps.execute_in_process(instance=instance).success
    assert list((tmp_path / "elsewhere").rglob("*.db"))
    assert not (settings.dagster_home / "history").exists()


def test_a_history_that_cannot_be_written_says_so(settings: Settings) -> None:
    with opened_instance(settings) as instance:
        run = two_steps.execute_in_process(instance=instance).run_id
    log = settings.dagster_home / "history" / "runs" / f"{run}.db"
    with sqlalchemy.create_engine(f"sqlite:///{log}").begin() as connection:
        connection.execute(sqlalchemy.text("drop table event_logs"))
    with pytest.raises(AxstatError, match="run_history_failed") as caught, opened_instance(settings) as instance:
        instance.all_logs(run)
    assert caught.value.where == str(settings.dagster_home)
    assert "event_logs" in caught.value.got
