"""The `axstat` command as a person meets it: exit codes, one readable block, no traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# The last test uses the country of the other integration tests
pytestmark = pytest.mark.xdist_group("country")

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
    for command in (
        "synth",
        "fetch",
        "run",
        "release",
        "diff",
        "check",
        "codebook",
        "status",
        "query",
        "scenario",
        "backup",
        "restore",
        "migrate",
        "ui",
    ):
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


def test_check_says_by_its_exit_code_what_becomes_of_a_file(country, tmp_path: Path) -> None:
    """The made-up contractor sends a few wrong rows; a cut file is rejected, an unknown survey is an error."""
    delivered = country.settings.deliveries_dir / "industry-2021" / "industry_response_2021.csv"
    asked = ("--survey", "industry", "--wave", "2021")
    letter, told = tmp_path / "letter.html", tmp_path / "told.json"
    remarks = axstat(tmp_path, "check", str(delivered), *asked, "--html", str(letter), "--json", str(told))
    assert remarks.returncode == 3, remarks.stderr
    found = json.loads(told.read_text(encoding="utf-8"))
    assert found["verdict"] == "remarks"
    assert found["rows_kept_out"] > 0
    assert all(rule["rule"] in letter.read_text(encoding="utf-8") for rule in found["rules"])
    cut = tmp_path / "cut.csv"
    whole = delivered.read_bytes()
    cut.write_bytes(whole[: whole.rindex(b",")])
    assert axstat(tmp_path, "check", str(cut), *asked).returncode == 4
    assert axstat(tmp_path, "check", str(delivered), *asked, "--form", "delimiter=;").returncode == 4
    wrong = axstat(tmp_path, "check", str(delivered), *asked, "--form", "header_rows=two", "--form", "colour=red")
    assert wrong.returncode == 1
    assert "header_rows=two" in wrong.stderr
    assert "colour=red" in wrong.stderr
    unknown = axstat(tmp_path, "check", str(cut), "--survey", "industri", "--wave", "2021")
    assert unknown.returncode == 1
    assert "industry" in unknown.stderr
    assert "Traceback" not in unknown.stderr


def test_a_release_is_judged_and_two_are_compared_from_the_command_line(country, tmp_path: Path) -> None:
    home = country.settings.home
    rehearsed = axstat(home, "release", "--wave", "2023", "--dry-run")
    assert rehearsed.returncode == 0, rehearsed.stderr
    assert rehearsed.stdout.splitlines()[:2] == ["release 2023.2", "  check_failed: passes"]
    signed = ("--override", "check_failed", "--name", "Lee", "--reason", "because")
    refused = axstat(home, "release", "--wave", "2023", "--dry-run", *signed)
    assert (refused.returncode, "override of check_failed by Lee" in refused.stdout) == (1, True)
    unsigned = axstat(home, "release", "--wave", "2023", "--override", "check_failed", "--name", "Lee")
    assert (unsigned.returncode, "--reason" in unsigned.stderr) == (2, True)
    early = axstat(home, "release", "--wave", "2023", "--pre-access")
    assert (early.returncode, "already_public" in early.stderr) == (1, True)
    not_run = axstat(home, "release", "--wave", "2024")
    assert (not_run.returncode, "axstat run --wave 2024" in not_run.stderr) == (1, True)
    standing = axstat(home, "release", "--wave", "2023")
    assert (standing.returncode, standing.stdout.splitlines()[0]) == (0, "unchanged, still 2023.1")

    cells = tmp_path / "cells.csv"
    compared = axstat(home, "diff", "2022.1", "2023.1", "--out", str(cells))
    assert compared.returncode == 0, compared.stderr
    assert "delivery of industry 2023: industry_response of industry-2023, new" in compared.stdout
    assert "mart.adoption_rate" in compared.stdout
    assert cells.read_text(encoding="utf-8").startswith("table,key,what,column,before,after,difference")


def test_before_anything_ran_a_release_says_what_to_run(tmp_path: Path) -> None:
    done = axstat(tmp_path, "release", "--wave", "2023")
    assert done.returncode == 1
    assert "axstat run --wave 2023" in done.stderr
    assert not (tmp_path / "warehouse").exists()
