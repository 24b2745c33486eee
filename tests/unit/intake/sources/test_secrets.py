"""No credential ever shows: in what is told, raised, chained, logged, written or looked at."""

import base64
import logging
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.contracts.sources import Source
from pipelines.errors import AxstatError
from pipelines.intake.sources.faults import Secrets, SourceError
from pipelines.intake.sources.kinds import open_source
from tests.unit.intake.sources.conftest import SECRET, Send, Vault, Web, source, take

ENVIRONMENT = {"AXSTAT_USER": "marker-user-11", "AXSTAT_PASSWORD": SECRET, "AXSTAT_TOKEN": f"{SECRET}-token"}
FORMS = (SECRET, "marker-user-11", base64.b64encode(f"marker-user-11:{SECRET}".encode()).decode())
BASIC = {"user": "AXSTAT_USER", "password": "AXSTAT_PASSWORD"}


def everything(error: BaseException) -> str:
    """An error as the most talkative reader sees it: its whole chain, suppressed parts too, with attributes."""
    told, waiting, seen = [], [error], set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        told += [str(one), repr(one), repr(one.args), repr(vars(one))]
        told += traceback.format_exception(one)
        waiting += [next_one for next_one in (one.__cause__, one.__context__) if next_one is not None]
    return "\n".join(told)


def raised(asked: Source, call: Callable[[Any], object]) -> BaseException:
    remote = open_source(asked, ENVIRONMENT)
    assert not any(form in repr(remote) for form in FORMS)
    with pytest.raises(SourceError) as caught:
        call(remote)
    remote.close()
    return caught.value


def held(text: str) -> list[str]:
    return [form for form in FORMS if form in text]


def kinds(web: Web, vault: Vault) -> dict[str, Source]:
    s3 = {"key": "AXSTAT_USER", "secret": "AXSTAT_PASSWORD", "token": "AXSTAT_TOKEN"}
    return {
        "basic": source(web.url, deliveries=["absent"], index=None, credentials=BASIC),
        "token": source(web.url, index="absent.json", credentials={"token": "AXSTAT_TOKEN"}),
        "s3": source("s3://bucket/x", endpoint=web.url, credentials=s3),
        "sftp": source(vault.url, known_hosts=str(vault.known_hosts), credentials=BASIC),
        "gone": source("http://127.0.0.1:9/", index="index.json", credentials=BASIC),
    }


@pytest.mark.parametrize("kind", ["basic", "token", "s3", "sftp", "gone"])
def test_no_error_holds_a_secret_nor_what_a_library_raised(
    web: Web, vault: Vault, kind: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    asked = kinds(web, vault)[kind]
    error = raised(asked, lambda remote: list(remote.stream("absent/manifest.json", 0).chunks))
    assert error.__cause__ is None
    assert error.__context__ is None
    assert held(everything(error)) == []
    assert held(repr(asked)) == []
    shown = capfd.readouterr()
    assert held(shown.out + shown.err) == []
    assert held(caplog.text) == []


def test_a_server_that_repeats_credentials_does_not_get_them_into_a_message(web: Web, send: Send, home: Path) -> None:
    send()

    def repeating(handler: Any, _body: bytes, _start: int) -> None:
        told = handler.headers["Authorization"].removeprefix("Basic ")
        handler.send_response(403, f"not you {SECRET.replace('+', '%2B')} {told} {SECRET}")
        handler.end_headers()

    web.faults["/industry-2025/answers.csv"] = [repeating]
    [one] = take(source(web.url, deliveries=["industry-2025"], credentials=BASIC), home, environment=ENVIRONMENT)
    assert one.state == "failed"
    assert "HTTP 403 Forbidden" in one.reason
    assert held(str(one) + repr(one)) == []
    # They were sent, as they should be
    assert web.asked[-1][2] == f"Basic {FORMS[2]}"


def test_nothing_that_is_written_holds_a_secret(web: Web, send: Send, home: Path) -> None:
    send()
    asked = source(web.url, deliveries=["industry-2025"], credentials={"token": "AXSTAT_TOKEN"})
    [one] = take(asked, home, environment=ENVIRONMENT)
    assert one.state == "taken"
    assert web.asked[-1][2] == f"Bearer {SECRET}-token"
    for path in home.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


def test_a_redirect_to_another_host_does_not_carry_credentials(web: Web, send: Send, home: Path) -> None:
    send()
    elsewhere = web.url.replace("127.0.0.1", "localhost")

    def redirect(handler: Any, _body: bytes, _start: int) -> None:
        handler.send_response(302)
        handler.send_header("Location", f"{elsewhere}/industry-2025/answers.csv")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    web.faults["/industry-2025/answers.csv"] = [redirect]
    asked = source(web.url, deliveries=["industry-2025"], credentials=BASIC)
    [one] = take(asked, home, environment=ENVIRONMENT)
    assert one.state == "taken", one
    assert web.asked[-2][2] is not None
    assert web.asked[-1][2] is None


def test_variables_that_are_not_set_are_named(home: Path) -> None:
    asked = source("sftp://127.0.0.1:9/", credentials=BASIC)
    [one] = take(asked, home, environment={"AXSTAT_USER": SECRET, "AXSTAT_PASSWORD": ""})
    assert one.state == "failed"
    assert "credentials_missing" in one.reason
    assert "AXSTAT_PASSWORD not set" in one.reason
    assert held(one.reason) == []


def test_secrets_show_their_roles_only() -> None:
    secrets = Secrets(source("sftp://h/", credentials=BASIC), ENVIRONMENT)
    assert repr(secrets) == "Secrets(password, user)"
    assert secrets.hidden(f"<{SECRET}> marker-user-11") == "<***> ***"


@pytest.mark.parametrize(("url", "package"), [("http://h/", "aiohttp"), ("s3://b/", "s3fs"), ("sftp://h/", "sshfs")])
def test_a_package_that_is_missing_is_named_with_what_to_install(
    url: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    keys: dict[str, Any] = {"index": "i.json"} if package == "aiohttp" else {}
    keys |= {"credentials": BASIC} if package == "sshfs" else {}
    with pytest.raises(AxstatError, match="package_missing") as caught:
        open_source(source(url, **keys), ENVIRONMENT)
    assert package in caught.value.expected
    assert "pip install 'axstat[remote]'" in caught.value.hint
