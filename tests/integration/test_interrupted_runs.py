"""A killed run, a full disk and a dropped connection: what stood before stands, and the next run finishes."""

import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from pipelines.contracts.library import load_library
from pipelines.errors import AxstatError
from pipelines.orchestration.runs import run_waves
from pipelines.settings import Settings, load_settings
from pipelines.synthetic.country import write_deliveries
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse
from tests.unit.intake.sources.conftest import Web, shop, source, take, web
from tests.unit.intake.sources.test_http import broken_off

__all__ = ["shop", "web"]  # fixtures

pytestmark = pytest.mark.slow

SEED, SCALE = 20240926, 0.01
EARLIER, WAVE = 2021, 2022
# Tables of a wave whose rows must be those of an undisturbed run, whatever happened before
NUMBERS = (
    "core.units",
    "core.weights",
    "core.unit_measure",
    "estimates.adoption_rate",
    "mart.adoption_rate",
    "mart.progress",
)
REGISTER = ("meta.delivery_file", "meta.row_balance", "raw.quarantine")
MOMENTS = 8
ENOUGH_SECONDS = 540.0
AXSTAT = [sys.executable, "-c", "from pipelines.cli import app; app()"]


@dataclass(frozen=True)
class Stand:
    """A data home after the earlier wave ran, and what an undisturbed run of the next one gives.

    `lines`: what that run printed, a line for each step. `growth`: bytes by which the home grew.
    """

    home: Path
    before: dict[str, pl.DataFrame]
    numbers: dict[str, pl.DataFrame]
    lines: int
    growth: int


def settings_of(home: Path) -> Settings:
    return load_settings({"AXSTAT_HOME": str(home)})


def tables(home: Path, names: tuple[str, ...], wave: int) -> dict[str, pl.DataFrame]:
    settings = settings_of(home)
    library = load_library(settings.contracts_dir)
    warehouse = Warehouse(settings.warehouse_file, SqlCatalogue(settings.sql_dir), library)
    with warehouse.session() as session:
        return {name: session.table(name, where={"wave": wave}) for name in names}


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


