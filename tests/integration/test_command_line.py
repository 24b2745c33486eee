"""The `axstat` command as a person meets it: exit codes, one readable block, no traceback."""

import os
import subprocess
import sys
from pathlib import Path

AXSTAT = str(Path(sys.executable).parent / "axstat")


def axstat(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [AXSTAT, *arguments],
        env=os.environ | {"AXSTAT_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_names_every_command(tmp_path: Path) -> None:
    done = axstat(tmp_path, "--help")
    assert done.returncode == 0
    for command in ("synth", "run", "status", "query", "ui"):
        assert command in done.stdout


def test_help_waits_for_nothing_heavy() -> None:
    program = """
import sys
from pipelines.cli import app
app(["--help"], standalone_mode=False)
heavy = {"rich", "pydantic", "numpy", "polars", "pandas", "duckdb", "dagster", "yaml"}
print("imported:", *sorted(heavy & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines()[-1] == "imported:"


def test_help_has_a_whole_sentence_for_each_command(tmp_path: Path) -> None:
    commands = axstat(tmp_path, "--help").stdout.partition("Commands:")[2].split("\n")
    assert [line for line in commands if line.endswith("...")] == []


def test_a_query_before_anything_is_published_says_what_to_do(tmp_path: Path) -> None:
    done = axstat(tmp_path, "query", "select 1")
    assert done.returncode == 1
    assert "axstat run --all" in done.stderr
    assert "Traceback" not in done.stderr


def test_run_asks_for_a_wave(tmp_path: Path) -> None:
    done = axstat(tmp_path, "run")
    assert done.returncode == 2
    assert "--wave 2025" in done.stderr


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("not a folder")
    done = axstat(home, "status")
    assert done.returncode == 1
    assert "AXSTAT_HOME" in done.stderr


def test_an_empty_home_has_no_waves(tmp_path: Path) -> None:
    done = axstat(tmp_path, "status")
    assert done.returncode == 0
    assert done.stdout.startswith("survey,wave,files")
