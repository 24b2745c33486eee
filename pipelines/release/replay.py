"""Replaying a vintage: what it rests on is laid out again, and what was rebuilt from that is held against it.

Belongs here: the copies of deliveries, edit files, replies and earlier vintages that a manifest names, each by its
hash; the comparison file by file, and what may explain a difference. Does not belong here: running the waves
(orchestration.replays), writing a release (publish), what changed from one vintage to the next (causes).
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pipelines.errors import AxstatError, Violation
from pipelines.intake.manifest import look_for_deliveries
from pipelines.release.vintages import MANIFEST, Vintage, file_sha256, folder_sha256, read_manifest
from pipelines.settings import Settings

State = Literal["equal", "differs", "not rebuilt", "not published", "published file changed", "published file missing"]
# Of a manifest: what a replay cannot do without, beside its deliveries
_NEEDED = ("deliveries", "edit_files", "outside_series", "vintages_before", "files", "made_with")


@dataclass(frozen=True)
class ReplayedFile:
    """One file of the release, by its place in it, and how the rebuilt one compares."""

    file: str
    state: State


@dataclass(frozen=True)
class Replay:
    """A vintage held against what was rebuilt.

    Attributes:
        files: every file of either, sorted; none where nothing could be rebuilt.
        faults: what the vintage rests on and is not there any more as it was; nothing is rebuilt then.
        reasons: what differs in program, contracts or manifest, which may be why files differ.
    """

    vintage: Vintage
    files: tuple[ReplayedFile, ...]
    faults: tuple[Violation, ...]
    reasons: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether every file was rebuilt and is the one published."""
        return bool(self.files) and all(one.state == "equal" for one in self.files)

    def __str__(self) -> str:
        lines = [f"{one.state}: {one.file}" for one in self.files if one.state != "equal"]
        lines += [str(fault) for fault in self.faults]
        if not self.equal:
            lines += [f"may be why: {reason}" for reason in self.reasons]
        if not self.files:
            return "\n".join([*lines, f"{self.vintage}: not rebuilt"])
        same = sum(one.state == "equal" for one in self.files)
        return "\n".join([*lines, f"{self.vintage}: {same} of {len(self.files)} files equal"])


def lay_out(settings: Settings, vintage: Vintage, home: Path) -> tuple[Violation, ...]:
    """Copy what a vintage rests on into the data home `home`, an empty folder, and return what cannot be had.

    Deliveries that came later, and vintages that were made later, are not among it.

    Raises:
        AxstatError: no such vintage; one made before manifests named all of this; one that names another place.
    """
    manifest = read_manifest(settings.published_dir, vintage)
    if missing := [key for key in _NEEDED if key not in manifest]:
        raise AxstatError(
            "cannot_be_replayed",
            where=f"{vintage}/{MANIFEST}",
            expected=f"a manifest with {', '.join(_NEEDED)}",
            got=f"none of {', '.join(missing)}",
            hint="releases of earlier versions of axstat do not say all they rest on; use the version that made them",
        )
    _require_names(vintage, manifest)
    there = replace(settings, home=home)
    return (
        *_lay_out_deliveries(settings, there, manifest["deliveries"]),
        *_lay_out_edits(settings, there, manifest["edit_files"]),
        *_lay_out_replies(settings, there, manifest["outside_series"]),
        *_lay_out_vintages(settings, there, manifest["vintages_before"]),
    )


def _require_names(vintage: Vintage, manifest: Mapping[str, Any]) -> None:
    """What is named becomes places that are read and written: a manifest that somebody changed may name any."""
    names = [
        *(row["file_name"] for row in manifest["deliveries"]),
        *(f"{row['survey']}-{row['wave']}" for row in manifest["edit_files"]),
        *manifest["outside_series"],
        *manifest["vintages_before"],
    ]
    strange = [name for name in names if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]
    if strange:
        raise AxstatError(
            "path_outside",
            where=f"{vintage}/{MANIFEST}",
            expected="names of files below the data home",
            got=", ".join(map(repr, strange[:5])),
            hint="somebody changed the manifest: bring the release back from the backup",
        )


def _lay_out_deliveries(settings: Settings, there: Settings, files: Sequence[Mapping[str, Any]]) -> Iterator[Violation]:
    sent = {one.delivery: one for one in look_for_deliveries(settings.deliveries_dir).manifests}
    for delivery in dict.fromkeys(row["delivery"] for row in files):
        if delivery not in sent:
            yield _lost(f"delivery {delivery}", "its folder in the deliveries folder", "none with this id")
            continue
        folder = shutil.copytree(sent[delivery].folder, there.deliveries_dir / sent[delivery].folder.name)
        for row in files:
            if row["delivery"] == delivery:
                # What is hashed is the copy, which is what will be read
                yield from _changed(folder / row["file_name"], row["file_sha256"], f"{delivery}/{row['file_name']}")


