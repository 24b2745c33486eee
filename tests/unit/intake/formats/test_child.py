import array
import fcntl
import os
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import polars as pl
import pytest

ROWS = 100_000


def _waiting(pipe: int) -> int:
    """Bytes in a pipe that nobody has read yet."""
    found = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, found)
    return found[0]


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_is_stopped_in_the_middle_of_its_answer_loses_nothing(tmp_path: Path, unbuffered: str) -> None:
    """As Ctrl-Z and fg do, or a system that pauses its processes: the write at work ends with a part of its bytes."""
    path = tmp_path / "f.parquet"
    pl.DataFrame({"a": range(ROWS)}).write_parquet(path)
    command = [sys.executable, "-m", "pipelines.intake.formats.parquet_process", str(2**33), str(path), "1000000", "10"]
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as reader:
        assert reader.stdout is not None
        deadline, before = time.monotonic() + 30, -1
        # Nobody reads: the pipe is full when it no longer fills
        while (there := _waiting(reader.stdout.fileno())) == 0 or there != before:
            assert time.monotonic() < deadline
            before = there
            time.sleep(0.2)
        assert there < 8 * ROWS
        reader.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, reader.pid, os.WSTOPPED)
        reader.send_signal(signal.SIGCONT)
        _, _, rows = reader.communicate(timeout=30)[0].partition(b"\n")
    assert pl.read_ipc_stream(rows)["c0"].to_list() == list(range(ROWS))
