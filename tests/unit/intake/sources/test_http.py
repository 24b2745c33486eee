"""Deliveries over HTTP, from a server that does what servers do."""

import json
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from pipelines.intake.manifest import find_deliveries
from tests.unit.intake.sources.conftest import ANSWERS, Fault, Send, Web, answer, contents, source, take

FILE = "/industry-2025/answers.csv"


def asked(web: Web, **keys: Any) -> Any:
    return source(web.url, **({"deliveries": ["industry-2025"]} if "index" not in keys else {}), **keys)


def broken_off(after: int) -> Fault:
    """Says how long the file is, and goes away after so many bytes."""

    def fault(handler: BaseHTTPRequestHandler, body: bytes, start: int) -> None:
        answer(handler, body, start, len(body) - start)
        handler.wfile.write(body[start : start + after])
        handler.wfile.flush()
        # What the reader has not read when the connection ends is lost to it
        time.sleep(0.3)

    return fault


def status(code: int) -> Fault:
    return lambda handler, _body, _start: handler.send_error(code)


def claiming(length: int) -> Fault:
    """Says that the file is `length` bytes long, and sends all of it."""

    def fault(handler: BaseHTTPRequestHandler, body: bytes, start: int) -> None:
        answer(handler, body, start, length)
        handler.wfile.write(body[start:])

    return fault


def without_ranges(handler: BaseHTTPRequestHandler, body: bytes, _start: int) -> None:
    answer(handler, body, 0, len(body))
    handler.wfile.write(body)


def test_what_an_index_names_is_taken_whole_and_once(web: Web, shop: Path, send: Send, home: Path) -> None:
    sent = send("industry-2025", file="part 1/응답.csv")
    send("public-2025", survey="public")
    (shop / "index.json").write_text(json.dumps(["industry-2025", "public-2025"]))
    found = take(asked(web, index="index.json"), home)
    assert [str(one) for one in found] == ["far/industry-2025  taken", "far/public-2025  taken"]
    assert contents(home / "industry-2025") == contents(sent)
    assert [one.delivery for one in find_deliveries(home)] == ["industry-2025", "public-2025"]
    assert (home / "industry-2025").stat().st_mode & 0o777 == 0o700
    assert [one.state for one in take(asked(web, index="index.json"), home)] == ["had", "had"]


def test_without_a_manifest_a_delivery_is_still_on_its_way(web: Web, send: Send, home: Path) -> None:
    (send() / "manifest.json").unlink()
    [one] = take(asked(web), home)
    assert (one.state, one.reason) == ("unfinished", "no manifest.json yet, which comes last")
    assert contents(home) == {}


def test_a_broken_download_goes_on_where_it_broke_off(web: Web, send: Send, home: Path) -> None:
    sent = send()
    web.faults[FILE] = [broken_off(200_000), broken_off(100_000)]
    [one] = take(asked(web), home)
    assert one.state == "taken"
    first, second, third = web.ranges(FILE)
    assert first is None
    assert (second, third) == ("bytes=200000-", "bytes=300000-")
    assert contents(home / "industry-2025") == contents(sent)


def test_a_connection_that_drops_for_good_leaves_the_folder_as_it_was_and_the_next_fetch_finishes(
    web: Web, send: Send, home: Path
) -> None:
    sent = send()
    web.faults[FILE] = [broken_off(100_000)] * 3
    [one] = take(asked(web, limits={"attempts": 3}), home)
    assert one.state == "failed"
    assert "far" in one.reason
    assert "run `axstat fetch` again" in one.reason
    assert find_deliveries(home) == []
    assert contents(home) == {}
    web.asked.clear()
    [one] = take(asked(web), home)
    assert one.state == "taken"
    assert contents(home / "industry-2025") == contents(sent)
    assert web.ranges(FILE) == ["bytes=300000-"]
    assert sorted(path.name for path in home.iterdir()) == [".fetch.lock", "industry-2025"]


def test_a_server_without_ranges_is_read_from_the_start_again(web: Web, send: Send, home: Path) -> None:
    sent = send()
    web.faults[FILE] = [broken_off(200_000), without_ranges]
    [one] = take(asked(web), home)
    assert one.state == "taken"
    assert contents(home / "industry-2025") == contents(sent)


