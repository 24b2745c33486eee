import sqlite3
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy
import yaml

from pipelines.errors import AxstatError
from pipelines.orchestration.history import opened_instance, prepare_instance
from pipelines.settings import Settings, load_settings


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


def config_of(settings: Settings) -> Path:
    return prepare_instance(settings) / "dagster.yaml"


def test_runs_of_waves_queue_and_a_dead_run_is_started_once_more(settings: Settings) -> None:
    with dg.DagsterInstance.from_config(str(prepare_instance(settings))) as instance:
        [limit] = instance.get_concurrency_config().run_queue_config.tag_concurrency_limits
        assert limit == {"key": "axstat/writer", "value": "queued", "limit": 1}
        assert instance.run_retries_enabled
        assert instance.run_retries_max_retries == 1
        # A fault of the data does not go away by itself
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert instance.run_monitoring_enabled
        assert instance.freshness_enabled


def test_a_configuration_of_ones_own_is_kept(settings: Settings) -> None:
    config = config_of(settings)
    own = yaml.safe_load(config.read_text(encoding="utf-8")) | {"retention": {"schedule": {"purge_after_days": 9}}}
    config.write_text(yaml.safe_dump(own), encoding="utf-8")
    prepare_instance(settings)
    assert yaml.safe_load(config.read_text(encoding="utf-8")) == own


def test_the_configuration_of_an_earlier_version_is_written_anew(settings: Settings) -> None:
    config = config_of(settings)
    wanted = config.read_text(encoding="utf-8")
    first_line = wanted.splitlines()[0]
    for before in (
        # What the first version of axstat wrote
        "telemetry:\n  enabled: false\nnux:\n  enabled: false\nconcurrency:\n  pools:\n    default_limit: 1\n",
        f"{first_line}\ntelemetry:\n  enabled: true\n",
    ):
        config.write_text(before, encoding="utf-8")
        prepare_instance(settings)
        assert config.read_text(encoding="utf-8") == wanted
    assert [path.name for path in config.parent.iterdir()] == ["dagster.yaml"]


def in_postgres(settings: Settings) -> Settings:
    return load_settings(
        {"AXSTAT_HOME": str(settings.home), "AXSTAT_POSTGRES_URL": "postgresql://u:mark3r@127.0.0.1:9/runs"}
    )


def test_the_address_of_the_database_is_not_written_down(settings: Settings) -> None:
    text = config_of(in_postgres(settings)).read_text(encoding="utf-8")
    assert yaml.safe_load(text)["storage"] == {"postgres": {"postgres_url": {"env": "AXSTAT_POSTGRES_URL"}}}
    assert "mark3r" not in text
    # And back again, where it is no longer set
    assert "storage" not in yaml.safe_load(config_of(settings).read_text(encoding="utf-8"))


def test_a_configuration_of_ones_own_without_the_database_is_refused(settings: Settings) -> None:
    config = config_of(settings)
    config.write_text("telemetry: {enabled: false}", encoding="utf-8")
    with pytest.raises(AxstatError, match="history_elsewhere"):
        prepare_instance(in_postgres(settings))
    config.write_text("storage: {postgres: {postgres_url: {env: AXSTAT_POSTGRES_URL}}}", encoding="utf-8")
    prepare_instance(in_postgres(settings))


def test_without_the_extra_it_says_what_to_install(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(AxstatError, match="postgres_extra_missing") as caught:
        prepare_instance(in_postgres(settings))
    assert "axstat[postgres]" in caught.value.hint


def test_a_database_that_does_not_answer_says_so_without_its_address(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagster_postgres.utils.time.sleep", lambda _seconds: None)
    monkeypatch.setenv("AXSTAT_POSTGRES_URL", "")
    with pytest.raises(AxstatError, match="run_history_failed") as caught, opened_instance(in_postgres(settings)):
        """Never opened."""
    assert "start the database" in caught.value.hint
    assert "mark3r" not in str(caught.value)


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
