"""Dagster's webserver and daemon: starting them on this machine, and ending what earlier ones left behind.

Belongs here: processes and what they are given. Does not belong here: where the history is (history.py), what runs.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Literal

import dagster as dg
import grpc
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value

from pipelines.orchestration.history import opened_instance, prepare_instance
from pipelines.settings import Settings

Part = Literal["web", "daemon"]
_AT_WORK = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_SECONDS_TO_ANSWER = 10
_A_LOOK_SECONDS = 0.5


def serve_ui(settings: Settings, *, port: int, only: Part | None = None) -> int:
    """Dagster's webserver and daemon on loopback until stopped; the exit code of the one that ended first.

    Args:
        only: one of the two, for a service manager that looks after each; None: both, and with one the other ends.

    Raises:
        AxstatError: the run history cannot be read or written.
    """
    home = prepare_instance(settings)
    if only != "web":
        with opened_instance(settings) as instance:
            end_lost_runs(instance)
    environment = os.environ | {
        # Those of the settings file too: Dagster reads the environment
        **settings.environment,
        "AXSTAT_HOME": str(settings.home),
        "DAGSTER_HOME": str(home),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
    }
    commands: dict[Part, list[str]] = {
        "web": ["pipelines.orchestration.webserver", "-h", "127.0.0.1", "-p", str(port)],
        "daemon": ["dagster._daemon", "run"],
    }
    form = ["--log-format", "json"] if settings.json_logs else []
    services = [
        subprocess.Popen([sys.executable, "-m", *command, "-w", str(settings.workspace_file), *form], env=environment)
        for part, command in commands.items()
        if only in (None, part)
    ]

    def end() -> None:
        for service in services:
            if service.poll() is None:
                service.terminate()

    # Ctrl-C reaches every process of a terminal; what ends this one alone must end them too
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: end())
    try:
        return _first_to_end(services)
    except KeyboardInterrupt:
        return services[0].wait()
    finally:
        end()
        for service in services:
            service.wait()
        signal.signal(signal.SIGTERM, before)


def _first_to_end(services: Sequence[subprocess.Popen[bytes]]) -> int:
    while True:
        for service in services:
            try:
                return service.wait(timeout=_A_LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                continue


def end_lost_runs(instance: dg.DagsterInstance) -> list[str]:
    """Say of runs whose process went away with its service that they failed; their ids.

    After a power cut they would stand as at work for ever, and keep the next ones waiting. Runs of the command line are
    ended by the next one (runs.py).
    """
    ended = []
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=_AT_WORK)):
        server = run.tags.get(GRPC_INFO_TAG)
        if server is None or _is_at_work(run.run_id, json.loads(server)):
            continue
        instance.report_run_failed(run, "The service that ran this run ended; the next one found it unfinished.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        ended.append(run.run_id)
    return ended


def _is_at_work(run_id: str, server: dict[str, Any]) -> bool:
    """Whether the process that was to run it is there and knows it; one that does not answer in time may be busy."""
    client = DagsterGrpcClient(
        host=server["host"],
        port=server.get("port"),
        socket=server.get("socket"),
        use_ssl=bool(server.get("use_ssl", False)),
    )
    try:
        answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run_id), timeout=_SECONDS_TO_ANSWER)
    except DagsterUserCodeUnreachableError as error:
        return not isinstance(error.__cause__, grpc.RpcError) or error.__cause__.code() != grpc.StatusCode.UNAVAILABLE
    return deserialize_value(answer, CanCancelExecutionResult).can_cancel