def test_busy_servers_are_asked_again_after_ever_longer_pauses(web: Web, send: Send, home: Path) -> None:
    send()
    web.faults[FILE] = [status(503), status(429), status(500)]
    pauses: list[float] = []
    [one] = take(asked(web), home, sleep=pauses.append)
    assert one.state == "taken"
    assert len(web.ranges(FILE)) == 4
    assert len(pauses) == 3
    assert 1 <= pauses[0] < pauses[1] < pauses[2]


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_what_does_not_pass_by_itself_is_asked_once(web: Web, send: Send, home: Path, code: int) -> None:
    send()
    web.faults[FILE] = [status(code)]
    [one] = take(asked(web), home)
    assert one.state == "failed"
    assert "industry-2025/answers.csv" in one.reason
    assert f"HTTP {code}" in one.reason
    assert len(web.ranges(FILE)) == 1
    assert contents(home) == {}


def test_a_silent_server_is_given_up(web: Web, send: Send, home: Path, no_later_than: Callable[[float], None]) -> None:
    no_later_than(15)
    send()

    def silent(handler: BaseHTTPRequestHandler, body: bytes, start: int) -> None:
        answer(handler, body, start, len(body))
        handler.wfile.write(body[:1000])
        web.closing.wait(20)

    web.faults[FILE] = [silent, silent]
    [one] = take(asked(web, limits={"stall_seconds": 1, "attempts": 2}), home)
    assert one.state == "failed"
    assert "Timeout" in one.reason
    assert contents(home) == {}


def test_a_slow_server_is_given_up_and_gone_on_with(
    web: Web, send: Send, home: Path, no_later_than: Callable[[float], None]
) -> None:
    no_later_than(20)
    sent = send()

    def trickle(handler: BaseHTTPRequestHandler, body: bytes, start: int) -> None:
        answer(handler, body, start, len(body))
        for at in range(0, len(body), 1000):
            if web.closing.wait(0.1):
                return
            handler.wfile.write(body[at : at + 1000])
            handler.wfile.flush()

    web.faults[FILE] = [trickle]
    [one] = take(asked(web, limits={"seconds": 2}), home)
    assert one.state == "failed"
    assert "limits.seconds" in one.reason
    assert contents(home) == {}
    assert (home / ".far.industry-2025" / "answers.csv").stat().st_size >= 1000
    assert [one.state for one in take(asked(web), home)] == ["taken"]
    assert contents(home / "industry-2025") == contents(sent)
    assert web.ranges(FILE)[-1] is not None


def test_more_than_was_agreed_is_not_taken(web: Web, send: Send, home: Path) -> None:
    send()
    sent = 0

    def endless(handler: BaseHTTPRequestHandler, body: bytes, start: int) -> None:
        nonlocal sent
        answer(handler, body, start, None)
        for _ in range(200):
            handler.wfile.write(bytes(1 << 20))
            sent += 1

    web.faults[FILE] = [_until_gone(endless)]
    [one] = take(asked(web, limits={"file_megabytes": 2}), home)
    assert one.state == "failed"
    assert "file_too_large" in one.reason
    assert "at most 2000000 bytes" in one.reason
    assert len(web.ranges(FILE)) == 1
    assert not (home / ".far.industry-2025" / "answers.csv").exists()
    # 200 MB were on offer; what is read beyond the limit is what lies in buffers
    assert sent < 100


def _until_gone(fault: Fault) -> Fault:
    def quiet(handler: BaseHTTPRequestHandler, body: bytes, start: int) -> None:
        try:
            fault(handler, body, start)
        except OSError:
            handler.close_connection = True

    return quiet


def test_the_files_of_a_delivery_count_together(web: Web, shop: Path, send: Send, home: Path) -> None:
    folder = send(data=bytes(900_000))
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "more.csv").write_bytes(bytes(900_000))
    manifest["files"].append(manifest["files"][0] | {"file": "more.csv", "contract": "industry_sample"})
    (folder / "manifest.json").write_text(json.dumps(manifest))
    [one] = take(asked(web, limits={"delivery_megabytes": 1}), home)
    assert one.state == "failed"
    assert "more.csv" in one.reason
    assert "limits.delivery_megabytes" in one.reason


