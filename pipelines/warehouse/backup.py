"""Backups of a data home: what cannot be made again, copied while nothing changes it, and brought back as it was.

Belongs here: which parts of a home are copied, the manifest with their hashes, verifying and bringing back. Does not
belong here: bringing an older warehouse up to date (upgrade), building a release again (release.replay).

The secret of the units' keys is in a backup: the deliveries in it hold the identifiers themselves, so that it tells
nothing more, and without it the warehouse could not be used. A backup is therefore its owner's alone.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.settings import Settings
from pipelines.warehouse.database import Layout, Warehouse
from pipelines.warehouse.lock import HeldError, Lock
from pipelines.warehouse.unit_key import unit_key

MANIFEST = "backup.json"
_FORM = "axstat backup 1"
_HOME, _PUBLISHED, _LATEST = "home", "published", "latest"
_BLOCK = 2**20
_OWNER_FOLDER, _OWNER_FILE = 0o700, 0o600
_OPEN_FOLDER, _OPEN_FILE = 0o755, 0o644


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class _Manifest(BaseModel):
    """What a backup says of itself. `latest`: the release that this link names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    form: str
    axstat: str
    layout: str | None
    made: str
    files: Mapping[str, _Entry]
    latest: str | None = Field(pattern=r"^\d{4}\.\d+$")


@dataclass(frozen=True)
class Backup:
    """A backup that was made or brought back: its folder or the home, and what is in it."""

    folder: Path
    files: int
    bytes: int
    layout: str | None

    def __str__(self) -> str:
        held = self.layout or "no warehouse"
        return f"{self.folder}\n  {self.files:,} files, {self.bytes / 2**20:,.1f} MiB, {held}"


