"""Vintages: the releases that stand under `published/`, and how one is added.

Belongs here: names, order and the atomic appearance of a release folder. Does not belong here: what is
in it (publish), or when it may go out.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import AxstatError
from pipelines.warehouse.lock import HeldError, Lock

MANIFEST = "manifest.json"
# How long a release may take that another process makes
_SECONDS_TO_WAIT = 120.0
_BUILDING, _NEXT_LATEST = ".building-", ".latest-"
_NAME = re.compile(r"^(\d{4})\.(\d+)$")


@dataclass(frozen=True, order=True)
class Vintage:
    """The n-th release of a wave; sorts by wave, then number."""

    wave: int
    number: int

    def __str__(self) -> str:
        return f"{self.wave}.{self.number}"


def parse_vintage(name: str) -> Vintage:
    """The vintage called `name`, such as ``2025.1``.

    Raises:
        AxstatError: that is no name of one.
    """
    match = _NAME.match(name)
    if match is None:
        raise AxstatError(
            "not_a_vintage",
            where=name,
            expected="wave and number, such as 2025.1",
            got=name,
            hint="`axstat status` lists what is published",
        )
    return Vintage(int(match[1]), int(match[2]))


def vintages(published: Path) -> list[Vintage]:
    """All vintages under `published`, oldest wave first."""
    if not published.is_dir():
        return []
    found = (_NAME.match(entry.name) for entry in published.iterdir())
    return sorted(Vintage(int(match[1]), int(match[2])) for match in found if match)


def last_vintage(published: Path, wave: int) -> Vintage | None:
    """The newest vintage of a wave, or None."""
    return max((vintage for vintage in vintages(published) if vintage.wave == wave), default=None)


def read_manifest(published: Path, vintage: Vintage) -> dict[str, Any]:
    """What a vintage says of itself.

    Raises:
        AxstatError: there is no such vintage, or its manifest cannot be read.
    """
    path = published / str(vintage) / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AxstatError(
            "no_vintage",
            where=str(path),
            expected=f"a release; there are {', '.join(map(str, vintages(published))) or 'none'}",
            got=str(error),
            hint="name a release that is there; a damaged one must come back from its backup",
        ) from error
    return manifest


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def folder_sha256(folder: Path) -> dict[str, str]:
    """Hash of every file below a folder by its place in it, sorted; none where there is no folder."""
    return {
        path.relative_to(folder).as_posix(): file_sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }


def content_sha256(published: Path, vintage: Vintage) -> str:
    """The content hash that a vintage's manifest carries."""
    return str(read_manifest(published, vintage)["content_sha256"])


@contextmanager
def publishing(published: Path, *elsewhere: Path, timeout: float = _SECONDS_TO_WAIT) -> Iterator[None]:
    """Be the only one who makes releases, from taking a number to `latest`; what a killed run left is removed.

    Args:
        published: the folder of the releases.
        elsewhere: other folders in which candidates are built.
        timeout: seconds to wait for another process.

    Raises:
        AxstatError: another process makes one longer than `timeout`; the folder of the lock cannot be written.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(Lock(published).held(timeout=timeout))
        except (HeldError, OSError) as error:
            raise AxstatError(
                "publishing_locked",
                where=str(published),
                expected=f"to be the only one who makes a release, within {timeout:g} s",
                got=str(error),
                hint="wait until the other one has ended; if a right is missing, run as the folder's owner",
            ) from error
        for folder in (published, *elsewhere):
            for left in (*folder.glob(f"{_BUILDING}*"), *folder.glob(f"{_NEXT_LATEST}*")):
                left.unlink() if left.is_symlink() else shutil.rmtree(left)
        yield


@contextmanager
def candidate_folder(published: Path, vintage: Vintage) -> Iterator[Path]:
    """A folder beside the releases to build in; whatever of it still has its name at the end is removed."""
    published.mkdir(parents=True, exist_ok=True)
    # mkdtemp makes it its owner's alone
    building = Path(tempfile.mkdtemp(prefix=f"{_BUILDING}{vintage}-", dir=published))
    try:
        yield building
    finally:
        shutil.rmtree(building, ignore_errors=True)


@contextmanager
def new_vintage(published: Path, vintage: Vintage) -> Iterator[Path]:
    """A folder beside the releases to build in; on success it appears whole, on failure not at all.

    Raises:
        AxstatError: if the vintage exists; a published one is never overwritten.
    """
    target = published / str(vintage)
    if target.exists():
        raise AxstatError(
            "vintage_exists",
            where=str(target),
            expected="a new vintage number",
            got="a published release",
            hint="run again: the next number is taken",
        )
    with candidate_folder(published, vintage) as building:
        yield building
        building.chmod(0o755)
        building.rename(target)


def point_latest(published: Path) -> Vintage:
    """Make `latest` name the newest vintage of the newest wave, by one rename.

    Raises:
        AxstatError: where the system does not let this user make symbolic links.
    """
    newest = max(vintages(published))
    fresh = published / f"{_NEXT_LATEST}{os.getpid()}"
    fresh.unlink(missing_ok=True)
    try:
        fresh.symlink_to(str(newest), target_is_directory=True)
    except OSError as error:
        raise AxstatError(
            "latest_link",
            where=str(published / "latest"),
            expected="the right to make a symbolic link",
            got=str(error),
            hint="on Windows switch on developer mode; the release itself is published",
        ) from error
    fresh.replace(published / "latest")
    return newest
