"""Requests to an office: what is asked, what is tried again, and that a key is never seen."""

import logging
import socket
from collections.abc import Callable
from dataclasses import replace

import pytest

from pipelines.contracts.series import Series
from pipelines.errors import AxstatError
from pipelines.intake.series.fetch import Limits, fetch

KEY = "secret/key=="
QUICK = Limits(connect=2, silence=1, total=5, attempts=3, first_wait=0.01)
Sleep = Callable[[float], None]


def test_what_is_asked_and_what_comes_back(office, json_stat: Series, sleep: Sleep, slept: list[float]) -> None:
    office.says({"class": "dataset"})
    reply = fetch(json_stat, {}, sleep=sleep)
    assert office.asked == ["/data?unit=PC_ENT&geo=EU27_2020&geo=DK"]
    assert reply.body == b'{"class": "dataset"}'
    assert reply.url == f"{office.url}?unit=PC_ENT&geo=EU27_2020&geo=DK"
    assert reply.retrieved_at.tzinfo is not None
    assert slept == []


@pytest.mark.parametrize(
    "fault",
    [
        {"body": "busy", "status": 503},
        {"body": {"error": [{"status": 500, "label": "Internal"}]}},
        {"body": {"warning": {"status": 413, "label": "ASYNCHRONOUS_RESPONSE. Your request will be treated later"}}},
        {"body": {"err": "50", "errMsg": "서버 오류"}},
        {"body": "[1, 2, 3", "Content_Length": "1000"},
        {"body": "<html><body>Service unavailable</body></html>"},
    ],
)
def test_what_may_pass_is_tried_again(office, kosis: Series, json_stat: Series, sleep: Sleep, slept, fault) -> None:
    series = kosis if "errMsg" in str(fault["body"]) else json_stat
    good = "[]" if series is kosis else {"class": "dataset"}
    office.says(**fault)
    office.says(**fault)
    office.says(good)
    assert fetch(series, {"KOSIS_API_KEY": KEY}, limits=QUICK, sleep=sleep).body.startswith((b"[]", b'{"class'))
    assert len(office.asked) == 3
    assert len(slept) == 2


@pytest.mark.parametrize(
    ("body", "status", "got", "hint"),
    [
        ({"err": "20", "errMsg": "필수요청변수값이 누락되었습니다."}, 200, "20: 필수요청변수값", "add the parameter"),
        ({"err": "30", "errMsg": "데이터가 존재하지 않습니다."}, 200, "30: ", "widen"),
        ({"err": "11", "errMsg": f"인증키 {KEY}"}, 200, "11: 인증키 ***", "renew the key"),
        ({"err": "99", "errMsg": "?"}, 200, "99: ?", "ask KOSIS"),
        ("gone", 404, "HTTP 404", "correct the address"),
        ("moved", 302, "HTTP 302", "correct the address"),
    ],
)
def test_a_refusal_is_told_once(office, kosis: Series, sleep: Sleep, body, status: int, got: str, hint: str) -> None:
    """KOSIS says what is wrong with HTTP 200."""
    office.says(body, status=status, Location="http://127.0.0.1:9/elsewhere")
    with pytest.raises(AxstatError) as caught:
        fetch(kosis, {"KOSIS_API_KEY": KEY}, limits=QUICK, sleep=sleep)
    assert caught.value.code == "refused"
    assert got in caught.value.got
    assert hint in caught.value.hint
    assert len(office.asked) == 1
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "status", "got", "hint"),
    [
        ({"error": [{"status": 400, "id": 150, "label": "Dimension not found"}]}, 400, "400: Dimension", "correct"),
        ({"error": {"status": 404, "label": "No results"}}, 200, "404: No results", "correct"),
        ({"error": [{"status": 413, "label": "EXTRACTION_TOO_BIG"}]}, 413, "413: EXTRACTION_TOO_BIG", "narrow"),
        (
            "<S:Fault><faultcode>413</faultcode><faultstring>EXTRACTION_TOO_BIG: estimated 9 rows</faultstring>",
            200,
            "413: EXTRACTION_TOO_BIG: estimated",
            "narrow the filters",
        ),
    ],
)
def test_eurostat_says_what_is_wrong_with_a_success_too(
    office, json_stat: Series, sdmx: Series, sleep: Sleep, body, status: int, got: str, hint: str
) -> None:
    office.says(body, status=status)
    for series in (json_stat, sdmx):
        with pytest.raises(AxstatError) as caught:
            fetch(series, {}, limits=QUICK, sleep=sleep)
        assert (caught.value.code, hint in caught.value.hint) == ("refused", True)
        assert got in caught.value.got
    assert len(office.asked) == 2


