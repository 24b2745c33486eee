"""A mail server and a webhook on this machine that keep what they get, for tests of notices.

Belongs here: the two servers. Does not belong here: what a notice says.
"""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class Sink:
    """What came, and how to get there.

    Attributes:
        mails: as they were sent; posts: the header Authorization and the body.
        passwords: with which somebody signed in at the mail server.
        settings: the variables that lead here, with the secret in each place for one.
        answers: status codes of the webhook, one after the other; then 204.
    """

    mails: list[bytes] = field(default_factory=list)
    posts: list[tuple[str | None, dict[str, Any]]] = field(default_factory=list)
    passwords: list[str] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    answers: list[int] = field(default_factory=list)


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def notice_sink(secret: str) -> Iterator[Sink]:
    """Both servers; `secret` is password, token and part of the webhook's address."""
    sink = Sink()

    class Mailbox:
        async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
            assert isinstance(envelope.content, bytes)
            sink.mails.append(envelope.content)
            return "250 OK"

    def sign_in(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        sink.passwords.append(data.password.decode())
        return AuthResult(success=data.password == secret.encode(), handled=False)

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sink.posts.append((self.headers["Authorization"], json.loads(body)))
            self.send_response(sink.answers.pop(0) if sink.answers else 204)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    port = free_port()
    mail = Controller(
        Mailbox(),
        hostname="127.0.0.1",
        port=port,
        authenticator=sign_in,
        auth_required=True,
        auth_require_tls=False,
    )
    hook = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=hook.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    mail.start()
    sink.settings = {
        "AXSTAT_SMTP_HOST": "127.0.0.1",
        "AXSTAT_SMTP_PORT": str(port),
        "AXSTAT_SMTP_SECURITY": "none",
        "AXSTAT_SMTP_USER": "axstat",
        "AXSTAT_SMTP_PASSWORD": secret,
        "AXSTAT_NOTICE_FROM": "axstat@example.org",
        "AXSTAT_NOTICE_TO": "kim@example.org, lee@example.org",
        "AXSTAT_WEBHOOK_URL": f"http://127.0.0.1:{hook.server_port}/hooks/{secret}",
        "AXSTAT_WEBHOOK_TOKEN": secret,
    }
    try:
        yield sink
    finally:
        mail.stop()
        hook.shutdown()
        hook.server_close()
        thread.join(10)
