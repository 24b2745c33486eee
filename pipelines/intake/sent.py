"""A file that a manifest names, found and held against its hash.

Belongs here: where a sent file lies, and whether its bytes are those that were announced. Does not belong here: which
file counts (manifest), reading it (delivery, codebook, formats).
"""

import hashlib
from pathlib import Path

from pipelines.errors import Violation
from pipelines.intake.form import leads_out
from pipelines.intake.manifest import Manifest, SentFile


def sent_path(manifest: Manifest, sent: SentFile, violations: list[Violation]) -> Path | None:
    """The file's path, or None with the reason added to `violations`."""
    path = manifest.folder / sent.file
    if leads_out(path, manifest.folder):
        got, hint = "a link that leads out of the folder", "put the file itself into the folder"
    elif not path.is_file():
        got, hint = "no such file", "send the file, or correct 'file' in the manifest"
    else:
        return path
    violations.append(
        Violation(
            code="missing_file",
            where=manifest.where(sent),
            expected="the file in the delivery's folder",
            got=got,
            hint=hint,
        )
    )
    return None


def layout_violations(manifest: Manifest, sent: SentFile) -> list[Violation]:
    """One violation where the layout beside a file is not the one announced; that there is none, its reader says."""
    layout = sent.sent_layout
    if layout is None:
        return []
    path = manifest.folder / layout.file
    if leads_out(path, manifest.folder) or not path.is_file():
        return []
    return hash_violations(path, layout, file=f"{manifest.where(sent)}, layout {sent.layout}")


def hash_violations(path: Path, sent: SentFile, *, file: str) -> list[Violation]:
    """One violation where the bytes at `path` are not those that the manifest announced; `file` names it."""
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found == sent.sha256:
        return []
    return [
        Violation(
            code="hash_differs",
            where=file,
            expected=f"sha256 {sent.sha256}, as the manifest says",
            got=f"sha256 {found}",
            hint="the file was changed or damaged after the manifest was written: send both again",
        )
    ]
