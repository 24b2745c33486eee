"""A statistical office on this machine, and series that ask it."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pipelines.contracts.series import Series

JSON_STAT: dict[str, Any] = {
    "version": "2.0",
    "class": "dataset",
    "label": "AI in enterprises",
    "id": ["freq", "size_emp", "indic_is", "unit", "geo", "time"],
    "size": [1, 2, 1, 1, 2, 2],
    "dimension": {
        "freq": {"category": {"index": {"A": 0}}},
        "size_emp": {"category": {"index": {"GE10": 0, "GE250": 1}}},
        "indic_is": {"category": {"index": {"E_AI_TANY": 0}}},
        "unit": {"category": {"index": {"PC_ENT": 0}}},
        "geo": {"category": {"index": {"EU27_2020": 0, "DK": 1}}},
        "time": {"category": {"index": {"2024": 0, "2025": 1}}},
    },
    "value": {"0": 13.48, "1": 19.95, "3": 42.03, "4": 41.17},
    "status": {"1": "b", "2": "u", "3": "bu"},
}
KOSIS: list[dict[str, str]] = [
    {"ORG_ID": "127", "C1": "00", "C1_NM": "전체", "ITM_ID": "T1", "UNIT_NM": "%", "PRD_DE": "2023", "DT": "30.3"},
    {"ORG_ID": "127", "C1": "00", "C1_NM": "전체", "ITM_ID": "T1", "UNIT_NM": "%", "PRD_DE": "2024", "DT": "32.9"},
    {"ORG_ID": "127", "C1": "10", "C1_NM": "금융업", "ITM_ID": "T1", "UNIT_NM": "%", "PRD_DE": "2024", "DT": "X"},
]
SDMX_1 = (
    "DATAFLOW,LAST UPDATE,freq,size_emp,indic_is,unit,geo,TIME_PERIOD,OBS_VALUE,OBS_FLAG\r\n"
    "ESTAT:ISOC_EB_AI(1.0),15/06/26 11:00:00,A,GE10,E_AI_TANY,PC_ENT,EU27_2020,2024,13.48,\r\n"
    "ESTAT:ISOC_EB_AI(1.0),15/06/26 11:00:00,A,GE10,E_AI_TANY,PC_ENT,EU27_2020,2025,19.95,b\r\n"
    "ESTAT:ISOC_EB_AI(1.0),15/06/26 11:00:00,A,GE250,E_AI_TANY,PC_ENT,DK,2025,,c\r\n"
)
SDMX_2 = SDMX_1.replace("DATAFLOW,LAST UPDATE", "STRUCTURE,STRUCTURE_ID,LAST UPDATE").replace(
    "ESTAT:ISOC_EB_AI(1.0)", "dataflow,ESTAT:ISOC_EB_AI(1.0)"
)


class Office(ThreadingHTTPServer):
    """Gives the replies it was told to give, in order, the last one again and again; remembers what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies: list[tuple[int, dict[str, str], bytes]] = []
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/data"

    def says(self, body: object, *, status: int = 200, **headers: str) -> None:
        text = body if isinstance(body, str | bytes) else json.dumps(body)
        sent = text.encode() if isinstance(text, str) else text
        named = {"Content-Length": str(len(sent))} | {name.replace("_", "-"): value for name, value in headers.items()}
        self.replies.append((status, named, sent))


class _Handler(BaseHTTPRequestHandler):
    server: Office

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        status, headers, body = self.server.replies[0] if len(self.server.replies) == 1 else self.server.replies.pop(0)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: a test's output is no log of a server."""


@pytest.fixture
def office() -> Iterator[Office]:
    with Office() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(5)


def _series(request: dict[str, Any], observations: dict[str, Any]) -> Series:
    return Series.model_validate(
        {
            "id": "test_series",
            "version": "1.0.0",
            "title_ko": "시험",
            "title_en": "Test",
            "definition": {
                "statistical_unit": "enterprise",
                "size_cutoff": "10 or more employees",
                "wording_ko": "시험",
                "wording_en": "Test",
            },
            "source": "an office",
            "licence": "CC BY 4.0",
            "request": request,
            "observations": observations,
        }
    )


EUROSTAT_CODES = {"measure": {"E_AI_TANY": "ai_adoption"}, "size_class": {"GE10": "total", "GE250": "250+"}}
EUROSTAT_ONLY = {"freq": ["A"], "unit": ["PC_ENT"]}
STATUSES = {"b": "B", "u": "U", "c": "C"}


@pytest.fixture
def json_stat(office: Office) -> Series:
    return _series(
        {"format": "json-stat", "url": office.url, "parameters": {"unit": "PC_ENT", "geo": ["EU27_2020", "DK"]}},
        {
            "columns": {"measure": "indic_is", "geo": "geo", "size_class": "size_emp", "ref_year": "time"},
            "codes": EUROSTAT_CODES,
            "only": EUROSTAT_ONLY,
            "value": "value",
            "unit": "share",
            "cells": {"percent": "implied"},
            "status": "status",
            "statuses": STATUSES,
        },
    )


@pytest.fixture
def sdmx(office: Office) -> Series:
    return _series(
        {"format": "sdmx-csv", "url": office.url},
        {
            "columns": {"measure": "indic_is", "geo": "geo", "size_class": "size_emp", "ref_year": "TIME_PERIOD"},
            "codes": EUROSTAT_CODES,
            "only": EUROSTAT_ONLY,
            "value": "OBS_VALUE",
            "unit": "share",
            "cells": {"percent": "implied"},
            "status": "OBS_FLAG",
            "statuses": STATUSES,
        },
    )


@pytest.fixture
def kosis(office: Office) -> Series:
    return _series(
        {
            "format": "kosis",
            "url": office.url,
            "parameters": {"method": "getList", "orgId": "127", "format": "json", "jsonVD": "Y"},
            "key": {"parameter": "apiKey", "variable": "KOSIS_API_KEY"},
        },
        {
            "columns": {"industry": "C1", "ref_year": "PRD_DE", "measure": "ITM_ID"},
            "fixed": {"geo": "KR"},
            "codes": {"measure": {"T1": "ai_adoption"}, "industry": {"00": "total", "10": "K"}},
            "only": {"UNIT_NM": ["%"]},
            "value": "DT",
            "unit": "share",
            "cells": {"percent": "implied", "missing": {"X": "x", "-": "none"}},
            "statuses": {"x": "C", "none": "M"},
        },
    )


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def sleep(slept: list[float]) -> Callable[[float], None]:
    """Waits between attempts are noted and not waited."""
    return slept.append