def test_what_does_not_pass_is_told_in_the_end(office, json_stat: Series, sleep: Sleep, slept: list[float]) -> None:
    office.says("busy", status=503)
    with pytest.raises(AxstatError, match=r"refused[\s\S]*HTTP 503[\s\S]*try again later"):
        fetch(json_stat, {}, limits=QUICK, sleep=sleep)
    assert (len(office.asked), len(slept)) == (3, 2)
    assert slept[1] > slept[0] / 10


def test_nobody_there(json_stat: Series, sleep: Sleep) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert json_stat.request is not None
    request = json_stat.request.model_copy(update={"url": f"http://127.0.0.1:{port}/data"})
    series = json_stat.model_copy(update={"request": request})
    with pytest.raises(AxstatError, match=r"no_reply[\s\S]*ConnectionError"):
        fetch(series, {}, limits=QUICK, sleep=sleep)


def test_an_office_that_falls_silent(json_stat: Series, sleep: Sleep) -> None:
    assert json_stat.request is not None
    with socket.create_server(("127.0.0.1", 0)) as silent:
        request = json_stat.request.model_copy(update={"url": f"http://127.0.0.1:{silent.getsockname()[1]}/data"})
        series = json_stat.model_copy(update={"request": request})
        with pytest.raises(AxstatError, match=r"no_reply[\s\S]*Timeout"):
            fetch(series, {}, limits=replace(QUICK, silence=0.1), sleep=sleep)


def test_a_reply_that_is_too_large_or_too_slow(office, json_stat: Series, sleep: Sleep) -> None:
    assert json_stat.request is not None
    office.says(b"[" + b" " * 1_500_000)
    small = json_stat.model_copy(update={"request": json_stat.request.model_copy(update={"max_megabytes": 1})})
    with pytest.raises(AxstatError, match=r"reply_too_large[\s\S]*at most 1 MB"):
        fetch(small, {}, limits=QUICK, sleep=sleep)
    assert len(office.asked) == 1
    with pytest.raises(AxstatError, match="reply_too_slow"):
        fetch(json_stat, {}, limits=replace(QUICK, total=-1), sleep=sleep)


def test_a_key_is_never_seen(office, kosis: Series, sleep: Sleep, caplog: pytest.LogCaptureFixture) -> None:
    office.says("[]")
    with caplog.at_level(logging.DEBUG):
        reply = fetch(kosis, {"KOSIS_API_KEY": KEY}, limits=QUICK, sleep=sleep)
    assert "apiKey=secret%2Fkey%3D%3D" in office.asked[0]
    assert "apiKey=***" in caplog.text
    for text in (reply.url, caplog.text):
        assert "secret" not in text
    # Nor in what is told of a connection that fails, whose own error has the whole address in it
    office.replies.clear()
    office.says("[", Content_Length="10")
    with pytest.raises(AxstatError) as caught:
        fetch(kosis, {"KOSIS_API_KEY": KEY}, limits=QUICK, sleep=sleep)
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__
    office.replies.clear()
    office.says(f'["{KEY}"]')
    with pytest.raises(AxstatError, match="key_in_reply"):
        fetch(kosis, {"KOSIS_API_KEY": KEY}, limits=QUICK, sleep=sleep)


def test_without_a_key_nothing_is_asked(office, kosis: Series) -> None:
    for environment in ({}, {"KOSIS_API_KEY": "  "}):
        with pytest.raises(AxstatError, match=r"no_key[\s\S]*KOSIS_API_KEY"):
            fetch(kosis, environment)
    assert office.asked == []
