"""One at a time: a lock that ends with its process, and words for who waits.

Belongs here: taking the lock of a file or folder, and who holds it. Does not belong here: what is done meanwhile, the
lock that DuckDB itself puts on its file (database).

The system lets go of the lock when its process ends, however it ends: a killed run keeps nobody out.
"""

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

_LONGEST_PAUSE = 0.5


class HeldError(Exception):
    """The lock is somebody's still at the deadline; the text says whose."""


class Lock:
    """The lock of `path`: the file `.<name>.lock` beside it, and beside that who holds it.

    Whoever has it in this process may take it again, as DuckDB opens a file twice in one process.
    """

    def __init__(self, path: Path) -> None:
        """Name the files; nothing is made yet."""
        self._lock_file = path.with_name(f".{path.name}.lock")
        self._holder_file = path.with_name(f".{path.name}.holder")
        self._guard = _guard_of(self._lock_file)

    @contextmanager
    def held(self, *, timeout: float) -> Iterator[None]:
        """Hold the lock for the block.

        Args:
            timeout: seconds to wait for another process.

        Raises:
            HeldError: another process holds it longer.
            OSError: the lock cannot be made, as on a folder that may not be written.
        """
        self._lock_file.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + timeout
        pause = 0.02
        while not self._taken():
            if time.monotonic() + pause > deadline:
                raise HeldError(self._holder())
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        try:
            yield
        finally:
            self._let_go()

    def _taken(self) -> bool:
        with self._guard.guard:
            if self._guard.holders == 0:
                try:
                    self._guard.lock.acquire(timeout=0)
                except Timeout:
                    return False
                try:
                    self._holder_file.write_text(_this_process(), encoding="utf-8")
                except OSError:
                    self._guard.lock.release()
                    raise
            self._guard.holders += 1
            return True

    def _let_go(self) -> None:
        with self._guard.guard:
            self._guard.holders -= 1
            if self._guard.holders == 0:
                self._holder_file.unlink(missing_ok=True)
                self._guard.lock.release()

    def _holder(self) -> str:
        try:
            return self._holder_file.read_text(encoding="utf-8") or "another process"
        except OSError:
            # It took the lock this moment and has not said its name yet
            return "another process"


class _Guard:
    """What the locks of one file in one process share."""

    def __init__(self, lock_file: Path) -> None:
        self.guard = threading.Lock()
        self.lock = FileLock(lock_file, mode=0o600, thread_local=False)
        self.holders = 0


_guards_guard = threading.Lock()
_guards: dict[Path, _Guard] = {}


def _guard_of(lock_file: Path) -> _Guard:
    with _guards_guard:
        return _guards.setdefault(lock_file.absolute(), _Guard(lock_file.absolute()))


def _this_process() -> str:
    """Command, process, machine and moment, without the command's arguments."""
    command = " ".join((Path(sys.argv[0]).name, *(word for word in sys.argv[1:2] if not word.startswith("-"))))
    since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
    return f"{command} (process {os.getpid()} on {socket.gethostname()}, since {since})"
