"""The faults: what is done to a run, and how it ended.

Belongs here: one function a fault, the list of them, one round of one. Does not belong here: what must hold afterwards
(stand.py), who asks for how many rounds (__main__.py, test_faults.py).
"""

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest

from pipelines.errors import AxstatError
from pipelines.intake.manifest import read_manifest as read_delivery
from pipelines.release.vintages import folder_sha256
from tests.crash.stand import (
    EARLIER,
    WAVE,
    Stand,
    axstat,
    chance_of,
    copy_of,
    finish,
    kill,
    obey_rights,
    releases_are_whole,
    rows_are_those_of,
    settings_of,
    size,
    the_next_run_finishes,
)
from tests.unit.intake.sources.conftest import serving, source, take
from tests.unit.intake.sources.test_http import broken_off

READER = """
import sys, duckdb
path = sys.argv[1]
count = "select max(wave), count(*) from mart.adoption_rate"
held = duckdb.connect(path, read_only=True)
print(held.execute(count).fetchone(), flush=True)
sys.stdin.readline()
print(held.execute(count).fetchone(), flush=True)
held.close()
print(duckdb.connect(path, read_only=True).execute(count).fetchone(), flush=True)
"""


class NotHereError(Exception):
    """This machine does not let the fault be made; the text says why."""


