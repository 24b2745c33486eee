"""What of the deliveries folder may be read by now: uploads that are over, and a fingerprint of each wave's.

Belongs here: telling a finished upload from a growing one. Does not belong here: which file counts (manifest), starting
anything (orchestration).
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.intake.manifest import MANIFEST_NAME, Manifest


@dataclass(frozen=True)
class WaveArrivals:
    """The deliveries of one survey and wave.

    Attributes:
        manifests: all of them.
        fingerprint: hash of what was sent: of the manifests, and of the names and sizes of their files.
        unfinished: what is still being uploaded, a line each; empty: everything is there and at rest.
    """

    survey: str
    wave: int
    manifests: tuple[Manifest, ...]
    fingerprint: str
    unfinished: tuple[str, ...]


def wave_arrivals(manifests: Iterable[Manifest], *, settle_seconds: float, now: float) -> list[WaveArrivals]:
    """Each survey and wave of `manifests`, by wave.

    Args:
        settle_seconds: a file changed later than so long ago may still be growing.
        now: seconds since 1970, by the clock of the file system.
    """
    by_wave: dict[tuple[int, str], list[Manifest]] = {}
    for manifest in manifests:
        by_wave.setdefault((manifest.wave, manifest.survey), []).append(manifest)
    return [
        _arrivals(survey, wave, of_wave, settle_seconds=settle_seconds, now=now)
        for (wave, survey), of_wave in sorted(by_wave.items(), key=lambda item: item[0])
    ]


def _arrivals(survey: str, wave: int, manifests: list[Manifest], *, settle_seconds: float, now: float) -> WaveArrivals:
    digest = hashlib.sha256()
    unfinished = []
    for manifest in sorted(manifests, key=lambda one: one.folder.name):
        for name in (MANIFEST_NAME, *(sent.file for sent in manifest.sent_files)):
            path = manifest.folder / name
            try:
                state = path.stat()
            except OSError:
                unfinished.append(f"{manifest.folder.name}/{name} is not there yet")
                continue
            if now - state.st_mtime < settle_seconds:
                unfinished.append(f"{manifest.folder.name}/{name} changed less than {settle_seconds:g} s ago")
            digest.update(f"{manifest.folder.name}/{name}\0{state.st_size}\n".encode())
        digest.update(manifest.model_dump_json().encode())
    return WaveArrivals(survey, wave, tuple(manifests), digest.hexdigest()[:16], tuple(unfinished))
