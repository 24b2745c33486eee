"""Brings new deliveries of the sources into the deliveries folder: whole, checked, and in one step, or not at all.

Belongs here: the order of things in a fetch. Does not belong here: what is new (look), one file (download), reading
what was fetched (delivery).

A delivery grows in a hidden folder beside the others, `.<source>.<name>`, which nobody reads and which outlasts a
broken fetch; the last step renames it.
"""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.sources import Source
from pipelines.errors import AxstatError
from pipelines.intake.manifest import MANIFEST_NAME
from pipelines.intake.sources.download import Patience, download
from pipelines.intake.sources.faults import Deadline, SourceError
from pipelines.intake.sources.kinds import open_source
from pipelines.intake.sources.look import SeenDelivery, delivery_ids, look, look_again
from pipelines.intake.sources.remote import Remote

_MEGABYTE = 1_000_000


def sources_of(library: ContractLibrary, *, survey: str | None) -> list[Source]:
    """The sources that may send deliveries of a survey, or all of them.

    Raises:
        AxstatError: there is no such survey.
    """
    if survey is not None and survey not in library.surveys:
        raise AxstatError(
            "unknown_survey",
            where="--survey",
            expected=f"one of {', '.join(library.surveys)}",
            got=survey,
            hint="correct it, or leave it out for all sources",
        )
    return [source for source in library.sources.sources if survey is None or survey in source.surveys]


def fetch(
    sources: Sequence[Source],
    deliveries_dir: Path,
    *,
    environment: Mapping[str, str],
    survey: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.time,
) -> list[SeenDelivery]:
    """Take what is new from each source; what one cannot give keeps no other from being read.

    Args:
        environment: holds the credentials.
        survey: take deliveries of this survey only.
        clock: seconds since 1970, against which files are young.

    Returns:
        Every delivery that was seen; a source that could not be read at all as a failed one named ``*``.

    Raises:
        OSError: this machine's own faults, such as a full disk; the next fetch goes on.
    """
    seen: list[SeenDelivery] = []
    for source in sources:
        try:
            seen += _fetch(source, deliveries_dir, environment, survey=survey, sleep=sleep, clock=clock)
        except AxstatError as error:
            seen.append(SeenDelivery(source.id, "*", "failed", str(error)))
    return seen


def _fetch(
    source: Source,
    deliveries_dir: Path,
    environment: Mapping[str, str],
    *,
    survey: str | None,
    sleep: Callable[[float], None],
    clock: Callable[[], float],
) -> list[SeenDelivery]:
    deliveries_dir.mkdir(parents=True, exist_ok=True)
    remote = open_source(source, environment)
    patience = Patience(source, Deadline(source, source.limits.seconds), sleep)
    try:
        with FileLock(deliveries_dir / ".fetch.lock", timeout=0):
            seen = look(remote, deliveries_dir, patience=patience)
            seen = [one for one in seen if one.manifest is None or survey in (None, one.manifest.survey)]
            if any(_young(one, source, clock()) for one in seen):
                # The source's clock may be wrong, so a file is old enough when it did not change while we waited
                sleep(source.settle_seconds)
                seen = [
                    look_again(remote, one, patience=patience) if _young(one, source, clock()) else one for one in seen
                ]
            return [
                _take(remote, one, deliveries_dir, patience=patience) if one.state == "new" else one for one in seen
            ]
    except Timeout:
        pass
    finally:
        remote.close()
    raise SourceError(
        "fetch_at_work",
        where=f"source {source.id}",
        expected="one fetch at a time into a deliveries folder",
        got="another one at work",
        hint="wait for it",
    )


def _young(seen: SeenDelivery, source: Source, now: float) -> bool:
    if seen.state != "new" or seen.files is None:
        return False
    changed = [file.modified for file in seen.files.values()]
    return any(at is None or now - at < source.settle_seconds for at in changed)


def _take(remote: Remote, seen: SeenDelivery, deliveries_dir: Path, *, patience: Patience) -> SeenDelivery:
    try:
        _receive(remote, seen, deliveries_dir, patience=patience)
    except SourceError as error:
        return SeenDelivery(seen.source, seen.name, "failed", str(error))
    return SeenDelivery(seen.source, seen.name, "taken")


def _receive(remote: Remote, seen: SeenDelivery, deliveries_dir: Path, *, patience: Patience) -> None:
    assert seen.manifest is not None
    limits = remote.source.limits
    if seen.manifest.delivery in delivery_ids(deliveries_dir):
        raise SourceError(
            "delivery_repeated",
            where=f"source {remote.source.id}, {seen.name}",
            expected="an id of its own",
            got=f"{seen.manifest.delivery!r}, which another folder that was just taken has as well",
            hint="have one of the two sent with an id of its own and the next sequence number",
        )
    left = limits.delivery_megabytes * _MEGABYTE
    growing = deliveries_dir / f".{remote.source.id}.{seen.name}"
    manifest = growing / MANIFEST_NAME
    if growing.exists() and not (manifest.is_file() and manifest.read_bytes() == seen.content):
        # What came belongs to another version of the delivery
        shutil.rmtree(growing)
    if not growing.exists():
        growing.mkdir(mode=0o700)
        manifest.write_bytes(seen.content)
    for entry in seen.manifest.sent_files:
        target = growing / entry.file
        target.parent.mkdir(parents=True, exist_ok=True)
        left -= download(
            remote,
            f"{seen.name}/{entry.file}",
            target,
            sha256=entry.sha256,
            limit=min(limits.file_megabytes * _MEGABYTE, left),
            patience=patience,
        )
    final = deliveries_dir / seen.name
    if final.exists():
        raise SourceError(
            "delivery_appeared",
            where=f"source {remote.source.id}, {seen.name}",
            expected="no folder of this name in the deliveries folder",
            got="one that came while this was fetched",
            hint="run `axstat fetch` again: it compares the two",
        )
    growing.rename(final)
