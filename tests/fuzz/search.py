"""Damaged files of one format, read one after the other under watch: what comes out besides errors for people?

Belongs here: the seeds' files, one try, and the process that tries, which may hang or crash. Does not belong here: ways
to damage a file (mutations.py), the command (__main__.py).
"""

import multiprocessing
import random
import resource
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from pipelines.contracts.library import load_library
from pipelines.contracts.models import TableContract
from pipelines.errors import AxstatError, ViolationsError
from pipelines.intake.encoding import decode
from pipelines.intake.form import FileForm
from pipelines.intake.formats.dispatch import read_table
from pipelines.intake.limits import Limits
from pipelines.settings import load_settings
from tests.fuzz.mutations import damaged, damaged_text, damaged_zip
from tests.integration.broken.formats import FORMATS, Grid

# A reader's process is ended by the reader after LIMITS.seconds; the watchdog is for what nobody ends
LIMITS = Limits(seconds=20)
SECONDS_A_TRY = 60.0
MOST_BYTES = 2 * 2**30
_ADDRESS_SPACE = 6 * 2**30
_TEXT = ("csv", "tsv", "jsonl", "dat", "json")
_ZIPS = ("xlsx", "xlsb", "ods", "zip")
_COLUMNS = ("business_number", "ksic", "region", "employees", "tech_ml", "tech_genai", "obstacle")
_JSON_STAT = """{"version": "2.0", "class": "dataset", "label": "비율", "id": ["geo", "time"], "size": [2, 2],
 "dimension": {"geo": {"label": "g", "category": {"index": {"KR": 0, "EU": 1}, "label": {"KR": "한국", "EU": "EU"}}},
               "time": {"label": "t", "category": {"index": {"2023": 0, "2024": 1}}}},
 "value": {"0": 1.5, "1": 2, "3": null}, "status": {"3": "b"}}
"""
_CODE_LISTS = '{"geo": {"KR": "한국", "EU": "유럽연합"}, "size": {"10-49": "소기업", "250+": "대기업"}}'


@dataclass(frozen=True)
class Target:
    """A reader and a valid file for it."""

    name: str
    ending: str
    content: bytes
    form: FileForm
    damage: Callable[[bytes, random.Random], bytes] = damaged
    beside: Mapping[str, bytes] = field(default_factory=dict)
    kind: str | None = None


@dataclass
class Result:
    """What came of the tries: how many were read, how often which code refused them, the slowest, the findings."""

    tried: int = 0
    accepted: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, int] = (0.0, -1)
    findings: list[Path] = field(default_factory=list)


def _grid(contract: TableContract) -> Grid:
    chance = random.Random(20240926)
    rows: list[list[str | None]] = [
        [
            f"{chance.randrange(10**9, 10**10)}", f"{chance.randrange(1, 97):02}", f"{chance.randrange(11, 40)}",
            str(chance.randrange(1, 9_999)), str(chance.randrange(1, 6)), chance.choice(("1", "", "9")),
            chance.choice(("01", "인력 부족", "예산, \"비용\"", "")),
        ]
        for _ in range(25)
    ]  # fmt: skip
    return Grid(list(_COLUMNS), [contract.column(name).synonyms[1] for name in _COLUMNS], rows)


def targets() -> dict[str, Target]:
    """A target for each format, and for the two contents of JSON."""
    contract = load_library(load_settings({}).contracts_dir).deliveries["industry_response"]
    found = {}
    for name, form in FORMATS.items():
        grid = form.with_headers(_grid(contract), contract)
        found[name] = _target(name, form.ending, form.write(grid), form.entry, beside=form.beside(grid))
    # Nothing is declared: encoding, delimiter, titles and notes are found out
    titled = "조사 결과\n(단위: 명)\n".encode() + found["csv-utf-8"].content + "※ 주: 없음\n".encode()
    found["csv-undeclared"] = _target("csv-undeclared", "csv", titled, {})
    found["json-stat"] = _target("json-stat", "json", _JSON_STAT.encode(), {}, kind="json-stat")
    found["code-lists"] = _target("code-lists", "json", _CODE_LISTS.encode(), {}, kind="code-lists")
    return found


def _target(
    name: str,
    ending: str,
    content: bytes,
    entry: Mapping[str, object],
    *,
    beside: Mapping[str, bytes] | None = None,
    kind: str | None = None,
) -> Target:
    form = FileForm.model_validate(entry)
    damage = damaged_zip if name in _ZIPS else _damage_of(content, form, ending)
    return Target(name, ending, content, form, damage, beside or {}, kind)


