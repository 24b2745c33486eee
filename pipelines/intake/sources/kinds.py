"""The kinds of sources that are not a local folder: HTTP, S3, SFTP; each read by fsspec's implementation of it.

Belongs here: connecting, credentials and limits of each kind, and in what it differs. Does not belong here: what they
have in common (remote). Their packages come with the extra `remote` and are imported when a source asks for them.
"""

import base64
import json
import logging
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.client import responses
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import fsspec

from pipelines.contracts.sources import Source
from pipelines.intake.sources.faults import Secrets, SourceError
from pipelines.intake.sources.remote import FaultTypes, Listing, Remote, Stream

_CONNECT_SECONDS = 30
_INDEX_BYTES = 4_000_000


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
            while block := self._call(path, lambda: opened.read(self.block, **self._timed())):
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
            end = min(start + self.block, size)
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


def _quiet(*loggers: str) -> None:
    """Log warnings only: below them these libraries tell the requests they sign, tokens and users' names included."""
    for name in loggers:
        logging.getLogger(name).setLevel(logging.WARNING)


def _cut(filesystem: Any) -> None:
    filesystem.loop.call_soon_threadsafe(filesystem.client.abort)
