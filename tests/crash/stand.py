"""A data home before a fault, what an undisturbed run makes of it, and what must hold afterwards.

Belongs here: the home that every round starts from, the command as a process, the conditions. Does not belong here:
the faults (faults.py), what is told of them (page.py).
"""

import ctypes
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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipelines.contracts.library import load_library
from pipelines.orchestration.runs import run_waves
from pipelines.release.vintages import file_sha256, folder_sha256, read_manifest, vintages
from pipelines.settings import Settings, load_settings
from pipelines.synthetic.country import write_deliveries
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.published import query_published

SEED = 20240926
EARLIER, WAVE = 2021, 2022
# Tables of a wave whose rows must be those of an undisturbed run, whatever happened before
NUMBERS = (
    "core.units",
    "core.weights",
    "core.unit_measure",
    "estimates.adoption_rate",
    "mart.adoption_rate",
    "mart.progress",
    "meta.delivery_file",
    "meta.row_balance",
    "raw.quarantine",
)
ENOUGH_SECONDS = 900.0
# From <linux/prctl.h> and <linux/capability.h>: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
_DROP_FROM_BOUNDING_SET, _IN_SPITE_OF_RIGHTS = 24, (1, 2)
AXSTAT = [sys.executable, "-c", "from pipelines.cli import app; app()"]


@dataclass(frozen=True)
class Moment:
    """A moment of a run, while a step was at work: so many lines were printed, and then so many seconds passed."""

    lines: int
    seconds: float
    step: str


@dataclass(frozen=True)
class Stand:
    """A data home after the earlier wave ran, and what an undisturbed run of the next one gives.

    Attributes:
        home, undisturbed: the data home before and after that run.
        rows: folder of the tables' rows, `<wave>/<table>.parquet`: the earlier wave's and the undisturbed run's.
        printed: when the run printed each of its lines, in seconds from its start, and the line; the last is its end.
    """

    home: Path
    undisturbed: Path
    rows: Path
    printed: tuple[tuple[float, str], ...]

    @property
    def growth(self) -> int:
        """Bytes by which the run makes the home grow."""
        return size(self.undisturbed) - size(self.home)

    def moment(self, share: float) -> Moment:
        """The moment at a share (0 to 1) of the run's duration."""
        at = share * self.printed[-1][0]
        past = [line for line in self.printed if line[0] <= at]
        name = self.printed[len(past)][1].split()
        step = "start" if not past else name[0] if name else "end"
        return Moment(len(past), at - past[-1][0] if past else at, step)


def settings_of(home: Path) -> Settings:
    return load_settings({"AXSTAT_HOME": str(home)})


def finish(home: Path, wave: int) -> None:
    run_waves(settings_of(home), [wave], on_event=lambda text, *, finished: None)


def tables(home: Path, wave: int) -> dict[str, pl.DataFrame]:
    settings = settings_of(home)
    warehouse = Warehouse(settings.warehouse_file, SqlCatalogue(settings.sql_dir), load_library(settings.contracts_dir))
    with warehouse.session() as session:
        return {name: session.table(name, where={"wave": wave}) for name in NUMBERS}


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


@contextmanager
def axstat(
    home: Path, *arguments: str, file_limit: int | None = None, bound_by_rights: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """The command as a process group of its own.

    Args:
        file_limit: bytes that no file may exceed.
        bound_by_rights: rights of files bind it, also where root runs it.
    """

    def prepare() -> None:
        if file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
        if bound_by_rights:
            obey_rights()

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


def obey_rights() -> None:
    """Give up, for the program that this process becomes, root's power to read and write in spite of rights."""
    if os.geteuid() == 0 and sys.platform == "linux":
        system = ctypes.CDLL(None)
        for capability in _IN_SPITE_OF_RIGHTS:
            system.prctl(_DROP_FROM_BOUNDING_SET, capability, 0, 0, 0)


def kill(process: subprocess.Popen[str], *, alone: bool = False) -> None:
    """As `kill -9` does; `alone`: as the system does where memory runs out, which leaves its children."""
    if process.poll() is None:
        if alone:
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)


def make_stand(folder: Path, *, scale: float) -> Stand:
    """Make the country, run its earlier wave, and the next one undisturbed in a copy."""
    home, undisturbed, rows = folder / "home", folder / "undisturbed", folder / "rows"
    library = load_library(settings_of(home).contracts_dir)
    write_deliveries(home, library, seed=SEED, waves=(EARLIER, WAVE), scale=scale)
    finish(home, EARLIER)
    shutil.copytree(home, undisturbed, symlinks=True)
    started = time.monotonic()
    printed = []
    with axstat(undisturbed, "run", "--wave", str(WAVE)) as process:
        assert process.stdout is not None
        for line in process.stdout:
            printed.append((time.monotonic() - started, line.rstrip()))
        assert process.wait() == 0, printed
    printed.append((time.monotonic() - started, ""))
    for wave in (EARLIER, WAVE):
        (rows / str(wave)).mkdir(parents=True)
        for name, frame in tables(undisturbed, wave).items():
            frame.write_parquet(rows / str(wave) / f"{name}.parquet")
    return Stand(home, undisturbed, rows, tuple(printed))


def copy_of(stand: Stand, to: Path) -> Path:
    shutil.copytree(stand.home, to, symlinks=True)
    return to


def rows_are_those_of(stand: Stand, home: Path, wave: int) -> None:
    for name, found in tables(home, wave).items():
        assert found.equals(pl.read_parquet(stand.rows / str(wave) / f"{name}.parquet")), f"{name} of {wave}"


def releases_are_whole(stand: Stand, home: Path) -> None:
    """Nothing is visible but whole releases, each with the undisturbed run's bytes; `latest` can be asked."""
    published, reference = settings_of(home).published_dir, settings_of(stand.undisturbed).published_dir
    visible = {path.name for path in published.iterdir() if not path.name.startswith(".")}
    assert {f"{EARLIER}.1", "latest"} <= visible <= {f"{EARLIER}.1", f"{WAVE}.1", "latest"}, visible
    for vintage in vintages(published):
        for name, sha256 in read_manifest(published, vintage)["files"].items():
            assert file_sha256(published / str(vintage) / name) == sha256, f"{vintage}/{name}"
        assert folder_sha256(published / str(vintage)) == folder_sha256(reference / str(vintage)), vintage
    assert (published / "latest").readlink().name in visible - {"latest"}
    asked = query_published(published / "latest" / "axstat.duckdb", "select count(*) as n from mart.adoption_rate")
    assert asked["n"].item() > 0


def the_next_run_finishes(stand: Stand, home: Path) -> None:
    """It gives the numbers and the bytes of an undisturbed run, and tidies up what the last one left."""
    finish(home, WAVE)
    for wave in (EARLIER, WAVE):
        rows_are_those_of(stand, home, wave)
    releases_are_whole(stand, home)
    published = settings_of(home).published_dir
    assert (published / "latest").readlink().name == f"{WAVE}.1"
    assert sorted(path.name for path in published.iterdir()) == [f"{EARLIER}.1", f"{WAVE}.1", "latest"]
    manifest = json.loads((published / "latest" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["release"] == f"{WAVE}.1"


def chance_of(fault: str, number: int) -> random.Random:
    """The same draws for a round whenever it is run."""
    return random.Random(f"{SEED} {fault} {number}")
