"""Printed forms are made beside the block, and what goes wrong with them is told at its end."""

import shutil
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
