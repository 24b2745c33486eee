"""Which requests Dagster's webserver carries out; the real one is asked in tests/integration/test_operations.py."""

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from pipelines.orchestration.webserver import GuardedWebserver

HOST = "127.0.0.1:3000"
ADDRESS = f"http://{HOST}"


async def done(_request: Any) -> PlainTextResponse:
    await asyncio.sleep(0)
    return PlainTextResponse("done")


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("done")
    await socket.close()


def asked(kind: str, headers: dict[str, str]) -> tuple[int | None, bytes]:
    """What the guard, before an application that does whatever it is asked for, lets through: status and body.

    Args:
        kind: GET, POST, or websocket: its status is None, or the code with which it is closed.
    """
    guard = GuardedWebserver.build_middleware(object.__new__(GuardedWebserver))
    routes = [Route("/graphql", done, methods=["GET", "POST"]), WebSocketRoute("/graphql", talk)]
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "websocket" if kind == "websocket" else "http",
        "method": kind,
        "path": "/graphql",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in ({"host": HOST} | headers).items()],
    }

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"type": "websocket.connect"} if kind == "websocket" else {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        await asyncio.sleep(0)
        sent.append(message)

    asyncio.run(Starlette(routes=routes, middleware=guard)(scope, receive, send))
    status = next((one.get("status") or one.get("code") for one in sent if {"status", "code"} & set(one)), None)
    return status, b"".join(one.get("body") or str(one.get("text", "")).encode() for one in sent)


@pytest.mark.parametrize(
    "headers",
    [
        {},  # a program that is no browser
        {"sec-fetch-site": "none"},  # typed in, or a bookmark
        {"sec-fetch-site": "same-origin", "origin": ADDRESS},
        {"sec-fetch-site": "same-origin", "origin": ADDRESS, "host": "localhost:3000"},
        {"origin": ADDRESS},  # a browser from before 2023
        {"origin": "http://localhost:3000", "host": "localhost:3000"},
    ],
)
def test_its_own_pages_are_obeyed(headers: dict[str, str]) -> None:
    assert [asked(kind, headers) for kind in ("GET", "POST", "websocket")] == [
        (200, b"done"),
        (200, b"done"),
        (1000, b"done"),
    ]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:8000"}, 403),
        ({"origin": "http://elsewhere.example"}, 403),
        ({"origin": "http://127.0.0.1:8000"}, 403),
        ({"origin": "null"}, 403),  # a file, or a frame without rights
        # A name elsewhere that was made to point here: to the browser the page is of the same origin
        ({"host": "elsewhere.example", "sec-fetch-site": "same-origin", "origin": "http://elsewhere.example"}, 400),
    ],
)
def test_other_pages_are_refused(headers: dict[str, str], status: int) -> None:
    for kind in ("GET", "POST", "websocket"):
        found, body = asked(kind, headers)
        assert b"done" not in body
        assert found in (status, 1008) if kind == "websocket" else found == status
