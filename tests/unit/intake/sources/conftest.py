"""Deliveries at a source, and the servers that hold them: on this machine, for one test each."""

import asyncio
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import asyncssh
import pytest

from pipelines.contracts.sources import Source
from pipelines.intake.sources.fetch import fetch
from pipelines.intake.sources.look import SeenDelivery

Send = Callable[..., Path]
SECRET = "marker-secret-7f3a/+&"
ANSWERS = bytes(range(256)) * 2000


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The folder that a source's deliveries lie in."""
    folder = tmp_path / "shop"
    folder.mkdir()
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The deliveries folder."""
    return tmp_path / "home" / "deliveries"


@pytest.fixture
def send(shop: Path) -> Send:
    """Puts a delivery of one file into the shop; keyword arguments replace keys of its manifest."""

    def write(name: str = "industry-2025", data: bytes = ANSWERS, *, file: str = "answers.csv", **keys: Any) -> Path:
        folder = shop / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(data)
        manifest = {
            "delivery": name,
            "survey": "industry",
            "wave": 2025,
            "sequence": 1,
            "question_version": "list-2022",
            "tech_list_version": "1",
            "collection_start": "2025-08-01",
            "collection_end": "2025-10-31",
            "sender": "contractor",
            "synthetic": True,
            "files": [
                {"file": file, "contract": "industry_response", "sha256": hashlib.sha256(data).hexdigest(), "rows": 1}
            ],
            **keys,
        }
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        return folder

    return write


def source(url: str, **keys: Any) -> Source:
    """A source of both surveys that does not wait for files to settle."""
    return Source.model_validate(
        {"id": "far", "surveys": ["industry", "public"], "url": url, "settle_seconds": 0, **keys}
    )


def take(asked: Source, home: Path, *, environment: dict[str, str] | None = None, **keys: Any) -> list[SeenDelivery]:
    """A fetch that does not wait between its tries."""
    return fetch([asked], home, environment=environment or {}, **{"sleep": lambda _seconds: None, **keys})


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder that a reader of deliveries would see."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


Fault = Callable[[BaseHTTPRequestHandler, bytes, int], None]


@dataclass
class Web:
    """An HTTP server of a folder. `faults` by path: what it does wrong in its next answers, one after the other."""

    url: str
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def ranges(self, path: str) -> list[str | None]:
        """The Range header of each request for a path."""
        return [asked_range for asked_path, asked_range, _ in self.asked if asked_path == path]


@contextmanager
def serving(shop: Path) -> Iterator[Web]:
    """An HTTP server of a folder; at the block's end it is gone."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append((self.path, self.headers.get("Range"), self.headers.get("Authorization")))
            path = shop / unquote(self.path).lstrip("/")
            if not path.is_file():
                self.send_error(404)
                return
            body = path.read_bytes()
            start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
            if served.faults.get(self.path):
                served.faults[self.path].pop(0)(self, body, start)
            elif start >= len(body) > 0:
                self.send_error(416)
            else:
                answer(self, body, start, len(body) - start)
                self.wfile.write(body[start:])

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Web(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield served
    finally:
        served.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


@pytest.fixture
def web(shop: Path) -> Iterator[Web]:
    with serving(shop) as served:
        yield served


def answer(handler: BaseHTTPRequestHandler, body: bytes, start: int, length: int | None) -> None:
    """The head of an answer that begins at `start`."""
    handler.send_response(206 if start else 200)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.send_header("Connection", "close")
    handler.end_headers()


@dataclass
class Vault:
    """An SFTP server of a folder; `cut_after` bytes of each connection it goes away (None: it stays).

    `offsets` are those of the reads of data files.
    """

    url: str
    known_hosts: Path
    cut_after: int | None = None
    offsets: list[int] = field(default_factory=list)


@pytest.fixture
def vault(shop: Path, tmp_path: Path) -> Iterator[Vault]:
    connections: list[asyncssh.SSHServerConnection] = []

    class Server(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            connections.append(conn)

        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == ("contractor", SECRET)

    class Files(asyncssh.SFTPServer):
        def __init__(self, channel: asyncssh.SSHServerChannel) -> None:
            self._channel = channel
            self._sent = 0
            super().__init__(channel, chroot=str(shop).encode())

        def read(self, file_obj: Any, offset: int, size: int) -> Any:
            if file_obj.name.endswith(b".csv"):
                served.offsets.append(offset)
            if served.cut_after is not None and self._sent >= served.cut_after:
                self._channel.get_connection().abort()
            block = super().read(file_obj, offset, size)
            self._sent += len(block)
            return block

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    key = asyncssh.generate_private_key("ssh-ed25519")

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1", 0, server_factory=Server, server_host_keys=[key], sftp_factory=Files, allow_scp=False
        )

    acceptor = asyncio.run_coroutine_threadsafe(listen(), loop).result(20)
    port = acceptor.get_port()
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_bytes(f"[127.0.0.1]:{port} ".encode() + key.export_public_key())
    served = Vault(f"sftp://127.0.0.1:{port}/", known_hosts)
    yield served

    async def close() -> None:
        acceptor.close()
        await acceptor.wait_closed()
        for connection in connections:
            connection.abort()
            await connection.wait_closed()
        # A handler of a connection that broke off would wait for ever: what is left pending, or a socket still closing,
        # would fail whichever test the garbage collector runs in
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    asyncio.run_coroutine_threadsafe(close(), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@pytest.fixture
def no_later_than() -> Iterator[Callable[[float], None]]:
    """Says afterwards whether the test took more than so many seconds."""
    allowed: list[float] = []
    started = time.monotonic()
    yield allowed.append
    assert time.monotonic() - started < allowed[0]
