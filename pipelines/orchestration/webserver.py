"""Dagster's webserver, as a program that does only what its own pages ask for.

Belongs here: which requests are refused. Does not belong here: starting the program (services.py), what the pages show.

Dagster knows no sign-in and carries out commands whoever asks. Without this, any page that a browser on the machine
opens could start and end runs, for a browser sends what a page asks for to loopback too: straight there, or by a name
of its own that it lets point there.
"""

from urllib.parse import urlsplit

from dagster_webserver import app, cli
from dagster_webserver.webserver import DagsterWebserver
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

HOSTS = ("127.0.0.1", "localhost")
_OF_ITS_OWN = ("same-origin", "none")
_REFUSED = "Refused: another page asked for this. Open the address yourself, from the address bar or a bookmark.\n"
# From RFC 6455, 7.4.1: the policy is violated
_AGAINST_POLICY = 1008


class OwnPagesOnly:
    """Refuses what pages of other origins ask for."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] not in ("http", "websocket") or _is_own(Headers(scope=scope)):
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await PlainTextResponse(_REFUSED, status_code=403)(scope, receive, send)
        else:
            await WebSocketClose(_AGAINST_POLICY)(scope, receive, send)


def _is_own(headers: Headers) -> bool:
    """By what the browser says of the page that asks; programs that are no browser say nothing."""
    if (site := headers.get("sec-fetch-site")) is not None:
        return site in _OF_ITS_OWN
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


class GuardedWebserver(DagsterWebserver):
    """Dagster's, asked by its own pages at this machine's own names."""

    def build_middleware(self) -> list[Middleware]:
        """What stands before the application, the outermost first."""
        guard = [Middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS)), Middleware(OwnPagesOnly)]
        return [*guard, *super().build_middleware()]


def main() -> None:
    """Dagster's own command; it makes its application of the class of this name."""
    app.DagsterWebserver = GuardedWebserver  # type: ignore[misc]
    cli.main()


if __name__ == "__main__":
    main()
