"""One way of reading each kind of source: what deliveries there are, their files, the bytes of one.

Belongs here: connecting by fsspec and its implementations, and turning their faults into ours. Does not belong here:
trying again, limits, hashes (download), what becomes of a delivery (look, fetch).

Nothing that a library raised leaves this module, neither as cause nor as context: its message or its attributes may
hold credentials.
"""

import base64
import json
import logging
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from http.client import responses
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

import fsspec

from pipelines.contracts.sources import Source
from pipelines.errors import AxstatError
from pipelines.intake.manifest import MANIFEST_NAME
from pipelines.intake.sources.faults import Secrets, SourceError
from pipelines.intake.sources.names import shown

_CHUNK = 4 << 20
_CONNECT_SECONDS = 30
_INDEX_BYTES = 4_000_000
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
    block = _CHUNK

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
                if len(files) + len(strange) + len(waiting) > 10 * self.source.limits.files:
                    return Listing(files, (*strange, "(more entries than a delivery may have)"))
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


class HttpRemote(Remote):
    """HTTP and HTTPS: no listing, so the contract names an index or the deliveries."""

    package = "aiohttp"

    def __init__(self, source: Source, secrets: Secrets) -> None:
        super().__init__(source, secrets)
        self._root = source.url.rstrip("/")

    def deliveries(self) -> Mapping[str, bool]:
        """Names from the contract, or from the index, a JSON list of them."""
        if self.source.index is None:
            return dict.fromkeys(self.source.deliveries, True)
        try:
            names = json.loads(self.beginning(self.source.index, _INDEX_BYTES))
        except (RecursionError, ValueError):
            names = None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise SourceError(
                "index_unreadable",
                where=f"source {self.source.id}, {self.source.index}",
                expected='a JSON list of the names of folders: ["industry-2025", …]',
                got="something else",
                hint="correct the index, or `index` in sources.yaml",
            )
        return dict.fromkeys(names, True)

    def files(self, delivery: str) -> Listing | None:
        """None: the manifest alone says what there is."""
        return None

    def stream(self, path: str, start: int) -> Stream:
        """Asks for the rest of a file by a Range request; a server that does not know those sends all of it."""
        opened = self._call(path, lambda: self._open(path, start))
        if opened is None:
            return Stream(start, (b"" for _ in ()))
        answered = opened.r.headers.get("Content-Range", "") if opened.r.status == 206 else ""
        from_start = start if answered.startswith(f"bytes {start}-") else 0
        return Stream(from_start, self._answer(path, opened))

    def _answer(self, path: str, opened: Any) -> Generator[bytes, None, None]:
        try:
            while block := self._call(path, lambda: opened.read(_CHUNK, **self._timed())):
                yield block
        finally:
            opened.close()

    def _open(self, path: str, start: int) -> Any:
        asked = {"headers": {"Range": f"bytes={start}-"}} if start else {}
        try:
            # Block size 0 is fsspec's word for a stream; with a size given it does not ask for one first
            return self._connected().open(self._full(path), "rb", block_size=0, size=1, **asked)
        except self._faults as error:
            if getattr(error, "status", None) == 416 and start:
                return None
            raise

    def _full(self, path: str) -> str:
        return f"{self._root}/{quote(path)}"

    def _timed(self) -> dict[str, float]:
        return {"timeout": self.source.limits.stall_seconds}

    def _connect(self) -> Any:
        import aiohttp

        limits = self.source.limits
        headers = {"Accept-Encoding": "identity"}
        if token := self._secrets.get("token"):
            headers["Authorization"] = f"Bearer {token}"
        if user := self._secrets.get("user"):
            pair = base64.b64encode(f"{user}:{self._secrets['password']}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        # The total is for answers whose head never ends; a body is held to limits.seconds piece by piece
        timeout = aiohttp.ClientTimeout(
            total=limits.seconds + limits.stall_seconds,
            sock_connect=_CONNECT_SECONDS,
            sock_read=limits.stall_seconds,
        )
        return fsspec.filesystem(
            "http",
            skip_instance_cache=True,
            use_listings_cache=False,
            encoded=True,
            client_kwargs={"timeout": timeout, "headers": headers, "auto_decompress": False, "raise_for_status": True},
        )

    def _told(self, error: Exception) -> str:
        """Of an answer its status alone: the library cites what it could not read, which may be rows of a file."""
        import aiohttp

        if isinstance(error, aiohttp.ClientResponseError):
            return f"HTTP {error.status} {responses.get(error.status, '')}".rstrip()
        if isinstance(error, aiohttp.ClientPayloadError):
            return "an answer that broke off"
        return super()._told(error)

    def _fault_types(self) -> FaultTypes:
        import aiohttp

        return (OSError, ValueError, aiohttp.ClientError), (aiohttp.ClientSSLError, aiohttp.InvalidURL)


class S3Remote(Remote):
    """S3 and services that speak it; without credentials, as anybody."""

    package = "s3fs"

    def __init__(self, source: Source, secrets: Secrets) -> None:
        super().__init__(source, secrets)
        parts = urlsplit(source.url)
        self._root = f"{parts.netloc}/{unquote(parts.path).strip('/')}".rstrip("/")

    def _blocks(self, path: str, start: int) -> Generator[bytes, None, None]:
        """Range by range: each a request of its own, bounded in time."""
        full = self._full(path)
        size = self._call(path, lambda: int(self._connected().info(full, refresh=True, **self._timed())["size"]))
        while start < size:
            end = min(start + _CHUNK, size)
            read = partial(self._connected().cat_file, full, start=start, end=end, **self._timed())
            block = self._call(path, read)
            yield block
            if len(block) != end - start:
                return
            start = end

    def _timed(self) -> dict[str, float]:
        return {"timeout": self.source.limits.stall_seconds}

    def _connect(self) -> Any:
        _quiet("aiobotocore", "botocore", "s3fs")
        stall = self.source.limits.stall_seconds
        filesystem = fsspec.filesystem(
            "s3",
            skip_instance_cache=True,
            use_listings_cache=False,
            # Never what lies about on the machine: neither profiles nor the instance's own role
            anon=self._secrets.get("key") is None,
            key=self._secrets.get("key"),
            secret=self._secrets.get("secret"),
            token=self._secrets.get("token"),
            endpoint_url=self.source.endpoint,
            client_kwargs={"region_name": self.source.region} if self.source.region else {},
            config_kwargs={
                "connect_timeout": _CONNECT_SECONDS,
                "read_timeout": stall,
                "retries": {"total_max_attempts": 1},
            },
        )
        # Trying again is the download's business
        filesystem.retries = 1
        return filesystem

    def _fault_types(self) -> FaultTypes:
        import aiohttp
        import botocore.exceptions
        import s3fs  # noqa: F401  (asks whether it is there)

        errors = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)
        permanent = (botocore.exceptions.ParamValidationError, botocore.exceptions.NoCredentialsError)
        return (OSError, ValueError, aiohttp.ClientError, *errors), permanent


