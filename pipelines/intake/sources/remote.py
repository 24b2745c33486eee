"""How a source is read: what deliveries there are, their files, the bytes of one.

Belongs here: what all kinds of sources have in common, which is all that a local folder needs, and turning faults of
fsspec and its implementations into ours. Does not belong here: what other kinds do in another way (kinds), trying
again, limits, hashes (download), what becomes of a delivery (look, fetch).

Nothing that a library raised leaves this module, neither as cause nor as context: its message or its attributes may
hold credentials.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import fsspec

from pipelines.contracts.sources import Source
from pipelines.errors import AxstatError
from pipelines.intake.sources.faults import Secrets, SourceError
from pipelines.intake.sources.names import shown

_BLOCK = 4 << 20
# HTTP answers after which the same request may succeed
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_PERMANENT = (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError)
_DEEPEST = 5

Result = TypeVar("Result")
FaultTypes = tuple[tuple[type[Exception], ...], tuple[type[Exception], ...]]


@dataclass(frozen=True)
class RemoteFile:
    """A file as the source lists it; `modified` is seconds since 1970 by the source's clock, None: not told."""

    size: int
    modified: float | None


@dataclass(frozen=True)
class Listing:
    """What lies in a delivery's folder: files by path below it, and what is neither file nor folder."""

    files: Mapping[str, RemoteFile]
    strange: tuple[str, ...]


@dataclass(frozen=True)
class Stream:
    """Bytes of a file from `start` on, which is 0 where the source cannot start where it was asked to.

    Whoever does not read `chunks` to their end closes them, and with them the connection.
    """

    start: int
    chunks: Generator[bytes, None, None]


