"""Where Dagster keeps what ran: its home below the data home, and how `axstat run` writes to it.

Belongs here: the instance's configuration, its event log, errors of a history that cannot be written. Does not belong
here: what runs (runs.py), what of it a person is shown (situation.py), tables about runs in the warehouse.
"""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy
import yaml
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log import SqliteEventLogStorage
from sqlalchemy.pool import StaticPool

from pipelines.environment import POSTGRES_URL
from pipelines.errors import AxstatError
from pipelines.settings import Settings

CONFIG_FILE = "dagster.yaml"
# Runs of whole waves carry this tag; of those that Dagster's daemon starts one is at work at a time, the oldest first
WRITER_TAG, QUEUED, BY_COMMAND = "axstat/writer", "queued", "command"
_OURS = "# Written by axstat, and written anew when it changes. Take this line away to keep a file of your own.\n"
# What earlier versions wrote, without that line
_FORMER = """\
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  pools:
    default_limit: 1
"""
_INSTANCE: dict[str, Any] = {
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},
    "concurrency": {
        "pools": {"default_limit": 1, "granularity": "op"},
        "runs": {"tag_concurrency_limits": [{"key": WRITER_TAG, "value": QUEUED, "limit": 1}]},
    },
    # A run whose process died is started again, once; one that failed at a step waits for a person
    "run_retries": {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False},
    # What a dead run holds of a pool is free again after a minute; a machine that is busy is given time
    "run_monitoring": {
        "enabled": True,
        "poll_interval_seconds": 30,
        "free_slots_after_run_end_seconds": 60,
        "start_timeout_seconds": 900,
    },
    "run_queue": {"max_user_code_failure_retries": 5, "user_code_failure_retry_delay": 60},
    "code_servers": {"local_startup_timeout": 600},
    "freshness": {"enabled": True},
}
# The address of the database stands in the environment alone: Dagster prints its configuration in places
_IN_POSTGRES = {"storage": {"postgres": {"postgres_url": {"env": POSTGRES_URL}}}}
# What a person may have put into dagster.yaml in the place of Dagster's own files
_STORAGES = ("storage", "run_storage", "event_log_storage", "schedule_storage", "instance_class")
_SECONDS_TO_WAIT = 60


def prepare_instance(settings: Settings) -> Path:
    """Dagster's home below the data home, with its configuration.

    Telemetry and its invitation to sign up are off, every pool is one wide, one run writes at a time, and the history
    is in PostgreSQL where the settings say so. A `dagster.yaml` that a person wrote stays as it is.

    Raises:
        AxstatError: a history in PostgreSQL is asked for, but its driver is not installed, or a `dagster.yaml` of a
            person's own says nothing of it.
    """
    if settings.postgres_url is not None and importlib.util.find_spec("dagster_postgres") is None:
        raise AxstatError(
            "postgres_extra_missing",
            where=POSTGRES_URL,
            expected="the extra that writes the run history to PostgreSQL",
            got="it is not installed",
            hint="run `pip install 'axstat[postgres]'`, or unset the variable",
        )
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    path = settings.dagster_home / CONFIG_FILE
    before = path.read_text(encoding="utf-8") if path.exists() else None
    if before is not None and before != _FORMER and not before.startswith(_OURS):
        _require_postgres_in(path, before, settings)
        return settings.dagster_home
    config = _INSTANCE if settings.postgres_url is None else _INSTANCE | _IN_POSTGRES
    text = _OURS + yaml.safe_dump(config, sort_keys=False)
    if text != before:
        # At once, or a service that starts meanwhile finds half of it
        part = path.with_name(f".{path.name}.{os.getpid()}")
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    return settings.dagster_home


def _require_postgres_in(path: Path, text: str, settings: Settings) -> None:
    if settings.postgres_url is not None and not any(name in (yaml.safe_load(text) or {}) for name in _STORAGES):
        raise AxstatError(
            "history_elsewhere",
            where=str(path),
            expected="storage: {postgres: {postgres_url: {env: AXSTAT_POSTGRES_URL}}}, as AXSTAT_POSTGRES_URL is set",
            got="a file of your own without a storage",
            hint="add it to the file, or remove the file: axstat then writes it",
        )


@contextmanager
def opened_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The instance, with an event log that stays open; as `dagster.yaml` has it where that names a storage.

    For runs that hold the warehouse file themselves: their steps do not queue for the pool, behind steps of another
    run that wait for the file.

    Raises:
        AxstatError: as `prepare_instance`; the history cannot be read or written.
    """
    home = str(prepare_instance(settings))
    if settings.postgres_url is not None:
        # The settings file may be where it is from; Dagster looks for it in the environment
        os.environ[POSTGRES_URL] = settings.postgres_url
    config = yaml.safe_load((settings.dagster_home / CONFIG_FILE).read_text(encoding="utf-8")) or {}
    overrides: Any = {"concurrency": {"pools": {"default_limit": 1, "granularity": "run"}}}
    if not any(name in config for name in _STORAGES):
        overrides["event_log_storage"] = {
            "module": __name__,
            "class": KeptEventLogStorage.__name__,
            "config": {"base_dir": str(settings.dagster_home / "history" / "runs")},
        }
    try:
        with dg.DagsterInstance.from_ref(InstanceRef.from_dir(home, overrides=overrides)) as instance:
            yield instance
    except Exception as error:
        # The storage in PostgreSQL tries for a while, and then wraps what the driver said
        said = error if isinstance(error, sqlalchemy.exc.OperationalError) else error.__cause__
        if not isinstance(said, sqlalchemy.exc.OperationalError):
            raise
        raise _unwritable(settings, str(said.orig)) from error


def _unwritable(settings: Settings, reason: str) -> AxstatError:
    in_files = settings.postgres_url is None
    return AxstatError(
        "run_history_failed",
        where=str(settings.dagster_home),
        expected="a run history that can be read and written",
        got=reason,
        hint="make room on the disk, or close what holds the file, and run the wave again; earlier waves stand"
        if in_files
        else "start the database, or correct AXSTAT_POSTGRES_URL, and run the wave again; earlier waves stand",
    )


class KeptEventLogStorage(SqliteEventLogStorage):
    """Dagster's event log in its own files, each opened once and not anew for each of a wave's seven hundred commits.

    Opening anew, with the statements compiled anew, takes three quarters of the time of an event. Nor is the disk
    waited for at each commit: a crash of the program loses nothing, a power cut may lose the last events, but not the
    file (SQLite's documentation on `synchronous = normal` with a write-ahead log, which Dagster uses).
    """

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        """As Dagster's; the files are opened when they are first asked for."""
        self._engines: dict[str, sqlalchemy.Engine] = {}
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "KeptEventLogStorage":
        """As Dagster's, which makes one of its own class."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sqlalchemy.Connection]:
        if shard not in self._engines:
            # Dagster's makes the file and its tables where they are missing
            with super()._connect(shard):
                pass
            engine = sqlalchemy.create_engine(
                self.conn_string_for_shard(shard),
                poolclass=StaticPool,
                connect_args={"timeout": _SECONDS_TO_WAIT, "check_same_thread": False},
            )
            sqlalchemy.event.listen(engine, "connect", _do_not_wait_for_the_disk)
            self._engines[shard] = engine
        with self._db_lock, self._engines[shard].begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close the files."""
        super().dispose()
        while self._engines:
            self._engines.popitem()[1].dispose()


def _do_not_wait_for_the_disk(connection: Any, _record: object) -> None:
    connection.execute("pragma synchronous = normal")