def back_up(settings: Settings, warehouse: Warehouse, *, to: Path, now: datetime) -> Backup:
    """Copy deliveries, edit files, replies of outside series, the warehouse with its secret, and all releases.

    Args:
        warehouse: that of the settings; it is held, so that no run changes it meanwhile.
        to: the folder that the backup is made in, as a folder named after the moment.
        now: the moment, in UTC.

    Returns:
        The backup, which was read again and has the hashes of what was copied.

    Raises:
        AxstatError: there is nothing to back up; `to` is in a folder that is copied; a run holds the warehouse; a
            warehouse without its secret.
        OSError: the disk is full, or may not be written.
    """
    to = to.absolute()
    parts = _parts(settings)
    if not any(part.is_dir() for part in parts) or any(to.is_relative_to(part) for part in parts):
        raise AxstatError(
            "no_backup",
            where=str(to),
            expected=f"a data home with something in it ({settings.home}), and a folder outside of what is copied",
            got="nothing to copy" if not any(part.is_dir() for part in parts) else "a folder that is copied itself",
            hint="name another folder with --to, best on another disk; check AXSTAT_HOME",
        )
    to.mkdir(parents=True, exist_ok=True, mode=_OWNER_FOLDER)
    target = to / f"axstat-{now:%Y%m%dT%H%M%SZ}"
    with warehouse.alone(), _no_new_release(settings, warehouse), _beside(target) as building:
        layout = _layout(warehouse)
        files: dict[str, _Entry] = {}
        for path in _content(settings):
            place = path.relative_to(settings.home).as_posix()
            _make_folders(building, (building / _HOME / place).parent, _OWNER_FOLDER)
            files[place] = _copied(path, building / _HOME / place, mode=_OWNER_FILE)
        latest = settings.published_dir / _LATEST
        manifest = _Manifest(
            form=_FORM,
            axstat=version("axstat"),
            layout=str(layout) if layout else None,
            made=now.isoformat(timespec="seconds"),
            files=files,
            latest=latest.readlink().name if latest.is_symlink() else None,
        )
        (building / MANIFEST).touch(mode=_OWNER_FILE)
        (building / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
        _require_undamaged(building, manifest)
    return _told(target, manifest)


def restore(backup: Path, *, into: Path) -> Backup:
    """Bring a backup back as the data home `into`, which must not exist or be empty: whole, or not at all.

    Rights are those that a run gives: microdata are their owner's alone, releases can be read by all.

    Raises:
        AxstatError: `into` holds something; this is no backup, or one of a newer form.
        ViolationsError: every file of the backup that is missing, changed or not in its manifest.
        OSError: the disk is full, or may not be written.
    """
    into = into.absolute()
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise AxstatError(
            "home_not_empty",
            where=str(into),
            expected="a data home that does not exist yet, or an empty folder",
            got="one that holds something",
            hint="name another one with --into, or move what is there away: nothing is ever restored over it",
        )
    manifest = _read_manifest(backup)
    _require_undamaged(backup, manifest)
    into.parent.mkdir(parents=True, exist_ok=True)
    with _beside(into) as building:
        building.chmod(_OPEN_FOLDER)
        for place, entry in manifest.files.items():
            target = building / place
            public = PurePosixPath(place).parts[0] == _PUBLISHED
            _make_folders(building, target.parent, _OPEN_FOLDER if public else _OWNER_FOLDER)
            # What counts is the copy, which is what will be read
            made = _copied(backup / _HOME / place, target, mode=_OPEN_FILE if public else _OWNER_FILE)
            if made != entry:
                raise _damaged(backup, [_changed(place)])
        if manifest.latest is not None:
            (building / _PUBLISHED / _LATEST).symlink_to(manifest.latest, target_is_directory=True)
    return _told(into, manifest)


def _parts(settings: Settings) -> tuple[Path, ...]:
    """What cannot be made again, or not without what others may not have any more."""
    return (
        settings.deliveries_dir,
        settings.edits_dir,
        settings.benchmarks_dir,
        settings.warehouse_file.parent,
        settings.published_dir,
    )


def _content(settings: Settings) -> Iterator[Path]:
    """Files of the parts, links followed; without hidden ones: those are locks, and what is not whole yet."""
    for part in _parts(settings):
        if part.is_dir():
            yield from _files_below(part, besides=settings.published_dir / _LATEST)
    if (config := settings.dagster_home / "dagster.yaml").is_file():
        yield config


def _files_below(folder: Path, *, besides: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path == besides:
            continue
        if path.is_dir():
            yield from _files_below(path, besides=besides)
        else:
            yield path


def _layout(warehouse: Warehouse) -> Layout | None:
    """The layout of a warehouse, which is opened for it: what a killed run left in its log is in the file then."""
    if not warehouse.path.exists():
        return None
    unit_key(warehouse.key_file, make=False)
    with warehouse.as_it_is() as connection:
        return warehouse.stored_layout(connection)


@contextmanager
def _no_new_release(settings: Settings, warehouse: Warehouse) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(Lock(settings.published_dir).held(timeout=warehouse.lock_timeout))
        except HeldError as error:
            raise AxstatError(
                "publishing_locked",
                where=str(settings.published_dir),
                expected=f"no release being made, within {warehouse.lock_timeout:g} s",
                got=str(error),
                hint="make the backup when the release is out",
            ) from error
        yield


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A folder beside `target`, its owner's alone, that takes its name when the block ends well, and is gone else."""
    building = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield building
        if target.exists():
            # Empty, or else this fails: systems differ in whether a folder may take an empty one's name
            target.rmdir()
        building.rename(target)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _copied(source: Path, copy: Path, *, mode: int) -> _Entry:
    """Copy a file, and say what was copied."""
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as given, os.fdopen(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as made:
        while block := given.read(_BLOCK):
            digest.update(block)
            size += len(block)
            made.write(block)
        made.flush()
        os.fsync(made.fileno())
    return _Entry(sha256=digest.hexdigest(), bytes=size)


def _make_folders(root: Path, folder: Path, mode: int) -> None:
    for one in (*reversed(folder.relative_to(root).parents), folder.relative_to(root)):
        (root / one).mkdir(exist_ok=True, mode=mode)


def _read_manifest(backup: Path) -> _Manifest:
    path = backup / MANIFEST
    try:
        form = json.loads(path.read_text(encoding="utf-8")).get("form")
        if form != _FORM:
            raise _no_backup(backup, f"form {form!r}")
        manifest = _Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValueError, AttributeError, ValidationError) as error:
        raise _no_backup(backup, str(error).splitlines()[0]) from error
    for place in manifest.files:
        parts = PurePosixPath(place).parts
        if not parts or PurePosixPath(place).is_absolute() or ".." in parts or "\\" in place or ":" in place:
            raise _no_backup(backup, f"a path that leads elsewhere: {place!r}")
    return manifest


def _require_undamaged(backup: Path, manifest: _Manifest) -> None:
    """Read everything again.

    Raises:
        ViolationsError: what is not as the manifest has it.
    """
    home = backup / _HOME
    there = {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_symlink() or path.is_file()}
    faults = [
        Violation("unknown_file", where=place, expected="only what the manifest names", got="another file", hint=_HINT)
        for place in sorted(there - set(manifest.files))
    ]
    for place, entry in manifest.files.items():
        if place not in there or (home / place).is_symlink():
            faults.append(Violation("missing_file", where=place, expected="the file", got="none", hint=_HINT))
        elif (home / place).stat().st_size != entry.bytes or _sha256(home / place) != entry.sha256:
            faults.append(_changed(place))
    if faults:
        raise _damaged(backup, faults)


_HINT = "use another backup: nothing of this one was brought back"


def _changed(place: str) -> Violation:
    return Violation("damaged_file", where=place, expected="the bytes that were backed up", got="others", hint=_HINT)


def _damaged(backup: Path, faults: list[Violation]) -> ViolationsError:
    return ViolationsError(f"backup {backup}", faults)


def _sha256(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _no_backup(backup: Path, got: str) -> AxstatError:
    return AxstatError(
        "not_a_backup",
        where=str(backup / MANIFEST),
        expected=f"the manifest of a backup ({_FORM})",
        got=got,
        hint="name a folder that `axstat backup` made; for one of a newer axstat, use that version",
    )


def _told(folder: Path, manifest: _Manifest) -> Backup:
    size = sum(entry.bytes for entry in manifest.files.values())
    return Backup(folder, len(manifest.files), size, manifest.layout)