def _damage_of(content: bytes, form: FileForm, ending: str) -> Callable[[bytes, random.Random], bytes]:
    if ending not in _TEXT:
        return damaged
    _, encoding = decode(content, declared=form.encoding, file=ending)
    return partial(damaged_text, encoding=encoding)


def damaged_file(target: Target, seed: int) -> tuple[bytes, Mapping[str, bytes]]:
    """The file of a seed, and what lies beside it; the layout of fixed-width text is damaged now and then."""
    chance = random.Random(f"{target.name} {seed}")
    beside = {
        name: damaged(content, chance) if chance.random() < 0.3 else content for name, content in target.beside.items()
    }
    return target.damage(target.content, chance), beside


def read_one(target: Target, seed: int, folder: Path) -> str:
    """Read the file of a seed; the code that refuses it, '' if it is read.

    Raises:
        AssertionError: an error that is not worded for people.
        Exception: whatever a reader lets through; that is what is looked for.
    """
    content, beside = damaged_file(target, seed)
    path = folder / f"data.{target.ending}"
    for name, data in {path.name: content, **beside}.items():
        (folder / name).write_bytes(data)
    try:
        table = read_table(path, target.form, file=f"fuzz/{path.name}", content=target.kind, limits=LIMITS)
    except ViolationsError as error:
        for violation in error.violations:
            parts = (violation.code, violation.where, violation.expected, violation.got, violation.hint)
            assert all(part.strip() for part in parts), violation
            assert not any("Traceback" in part for part in parts), violation
        return error.violations[0].code
    except AxstatError as error:
        return error.code
    assert len(table.headers) == table.frame.width == len(table.labels)
    assert table.frame.height > 0
    return ""


def _work(target: Target, first_seed: int, answers: Connection) -> None:
    """Try seed after seed, and tell of each what came of it: the code and the time, or the traceback."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, hard))
    with tempfile.TemporaryDirectory(prefix="axstat-fuzz-") as folder:
        seed = first_seed
        while True:
            started = time.monotonic()
            try:
                code, fault = read_one(target, seed, Path(folder)), ""
            except Exception:  # noqa: BLE001 - whatever comes out besides errors for people is a finding
                code, fault = "", traceback.format_exc()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            if not fault and peak > MOST_BYTES:
                fault = f"{peak:,} bytes of memory"
            answers.send((code, fault, time.monotonic() - started))
            if fault and peak > MOST_BYTES:
                return
            seed += 1


def search(target: Target, *, first_seed: int, tries: int | None, seconds: float, folder: Path) -> Result:
    """Read damaged files until so many were tried or the time is over.

    Args:
        first_seed: further ones follow it. tries: None for as many as the time allows.
        folder: findings are saved there, each with its seed in its name and what happened beside it.
    """
    result = Result()
    over = time.monotonic() + seconds
    context = multiprocessing.get_context("spawn")
    seed = first_seed
    while time.monotonic() < over and (tries is None or result.tried < tries):
        answers, their_end = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(target, seed, their_end), daemon=False)
        worker.start()
        their_end.close()
        try:
            alive, starting = True, 60.0
            while alive and time.monotonic() < over and (tries is None or result.tried < tries):
                code, fault, took = _answer(answers, worker, starting)
                starting = 0.0
                result.tried += 1
                result.slowest = max(result.slowest, (took, seed))
                if fault:
                    result.findings.append(_saved(target, seed, fault, folder))
                    alive = worker.is_alive() and took < SECONDS_A_TRY
                elif code:
                    result.codes[code] += 1
                else:
                    result.accepted += 1
                seed += 1
        finally:
            worker.kill()
            worker.join()
            answers.close()
    return result


def _answer(
    answers: Connection, worker: multiprocessing.process.BaseProcess, starting: float
) -> tuple[str, str, float]:
    """The next answer; that none came in time, or never will, is one too."""
    if not answers.poll(SECONDS_A_TRY + starting):
        return "", f"no end after {SECONDS_A_TRY:g} seconds", SECONDS_A_TRY
    try:
        code, fault, took = answers.recv()
    except EOFError:
        worker.join()
        return "", f"the process ended, status {worker.exitcode}", SECONDS_A_TRY
    return str(code), str(fault), float(took)


def _saved(target: Target, seed: int, fault: str, folder: Path) -> Path:
    content, beside = damaged_file(target, seed)
    place = folder / f"{target.name}-{seed}"
    place.mkdir(parents=True, exist_ok=True)
    for name, data in {f"data.{target.ending}": content, **beside, "what-happened.txt": fault.encode()}.items():
        (place / name).write_bytes(data)
    return place
