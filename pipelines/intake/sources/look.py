"""What a source holds, against what was taken from it before. Reads names, sizes and manifests, no data.

Belongs here: which deliveries are new, had, changed, unfinished or refused, and why. Does not belong here: fetching one
(fetch), reading a kind of source (remote).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipelines.errors import Violation, ViolationsError
from pipelines.intake.manifest import MANIFEST_BYTES, MANIFEST_NAME, Manifest, look_for_deliveries, parse_manifest
from pipelines.intake.sources.download import Patience
from pipelines.intake.sources.faults import SourceError
from pipelines.intake.sources.names import file_problem, folder_problem, shown
from pipelines.intake.sources.remote import Remote, RemoteFile

# Errors that another look at the same folder would find again
_ITS_OWN_FAULT = frozenset({"manifest_too_large", "too_many_entries"})

State = Literal["new", "had", "unfinished", "refused", "failed", "taken"]


@dataclass(frozen=True)
class SeenDelivery:
    """A folder of a source.

    Attributes:
        state: ``new``: to be fetched; ``had``: already in the deliveries folder; ``unfinished``: still being uploaded;
            ``refused``: never to be fetched as it is; ``failed``: could not be read this time; ``taken``: fetched now.
        reason: why it is not fetched; empty for new, had and taken ones.
        content, manifest: of a new one: its manifest's bytes, and what they say.
        files: of a new one: what the source lists; None where it has no listing.
    """

    source: str
    name: str
    state: State
    reason: str = ""
    content: bytes = field(default=b"", repr=False)
    manifest: Manifest | None = None
    files: Mapping[str, RemoteFile] | None = None

    def __str__(self) -> str:
        told = f": {self.reason}" if self.reason else ""
        return f"{self.source}/{shown(self.name)}  {self.state}{told}"


def look(remote: Remote, deliveries_dir: Path, *, patience: Patience) -> list[SeenDelivery]:
    """Every delivery of a source, by name.

    Args:
        deliveries_dir: where those that were taken lie.
        patience: how long the source is waited for.

    Raises:
        SourceError: the source itself cannot be read; what is wrong with one delivery is told with it.
    """
    names = patience.ask("its folder", remote.deliveries)
    most = remote.source.limits.deliveries
    if len(names) > most:
        raise SourceError(
            "too_many_deliveries",
            where=f"source {remote.source.id}",
            expected=f"at most {most} folders (limits.deliveries)",
            got=f"{len(names)}",
            hint="move old ones away, or raise the limit in sources.yaml",
        )
    return [
        _look_at(remote, name, deliveries_dir, patience=patience)
        if plain
        else SeenDelivery(remote.source.id, name, "refused", "a link or device: send the folder itself")
        for name, plain in sorted(names.items())
    ]


def look_again(remote: Remote, seen: SeenDelivery, *, patience: Patience) -> SeenDelivery:
    """`seen`, or the same as unfinished where its files changed since."""
    listing = patience.ask(seen.name, lambda: remote.files(seen.name))
    if listing is None or listing.files == seen.files:
        return seen
    return SeenDelivery(seen.source, seen.name, "unfinished", "its files are still changing")


def _look_at(remote: Remote, name: str, deliveries_dir: Path, *, patience: Patience) -> SeenDelivery:
    source = remote.source.id
    if problem := folder_problem(name):
        return SeenDelivery(source, name, "refused", f"{problem}: have the folder renamed")
    try:
        return _compare(remote, name, deliveries_dir, patience=patience)
    except SourceError as error:
        return SeenDelivery(source, name, "refused" if error.code in _ITS_OWN_FAULT else "failed", str(error))
    except ViolationsError as error:
        return SeenDelivery(source, name, "refused", str(error))


def _compare(remote: Remote, name: str, deliveries_dir: Path, *, patience: Patience) -> SeenDelivery:
    source = remote.source
    listing = patience.ask(name, lambda: remote.files(name))
    files = None if listing is None else listing.files
    strange = () if listing is None else listing.strange
    if MANIFEST_NAME in strange:
        return SeenDelivery(source.id, name, "refused", f"{MANIFEST_NAME} is a link or device: send the file itself")
    if files is not None and MANIFEST_NAME not in files:
        return SeenDelivery(source.id, name, "unfinished", f"no {MANIFEST_NAME} yet, which comes last")
    content = patience.ask(name, lambda: _manifest_bytes(remote, name, limit=MANIFEST_BYTES))
    if content is None:
        return SeenDelivery(source.id, name, "unfinished", f"no {MANIFEST_NAME} yet, which comes last")
    folder = deliveries_dir / name
    if folder.exists():
        return _against_taken(remote, name, folder, content, files)
    manifest = parse_manifest(content, folder)
    if violations := _problems(remote, manifest, deliveries_dir, strange):
        raise ViolationsError(name, violations)
    if files is not None:
        missing = [sent.file for sent in manifest.sent_files if sent.file not in files]
        if missing:
            return SeenDelivery(source.id, name, "unfinished", f"not there yet: {', '.join(missing)}")
    return SeenDelivery(source.id, name, "new", content=content, manifest=manifest, files=files)


def _against_taken(
    remote: Remote, name: str, folder: Path, content: bytes, files: Mapping[str, RemoteFile] | None
) -> SeenDelivery:
    """What was taken is never replaced: nobody could say afterwards which of the two a release rests on."""
    taken = folder / MANIFEST_NAME
    if not taken.is_file():
        reason = f"a folder of this name without {MANIFEST_NAME} is in the deliveries folder: finish or remove that one"
        return SeenDelivery(remote.source.id, name, "refused", reason)
    changed = []
    if taken.read_bytes() != content:
        changed.append(MANIFEST_NAME)
    else:
        for entry in parse_manifest(content, folder).sent_files:
            local = folder / entry.file
            if files is None or not local.is_file():
                continue
            if entry.file not in files or files[entry.file].size != local.stat().st_size:
                changed.append(entry.file)
    if not changed:
        return SeenDelivery(remote.source.id, name, "had")
    reason = (
        f"{', '.join(changed)} changed after the delivery was taken, which stays as it is: have the correction sent "
        "in a folder of its own, with an id of its own and the next sequence number"
    )
    return SeenDelivery(remote.source.id, name, "refused", reason)


def _problems(remote: Remote, manifest: Manifest, deliveries_dir: Path, strange: tuple[str, ...]) -> list[Violation]:
    source, limits = remote.source, remote.source.limits
    where = f"{manifest.folder.name}/{MANIFEST_NAME}"
    found: list[tuple[str, str, str, str, str]] = []
    if manifest.survey not in source.surveys:
        allowed = ", ".join(source.surveys)
        hint = "correct 'survey' in the manifest, or `surveys` of the source in sources.yaml"
        found.append(("survey_of_another_source", where, f"a delivery of {allowed}", manifest.survey, hint))
    if len(manifest.sent_files) > limits.files:
        expected = f"at most {limits.files} files (limits.files)"
        found.append(
            ("too_many_files", where, expected, str(len(manifest.sent_files)), "split the delivery, or raise it")
        )
    for entry in manifest.sent_files:
        if problem := file_problem(entry.file):
            got = f"{shown(entry.file)} {problem}"
            found.append(("hostile_name", where, "a plain name", got, "have the file renamed"))
        if any(f"{entry.file}/".startswith(f"{path}/") for path in strange):
            place = f"{manifest.folder.name}/{entry.file}"
            found.append(("not_a_file", place, "a file", "a link or device", "send the file itself"))
        if any(other.file.startswith(f"{entry.file}/") for other in manifest.sent_files):
            found.append(("hostile_name", where, "a file", f"{entry.file}, also named as a folder", "rename one"))
    if folder := delivery_ids(deliveries_dir).get(manifest.delivery):
        hint = "have it sent with an id of its own and the next sequence number"
        found.append(("delivery_repeated", where, "an id of its own", f"{manifest.delivery!r}, as in {folder}", hint))
    return [
        Violation(code=code, where=place, expected=expected, got=got, hint=hint)
        for code, place, expected, got, hint in found
    ]


def delivery_ids(deliveries_dir: Path) -> dict[str, str]:
    """Folder by id of the deliveries that are there and can be read."""
    return {manifest.delivery: manifest.folder.name for manifest in look_for_deliveries(deliveries_dir).manifests}


def _manifest_bytes(remote: Remote, delivery: str, *, limit: int) -> bytes | None:
    """The manifest of a delivery; None: there is none yet.

    Raises:
        SourceError: it cannot be read, or is larger than `limit` bytes.
    """
    path = f"{delivery}/{MANIFEST_NAME}"
    try:
        content = remote.beginning(path, limit + 1)
    except SourceError as error:
        if error.code == "source_not_found":
            return None
        raise
    if len(content) > limit:
        raise SourceError(
            "manifest_too_large",
            where=f"source {remote.source.id}, {path}",
            expected=f"at most {limit} bytes",
            got="more",
            hint="send a manifest that lists the delivery's files and nothing else",
        )
    return content
