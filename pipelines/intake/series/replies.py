"""A reply of a statistical office -> TextTable, or what the office says instead.

Belongs here: the formats of replies and their errors, which often come as a success. Does not belong here: sending
requests (fetch.py), what columns mean (observations.py).
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl

from pipelines.contracts.series import ReplyFormat
from pipelines.intake.form import FileForm
from pipelines.intake.formats.delimited import read_delimited
from pipelines.intake.formats.json_stat import read_json_stat
from pipelines.intake.formats.json_text import read_json
from pipelines.intake.problems import file_error
from pipelines.intake.table import Provenance, TextTable, text_table

SUFFIXES: Mapping[ReplyFormat, str] = MappingProxyType({"json-stat": ".json", "sdmx-csv": ".csv", "kosis": ".json"})
# SDMX-CSV 1.0 and 2.0 begin with these columns
_SDMX_STARTS = ("DATAFLOW", "STRUCTURE")
_SAID = 300
# KOSIS's own numbers (its developers' guide) -> what to do
_KOSIS_HINTS: Mapping[str, str] = MappingProxyType(
    {
        "10": "set the environment variable of the key",
        "11": "renew the key at kosis.kr",
        "20": "add the parameter to the series' contract",
        "21": "correct the parameter in the series' contract",
        "30": "widen the periods or items in the series' contract",
        "31": "ask for fewer periods or items in the series' contract",
        "40": "wait: the number of requests is used up",
        "41": "ask for fewer rows in the series' contract",
        "42": "ask KOSIS to lift the block of the key",
    }
)
_KOSIS_TRANSIENT = ("50",)


@dataclass(frozen=True)
class Reply:
    """A reply as it came, from `url` (without the key; None: it was handed over as a file), when, with time zone."""

    url: str | None
    body: bytes
    retrieved_at: datetime


@dataclass(frozen=True)
class Refusal:
    """What an office says in place of data; `passing`: the same request may succeed later."""

    code: str
    text: str
    hint: str
    passing: bool


def refusal(body: bytes, format_: ReplyFormat) -> Refusal | None:
    """The refusal that a reply is, or None where it looks like data."""
    start = body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start == b"<":
        return _fault(body)
    if format_ == "sdmx-csv":
        return _eurostat(_object(body)) if start == b"{" else None
    if start != b"{":
        return None
    found = _object(body)
    return _kosis(found) if format_ == "kosis" else _eurostat(found)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}  # the reader of the format says what is wrong with it
    return found if isinstance(found, dict) else {}


def _fault(body: bytes) -> Refusal:
    """A fault in XML, or a page of a gateway; read as text, never parsed: nothing in it is asked for."""
    text = body[:20_000].decode("utf-8", errors="replace")
    code = re.search(r"<faultcode>([^<]*)", text)
    said = re.search(r"<faultstring>([^<]*)", text)
    plain = said[1] if said else re.sub(r"<[^>]*>", " ", text)
    return _by_status(code[1] if code else "xml", " ".join(plain.split())[:_SAID])


def _eurostat(found: Mapping[str, Any]) -> Refusal | None:
    """{"error": [{"status": ..., "label": ...}]}, or "warning" for a reply that is not ready."""
    said = found.get("error") or found.get("warning")
    if not said or found.get("class") == "dataset":
        return None
    first = said[0] if isinstance(said, list) else said
    if not isinstance(first, dict):
        return _by_status("error", str(first)[:_SAID])
    return _by_status(str(first.get("status", "error")), str(first.get("label", first))[:_SAID])


def _by_status(code: str, text: str) -> Refusal:
    if "ASYNCHRONOUS" in text.upper():
        return Refusal(code, text, "try again in some minutes, or narrow the filters in the series' contract", True)
    if code == "413":
        return Refusal(code, text, "narrow the filters in the series' contract", False)
    passing = code in ("429", "xml") or code.startswith("5")
    hint = "try again later" if passing else "correct the data set and filters in the series' contract"
    return Refusal(code, text, hint, passing)


def _kosis(found: Mapping[str, Any]) -> Refusal | None:
    if "err" not in found:
        return None
    code = str(found["err"])
    return Refusal(
        code,
        str(found.get("errMsg", ""))[:_SAID],
        _KOSIS_HINTS.get(code, "try again later; if it stays, ask KOSIS"),
        code in _KOSIS_TRANSIENT,
    )


def read_kosis(path: Path, form: FileForm, *, file: str) -> TextTable:
    """Rows of statisticsParameterData.do: a list of objects; a column each key, in the order they first appear.

    Raises:
        ViolationsError: not JSON, or anything but a list of objects of plain values.
    """
    found = read_json(path, file=file)
    flat = isinstance(found, list) and all(
        isinstance(row, dict) and all(cell is None or isinstance(cell, str) for cell in row.values()) for row in found
    )
    if not flat:
        raise file_error(
            file,
            "not_kosis",
            expected="a list of objects with plain values",
            got=f"{found!r}"[:_SAID],
            hint="check the method and format of the request in the series' contract",
        )
    headers = tuple(dict.fromkeys(key for row in found for key in row))
    frame = pl.DataFrame(
        [pl.Series(f"c{at}", [row.get(key) for row in found], dtype=pl.String) for at, key in enumerate(headers)]
    )
    return text_table(frame, headers, Provenance(file=file, format="kosis", encoding="utf-8"))


def read_sdmx_csv(path: Path, form: FileForm, *, file: str) -> TextTable:
    """SDMX-CSV 1.0 (first column DATAFLOW) or 2.0 (STRUCTURE), codes without labels.

    Raises:
        ViolationsError: what the reader of delimited text finds, or a first column of another name.
    """
    table = read_delimited(path, form, file=file)
    if not table.headers[0].upper().startswith(_SDMX_STARTS):
        raise file_error(
            file,
            "not_sdmx_csv",
            part="header",
            expected=f"{' or '.join(_SDMX_STARTS)} as the first column",
            got=repr(table.headers[0])[:_SAID],
            hint="check the format of the request in the series' contract",
        )
    return table


READERS: Mapping[ReplyFormat, Callable[..., TextTable]] = MappingProxyType(
    {"json-stat": read_json_stat, "sdmx-csv": read_sdmx_csv, "kosis": read_kosis}
)
