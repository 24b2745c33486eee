"""The commands of reports/methodology/outputs.md are run as they stand, in a release folder."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.warehouse.published import query_published

PAGE = (Path(__file__).parents[3] / "reports" / "methodology" / "outputs.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
PYTHON = [body for language, body in BLOCKS if language == "python"]
SQL = [line for language, body in BLOCKS if language == "sql" for line in body.splitlines()]


@pytest.mark.parametrize("program", PYTHON, ids=range(len(PYTHON)))
def test_a_program_of_the_page_runs_and_prints(program: str, written: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", program], cwd=written, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()


@pytest.mark.parametrize("sql", SQL)
def test_a_question_of_the_page_has_an_answer(sql: str, written: Path) -> None:
    assert not query_published(written / "axstat.duckdb", sql).is_empty()


def test_every_block_is_tested() -> None:
    assert {language for language, _ in BLOCKS} == {"python", "sql"}
    assert len(PYTHON) + 1 == len(BLOCKS)


def test_every_form_of_a_release_is_on_the_page(written: Path) -> None:
    for path in written.iterdir():
        assert f"`{path.name}{'/' if path.is_dir() else ''}`" in PAGE, path.name