class Remote:
    """A source that can list its folders: local folders as they are, others by what they override.

    Paths are relative to the source's address, with forward slashes.
    """

    package = "fsspec"
    # Options of opening a file, and how much is asked for at once
    opening: Mapping[str, Any] = MappingProxyType({})
    block = _BLOCK

    def __init__(self, source: Source, secrets: Secrets) -> None:
        self.source = source
        self._secrets = secrets
        self._root = unquote(urlsplit(source.url).path).rstrip("/") or "/"
        self._filesystem: Any = None
        try:
            self._faults, self._permanent = self._fault_types()
        except ImportError as error:
            raise AxstatError(
                "package_missing",
                where=f"source {source.id}",
                expected=f"the package {self.package}, which reads {source.kind} sources",
                got="not installed",
                hint="install it with: pip install 'axstat[remote]'",
            ) from error

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.source.id})"

    def deliveries(self) -> Mapping[str, bool]:
        """Names of what may be deliveries, as the source gives them; False: a link or device, not a folder.

        Files and hidden entries are left out.

        Raises:
            SourceError: the source cannot be listed.
        """
        entries = self._list("")
        return {name: kind == "directory" for name, kind, _ in entries if kind != "file" and not name.startswith(".")}

    def files(self, delivery: str) -> Listing | None:
        """What lies in the folder of a delivery; None: this kind of source has no listing.

        Raises:
            SourceError: the folder cannot be listed.
        """
        files: dict[str, RemoteFile] = {}
        strange: list[str] = []
        waiting = [""]
        most = self.source.limits.files
        while waiting:
            below = waiting.pop()
            for name, kind, state in self._list(f"{delivery}/{below}".rstrip("/")):
                path = f"{below}{name}"
                if name.startswith("."):
                    continue
                if kind == "file" and state is not None:
                    files[path] = state
                elif kind == "directory" and path.count("/") < _DEEPEST:
                    waiting.append(f"{path}/")
                else:
                    strange.append(path)
                if len(files) + len(strange) + len(waiting) > 10 * most:
                    raise SourceError(
                        "too_many_entries",
                        where=f"source {self.source.id}, {shown(delivery)}",
                        expected=f"at most {10 * most} files and folders (ten times limits.files)",
                        got="more",
                        hint="have what does not belong to the delivery removed from its folder",
                    )
        return Listing(files, tuple(strange))

    def stream(self, path: str, start: int) -> Stream:
        """The bytes of a file from `start` on, or from its beginning where the source cannot do that.

        Raises:
            SourceError: also from the iterator; whether it is worth trying again is in `transient`.
        """
        return Stream(start, self._blocks(path, start))

    def beginning(self, path: str, size: int) -> bytes:
        """The first `size` bytes of a file, or all of a shorter one.

        Raises:
            SourceError: it cannot be read.
        """
        content = bytearray()
        with closing(self.stream(path, 0).chunks) as chunks:
            for chunk in chunks:
                content += chunk
                if len(content) >= size:
                    break
        return bytes(content[:size])

    def close(self) -> None:
        """Let the connection go; the next call makes a new one."""
        self._filesystem = None

    def _blocks(self, path: str, start: int) -> Generator[bytes, None, None]:
        opened = self._call(path, lambda: self._open(path, start))
        try:
            while block := self._call(path, lambda: opened.read(self.block, **self._timed())):
                yield block
        finally:
            # After a fault the connection is gone, and with it the file
            if self._filesystem is not None:
                self._call(path, lambda: self._finish(opened))

    def _open(self, path: str, start: int) -> Any:
        opened = self._connected().open(self._full(path), "rb", **self.opening)
        opened.seek(start, **self._timed())
        return opened

    def _finish(self, opened: Any) -> None:
        opened.close()

    def _list(self, path: str) -> list[tuple[str, str, RemoteFile | None]]:
        """Name, type ('file', 'directory' or another) and state of each entry of a folder."""
        full = self._full(path)
        entries = self._call(path, lambda: self._connected().ls(full, detail=True, **self._timed()))
        found = []
        for entry in entries:
            # What does not lie below the folder keeps its whole path, which no rule for names lets pass
            name = entry["name"].removeprefix(f"{full.rstrip('/')}/")
            if name.rstrip("/") in ("", full):
                # Object stores list the marker of a folder among its own entries
                continue
            kind = "other" if entry.get("islink") else entry["type"]
            state = RemoteFile(int(entry["size"]), _seconds(entry)) if kind == "file" else None
            found.append((name, kind, state))
        return found

    def _full(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{path}" if path else self._root

    def _timed(self) -> dict[str, float]:
        """Options that bound one call in time, where the file system knows any."""
        return {}

    def _connected(self) -> Any:
        if self._filesystem is None:
            self._filesystem = self._connect()
        return self._filesystem

    def _connect(self) -> Any:
        return fsspec.filesystem("file", skip_instance_cache=True)

    def _fault_types(self) -> FaultTypes:
        """What the libraries of this kind raise, and what of it does not pass by itself."""
        return (OSError, ValueError), ()

    def _call(self, path: str, call: Callable[[], Result]) -> Result:
        try:
            return call()
        except self._faults as error:
            fault = self._fault(path, error)
        # Outside the handler, so that what was caught does not become the context of what is raised
        self.close()
        raise fault

    def _fault(self, path: str, error: Exception) -> SourceError:
        status = getattr(error, "status", None)
        if isinstance(error, (*_PERMANENT, *self._permanent)):
            transient = False
        elif isinstance(status, int):
            transient = status in _PASSING
        else:
            transient = not isinstance(error, ValueError)
        absent = isinstance(error, FileNotFoundError) or status == 404
        return SourceError(
            "source_not_found" if absent else "source_fault",
            where=f"source {self.source.id}, {shown(path) or 'its folder'}",
            expected="an answer",
            got=self._secrets.hidden(self._told(error)),
            hint="run `axstat fetch` again later" if transient else "check the address, the rights and the credentials",
            transient=transient,
        )

    def _told(self, error: Exception) -> str:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}".rstrip(": ")


def _seconds(entry: Mapping[str, Any]) -> float | None:
    told = entry.get("mtime", entry.get("LastModified"))
    return told.timestamp() if isinstance(told, datetime) else told
