"""What persons sign: nobody sees a release too early, and only rules that may be overridden are."""

import shutil
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.contracts.signed import PreAccessFile
from pipelines.errors import ViolationsError

PERSON = {
    "who": "Kim",
    "role_ko": "장관",
    "role_en": "minister",
    "hours_before": 24,
    "why_ko": "질의",
    "why_en": "questions",
}


def test_nothing_is_signed_as_the_contracts_come(library: ContractLibrary) -> None:
    assert library.explanations == library.overrides == library.pre_access.people == ()
    assert library.pre_access.longest_hours == 24


def test_nobody_sees_a_release_earlier_than_allowed() -> None:
    given = {"id": "pre_access", "version": "1", "proposal": False, "note_ko": "", "note_en": "", "longest_hours": 24}
    assert PreAccessFile.model_validate({**given, "people": [PERSON]}).people[0].who == "Kim"
    with pytest.raises(ValidationError, match=r"above longest_hours \(24\): Kim"):
        PreAccessFile.model_validate({**given, "people": [{**PERSON, "hours_before": 25}]})


def test_all_that_is_signed_wrongly_is_told_at_once(library: ContractLibrary, tmp_path: Path) -> None:
    copy = tmp_path / "data_contracts"
    shutil.copytree(library.root, copy)
    override = {"release": "2025.1", "rule": "calendar", "name": "Lee", "reason_ko": "사유", "reason_en": "reason"}
    explanation = {
        "survey": "far", "wave": 2025, "rule": "size_gradient", "domain_type": "size_class", "domain_code": "250+",
        "who": "Lee", "why_ko": "사유", "why_en": "reason",
    }  # fmt: skip
    twice = {**override, "rule": "check_failed"}
    for name, entries in (("overrides", [override, twice, twice]), ("explanations", [explanation])):
        content = {"id": name, "version": "1.0.0", name: entries}
        (copy / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ViolationsError) as caught:
        load_library(copy)
    found = {(one.code, one.where.removeprefix("data_contracts/")) for one in caught.value.violations}
    assert found == {
        ("no_override", "overrides.yaml: 2025.1"),
        ("duplicate", "overrides.yaml"),
        ("unknown_survey", "explanations.yaml"),
    }
