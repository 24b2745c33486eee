"""Two made-up manifests that differ in one thing each."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.release.revision_causes import derived_causes, survey_settings

Manifest = dict[str, Any]


@pytest.fixture
def manifest(library: ContractLibrary) -> Manifest:
    contracts = library.surveys["industry"].contracts
    return {
        "made_with": {
            "axstat": "1", "git_revision": "a", "lock_sha256": "b", "contracts": dict(library.versions),
            "settings": survey_settings(library),
        },
        "edit_files": [],
        "deliveries": [
            {
                "survey": "industry", "wave": wave, "contract": contract, "status": "current", "rows_in": 100,
                "file_sha256": f"{contract}-{wave}", "question_version": "list-2022", "tech_list_version": "1",
            }
            for wave in (2022, 2023)
            for contract in (contracts.response, contracts.sample, contracts.frame)
        ],
    }  # fmt: skip


def change_file(contract: str, *, wave: int, **changes: object) -> Callable[[Manifest], None]:
    def change(manifest: Manifest) -> None:
        for file in manifest["deliveries"]:
            if (file["contract"], file["wave"]) == (contract, wave):
                file.update(changes)

    return change


def more_answers(manifest: Manifest) -> None:
    change_file("industry_response", wave=2023, file_sha256="new", rows_in=110)(manifest)
    change_file("industry_sample", wave=2023, file_sha256="new")(manifest)


def edit(manifest: Manifest) -> None:
    manifest["edit_files"].append({"survey": "industry", "wave": 2023, "edit_sha256": "e"})


def weighting(manifest: Manifest) -> None:
    manifest["made_with"]["settings"]["industry"]["weighting"] = "other"
    manifest["made_with"]["contracts"]["surveys/industry.yaml"] = "9.0.0"


def ksic(manifest: Manifest) -> None:
    manifest["made_with"]["contracts"]["classifications/ksic.yaml"] = "9.0.0"


def program(manifest: Manifest) -> None:
    manifest["made_with"]["git_revision"] = "z"


def another_survey(manifest: Manifest) -> None:
    manifest["edit_files"].append({"survey": "public", "wave": 2023, "edit_sha256": "e"})
    manifest["made_with"]["settings"]["public"]["weighting"] = "other"


def everything(manifest: Manifest) -> None:
    for change in (more_answers, edit, weighting, ksic, program):
        change(manifest)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (more_answers, ("late_answer",)),
        (change_file("industry_response", wave=2023, file_sha256="new"), ("data",)),
        (change_file("industry_response", wave=2023, file_sha256="new", rows_in=90), ("data",)),
        (change_file("business_frame", wave=2023, file_sha256="new"), ("data",)),
        (edit, ("data",)),
        (change_file("industry_response", wave=2023, question_version="list-2030"), ("definition",)),
        (ksic, ("definition",)),
        (weighting, ("weight",)),
        (program, ("code",)),
        (lambda manifest: None, ("code",)),
        (another_survey, ("code",)),
        # imputation from the last wave uses its answers
        (change_file("industry_response", wave=2022, file_sha256="new"), ("data",)),
        (everything, ("late_answer", "data", "weight", "definition")),
    ],
)
def test_the_cause_is_what_differs(
    manifest: Manifest, library: ContractLibrary, change: Callable[[Manifest], None], expected: tuple[str, ...]
) -> None:
    after = copy.deepcopy(manifest)
    change(after)
    found = derived_causes(manifest, after, survey="industry", wave=2023, library=library)
    assert found == expected


def test_a_release_of_an_older_program_tells_no_settings(manifest: Manifest, library: ContractLibrary) -> None:
    older = copy.deepcopy(manifest)
    del older["made_with"]["settings"]
    del older["edit_files"]
    assert derived_causes(older, manifest, survey="industry", wave=2023, library=library) == ("code",)


def test_settings_change_with_the_contract_and_only_with_their_part_of_it(library: ContractLibrary) -> None:
    survey = library.surveys["industry"]
    collapsed = survey.stratum.model_copy(update={"min_respondents": survey.stratum.min_respondents + 1})
    before = survey_settings(library)
    for update, changed in (
        ({"stratum": collapsed}, "weighting"),
        ({"min_employees": 5}, "definition"),
        ({"confidence_level": 0.9}, None),
    ):
        other = replace(library, surveys={**library.surveys, "industry": survey.model_copy(update=update)})
        after = survey_settings(other)
        assert after["public"] == before["public"]
        assert {name for name in before["industry"] if before["industry"][name] != after["industry"][name]} == (
            {changed} - {None}
        )
