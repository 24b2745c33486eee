"""The other side of process.py: what every reader's program does.

Belongs here: the limit on memory and the form of the answer. Does not belong here: any import that a program can do
without: each file pays for it.
"""

import json
import resource
import sys
from collections.abc import Callable, Mapping
from typing import IO, Protocol


class Frame(Protocol):
    """What is written: a frame of polars, which not every program imports."""

    def write_ipc_stream(self, file: IO[bytes], /) -> object:
        """Write the rows as an Arrow stream."""


def run(main: Callable[..., None]) -> None:
    """Call `main` with the program's arguments, in the memory (bytes) that the first of them grants."""
    memory, *arguments = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    main(*arguments)


def answer(found: Mapping[str, object], frame: Frame | None = None) -> None:
    """Write one line of JSON and, if there are any, rows to standard output."""
    sys.stdout.buffer.write(json.dumps(found).encode("ascii") + b"\n")
    if frame is not None:
        frame.write_ipc_stream(sys.stdout.buffer)


def refuse(error: BaseException) -> None:
    """Answer that the file cannot be read."""
    answer({"error": type(error).__name__, "text": str(error)})
