"""Starting and ending Dagster's services, with a stand-in for them; the real ones are in tests/integration."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import GRPC_INFO_TAG

from pipelines.orchestration.history import opened_instance
from pipelines.orchestration.services import end_lost_runs
from pipelines.settings import Settings


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM between processes")
def test_what_the_ui_started_ends_with_it(settings: Settings, tmp_path: Path) -> None:
    """A service manager ends `axstat ui` by SIGTERM to that one process."""
    noted = tmp_path / "pid"
    # In the place of dagster: notes its process id and arguments, and ends as dagster dev does, by itself
    stand_in = tmp_path / "dagster.py"
    stand_in.write_text(
        textwrap.dedent(f"""\
            import os, pathlib, signal, sys, time
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
            part = pathlib.Path({str(noted) + ".part"!r})
            part.write_text("\\n".join([str(os.getpid()), os.environ["DAGSTER_DISABLE_TELEMETRY"], *sys.argv[1:]]))
            part.rename({str(noted)!r})
            time.sleep(60)
            """),
        encoding="utf-8",
    )
    serving = (
        "import os, sys; from pipelines.orchestration.services import serve_ui; from pipelines.settings import *;"
        f"os.environ['PYTHONPATH'] = {str(tmp_path)!r}; sys.exit(serve_ui(load_settings(), port=1234))"
    )
    environment = os.environ | {"AXSTAT_HOME": str(settings.home)}
    with subprocess.Popen([sys.executable, "-c", serving], env=environment) as parent:
        deadline = time.monotonic() + 60
        while not noted.exists():
            assert parent.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        child, telemetry, *arguments = noted.read_text(encoding="utf-8").split("\n")
        parent.send_signal(signal.SIGTERM)
        # The exit code is that of what it started, which it has waited for
        assert parent.wait(timeout=30) == 7
    with pytest.raises(ProcessLookupError):
        os.kill(int(child), 0)
    assert telemetry == "yes"
    assert arguments == ["dev", "-h", "127.0.0.1", "-p", "1234", "-w", str(settings.workspace_file)]


def test_runs_whose_service_is_gone_are_ended_and_others_are_not(settings: Settings) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    gone = {GRPC_INFO_TAG: json.dumps({"host": "127.0.0.1", "port": port})}
    with opened_instance(settings) as instance:

        def run(status: dg.DagsterRunStatus, tags: dict[str, str]) -> str:
            return instance.create_run_for_job(empty, status=status, tags=tags).run_id

        lost = run(dg.DagsterRunStatus.STARTED, gone)
        of_command = run(dg.DagsterRunStatus.STARTED, {})
        over = run(dg.DagsterRunStatus.SUCCESS, gone)
        assert end_lost_runs(instance) == [lost]
        after = {one.run_id: one.status for one in instance.get_runs()}
    assert after == {
        lost: dg.DagsterRunStatus.FAILURE,
        of_command: dg.DagsterRunStatus.STARTED,
        over: dg.DagsterRunStatus.SUCCESS,
    }


@dg.job
def empty() -> None:
    """A run to look at."""