@contextmanager
def axstat(home: Path, *arguments: str, limit: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """The command as a process group of its own; `limit`: bytes that no file may exceed."""

    def prepare() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    process = subprocess.Popen(
        [*AXSTAT, *arguments],
        env=os.environ | {"AXSTAT_HOME": str(home), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=prepare,
    )
    timer = threading.Timer(ENOUGH_SECONDS, kill, (process,))
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()
        kill(process)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def kill(process: subprocess.Popen[str]) -> None:
    """As `kill -9` does, and as the system does where memory runs out: nobody can tidy up."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Stand:
    folder = tmp_path_factory.mktemp("interrupted")
    home = folder / "home"
    settings = settings_of(home)
    write_deliveries(home, load_library(settings.contracts_dir), seed=SEED, waves=(EARLIER, WAVE), scale=SCALE)
    finish(home, EARLIER)
    undisturbed = folder / "undisturbed"
    shutil.copytree(home, undisturbed, symlinks=True)
    with axstat(undisturbed, "run", "--wave", str(WAVE)) as process:
        printed, _ = process.communicate()
    assert process.returncode == 0, printed
    return Stand(
        home,
        tables(home, (*NUMBERS, *REGISTER), EARLIER),
        tables(undisturbed, (*NUMBERS, *REGISTER), WAVE),
        len(printed.splitlines()),
        size(undisturbed) - size(home),
    )


def finish(home: Path, wave: int) -> None:
    run_waves(settings_of(home), [wave], on_event=lambda text, *, finished: None)


def copy_of(stand: Stand, to: Path) -> Path:
    shutil.copytree(stand.home, to, symlinks=True, dirs_exist_ok=True)
    return to


def nothing_is_half_done(home: Path, stand: Stand) -> None:
    """The earlier wave as it was, and no release but whole ones."""
    for name, after in tables(home, (*NUMBERS, *REGISTER), EARLIER).items():
        assert after.equals(stand.before[name]), name
    published = settings_of(home).published_dir
    for release in published.iterdir():
        if release.is_symlink() or release.name.startswith("."):
            continue
        manifest = json.loads((release / "manifest.json").read_text(encoding="utf-8"))
        for name, sha256 in manifest["files"].items():
            assert hashlib.sha256((release / name).read_bytes()).hexdigest() == sha256
    latest = published / "latest"
    assert latest.readlink().name in (f"{EARLIER}.1", f"{WAVE}.1")
    assert (latest / "manifest.json").is_file()


def the_next_run_finishes(home: Path, stand: Stand) -> None:
    finish(home, WAVE)
    for name, after in tables(home, (*NUMBERS, *REGISTER), WAVE).items():
        assert after.equals(stand.numbers[name]), name
    nothing_is_half_done(home, stand)
    published = settings_of(home).published_dir
    assert (published / "latest").readlink().name == f"{WAVE}.1"
    assert sorted(path.name for path in published.iterdir() if not path.name.startswith(".")) == [
        f"{EARLIER}.1", f"{WAVE}.1", "latest"
    ]  # fmt: skip


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_a_run_that_is_killed(stand: Stand, tmp_path: Path, moment: int) -> None:
    """The moments lie all over the run: so many of its lines, and then some part of a second."""
    home = copy_of(stand, tmp_path / "home")
    chance = random.Random(f"{SEED} {moment}")
    line = stand.lines * moment // MOMENTS
    with axstat(home, "run", "--wave", str(WAVE)) as process:
        assert process.stdout is not None
        for _ in range(line):
            process.stdout.readline()
        time.sleep(chance.uniform(0.0, 1.5))
        kill(process)
        process.wait(10)
    assert process.returncode == -signal.SIGKILL
    nothing_is_half_done(home, stand)
    the_next_run_finishes(home, stand)


@contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[Callable[[int], None]]:
    """A file system of so many megabytes at `place`; it yields what makes it larger."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
    mounted = shutil.which("mount") and subprocess.run(command, capture_output=True, check=False)
    if not mounted or mounted.returncode != 0:
        pytest.skip("no right to mount a tmpfs")

    def enlarge(to: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={to}m", str(place)], check=True)

    try:
        yield enlarge
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.8])
def test_a_disk_that_is_full(stand: Stand, tmp_path: Path, share: float) -> None:
    """There is room for a share of what a run writes."""
    room = int((size(stand.home) + share * stand.growth) / 2**20) + 1
    with small_disk(tmp_path / "disk", room) as enlarge:
        home = copy_of(stand, tmp_path / "disk" / "home")
        with axstat(home, "run", "--wave", str(WAVE)) as process:
            printed, _ = process.communicate()
        assert process.returncode != 0, printed
        assert "Traceback" not in printed, printed
        enlarge(room + 2 * stand.growth // 2**20 + 64)
        nothing_is_half_done(home, stand)
        the_next_run_finishes(home, stand)


def test_a_file_that_may_not_grow(stand: Stand, tmp_path: Path) -> None:
    """As on a disk that is full, for systems without the right to mount one."""
    home = copy_of(stand, tmp_path / "home")
    limit = settings_of(home).warehouse_file.stat().st_size
    with axstat(home, "run", "--wave", str(WAVE), limit=limit) as process:
        printed, _ = process.communicate()
    assert process.returncode != 0, printed
    assert "Traceback" not in printed, printed
    nothing_is_half_done(home, stand)
    the_next_run_finishes(home, stand)


def test_a_connection_that_is_dropped(stand: Stand, tmp_path: Path, web: Web, shop: Path) -> None:
    """The server goes away within a file, try after try; later it is there again."""
    home = copy_of(stand, tmp_path / "home")
    deliveries = settings_of(home).deliveries_dir
    name = f"industry-{WAVE}"
    shutil.move(deliveries / name, shop / name)
    manifest = json.loads((shop / name / "manifest.json").read_text(encoding="utf-8"))
    files = [f"/{name}/{entry['file']}" for entry in manifest["files"]]
    web.faults[files[-1]] = [broken_off(2_000) for _ in range(200)]
    asked = source(web.url, deliveries=[name])

    [one] = take(asked, deliveries)
    assert one.state == "failed"
    assert not (deliveries / name).exists()
    with pytest.raises(AxstatError, match="missing_file"):
        finish(home, WAVE)
    nothing_is_half_done(home, stand)

    web.faults.clear()
    [one] = take(asked, deliveries)
    assert one.state == "taken"
    the_next_run_finishes(home, stand)
