"""One file from a source onto the disk, again and again where that helps, keeping what came.

Belongs here: what is tried again, and the limits and the hash of one file. Does not belong here: how a kind of source
is read (remote), what becomes of a delivery (fetch).
"""

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import tenacity

from pipelines.contracts.sources import Source
from pipelines.intake.sources.faults import Deadline, SourceError
from pipelines.intake.sources.remote import Remote

_LONGEST_PAUSE = 30.0

Result = TypeVar("Result")


@dataclass(frozen=True)
class Patience:
    """How long a source is waited for: `limits.attempts` tries at one thing, with ever longer pauses, until `deadline`.

    Attributes:
        sleep: waits so many seconds.
    """

    source: Source
    deadline: Deadline
    sleep: Callable[[float], None] = time.sleep

    def ask(self, path: str, call: Callable[[], Result]) -> Result:
        """The result of `call`, which is made again after faults that may pass.

        Raises:
            SourceError: the last one, when tries or time ran out, or one that would not pass.
        """
        self.deadline.check(path)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, SourceError) and error.transient),
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(self.source.limits.attempts),
                tenacity.stop_before_delay(self.deadline.left()),
            ),
            wait=tenacity.wait_exponential_jitter(initial=1.0, max=_LONGEST_PAUSE),
            sleep=self.sleep,
            reraise=True,
        )
        return retrying(call)


def download(
    remote: Remote,
    path: str,
    target: Path,
    *,
    sha256: str,
    limit: int,
    patience: Patience,
) -> int:
    """Bring the file `path` of a source to `target`, going on where an earlier try left off; its size in bytes.

    What is on the disk when this raises is the beginning of the file, unless it is known to be wrong: then it is
    gone.

    Args:
        sha256: hash of the whole file, lower case.
        limit: bytes the file may have at most.

    Raises:
        SourceError: faults that did not pass, a file too large, too slow, or not the one with the hash.
        OSError: the disk's own faults.
    """

    def once() -> int:
        if target.exists() and _sha256(target) == sha256:
            return target.stat().st_size
        resumed = _receive(remote, path, target, limit=limit, deadline=patience.deadline)
        found = _sha256(target)
        if found != sha256:
            size = target.stat().st_size
            target.unlink()
            raise SourceError(
                "hash_differs",
                where=f"source {remote.source.id}, {path}",
                expected=f"the bytes with the manifest's sha256 {sha256}",
                got=f"{size} bytes with {found}",
                hint="wait until it is uploaded whole, or have file and manifest sent again",
                # The beginning may be that of a file which was replaced in the meantime
                transient=resumed,
            )
        return target.stat().st_size

    return patience.ask(path, once)


def _receive(remote: Remote, path: str, target: Path, *, limit: int, deadline: Deadline) -> bool:
    """Append what is missing of a file; True where the beginning had come before."""
    come = target.stat().st_size if target.exists() else 0
    stream = remote.stream(path, come)
    with closing(stream.chunks) as chunks, target.open("r+b" if come else "wb") as file:
        file.truncate(stream.start)
        file.seek(stream.start)
        size = stream.start
        for chunk in chunks:
            size += len(chunk)
            if size > limit:
                break
            file.write(chunk)
            deadline.check(path)
        file.flush()
        os.fsync(file.fileno())
    if size > limit:
        target.unlink()
        raise SourceError(
            "file_too_large",
            where=f"source {remote.source.id}, {path}",
            expected=f"at most {limit} bytes",
            got="more",
            hint="raise limits.file_megabytes or limits.delivery_megabytes in sources.yaml, if it is what was agreed",
        )
    return stream.start > 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
