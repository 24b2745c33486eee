"""Each fault in the files about indicators and revisions is found, and named."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.contracts.findings import Findings
from pipelines.contracts.indicator_checks import check_indicators
from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.contracts.quality_values import SuppliedValue
from pipelines.contracts.revisions import DeclaredRevision

ROOT = Path(__file__).parents[3] / "data_contracts"


@pytest.fixture(scope="module")
def library() -> ContractLibrary:
    return load_library(ROOT)


def item(code: str, **update: object) -> Callable[[ContractLibrary], ContractLibrary]:
    def change(library: ContractLibrary) -> ContractLibrary:
        listed = library.classifications["quality_indicators"]
        items = tuple(one.model_copy(update=update) if one.code == code else one for one in listed.items)
        changed = listed.model_copy(update={"items": items})
        return replace(library, classifications={**library.classifications, "quality_indicators": changed})

    return change


def properties(code: str, **update: str) -> Callable[[ContractLibrary], ContractLibrary]:
    def change(library: ContractLibrary) -> ContractLibrary:
        given = dict(library.classifications["quality_indicators"].item(code).properties)
        return item(code, properties={name: text for name, text in {**given, **update}.items() if text})(library)

    return change


def supplied(**entry: object) -> Callable[[ContractLibrary], ContractLibrary]:
    value = SuppliedValue.model_validate({"value": 1.0, "source": "s", **entry})
    return lambda library: replace(
        library, quality_values=library.quality_values.model_copy(update={"values": (value,)})
    )


def declared(**entry: object) -> Callable[[ContractLibrary], ContractLibrary]:
    said = {"wave": 2023, "kind": "revision", "cause": "data", "reason_ko": "가", "reason_en": "a", "who": "w"}
    revision = DeclaredRevision.model_validate({**said, **entry})
    return lambda library: replace(library, revisions=library.revisions.model_copy(update={"revisions": (revision,)}))


def codes(library: ContractLibrary) -> list[str]:
    findings = Findings(ROOT)
    check_indicators(library, findings)
    return [violation.code for violation in findings.violations]


def test_the_projects_files_fit_together(library: ContractLibrary) -> None:
    assert codes(library) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (properties("A2", unit="furlong"), "indicator_property"),
        (properties("A2", by="magic"), "indicator_property"),
        (properties("A2", made=""), "indicator_property"),
        (properties("A2", source=""), "indicator_property"),
        (properties("A2", rests_on=""), "indicator_property"),
        (properties("A2", no_value="because"), "indicator_property"),
        (item("A2", description_ko=None), "no_definition"),
        (supplied(indicator="A2"), "not_supplied"),
        (supplied(indicator="AC1", survey="moon"), "unknown_survey"),
        (declared(cause="none"), "unknown_cause"),
        (declared(cause="weather"), "unknown_cause"),
        (declared(survey="moon"), "unknown_survey"),
    ],
)
def test_a_fault_is_found(
    library: ContractLibrary, change: Callable[[ContractLibrary], ContractLibrary], expected: str
) -> None:
    assert codes(change(library)) == [expected]


def test_neither_file_moves_the_fingerprint_of_a_wave(library: ContractLibrary) -> None:
    """Recording a day or declaring a change must not make every wave run again."""
    assert "quality_values.yaml" not in library.versions
    assert "revisions.yaml" not in library.versions
    assert "classifications/quality_indicators.yaml" in library.versions
