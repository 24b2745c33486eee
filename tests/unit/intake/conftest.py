"""Deliveries as small as a test needs."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.intake.manifest import ManifestFile

ROOT = Path(__file__).resolve().parents[3]

Deliver = Callable[..., Path]


@pytest.fixture(scope="session")
def library() -> ContractLibrary:
    return load_library(ROOT / "data_contracts")


@pytest.fixture
def deliver(tmp_path: Path) -> Deliver:
    """Writes a delivery of one file below `tmp_path / 'deliveries'` and returns its folder.

    `entry` and the keyword arguments replace keys of the manifest's file entry and of the manifest.
    """

    def write(
        content: bytes,
        *,
        folder: str = "d1",
        file: str = "data.csv",
        rows: int = 1,
        contract: str = "industry_response",
        entry: dict[str, Any] | None = None,
        **keys: Any,
    ) -> Path:
        place = tmp_path / "deliveries" / folder
        place.mkdir(parents=True)
        (place / file).write_bytes(content)
        manifest = {
            "delivery": folder,
            "survey": "industry",
            "wave": 2025,
            "sequence": 1,
            "question_version": "list-2022",
            "tech_list_version": "1",
            "collection_start": "2025-08-01",
            "collection_end": "2025-10-31",
            "sender": "contractor",
            "synthetic": True,
            "files": [
                {
                    "file": file,
                    "contract": contract,
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "rows": rows,
                    **(entry or {}),
                }
            ],
            **keys,
        }
        text = json.dumps(manifest, ensure_ascii=False)
        (place / "manifest.json").write_text(text, encoding="utf-8")
        return place

    return write


@pytest.fixture
def entry() -> Callable[..., ManifestFile]:
    """A manifest's file entry for readers, which look at how to read and at nothing else."""

    def make(**keys: Any) -> ManifestFile:
        return ManifestFile(**{"file": "f", "contract": "c", "sha256": "0" * 64, "rows": 1, **keys})

    return make
