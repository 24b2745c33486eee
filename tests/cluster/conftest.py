"""A Spark cluster on loopback, started for the tests and stopped after them.

Belongs here: processes and their ends. Does not belong here: what is computed on them.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

LOOPBACK = "127.0.0.1"
# Seconds a process has to answer, on a machine that does other things too
PATIENCE = 240.0
EXECUTOR = "CoarseGrainedExecutorBackend"


@dataclass(frozen=True)
class Cluster:
    """A standalone master with two workers of one core each."""

    address: str
    workers: tuple[int, ...]  # their process ids

    def executors(self) -> list[int]:
        """Process ids of the executors that are at work."""
        return [
            int(process.name)
            for process in Path("/proc").glob("[0-9]*")
            if _parent(process) in self.workers and EXECUTOR in _command(process)
        ]


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind((LOOPBACK, 0))
        return int(bound.getsockname()[1])


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {PATIENCE:g} s"
        time.sleep(0.1)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a program of Spark's and what it started, if it is there yet."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=60)


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().decode(errors="replace")
    except OSError:  # it has ended
        return ""


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except OSError:
        return 0


@pytest.fixture(scope="session")
def start(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str, Sequence[str]], subprocess.Popen[bytes]]]:
    """Starts a program of Spark's with its log in a file; all of them end with the tests."""
    if not os.environ.get("CI") and shutil.which("java") is None:
        pytest.skip("needs Java (Debian: default-jre-headless)")
    pyspark = pytest.importorskip("pyspark", reason="needs `make spark`")
    home = Path(pyspark.__file__).parent
    logs = tmp_path_factory.mktemp("spark")
    running: list[subprocess.Popen[bytes]] = []

    def begin(name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": LOOPBACK}
        # A machine that is too busy to answer itself has not lost a worker
        environment["SPARK_MASTER_OPTS"] = f"-Dspark.worker.timeout={2 * PATIENCE:.0f}"
        with (logs / f"{name}.log").open("wb") as log:
            made = subprocess.Popen(
                [str(home / "bin" / command[0]), *command[1:]],
                cwd=logs,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        running.append(made)
        return made

    yield begin
    for process in reversed(running):
        end(process)


@pytest.fixture(scope="session")
def cluster(start: Callable[[str, Sequence[str]], subprocess.Popen[bytes]]) -> Cluster:
    port = free_port()
    address = f"spark://{LOOPBACK}:{port}"
    at = ["--host", LOOPBACK, "--webui-port", "0"]
    start("master", ["spark-class", "org.apache.spark.deploy.master.Master", "--port", str(port), *at])
    wait_for(lambda: answers(port), "master")
    limits = ["--cores", "1", "--memory", "1g"]
    workers = []
    for number in (1, 2):
        folder = ["--work-dir", f"worker-{number}"]
        worker = ["spark-class", "org.apache.spark.deploy.worker.Worker", *at, *limits, *folder, address]
        workers.append(start(f"worker-{number}", worker).pid)
    return Cluster(address, tuple(workers))


@pytest.fixture
def connect(cluster: Cluster, start: Callable[[str, Sequence[str]], subprocess.Popen[bytes]]) -> Iterator[str]:
    """The address of a Spark Connect server on the cluster; as long as it is there it has all cores."""
    port = free_port()
    settings = {
        "spark.connect.grpc.binding.address": LOOPBACK,
        "spark.connect.grpc.binding.port": str(port),
        "spark.driver.host": LOOPBACK,
        "spark.driver.bindAddress": LOOPBACK,
        "spark.ui.enabled": "false",
    }
    chosen = [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
    program = ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    server = start("connect", ["spark-submit", "--master", cluster.address, *chosen, *program])
    wait_for(lambda: answers(port), "Spark Connect server")
    yield f"sc://{LOOPBACK}:{port}"
    end(server)
