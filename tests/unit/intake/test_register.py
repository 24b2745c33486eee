"""The register names every file that was refused, whatever it is called."""

import json
from pathlib import Path

import pytest

from pipelines.errors import Violation, ViolationsError
from pipelines.intake.manifest import SelectedFile, parse_manifest
from pipelines.intake.register import file_register


def selected(*names: str) -> list[SelectedFile]:
    """Current files of one delivery, each of a contract of its own."""
    files = [
        {"file": name, "contract": f"contract_{at}", "sha256": f"{at:064}", "rows": 3} for at, name in enumerate(names)
    ]
    content = {
        "delivery": "d1",
        "survey": "industry",
        "wave": 2025,
        "sequence": 1,
        "question_version": "list-2022",
        "tech_list_version": "1",
        "collection_start": "2025-08-01",
        "collection_end": "2025-10-31",
        "sender": "contractor",
        "synthetic": True,
        "files": files,
    }
    manifest = parse_manifest(json.dumps(content).encode(), Path("d1"))
    return [SelectedFile(manifest, entry, "current", None) for entry in manifest.files]


@pytest.mark.parametrize(
    ("where", "refused"),
    [
        ("d1/a.csv", "a.csv"),
        ("d1/a.csv, column region", "a.csv"),
        ("d1/a, b.csv, column region", "a, b.csv"),
        ("d1/c.zip/응답.csv, column region", "c.zip"),
        ("d1/a.csv2", "a.csv2"),
    ],
)
def test_the_file_that_a_violation_is_about(where: str, refused: str) -> None:
    names = ("a.csv", "a, b.csv", "c.zip", "a.csv2")
    violation = Violation("ragged_rows", where, "3 cells", "2 cells", "send it again")
    register = file_register(selected(*names), ViolationsError("d1", [violation]))
    found = register.filter(register["status"] == "rejected").select("file_name", "reason").rows()
    assert found == [(refused, "ragged_rows")]
