"""Printed forms are made beside the block, and what goes wrong with them is told at its end."""

import os
import shutil
import signal
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from pipelines.errors import AxstatError
from pipelines.release.printing import PRINTED, printing
from tests.unit.reporting.made_up import ANNUAL, made_up_report

pytestmark = pytest.mark.slow

_SIGNATURES = {".pdf": b"%PDF-", ".hwpx": b"PK", ".png": b"\x89PNG"}


def test_every_form_is_there_when_the_block_ends(tmp_path: Path) -> None:
    data = made_up_report()
    with printing(tmp_path, data, template_dir=ANNUAL):
        (tmp_path / "page.html").touch()
    assert {path.name for path in tmp_path.iterdir()} == {*PRINTED, "page.html"}
    for name in PRINTED:
        path = tmp_path / name
        assert path.read_bytes().startswith(_SIGNATURES[path.suffix])


def test_a_form_that_cannot_be_made_stops_the_release_with_its_own_words(tmp_path: Path) -> None:
    templates = tmp_path / "annual"
    shutil.copytree(ANNUAL, templates)
    (templates / "report.typ").write_text("#no-such-function()", encoding="utf-8")
    with (
        pytest.raises(AxstatError, match=r"report\.typ") as caught,
        printing(tmp_path, made_up_report(), template_dir=templates),
    ):
        pass
    assert caught.value.code == "typesetting"


def test_an_error_of_the_block_goes_before(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="of the block"), printing(tmp_path, made_up_report(), template_dir=ANNUAL):
        raise LookupError("of the block")


def _print_for_ever(folder: Path) -> None:
    with printing(folder, made_up_report(), template_dir=ANNUAL):
        (folder / "started").touch()
        time.sleep(600)


def test_it_ends_with_a_killed_release(tmp_path: Path) -> None:
    release = get_context("spawn").Process(target=_print_for_ever, args=(tmp_path,))
    release.start()
    assert release.pid is not None
    deadline = time.monotonic() + 120
    while not (tmp_path / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    children = Path(f"/proc/{release.pid}/task/{release.pid}/children").read_text().split()
    # The process that prints, and what Python itself keeps beside a spawned one
    assert children
    os.kill(release.pid, signal.SIGKILL)
    release.join()
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not (tmp_path / list(PRINTED)[-1]).exists()
