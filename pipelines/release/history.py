"""The releases that were made before, in the order in which they were made.

Belongs here: reading their manifests and their figures. Does not belong here: comparing them (revisions), or making
one (publish).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.release.vintages import MANIFEST, Vintage, vintages

# Key of the manifest
ORDER = "publication_order"


@dataclass(frozen=True)
class PastRelease:
    """A release as it stands under `published/`.

    Attributes:
        order: its place among all releases, 1 for the first that was made.
        manifest: as read.
        folder: where it stands.
    """

    vintage: Vintage
    order: int
    manifest: Mapping[str, Any]
    folder: Path

    def rates(self) -> pl.DataFrame:
        """The rows of `mart.adoption_rate` that it published."""
        return pl.read_parquet(self.folder / "parquet" / "adoption_rate.parquet")


def past_releases(published: Path) -> list[PastRelease]:
    """Every release under `published`, the oldest first.

    The order is that of the manifests. Releases made before manifests had one come first, by wave and number.
    """
    found = []
    for vintage in vintages(published):
        folder = published / str(vintage)
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        found.append((int(manifest.get(ORDER, 0)), vintage, manifest, folder))
    found.sort(key=lambda entry: entry[:2])
    return [
        PastRelease(vintage, order, manifest, folder)
        for order, (_, vintage, manifest, folder) in enumerate(found, start=1)
    ]