@dataclass(frozen=True)
class Given:
    """A round's own copy of the home, in a folder of its own that the fault may use too."""

    stand: Stand
    folder: Path
    number: int
    rounds: int
    chance: random.Random

    @property
    def home(self) -> Path:
        return self.folder / "home"


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        what: what is done, as the page has it.
        make: does it, and says how the run that met it ended.
        rounds: how often in full, and in short.
    """

    what: str
    make: Callable[[Given], str]
    rounds: tuple[int, int]


@dataclass(frozen=True)
class Round:
    """What came of one round.

    Attributes:
        ended: how the run that met the fault ended.
        skipped: why the fault could not be made here.
        opens, whole, same: whether the warehouse opened with the earlier wave's rows; nothing but whole releases was
            visible; the next run gave the rows and bytes of an undisturbed one.
        broken: what did not hold.
    """

    fault: str
    number: int
    ended: str = ""
    skipped: str = ""
    opens: bool = False
    whole: bool = False
    same: bool = False
    broken: str = ""


def killed(given: Given) -> str:
    """Odd rounds kill the command alone and leave its children, as the system does where memory runs out."""
    moment = given.stand.moment((given.number + given.chance.random()) / given.rounds)
    for attempt in range(6):
        with axstat(given.home, "run", "--wave", str(WAVE)) as process:
            assert process.stdout is not None
            for _ in range(moment.lines):
                process.stdout.readline()
            try:
                # On a machine that is faster now than it was, the run would have ended
                process.wait(moment.seconds / 2**attempt)
            except subprocess.TimeoutExpired:
                kill(process, alone=given.number % 2 == 1)
                assert process.wait(10) == -signal.SIGKILL
                return moment.step
        shutil.rmtree(given.home)
        copy_of(given.stand, given.home)
    raise AssertionError("the run was over each time before it could be killed")


def refused(given: Given, *, file_limit: int | None = None, bound_by_rights: bool = False) -> str:
    """A run that must stop with words."""
    command = ("run", "--wave", str(WAVE))
    with axstat(given.home, *command, file_limit=file_limit, bound_by_rights=bound_by_rights) as process:
        printed, _ = process.communicate()
    assert process.returncode == 1, printed
    assert "Traceback" not in printed, printed
    assert "error: " in printed, printed
    return "stopped with words"


def disk_full(given: Given) -> str:
    """There is room for a share of what a run writes: a fiftieth, a third, most of it."""
    share = (0.02, 0.3, 0.8)[given.number % 3]
    megabytes = int((size(given.stand.home) + share * given.stand.growth) / 2**20) + 1
    disk = given.folder / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)]
    mounted = shutil.which("mount") and subprocess.run(command, capture_output=True, check=False)
    if not mounted or mounted.returncode != 0:
        raise NotHereError("no right to mount a small disk")
    try:
        there = Given(given.stand, disk, given.number, given.rounds, given.chance)
        copy_of(given.stand, there.home)
        ended = refused(there)
        # What the full disk left is looked at where there is room
        shutil.rmtree(given.home)
        shutil.copytree(there.home, given.home, symlinks=True)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    return ended


def file_too_large(given: Given) -> str:
    """No file may grow beyond what the warehouse has already: a full disk for those who may not mount one."""
    return refused(given, file_limit=settings_of(given.home).warehouse_file.stat().st_size)


def unreadable(given: Given) -> str:
    """The rights to an answers file, the warehouse file, the releases; or to everything in the middle of the run."""
    settings = settings_of(given.home)
    [answers] = (settings.deliveries_dir / f"industry-{WAVE}").glob("industry_response_*")
    taken = (answers, settings.warehouse_file, settings.published_dir, given.home)[given.number % 4]
    with without_rights(answers):
        read = [sys.executable, "-c", "import sys; open(sys.argv[1])", str(answers)]
        if subprocess.run(read, check=False, stderr=subprocess.DEVNULL, preexec_fn=obey_rights).returncode == 0:
            raise NotHereError("rights of files do not bind this user")
    if taken != given.home:
        with without_rights(taken):
            return refused(given, bound_by_rights=True)
    with axstat(given.home, "run", "--wave", str(WAVE), bound_by_rights=True) as process:
        assert process.stdout is not None
        for _ in range(given.chance.randrange(2, len(given.stand.printed) - 4)):
            process.stdout.readline()
        with without_rights(*settings.home.iterdir()):
            printed, _ = process.communicate()
    assert process.returncode == 1, printed
    assert "Traceback" not in printed, printed
    return "stopped with words"


@contextmanager
def without_rights(*paths: Path) -> Iterator[None]:
    before = [(path, path.stat().st_mode) for path in paths]
    for path in paths:
        path.chmod(0)
    try:
        yield
    finally:
        for path, mode in before:
            path.chmod(mode)


def network_gone(given: Given) -> str:
    """The source breaks off within a file, try after try, and then is not there at all; later it is."""
    deliveries, shop, name = settings_of(given.home).deliveries_dir, given.folder / "shop", f"industry-{WAVE}"
    shop.mkdir()
    shutil.move(deliveries / name, shop / name)
    last = read_delivery(shop / name).files[-1].file
    cut = given.chance.randrange(100, (shop / name / last).stat().st_size)
    with serving(shop) as web:
        asked = source(web.url, deliveries=[name])
        web.faults[f"/{name}/{last}"] = [broken_off(cut)] + [broken_off(0)] * 200
        [one] = take(asked, deliveries)
        assert one.state == "failed", one
    [one] = take(asked, deliveries)
    assert one.state == "failed", one
    assert not (deliveries / name).exists()
    with pytest.raises(AxstatError, match="missing_file"):
        finish(given.home, WAVE)
    with serving(shop) as web:
        [one] = take(source(web.url, deliveries=[name]), deliveries)
        assert one.state == "taken", one
    return "stopped with words"


def two_at_once(given: Given) -> str:
    """The same run twice, or beside it the release of the earlier wave."""
    wave = str(WAVE)
    other = ("run", "--wave", wave) if given.number % 2 == 0 else ("release", "--wave", str(EARLIER))
    with axstat(given.home, "run", "--wave", wave) as first, axstat(given.home, *other) as second:
        told = [process.communicate()[0] for process in (first, second)]
    codes = [first.returncode, second.returncode]
    assert 0 in codes, told
    for code, printed in zip(codes, told, strict=True):
        assert "Traceback" not in printed, printed
        if code != 0:
            assert code == 1, printed
            assert "[warehouse_locked]" in printed or "[publishing_locked]" in printed, printed
            assert " (process " in printed, printed
    return "one after the other" if codes == [0, 0] else "one refused, with who holds the file"


def read_meanwhile(given: Given) -> str:
    """Three readers keep the published file open while the next release takes its place."""
    published = settings_of(given.home).published_dir
    with ExitStack() as stack:
        readers = []
        for _ in range(3):
            command = [sys.executable, "-c", READER, str(published / "latest" / "axstat.duckdb")]
            reader = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.enter_context(reader)
            stack.callback(reader.kill)
            readers.append(reader)
        before = [reader.stdout.readline() for reader in readers if reader.stdout is not None]
        with axstat(given.home, "run", "--wave", str(WAVE)) as process:
            printed, _ = process.communicate()
        assert process.returncode == 0, printed
        for line, reader in zip(before, readers, strict=True):
            meanwhile, after, _ = reader.communicate("go\n")[0].split("\n")
            assert line.startswith(f"({EARLIER}, "), line
            assert meanwhile == line.rstrip(), "the file that a reader holds changed"
            assert after.startswith(f"({WAVE}, "), after
            assert reader.returncode == 0
    return "published, readers undisturbed"


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "killed": Fault(
            "`kill -9` at a random moment of the run, release included; every other time its children live on",
            killed,
            (50, 4),
        ),
        "disk_full": Fault("The disk is full after a fiftieth, a third, most of what a run writes", disk_full, (3, 1)),
        "file_too_large": Fault("No file may grow any further", file_too_large, (1, 0)),
        "unreadable": Fault(
            "No right to read a delivered file, the warehouse or the releases; rights taken in the middle of a run",
            unreadable,
            (4, 1),
        ),
        "network_gone": Fault("The source breaks off within a file and is gone", network_gone, (2, 1)),
        "two_at_once": Fault("Two runs, or a run and a release, at once", two_at_once, (4, 1)),
        "read_meanwhile": Fault(
            "Three readers hold the published file while a release is made", read_meanwhile, (2, 1)
        ),
    }
)


def play(stand: Stand, fault: str, number: int, rounds: int) -> Round:
    """One round: the fault on a copy of the home, what is there then, the next run."""
    with tempfile.TemporaryDirectory(prefix=f"axstat-crash-{fault}-") as place:
        given = Given(stand, Path(place), number, rounds, chance_of(fault, number))
        copy_of(stand, given.home)
        earlier = folder_sha256(settings_of(stand.home).published_dir / f"{EARLIER}.1")
        ended, held = "", {}
        try:
            ended = FAULTS[fault].make(given)
            rows_are_those_of(stand, given.home, EARLIER)
            held["opens"] = True
            assert folder_sha256(settings_of(given.home).published_dir / f"{EARLIER}.1") == earlier
            releases_are_whole(stand, given.home)
            held["whole"] = True
            the_next_run_finishes(stand, given.home)
            held["same"] = True
        except NotHereError as error:
            return Round(fault, number, skipped=str(error))
        except (AssertionError, AxstatError, OSError, pytest.fail.Exception):
            # A round that fails is a finding, told with all that is known of it; the others go on
            return Round(fault, number, ended, broken=traceback.format_exc(), **held)
        return Round(fault, number, ended, **held)
