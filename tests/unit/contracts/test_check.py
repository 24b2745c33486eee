"""The command that checks the contracts, and the schemas it checks them against."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pipelines.contracts.check import main, manifest_schema_findings, odcs_findings
from pipelines.contracts.library import ContractLibrary

Edit = Callable[[str, str, str], None]


def manifest() -> dict[str, Any]:
    return {
        "delivery": "2025-industry-1",
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
                "file": "answers.csv",
                "contract": "industry_response",
                "sha256": "0" * 64,
                "rows": 8750,
                "encoding": "cp949",
            }
        ],
    }


def test_contracts_follow_the_odcs_schema(library: ContractLibrary) -> None:
    assert odcs_findings(library.root) == []
    assert manifest_schema_findings(library.root) == []


def test_command_passes_on_the_projects_contracts(library: ContractLibrary, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(library.root)]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("6 deliveries, ")
    assert printed.err == ""


def test_command_finds_its_own_contracts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "2 surveys" in capsys.readouterr().out


def test_command_prints_every_finding(copy: Path, edit: Edit, capsys: pytest.CaptureFixture[str]) -> None:
    edit("marts/measure.yaml", "logicalType: string", "logicalType: text")
    edit("marts/domain.yaml", "classification, value: domain_types", "classification, value: kinds")
    edit("manifest.schema.json", '"type": "object"', '"type": "thing"')
    assert main([str(copy)]) == 1
    printed = capsys.readouterr().err
    assert "marts/measure.yaml: schema/0/properties/0/logicalType" in printed
    assert "manifest.schema.json: type" in printed
    assert "mart.domain.domain_type" in printed
    assert "finding(s)" in printed


def test_command_names_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nowhere")]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_manifest_schema_takes_a_manifest(library: ContractLibrary) -> None:
    jsonschema.validate(manifest(), json.loads((library.root / "manifest.schema.json").read_text("utf-8")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wave": "2025"}, "2025"),
        ({"survey": "households"}, "households"),
        ({"sequence": 0}, "minimum"),
        ({"collection_start": "1 August"}, "1 August"),
        ({"files": []}, "non-empty"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_manifest_schema_refuses(library: ContractLibrary, change: dict[str, Any], message: str) -> None:
    with pytest.raises(jsonschema.ValidationError) as caught:
        jsonschema.validate(manifest() | change, dict(library.manifest_schema))
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("change", "accepted"),
    [
        ({"file": "part/answers.csv"}, True),
        ({"file": "answers..csv"}, True),
        ({"file": "../answers.csv"}, False),
        ({"file": "part/../../answers.csv"}, False),
        ({"file": "/answers.csv"}, False),
        ({"file": "part\\answers.csv"}, False),
        ({"sha256": "0" * 63}, False),
        ({"encoding": "euc-kr"}, True),
        ({"encoding": "utf-7"}, False),
        ({"layout": "form/layout.csv", "layout_sha256": "0" * 64, "unit": "characters"}, True),
        ({"layout": "form/layout.csv"}, False),
        ({"layout": "form/layout.csv", "file": "answers.ZIP"}, True),
        ({"layout": "form/layout.csv", "file": "answers.ZIP", "layout_sha256": "0" * 64}, False),
        ({"layout_sha256": "0" * 64}, False),
        ({"layout": "../layout.csv", "layout_sha256": "0" * 64}, False),
        ({"codebook": {"file": "book.dat", "sha256": "0" * 64, "layout": "layout.csv"}}, False),
        ({"contract": "census"}, False),
        ({"header_rows": 2, "sheet": "응답"}, True),
    ],
)
def test_manifest_schema_on_files(library: ContractLibrary, change: dict[str, Any], accepted: bool) -> None:
    content = manifest()
    content["files"][0] |= change
    validator = jsonschema.Draft202012Validator(dict(library.manifest_schema))
    assert validator.is_valid(content) is accepted