def _lay_out_edits(settings: Settings, there: Settings, edits: Sequence[Mapping[str, Any]]) -> Iterator[Violation]:
    for row in edits:
        name = f"{row['survey']}-{row['wave']}"
        found = [
            path
            for path in sorted((settings.edits_dir / name).glob("*"))
            if path.is_file() and file_sha256(path) == row["edit_sha256"]
        ]
        if not found:
            yield _lost(f"edits/{name}", f"an edit file with sha256 {row['edit_sha256']}", "none")
            continue
        (there.edits_dir / name).mkdir(parents=True, exist_ok=True)
        shutil.copy2(found[0], there.edits_dir / name / found[0].name)


def _lay_out_replies(settings: Settings, there: Settings, replies: Mapping[str, str]) -> Iterator[Violation]:
    for name, sha256 in replies.items():
        source, target = settings.benchmarks_dir / name, there.benchmarks_dir / name
        if not source.is_file():
            yield _lost(f"benchmarks/{name}", "the reply as it was kept", "no such file")
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
        yield from _changed(target, sha256, f"benchmarks/{name}")


def _lay_out_vintages(settings: Settings, there: Settings, vintages: Mapping[str, str]) -> Iterator[Violation]:
    for name, sha256 in vintages.items():
        if not (settings.published_dir / name).is_dir():
            yield _lost(f"published/{name}", "the release as it was published", "no such folder")
            continue
        folder = shutil.copytree(settings.published_dir / name, there.published_dir / name)
        yield from _changed(folder / MANIFEST, sha256, f"published/{name}/{MANIFEST}")


def _changed(path: Path, sha256: str, where: str) -> Iterator[Violation]:
    if not path.is_file():
        yield _lost(where, f"the file with sha256 {sha256}", "no such file")
    elif (found := file_sha256(path)) != sha256:
        yield _lost(where, f"the file with sha256 {sha256}", f"another one, {found}")


def _lost(where: str, expected: str, got: str) -> Violation:
    return Violation(
        "basis_missing",
        where=where,
        expected=expected,
        got=got,
        hint="the release rests on it: bring it back from the backup as it was, and replay again",
    )


def compare(published: Path, rebuilt: Path, vintage: Vintage) -> tuple[tuple[ReplayedFile, ...], tuple[str, ...]]:
    """Every file of a vintage under `published` held against that under `rebuilt`, and what may explain differences.

    Args:
        published, rebuilt: folders of releases; the second may lack the vintage.
    """
    manifest = read_manifest(published, vintage)
    stated: dict[str, str | None] = {**manifest["files"], MANIFEST: None}
    there, here = folder_sha256(published / str(vintage)), folder_sha256(rebuilt / str(vintage))
    found = []
    for name in sorted({*stated, *there, *here}):
        state: State = "equal" if there.get(name) == here.get(name) else "differs"
        if name not in here:
            state = "not rebuilt"
        elif name not in stated:
            state = "not published"
        elif name not in there:
            state = "published file missing"
        # The manifest has no hash of itself
        elif stated[name] not in (None, there[name]):
            state = "published file changed"
        found.append(ReplayedFile(name, state))
    return tuple(found), tuple(_reasons(manifest, rebuilt / str(vintage)))


def _reasons(manifest: Mapping[str, Any], rebuilt: Path) -> Iterator[str]:
    if not (rebuilt / MANIFEST).is_file():
        yield "the waves ran, but this release was not made again"
        return
    again = json.loads((rebuilt / MANIFEST).read_text(encoding="utf-8"))
    before, after = _flat(manifest["made_with"]), _flat(again["made_with"])
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield f"{name} was {before.get(name, 'not there')}, is {after.get(name, 'not there')}"
    for part in sorted({*manifest, *again} - {"made_with", "files"}):
        if manifest.get(part) != again.get(part):
            yield f"the manifest differs in `{part}`"


def _flat(values: Mapping[str, Any]) -> dict[str, object]:
    """Values by their name; those inside others by both names."""
    found: dict[str, object] = {}
    for name, value in values.items():
        inside = {f"{name} {inner}": one for inner, one in value.items()} if isinstance(value, dict) else {name: value}
        found |= inside
    return found
