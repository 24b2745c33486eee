"""Where Dagster keeps what ran: its home below the data home, and how `axstat run` writes to it.

Belongs here: the instance's configuration, its event log, errors of a history that cannot be written. Does not belong
here: what runs (runs.py), tables about runs in the warehouse.
"""

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

from pipelines.errors import AxstatError
from pipelines.settings import Settings

_INSTANCE_CONFIG = """\
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  pools:
    default_limit: 1
"""
# What a person may have put into dagster.yaml in the place of Dagster's own files
_STORAGES = ("storage", "run_storage", "event_log_storage", "schedule_storage", "instance_class")
_SECONDS_TO_WAIT = 60


def prepare_instance(settings: Settings) -> Path:
    """Dagster's home below the data home, with telemetry and its invitation to sign up off and every pool one wide.

    A `dagster.yaml` that is there already stays as it is.
    """
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    config = settings.dagster_home / "dagster.yaml"
    if not config.exists():
        config.write_text(_INSTANCE_CONFIG, encoding="utf-8")
    return settings.dagster_home


@contextmanager
def opened_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The instance, with an event log that stays open; as `dagster.yaml` has it where that names a storage.

    Raises:
        AxstatError: the history cannot be written.
    """
    home = str(prepare_instance(settings))
    config = yaml.safe_load((settings.dagster_home / "dagster.yaml").read_text(encoding="utf-8")) or {}
    event_log = {
        "module": __name__,
        "class": KeptEventLogStorage.__name__,
        "config": {"base_dir": str(settings.dagster_home / "history" / "runs")},
    }
    overrides: Any = {} if any(name in config for name in _STORAGES) else {"event_log_storage": event_log}
    try:
        with dg.DagsterInstance.from_ref(InstanceRef.from_dir(home, overrides=overrides)) as instance:
            yield instance
    except sqlalchemy.exc.OperationalError as error:
        raise AxstatError(
            "run_history_failed",
            where=home,
            expected="a run history that can be written",
            got=str(error.orig),
            hint="make room on the disk, or close what holds the file, and run the wave again; earlier waves stand",
        ) from error


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
