"""Asks statistical offices for a series.

Belongs here: requests, retries, limits, and that a key is never seen. Does not belong here: what a reply says
(replies.py), keeping it (store.py).
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote_plus

import requests
import tenacity

from pipelines.contracts.series import Request, Series
from pipelines.errors import AxstatError
from pipelines.intake.series.replies import Refusal, Reply, refusal

_CHUNK = 65_536
# What a connection does that may go well another time
_PASSING_STATUS = (408, 425, 429, 500, 502, 503, 504)
_PASSING = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
_HIDDEN = "***"
_LOGGER = "urllib3.connectionpool"


@dataclass(frozen=True)
class Limits:
    """Seconds to connect, between two pieces of a reply, and in all; attempts, and the first wait between two."""

    connect: float = 10
    silence: float = 60
    total: float = 300
    attempts: int = 4
    first_wait: float = 2


class _PassingError(Exception):
    """A fault that may pass; `error` is what to say if it does not."""

    def __init__(self, error: AxstatError) -> None:
        self.error = error
        super().__init__(error.code)


def fetch(
    series: Series,
    environment: Mapping[str, str],
    *,
    limits: Limits | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Reply:
    """Ask for a series and return the reply, which looks like data.

    Args:
        series: one that is fetched.
        environment: holds the key, where the series needs one.
        sleep: waits between two attempts.

    Raises:
        AxstatError: no key, no connection, a refusal, a reply that is too large or too slow. It never holds the key.
    """
    limits = limits or Limits()
    request = series.request
    if request is None:
        raise AxstatError(
            "not_fetched",
            where=f"series {series.id}",
            expected="a series with a request",
            got="one that is copied by hand",
            hint="add its new figures to data_contracts/benchmarks",
        )
    key = _key(series.id, request, environment)
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(limits.attempts),
        wait=tenacity.wait_exponential(multiplier=limits.first_wait, max=60)
        + tenacity.wait_random(0, limits.first_wait),
        retry=tenacity.retry_if_exception_type(_PassingError),
        sleep=sleep,
        reraise=True,
    )
    with _unseen(key):
        try:
            return retrying(_ask, series.id, request, key, limits)
        except _PassingError as passing:
            # Not chained: what the connection raised has the whole address in it
            raise passing.error from None


def _key(series: str, request: Request, environment: Mapping[str, str]) -> str | None:
    if request.key is None:
        return None
    key = environment.get(request.key.variable, "").strip()
    if not key:
        raise AxstatError(
            "no_key",
            where=f"series {series}",
            expected=f"a key in the environment variable {request.key.variable}",
            got="none",
            hint="set the variable in the environment of the command; keys stand in no file of the project",
        )
    return key


def _ask(series: str, request: Request, key: str | None, limits: Limits) -> Reply:
    asked = requests.Request("GET", request.url, params=_parameters(request)).prepare()
    url = str(asked.url)

    def error(code: str, expected: str, got: str, hint: str) -> AxstatError:
        shown = got if key is None else got.replace(key, _HIDDEN)
        return AxstatError(code, where=f"series {series}, {url}", expected=expected, got=shown, hint=hint)

    if key is not None and request.key is not None:
        asked = requests.Request("GET", url, params={request.key.parameter: key}).prepare()
    deadline = time.monotonic() + limits.total
    with requests.Session() as session:
        try:
            with session.send(
                asked, stream=True, timeout=(limits.connect, limits.silence), allow_redirects=False
            ) as reply:
                status = reply.status_code
                body = b"".join(_pieces(reply, request, deadline, limits, error))
        except _PASSING as fault:
            got = type(fault).__name__
            raise _PassingError(error("no_reply", "a whole reply", got, "check the network; try again later")) from None
        except requests.RequestException as fault:
            raise error("no_reply", "a reply", type(fault).__name__, "check the address in the contract") from None
    said = refusal(body, request.format)
    if status in _PASSING_STATUS or (said is not None and said.passing):
        told = said or Refusal(str(status), f"HTTP {status}", "try again later", passing=True)
        raise _PassingError(error("refused", "data", f"{told.code}: {told.text}", told.hint))
    if said is not None:
        raise error("refused", "data", f"{said.code}: {said.text}", said.hint)
    if status != requests.codes.ok:
        # A redirection is not followed: it would carry the key to another place
        raise error("refused", "HTTP 200", f"HTTP {status}", "correct the address in the series' contract")
    if key is not None and key.encode() in body:
        raise error(
            "key_in_reply", "a reply without the key", "one that repeats it", "tell the office; nothing was kept"
        )
    return Reply(url=url, body=body, retrieved_at=datetime.now(UTC))


def _parameters(request: Request) -> dict[str, str | list[str]]:
    return {name: value if isinstance(value, str) else list(value) for name, value in request.parameters.items()}


def _pieces(
    reply: requests.Response,
    request: Request,
    deadline: float,
    limits: Limits,
    error: Callable[[str, str, str, str], AxstatError],
) -> Iterator[bytes]:
    most = request.max_megabytes * 1_000_000
    size = 0
    for piece in reply.iter_content(_CHUNK):
        size += len(piece)
        if size > most:
            raise error(
                "reply_too_large",
                f"at most {request.max_megabytes} MB",
                "more",
                "narrow the filters, or raise max_megabytes in the series' contract",
            )
        if time.monotonic() > deadline:
            raise _PassingError(
                error("reply_too_slow", f"the reply within {limits.total:g} s", "more", "try again later")
            )
        yield piece
    told = reply.headers.get("Content-Length")
    if told is not None and told.isdecimal() and "Content-Encoding" not in reply.headers and size < int(told):
        raise _PassingError(error("reply_cut_off", f"{told} bytes", f"{size} bytes", "try again later"))


@contextmanager
def _unseen(key: str | None) -> Iterator[None]:
    """Keep the key out of what the library of the connection logs, which is the address asked for."""
    if key is None:
        yield
        return

    def hide(record: logging.LogRecord) -> bool:
        said = record.getMessage()
        # As it is, and as an address has it
        record.msg, record.args = said.replace(key, _HIDDEN).replace(quote_plus(key), _HIDDEN), ()
        return True

    logger = logging.getLogger(_LOGGER)
    logger.addFilter(hide)
    try:
        yield
    finally:
        logger.removeFilter(hide)