def test_a_length_that_is_too_short_does_not_pass(web: Web, send: Send, home: Path) -> None:
    send()
    web.faults[FILE] = [_until_gone(claiming(1000))]
    [one] = take(asked(web), home)
    assert one.state == "failed"
    # What follows the answer may be taken for a broken one before the hash is looked at
    assert ("hash_differs" in one.reason and "1000 bytes" in one.reason) or "HTTP 400 Bad Request" in one.reason
    assert "GHIJKL" not in one.reason
    assert contents(home) == {}
    assert [one.state for one in take(asked(web), home)] == ["taken"]


def test_a_length_that_is_too_long_does_no_harm_to_a_whole_file(web: Web, send: Send, home: Path) -> None:
    sent = send()
    web.faults[FILE] = [claiming(len(ANSWERS) + 1000)]
    [one] = take(asked(web), home)
    assert one.state == "taken"
    assert contents(home / "industry-2025") == contents(sent)


def test_a_file_that_was_replaced_in_the_meantime_is_read_anew(web: Web, send: Send, home: Path) -> None:
    send()
    web.faults[FILE] = [broken_off(200_000)]
    [one] = take(asked(web, limits={"attempts": 1}), home)
    assert one.state == "failed"
    # The manifest was sent again with the file: what came of the old one is worth nothing
    sent = send(data=ANSWERS[::-1])
    web.asked.clear()
    [one] = take(asked(web), home)
    assert one.state == "taken"
    assert web.ranges(FILE) == [None]
    assert contents(home / "industry-2025") == contents(sent)


@pytest.mark.parametrize(
    "name", ["../etc", "/etc", "a/b", "a\\b", "..", "", ".hidden", "x" * 101, "a\nb", "a%2fb", "http://other/x"]
)
def test_hostile_names_in_an_index_are_refused_with_words(
    web: Web, shop: Path, send: Send, home: Path, name: str
) -> None:
    send()
    (shop / "index.json").write_text(json.dumps([name, "industry-2025"]))
    found = take(asked(web, index="index.json"), home)
    states = {one.name: one for one in found}
    assert states["industry-2025"].state == "taken"
    assert states[name].state == "refused"
    assert "letters, digits" in states[name].reason
    assert "\n" not in str(states[name])
    # It was not even asked for
    assert len(web.asked) == 3
    assert sorted(contents(home.parent)) == [
        "deliveries/industry-2025/answers.csv", "deliveries/industry-2025/manifest.json"
    ]  # fmt: skip


@pytest.mark.parametrize("index", ["{}", "[1]", "[[", '"industry-2025"', "[" * 100_000])
def test_an_index_that_is_none_says_what_it_should_be(web: Web, shop: Path, home: Path, index: str) -> None:
    (shop / "index.json").write_text(index)
    [one] = take(asked(web, index="index.json"), home)
    assert (one.name, one.state) == ("*", "failed")
    assert "index_unreadable" in one.reason
    assert '["industry-2025", …]' in one.reason


def test_a_server_that_is_not_there_fails_alone(web: Web, send: Send, home: Path, tmp_path: Path) -> None:
    from pipelines.intake.sources.fetch import fetch

    send()
    gone = source("http://127.0.0.1:9/", id="gone", deliveries=["x"], limits={"attempts": 2})
    found = fetch([gone, asked(web)], home, environment={}, sleep=lambda _seconds: None)
    assert [(one.source, one.state) for one in found] == [("gone", "failed"), ("far", "taken")]


def test_pauses_end_with_the_time_that_a_source_has(web: Web, send: Send, home: Path) -> None:
    send()
    web.faults[FILE] = [status(503)] * 20
    started = time.monotonic()
    [one] = take(asked(web, limits={"attempts": 20, "seconds": 3}), home, sleep=time.sleep)
    assert one.state == "failed"
    assert time.monotonic() - started < 8
    assert 1 < len(web.ranges(FILE)) < 5
