"""Why a single figure changed between two releases, as far as their manifests tell.

Belongs here: what a figure rests on, and what of it differs between two releases. Does not belong here: whether it
changed (stats), or what a person declared about it (contracts).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.surveys import Survey

LATE_ANSWER, DATA, WEIGHT, DEFINITION, CODE = "late_answer", "data", "weight", "definition", "code"

# Contracts that say what is counted; others say how it is computed
_DEFINING = ("classifications/ksic.yaml", "classifications/ax_industries.yaml", "classifications/measures.yaml")


def survey_settings(library: ContractLibrary) -> Mapping[str, Mapping[str, str]]:
    """Hashes of what each survey's contract says about weighting and about what is counted, for the manifest."""
    return {
        name: {"weighting": _sha256(_weighting(survey)), "definition": _sha256(_definition(survey, library))}
        for name, survey in library.surveys.items()
    }


def _weighting(survey: Survey) -> Mapping[str, Any]:
    return survey.model_dump(
        mode="json", include={"stratum", "nonresponse_class", "response_model", "post_stratum", "lonely_psu"}
    )


def _definition(survey: Survey, library: ContractLibrary) -> Mapping[str, Any]:
    said = survey.model_dump(mode="json", include={"headline", "min_employees", "statistical_unit"})
    return {**said, "measure": library.measures[survey.headline.measure].definition_en}


def _sha256(said: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def derived_causes(
    before: Mapping[str, Any], after: Mapping[str, Any], *, survey: str, wave: int, library: ContractLibrary
) -> tuple[str, ...]:
    """Codes of `revision_causes` for a figure of a survey and wave that differs between two releases.

    More rows of answers are late answers (with the dispositions that go with them); any other change of files or edits
    is corrected data. Where neither files of the wave nor settings differ, earlier waves of the survey are looked at:
    imputation uses them. If nothing of all that differs the cause is the program, or the machine it ran on: with
    another cause the program need not have changed a number.

    Args:
        before, after: manifests.

    Returns:
        every cause that applies, in the order of the code list; at least one.
    """
    contracts = library.surveys[survey].contracts
    answers = (contracts.response, contracts.sample)
    found = _data_causes(before, after, survey=survey, waves=[wave], answers=answers)
    found |= _settings_causes(before, after, survey=survey, wave=wave)
    if not found:
        earlier = range(library.surveys[survey].first_wave, wave)
        found = _data_causes(before, after, survey=survey, waves=earlier, answers=())
    return tuple(code for code in library.classifications["revision_causes"].codes if code in (found or {CODE}))


def _data_causes(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    *,
    survey: str,
    waves: Sequence[int],
    answers: tuple[str, ...],
) -> set[str]:
    files = [_files(manifest, survey, waves) for manifest in (before, after)]
    changed = {key for key in {*files[0], *files[1]} if files[0].get(key, {}) != files[1].get(key, {})}
    edits = [
        {
            edit["edit_sha256"]
            for edit in manifest.get("edit_files", ())
            if edit["survey"] == survey and edit["wave"] in waves
        }
        for manifest in (before, after)
    ]
    found = {DATA} if edits[0] != edits[1] else set()
    if answers and any(key[1] == answers[0] for key in changed):
        rows = [sum(file["rows_in"] for key, file in each.items() if key[1] == answers[0]) for each in files]
        if rows[1] > rows[0]:
            found.add(LATE_ANSWER)
            changed = {key for key in changed if key[1] not in answers}
    return found | ({DATA} if changed else set())


def _files(manifest: Mapping[str, Any], survey: str, waves: Sequence[int]) -> dict[tuple[int, str], dict[str, Any]]:
    return {
        (file["wave"], file["contract"]): {"sha256": file["file_sha256"], "rows_in": file["rows_in"]}
        for file in manifest["deliveries"]
        if file["survey"] == survey and file["wave"] in waves and file["status"] == "current"
    }


def _settings_causes(before: Mapping[str, Any], after: Mapping[str, Any], *, survey: str, wave: int) -> set[str]:
    asked = [
        {
            (file["question_version"], file["tech_list_version"])
            for file in manifest["deliveries"]
            if file["survey"] == survey and file["wave"] == wave and file["status"] == "current"
        }
        for manifest in (before, after)
    ]
    found = {DEFINITION} if asked[0] != asked[1] else set()
    settings = [manifest["made_with"].get("settings", {}).get(survey) for manifest in (before, after)]
    # A release made before manifests had settings does not tell
    if None not in settings:
        names = {"weighting": WEIGHT, "definition": DEFINITION}
        found |= {cause for name, cause in names.items() if settings[0][name] != settings[1][name]}
    contracts = _changed_contracts(before, after)
    return found | ({DEFINITION} if contracts & {*_DEFINING} else set())


def _changed_contracts(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    versions = [manifest["made_with"]["contracts"] for manifest in (before, after)]
    return {path for path in {*versions[0], *versions[1]} if versions[0].get(path) != versions[1].get(path)}
