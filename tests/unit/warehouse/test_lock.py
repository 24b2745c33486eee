"""One process at a time, and who waits is told for whom."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipelines.warehouse.lock import HeldError, Lock
from tests.unit.warehouse.conftest import HOLD, another


def test_who_waits_too_long_is_told_who_has_it(tmp_path: Path) -> None:
    with another(tmp_path / "file") as process:
        with pytest.raises(HeldError) as raised, Lock(tmp_path / "file").held(timeout=0.1):
            pass
        told = str(raised.value)
        assert told.startswith(f"-c run (process {process.pid} on ")
        assert "since 20" in told
        assert "secret" not in told


def test_a_killed_process_keeps_nobody_out(tmp_path: Path) -> None:
    with another(tmp_path / "file") as process:
        process.kill()
        process.wait(10)
        with Lock(tmp_path / "file").held(timeout=5):
            pass


def test_it_is_taken_when_the_other_lets_go(tmp_path: Path) -> None:
    held = threading.Event()

    def wait() -> None:
        with Lock(tmp_path / "file").held(timeout=20):
            held.set()

    waiting = threading.Thread(target=wait)
    with another(tmp_path / "file"):
        waiting.start()
        assert not held.wait(0.3)
    waiting.join(20)
    assert held.is_set()


def test_a_process_may_take_it_again_and_lets_go_at_the_last_end(tmp_path: Path) -> None:
    asked = [sys.executable, "-c", HOLD, "run", str(tmp_path / "file")]

    def free() -> bool:
        return subprocess.run(asked, check=False, input="", capture_output=True, text=True).returncode == 0

    with Lock(tmp_path / "file").held(timeout=0):
        with Lock(tmp_path / "file").held(timeout=0):
            pass
        assert not free()
    assert free()


def test_its_files_are_for_their_owner(tmp_path: Path) -> None:
    with Lock(tmp_path / "file").held(timeout=0):
        assert (tmp_path / ".file.lock").stat().st_mode & 0o077 == 0


def test_a_folder_that_is_none_is_told_as_the_system_does(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), Lock(tmp_path / "file" / "below").held(timeout=0):
        pass
