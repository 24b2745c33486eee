"""The other side of process.py: what every reader's program does.

Belongs here: the limit on memory and the form of the answer. Does not belong here: any import that a program can do
without: each file pays for it.
"""

import json
import sys
from collections.abc import Callable, Mapping
from typing import IO

if sys.platform != "win32":
    import resource


def run(main: Callable[..., None]) -> None:
    """Call `main` with the program's arguments, in the memory (bytes) that the first of them grants.

    Windows has no such limit for a process by itself: there a file may take what memory there is.
    """
    memory, *arguments = sys.argv[1:]
    if sys.platform != "win32":
        resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    main(*arguments)


def answer(found: Mapping[str, object], write_rows: Callable[[IO[bytes]], object] | None = None) -> None:
    """Write one line of JSON and, if there are any, rows to standard output.

    Args:
        write_rows: writes them to the file that it gets, as an Arrow stream.
    """
    # Not sys.stdout.buffer: with PYTHONUNBUFFERED it takes a part of what a process that is stopped meanwhile writes,
    # and libraries do not look how much
    with open(sys.stdout.fileno(), "wb", closefd=False) as output:
        output.write(json.dumps(found).encode("ascii") + b"\n")
        output.flush()
        if write_rows is not None:
            write_rows(output)


def refuse(error: BaseException) -> None:
    """Answer that the file cannot be read."""
    answer({"error": type(error).__name__, "text": str(error)})