class SftpRemote(Remote):
    """SFTP; the host must be known, and only the credentials of the contract are used."""

    package = "sshfs"
    # One request at a time: of many at once, each would tell of a dropped connection by a traceback of its own. Servers
    # answer with as much as they like, seldom more than this.
    opening = MappingProxyType({"block_size": 0})
    block = 256 << 10

    def _open(self, path: str, start: int) -> Any:
        with self._alarm(self._connected()):
            return super()._open(path, start)

    def _finish(self, opened: Any) -> None:
        with self._alarm(self._connected()):
            opened.close()

    def close(self) -> None:
        """Cut the connection: a server that went silent would not answer a goodbye."""
        if self._filesystem is not None:
            _cut(self._filesystem)
        super().close()

    @contextmanager
    def _alarm(self, filesystem: Any) -> Iterator[None]:
        """Opening and closing a file have no time limit of their own: the connection is cut instead."""
        timer = threading.Timer(self.source.limits.stall_seconds, _cut, [filesystem])
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _timed(self) -> dict[str, float]:
        return {"timeout": self.source.limits.stall_seconds}

    def _connect(self) -> Any:
        parts = urlsplit(self.source.url)
        _quiet("asyncssh")
        key_file = self._secrets.get("key_file")
        return fsspec.filesystem(
            "sftp",
            skip_instance_cache=True,
            host=parts.hostname,
            **({} if parts.port is None else {"port": parts.port}),
            username=self._secrets["user"],
            password=self._secrets.get("password"),
            client_keys=None if key_file is None else [key_file],
            passphrase=self._secrets.get("passphrase"),
            # Left out, any host would be believed; () is the user's own file
            known_hosts=self.source.known_hosts or (),
            config=None,
            agent_path=None,
            gss_auth=False,
            gss_kex=False,
            connect_timeout=_CONNECT_SECONDS,
            login_timeout=_CONNECT_SECONDS,
            keepalive_interval=15,
            timeout=2 * _CONNECT_SECONDS,
        )

    def _fault_types(self) -> FaultTypes:
        import asyncssh
        import sshfs

        fsspec.register_implementation("sftp", sshfs.SSHFileSystem, clobber=True)
        permanent = (
            asyncssh.PermissionDenied,
            asyncssh.HostKeyNotVerifiable,
            asyncssh.KeyExchangeFailed,
            asyncssh.SFTPNoSuchFile,
            asyncssh.SFTPPermissionDenied,
        )
        return (OSError, ValueError, asyncssh.Error), permanent


_KINDS: Mapping[str, type[Remote]] = {"file": Remote, "http": HttpRemote, "s3": S3Remote, "sftp": SftpRemote}


def open_source(source: Source, environment: Mapping[str, str]) -> Remote:
    """The way to read `source`; nothing is connected yet.

    Raises:
        AxstatError: a package is missing, or an environment variable is not set.
    """
    return _KINDS[source.kind](source, Secrets(source, environment))


def read_manifest_bytes(remote: Remote, delivery: str, *, limit: int) -> bytes | None:
    """The manifest of a delivery; None: there is none yet.

    Raises:
        SourceError: it cannot be read, or is larger than `limit` bytes.
    """
    path = f"{delivery}/{MANIFEST_NAME}"
    try:
        content = remote.beginning(path, limit + 1)
    except SourceError as error:
        if error.code == "source_not_found":
            return None
        raise
    if len(content) > limit:
        raise SourceError(
            "manifest_too_large",
            where=f"source {remote.source.id}, {path}",
            expected=f"at most {limit} bytes",
            got="more",
            hint="send a manifest that lists the delivery's files and nothing else",
        )
    return content


def _quiet(*loggers: str) -> None:
    """Log warnings only: below them these libraries tell the requests they sign, tokens and users' names included."""
    for name in loggers:
        logging.getLogger(name).setLevel(logging.WARNING)


def _cut(filesystem: Any) -> None:
    filesystem.loop.call_soon_threadsafe(filesystem.client.abort)


def _seconds(entry: Mapping[str, Any]) -> float | None:
    told = entry.get("mtime", entry.get("LastModified"))
    return told.timestamp() if isinstance(told, datetime) else told
