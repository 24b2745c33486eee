"""Starting and ending Dagster's services, with a stand-in for them; the real ones are in tests/integration."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import GRPC_INFO_TAG

from pipelines.orchestration.history import opened_instance
from pipelines.orchestration.services import end_lost_runs
from pipelines.settings import Settings, load_settings

NOTING = """\
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
noted = pathlib.Path(os.environ["NOTED"]) / __spec__.name.rpartition(".")[2]
part = noted.with_suffix(".part")
part.write_text("\\n".join([str(os.getpid()), os.environ["DAGSTER_DISABLE_TELEMETRY"], *sys.argv[1:]]))
part.rename(noted)
time.sleep(0 if os.environ["ENDS"] in __spec__.name else 60)
"""
WORKSPACE = ["-w", str(load_settings({}).workspace_file)]
ARGUMENTS = {"webserver": ["-h", "127.0.0.1", "-p", "1234", *WORKSPACE], "_daemon": ["run", *WORKSPACE]}


@contextmanager
def served(tmp_path: Path, settings: Settings, *, ends: str = "none") -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """`axstat ui` with stand-ins for what it starts: they note their process and arguments; one may end at once."""
    for name in ("pipelines/orchestration/webserver.py", "dagster/_daemon.py"):
        path = tmp_path / "found_first" / name
        path.parent.mkdir(parents=True)
        path.write_text(NOTING, encoding="utf-8")
        for package in path.relative_to(tmp_path).parents[:-2]:
            (tmp_path / package / "__init__.py").touch()
    noted = tmp_path / "noted"
    noted.mkdir()
    serving = (
        "import os, sys; from pipelines.orchestration.services import serve_ui; from pipelines.settings import *;"
        f"os.environ['PYTHONPATH'] = {str(tmp_path / 'found_first')!r}; os.chdir({str(tmp_path)!r});"
        "sys.exit(serve_ui(load_settings(), port=1234))"
    )
    environment = os.environ | {"AXSTAT_HOME": str(settings.home), "NOTED": str(noted), "ENDS": ends}
    with subprocess.Popen([sys.executable, "-c", serving], env=environment) as parent:
        try:
            yield parent, noted
        finally:
            parent.kill()


def ended(noted: Path) -> bool:
    """Whether the process that noted this is gone."""
    try:
        os.kill(int(noted.read_text(encoding="utf-8").split("\n")[0]), 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM between processes")
def test_what_the_ui_started_ends_with_it(settings: Settings, tmp_path: Path) -> None:
    """A service manager ends `axstat ui` by SIGTERM to that one process."""
    with served(tmp_path, settings) as (parent, noted):
        deadline = time.monotonic() + 60
        while {path.name for path in noted.iterdir()} != set(ARGUMENTS):
            assert parent.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        parent.send_signal(signal.SIGTERM)
        # The exit code is that of what it started, which it has waited for
        assert parent.wait(timeout=30) == 7
    for name, wanted in ARGUMENTS.items():
        _, telemetry, *arguments = (noted / name).read_text(encoding="utf-8").split("\n")
        assert (telemetry, arguments) == ("yes", wanted)
        assert ended(noted / name)


def test_with_one_of_them_the_other_ends(settings: Settings, tmp_path: Path) -> None:
    with served(tmp_path, settings, ends="_daemon") as (parent, noted):
        assert parent.wait(timeout=60) == 0
        # The other may have been ended before it could note anything
        assert not (noted / "webserver").exists() or ended(noted / "webserver")


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
