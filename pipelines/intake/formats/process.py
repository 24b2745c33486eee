"""Native readers in a process of their own, which ends when they crash, run out of memory or find no end.

Belongs here: starting such a process and telling how it ended. Does not belong here: what it reads (the programs, named
..._process), its own side of the pipe (child.py).
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.errors import ViolationsError
from pipelines.intake.limits import Limits, too_large
from pipelines.intake.problems import file_error

# How Python ends after an error that the reader's program does not expect
_TRACEBACK = 1
# What allocators of C++, Rust and Python say before they give up
_OUT_OF_MEMORY = (b"MemoryError", b"memory allocation of", b"bad_alloc")
# Threads reserve address space, which counts against the limit on memory.
_FEW_THREADS = {"POLARS_MAX_THREADS": "2", "OMP_NUM_THREADS": "2", "MALLOC_ARENA_MAX": "2", "RUST_BACKTRACE": "0"}


def read_in_process(
    program: str, path: Path, arguments: Sequence[str], *, file: str, what: str, hint: str, limits: Limits
) -> tuple[dict[str, Any], bytes]:
    """What a reader's program answers: its line of JSON, and its rows as an Arrow stream (empty: none).

    Args:
        program: the module to run. path, arguments: of its main.
        file, what, hint: words of messages: the file, what it should be, and what to do if it is not.

    Raises:
        ViolationsError: the program crashed, or needed more time or memory than the limits.
        RuntimeError: the program itself is wrong.
    """
    command = [sys.executable, "-m", program, str(limits.memory_bytes), str(path), *arguments]
    seconds = limits.seconds + path.stat().st_size * limits.seconds_per_mib // 2**20
    try:
        reader = subprocess.run(
            command, capture_output=True, check=False, timeout=seconds, env=os.environ | _FEW_THREADS
        )
    except subprocess.TimeoutExpired as error:
        raise too_large(
            file,
            expected=f"{what} that is read in {seconds:,} seconds",
            got="no end",
            hint=f"{hint}, if it is damaged; else send it in parts",
        ) from error
    if any(words in reader.stderr for words in _OUT_OF_MEMORY):
        raise _too_much_memory(file, what, limits)
    if reader.returncode == _TRACEBACK:
        raise RuntimeError(f"{program} on {file}:\n{reader.stderr.decode(errors='replace')}")
    if reader.returncode != 0:
        got = f"bytes that crash its reader (status {reader.returncode})"
        raise file_error(file, "truncated_file", expected=what, got=got, hint=hint)
    line, _, rows = reader.stdout.partition(b"\n")
    found = json.loads(line)
    if "MemoryError" in found.get("error", ""):
        raise _too_much_memory(file, what, limits)
    return found, rows


def _too_much_memory(file: str, what: str, limits: Limits) -> ViolationsError:
    return too_large(
        file,
        expected=f"{what} that is read in {limits.memory_bytes / 2**30:.2g} GiB of memory",
        got="more, or a size that damaged bytes claim",
        hint="check that the file opens, delete far-off cells and unused sheets, or send it in parts",
    )
