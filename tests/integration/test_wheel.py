"""The wheel, used where there is no checkout: it must bring its SQL, contracts and report templates along."""

import hashlib
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]

CHECKOUT = Path(__file__).resolve().parents[2]

Python = Callable[..., str]


def done(command: list[str], *, cwd: Path, environment: dict[str, str] | None = None) -> str:
    """Standard output of a command that must succeed."""
    finished = subprocess.run(
        command, cwd=cwd, env=os.environ | (environment or {}), capture_output=True, text=True, timeout=300, check=False
    )
    assert finished.returncode == 0, f"{command}\n{finished.stdout}\n{finished.stderr}"
    return finished.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside the checkout with the wheel's content in `lib`."""
    place = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    done(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-cache-dir", "-w", "dist", str(CHECKOUT)],
        cwd=place,
    )
    [wheel] = (place / "dist").glob("*.whl")
    done([*pip, "install", "--no-deps", "--no-index", "--target", "lib", str(wheel)], cwd=place)
    return place


@pytest.fixture(scope="module")
def python(place: Path) -> Python:
    """Runs Python in `place` with a data home there, the wheel and its dependencies, and nothing of the checkout."""
    packages = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    environment = {
        # -S leaves out .pth files, the one of the editable checkout among them
        "PYTHONPATH": os.pathsep.join([str(place / "lib"), *packages]),
        "AXSTAT_HOME": str(place / "home"),
    }
    return lambda *arguments: done([sys.executable, "-S", *arguments], cwd=place, environment=environment)


def test_the_checkout_is_out_of_reach(place: Path, python: Python) -> None:
    paths = python("-c", "import sys, pipelines; print(pipelines.__path__, *sys.path, sep='\\n')").splitlines()
    assert paths[0] == str([str(place / "lib" / "pipelines")])
    assert str(CHECKOUT) not in paths


def test_the_command_answers(python: Python) -> None:
    assert "synth" in python("-m", "pipelines.cli", "--help")


def test_every_file_the_program_reads_came_along(place: Path, python: Python) -> None:
    asked = (
        "from pipelines.settings import load_settings as l; s = l(); print(s.contracts_dir, s.sql_dir, s.annual_dir)"
    )
    for folder in map(Path, python("-c", asked).split()):
        inside = folder.relative_to(place / "lib" / "pipelines" / "_data")
        sent, had = (
            {file.relative_to(top): file.read_bytes() for file in top.rglob("*") if file.is_file()}
            for top in (folder, CHECKOUT / inside)
        )
        assert sent == had, inside


def test_a_wave_runs_from_files_to_release(place: Path, python: Python) -> None:
    assert "industry-2021" in python("-m", "pipelines.cli", "synth", "--scale", "0.02")
    assert "published 2021.1" in python("-m", "pipelines.cli", "run", "--wave", "2021")
    release = place / "home" / "published" / "2021.1"
    manifest = json.loads((release / "manifest.json").read_text(encoding="utf-8"))
    # A wheel has neither: saying so beats naming those of a checkout it does not come from
    assert manifest["made_with"]["lock_sha256"] is None
    assert manifest["made_with"]["git_revision"] is None
    assert {"axstat.duckdb", "axstat.xlsx", "report.ko.html", "report.en.html"} <= set(manifest["files"])
    for name, sha256 in manifest["files"].items():
        assert hashlib.sha256((release / name).read_bytes()).hexdigest() == sha256, name
