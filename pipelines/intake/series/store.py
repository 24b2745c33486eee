"""Replies of outside series below the data home: the bytes as they came, and a manifest beside them.

Belongs here: where a reply lies and that it is whole. Does not belong here: fetching it (fetch.py), reading it
(observations.py).
"""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.contracts.series import Series
from pipelines.errors import Violation, ViolationsError
from pipelines.intake.series.replies import SUFFIXES, Reply

MANIFEST_NAME = "manifest.json"


class StoredReply(BaseModel):
    """The manifest of a reply.

    Attributes:
        url: what was asked, without the key. None for a reply that was handed over as a file.
        retrieved_at: when, in UTC, ISO 8601: the vintage of its values.
        contract_version: version of the series' contract that asked for it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    series: str
    contract_version: str
    url: str | None
    retrieved_at: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$")]
    file: Annotated[str, Field(pattern=r"^reply\.(json|csv)$")]
    sha256: str
    bytes: int


def store_reply(root: Path, series: Series, reply: Reply) -> tuple[Path, StoredReply, bool]:
    """Keep a reply: its folder, its manifest, and whether it is new.

    The bytes of the last reply again are no new vintage, and are not kept a second time. The folder appears as a whole
    or not at all.

    Args:
        root: `Settings.benchmarks_dir`.
        series: one that is fetched.
    """
    assert series.request is not None
    sha256 = hashlib.sha256(reply.body).hexdigest()
    earlier = stored_replies(root, series.id)
    if earlier and earlier[-1][1].sha256 == sha256:
        return (*earlier[-1], False)
    moment = reply.retrieved_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    manifest = StoredReply(
        series=series.id,
        contract_version=series.version,
        url=reply.url,
        retrieved_at=moment,
        file=f"reply{SUFFIXES[series.request.format]}",
        sha256=sha256,
        bytes=len(reply.body),
    )
    parent = root / series.id
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / f"{re.sub('[-:.]', '', moment)}-{sha256[:12]}"
    made = Path(tempfile.mkdtemp(prefix=".", dir=parent))
    try:
        (made / manifest.file).write_bytes(reply.body)
        (made / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=2), encoding="utf-8")
        made.rename(folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return folder, manifest, True


def stored_replies(root: Path, series: str) -> list[tuple[Path, StoredReply]]:
    """Every reply of a series, oldest first.

    Raises:
        ViolationsError: manifests that are not whole, or name another series.
    """
    found: list[tuple[Path, StoredReply]] = []
    faults: list[Violation] = []
    for path in sorted((root / series).glob(f"[!.]*/{MANIFEST_NAME}")):
        try:
            manifest = StoredReply.model_validate_json(path.read_bytes())
        except ValidationError as error:
            faults.append(_fault(path, "a manifest as `axstat benchmark` writes it", str(error).splitlines()[0]))
            continue
        if manifest.series != series:
            faults.append(_fault(path, f"a reply of {series}", f"one of {manifest.series}"))
        found.append((path.parent, manifest))
    if faults:
        raise ViolationsError(f"benchmarks/{series}", faults)
    return sorted(found, key=lambda one: (one[1].retrieved_at, one[0].name))


def reply_faults(folder: Path, manifest: StoredReply) -> Sequence[Violation]:
    """What is wrong with the bytes of a stored reply."""
    path = folder / manifest.file
    if not path.is_file():
        return [_fault(path, "the reply", "no such file")]
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return [] if sha256 == manifest.sha256 else [_fault(path, f"sha256 {manifest.sha256}", f"sha256 {sha256}")]


def _fault(path: Path, expected: str, got: str) -> Violation:
    return Violation(
        code="reply_damaged",
        where=f"benchmarks/{path.parent.parent.name}/{path.parent.name}/{path.name}",
        expected=expected,
        got=got,
        hint="restore the folder from a backup, or remove it and fetch the series again",
    )
